/*
 * The control socket: a client is the daemon's own user or root, sends one line and gets one line
 * back. It runs on the main loop and never waits for a client: one that is slow, silent or sends too
 * much is disconnected.
 */
#ifndef GATEHOUSE_CONTROL_CONTROL_H
#define GATEHOUSE_CONTROL_CONTROL_H

#include "base/err.h"
#include "base/strbuf.h"
#include "net/listener.h"

#include <ev.h>
#include <sys/types.h>

#define CONTROL_LINE_MAX  (64 * 1024)
#define CONTROL_CALLS_MAX 16

struct control;
struct control_call;

/* The call is to be answered once, now or later. */
typedef void control_request_fn(
	void *owner, struct control_call *call, const char *line, size_t len);

/*
 * Listens, with mode 0600, and takes no calls yet. `user`: NULL, or who the process will become: the
 * socket is created as that user while it is root.
 */
struct control *control_open(
	struct ev_loop *loop, const char *path, const char *user, struct err *err);
struct listener *control_socket(struct control *control);
const char *control_path(const struct control *control);
void control_start(struct control *control, control_request_fn *on_request, void *owner);

/* Takes the text over, and the call; whether its client is still connected does not matter. */
void control_answer(struct control_call *call, struct strbuf *answer);

/* No more calls. Those under way are answered, unless `at_once`: then they are dropped. */
void control_close(struct control *control, bool at_once);

#endif
