#include "tally.h"

#include "sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void tally_init(struct tally *tally, size_t units)
{
	*tally = (struct tally){.latency_room = units};
	tally->latencies_us10 = calloc(units, sizeof(*tally->latencies_us10));
	if (!tally->latencies_us10)
		die("calloc");
}

void tally_latency(struct tally *tally, uint64_t ns)
{
	if (tally->latency_count < tally->latency_room)
		tally->latencies_us10[tally->latency_count++] = (uint32_t)(ns / 100);
}

void tally_failure(struct tally *tally, const char *why)
{
	if (tally->failures++ == 0)
		snprintf(tally->first_failure, sizeof(tally->first_failure), "%s", why);
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static double percentile_us(const struct tally *tally, double share)
{
	if (tally->latency_count == 0)
		return 0;
	size_t index = (size_t)(share * (double)(tally->latency_count - 1));
	return tally->latencies_us10[index] / 10.0;
}

/* The reason of the first failure is our own text or OpenSSL's: no quotes, no backslashes. */
void tally_print(struct tally *tally)
{
	qsort(tally->latencies_us10, tally->latency_count, sizeof(*tally->latencies_us10), compare);
	printf("{\"connections\":%" PRIu64 ",\"units\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"seconds\":%.6f,\"failures\":%" PRIu64 ",\"first_failure\":\"%s\"",
		tally->connections, tally->units, tally->bytes,
		(double)(tally->ended_ns - tally->started_ns) / 1e9, tally->failures,
		tally->first_failure);
	printf(",\"handshakes\":%" PRIu64 ",\"resumed\":%" PRIu64 ",\"tickets\":%" PRIu64
	       ",\"resets\":%" PRIu64,
		tally->handshakes, tally->resumed, tally->tickets, tally->resets);
	printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", percentile_us(tally, 0.50),
		percentile_us(tally, 0.99), percentile_us(tally, 1));
	fflush(stdout);
}
