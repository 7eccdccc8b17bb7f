#include "upstream/backend.h"

#include "base/clock.h"
#include "base/hash.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>

#define CHOICES_MAX   32 /* servers a connection can tell apart in its mask */
#define DOWN_FIRST_US 1000000ull
#define DOWN_MOST_US  60000000ull
#define DOUBLINGS_MAX 6

struct servers {
	pthread_mutex_t lock;
	void *states; /* a tree (tsearch) by text */
};

struct servers *servers_create(void)
{
	struct servers *servers = calloc(1, sizeof *servers);
	if (servers)
		pthread_mutex_init(&servers->lock, NULL);
	return servers;
}

void servers_destroy(struct servers *servers)
{
	if (!servers)
		return;
	pthread_mutex_destroy(&servers->lock);
	free(servers);
}

static int compare_states(const void *a, const void *b)
{
	const struct server_state *one = a, *other = b;
	return strcmp(one->text, other->text);
}

static struct server_state *find_or_add(struct servers *servers, const char *text)
{
	size_t size = strlen(text) + 1;
	struct server_state *state = calloc(1, sizeof *state + size);
	if (!state)
		return NULL;
	state->text = memcpy(state + 1, text, size);
	struct server_state **found = tsearch(state, &servers->states, compare_states);
	if (found && *found == state)
		return state;
	free(state);
	return found ? *found : NULL;
}

struct server_state *server_state_ref(struct servers *servers, const char *text)
{
	pthread_mutex_lock(&servers->lock);
	struct server_state *state = find_or_add(servers, text);
	if (state)
		state->refs++;
	pthread_mutex_unlock(&servers->lock);
	return state;
}

void server_state_unref(struct servers *servers, struct server_state *state)
{
	pthread_mutex_lock(&servers->lock);
	if (--state->refs == 0) {
		tdelete(state, &servers->states, compare_states);
		free(state);
	}
	pthread_mutex_unlock(&servers->lock);
}

struct backend *backend_create(
	struct arena *arena, struct servers *servers, const struct backend_config *config)
{
	struct backend *backend = arena_alloc(arena, sizeof *backend);
	if (!backend)
		return NULL;
	backend->balance = config->balance;
	backend->proxy_protocol = config->proxy_protocol;
	backend->starttls = config->starttls;
	backend->health = (struct health_settings){config->health, config->health_interval_ms,
		config->health_timeout_ms, config->health_rise, config->health_fall};
	bool has_state = config->count > 1 || config->health != HEALTH_NONE;
	backend->servers = arena_alloc(arena, config->count * sizeof *backend->servers);
	if (!backend->servers)
		return NULL;
	for (size_t i = 0; i < config->count; i++) {
		const char *text = config->servers[i].address;
		struct server *server = &backend->servers[backend->count];
		server->text = arena_copy(arena, text, strlen(text));
		server->backup = config->servers[i].backup;
		server->state = has_state ? server_state_ref(servers, text) : NULL;
		if (!server->text || (has_state && !server->state))
			return NULL;
		backend->count++;
	}
	return backend;
}

void backend_finish(struct backend *backend, struct servers *servers)
{
	for (unsigned i = 0; i < backend->count; i++) {
		tls_peer_unref(backend->servers[i].tls);
		tls_peer_unref(backend->servers[i].tls_check);
		if (backend->servers[i].state)
			server_state_unref(servers, backend->servers[i].state);
	}
}

static bool is_down(const struct server *server, uint64_t now)
{
	const struct server_state *state = server->state;
	return state && (atomic_load(&state->unhealthy) || atomic_load(&state->down_until) > now);
}

/* Smaller is better: up before down, regular before backup. */
static unsigned server_rank(const struct server *server, uint64_t now)
{
	return (is_down(server, now) ? 2 : 0) + (server->backup ? 1 : 0);
}

/* Rendezvous hashing: a server that comes or goes moves only its own share of the sources. */
static uint64_t source_weight(const struct server *server, uint64_t source_hash)
{
	struct hash_key key = {source_hash, 0};
	return hash_bytes(key, server->text, strlen(server->text));
}

/* Among servers of one rank; smaller is better. */
static uint64_t server_preference(
	const struct backend *backend, unsigned index, unsigned turn, uint64_t source_hash)
{
	const struct server *server = &backend->servers[index];
	unsigned distance = (index + backend->count - turn % backend->count) % backend->count;
	switch (backend->balance) {
	case BALANCE_SOURCE:
		return ~source_weight(server, source_hash);
	case BALANCE_LEAST_CONNECTIONS:
		return (uint64_t)atomic_load(&server->state->active) << 32 | distance;
	case BALANCE_ROUND_ROBIN:
		break;
	}
	return distance;
}

int backend_choose(struct backend *backend, uint32_t tried, uint64_t source_hash)
{
	if (backend->count == 1)
		return tried & 1 || atomic_load(&backend->servers[0].drained) ? -1 : 0;
	uint64_t now = clock_now_us(), best_preference = 0;
	unsigned best_rank = 0, turn = atomic_fetch_add(&backend->turn, 1);
	int best = -1;
	for (unsigned i = 0; i < backend->count && i < CHOICES_MAX; i++) {
		if (tried >> i & 1 || atomic_load(&backend->servers[i].drained))
			continue;
		unsigned this_rank = server_rank(&backend->servers[i], now);
		uint64_t this_preference = server_preference(backend, i, turn, source_hash);
		if (best >= 0 &&
			(this_rank > best_rank ||
				(this_rank == best_rank && this_preference >= best_preference)))
			continue;
		best = (int)i;
		best_rank = this_rank;
		best_preference = this_preference;
	}
	return best;
}

void server_taken(struct server *server)
{
	if (server->state)
		atomic_fetch_add(&server->state->active, 1);
}

void server_left(struct server *server)
{
	if (server->state)
		atomic_fetch_sub(&server->state->active, 1);
}

bool server_answered(struct server *server)
{
	if (!server->state || atomic_load(&server->state->failures) == 0)
		return false;
	atomic_store(&server->state->down_until, 0);
	return atomic_exchange(&server->state->failures, 0) > 0;
}

bool server_failed(struct server *server)
{
	if (!server->state)
		return false;
	struct server_state *state = server->state;
	unsigned failures = atomic_load(&state->failures);
	unsigned long long until = atomic_load(&state->down_until), now = clock_now_us();
	uint64_t down = DOWN_FIRST_US << (failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX);
	if (down > DOWN_MOST_US)
		down = DOWN_MOST_US;
	/* Of those that fail at the same time, and while it is down, one counts. */
	if (until > now || !atomic_compare_exchange_strong(&state->down_until, &until, now + down))
		return false;
	return atomic_fetch_add(&state->failures, 1) == 0;
}
