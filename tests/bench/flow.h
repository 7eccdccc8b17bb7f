/*
 * One connection of the load client, from connect to the end of file that comes back: handshake or
 * hello, the rounds of the command, a clean end. A flow can be parked on its way, to be held idle.
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include "client_tls.h"
#include "hello.h"
#include "tally.h"

#include <netinet/in.h>

enum park { PARK_NEVER, PARK_SILENT, PARK_AFTER_ROUND };

/* What all flows of a run have in common. */
struct work {
	struct sockaddr_in proxy;
	struct command command;
	enum park park;
	uint32_t gap_us; /* so long the proxy has time to see to what was before; for counting */
	const struct hello *hello; /* passthrough; else NULL */
	struct client_tls *tls;    /* terminate; else NULL */
	struct tally *tally;
	int epoll;
};

enum flow_status { FLOW_GOES_ON, FLOW_PARKED, FLOW_DONE, FLOW_FAILED };

struct flow;

/* Connects and asks to be woken by epoll, with the flow as data. Latency counts from started_ns. */
struct flow *flow_open(const struct work *work, uint32_t number, uint64_t started_ns);

/* On FLOW_FAILED the tally has the reason. FLOW_PARKED comes once; the flow then only watches. */
enum flow_status flow_advance(struct flow *flow);

void flow_resume(struct flow *flow);

void flow_close(struct flow *flow);

#endif
