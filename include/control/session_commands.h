/*
 * The commands "sessions" and "kill": questions to every worker, which look through their sessions
 * a few at a time (daemon/task.h); the last one that is done completes the answer.
 */
#ifndef GATEHOUSE_CONTROL_SESSION_COMMANDS_H
#define GATEHOUSE_CONTROL_SESSION_COMMANDS_H

#include "control/control.h"
#include "control/request.h"
#include "daemon/daemon.h"

struct session_queries;

/* `daemon` is borrowed. NULL: out of memory. */
struct session_queries *session_queries_create(struct daemon *daemon, struct err *err);

void command_sessions(
	struct session_queries *queries, struct control_call *call, const struct request *request);
void command_kill(
	struct session_queries *queries, struct control_call *call, const struct request *request);

/* When every worker has ended: then every query has, and is not answered. NULL is fine. */
void session_queries_destroy(struct session_queries *queries);

#endif
