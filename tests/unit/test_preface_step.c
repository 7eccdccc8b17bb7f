/* The driver of prefaces towards clients: every split point, several on one listener, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "made_hello.h"
#include "session/steps/steps.h"
#include "session_rig.h"

#define HOSTS "\"hosts\": {\"app.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}}"

#define TEXT(literal) (literal), (sizeof(literal) - 1)

static const char ldap_request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
				   "1.3.6.1.4.1.1466.20037";
static const char ldap_success[] = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
static const char ldap_notice[] = "\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x0d\x04\x00\x04\x00\x8a\x16"
				  "1.3.6.1.4.1.1466.20036";
static const char proxy_v1[] = "PROXY TCP4 203.0.113.9 198.51.100.7 1234 443\r\n";
static const char proxy_v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
			       "\xcb\0\x71\x09\xc6\x33\x64\x07\x04\xd2\x01\xbb";
static const char proxy_local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

static struct made_hello hello;
static struct fake_stream client;

static struct rig *rig_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	*state = rig_create("\"proxy\": {\"hello_timeout\": \"20s\"}, " HOSTS);
	hello = made_hello("app.test", "\x08http/1.1", 0);
	return 0;
}

static int tear_down(void **state)
{
	rig_destroy(*state);
	return 0;
}

#define PASSED                                                                                     \
	{                                                                                          \
		"passed", rig_step_wait, NULL                                                      \
	}

static const struct step proxy_steps[] = {
	{"proxy", step_proxy_header, NULL},
	{"admit_source", step_admit_source, NULL},
	{"sniff", step_sniff, NULL},
	PASSED,
	{0},
};

static const struct step preface_steps[] = {
	{"preface", step_preface, NULL},
	{"sniff", step_sniff, NULL},
	PASSED,
	{0},
};

static const struct step both_steps[] = {
	{"proxy", step_proxy_header, NULL},
	{"admit_source", step_admit_source, NULL},
	{"preface", step_preface, NULL},
	{"sniff", step_sniff, NULL},
	PASSED,
	{0},
};

static struct session *start(
	struct rig *rig, const struct step *steps, const struct listener_config *listener)
{
	struct session *session = rig_start_fake(rig, &client);
	session->listener_config = listener;
	rig_go(session, steps);
	return rig->service.sessions;
}

static struct session *start_ldap(struct rig *rig, const struct step *steps)
{
	static const struct preface *prefaces[2];
	static const struct listener_config listener = {.prefaces = prefaces};
	prefaces[0] = preface_find("ldap");
	return start(rig, steps, &listener);
}

/* More bytes, and turns of the loop while the driver has something to do with them. */
static void feed(const void *data, size_t len)
{
	int turns = 0;
	fake_feed(&client, data, len);
	while (fake_ready(&client) && fake_waiting(&client) > 0)
		assert_true(++turns < 100);
}

static unsigned long long count_of(const struct rig *rig, const char *name)
{
	size_t index = name ? preface_index(preface_find(name)) : 0; /* NULL: PROXY */
	return counter_get(&rig->service.counters->prefaces[index]);
}

static bool has_passed(const struct rig *rig)
{
	const struct session *session = rig->service.sessions;
	return session && strcmp(session->step->name, "passed") == 0;
}

static void assert_hello_untouched(struct rig *rig, size_t taken)
{
	assert_true(has_passed(rig));
	assert_int_equal(client.in_taken, taken);
	assert_int_equal(fake_waiting(&client), hello.len);
	assert_string_equal(rig->service.hello.sni.text, "app.test");
	assert_true(client.wanted <= 1);
}

/* The PROXY header. */

static void assert_source(const struct rig *rig, const char *source, const char *destination)
{
	const struct session *session = rig->service.sessions;
	char text[ADDRESS_TEXT_MAX];
	session_source_text(session, text);
	assert_string_equal(text, source);
	if (destination)
		address_text(
			&session->told_destination.any, sizeof session->told_destination.v4, text);
	assert_string_equal(destination ? text : "", destination ? destination : "");
	if (!destination)
		assert_int_equal(session->told_destination.any.sa_family, AF_UNSPEC);
}

/* Everything in two pieces: header and hello may share either of them. */
static void assert_proxied_at_every_split(struct rig *rig, const char *header, size_t header_len,
	const char *source, const char *destination)
{
	static uint8_t all[MADE_HELLO_MAX];
	size_t len = header_len + hello.len;
	unsigned long long before = count_of(rig, NULL);
	memcpy(all, header, header_len);
	memcpy(all + header_len, hello.data, hello.len);
	for (size_t at = 1; at <= len; at++) {
		start(rig, proxy_steps, NULL);
		feed(all, at);
		assert_int_equal(client.in_taken, at < header_len ? 0 : header_len);
		assert_int_equal(has_passed(rig), at == len);
		if (at < len)
			feed(all + at, len - at);
		assert_hello_untouched(rig, header_len);
		assert_source(rig, source, destination);
		assert_int_equal(client.out_len, 0);
		assert_null(rig->service.sessions->preface);
		session_end(rig->service.sessions, END_KILLED, "killed");
	}
	assert_int_equal(count_of(rig, NULL) - before, len);
}

static void proxy_headers_are_read_at_every_split(void **state)
{
	struct rig *rig = rig_of(state);
	log_configure(LOG_ERROR_LEVEL, false);
	assert_proxied_at_every_split(rig, TEXT(proxy_v1), "203.0.113.9:1234", "198.51.100.7:443");
	assert_proxied_at_every_split(rig, TEXT(proxy_v2), "203.0.113.9:1234", "198.51.100.7:443");
	assert_proxied_at_every_split(rig, TEXT(proxy_local), "192.0.2.1:50000", NULL);
	assert_proxied_at_every_split(rig, TEXT("PROXY UNKNOWN\r\n"), "192.0.2.1:50000", NULL);
}

static void a_proxy_header_may_come_byte_by_byte(void **state)
{
	struct rig *rig = rig_of(state);
	start(rig, proxy_steps, NULL);
	for (size_t at = 0; at < sizeof proxy_v2 - 1; at++)
		feed(proxy_v2 + at, 1);
	assert_string_equal(rig->service.sessions->step->name, "sniff");
	for (size_t at = 0; at < hello.len; at++)
		feed(hello.data + at, 1);
	assert_hello_untouched(rig, sizeof proxy_v2 - 1);
}

/* Without an answer: who speaks here is a proxy that is set up wrongly, or nobody's business. */
static void assert_proxy_refused(struct rig *rig, const char *data, size_t len, const char *words)
{
	unsigned gone = rig->gone;
	rig_log_clear();
	start(rig, proxy_steps, NULL);
	feed(data, len);
	assert_int_equal(rig->gone, gone + 1);
	assert_logged("reason=bad_preface ");
	assert_logged(words);
	assert_int_equal(client.out_len, 0);
	assert_int_equal(client.destroys, 1);
	assert_int_equal(count_of(rig, NULL), 0);
}

static void what_is_no_proxy_header_is_refused(void **state)
{
	struct rig *rig = rig_of(state);
	assert_proxy_refused(
		rig, (char *)hello.data, hello.len, "end=\"PROXY header: it is missing\"");
	assert_proxy_refused(
		rig, TEXT("GET / HTTP/1.1\r\n"), "end=\"PROXY header: it is missing\"");
	assert_proxy_refused(rig, TEXT("PROXY TCP4 1 2 3 4\r\n"), "end=\"PROXY header: ");
	assert_proxy_refused(
		rig, TEXT("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c"), "end=\"PROXY header: ");
}

static void limits_count_by_the_source_of_the_header(void **state)
{
	struct rig *rig = rig_of(state);
	rig_load(rig, "\"proxy\": {\"max_per_source\": 1}, " HOSTS);
	static struct fake_stream first;
	start(rig, proxy_steps, NULL);
	feed(TEXT(proxy_v1));
	assert_string_equal(rig->service.sessions->step->name, "sniff");
	rig_use_fake(rig->service.sessions, &first); /* `client` is the next one's */
	/* By the same proxy, for another client. */
	static const char other[] = "PROXY TCP4 203.0.113.10 198.51.100.7 1234 443\r\n";
	start(rig, proxy_steps, NULL);
	feed(TEXT(other));
	assert_string_equal(rig->service.sessions->step->name, "sniff");
	session_end(rig->service.sessions, END_KILLED, "killed");
	assert_int_equal(service_sessions(&rig->service), 1);
	/* The first client again, by another port and version. */
	start(rig, proxy_steps, NULL);
	feed(TEXT(proxy_v2));
	assert_int_equal(service_sessions(&rig->service), 1);
	assert_int_equal(rig_ends(rig, END_LIMIT), 1);
	assert_logged("client=203.0.113.9:1234 listener=:443");
	assert_logged("end=\"max_per_source reached\"");
	session_end(rig->service.sessions, END_DONE, "done");
	start(rig, proxy_steps, NULL);
	feed(TEXT(proxy_v2));
	assert_int_equal(service_sessions(&rig->service), 1);
}

/* LDAP. */

static void assert_ldap_done(struct rig *rig)
{
	const struct session *session = rig->service.sessions;
	assert_string_equal(session->step->name, "sniff");
	assert_int_equal(client.in_taken, sizeof ldap_request - 1);
	assert_int_equal(client.out_len, sizeof ldap_success - 1);
	assert_memory_equal(client.out, ldap_success, sizeof ldap_success - 1);
	assert_ptr_equal(session->preface, preface_find("ldap"));
}

static void ldap_requests_are_answered_at_every_split(void **state)
{
	struct rig *rig = rig_of(state);
	size_t len = sizeof ldap_request - 1;
	log_configure(LOG_ERROR_LEVEL, false);
	for (size_t at = 1; at <= len; at++) {
		start_ldap(rig, preface_steps);
		feed(ldap_request, at);
		if (at < len) {
			assert_int_equal(client.in_taken + client.out_len, 0);
			assert_true(client.wanted > at && client.wanted <= len);
			feed(ldap_request + at, len - at);
		}
		assert_ldap_done(rig);
		feed(hello.data, hello.len);
		assert_hello_untouched(rig, len);
		assert_int_equal(client.out_len, sizeof ldap_success - 1);
		session_end(rig->service.sessions, END_KILLED, "killed");
	}
	assert_int_equal(count_of(rig, "ldap"), len);
	assert_int_equal(count_of(rig, NULL), 0);
}

static void tls_follows_in_any_pieces(void **state)
{
	struct rig *rig = rig_of(state);
	log_configure(LOG_ERROR_LEVEL, false);
	for (size_t at = 1; at < hello.len; at++) {
		start_ldap(rig, preface_steps);
		feed(TEXT(ldap_request));
		assert_ldap_done(rig);
		feed(hello.data, at);
		assert_false(has_passed(rig));
		feed(hello.data + at, hello.len - at);
		assert_hello_untouched(rig, sizeof ldap_request - 1);
		session_end(rig->service.sessions, END_KILLED, "killed");
	}
}

/* LDAP declines it, and what nobody knows is taken for TLS. */
static void tls_may_come_directly(void **state)
{
	struct rig *rig = rig_of(state);
	log_configure(LOG_ERROR_LEVEL, false);
	for (size_t at = 1; at <= hello.len; at++) {
		start_ldap(rig, preface_steps);
		feed(hello.data, at);
		if (at < hello.len)
			feed(hello.data + at, hello.len - at);
		assert_hello_untouched(rig, 0);
		assert_null(rig->service.sessions->preface);
		assert_int_equal(client.out_len, 0);
		session_end(rig->service.sessions, END_KILLED, "killed");
	}
	assert_int_equal(count_of(rig, "ldap"), 0);
}

static void other_protocols_are_not_tls(void **state)
{
	struct rig *rig = rig_of(state);
	start_ldap(rig, preface_steps);
	feed(TEXT("GET / HTTP/1.1\r\n\r\n"));
	assert_ended(rig, END_NOT_TLS, "step=sniff end=\"not TLS\"");
	assert_int_equal(client.out_len, 0);
}

static void assert_noticed(struct rig *rig)
{
	assert_string_equal(rig->service.sessions->step->name, "drain_input");
	assert_int_equal(client.out_len, sizeof ldap_notice - 1);
	assert_memory_equal(client.out, ldap_notice, sizeof ldap_notice - 1);
	assert_int_equal(client.half_closes, 1);
	client.in_ended = true;
	assert_true(fake_ready(&client));
	assert_null(rig->service.sessions);
	assert_int_equal(count_of(rig, "ldap"), 0);
}

/* They could be anybody's, who would then speak in the name of the client. */
static void bytes_behind_the_request_are_refused(void **state)
{
	struct rig *rig = rig_of(state);
	char all[256];
	size_t len = sizeof ldap_request - 1;
	memcpy(all, ldap_request, len);
	memcpy(all + len, hello.data, 100);
	for (size_t more = 1; more <= 100; more++) {
		rig->service.log_ratelimit.kinds[0][0].seen = 0;
		rig_log_clear();
		start_ldap(rig, preface_steps);
		feed(all, len + more);
		assert_noticed(rig);
		assert_logged("reason=bad_preface ");
		assert_logged("end=\"LDAP: bytes behind the request for TLS\"");
	}
	start_ldap(rig, preface_steps); /* along with the last byte of a request that was split */
	feed(all, len - 1);
	feed(all + len - 1, 2);
	assert_noticed(rig);
	assert_int_equal(rig_ends(rig, END_BAD_PREFACE), 101);
}

static void another_operation_is_refused(void **state)
{
	static const char bind[] = "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
	struct rig *rig = rig_of(state);
	for (size_t at = 1; at < sizeof bind; at++) {
		start_ldap(rig, preface_steps);
		feed(bind, at);
		if (at < sizeof bind - 1) {
			assert_int_equal(client.out_len, 0);
			feed(bind + at, sizeof bind - 1 - at);
		}
		assert_noticed(rig);
	}
	assert_logged("end=\"LDAP: the client does not request StartTLS\"");
	assert_int_equal(rig_ends(rig, END_BAD_PREFACE), sizeof bind - 1);
}

static void a_client_that_leaves_within_a_preface(void **state)
{
	struct rig *rig = rig_of(state);
	for (size_t at = 0; at < sizeof ldap_request - 1; at++) {
		start_ldap(rig, preface_steps);
		if (at > 0)
			feed(ldap_request, at);
		client.in_ended = true;
		assert_true(fake_ready(&client));
		assert_null(rig->service.sessions);
		assert_int_equal(client.out_len, 0);
	}
	assert_logged("end=\"client closed before ClientHello\"");
	assert_logged("step=preface end=\"client closed within ClientHello\"");
	assert_int_equal(rig_ends(rig, END_NO_HELLO), sizeof ldap_request - 1);
}

/* Before, within and behind the request: the time limit is one. */
static void silence_meets_the_hello_timeout(void **state)
{
	static const struct {
		size_t len;
		const char *step;
	} cases[] = {{0, "step=preface "}, {10, "step=preface "},
		{sizeof ldap_request - 1, "step=sniff "}};
	struct rig *rig = rig_of(state);
	rig_load(rig, "\"proxy\": {\"hello_timeout\": \"10ms\"}, " HOSTS);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		rig_log_clear();
		start_ldap(rig, preface_steps);
		if (cases[i].len > 0)
			feed(ldap_request, cases[i].len);
		rig_run_until(rig, rig->gone == i + 1);
		assert_logged(cases[i].step);
		assert_logged("reason=no_hello ");
		assert_logged("end=\"hello timeout\"");
	}
}

static void a_client_that_takes_no_answer_is_gone(void **state)
{
	struct rig *rig = rig_of(state);
	start_ldap(rig, preface_steps);
	client.out_broken = true;
	feed(TEXT(ldap_request));
	assert_ended(rig, END_BAD_PREFACE, "end=\"client reset before ClientHello\"");
	assert_int_equal(count_of(rig, "ldap"), 0);
}

static void a_proxy_header_comes_before_ldap(void **state)
{
	static char all[256];
	struct rig *rig = rig_of(state);
	size_t header = sizeof proxy_v2 - 1, len = header + sizeof ldap_request - 1;
	memcpy(all, proxy_v2, header);
	memcpy(all + header, ldap_request, sizeof ldap_request - 1);
	log_configure(LOG_ERROR_LEVEL, false);
	for (size_t at = 1; at <= len; at++) {
		start_ldap(rig, both_steps);
		feed(all, at);
		if (at < len)
			feed(all + at, len - at);
		assert_int_equal(client.out_len, sizeof ldap_success - 1);
		feed(hello.data, hello.len);
		assert_hello_untouched(rig, len);
		assert_source(rig, "203.0.113.9:1234", "198.51.100.7:443");
		session_end(rig->service.sessions, END_KILLED, "killed");
	}
	assert_int_equal(count_of(rig, "ldap"), len);
	assert_int_equal(count_of(rig, NULL), len);
}

/* The very lists that a listener has; an unknown name is no web page's, behind LDAP. */
static void the_lists_lead_to_a_route(void **state)
{
	struct rig *rig = rig_of(state);
	const struct preface *prefaces[] = {preface_find("ldap"), NULL};
	struct listener_config listener = {.prefaces = prefaces};
	struct made_hello other = made_hello("other.test", NULL, 0);
	start(rig, steps_for(&listener, NULL, true), &listener);
	feed(TEXT(proxy_v1));
	feed(TEXT(ldap_request));
	assert_string_equal(rig->service.sessions->step->name, "sniff");
	feed(other.data, other.len);
	assert_memory_equal(
		client.out + sizeof ldap_success - 1, "\x15\x03\x03\x00\x02\x02\x70", 7);
	client.in_ended = true;
	fake_ready(&client);
	assert_ended(rig, END_NO_HOST,
		"client=203.0.113.9:1234 listener=:443 preface=ldap "
		"sni=other.test");
}

/* Prefaces of the test's own. */

static unsigned toy_turns;

/* Declines all but "T"; greets; wants a line, for which it says OK, and then refuses, or lets leave. */
static enum talk toy_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	toy_turns++;
	if (state->phase == 0 && heard.len > 0 && heard.data[0] != 'T')
		return TALK_NOT_MINE;
	const uint8_t *end = heard.len > 0 ? memchr(heard.data, '\n', heard.len) : NULL;
	state->want = heard.len + 1;
	if (!end)
		return TALK_MORE;
	*used = (size_t)(end - heard.data) + 1;
	if (state->phase++ == 0) {
		preface_say(say, "OK\n", 3);
		return TALK_SAY;
	}
	if (heard.data[0] == 'X')
		return TALK_NOT_MINE;
	if (heard.data[0] == 'S' || heard.data[0] == 'L')
		preface_say(say, "BYE\n", 4);
	if (heard.data[0] == 'L')
		return TALK_LEAVE;
	state->error = "it refuses";
	return TALK_REFUSE;
}

static void toy_refuse(enum preface_refusal why, const char *words, struct buf *say)
{
	(void)why;
	preface_say(say, "NO: ", 4);
	preface_say(say, words, strlen(words));
}

static const struct preface toy = {.name = "toy",
	.title = "Toy",
	.is_starttls = true,
	.heard_max = 8,
	.front = toy_front,
	.refuse = toy_refuse};

/* The same, silent about refusals. */
static const struct preface mute = {
	.name = "mute", .title = "Mute", .is_starttls = true, .heard_max = 8, .front = toy_front};

static struct session *start_list(
	struct rig *rig, const struct preface *first, const struct preface *second)
{
	static const struct preface *prefaces[3];
	static const struct listener_config listener = {.prefaces = prefaces};
	prefaces[0] = first;
	prefaces[1] = second;
	return start(rig, preface_steps, &listener);
}

static void a_listener_may_have_several(void **state)
{
	struct rig *rig = rig_of(state);
	start_list(rig, &toy, preface_find("ldap"));
	feed(TEXT(ldap_request));
	assert_ldap_done(rig);
	session_end(rig->service.sessions, END_KILLED, "killed");
	start_list(rig, preface_find("ldap"), &toy);
	feed(TEXT("T1\n"));
	assert_int_equal(client.out_len, 3);
	assert_memory_equal(client.out, "OK\n", 3);
	assert_int_equal(client.in_taken, 3);
	session_end(rig->service.sessions, END_KILLED, "killed");
	start_list(rig, &toy, preface_find("ldap"));
	feed(hello.data, hello.len);
	assert_hello_untouched(rig, 0);
}

static void assert_toy_ended(struct rig *rig, const char *said, const char *words)
{
	client.out[client.out_len] = '\0';
	assert_string_equal((char *)client.out, said);
	if (rig->service.sessions) {
		client.in_ended = true;
		assert_true(fake_ready(&client));
	}
	assert_null(rig->service.sessions);
	assert_logged(words);
	rig_log_clear();
}

/* In the words of the protocol, unless the conversation has said its own. */
static void refusals_are_in_the_words_of_the_protocol(void **state)
{
	struct rig *rig = rig_of(state);
	start_list(rig, &toy, NULL);
	feed(TEXT("T1\n"));
	feed(TEXT("R\n"));
	assert_toy_ended(rig, "OK\nNO: it refuses", "end=\"Toy: it refuses\"");
	start_list(rig, &toy, NULL);
	feed(TEXT("T1\n"));
	feed(TEXT("S\n"));
	assert_toy_ended(rig, "OK\nBYE\n", "end=\"Toy: it refuses\"");
	start_list(rig, &mute, NULL);
	feed(TEXT("T1\n"));
	feed(TEXT("R\n"));
	assert_toy_ended(rig, "OK\n", "end=\"Mute: it refuses\"");
	assert_int_equal(client.half_closes, 0);
}

/* What is behind the last words is of no interest. */
static void a_client_may_leave_without_tls(void **state)
{
	struct rig *rig = rig_of(state);
	start_list(rig, &toy, NULL);
	feed(TEXT("T1\n"));
	feed(TEXT("L\nL\n"));
	assert_string_equal(rig->service.sessions->step->name, "drain_input");
	assert_int_equal(client.half_closes, 1);
	assert_toy_ended(rig, "OK\nBYE\n",
		"reason=done step=drain_input end=\"Toy: the client left without TLS\"");
	assert_int_equal(rig_ends(rig, END_DONE), 1);
	assert_int_equal(rig_ends(rig, END_BAD_PREFACE), 0);
	start_list(rig, preface_find("pop3"), NULL);
	feed(TEXT("QUIT\r\n"));
	client.in_ended = true;
	assert_true(fake_ready(&client));
	assert_logged("reason=done step=drain_input end=\"POP3: the client left without TLS\"");
	assert_int_equal(rig_ends(rig, END_DONE), 2);
	assert_int_equal(count_of(rig, "pop3"), 0);
}

/* Once it has said something the others have no turn. */
static void a_chosen_preface_cannot_decline(void **state)
{
	struct rig *rig = rig_of(state);
	start_list(rig, &toy, preface_find("ldap"));
	feed(TEXT("T1\n"));
	feed(TEXT("X\n"));
	assert_toy_ended(rig, "OK\nNO: another protocol", "end=\"Toy: another protocol\"");
}

static void a_piece_has_its_maximum(void **state)
{
	struct rig *rig = rig_of(state);
	start_list(rig, &toy, NULL);
	feed(TEXT("T123456"));
	assert_int_equal(client.out_len, 0);
	feed(TEXT("7"));
	assert_toy_ended(rig, "NO: too long", "end=\"Toy: too long\"");
	start_list(rig, &toy, NULL);
	feed(TEXT("T12345678901234567890\n"));
	assert_toy_ended(rig, "NO: too long", "end=\"Toy: too long\"");
}

/* Two pieces that come at once are two turns. */
static void each_piece_is_a_turn(void **state)
{
	struct rig *rig = rig_of(state);
	toy_turns = 0;
	start_list(rig, &toy, NULL);
	feed(TEXT("T1\nS\n"));
	assert_toy_ended(rig, "OK\nBYE\n", "end=\"Toy: it refuses\"");
	assert_int_equal(toy_turns, 2);
}

/* A greeting comes before anything is read. */
static enum talk greeter_front(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say)
{
	if (state->phase++ == 0) {
		assert_int_equal(heard.len, 0);
		preface_say(say, "+OK\n", 4);
		return TALK_SAY;
	}
	*used = heard.len;
	state->error = "no";
	return TALK_REFUSE;
}

static void a_server_may_speak_first(void **state)
{
	static const struct preface greeter = {.name = "greeter",
		.title = "Greeter",
		.is_starttls = true,
		.speaks_first = true,
		.front = greeter_front};
	struct rig *rig = rig_of(state);
	start_list(rig, &greeter, NULL);
	assert_int_equal(client.out_len, 4);
	assert_int_equal(client.peeks, 0);
	assert_int_equal(client.watched, EV_READ);
	feed(TEXT("STLS\n"));
	assert_toy_ended(rig, "+OK\n", "end=\"Greeter: no\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(proxy_headers_are_read_at_every_split),
		TEST(a_proxy_header_may_come_byte_by_byte),
		TEST(what_is_no_proxy_header_is_refused),
		TEST(limits_count_by_the_source_of_the_header),
		TEST(ldap_requests_are_answered_at_every_split),
		TEST(tls_follows_in_any_pieces),
		TEST(tls_may_come_directly),
		TEST(other_protocols_are_not_tls),
		TEST(bytes_behind_the_request_are_refused),
		TEST(another_operation_is_refused),
		TEST(a_client_that_leaves_within_a_preface),
		TEST(silence_meets_the_hello_timeout),
		TEST(a_client_that_takes_no_answer_is_gone),
		TEST(a_proxy_header_comes_before_ldap),
		TEST(the_lists_lead_to_a_route),
		TEST(a_listener_may_have_several),
		TEST(refusals_are_in_the_words_of_the_protocol),
		TEST(a_client_may_leave_without_tls),
		TEST(a_chosen_preface_cannot_decline),
		TEST(a_piece_has_its_maximum),
		TEST(each_piece_is_a_turn),
		TEST(a_server_may_speak_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
