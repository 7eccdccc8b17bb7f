/* What a run of the load client adds up to, and its one line of JSON. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stddef.h>
#include <stdint.h>

struct tally {
	uint64_t connections; /* done from connect to close */
	uint64_t units;       /* rounds done, each checked */
	uint64_t bytes;       /* payload, both ways */
	uint64_t failures;
	uint64_t handshakes, resumed, tickets;
	uint64_t resets; /* ended by a reset although all bytes had come */
	char first_failure[200];
	uint64_t started_ns, ended_ns;
	uint32_t *latencies_us10; /* tenths of a microsecond */
	size_t latency_count, latency_room;
};

uint64_t now_ns(void);

void tally_init(struct tally *tally, size_t units);
void tally_latency(struct tally *tally, uint64_t ns);
void tally_failure(struct tally *tally, const char *why);
void tally_print(struct tally *tally);

#endif
