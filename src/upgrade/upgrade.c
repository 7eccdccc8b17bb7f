#include "upgrade/upgrade.h"

#include "base/log.h"
#include "daemon/serve.h"
#include "daemon/systemd.h"
#include "net/inherited.h"
#include "upgrade/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A million hosts take their time to load; one that hangs is not waited for for ever. */
#define PATIENCE_SECONDS 300.

struct upgrade {
	struct gatehouse *gatehouse;
	ev_io on_answer; /* the launcher's */
	ev_io on_said;   /* the new one's channel; active: an upgrade is running */
	ev_timer patience;
	pid_t pid;
	char said[1024];
	size_t said_len;
};

/* Descriptors and names on their way to the launcher, a message full at a time. */
struct passing {
	struct launcher *launcher;
	int fds[LAUNCHER_FDS_MAX];
	const char *names[LAUNCHER_FDS_MAX];
	unsigned count, total;
	bool failed;
};

static void pass_on(struct passing *passing)
{
	passing->failed = passing->failed ||
		!launcher_pass(passing->launcher, passing->fds, passing->names, passing->count);
	passing->count = 0;
}

static void pass(struct passing *passing, int fd, const char *name)
{
	if (fd < 0)
		return;
	passing->fds[passing->count] = fd;
	passing->names[passing->count++] = name;
	passing->total++;
	if (passing->count == LAUNCHER_FDS_MAX)
		pass_on(passing);
}

static void pass_listener(void *owner, struct listener *listener)
{
	for (unsigned i = 0; i < listener_own_sockets(listener); i++)
		pass(owner, listener->fds[i], INHERITED_OWN);
}

static void each_listener(struct gatehouse *gatehouse,
	void (*visit)(void *owner, struct listener *listener), void *owner)
{
	for (unsigned i = 0; i < gatehouse->listener_count; i++)
		visit(owner, gatehouse->listeners[i]);
	admin_each_listener(gatehouse->admin, visit, owner);
}

static bool pass_all(struct gatehouse *gatehouse, struct err *err)
{
	struct passing passing = {.launcher = &gatehouse->launcher};
	const char *name;
	int fd;
	for (size_t i = 0; inherited_borrowed(i, &fd, &name); i++)
		pass(&passing, fd, name);
	each_listener(gatehouse, pass_listener, &passing);
	pass_on(&passing);
	if (passing.failed)
		err_set(err, "the launcher does not take sockets: %s", strerror(errno));
	else if (passing.total > INHERITED_MAX)
		err_set(err, "more than %d listening sockets", INHERITED_MAX);
	else
		return true;
	return false;
}

static void end(struct upgrade *upgrade)
{
	ev_io_stop(upgrade->gatehouse->loop, &upgrade->on_said);
	ev_timer_stop(upgrade->gatehouse->loop, &upgrade->patience);
	close(upgrade->on_said.fd);
	upgrade->pid = 0;
}

static void fail(struct upgrade *upgrade, const char *why)
{
	struct log_line line;
	end(upgrade);
	log_begin(&line, LOG_ERROR_LEVEL, "upgrade failed, this gatehouse goes on serving");
	log_text(&line, "error", why);
	log_end(&line);
	log_flush();
	admin_upgrade_failed(upgrade->gatehouse->admin, why);
	if (upgrade->gatehouse->reload_is_due)
		serve_reload(upgrade->gatehouse);
}

static void keep_path(void *owner, struct listener *listener)
{
	(void)owner;
	listener_handed_over(listener);
}

static void succeed(struct upgrade *upgrade)
{
	struct gatehouse *gatehouse = upgrade->gatehouse;
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, "upgraded");
	log_number(&line, "new_pid", upgrade->pid);
	log_end(&line);
	each_listener(gatehouse, keep_path, NULL);
	admin_upgraded(gatehouse->admin, upgrade->pid);
	ev_loop_fork(gatehouse->loop); /* as in worker.c: those sockets are the new one's too */
	systemd_notify("MAINPID=%d", (int)upgrade->pid);
	systemd_retire();
	end(upgrade);
	serve_drain(gatehouse);
}

/* What it said last is the most telling, without the newline. */
static const char *closings(struct upgrade *upgrade)
{
	char *text = upgrade->said;
	text[upgrade->said_len] = '\0';
	for (size_t len = strlen(text); len > 0 && text[len - 1] == '\n'; len--)
		text[len - 1] = '\0';
	for (char *at = strchr(text, '\n'); at; at = strchr(at, '\n'))
		*at = ';';
	return text;
}

/* False: the channel has ended. */
static bool hear(struct upgrade *upgrade)
{
	char more[512];
	ssize_t len;
	while ((len = recv(upgrade->on_said.fd, more, sizeof more, MSG_DONTWAIT)) > 0) {
		size_t room = sizeof upgrade->said - 1 - upgrade->said_len;
		size_t kept = (size_t)len < room ? (size_t)len : room;
		memcpy(upgrade->said + upgrade->said_len, more, kept);
		upgrade->said_len += kept;
	}
	return len < 0 && errno == EAGAIN;
}

static bool is_ready(const struct upgrade *upgrade)
{
	size_t len = strlen(HANDOVER_READY);
	return upgrade->said_len >= len && memcmp(upgrade->said, HANDOVER_READY, len) == 0;
}

/* At the channel's end nothing more is said; the launcher will tell how the process ended. */
static void on_said(struct ev_loop *loop, ev_io *io, int events)
{
	struct upgrade *upgrade = io->data;
	(void)events;
	if (!hear(upgrade))
		ev_io_stop(loop, io);
	if (is_ready(upgrade) && upgrade->pid > 0)
		succeed(upgrade);
}

static void tell_end(struct upgrade *upgrade, int status)
{
	char text[64];
	hear(upgrade);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "it was ended by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "it ended with status %d", WEXITSTATUS(status));
	fail(upgrade, upgrade->said_len > 0 ? closings(upgrade) : text);
}

static void follow_answer(struct upgrade *upgrade, const struct launcher_answer *answer)
{
	switch (answer->outcome) {
	case LAUNCHER_STARTED:
		upgrade->pid = answer->pid;
		hear(upgrade);
		if (is_ready(upgrade))
			succeed(upgrade);
		break;
	case LAUNCHER_FAILED:
		fail(upgrade, strerror(answer->status));
		break;
	case LAUNCHER_ENDED:
		if (answer->pid == upgrade->pid)
			tell_end(upgrade, answer->status);
		break;
	}
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct upgrade *upgrade = io->data;
	struct launcher_answer answer;
	bool gone;
	(void)events;
	if (launcher_hear(&upgrade->gatehouse->launcher, &answer, &gone)) {
		if (upgrade_is_running(upgrade))
			follow_answer(upgrade, &answer);
	} else if (gone) {
		ev_io_stop(loop, io);
		launcher_finish(&upgrade->gatehouse->launcher);
		snprintf(upgrade->gatehouse->launcher.why, sizeof upgrade->gatehouse->launcher.why,
			"its process has ended");
		if (upgrade_is_running(upgrade))
			fail(upgrade, "the launcher has ended");
	}
}

static void on_patience_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct upgrade *upgrade = timer->data;
	(void)loop, (void)events;
	launcher_kill(&upgrade->gatehouse->launcher);
	fail(upgrade, "it was not ready in time, and is ended");
}

struct upgrade *upgrade_create(struct gatehouse *gatehouse)
{
	struct upgrade *upgrade = calloc(1, sizeof *upgrade);
	if (!upgrade)
		return NULL;
	upgrade->gatehouse = gatehouse;
	ev_io_init(&upgrade->on_answer, on_answer, gatehouse->launcher.fd, EV_READ);
	ev_io_init(&upgrade->on_said, on_said, -1, EV_READ);
	ev_timer_init(&upgrade->patience, on_patience_over, PATIENCE_SECONDS, 0.);
	upgrade->on_answer.data = upgrade->on_said.data = upgrade->patience.data = upgrade;
	if (gatehouse->launcher.fd >= 0)
		ev_io_start(gatehouse->loop, &upgrade->on_answer);
	return upgrade;
}

static bool begin(struct upgrade *upgrade, int channel[2], struct err *err)
{
	struct gatehouse *gatehouse = upgrade->gatehouse;
	if (!pass_all(gatehouse, err))
		return false;
	if (!launcher_launch(&gatehouse->launcher, channel[1])) {
		err_set(err, "the launcher does not answer: %s", strerror(errno));
		return false;
	}
	upgrade->said_len = 0;
	upgrade->pid = 0;
	ev_io_set(&upgrade->on_said, channel[0], EV_READ);
	ev_io_start(gatehouse->loop, &upgrade->on_said);
	ev_timer_set(&upgrade->patience, PATIENCE_SECONDS, 0.);
	ev_timer_start(gatehouse->loop, &upgrade->patience);
	return true;
}

static bool upgrade_is_possible(const struct gatehouse *gatehouse, struct err *err)
{
	if (gatehouse->mode != WORKER_SERVE)
		err_set(err, "it is draining");
	else if (upgrade_is_running(gatehouse->upgrade))
		err_set(err, "one is under way");
	else if (gatehouse->launcher.fd < 0)
		err_set(err, "there is no launcher: %s", gatehouse->launcher.why);
	else if (getpid() == 1)
		err_set(err, "with process 1 everything here would end");
	else
		return true;
	return false;
}

bool upgrade_start(struct gatehouse *gatehouse, struct err *err)
{
	int channel[2];
	if (!upgrade_is_possible(gatehouse, err))
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0) {
		err_set(err, "%s", strerror(errno));
		return false;
	}
	bool ok = begin(gatehouse->upgrade, channel, err);
	close(channel[1]);
	if (!ok)
		close(channel[0]);
	else
		log_info("upgrade: the new program starts");
	return ok;
}

void upgrade_cancel(struct upgrade *upgrade)
{
	if (!upgrade_is_running(upgrade))
		return;
	launcher_kill(&upgrade->gatehouse->launcher);
	end(upgrade);
	log_warning("the upgrade is cancelled");
	admin_upgrade_failed(upgrade->gatehouse->admin, "this gatehouse is told to end");
}

bool upgrade_is_running(const struct upgrade *upgrade)
{
	return ev_is_active(&upgrade->patience);
}

void upgrade_destroy(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	if (upgrade_is_running(upgrade))
		end(upgrade);
	ev_io_stop(upgrade->gatehouse->loop, &upgrade->on_answer);
	free(upgrade);
}
