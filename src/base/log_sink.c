#include "base/log_sink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Two halves make the megabyte: one fills while the other is being written. */
#define HALF_SIZE (512 * 1024)

#define STOP_SECONDS    2
#define DIRECT_WAIT_MS  100 /* for a standard error that says EAGAIN before log_sink_start */
#define FOREVER_WAIT_MS -1

struct half {
	size_t len;
	char text[HALF_SIZE];
};

static struct {
	pthread_mutex_t lock; /* over everything but the half that is being written */
	pthread_cond_t changed;
	struct half halves[2];
	struct half *filling;
	unsigned long long lost; /* lines dropped and not yet reported */
	unsigned long long lost_ever;
	bool is_torn; /* what was written last is not a whole line; belongs to who writes */
	bool is_running, is_stopping;
	pthread_t writer;
	log_loss_fn *write_loss;
} sink = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.filling = &sink.halves[0],
};

static size_t line_length(const char *lines, size_t len)
{
	const char *newline = memchr(lines, '\n', len);

	return newline ? (size_t)(newline - lines) + 1 : len;
}

static unsigned long long count_lines(const char *lines, size_t len)
{
	unsigned long long count = 0;

	for (size_t line; len > 0; lines += line, len -= line, count++)
		line = line_length(lines, len);
	return count;
}

/* How many bytes went out; fewer than `len` when standard error is closed, broken or stuck. */
static size_t write_out(const char *text, size_t len, int wait_ms)
{
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(STDERR_FILENO, text + done, len - done);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN && poll(&ready, 1, wait_ms) > 0)
			continue;
		else if (n == 0 || errno != EINTR)
			break;
	}
	return done;
}

/* Returns how many lines were lost because they could not be written. */
static unsigned long long write_lines(const char *lines, size_t len, int wait_ms)
{
	if (sink.is_torn && write_out("\n", 1, wait_ms) == 0)
		return count_lines(lines, len);

	size_t done = write_out(lines, len, wait_ms);
	sink.is_torn = done > 0 && lines[done - 1] != '\n';
	return count_lines(lines + done, len - done);
}

static unsigned long long report_loss(unsigned long long lost)
{
	char line[LOG_LINE_MAX];
	size_t len = sink.write_loss(lost, line);

	return write_lines(line, len, FOREVER_WAIT_MS) == 0 ? 0 : lost;
}

/* Takes the half that filled and writes it, without the lock; entered and left with it. */
static void sink_empty_half(void)
{
	struct half *writing = sink.filling;
	unsigned long long lost = sink.lost;

	sink.filling = writing == &sink.halves[0] ? &sink.halves[1] : &sink.halves[0];
	sink.lost = 0;
	pthread_mutex_unlock(&sink.lock);

	unsigned long long failed = write_lines(writing->text, writing->len, FOREVER_WAIT_MS);
	lost += failed;
	/* While standard error is broken nothing is reported: that line would be lost as well. */
	if (lost > 0 && failed == 0)
		lost = report_loss(lost);

	pthread_mutex_lock(&sink.lock);
	sink.lost_ever += failed;
	writing->len = 0;
	sink.lost += lost;
}

static void *sink_run_writer(void *unused)
{
	pthread_mutex_lock(&sink.lock);
	while (!sink.is_stopping || sink.filling->len > 0) {
		if (sink.filling->len > 0)
			sink_empty_half();
		else
			pthread_cond_wait(&sink.changed, &sink.lock);
	}
	sink.is_running = false;
	pthread_cond_broadcast(&sink.changed);
	pthread_mutex_unlock(&sink.lock);
	return unused;
}

static void sink_gather(const char *lines, size_t len)
{
	struct half *half = sink.filling;

	for (size_t line; len > 0; lines += line, len -= line) {
		line = len <= HALF_SIZE - half->len ? len : line_length(lines, len);
		if (line > HALF_SIZE - half->len) {
			sink.lost++;
			sink.lost_ever++;
			continue;
		}
		memcpy(half->text + half->len, lines, line);
		half->len += line;
	}
	pthread_cond_signal(&sink.changed);
}

void log_sink_put(const char *lines, size_t len)
{
	unsigned long long lost = 0;

	pthread_mutex_lock(&sink.lock);
	if (sink.is_running)
		sink_gather(lines, len);
	else
		lost = write_lines(lines, len, DIRECT_WAIT_MS);
	sink.lost += lost;
	sink.lost_ever += lost;
	pthread_mutex_unlock(&sink.lock);
}

unsigned long long log_sink_lost(void)
{
	pthread_mutex_lock(&sink.lock);
	unsigned long long lost = sink.lost_ever;
	pthread_mutex_unlock(&sink.lock);
	return lost;
}

void log_sink_start(log_loss_fn *write_loss)
{
	sigset_t all, before;

	pthread_mutex_lock(&sink.lock);
	sink.is_stopping = false;
	sink.write_loss = write_loss;
	if (!sink.is_running) {
		/* No signal is for this thread, and SIGPIPE cannot end it. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		sink.is_running = pthread_create(&sink.writer, NULL, sink_run_writer, NULL) == 0;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_mutex_unlock(&sink.lock);
}

/* A writer that is still blocked after the wait is left alone: the process is about to end. */
void log_sink_stop(void)
{
	struct timespec deadline;
	bool was_running;
	int timed_out = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += STOP_SECONDS;
	pthread_mutex_lock(&sink.lock);
	was_running = sink.is_running && !sink.is_stopping;
	sink.is_stopping = true;
	pthread_cond_broadcast(&sink.changed);
	while (sink.is_running && !timed_out)
		timed_out = pthread_cond_clockwait(
			&sink.changed, &sink.lock, CLOCK_MONOTONIC, &deadline);
	pthread_mutex_unlock(&sink.lock);
	if (was_running && !timed_out)
		pthread_join(sink.writer, NULL);
}
