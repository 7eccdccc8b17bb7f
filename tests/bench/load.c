/*
 * The load client: a fixed amount of work through a proxy, each byte checked, one JSON line of
 * result.
 *
 * It prints "ready" and starts at the first line on its standard input, so that its caller can read
 * the proxy's clocks around the work alone. With --hold it prints a result when all connections
 * stand, waits for another line, proves that each of them still works, and prints the final result.
 * It exits with 1 when anything failed.
 */
#include "load_options.h"
#include "names.h"
#include "pattern.h"
#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS_AT_ONCE 256
#define STALL_SECONDS  15
#define FAILURES_MAX   100
#define SECOND_NS      1000000000ull

struct run {
	const struct load_options *options;
	struct work work;
	uint32_t connections; /* to open in all */
	uint32_t opened, active, parked_count;
	struct flow **parked;
};

static void await_line(void)
{
	char line[16];

	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

static void on_status(struct run *run, struct flow *flow, enum flow_status status)
{
	if (status == FLOW_GOES_ON)
		return;
	run->active--;
	if (status == FLOW_PARKED)
		run->parked[run->parked_count++] = flow;
	else
		flow_close(flow);
}

static uint64_t due_ns(const struct run *run)
{
	double seconds = run->opened / run->options->rate;

	return run->work.tally->started_ns + (uint64_t)(seconds * (double)SECOND_NS);
}

static bool may_open(const struct run *run, uint64_t now)
{
	if (run->opened == run->connections || run->active == run->options->flows)
		return false;
	return run->options->rate == 0 || due_ns(run) <= now;
}

/* With a rate the latency counts from when the connection was due: a stall is not forgiven. */
static void open_due_flows(struct run *run)
{
	uint64_t now = now_ns();

	while (may_open(run, now)) {
		uint64_t started = run->options->rate > 0 ? due_ns(run) : now;
		uint32_t number = name_number(run->opened++, run->options->names);
		run->active++;
		struct flow *flow = flow_open(&run->work, number, started);
		on_status(run, flow, flow_advance(flow));
		now = now_ns();
	}
}

static uint64_t patience_ns(const struct run *run)
{
	if (run->options->rate == 0 || run->opened == run->connections)
		return STALL_SECONDS * SECOND_NS;
	uint64_t due = due_ns(run), now = now_ns();
	return due > now ? due - now : 0;
}

static bool is_stalled(const struct run *run, int event_count, uint64_t waited_ns)
{
	return event_count == 0 && waited_ns == STALL_SECONDS * SECOND_NS && run->active > 0;
}

static void advance_ready_flows(struct run *run)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	uint64_t wait_ns = patience_ns(run);
	struct timespec patience = {
		.tv_sec = (time_t)(wait_ns / SECOND_NS), .tv_nsec = (long)(wait_ns % SECOND_NS)};
	int n = epoll_pwait2(run->work.epoll, events, EVENTS_AT_ONCE, &patience, NULL);

	for (int i = 0; i < n; i++)
		on_status(run, events[i].data.ptr, flow_advance(events[i].data.ptr));
	if (is_stalled(run, n, wait_ns)) {
		run->work.tally->failures += run->active;
		tally_failure(run->work.tally, "stalled");
		tally_print(run->work.tally);
		exit(1);
	}
}

static void work_through(struct run *run)
{
	while (run->opened < run->connections || run->active > 0) {
		if (run->work.tally->failures > FAILURES_MAX)
			return;
		open_due_flows(run);
		if (run->active > 0 || run->opened < run->connections)
			advance_ready_flows(run);
	}
}

static void run_measured(struct run *run)
{
	struct tally *tally = run->work.tally;

	run->connections = run->options->connections;
	tally->started_ns = now_ns();
	work_through(run);
	tally->ended_ns = now_ns();
}

/* One connection that is not counted: it brings the session that the others resume. */
static void fetch_session(struct run *run)
{
	struct tally uncounted;
	struct tally *counted = run->work.tally;

	tally_init(&uncounted, 1);
	run->work.tally = &uncounted;
	run->connections = 1;
	work_through(run);
	if (uncounted.failures > 0 || !client_tls_has_session(run->work.tls)) {
		fprintf(stderr, "load: no session to resume: %s\n",
			uncounted.failures ? uncounted.first_failure : "the server gave none");
		exit(1);
	}
	free(uncounted.latencies_us10);
	run->work.tally = counted;
	run->opened = 0;
}

static void release_parked(struct run *run)
{
	tally_print(run->work.tally);
	await_line();
	for (uint32_t i = 0; i < run->parked_count; i++) {
		flow_resume(run->parked[i]);
		run->active++;
	}
	work_through(run);
}

int main(int argc, char **argv)
{
	struct load_options options = load_options_parse(argc, argv);
	struct tally tally;
	struct hello hello;
	struct run run = {.options = &options,
		.work = {.proxy = loopback(options.port),
			.command = options.command,
			.park = options.park,
			.gap_us = options.gap_us,
			.tally = &tally}};

	raise_descriptor_limit();
	pattern_init();
	tally_init(&tally, (size_t)options.connections * options.command.rounds);
	run.parked = calloc(options.connections, sizeof(struct flow *));
	run.work.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (options.is_tls) {
		run.work.tls = client_tls_create(&options.tls);
	} else if (options.first) {
		hello_in_the_clear(&hello, options.first, &options.command);
		run.work.hello = &hello;
	} else {
		hello_capture(&hello, options.name_pattern, &options.command);
		run.work.hello = &hello;
	}
	if (options.tls.is_resuming)
		fetch_session(&run);
	uint64_t uncounted_tickets = run.work.tls ? client_tls_tickets(run.work.tls) : 0;
	printf("ready\n");
	fflush(stdout);
	await_line();
	run_measured(&run);
	if (options.park != PARK_NEVER)
		release_parked(&run);
	if (run.work.tls)
		tally.tickets = client_tls_tickets(run.work.tls) - uncounted_tickets;
	tally_print(&tally);
	return tally.failures > 0;
}
