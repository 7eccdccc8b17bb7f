#include "session/handshakes.h"

static struct handshake_place *place_of(struct session *session)
{
	return &session->at.handshake.place;
}

static unsigned workers_of(const struct session *session)
{
	unsigned workers = session->service->limits->workers;
	return workers > 0 ? workers : 1;
}

/* Rounded up, so that every worker has at least one. */
static bool has_room(const struct session *session)
{
	unsigned max = routes_config(session->routes)->proxy.max_handshakes;
	unsigned workers = workers_of(session);
	unsigned share = max / workers + (max % workers > 0);
	return max == 0 || session->service->handshakes.active < share;
}

/* A second's worth may come at once, and one always. */
static void fill_tokens(struct handshakes *all, double rate, ev_tstamp now)
{
	double most = rate > 1 ? rate : 1;
	all->tokens += all->filled_at > 0 ? (now - all->filled_at) * rate : most;
	if (all->tokens > most)
		all->tokens = most;
	all->filled_at = now;
}

/* Seconds until one may begin; 0: now. */
static double take_token(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	unsigned per_second = routes_config(session->routes)->proxy.handshake_rate;
	if (per_second == 0)
		return 0;
	double rate = (double)per_second / workers_of(session);
	fill_tokens(all, rate, loop_ctx_now(&session->service->ctx));
	if (all->tokens < 1)
		return (1 - all->tokens) / rate;
	all->tokens -= 1;
	return 0;
}

static void count_waiting(struct session *session)
{
	struct service *service = session->service;
	counter_set(&service->counters->handshakes_waiting, service->handshakes.waiting);
}

static void queue_add(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	struct handshake_place *place = place_of(session);
	*place = (struct handshake_place){.at = HANDSHAKE_WAITING, .previous = all->last};
	if (all->last)
		place_of(all->last)->next = session;
	else
		all->first = session;
	all->last = session;
	all->waiting++;
	count_waiting(session);
}

static void queue_remove(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	struct handshake_place *place = place_of(session);
	if (place->previous)
		place_of(place->previous)->next = place->next;
	else
		all->first = place->next;
	if (place->next)
		place_of(place->next)->previous = place->previous;
	else
		all->last = place->previous;
	all->waiting--;
	count_waiting(session);
}

/* The first one looks for itself. */
static void wake_first(const struct handshakes *all)
{
	if (all->first)
		session_retry_after(all->first, 0);
}

static void begin(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	struct handshake_place *place = place_of(session);
	bool has_waited = place->at == HANDSHAKE_WAITING;
	if (has_waited)
		queue_remove(session);
	place->at = HANDSHAKE_ACTIVE;
	all->active++;
	if (has_waited)
		wake_first(all);
}

static bool is_limited(const struct session *session)
{
	const struct config *config = routes_config(session->routes);
	return config->proxy.max_handshakes > 0 || config->proxy.handshake_rate > 0;
}

bool handshakes_enter(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	if (!all->first && !is_limited(session)) {
		begin(session);
		return true;
	}
	bool is_new = place_of(session)->at == HANDSHAKE_OUTSIDE;
	bool is_next = all->first == (is_new ? NULL : session);
	double delay = 0;
	if (is_next && has_room(session)) {
		delay = take_token(session);
		if (delay == 0) {
			begin(session);
			return true;
		}
	}
	if (is_new)
		queue_add(session);
	if (delay > 0)
		session_retry_after(session, delay);
	return false;
}

void handshakes_leave(struct session *session)
{
	struct handshakes *all = &session->service->handshakes;
	struct handshake_place *place = place_of(session);
	switch (place->at) {
	case HANDSHAKE_OUTSIDE:
		return;
	case HANDSHAKE_WAITING:
		queue_remove(session);
		break;
	case HANDSHAKE_ACTIVE:
		all->active--;
		break;
	}
	place->at = HANDSHAKE_OUTSIDE;
	wake_first(all);
}
