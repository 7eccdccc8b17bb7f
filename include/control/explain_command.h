/* The command "explain": which route the published snapshot gives a client, and why. */
#ifndef GATEHOUSE_CONTROL_EXPLAIN_COMMAND_H
#define GATEHOUSE_CONTROL_EXPLAIN_COMMAND_H

#include "control/control.h"
#include "control/request.h"
#include "route/routes.h"

/* `is_drained`: the administrator drains every host. */
void command_explain(const struct routes *routes, bool is_drained, struct control_call *call,
	const struct request *request);

#endif
