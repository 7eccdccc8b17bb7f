#include "control/control.h"

#include "base/json_out.h"
#include "base/log.h"
#include "net/accept.h"
#include "sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* For the client to send its line, and again to take the answer. */
#define TIMEOUT_SECONDS 10.0

struct control_call {
	struct control *control;
	struct control_call *next, **link;
	ev_io io;
	ev_timer timer;
	char *line;
	size_t len;
	struct strbuf answer;
	size_t sent;
	bool is_complete; /* the request is; its answer may be under way */
	bool is_gone;
};

struct control {
	struct ev_loop *loop;
	char *path;
	struct listener *listener; /* NULL: closed, and kept for the calls under way */
	struct accept_watch acceptor;
	ev_timer check; /* an event of the loop, soon after a call begins to be watched */
	control_request_fn *on_request;
	void *owner;
	struct control_call *calls;
	unsigned count;
};

static void control_free(struct control *control)
{
	ev_timer_stop(control->loop, &control->check);
	free(control->path);
	free(control);
}

static void call_hang_up(struct control_call *call)
{
	struct ev_loop *loop = call->control->loop;
	ev_io_stop(loop, &call->io);
	ev_timer_stop(loop, &call->timer);
	if (call->io.fd >= 0)
		close(call->io.fd);
	call->io.fd = -1;
	call->is_gone = true;
}

static void call_free(struct control_call *call)
{
	struct control *control = call->control;
	call_hang_up(call);
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	strbuf_finish(&call->answer);
	free(call->line);
	free(call);
	control->count--;
	if (!control->listener && control->count == 0)
		control_free(control);
}

/* A call that is to be answered is kept until it is. */
static void call_give_up(struct control_call *call)
{
	if (call->is_complete && !call->answer.at)
		call_hang_up(call);
	else
		call_free(call);
}

/*
 * When epoll_ctl(2) fails for want of memory libev stops the watcher, and says so at the next event of the
 * loop only (net/steady_io.h): the timer is one, and the call waits again, until its time is up.
 */
static void call_wait(struct control_call *call, int events)
{
	struct control *control = call->control;
	ev_io_stop(control->loop, &call->io);
	ev_io_set(&call->io, call->io.fd, events);
	ev_io_start(control->loop, &call->io);
	if (ev_is_active(&control->check))
		return;
	ev_timer_set(&control->check, STEADY_IO_RETRY_SECONDS, 0.);
	ev_timer_start(control->loop, &control->check);
}

static void on_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)timer, (void)events;
}

static void call_arm_timer(struct control_call *call)
{
	ev_timer_stop(call->control->loop, &call->timer);
	ev_timer_set(&call->timer, TIMEOUT_SECONDS, 0.);
	ev_timer_start(call->control->loop, &call->timer);
}

static void call_send(struct control_call *call)
{
	while (call->sent < call->answer.len) {
		ssize_t n = send(call->io.fd, call->answer.at + call->sent,
			call->answer.len - call->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			call_arm_timer(call);
			call_wait(call, EV_WRITE);
			return;
		}
		if (n <= 0)
			break;
		call->sent += (size_t)n;
	}
	call_free(call);
}

void control_answer(struct control_call *call, struct strbuf *answer)
{
	call->answer = *answer;
	*answer = (struct strbuf){0};
	if (call->is_gone || call->answer.failed)
		call_free(call);
	else
		call_send(call);
}

static void call_refuse(struct control_call *call, const char *error)
{
	struct strbuf answer = {0};
	struct json_out out = {.text = &answer};
	json_out_object(&out, NULL);
	json_out_flag(&out, "ok", false);
	json_out_text(&out, "error", error);
	json_out_close(&out);
	strbuf_printf(&answer, "\n");
	control_answer(call, &answer);
}

/* While the answer is made only a hang-up is of interest, and that shows when it is sent. */
static void call_take_line(struct control_call *call, char *newline)
{
	struct control *control = call->control;
	call->is_complete = true;
	ev_io_stop(control->loop, &call->io);
	ev_timer_stop(control->loop, &call->timer);
	*newline = '\0';
	control->on_request(control->owner, call, call->line, (size_t)(newline - call->line));
}

static void call_receive(struct control_call *call)
{
	ssize_t n = recv(
		call->io.fd, call->line + call->len, CONTROL_LINE_MAX - call->len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		call_give_up(call);
		return;
	}
	char *newline = memchr(call->line + call->len, '\n', (size_t)n);
	call->len += (size_t)n;
	if (newline)
		call_take_line(call, newline);
	else if (call->len == CONTROL_LINE_MAX)
		call_refuse(call, "expected one line of at most 64 KiB");
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	if (events & EV_ERROR)
		call_wait(io->data, io->events & (EV_READ | EV_WRITE));
	else if (events & EV_WRITE)
		call_send(io->data);
	else
		call_receive(io->data);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	call_give_up(timer->data);
}

/* NULL, or why not. */
static const char *check_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return "the kernel does not say which user you are";
	if (peer.uid == 0 || peer.uid == geteuid())
		return NULL;
	log_warning("control: user %u refused", (unsigned)peer.uid);
	return "only root and the user of gatehouse may connect";
}

static struct control_call *call_create(struct control *control, int fd)
{
	struct control_call *call = calloc(1, sizeof *call);
	if (!call || !(call->line = malloc(CONTROL_LINE_MAX))) {
		free(call);
		return NULL;
	}
	call->control = control;
	ev_io_init(&call->io, on_ready, fd, EV_READ);
	ev_timer_init(&call->timer, on_timeout, 0., 0.);
	call->io.data = call->timer.data = call;
	call->next = control->calls;
	call->link = &control->calls;
	if (call->next)
		call->next->link = &call->next;
	control->calls = call;
	control->count++;
	return call;
}

static void on_connection(void *owner)
{
	struct control *control = owner;
	int fd = accept4(control->acceptor.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int error = errno;
		if (accept_watch_failed(&control->acceptor, error))
			log_warning("control: accepting paused: %s", accept_starved_text(error));
		return;
	}
	const char *why = check_peer(fd);
	bool has_backlog = control->count >= CONTROL_CALLS_MAX;
	struct control_call *call = call_create(control, fd);
	if (!call) {
		close(fd);
	} else if (why || has_backlog) {
		call_refuse(call, why ? why : "too many calls at once");
	} else {
		call_arm_timer(call);
		call_wait(call, EV_READ);
	}
}

static bool has_directory(const char *path, struct err *err)
{
	char *copy = strdup(path);
	struct stat state;
	bool ok = copy && stat(dirname(copy), &state) == 0 && S_ISDIR(state.st_mode);
	if (!ok)
		err_set(err,
			"there is no directory for it (RuntimeDirectory= of a unit makes one)");
	free(copy);
	return ok;
}

/*
 * The socket gets its owner and its mode as it is created. Changing them by path afterwards would
 * give the user of the directory any file of root's that a link there leads to.
 */
static bool listen_on(struct control *control, const char *user, struct err *err)
{
	char address[sizeof(struct sockaddr_un) + 8];
	if (!has_directory(control->path, err))
		return false;
	snprintf(address, sizeof address, "unix:%s", control->path);
	if (!user_files_begin(user, err))
		return false;
	mode_t before = umask(0177);
	control->listener = listener_open(address, 1, err);
	umask(before);
	user_files_end();
	return control->listener != NULL;
}

struct control *control_open(
	struct ev_loop *loop, const char *path, const char *user, struct err *err)
{
	struct control *control = calloc(1, sizeof *control);
	if (!control || !(control->path = strdup(path))) {
		err_set(err, "out of memory");
		free(control);
		return NULL;
	}
	control->loop = loop;
	ev_timer_init(&control->check, on_check, 0., 0.);
	if (listen_on(control, user, err)) {
		accept_watch_init(&control->acceptor, loop, control->listener->fds[0],
			on_connection, control);
		return control;
	}
	listener_close(control->listener);
	control_free(control);
	return NULL;
}

struct listener *control_socket(struct control *control)
{
	return control->listener;
}

const char *control_path(const struct control *control)
{
	return control->path;
}

void control_start(struct control *control, control_request_fn *on_request, void *owner)
{
	control->on_request = on_request;
	control->owner = owner;
	accept_watch_start(&control->acceptor);
}

void control_close(struct control *control, bool at_once)
{
	if (!control)
		return;
	accept_watch_stop(&control->acceptor);
	listener_close(control->listener);
	control->listener = NULL;
	struct control_call *next;
	bool had_calls = control->count > 0;
	for (struct control_call *call = control->calls; call; call = next) {
		next = call->next;
		if (at_once || !call->is_complete)
			call_free(call);
	}
	if (!had_calls)
		control_free(control);
}
