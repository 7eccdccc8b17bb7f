#include "session/least_rate.h"

void least_rate_begin(struct session *session)
{
	session->forwarding->sampled_up = (struct pump_sample){0};
	session->forwarding->sampled_down = (struct pump_sample){0};
}

/* Bytes waited at both ends of the window, and too few of them have gone meanwhile. */
static bool is_too_slow(const struct pump *pump, struct pump_sample *sample, uint64_t least)
{
	bool has_waited = pump->state == PUMP_NEEDS_OUTPUT;
	bool is_slow = has_waited && sample->has_waited && pump->bytes - sample->bytes < least;
	*sample = (struct pump_sample){pump->bytes, has_waited};
	return is_slow;
}

const char *least_rate_breach(struct session *session)
{
	struct forwarding *forwarding = session->forwarding;
	uint64_t rate = routes_config(session->routes)->proxy.min_rate;
	uint64_t least = (uint64_t)((double)rate * LEAST_RATE_WINDOW);
	bool is_server_slow = is_too_slow(&session->relay->up, &forwarding->sampled_up, least);
	bool is_client_slow = is_too_slow(&session->relay->down, &forwarding->sampled_down, least);
	if (is_client_slow)
		return "client: slower than min_rate";
	return is_server_slow ? "upstream: slower than min_rate" : NULL;
}
