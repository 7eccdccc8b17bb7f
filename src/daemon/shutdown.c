#include "daemon/shutdown.h"

#include "base/log.h"
#include "daemon/systemd.h"

void shutdown_now(struct shutdown *shutdown, const char *why)
{
	log_warning("%s: %u connections are closed", why, workers_sessions(shutdown->workers));
	workers_set_mode(shutdown->workers, WORKER_STOP);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	shutdown_now(timer->data, "drain_timeout");
}

void shutdown_init(struct shutdown *shutdown, struct ev_loop *loop, struct workers *workers)
{
	*shutdown = (struct shutdown){.loop = loop, .workers = workers};
	ev_timer_init(&shutdown->timeout, on_timeout, 0., 0.);
	shutdown->timeout.data = shutdown;
}

void shutdown_drain(struct shutdown *shutdown, uint64_t timeout_ms)
{
	unsigned sessions = workers_sessions(shutdown->workers);
	struct log_line line;
	systemd_notify("STOPPING=1\nSTATUS=draining %u connections", sessions);
	log_begin(&line, LOG_INFO_LEVEL, "draining");
	log_number(&line, "connections", sessions);
	log_end(&line);
	workers_set_mode(shutdown->workers, WORKER_DRAIN);
	if (timeout_ms == 0) {
		shutdown_now(shutdown, "no drain_timeout");
		return;
	}
	ev_timer_set(&shutdown->timeout, (double)timeout_ms / 1000, 0.);
	ev_timer_start(shutdown->loop, &shutdown->timeout);
}
