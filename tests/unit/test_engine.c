/* The engine of sessions: the order of steps, deadlines, what an end releases, counts and logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "session/session_iter.h"
#include "session/steps/steps.h"
#include "session_rig.h"

#define HOSTS                                                                                      \
	"\"hosts\": {\"app.test\": {\"mode\": \"passthrough\", \"max_connections\": 1, "           \
	"\"backend\": [\"127.0.0.1:1\", \"127.0.0.1:2\"]}}"

static char trace[256];

static struct rig *rig_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	trace[0] = '\0';
	*state = rig_create("\"proxy\": {\"hello_timeout\": \"20s\", \"max_per_source\": 1, "
			    "\"idle_timeout\": \"30ms\"}, " HOSTS);
	return 0;
}

static int tear_down(void **state)
{
	rig_destroy(*state);
	return 0;
}

/* Steps that note what they did: "a" runs for the first time, "a+" again, "a!" is cancelled. */

static void note(const struct session *session, const char *suffix)
{
	size_t used = strlen(trace);
	snprintf(trace + used, sizeof trace - used, "%s%s%s", used ? " " : "", session->step->name,
		suffix);
}

static enum step_result enter(struct session *session, enum step_result result)
{
	note(session, session_enters_step(session) ? "" : "+");
	return result;
}

static enum step_result run_next(struct session *session)
{
	return enter(session, STEP_NEXT);
}

static enum step_result run_wait(struct session *session)
{
	return enter(session, STEP_WAIT);
}

static enum step_result run_end(struct session *session)
{
	enter(session, STEP_END);
	return session_end(session, END_KILLED, "killed by a step");
}

static enum step_result run_end_before_entering(struct session *session)
{
	note(session, "-");
	return session_end(session, END_KILLED, "killed by a step");
}

/* Waits at first, and is done when it runs again. */
static enum step_result run_twice(struct session *session)
{
	bool is_new = session->is_step_new;
	return enter(session, is_new ? STEP_WAIT : STEP_NEXT);
}

/* Runs again at once, for two times. */
static enum step_result run_again(struct session *session)
{
	enter(session, STEP_JUMP);
	return strstr(trace, "again+ again+") ? STEP_WAIT : STEP_JUMP;
}

static void note_cancel(struct session *session)
{
	note(session, "!");
}

static const struct step target_steps[] = {
	{"x", run_next, note_cancel},
	{"y", run_wait, note_cancel},
	{0},
};

static enum step_result run_jump(struct session *session)
{
	enter(session, STEP_JUMP);
	return session_jump(session, target_steps);
}

static enum step_result run_jump_before_entering(struct session *session)
{
	note(session, "-");
	return session_jump(session, target_steps);
}

static void assert_traced(const char *expected)
{
	assert_string_equal(trace, expected);
	trace[0] = '\0';
}

static void steps_run_in_their_order(void **state)
{
	static const struct step steps[] = {
		{"a", run_next, note_cancel},
		{"b", run_twice, note_cancel},
		{"c", run_next, NULL},
		{"d", run_end, NULL},
		{0},
	};
	struct session *session = rig_start(rig_of(state), steps);
	assert_traced("a b");
	assert_string_equal(session->step->name, "b");
	session_advance(session);
	assert_traced("b+ c d");
	assert_null(rig_of(state)->service.sessions);
	assert_int_equal(rig_of(state)->gone, 1);
}

static void a_jump_continues_with_another_list(void **state)
{
	static const struct step steps[] = {
		{"a", run_jump, note_cancel},
		{"b", run_end, NULL},
		{0},
	};
	struct session *session = rig_start(rig_of(state), steps);
	assert_traced("a a! x y");
	session_advance(session);
	assert_traced("y+");
	session_jump(session, target_steps);
	session_advance(session);
	assert_traced("y! x y");
}

static void a_jump_to_nowhere_runs_the_step_again(void **state)
{
	static const struct step steps[] = {{"again", run_again, NULL}, {0}};
	rig_start(rig_of(state), steps);
	assert_traced("again again+ again+");
}

static void a_step_that_ends_the_session_is_cancelled(void **state)
{
	static const struct step steps[] = {{"a", run_end, note_cancel}, {0}};
	static const struct step without[] = {{"a", run_end, NULL}, {0}};
	rig_start(rig_of(state), steps);
	assert_traced("a a!");
	rig_start(rig_of(state), without);
	assert_traced("a");
}

static void a_step_that_was_not_entered_is_not_cancelled(void **state)
{
	static const struct step ends[] = {{"a", run_end_before_entering, note_cancel}, {0}};
	static const struct step jumps[] = {{"a", run_jump_before_entering, note_cancel}, {0}};
	rig_start(rig_of(state), ends);
	assert_traced("a-");
	rig_start(rig_of(state), jumps);
	assert_traced("a- x y");
	session_jump(rig_of(state)->service.sessions, target_steps);
	assert_traced("y!");
	session_end(rig_of(state)->service.sessions, END_KILLED, "killed");
	assert_traced("");
}

static void a_step_that_is_done_is_not_cancelled(void **state)
{
	static const struct step steps[] = {
		{"a", run_next, note_cancel}, {"b", run_wait, note_cancel}, {0}};
	struct session *session = rig_start(rig_of(state), steps);
	assert_traced("a b");
	session_end(session, END_KILLED, "killed");
	assert_traced("b!");
}

/* Time. Only lower bounds are asserted, and what happens at all. */

#define SLACK_US 2000

struct stopwatch {
	uint64_t started_us;
};

static struct stopwatch watch_start(struct rig *rig)
{
	ev_now_update(rig->service.ctx.loop);
	return (struct stopwatch){clock_now_us()};
}

static void assert_at_least_ms(struct stopwatch watch, uint64_t ms)
{
	assert_true(clock_now_us() - watch.started_us + SLACK_US >= ms * 1000);
}

static const struct step trace_wait_steps[] = {{"wait", run_wait, note_cancel}, {0}};

static struct session *start_waiting(struct rig *rig)
{
	struct session *session = rig_start(rig, trace_wait_steps);
	trace[0] = '\0';
	return session;
}

static void the_first_deadline_is_that_of_the_hello(void **state)
{
	struct rig *rig = rig_of(state);
	rig_load(rig, "\"proxy\": {\"hello_timeout\": \"15ms\"}, " HOSTS);
	struct stopwatch watch = watch_start(rig);
	rig_start(rig, rig_wait_steps);
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 15);
	assert_ended(rig, END_NO_HELLO, "step=wait end=\"hello timeout\"");
}

static void a_deadline_has_its_reason_and_words(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct stopwatch watch = watch_start(rig);
	session_set_deadline(session, 10, END_HANDSHAKE, "handshake timeout");
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 10);
	assert_ended(rig, END_HANDSHAKE, "end=\"handshake timeout\"");
	assert_traced("wait!");
}

/* The timer stays where it is, and looks at the deadline when it fires. */
static void a_later_deadline_does_not_move_the_timer(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_set_deadline(session, 10, END_HANDSHAKE, "the first");
	ev_tstamp at = session->timer.at;
	struct stopwatch watch = watch_start(rig);
	session_set_deadline(session, 40, END_DIAL, "the second");
	assert_true(session->timer.at == at);
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 40);
	assert_ended(rig, END_DIAL, "end=\"the second\"");
}

static void an_earlier_deadline_does(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	ev_tstamp at = session->timer.at;
	session_set_deadline(session, 10, END_HANDSHAKE, "the first");
	assert_true(session->timer.at < at - 10);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_HANDSHAKE, "end=\"the first\"");
}

static void without_a_deadline_it_lives_on(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_set_deadline(session, 5, END_HANDSHAKE, "handshake timeout");
	session_set_deadline(session, 0, END_DIAL, NULL);
	rig_run_until(rig, !ev_is_active(&session->timer));
	assert_int_equal(rig->gone, 0);
	assert_traced("");
}

static void a_retry_runs_the_step_again(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct stopwatch watch = watch_start(rig);
	session_set_deadline(session, 40, END_NO_HELLO, "hello timeout");
	session_retry_after(session, 0.01);
	rig_run_until(rig, trace[0]);
	assert_at_least_ms(watch, 10);
	assert_traced("wait+");
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 40);
	assert_traced("wait!");
	assert_ended(rig, END_NO_HELLO, "end=\"hello timeout\"");
}

/* Also where nothing else is due, and once for each request. */
static void a_retry_needs_no_deadline(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_set_deadline(session, 0, END_DIAL, NULL);
	session_retry_after(session, 0.005);
	rig_run_until(rig, !ev_is_active(&session->timer));
	assert_traced("wait+");
	assert_false(session->is_retry);
}

static void a_certificate_expires_before_the_deadline(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct stopwatch watch = watch_start(rig);
	session_set_deadline(session, 5, END_IDLE, "the first");
	session_set_deadline(session, 10000, END_IDLE, "idle timeout");
	session_set_expiry(session, 0.02);
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 20);
	assert_ended(rig, END_REVALIDATED, "revalidate: the client's certificate has expired");
}

static void the_deadline_comes_before_a_later_expiry(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_set_expiry(session, 100);
	session_set_deadline(session, 10, END_IDLE, "idle timeout");
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_IDLE, "idle timeout");
}

static void an_expiry_may_be_taken_back_or_be_now(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_set_deadline(session, 0, END_IDLE, NULL);
	session_set_expiry(session, 0.005);
	session_set_expiry(session, -1);
	rig_run_until(rig, !ev_is_active(&session->timer));
	assert_int_equal(rig->gone, 0);
	session_set_expiry(session, 0);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_REVALIDATED, "has expired");
}

/* A relay between two streams that the test plays. */

static const struct step relay_steps[] = {{"relay", step_relay, NULL}, {0}};

static struct fake_stream client, upstream;

static struct session *start_relay(struct rig *rig)
{
	struct session *session = rig_start_fake(rig, &client);
	session->upstream = fake_init(&upstream);
	session->forwarding = calloc(1, sizeof *session->forwarding);
	ev_now_update(rig->service.ctx.loop);
	rig_go(session, relay_steps);
	assert_ptr_equal(rig->service.sessions, session);
	return session;
}

static void an_idle_relay_ends(void **state)
{
	struct rig *rig = rig_of(state);
	struct stopwatch watch = watch_start(rig);
	start_relay(rig);
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(watch, 30);
	assert_ended(rig, END_IDLE, "step=relay end=\"idle timeout\"");
	assert_int_equal(client.aborts, 1);
	assert_int_equal(upstream.aborts, 1);
}

static void a_relay_is_idle_since_bytes_moved(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_relay(rig);
	struct stopwatch begun = watch_start(rig), moved = begun;
	for (int i = 0; i < 12 && rig->gone == 0; i++) {
		moved = watch_start(rig);
		fake_feed(&client, "x", 1);
		assert_true(fake_ready(&client));
		rig_turn(rig);
		rig_run_for(rig, 5);
	}
	rig_run_until(rig, rig->gone == 1);
	assert_at_least_ms(moved, 30);
	assert_ended(rig, END_IDLE, "idle timeout");
	/* The same without a clock: when bytes last moved is all that counts. */
	session = start_relay(rig);
	begun = watch_start(rig);
	session->relay->active_at = loop_ctx_now(&rig->service.ctx) + 0.05;
	rig_run_until(rig, rig->gone == 2);
	assert_at_least_ms(begun, 80);
}

static void a_relay_that_is_cut_off_aborts_both_ends(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_relay(rig);
	fake_feed(&client, "12345", 5);
	assert_true(fake_ready(&client));
	fake_feed(&upstream, "abc", 3);
	assert_true(fake_ready(&upstream));
	assert_memory_equal(upstream.out, "12345", 5);
	assert_memory_equal(client.out, "abc", 3);
	session_end(session, END_KILLED, "killed by the administrator");
	assert_int_equal(client.aborts, 1);
	assert_int_equal(upstream.aborts, 1);
	assert_int_equal(client.destroys, 1);
	assert_int_equal(upstream.destroys, 1);
	assert_logged("up=5 down=3 ");
	assert_int_equal(counter_get(&rig->service.counters->up), 5);
	assert_int_equal(counter_get(&rig->service.counters->down), 3);
}

/* An end before there is a relay: killed, drained, out of time. */
static void what_fails_before_its_relay_is_aborted(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	session_end(session, END_DRAINED, "drained");
	assert_int_equal(client.aborts, 1);
	session = rig_start_fake(rig, &client);
	session->upstream = fake_init(&upstream);
	session_end(session, END_KILLED, "killed by the administrator");
	assert_int_equal(client.aborts, 1);
	assert_int_equal(upstream.aborts, 1);
}

static void what_has_its_answer_is_not_aborted(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	session_refuse(session, END_NO_HOST, "refused");
	session_advance(session);
	assert_int_equal(client.half_closes, 1);
	session_end(rig->service.sessions, END_NO_HOST, "refused");
	assert_int_equal(client.aborts, 0);
}

static void a_relay_that_ended_aborts_none(void **state)
{
	struct rig *rig = rig_of(state);
	start_relay(rig);
	client.in_ended = true;
	assert_true(fake_ready(&client));
	assert_int_equal(rig->gone, 0);
	upstream.in_ended = true;
	assert_true(fake_ready(&upstream));
	assert_ended(rig, END_DONE, "end=done");
	assert_int_equal(client.aborts + upstream.aborts, 0);
	assert_int_equal(client.destroys, 1);
	assert_int_equal(upstream.destroys, 1);
}

static void who_broke_a_relay_is_named(void **state)
{
	struct rig *rig = rig_of(state);
	start_relay(rig);
	client.in_broken = true;
	assert_true(fake_ready(&client));
	assert_ended(rig, END_CLIENT_BROKE, "end=\"client: reset by peer\"");
	rig_log_clear();
	start_relay(rig);
	upstream.in_broken = true;
	assert_true(fake_ready(&upstream));
	assert_ended(rig, END_UPSTREAM_BROKE, "end=\"upstream: reset by peer\"");
	assert_logged("level=warning"); /* the server has sent nothing */
}

static void what_is_not_watched_ends(void **state)
{
	struct rig *rig = rig_of(state);
	rig_start_fake(rig, &client);
	client.stream.on_ready(client.stream.owner, &client.stream, EV_ERROR | EV_READ | EV_WRITE);
	assert_ended(
		rig, END_NO_MEMORY, "end=\"client: the kernel does not watch the connection\"");
	assert_int_equal(client.aborts, 1);
	rig_log_clear();
	start_relay(rig);
	upstream.stream.on_ready(
		upstream.stream.owner, &upstream.stream, EV_ERROR | EV_READ | EV_WRITE);
	assert_int_equal(rig_ends(rig, END_NO_MEMORY), 2);
	assert_logged("end=\"upstream: the kernel does not watch the connection\"");
	assert_int_equal(client.aborts + upstream.aborts, 2);
}

/* A turn of the loop that has cost enough. */

static void exhaust_turn(struct rig *rig)
{
	rig->service.ctx.turn_cost = TURN_COST_MAX + 1;
}

static void a_step_waits_for_another_turn(void **state)
{
	struct rig *rig = rig_of(state);
	static const struct step steps[] = {{"a", run_twice, NULL}, {"b", run_wait, NULL}, {0}};
	struct session *session = rig_start_fake(rig, &client);
	rig_go(session, steps);
	assert_traced("a");
	exhaust_turn(rig);
	client.stream.on_ready(client.stream.owner, &client.stream, EV_READ);
	assert_traced("");
	rig_turn(rig);
	client.stream.on_ready(client.stream.owner, &client.stream, EV_READ);
	assert_traced("a+ b");
}

static void a_relay_that_broke_ends_in_another_turn(void **state)
{
	struct rig *rig = rig_of(state);
	start_relay(rig);
	exhaust_turn(rig);
	client.in_broken = true;
	client.ctx = NULL; /* in this turn */
	assert_true(fake_ready(&client));
	assert_int_equal(rig->gone, 0);
	assert_int_equal(client.watched | upstream.watched, 0);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_CLIENT_BROKE, "end=\"client: reset by peer\"");
	assert_int_equal(client.aborts + upstream.aborts, 2);
}

/* Who has credit does not wait behind those who have none. */
static void a_relay_without_credit_waits(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_relay(rig);
	client.ctx = NULL;
	fake_feed(&client, "1", 1);
	exhaust_turn(rig);
	assert_true(fake_ready(&client));
	assert_int_equal(upstream.out_len, 1);
	fake_feed(&client, "2", 1);
	session->relay->credit = -1;
	exhaust_turn(rig);
	assert_true(fake_ready(&client));
	assert_int_equal(upstream.out_len, 1);
	client.ctx = &rig->service.ctx;
	assert_true(fake_ready(&client));
	assert_int_equal(upstream.out_len, 2);
}

/* Ends. */

static void what_was_decided_first_stands(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	char words[] = "no such thing";
	session_decide_end(session, END_NO_HOST, words);
	memset(words, 'x', sizeof words - 1);
	session_decide_end(session, END_LIMIT, "another");
	assert_int_equal(session_end(session, END_DONE, "done"), STEP_END);
	assert_ended(rig, END_NO_HOST, "end=\"no such thing\"");
	assert_int_equal(rig_ends(rig, END_LIMIT) + rig_ends(rig, END_DONE), 0);
	session = start_waiting(rig);
	session_decide_end(session, END_DIAL, NULL); /* there was no memory for the words */
	session_end(session, END_DONE, "done");
	assert_ended(rig, END_DIAL, "end=unknown");
	session = start_waiting(rig);
	session_end(session, END_LIMIT, NULL);
	assert_ended(rig, END_LIMIT, "end=unknown");
}

static void a_decided_end_stands_over_a_deadline(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	session_decide_end(session, END_DRAINED, "drained");
	session_set_deadline(session, 5, END_HANDSHAKE, "handshake timeout");
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_DRAINED, "end=drained");
}

static void every_reason_is_counted_and_logged(void **state)
{
	struct rig *rig = rig_of(state);
	struct refusal refusals[REFUSALS_KEPT];
	unsigned refused = 0;
	for (unsigned reason = 0; reason < END_REASONS; reason++) {
		const struct end_reason_info *info = end_reason_info(reason);
		char words[64], line[128];
		snprintf(words, sizeof words, "because of %u", reason);
		snprintf(line, sizeof line, "reason=%s step=wait end=\"%s\"\n", info->name, words);
		rig_log_clear();
		session_end(start_waiting(rig), reason, words);
		assert_logged(line);
		assert_int_equal(rig_logged("level=warning"), info->cause == CAUSE_UPSTREAM);
		assert_int_equal(rig_ends(rig, reason), 1);
		refused += info->is_refusal;
	}
	unsigned kept = refusals_copy(&rig->service.counters->refusals, refusals);
	assert_int_equal(kept, refused < REFUSALS_KEPT ? refused : REFUSALS_KEPT);
	for (unsigned i = 0; i < kept; i++) {
		assert_true(end_reason_info(refusals[i].end_reason)->is_refusal);
		assert_string_equal(refusals[i].source, "192.0.2.1:50000");
	}
	assert_int_equal(counter_get(&rig->service.counters->connections), END_REASONS);
	assert_int_equal(counter_get(&rig->service.counters->active), 0);
	assert_int_equal(rig_row(rig, "_none").connections, END_REASONS);
	assert_int_equal(rig_row(rig, "_none").errors, refused);
}

static void repeats_are_logged_a_few_times(void **state)
{
	struct rig *rig = rig_of(state);
	for (int i = 0; i < 8; i++)
		session_end(start_waiting(rig), END_NOT_TLS, "not TLS");
	assert_int_equal(rig_logged("end=\"not TLS\""), 5);
	for (int i = 0; i < 8; i++)
		session_end(start_waiting(rig), END_DONE, "done");
	assert_int_equal(rig_logged("end=done"), 8);
	assert_int_equal(rig_ends(rig, END_NOT_TLS), 8);
	log_ratelimit_finish(&rig->service.log_ratelimit);
	assert_logged("suppressed repeats");
	assert_logged("end=\"not TLS\" count=3");
}

static struct route *route_of(const struct rig *rig)
{
	struct route *route =
		routes_find(rig->service.routes, span_of_string("app.test"), span_of(NULL, 0));
	assert_non_null(route);
	return route;
}

static void the_line_has_what_is_known(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct hello_facts *hello = calloc(1, sizeof *hello);
	hello->sni = (char[]){"app.test"};
	hello->alpn_offered = (char[]){"h2,foo"};
	session->hello = hello;
	session->route = route_of(rig);
	session->preface = preface_find("ldap");
	session->server = 1;
	server_taken(&session->route->backend->servers[1]);
	session_end(session, END_KILLED, "killed");
	assert_logged("msg=connection client=192.0.2.1:50000 listener=:443 preface=ldap "
		      "sni=app.test alpn_offered=h2,foo route=app.test mode=passthrough "
		      "upstream=127.0.0.1:2 up=0 down=0 total_ms=");
	assert_logged("reason=killed step=wait end=killed\n");
	assert_int_equal(rig_logged("\n"), 1);
}

static void an_end_releases_what_it_holds(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct route *route = route_of(rig);
	struct server *server = &route->backend->servers[0];
	const struct sockaddr *source = &session->source.any;
	session->route = route;
	session->server = 0;
	server_taken(server);
	session->is_route_counted = true;
	atomic_fetch_add(&route->slots->active, 1);
	session->is_source_counted = true;
	assert_int_equal(sources_enter(rig->limits.sources, source, 1, 0), SOURCE_ADMITTED);
	assert_int_equal(sources_enter(rig->limits.sources, source, 1, 0), SOURCE_TOO_MANY);
	assert_int_equal(atomic_load(&rig->limits.connections), 1);
	assert_int_equal(service_sessions(&rig->service), 1);
	assert_false(routes_is_unused(rig->service.routes));
	session_end(session, END_DONE, "done");
	struct sockaddr_in again = rig_source("192.0.2.1", 1);
	source = (const struct sockaddr *)&again;
	assert_int_equal(atomic_load(&server->state->active), 0);
	assert_int_equal(atomic_load(&route->slots->active), 0);
	assert_int_equal(sources_enter(rig->limits.sources, source, 1, 0), SOURCE_ADMITTED);
	assert_int_equal(atomic_load(&rig->limits.connections), 0);
	assert_int_equal(service_sessions(&rig->service), 0);
	assert_true(routes_is_unused(rig->service.routes));
}

/* What it never took it does not give back. */
static void an_end_releases_nothing_else(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct route *route = route_of(rig);
	const struct sockaddr *source = &session->source.any;
	session->route = route;
	atomic_store(&route->slots->active, 1);
	server_taken(&route->backend->servers[0]);
	assert_int_equal(sources_enter(rig->limits.sources, source, 1, 0), SOURCE_ADMITTED);
	struct sockaddr_in again = rig_source("192.0.2.1", 1);
	session_end(session, END_DONE, "done");
	assert_int_equal(atomic_load(&route->slots->active), 1);
	assert_int_equal(atomic_load(&route->backend->servers[0].state->active), 1);
	assert_int_equal(sources_enter(rig->limits.sources, (const struct sockaddr *)&again, 1, 0),
		SOURCE_TOO_MANY);
	atomic_store(&route->slots->active, 0);
}

static void a_session_keeps_its_snapshot(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = start_waiting(rig);
	struct routes *before = session->routes;
	rig_load(rig, HOSTS);
	assert_ptr_equal(session->routes, before);
	assert_ptr_not_equal(rig->service.routes, before);
	session_end(session, END_DONE, "done");
	assert_ptr_equal(rig_start(rig, rig_wait_steps)->routes, rig->service.routes);
}

static void the_source_may_be_of_any_family(void **state)
{
	static const struct {
		union talk_address address;
		const char *line;
	} sources[] = {
		{{.v6 = {.sin6_family = AF_INET6,
			  .sin6_addr = {.s6_addr = {[15] = 1}},
			  .sin6_port = 0x5000}},
			"client=[::1]:80 "},
		{{.any = {.sa_family = AF_UNIX}}, "client=unix "},
	};
	struct rig *rig = rig_of(state);
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		struct session_start start = {.fd = rig_spare_fd(),
			.source = &sources[i].address.any,
			.listener = &rig->listener,
			.steps = rig_wait_steps};
		session_start(&rig->service, &start);
		session_end(rig->service.sessions, END_DONE, "done");
		assert_logged(sources[i].line);
	}
}

static void all_sessions_end_at_once(void **state)
{
	struct rig *rig = rig_of(state);
	for (int i = 0; i < 7; i++)
		start_waiting(rig);
	assert_int_equal(service_sessions(&rig->service), 7);
	assert_int_equal(counter_get(&rig->service.counters->active), 7);
	sessions_end_all(&rig->service, END_STOPPED, "shutting down");
	assert_null(rig->service.sessions);
	assert_int_equal(rig->gone, 7);
	assert_int_equal(service_sessions(&rig->service), 0);
	assert_int_equal(counter_get(&rig->service.counters->active), 0);
	assert_int_equal(rig_ends(rig, END_STOPPED), 7);
	assert_int_equal(rig_logged("reason=stopped step=wait end=\"shutting down\""), 7);
	assert_traced("wait! wait! wait! wait! wait! wait! wait!");
}

static void ids_are_unique_and_name_the_worker(void **state)
{
	struct rig *rig = rig_of(state);
	rig->service.index = 5;
	uint64_t first = start_waiting(rig)->id, second = start_waiting(rig)->id;
	assert_int_not_equal(first, second);
	assert_int_equal(first % 1024, 5);
	assert_int_equal(second % 1024, 5);
}

/* Iterations. */

/* The newest comes first. */
static struct session *start_numbered(struct rig *rig, int number)
{
	struct session *session = start_waiting(rig);
	session->source.v4.sin_port = htons((uint16_t)number);
	return session;
}

static int number_of(const struct session *session)
{
	return session ? ntohs(session->source.v4.sin_port) : -1;
}

static void an_iteration_meets_every_session(void **state)
{
	struct rig *rig = rig_of(state);
	struct session_iter iter;
	session_iter_begin(&iter, &rig->service);
	assert_null(session_iter_next(&iter));
	session_iter_end(&iter);
	for (int i = 1; i <= 3; i++)
		start_numbered(rig, i);
	session_iter_begin(&iter, &rig->service);
	start_numbered(rig, 4); /* too late */
	for (int i = 3; i >= 1; i--)
		assert_int_equal(number_of(session_iter_next(&iter)), i);
	assert_null(session_iter_next(&iter));
	assert_null(session_iter_next(&iter));
	session_iter_end(&iter);
	assert_null(rig->service.iters);
}

static void sessions_end_while_they_are_iterated(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *sessions[7];
	struct session_iter iter;
	for (int i = 1; i <= 6; i++)
		sessions[i] = start_numbered(rig, i);
	session_iter_begin(&iter, &rig->service);
	session_end(sessions[6], END_KILLED, "killed"); /* the first one, before it is met */
	assert_int_equal(number_of(session_iter_next(&iter)), 5);
	session_end(sessions[5], END_KILLED, "killed"); /* the one that was met */
	session_end(sessions[4], END_KILLED, "killed"); /* the next, */
	session_end(sessions[3], END_KILLED, "killed"); /* and that behind it */
	assert_int_equal(number_of(session_iter_next(&iter)), 2);
	session_end(sessions[1], END_KILLED, "killed"); /* the last */
	assert_null(session_iter_next(&iter));
	session_iter_end(&iter);
	assert_ptr_equal(rig->service.sessions, sessions[2]);
}

static void iterations_do_not_disturb_each_other(void **state)
{
	struct rig *rig = rig_of(state);
	struct session_iter one, two;
	for (int i = 1; i <= 4; i++)
		start_numbered(rig, i);
	session_iter_begin(&one, &rig->service);
	assert_int_equal(number_of(session_iter_next(&one)), 4);
	session_iter_begin(&two, &rig->service);
	assert_int_equal(number_of(session_iter_next(&two)), 4);
	assert_int_equal(number_of(session_iter_next(&two)), 3);
	session_end(rig->service.sessions->next->next, END_KILLED, "killed"); /* 2 */
	session_iter_end(&one); /* not the newest of them */
	assert_int_equal(number_of(session_iter_next(&two)), 1);
	sessions_end_all(&rig->service, END_STOPPED, "shutting down");
	assert_null(session_iter_next(&two));
	session_iter_end(&two);
	assert_null(rig->service.iters);
}

/* Whatever ends: each that lives to the end is met once, and none after its end. */
static void random_ends_leave_iterations_whole(void **state)
{
	struct rig *rig = rig_of(state);
	srand(1);
	log_configure(LOG_ERROR_LEVEL, false);
	for (int round = 0; round < 300; round++) {
		struct session *sessions[16];
		struct session_iter iter;
		bool is_met[16] = {0}, is_gone[16] = {0};
		int count = rand() % 16;
		for (int i = 0; i < count; i++)
			sessions[i] = start_numbered(rig, i);
		session_iter_begin(&iter, &rig->service);
		for (struct session *at; (at = session_iter_next(&iter));) {
			int number = number_of(at);
			assert_false(is_met[number] || is_gone[number]);
			is_met[number] = true;
			for (int ends = rand() % 4; ends > 0; ends--) {
				int victim = rand() % count;
				if (!is_gone[victim])
					session_end(sessions[victim], END_KILLED, "killed");
				is_gone[victim] = true;
			}
		}
		session_iter_end(&iter);
		for (int i = 0; i < count; i++)
			assert_true(is_met[i] || is_gone[i]);
		sessions_end_all(&rig->service, END_STOPPED, "shutting down");
	}
	trace[0] = '\0';
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(steps_run_in_their_order),
		TEST(a_jump_continues_with_another_list),
		TEST(a_jump_to_nowhere_runs_the_step_again),
		TEST(a_step_that_ends_the_session_is_cancelled),
		TEST(a_step_that_was_not_entered_is_not_cancelled),
		TEST(a_step_that_is_done_is_not_cancelled),
		TEST(the_first_deadline_is_that_of_the_hello),
		TEST(a_deadline_has_its_reason_and_words),
		TEST(a_later_deadline_does_not_move_the_timer),
		TEST(an_earlier_deadline_does),
		TEST(without_a_deadline_it_lives_on),
		TEST(a_retry_runs_the_step_again),
		TEST(a_retry_needs_no_deadline),
		TEST(a_certificate_expires_before_the_deadline),
		TEST(the_deadline_comes_before_a_later_expiry),
		TEST(an_expiry_may_be_taken_back_or_be_now),
		TEST(an_idle_relay_ends),
		TEST(a_relay_is_idle_since_bytes_moved),
		TEST(a_relay_that_is_cut_off_aborts_both_ends),
		TEST(what_fails_before_its_relay_is_aborted),
		TEST(what_has_its_answer_is_not_aborted),
		TEST(a_relay_that_ended_aborts_none),
		TEST(who_broke_a_relay_is_named),
		TEST(what_is_not_watched_ends),
		TEST(a_step_waits_for_another_turn),
		TEST(a_relay_that_broke_ends_in_another_turn),
		TEST(a_relay_without_credit_waits),
		TEST(what_was_decided_first_stands),
		TEST(a_decided_end_stands_over_a_deadline),
		TEST(every_reason_is_counted_and_logged),
		TEST(repeats_are_logged_a_few_times),
		TEST(the_line_has_what_is_known),
		TEST(an_end_releases_what_it_holds),
		TEST(an_end_releases_nothing_else),
		TEST(a_session_keeps_its_snapshot),
		TEST(the_source_may_be_of_any_family),
		TEST(all_sessions_end_at_once),
		TEST(ids_are_unique_and_name_the_worker),
		TEST(an_iteration_meets_every_session),
		TEST(sessions_end_while_they_are_iterated),
		TEST(iterations_do_not_disturb_each_other),
		TEST(random_ends_leave_iterations_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
