/*
 * What a session needs, without a worker: a loop, a snapshot of a configuration that the test writes, limits,
 * counters, and the log in memory. It stands in for base/log_sink, which the linker then leaves out.
 */
#ifndef GATEHOUSE_UNIT_SESSION_RIG_H
#define GATEHOUSE_UNIT_SESSION_RIG_H

#include "base/clock.h"
#include "base/log.h"
#include "fake_stream.h"
#include "session/cancel_keys.h"
#include "session/engine.h"
#include "session/revalidate.h"
#include "session/session_stats.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RIG_LOG_MAX   (256 * 1024)
#define RIG_PATIENCE  20000000ull /* us; what takes longer has failed */
#define RIG_TURN      0.002       /* the loop sleeps no longer */
#define RIG_DIRECTORY 64

struct rig {
	struct service service; /* first: on_session_gone leads back to the rig */
	struct limits limits;
	struct tls_store *store;
	struct servers *servers;
	struct listener listener;
	char directory[RIG_DIRECTORY];
	ev_timer tick;
	unsigned gone; /* sessions that have ended */
};

/* The log. */

static char rig_log[RIG_LOG_MAX];
static size_t rig_log_len;

void log_sink_put(const char *lines, size_t len)
{
	assert_true(rig_log_len + len < RIG_LOG_MAX);
	memcpy(rig_log + rig_log_len, lines, len);
	rig_log_len += len;
	rig_log[rig_log_len] = '\0';
}

void log_sink_start(log_loss_fn *write_loss)
{
	(void)write_loss;
}

void log_sink_stop(void)
{
}

unsigned long long log_sink_lost(void)
{
	return 0;
}

static inline void rig_log_clear(void)
{
	rig_log_len = 0;
	rig_log[0] = '\0';
}

static inline unsigned rig_logged(const char *text)
{
	unsigned count = 0;
	for (const char *at = rig_log; (at = strstr(at, text)); at++)
		count++;
	return count;
}

#define assert_logged(text)                                                                        \
	do {                                                                                       \
		if (!rig_logged(text))                                                             \
			fail_msg("not logged: %s\nbut: %s", (text), rig_log);                      \
	} while (0)

/* The service. */

static inline void rig_on_gone(struct service *service)
{
	((struct rig *)service)->gone++;
}

static inline void rig_on_tick(struct ev_loop *loop, ev_timer *tick, int events)
{
	(void)loop, (void)tick, (void)events;
}

static inline void rig_on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)report;
	if (severity == SEVERITY_ERROR)
		fail_msg("%s", text);
}

static inline void rig_path(const struct rig *rig, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", rig->directory, name);
}

/* `rest`: the members of the configuration behind "listen", or from there on. */
static inline void rig_load(struct rig *rig, const char *rest)
{
	struct report report = {.on_finding = rig_on_finding};
	struct path_set paths = {0};
	char path[128];
	rig_path(rig, "config.json", path);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	bool has_listen = strncmp(rest, "\"listen\"", 8) == 0;
	fprintf(file, "{%s%s}\n", has_listen ? "" : "\"listen\": \":443\", ", rest);
	fclose(file);
	struct routes_setup setup = {path, rig->store, rig->servers};
	struct routes *routes = routes_load(&setup, &paths, &report);
	assert_non_null(routes);
	tls_store_end(rig->store, true);
	path_set_finish(&paths);
	unlink(path);
	if (rig->service.routes)
		routes_unref(rig->service.routes);
	rig->service.routes = routes;
}

/* The rest of it, with no configuration yet. */
static inline struct rig *rig_new(void)
{
	struct err err;
	struct rig *rig = calloc(1, sizeof *rig);
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	assert_non_null(rig);
	assert_non_null(loop);
	rig_log_clear();
	log_configure(LOG_DEBUG_LEVEL, false);
	strcpy(rig->directory, "/tmp/test_session.XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	rig->listener.text = ":443";
	rig->store = tls_store_create(&err);
	rig->servers = servers_create();
	rig->limits = (struct limits){.connections_max = 100,
		.sources = sources_create(),
		.cancel_keys = cancel_keys_create(),
		.route_stats = route_stats_table_create()};
	struct service *service = &rig->service;
	assert_true(loop_ctx_init(&service->ctx, loop, &err));
	service->resolver = resolver_create(loop, NULL, &err);
	service->counters = counters_create();
	service->limits = &rig->limits;
	service->on_session_gone = rig_on_gone;
	assert_non_null(service->resolver);
	log_ratelimit_init(&service->log_ratelimit, loop);
	session_stats_init(service);
	revalidate_init(service);
	ev_timer_init(&rig->tick, rig_on_tick, RIG_TURN, RIG_TURN);
	ev_timer_start(loop, &rig->tick);
	return rig;
}

static inline struct rig *rig_create(const char *rest)
{
	struct rig *rig = rig_new();
	rig_load(rig, rest);
	return rig;
}

static inline void rig_destroy(struct rig *rig)
{
	struct service *service = &rig->service;
	struct ev_loop *loop = service->ctx.loop;
	sessions_end_all(service, END_STOPPED, "shutting down");
	assert_int_equal(atomic_load(&rig->limits.connections), 0);
	ev_timer_stop(loop, &rig->tick);
	log_ratelimit_finish(&service->log_ratelimit);
	revalidate_finish(service);
	session_stats_follow(service, false);
	routes_unref(service->routes);
	resolver_destroy(service->resolver);
	loop_ctx_finish(&service->ctx);
	counters_destroy(service->counters);
	ev_loop_destroy(loop);
	sources_destroy(rig->limits.sources);
	cancel_keys_destroy(rig->limits.cancel_keys);
	route_stats_table_destroy(rig->limits.route_stats);
	tls_store_destroy(rig->store);
	servers_destroy(rig->servers);
	rmdir(rig->directory);
	free(rig);
}

/* The loop. */

static inline void rig_turn(struct rig *rig)
{
	ev_run(rig->service.ctx.loop, EVRUN_ONCE);
}

#define rig_run_until(rig, condition)                                                              \
	do {                                                                                       \
		uint64_t rig_limit_us = clock_now_us() + RIG_PATIENCE;                             \
		while (!(condition)) {                                                             \
			if (clock_now_us() > rig_limit_us)                                         \
				fail_msg("%s: it never came to that", #condition);                 \
			rig_turn(rig);                                                             \
		}                                                                                  \
	} while (0)

static inline void rig_run_for(struct rig *rig, uint64_t ms)
{
	uint64_t until = clock_now_us() + ms * 1000;
	while (clock_now_us() < until)
		rig_turn(rig);
}

/* Sessions. */

static inline enum step_result rig_step_wait(struct session *session)
{
	session_enters_step(session);
	return STEP_WAIT;
}

static const struct step rig_wait_steps[] = {{"wait", rig_step_wait, NULL}, {0}};

static inline struct sockaddr_in rig_source(const char *text, uint16_t port)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_port = htons(port)};
	assert_int_equal(inet_pton(AF_INET, text, &source.sin_addr), 1);
	return source;
}

/* Of a client from 192.0.2.1:50000, by `fd`. It may have ended within this call. */
static inline void rig_start_fd(struct rig *rig, int fd, const struct step *steps)
{
	struct sockaddr_in source = rig_source("192.0.2.1", 50000);
	struct session_start start = {.fd = fd,
		.source = (const struct sockaddr *)&source,
		.listener = &rig->listener,
		.steps = steps};
	ev_now_update(rig->service.ctx.loop);
	session_start(&rig->service, &start);
}

static inline int rig_spare_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline struct session *rig_start(struct rig *rig, const struct step *steps)
{
	rig_start_fd(rig, rig_spare_fd(), steps);
	return rig->service.sessions;
}

/* The session's transport gives way to the fake one. */
static inline void rig_use_fake(struct session *session, struct fake_stream *fake)
{
	struct stream *client = session->client;
	stream_set_driver(fake_init(fake), client->on_ready, client->owner);
	stream_destroy(client);
	session->client = &fake->stream;
	fake->ctx = &session->service->ctx;
}

/* One that waits in a step of no interest, with a client that the test plays. */
static inline struct session *rig_start_fake(struct rig *rig, struct fake_stream *fake)
{
	struct session *session = rig_start(rig, rig_wait_steps);
	rig_use_fake(session, fake);
	return session;
}

static inline void rig_go(struct session *session, const struct step *steps)
{
	session_jump(session, steps);
	session_advance(session);
}

/* What has been counted of a host ("_none": of no route). */
static inline struct route_stats_row rig_row(const struct rig *rig, const char *host)
{
	struct route_stats_row row = {0};
	size_t count = 0;
	struct route_stats_row *rows = route_stats_rows(rig->limits.route_stats, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].host, host) == 0)
			row = rows[i];
	free(rows);
	return row;
}

static inline unsigned long long rig_ends(const struct rig *rig, enum end_reason reason)
{
	return counter_get(&rig->service.counters->end_reasons[reason]);
}

/* It has ended, for that reason and no other, and said so. */
#define assert_ended(rig, reason, words)                                                           \
	do {                                                                                       \
		char rig_line[512];                                                                \
		if (rig_ends(rig, reason) != 1)                                                    \
			fail_msg("not ended by \"%s\": %s", end_reason_info(reason)->name,         \
				rig_log);                                                          \
		snprintf(rig_line, sizeof rig_line, "reason=%s ", end_reason_info(reason)->name);  \
		assert_logged(rig_line);                                                           \
		assert_logged(words);                                                              \
		assert_null((rig)->service.sessions);                                              \
	} while (0)

#endif
