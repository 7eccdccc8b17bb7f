/* The command "routes": the routes of the published snapshot, with what each has carried. */
#ifndef GATEHOUSE_CONTROL_ROUTE_COMMANDS_H
#define GATEHOUSE_CONTROL_ROUTE_COMMANDS_H

#include "control/control.h"
#include "control/request.h"
#include "route/routes.h"

void command_routes(
	const struct routes *routes, struct control_call *call, const struct request *request);

#endif
