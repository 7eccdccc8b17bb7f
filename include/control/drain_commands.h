/* The commands "drain" and "undrain": a host, a server, or "all". */
#ifndef GATEHOUSE_CONTROL_DRAIN_COMMANDS_H
#define GATEHOUSE_CONTROL_DRAIN_COMMANDS_H

#include "control/control.h"
#include "control/request.h"
#include "control/state_feed.h"

/* What they change, and the state that shows it. */
struct drain_target {
	struct daemon *daemon;
	struct drained_set *drained;
	struct state_feed *feed;
};

void command_drain(const struct drain_target *target, struct control_call *call,
	const struct request *request);
void command_undrain(const struct drain_target *target, struct control_call *call,
	const struct request *request);

#endif
