#include "daemon/crl_watch.h"

#include "base/date.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK_SECONDS_MAX 3600.0
#define REPEAT_SECONDS    (24 * 3600)

struct watched_crl {
	const char *path;           /* lent by the snapshot */
	const char *whose;          /* "clients" or "servers": whose certificates it is for */
	time_t next_update, logged; /* logged: 0, or when it last was */
	bool refuses;               /* those, once it has expired */
};

struct crl_watch {
	struct ev_loop *loop;
	ev_timer timer;
	struct watched_crl *lists;
	size_t count;
};

static void log_expired(struct watched_crl *list, time_t now)
{
	struct log_line line;
	char date[DATE_SIZE];
	date_write(list->next_update, date);
	log_begin(&line, LOG_ERROR_LEVEL, "certificate revocation list has expired");
	log_text(&line, "file", list->path);
	log_text(&line, "expired_at", date);
	log_text(&line, list->whose, list->refuses ? "refused" : "checked against it all the same");
	log_end(&line);
	list->logged = now;
}

void crl_watch_check(struct crl_watch *watch)
{
	double until_next = CHECK_SECONDS_MAX;
	time_t now = time(NULL);
	for (size_t i = 0; i < watch->count; i++) {
		struct watched_crl *list = &watch->lists[i];
		double left = difftime(list->next_update, now);
		if (left >= 0 && left < until_next)
			until_next = left + 1;
		if (list->logged > now) /* the clock was set back */
			list->logged = 0;
		if (left < 0 && now - list->logged >= REPEAT_SECONDS)
			log_expired(list, now);
	}
	ev_timer_stop(watch->loop, &watch->timer);
	ev_timer_set(&watch->timer, until_next, 0.);
	if (watch->count > 0)
		ev_timer_start(watch->loop, &watch->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	crl_watch_check(timer->data);
}

struct crl_watch *crl_watch_create(struct ev_loop *loop, struct err *err)
{
	struct crl_watch *watch = calloc(1, sizeof *watch);
	if (!watch) {
		err_set(err, "out of memory");
		return NULL;
	}
	watch->loop = loop;
	ev_timer_init(&watch->timer, on_timer, 0., 0.);
	watch->timer.data = watch;
	return watch;
}

static int crl_compare(const void *a, const void *b)
{
	const struct watched_crl *one = a, *other = b;
	int order = strcmp(one->path, other->path);
	if (order == 0)
		order = strcmp(one->whose, other->whose);
	return order ? order : one->refuses - other->refuses;
}

/* A file is logged once for each consequence that it has. */
static void drop_repeated(struct crl_watch *watch)
{
	size_t kept = 0;
	if (watch->count == 0)
		return;
	qsort(watch->lists, watch->count, sizeof *watch->lists, crl_compare);
	for (size_t i = 1; i < watch->count; i++) {
		struct watched_crl *last = &watch->lists[kept], *list = &watch->lists[i];
		if (crl_compare(last, list) != 0)
			watch->lists[++kept] = *list;
		else if (list->next_update < last->next_update)
			last->next_update = list->next_update;
	}
	watch->count = kept + 1;
}

static void watch_trust(
	struct crl_watch *watch, const struct trust *trust, const char *whose, bool refuses)
{
	size_t more = trust ? trust->crl_count : 0;
	if (more == 0)
		return;
	struct watched_crl *lists = realloc(watch->lists, (watch->count + more) * sizeof *lists);
	if (!lists)
		return;
	watch->lists = lists;
	for (size_t i = 0; i < more; i++)
		if (trust->crls[i].next_update != 0)
			lists[watch->count++] = (struct watched_crl){.path = trust->crls[i].path,
				.whose = whose,
				.next_update = trust->crls[i].next_update,
				.refuses = refuses};
}

/* All servers of a backend are held to one policy. */
static void watch_backend(struct crl_watch *watch, const struct backend *backend)
{
	const struct tls_peer *peer = backend->count > 0 ? backend->servers[0].tls : NULL;
	const struct tls_client_policy *policy = peer ? tls_peer_policy(peer) : NULL;
	if (policy)
		watch_trust(watch, policy->trust, "servers", policy->refuse_expired_crl);
}

void crl_watch_follow(struct crl_watch *watch, const struct routes *routes)
{
	watch->count = 0;
	for (size_t i = 0; i < routes_context_count(routes); i++) {
		const struct tls_policy *policy = &routes_context(routes, i)->policy;
		watch_trust(watch, policy->trust, "clients", policy->refuse_expired_crl);
	}
	for (size_t i = 0; i < routes_backend_count(routes); i++)
		watch_backend(watch, routes_backend(routes, i));
	drop_repeated(watch);
	crl_watch_check(watch);
}

void crl_watch_destroy(struct crl_watch *watch)
{
	if (!watch)
		return;
	ev_timer_stop(watch->loop, &watch->timer);
	free(watch->lists);
	free(watch);
}
