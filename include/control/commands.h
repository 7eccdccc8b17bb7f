/* What a request on the control socket does: the table of commands, gatehouse(8). */
#ifndef GATEHOUSE_CONTROL_COMMANDS_H
#define GATEHOUSE_CONTROL_COMMANDS_H

#include "control/control.h"
#include "control/session_commands.h"
#include "control/state_feed.h"
#include "control/waiting.h"

/* What commands read and change; all of it is borrowed. */
struct commands {
	struct daemon *daemon;
	struct state_feed *feed;
	struct drained_set *drained;
	struct waiting *waiting;
	struct session_queries *queries;
};

/* `owner` is a struct commands. */
control_request_fn commands_on_request;

#endif
