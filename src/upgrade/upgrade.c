#include "upgrade/upgrade.h"

#include "base/log.h"
#include "net/inherited.h"
#include "net/steady_io.h"
#include "upgrade/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct upgrade {
	struct upgrade_setup setup;
	struct steady_io on_answer;   /* the launcher's */
	struct steady_io on_message;  /* the new process's channel */
	struct steady_io on_returned; /* the same, once it serves; io.fd -1: not yet */
	ev_timer timeout;             /* active: an upgrade is running */
	pid_t pid;                    /* of the new process; 0: not known yet */
	char message[1024];
	size_t message_len;
};

/* Descriptors and names on their way to the launcher, a message full at a time. */
struct passing {
	struct launcher *launcher;
	int fds[LAUNCHER_FDS_MAX];
	const char *names[LAUNCHER_FDS_MAX];
	unsigned count, total;
	bool failed;
};

static void passing_flush(struct passing *passing)
{
	passing->failed = passing->failed ||
		!launcher_pass(passing->launcher, passing->fds, passing->names, passing->count);
	passing->count = 0;
}

static void passing_add(struct passing *passing, int fd, const char *name)
{
	if (fd < 0)
		return;
	passing->fds[passing->count] = fd;
	passing->names[passing->count++] = name;
	passing->total++;
	if (passing->count == LAUNCHER_FDS_MAX)
		passing_flush(passing);
}

static void passing_add_listener(void *passing, struct listener *listener)
{
	for (unsigned i = 0; i < listener_own_sockets(listener); i++)
		passing_add(passing, listener->fds[i], INHERITED_OWN);
}

static bool pass_sockets(struct upgrade *upgrade, struct err *err)
{
	struct passing passing = {.launcher = upgrade->setup.launcher};
	const char *name;
	int fd;
	for (size_t i = 0; inherited_borrowed(i, &fd, &name); i++)
		passing_add(&passing, fd, name);
	upgrade->setup.each_listener(upgrade->setup.owner, passing_add_listener, &passing);
	passing_flush(&passing);
	if (passing.failed)
		err_set(err, "the launcher does not accept sockets: %s", strerror(errno));
	else if (passing.total > INHERITED_MAX)
		err_set(err, "more than %d listening sockets", INHERITED_MAX);
	else
		return true;
	return false;
}

/* The end of the channel without the token ends the new process. */
static void upgrade_end(struct upgrade *upgrade)
{
	steady_io_stop(&upgrade->on_message);
	ev_timer_stop(upgrade->setup.loop, &upgrade->timeout);
	close(upgrade->on_message.io.fd);
	upgrade->pid = 0;
}

static void upgrade_fail(struct upgrade *upgrade, const char *why)
{
	struct log_line line;
	upgrade_end(upgrade);
	log_begin(&line, LOG_ERROR_LEVEL, "upgrade failed, the running process continues");
	log_text(&line, "error", why);
	log_end(&line);
	log_flush();
	upgrade->setup.on_failed(upgrade->setup.owner, why);
}

static void keep_path(void *owner, struct listener *listener)
{
	(void)owner;
	listener_handed_over(listener);
}

static void upgrade_succeed(struct upgrade *upgrade)
{
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, "upgraded");
	log_number(&line, "new_pid", upgrade->pid);
	log_end(&line);
	upgrade->setup.each_listener(upgrade->setup.owner, keep_path, NULL);
	upgrade->setup.on_succeeded(upgrade->setup.owner, upgrade->pid);
	int channel = upgrade->on_message.io.fd;
	(void)!send(channel, HANDOVER_TOKEN, strlen(HANDOVER_TOKEN), MSG_NOSIGNAL | MSG_DONTWAIT);
	steady_io_stop(&upgrade->on_message);
	ev_timer_stop(upgrade->setup.loop, &upgrade->timeout);
	upgrade->pid = 0;
	steady_io_start(&upgrade->on_returned, channel);
}

static void close_returned(struct upgrade *upgrade)
{
	if (upgrade->on_returned.io.fd < 0)
		return;
	steady_io_stop(&upgrade->on_returned);
	close(upgrade->on_returned.io.fd);
	ev_io_set(&upgrade->on_returned.io, -1, EV_READ);
}

/* One connection in a callback: a flood of them must not keep the loop from other things. */
static void on_returned(void *owner)
{
	struct upgrade *upgrade = owner;
	struct returned_from from;
	int fd;
	switch (returned_receive(upgrade->on_returned.io.fd, &fd, &from)) {
	case RETURNED_ONE:
		upgrade->setup.on_returned(upgrade->setup.owner, fd, &from);
		return;
	case RETURNED_NONE:
		return;
	case RETURNED_END:
		close_returned(upgrade);
		return;
	}
}

/* The errors that the new process reported, as one line. */
static const char *reported_errors(struct upgrade *upgrade)
{
	char *text = upgrade->message;
	text[upgrade->message_len] = '\0';
	for (size_t len = strlen(text); len > 0 && text[len - 1] == '\n'; len--)
		text[len - 1] = '\0';
	for (char *at = strchr(text, '\n'); at; at = strchr(at, '\n'))
		*at = ';';
	return text;
}

/* False: the channel has ended. */
static bool read_channel(struct upgrade *upgrade)
{
	char more[512];
	ssize_t len;
	while ((len = recv(upgrade->on_message.io.fd, more, sizeof more, MSG_DONTWAIT)) > 0) {
		size_t room = sizeof upgrade->message - 1 - upgrade->message_len;
		size_t kept = (size_t)len < room ? (size_t)len : room;
		memcpy(upgrade->message + upgrade->message_len, more, kept);
		upgrade->message_len += kept;
	}
	return len < 0 && errno == EAGAIN;
}

static bool is_ready(const struct upgrade *upgrade)
{
	size_t len = strlen(HANDOVER_READY);
	return upgrade->message_len >= len && memcmp(upgrade->message, HANDOVER_READY, len) == 0;
}

/* After the end of the channel the launcher reports how the process ended. */
static void on_message(void *owner)
{
	struct upgrade *upgrade = owner;
	if (!read_channel(upgrade))
		steady_io_stop(&upgrade->on_message);
	if (is_ready(upgrade) && upgrade->pid > 0)
		upgrade_succeed(upgrade);
}

static void on_process_ended(struct upgrade *upgrade, int status)
{
	char text[64];
	read_channel(upgrade);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "it was ended by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "it ended with status %d", WEXITSTATUS(status));
	upgrade_fail(upgrade, upgrade->message_len > 0 ? reported_errors(upgrade) : text);
}

static void on_launcher_answer(struct upgrade *upgrade, const struct launcher_answer *answer)
{
	switch (answer->outcome) {
	case LAUNCHER_STARTED:
		upgrade->pid = answer->pid;
		read_channel(upgrade);
		if (is_ready(upgrade))
			upgrade_succeed(upgrade);
		break;
	case LAUNCHER_FAILED:
		upgrade_fail(upgrade, strerror(answer->status));
		break;
	case LAUNCHER_ENDED:
		if (answer->pid == upgrade->pid)
			on_process_ended(upgrade, answer->status);
		break;
	}
}

static void on_answer(void *owner)
{
	struct upgrade *upgrade = owner;
	struct launcher *launcher = upgrade->setup.launcher;
	struct launcher_answer answer;
	bool gone;
	if (launcher_receive(launcher, &answer, &gone)) {
		if (upgrade_is_running(upgrade))
			on_launcher_answer(upgrade, &answer);
	} else if (gone) {
		steady_io_stop(&upgrade->on_answer);
		launcher_finish(launcher);
		snprintf(launcher->why, sizeof launcher->why, "its process has ended");
		if (upgrade_is_running(upgrade))
			upgrade_fail(upgrade, "the launcher has ended");
	}
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct upgrade *upgrade = timer->data;
	(void)loop, (void)events;
	launcher_kill(upgrade->setup.launcher);
	upgrade_fail(upgrade, "it was not ready in time, and is ended");
}

struct upgrade *upgrade_create(const struct upgrade_setup *setup)
{
	struct upgrade *upgrade = calloc(1, sizeof *upgrade);
	if (!upgrade)
		return NULL;
	upgrade->setup = *setup;
	steady_io_init(&upgrade->on_answer, setup->loop, setup->launcher->fd, on_answer, upgrade);
	steady_io_init(&upgrade->on_message, setup->loop, -1, on_message, upgrade);
	steady_io_init(&upgrade->on_returned, setup->loop, -1, on_returned, upgrade);
	ev_timer_init(&upgrade->timeout, on_timeout, 0., 0.);
	upgrade->timeout.data = upgrade;
	if (setup->launcher->fd >= 0)
		steady_io_start(&upgrade->on_answer, setup->launcher->fd);
	return upgrade;
}

static bool upgrade_launch(struct upgrade *upgrade, int channel[2], struct err *err)
{
	struct ev_loop *loop = upgrade->setup.loop;
	if (!pass_sockets(upgrade, err))
		return false;
	if (!launcher_launch(upgrade->setup.launcher, channel[1])) {
		err_set(err, "the launcher does not answer: %s", strerror(errno));
		return false;
	}
	upgrade->message_len = 0;
	upgrade->pid = 0;
	steady_io_start(&upgrade->on_message, channel[0]);
	ev_timer_set(&upgrade->timeout, upgrade->setup.timeout_seconds, 0.);
	ev_timer_start(loop, &upgrade->timeout);
	return true;
}

static bool upgrade_is_possible(const struct upgrade *upgrade, struct err *err)
{
	if (upgrade_is_running(upgrade))
		err_set(err, "one is under way");
	else if (upgrade->setup.launcher->fd < 0)
		err_set(err, "there is no launcher: %s", upgrade->setup.launcher->why);
	else if (getpid() == 1)
		err_set(err, "this is process 1, and with it everything here would end");
	else
		return true;
	return false;
}

bool upgrade_start(struct upgrade *upgrade, struct err *err)
{
	int channel[2];
	if (!upgrade_is_possible(upgrade, err))
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0) {
		err_set(err, "%s", strerror(errno));
		return false;
	}
	bool ok = upgrade_launch(upgrade, channel, err);
	close(channel[1]);
	if (!ok)
		close(channel[0]);
	else
		log_info("upgrade: the new program starts");
	return ok;
}

void upgrade_cancel(struct upgrade *upgrade, const char *why)
{
	if (!upgrade_is_running(upgrade))
		return;
	launcher_kill(upgrade->setup.launcher);
	upgrade_end(upgrade);
	log_warning("upgrade cancelled: %s", why);
	upgrade->setup.on_failed(upgrade->setup.owner, why);
}

bool upgrade_is_running(const struct upgrade *upgrade)
{
	return ev_is_active(&upgrade->timeout);
}

void upgrade_destroy(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	if (upgrade_is_running(upgrade))
		upgrade_end(upgrade);
	close_returned(upgrade);
	steady_io_stop(&upgrade->on_answer);
	free(upgrade);
}
