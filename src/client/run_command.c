#include "client/run_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded_signals[] = {
	SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

/* A shell with job control that suspends itself expects its caller to be stopped as well. */
static void stop_with_command(const struct run_command *command)
{
	if (getpgid(command->pid) == getpgrp())
		return;
	raise(SIGSTOP);
	kill(command->pid, SIGCONT);
}

static void reap_command(struct run_command *command)
{
	int status;
	if (waitpid(command->pid, &status, WNOHANG | WUNTRACED) != command->pid)
		return;
	if (WIFSTOPPED(status)) {
		stop_with_command(command);
		return;
	}
	command->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	command->pid = 0;
	ev_break(command->loop, EVBREAK_ALL);
}

/* The terminal's signals come from the kernel, and to the whole process group. */
static void on_signal(void *owner)
{
	struct run_command *command = owner;
	struct signalfd_siginfo info;
	while (command->pid > 0 &&
		read(command->signals.io.fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap_command(command);
		else if (info.ssi_code != SI_KERNEL)
			kill(command->pid, (int)info.ssi_signo);
	}
}

bool run_command_prepare(struct run_command *command, struct ev_loop *loop, struct err *err)
{
	sigset_t set;
	*command = (struct run_command){.loop = loop};
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof forwarded_signals / sizeof *forwarded_signals; i++)
		sigaddset(&set, forwarded_signals[i]);
	signal(SIGCHLD, SIG_DFL); /* one that is ignored would leave nothing to wait for */
	sigprocmask(SIG_BLOCK, &set, &command->mask_before);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) {
		err_set(err, "signalfd: %s", strerror(errno));
		return false;
	}
	steady_io_init(&command->signals, loop, fd, on_signal, command);
	steady_io_start(&command->signals, fd);
	return true;
}

/* The command ends with us: without the forward it is of no use. */
static void exec_command(const struct run_command *command, pid_t parent, char **argv,
	char **environment, int report)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &command->mask_before, NULL);
	execvpe(argv[0], argv, environment);
	int error = errno;
	if (write(report, &error, sizeof error) < 0)
		_exit(126);
	_exit(127);
}

/* The child's errno when it could not become the command; 0 when it has. */
static int read_exec_error(int fd)
{
	int error = 0;
	ssize_t n;
	do
		n = read(fd, &error, sizeof error);
	while (n < 0 && errno == EINTR);
	return n == sizeof error ? error : 0;
}

/* execvp says "permission denied" also where it could not look into a directory of PATH. */
static bool is_in_path(const char *name)
{
	char file[4096];
	const char *path = getenv("PATH");
	for (size_t len; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		int n = snprintf(file, sizeof file, "%.*s/%s", (int)len, path, name);
		if (n > 0 && (size_t)n < sizeof file && access(file, F_OK) == 0)
			return true;
	}
	return false;
}

static bool report_exec_error(
	struct run_command *command, const char *name, int error, struct err *err)
{
	if (error == EACCES && !strchr(name, '/') && !is_in_path(name))
		error = ENOENT;
	command->status = error == ENOENT ? 127 : 126;
	command->pid = 0;
	if (error == ENOENT && !strchr(name, '/'))
		err_set(err, "%s: no such command in PATH", name);
	else
		err_set(err, "%s: %s", name, strerror(error));
	return false;
}

bool run_command_start(
	struct run_command *command, char **argv, char **environment, struct err *err)
{
	int report[2], error;
	pid_t parent = getpid();
	if (pipe2(report, O_CLOEXEC) < 0)
		return report_exec_error(command, argv[0], errno, err);
	command->pid = fork();
	if (command->pid == 0)
		exec_command(command, parent, argv, environment, report[1]);
	error = command->pid < 0 ? errno : 0;
	close(report[1]);
	if (!error)
		error = read_exec_error(report[0]);
	close(report[0]);
	if (!error)
		return true;
	if (command->pid > 0)
		waitpid(command->pid, NULL, 0);
	return report_exec_error(command, argv[0], error, err);
}

void run_command_finish(struct run_command *command)
{
	steady_io_stop(&command->signals);
	if (command->signals.io.fd > 0)
		close(command->signals.io.fd);
}
