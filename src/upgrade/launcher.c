#include "upgrade/launcher.h"

#include "net/inherited.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"
#include "upgrade/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_PASSED     3
#define ARGUMENTS_MAX    64
#define COMMAND_LINE_MAX 16384

struct order {
	enum { ORDER_BECOME, ORDER_RESTRICT, ORDER_PASS, ORDER_LAUNCH, ORDER_KILL } kind;
	unsigned count;                                  /* of descriptors */
	char text[LAUNCHER_FDS_MAX][INHERITED_NAME_MAX]; /* names; or a user's, across all */
};

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(LAUNCHER_FDS_MAX * sizeof(int))];
};

/* The launcher's own. */
struct launching {
	int fd;
	char command_line[COMMAND_LINE_MAX];
	char program[PATH_MAX]; /* what is executed */
	char *arguments[ARGUMENTS_MAX + 1];
	int passed[INHERITED_MAX];
	unsigned passed_count;
	char names[INHERITED_MAX * 4]; /* joined: nearly all are INHERITED_OWN */
	size_t names_len;
	pid_t child;
	int child_fd; /* of the process; -1 */
};

/*
 * /proc/self/cmdline: getopt moves the arguments in memory about, and commands
 * take theirs apart.
 */
static bool read_command_line(struct launching *launching)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, launching->command_line, COMMAND_LINE_MAX - 1);
	if (fd >= 0)
		close(fd);
	if (len <= 0 || len == COMMAND_LINE_MAX - 1)
		return false;
	unsigned count = 0;
	for (char *at = launching->command_line; at < launching->command_line + len;
		at += strlen(at) + 1) {
		if (count == ARGUMENTS_MAX)
			return false;
		launching->arguments[count++] = at;
	}
	return true;
}

/*
 * The path as it was given, so that a link there may lead to another program by then; but not where
 * PATH would decide, or a name that is not this program's: then what /proc says.
 */
static bool find_program(struct launching *launching)
{
	const char *given = launching->arguments[0];
	char here[PATH_MAX];
	struct stat named, running;
	bool is_ours = strchr(given, '/') && stat(given, &named) == 0 &&
		stat("/proc/self/exe", &running) == 0 && named.st_dev == running.st_dev &&
		named.st_ino == running.st_ino;
	size_t size = sizeof launching->program;
	if (is_ours && *given == '/')
		return (size_t)snprintf(launching->program, size, "%s", given) < size;
	if (is_ours && getcwd(here, sizeof here))
		return (size_t)snprintf(launching->program, size, "%s/%s", here, given) < size;
	ssize_t len = readlink("/proc/self/exe", launching->program, size - 1);
	if (len > 0)
		launching->program[len] = '\0';
	return len > 0;
}

static void send_answer(struct launching *launching, enum launcher_outcome outcome, int status)
{
	struct launcher_answer answer = {outcome, launching->child, status};
	while (send(launching->fd, &answer, sizeof answer, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void forget_passed(struct launching *launching)
{
	for (unsigned i = 0; i < launching->passed_count; i++)
		close(launching->passed[i]);
	launching->passed_count = 0;
	launching->names_len = 0;
}

static void add_passed(struct launching *launching, int fd, const char *name)
{
	size_t len = strnlen(name, INHERITED_NAME_MAX - 1);
	if (launching->passed_count == INHERITED_MAX ||
		launching->names_len + len + 2 > sizeof launching->names) {
		close(fd);
		return;
	}
	if (launching->passed_count > 0)
		launching->names[launching->names_len++] = ':';
	memcpy(launching->names + launching->names_len, name, len);
	launching->names_len += len;
	launching->names[launching->names_len] = '\0';
	launching->passed[launching->passed_count++] = fd;
}

/* Descriptors to 3, 4, ..., the channel behind them; first all out of each other's way. */
static bool place_descriptors(struct launching *launching, int channel)
{
	int first_free = FIRST_PASSED + (int)launching->passed_count + 1;
	for (unsigned i = 0; i < launching->passed_count; i++) {
		launching->passed[i] = fcntl(launching->passed[i], F_DUPFD_CLOEXEC, first_free);
		if (launching->passed[i] < 0)
			return false;
	}
	channel = fcntl(channel, F_DUPFD_CLOEXEC, first_free);
	for (unsigned i = 0; i < launching->passed_count; i++)
		if (dup2(launching->passed[i], FIRST_PASSED + (int)i) < 0)
			return false;
	return channel >= 0 && dup2(channel, first_free - 1) >= 0;
}

static void set_number(const char *name, long number)
{
	char text[24];
	snprintf(text, sizeof text, "%ld", number);
	setenv(name, text, 1);
}

static void set_environment(struct launching *launching)
{
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", launching->passed_count);
	setenv("LISTEN_FDNAMES", launching->names_len ? launching->names : "", 1);
	set_number(HANDOVER_VARIABLE, FIRST_PASSED + (long)launching->passed_count);
	if (getenv("WATCHDOG_PID"))
		set_number("WATCHDOG_PID", getpid());
}

static void reset_signals(void)
{
	sigset_t none;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_child(struct launching *launching, int channel)
{
	int report = channel;
	if (place_descriptors(launching, channel)) {
		report = FIRST_PASSED + (int)launching->passed_count;
		set_environment(launching);
		reset_signals();
		execv(launching->program, launching->arguments);
	}
	dprintf(report, "cannot run %s: %s\n", launching->program, strerror(errno));
	_exit(127);
}

static void launch_program(struct launching *launching, int channel)
{
	pid_t pid = fork();
	if (pid == 0)
		run_child(launching, channel);
	int error = errno;
	close(channel);
	forget_passed(launching);
	if (pid > 0) {
		launching->child = pid;
		launching->child_fd = pidfd_open(pid, 0);
	}
	send_answer(launching, pid < 0 ? LAUNCHER_FAILED : LAUNCHER_STARTED, pid < 0 ? error : 0);
}

static void order_follow(struct launching *launching, const struct order *order, const int *fds)
{
	struct err err;
	switch (order->kind) {
	case ORDER_BECOME:
		if (!user_become(order->text[0], &err))
			_exit(1);
		send_answer(launching, LAUNCHER_STARTED, 0);
		break;
	case ORDER_RESTRICT:
		sandbox_limit_launcher_calls(&err);
		break;
	case ORDER_PASS:
		for (unsigned i = 0; i < order->count; i++)
			add_passed(launching, fds[i], order->text[i]);
		break;
	case ORDER_LAUNCH:
		launch_program(launching, fds[0]);
		break;
	case ORDER_KILL:
		if (launching->child > 0)
			kill(launching->child, SIGKILL);
		break;
	}
}

/* False: the process that gives orders has ended. */
static bool take_order(struct launching *launching)
{
	struct order order = {0};
	union control control;
	int fds[LAUNCHER_FDS_MAX];
	struct iovec data = {&order, sizeof order};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t len = recvmsg(launching->fd, &message, MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == EINTR;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	size_t came = header && header->cmsg_type == SCM_RIGHTS
		? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int)
		: 0;
	if (len != sizeof order || came != order.count)
		return false;
	if (came > 0)
		memcpy(fds, CMSG_DATA(header), came * sizeof(int));
	order.text[LAUNCHER_FDS_MAX - 1][INHERITED_NAME_MAX - 1] = '\0';
	order_follow(launching, &order, fds);
	return true;
}

static void reap_child(struct launching *launching)
{
	int status;
	if (waitpid(launching->child, &status, WNOHANG) != launching->child)
		return;
	send_answer(launching, LAUNCHER_ENDED, status);
	close(launching->child_fd);
	launching->child_fd = -1;
	launching->child = 0;
}

/* Signals for the whole group (a terminal's, systemd's) are for the gatehouse to act on. */
static void ignore_signals(void)
{
	static const int meant_for_others[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
	for (size_t i = 0; i < sizeof meant_for_others / sizeof *meant_for_others; i++)
		signal(meant_for_others[i], SIG_IGN);
	prctl(PR_SET_NAME, "launcher");
}

static void launcher_run(struct launching *launching)
{
	struct pollfd polled[2] = {{.fd = launching->fd, .events = POLLIN}, {.events = POLLIN}};
	ignore_signals();
	close_range(FIRST_PASSED, (unsigned)launching->fd - 1, 0);
	close_range((unsigned)launching->fd + 1, ~0U, 0);
	for (;;) {
		polled[1].fd = launching->child_fd;
		polled[1].revents = 0;
		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents)
			reap_child(launching);
		if (polled[0].revents && !take_order(launching))
			_exit(0);
	}
}

static pid_t fork_launcher(int pair[2])
{
	struct launching *launching = calloc(1, sizeof *launching);
	if (!launching)
		return -1;
	if (!read_command_line(launching) || !find_program(launching)) {
		free(launching);
		errno = ENOENT;
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		launching->fd = pair[1];
		launching->child_fd = -1;
		launcher_run(launching);
	}
	free(launching);
	return pid;
}

void launcher_fork(struct launcher *launcher)
{
	int pair[2];
	launcher->fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
		bool ok = fork_launcher(pair) > 0;
		int error = errno;
		close(pair[1]);
		if (ok) {
			launcher->fd = pair[0];
			return;
		}
		close(pair[0]);
		errno = error;
	}
	snprintf(launcher->why, sizeof launcher->why, "%s", strerror(errno));
}

static bool send_order(struct launcher *launcher, struct order *order, const int *fds)
{
	union control control = {0};
	struct iovec data = {order, sizeof *order};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t sent;
	if (order->count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(order->count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(order->count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, order->count * sizeof(int));
	}
	do
		sent = sendmsg(launcher->fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == sizeof *order;
}

bool launcher_become(struct launcher *launcher, const char *user, struct err *err)
{
	struct order order = {.kind = ORDER_BECOME};
	struct launcher_answer answer;
	if (!user || launcher->fd < 0)
		return true;
	if (strlen(user) < sizeof order.text) {
		memcpy(order.text, user, strlen(user));
		if (send_order(launcher, &order, NULL) &&
			recv(launcher->fd, &answer, sizeof answer, 0) == sizeof answer)
			return true;
	}
	err_set(err, "the launcher cannot become \"%s\"", user);
	return false;
}

void launcher_restrict(struct launcher *launcher)
{
	struct order order = {.kind = ORDER_RESTRICT};
	if (launcher->fd >= 0)
		send_order(launcher, &order, NULL);
}

bool launcher_pass(
	struct launcher *launcher, const int *fds, const char *const *names, unsigned count)
{
	struct order order = {.kind = ORDER_PASS, .count = count};
	for (unsigned i = 0; i < count; i++)
		memcpy(order.text[i], names[i], strnlen(names[i], INHERITED_NAME_MAX - 1));
	return count == 0 || send_order(launcher, &order, fds);
}

bool launcher_launch(struct launcher *launcher, int channel)
{
	struct order order = {.kind = ORDER_LAUNCH, .count = 1};
	return send_order(launcher, &order, &channel);
}

bool launcher_kill(struct launcher *launcher)
{
	struct order order = {.kind = ORDER_KILL};
	return send_order(launcher, &order, NULL);
}

bool launcher_receive(struct launcher *launcher, struct launcher_answer *answer, bool *gone)
{
	ssize_t len = recv(launcher->fd, answer, sizeof *answer, MSG_DONTWAIT);
	*gone = len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR);
	return len == sizeof *answer;
}

void launcher_finish(struct launcher *launcher)
{
	if (launcher->fd >= 0)
		close(launcher->fd);
	launcher->fd = -1;
}
