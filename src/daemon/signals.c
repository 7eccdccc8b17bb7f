#include "daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void fill_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGUSR2);
}

static void on_readable(void *owner)
{
	struct signals *signals = owner;
	struct signalfd_siginfo info;
	while (read(signals->io.io.fd, &info, sizeof info) == sizeof info)
		signals->on_signal(signals->owner, (int)info.ssi_signo);
}

bool signals_open(struct signals *signals, struct ev_loop *loop,
	void (*on_signal)(void *owner, int number), void *owner, struct err *err)
{
	sigset_t set;
	fill_set(&set);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) {
		err_set(err, "cannot read signals: %s", strerror(errno));
		return false;
	}
	signals->on_signal = on_signal;
	signals->owner = owner;
	steady_io_init(&signals->io, loop, fd, on_readable, signals);
	return true;
}

void signals_start(struct signals *signals)
{
	sigset_t set;
	fill_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	steady_io_start(&signals->io, signals->io.io.fd);
}

void signals_close(struct signals *signals)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (!signals->io.loop)
		return;
	steady_io_stop(&signals->io);
	close(signals->io.io.fd);
	signals->io.loop = NULL;
}
