/* The participant that has the control socket (control/control.h) where the configuration says. */
#ifndef GATEHOUSE_CONTROL_CONTROL_LISTENER_H
#define GATEHOUSE_CONTROL_CONTROL_LISTENER_H

#include "control/control.h"
#include "daemon/participant.h"

struct control_listener;

/* `config_path` is for messages; it and `owner`, of `on_request`, are borrowed. NULL: out of memory. */
struct control_listener *control_listener_create(
	struct ev_loop *loop, const char *config_path, control_request_fn *on_request, void *owner);
struct participant control_listener_participant(struct control_listener *listener);

/* Calls under way are dropped. NULL is fine. */
void control_listener_destroy(struct control_listener *listener);

#endif
