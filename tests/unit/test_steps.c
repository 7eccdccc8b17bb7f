/* Each step of a session alone, with clients and servers that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "made_certificate.h"
#include "made_hello.h"
#include "route/drain.h"
#include "session/steps/steps.h"
#include "session_rig.h"
#include "wire/proxy_header.h"

#include <errno.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>

static struct rig *rig_of(void **state)
{
	return *state;
}

static void write_pair(const struct rig *rig)
{
	const struct made_name names[] = {{0, GEN_DNS, span_of_string("web.test")}};
	EVP_PKEY *key = made_key();
	X509 *certificate = made_certificate(key, names, 1);
	char path[128];
	rig_path(rig, "web.crt", path);
	FILE *file = fopen(path, "w");
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	rig_path(rig, "web.key", path);
	file = fopen(path, "w");
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void remove_pair(const struct rig *rig)
{
	char path[128];
	rig_path(rig, "web.crt", path);
	unlink(path);
	rig_path(rig, "web.key", path);
	unlink(path);
}

#define BACKEND  "\"backend\": \"127.0.0.1:1\""
#define APP_TEST "\"app.test\": {\"mode\": \"passthrough\", \"max_connections\": 1, " BACKEND "}"
#define SSH_TEST "\"ssh.test\": {\"alpn\": {\"ssh\": {\"mode\": \"passthrough\", " BACKEND "}}}"
#define WEB_TEST                                                                                        \
	"\"web.test\": {\"mode\": \"terminate\", \"cert\": \"web.crt\", \"key\": \"web.key\", " BACKEND \
	"}"

static int set_up(void **state)
{
	*state = rig_create("\"proxy\": {\"hello_timeout\": \"20s\"}, "
			    "\"hosts\": {" APP_TEST ", " SSH_TEST "}");
	return 0;
}

static int tear_down(void **state)
{
	remove_pair(*state);
	rig_destroy(*state);
	return 0;
}

/* Behind the step under test: it was passed. */
#define PASSED                                                                                     \
	{                                                                                          \
		"passed", rig_step_wait, NULL                                                      \
	}

static bool has_passed(const struct session *session)
{
	return session && strcmp(session->step->name, "passed") == 0;
}

static struct fake_stream client;

/* admit_source */

static const struct step admit_steps[] = {{"admit_source", step_admit_source, NULL}, PASSED, {0}};

static void start_from(struct rig *rig, const struct sockaddr *source)
{
	struct session_start start = {.fd = rig_spare_fd(),
		.source = source,
		.listener = &rig->listener,
		.steps = admit_steps};
	session_start(&rig->service, &start);
}

static void without_limits_sources_are_not_counted(void **state)
{
	struct rig *rig = rig_of(state);
	assert_true(has_passed(rig_start(rig, admit_steps)));
	assert_false(rig->service.sessions->is_source_counted);
}

static void a_source_has_its_share(void **state)
{
	struct rig *rig = rig_of(state);
	struct sockaddr_in other = rig_source("192.0.2.2", 1);
	rig_load(rig, "\"proxy\": {\"max_per_source\": 2}, \"hosts\": {" APP_TEST "}");
	rig_start(rig, admit_steps);
	rig_start(rig, admit_steps);
	assert_int_equal(rig->gone, 0);
	rig_start(rig, admit_steps);
	assert_int_equal(rig->gone, 1);
	assert_int_equal(rig_ends(rig, END_LIMIT), 1);
	assert_logged("end=\"max_per_source reached\"");
	start_from(rig, (const struct sockaddr *)&other);
	assert_int_equal(rig->gone, 1);
	session_end(rig->service.sessions->next, END_DONE, "done");
	rig_start(rig, admit_steps);
	assert_int_equal(rig_ends(rig, END_LIMIT), 1);
	assert_int_equal(service_sessions(&rig->service), 3);
}

static void a_source_has_its_rate(void **state)
{
	struct rig *rig = rig_of(state);
	rig_load(rig, "\"proxy\": {\"rate_per_source\": 1}, \"hosts\": {" APP_TEST "}");
	rig_start(rig, admit_steps);
	for (int i = 0; i < 50; i++)
		rig_start(rig, admit_steps);
	assert_true(rig_ends(rig, END_LIMIT) > 0);
	assert_logged("end=\"rate_per_source reached\"");
}

static void local_clients_have_no_source(void **state)
{
	struct rig *rig = rig_of(state);
	struct sockaddr source = {.sa_family = AF_UNIX};
	rig_load(rig, "\"proxy\": {\"max_per_source\": 1}, \"hosts\": {" APP_TEST "}");
	for (int i = 0; i < 3; i++)
		start_from(rig, &source);
	assert_int_equal(service_sessions(&rig->service), 3);
}

/* sniff */

static const struct step sniff_steps[] = {{"sniff", step_sniff, NULL}, PASSED, {0}};

/* A look, and whatever the driver waits for after it. */
static void feed(const void *data, size_t len)
{
	fake_feed(&client, data, len);
	fake_ready(&client);
}

static struct session *start_sniffing(struct rig *rig)
{
	struct session *session = rig_start_fake(rig, &client);
	rig_go(session, sniff_steps);
	return session;
}

static void assert_sniffed(struct rig *rig, const char *sni)
{
	struct session *session = rig->service.sessions;
	assert_true(has_passed(session));
	assert_string_equal(rig->service.hello.sni.text, sni);
	assert_int_equal(client.in_taken, 0);
	assert_int_equal(client.watched, 0);
	assert_true(client.wanted <= 1); /* as on any other stream */
	session_end(session, END_KILLED, "killed");
}

static void assert_sniffed_at_every_split(
	struct rig *rig, const struct made_hello *hello, const char *sni)
{
	for (size_t at = 0; at <= hello->len; at++) {
		start_sniffing(rig);
		if (at > 0)
			feed(hello->data, at);
		assert_int_equal(has_passed(rig->service.sessions), at == hello->len);
		if (at > 0 && at < hello->len) {
			assert_true(client.wanted > at && client.wanted <= hello->len);
			assert_int_equal(client.watched, EV_READ);
		}
		if (at < hello->len)
			feed(hello->data + at, hello->len - at);
		assert_sniffed(rig, sni);
	}
}

static void hellos_are_sniffed_at_every_split(void **state)
{
	struct made_hello hello = made_hello("app.test", "\x02h2\x08http/1.1", 0);
	assert_sniffed_at_every_split(rig_of(state), &hello, "app.test");
	hello = made_hello("app.test", NULL, TLS1_2_VERSION);
	assert_sniffed_at_every_split(rig_of(state), &hello, "app.test");
	hello = made_hello(NULL, NULL, 0);
	assert_sniffed_at_every_split(rig_of(state), &hello, "");
	struct made_hello split = made_hello_split(&hello, 100);
	assert_sniffed_at_every_split(rig_of(state), &split, "");
	split = made_hello_split(&hello, 9);
	assert_sniffed_at_every_split(rig_of(state), &split, "");
}

static void a_hello_may_come_byte_by_byte(void **state)
{
	struct made_hello whole = made_hello("app.test", NULL, 0);
	struct made_hello hello = made_hello_split(&whole, 1);
	start_sniffing(rig_of(state));
	client.ignores_want = true;
	for (size_t at = 0; at < hello.len; at++)
		feed(hello.data + at, 1);
	assert_int_equal(client.peeks, hello.len + 1);
	assert_sniffed(rig_of(state), "app.test");
}

/* With the kernel's low-water mark the driver is woken a few times, however small the records are. */
static void a_hello_is_looked_at_a_few_times(void **state)
{
	struct made_hello whole = made_hello("app.test", NULL, 0);
	struct made_hello hello = made_hello_split(&whole, 1);
	start_sniffing(rig_of(state));
	for (size_t at = 0; at < hello.len; at++)
		feed(hello.data + at, 1);
	assert_true(client.peeks < 50); /* of 1,800 bytes */
	assert_sniffed(rig_of(state), "app.test");
}

static void a_client_that_leaves_sent_no_hello(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("app.test", NULL, 0);
	for (size_t at = 1; at < hello.len; at++) {
		start_sniffing(rig);
		feed(hello.data, at);
		client.in_ended = true;
		assert_true(fake_ready(&client));
		assert_null(rig->service.sessions);
	}
	assert_int_equal(rig_ends(rig, END_NO_HELLO), hello.len - 1);
	assert_logged("end=\"client closed within ClientHello\"");
	assert_int_equal(client.out_len, 0);
}

/* Along with the last bytes that it sends, too. */
static void an_end_behind_half_a_hello_is_seen(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("app.test", NULL, 0);
	start_sniffing(rig);
	client.in_ended = true;
	feed(hello.data, 50);
	fake_ready(&client);
	assert_ended(rig, END_NO_HELLO, "end=\"client closed within ClientHello\"");
}

static void a_whole_hello_with_an_end_is_a_hello(void **state)
{
	struct made_hello hello = made_hello("app.test", NULL, 0);
	start_sniffing(rig_of(state));
	client.in_ended = true;
	feed(hello.data, hello.len);
	assert_sniffed(rig_of(state), "app.test");
}

static void a_client_may_send_nothing(void **state)
{
	struct rig *rig = rig_of(state);
	start_sniffing(rig);
	client.in_ended = true;
	assert_true(fake_ready(&client));
	assert_ended(rig, END_NO_HELLO, "end=\"client closed before ClientHello\"");
	assert_int_equal(client.aborts, 0); /* it asked for nothing */
	start_sniffing(rig);
	client.in_broken = true;
	assert_true(fake_ready(&client));
	assert_logged("end=\"client reset before ClientHello\"");
	assert_int_equal(rig_ends(rig, END_NO_HELLO), 2);
}

static void a_silent_client_meets_the_hello_timeout(void **state)
{
	struct rig *rig = rig_of(state);
	rig_load(rig, "\"proxy\": {\"hello_timeout\": \"10ms\"}, \"hosts\": {" APP_TEST "}");
	start_sniffing(rig);
	feed("\x16\x03", 2);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_NO_HELLO, "step=sniff end=\"hello timeout\"");
	assert_int_equal(client.aborts, 1);
}

/* Poll wakes for bytes that are not more than before: no event does then, and the timer looks again. */
static void a_stream_that_wakes_for_nothing_does_not_spin(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("app.test", NULL, 0);
	start_sniffing(rig);
	client.ignores_want = true;
	feed(hello.data, 20);
	assert_true(fake_ready(&client));
	assert_int_equal(client.watched, 0);
	unsigned peeks = client.peeks;
	uint64_t started_us = clock_now_us();
	rig_run_until(rig, client.peeks > peeks);
	assert_true(clock_now_us() - started_us >= 40000);
	assert_int_equal(client.watched, 0);
	fake_feed(&client, hello.data + 20, hello.len - 20);
	rig_run_until(rig, has_passed(rig->service.sessions));
	assert_sniffed(rig, "app.test");
}

static void what_is_not_tls_is_closed(void **state)
{
	static const char *const others[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
		"\x15\x03\x01\x00\x02\x02\x28", "\x80\x2e\x01\x03\x01", "\x16\x02"};
	struct rig *rig = rig_of(state);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		start_sniffing(rig);
		feed(others[i], strlen(others[i]));
		assert_int_equal(rig_ends(rig, END_NOT_TLS), i + 1);
		assert_int_equal(client.out_len, 0);
		assert_int_equal(client.half_closes, 0);
		assert_int_equal(client.aborts, 1);
		assert_int_equal(client.destroys, 1);
	}
	assert_logged("end=\"not TLS\"");
}

static void assert_alert(enum alert alert)
{
	uint8_t expected[ALERT_SIZE];
	alert_encode(alert, expected);
	assert_int_equal(client.out_len, ALERT_SIZE);
	assert_memory_equal(client.out, expected, ALERT_SIZE);
	assert_int_equal(client.half_closes, 1);
}

/* The client closes when it has read the refusal. */
static void client_leaves(struct rig *rig)
{
	unsigned gone = rig->gone;
	client.in_ended = true;
	assert_true(fake_ready(&client));
	assert_int_equal(rig->gone, gone + 1);
}

static void a_broken_hello_gets_an_alert(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("app.test", NULL, 0);
	start_sniffing(rig);
	hello.data[5 + 4 + 2 + 32] = 0xff; /* the length of the session id */
	feed(hello.data, hello.len);
	assert_string_equal(rig->service.sessions->step->name, "drain_input");
	assert_alert(ALERT_DECODE_ERROR);
	assert_memory_equal(client.out, "\x15\x03\x03\x00\x02\x02\x32", 7);
	client_leaves(rig);
	assert_ended(rig, END_BAD_HELLO, "step=drain_input end=");
	start_sniffing(rig);
	feed("\x16\x03\x01\x02\x00\x01\x01\x00\x00\x00", 10); /* over CLIENT_HELLO_MAX */
	assert_alert(ALERT_DECODE_ERROR);
	client_leaves(rig);
	assert_int_equal(rig_ends(rig, END_BAD_HELLO), 2);
}

/* Over a socket: nothing is taken from the kernel's queue. */
static void sniffing_takes_nothing(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("app.test", NULL, 0);
	uint8_t again[MADE_HELLO_MAX];
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	rig_start_fd(rig, fds[0], sniff_steps);
	assert_int_equal(write(fds[1], hello.data, 60), 60);
	rig_run_for(rig, 5);
	assert_int_equal(write(fds[1], hello.data + 60, hello.len - 60), hello.len - 60);
	rig_run_until(rig, has_passed(rig->service.sessions));
	assert_int_equal(recv(fds[0], again, sizeof again, 0), hello.len);
	assert_memory_equal(again, hello.data, hello.len);
	session_end(rig->service.sessions, END_KILLED, "killed");
	close(fds[1]);
}

/* choose_route */

static const struct step choose_steps[] = {
	{"sniff", step_sniff, NULL}, {"choose_route", step_choose_route, NULL}, PASSED, {0}};

static struct session *choose_with(struct rig *rig, const struct made_hello *hello)
{
	struct session *session = rig_start_fake(rig, &client);
	fake_feed(&client, hello->data, hello->len);
	rig_go(session, choose_steps);
	return rig->service.sessions;
}

static struct session *choose(struct rig *rig, const char *sni, const char *alpn)
{
	struct made_hello hello = made_hello(sni, alpn, 0);
	return choose_with(rig, &hello);
}

static struct route *route_of(const struct rig *rig, const char *name, const char *alpn)
{
	struct route *route =
		routes_find(rig->service.routes, span_of_string(name), span_of_string(alpn));
	assert_non_null(route);
	return route;
}

static void a_known_name_has_its_route(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = choose(rig, "APP.test",
		"\x02h2\x03"
		"foo");
	assert_true(has_passed(session));
	assert_ptr_equal(session->route, route_of(rig, "app.test", ""));
	assert_null(session->context);
	assert_string_equal(session->hello->sni, "app.test");
	assert_string_equal(session->hello->alpn_offered, "h2,foo");
	assert_int_equal(session->hello->alpn.len, 0);
	session_end(session, END_KILLED, "killed");
	session = choose(rig, "ssh.test",
		"\x03"
		"foo\x03ssh");
	assert_true(has_passed(session));
	assert_ptr_equal(session->route, route_of(rig, "ssh.test", "ssh"));
	assert_true(span_equal(session->hello->alpn, span_of_string("ssh")));
	assert_int_equal(rig_row(rig, "ssh.test").active, 1);
	session_end(session, END_KILLED, "killed");
	assert_int_equal(rig_row(rig, "ssh.test").active, 0);
	assert_int_equal(rig_row(rig, "ssh.test").connections, 1);
}

static void assert_refused(
	struct rig *rig, enum alert alert, enum end_reason reason, const char *words)
{
	assert_string_equal(rig->service.sessions->step->name, "drain_input");
	assert_alert(alert);
	client_leaves(rig);
	assert_true(rig_ends(rig, reason) > 0);
	assert_logged(words);
	rig_log_clear();
}

static void an_unknown_name_gets_an_alert(void **state)
{
	struct rig *rig = rig_of(state);
	choose(rig, "other.test", NULL);
	assert_refused(rig, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, "end=\"unknown server name\"");
	choose(rig, NULL, "\x08http/1.1");
	assert_refused(rig, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, "end=\"unknown server name\"");
}

/* Where there is a certificate to show it in, HTTP gets a page. */
static void an_unknown_name_may_get_a_page(void **state)
{
	static const struct step ldap_steps[] = {
		{"sniff", step_sniff, NULL}, {"choose_route", step_choose_route, NULL}, {0}};
	struct rig *rig = rig_of(state);
	struct made_hello hello = made_hello("other.test", "\x08http/1.1", 0);
	write_pair(rig);
	rig_load(rig, "\"hosts\": {" APP_TEST ", " WEB_TEST "}");
	int fds[2]; /* TLS needs a descriptor */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(write(fds[1], hello.data, hello.len), hello.len);
	rig_start_fd(rig, fds[0], choose_steps);
	struct session *session = rig->service.sessions;
	assert_string_equal(session->step->name, "handshake_client");
	assert_ptr_equal(session->context, route_of(rig, "web.test", "")->tls_no_client_auth);
	assert_null(session->route);
	session_end(session, END_KILLED, "killed");
	close(fds[1]);
	choose(rig, "other.test", "\x03ssh");
	assert_refused(rig, ALERT_UNRECOGNIZED_NAME, END_NO_HOST, "end=\"unknown server name\"");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(write(fds[1], hello.data, hello.len), hello.len);
	rig_start_fd(rig, fds[0], rig_wait_steps);
	session = rig->service.sessions;
	session->preface = preface_find("ldap"); /* who reads words of LDAP, and no pages */
	rig_go(session, ldap_steps);
	assert_string_equal(session->step->name, "handshake_client");
	assert_ptr_equal(session->step, refusal_steps);
	assert_ptr_equal(session->context, route_of(rig, "web.test", "")->tls_no_client_auth);
	session_end(session, END_KILLED, "killed");
	close(fds[1]);
}

static void no_common_protocol_gets_an_alert(void **state)
{
	struct rig *rig = rig_of(state);
	choose(rig, "ssh.test", "\x02h2");
	assert_refused(rig, ALERT_NO_APPLICATION_PROTOCOL, END_NO_PROTOCOL,
		"end=\"no common application protocol\"");
}

/* The first byte of `find` in the hello becomes `byte`. */
static struct made_hello patched(const char *sni, const char *alpn, const char *find, uint8_t byte)
{
	struct made_hello hello = made_hello(sni, alpn, 0);
	uint8_t *at = memmem(hello.data, hello.len, find, strlen(find));
	assert_non_null(at);
	*at = byte;
	return hello;
}

static void names_that_are_none_get_an_alert(void **state)
{
	struct rig *rig = rig_of(state);
	struct made_hello hello = patched("app.test", NULL, ".test", 0);
	choose_with(rig, &hello);
	assert_refused(rig, ALERT_ILLEGAL_PARAMETER, END_BAD_HELLO,
		"end=\"server name holds a NUL byte\"");
	hello = patched("app.test", "\x08http/1.1", "\x08http", 0);
	choose_with(rig, &hello);
	assert_refused(
		rig, ALERT_DECODE_ERROR, END_BAD_HELLO, "end=\"ALPN list holds an empty id\"");
}

static void drained_hosts_take_no_connections(void **state)
{
	struct rig *rig = rig_of(state);
	assert_int_equal(routes_drain_host(rig->service.routes, "app.test", true), 1);
	choose(rig, "app.test", NULL);
	assert_refused(rig, ALERT_INTERNAL_ERROR, END_DRAINED, "end=drained");
	routes_drain_host(rig->service.routes, "app.test", false);
	atomic_store(&rig->limits.drained, true);
	choose(rig, "app.test", NULL);
	assert_refused(rig, ALERT_INTERNAL_ERROR, END_DRAINED, "end=drained");
	atomic_store(&rig->limits.drained, false);
	assert_true(has_passed(choose(rig, "app.test", NULL)));
}

static void a_host_has_its_slots(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *first = choose(rig, "app.test", NULL);
	struct route *route = first->route;
	assert_true(has_passed(first));
	assert_int_equal(atomic_load(&route->slots->active), 1);
	static struct fake_stream other; /* `client` is the next one's */
	rig_use_fake(first, &other);
	choose(rig, "app.test", NULL);
	assert_alert(ALERT_INTERNAL_ERROR);
	assert_int_equal(atomic_load(&route->slots->active), 1);
	client_leaves(rig);
	assert_logged("end=\"max_connections of the host reached\"");
	assert_int_equal(rig_ends(rig, END_LIMIT), 1);
	assert_int_equal(atomic_load(&route->slots->active), 1);
	session_end(first, END_DONE, "done");
	assert_true(has_passed(choose(rig, "app.test", NULL)));
}

/* acquire_slot */

static const struct step slot_steps[] = {{"acquire_slot", step_acquire_slot, NULL}, PASSED, {0}};

static struct session *start_forward(struct rig *rig)
{
	struct sockaddr source = {.sa_family = AF_UNIX};
	struct session_start start = {.fd = rig_spare_fd(),
		.source = &source,
		.listener = &rig->listener,
		.steps = slot_steps,
		.forward = route_of(rig, "app.test", "")};
	session_start(&rig->service, &start);
	return rig->service.sessions;
}

static void a_forward_has_its_slots(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *first = start_forward(rig);
	assert_true(has_passed(first));
	start_forward(rig);
	assert_int_equal(rig->gone, 1);
	assert_int_equal(rig_ends(rig, END_LIMIT), 1);
	assert_logged("end=\"max_connections of the forward reached\"");
	session_end(first, END_DONE, "done");
	atomic_store(&rig->limits.drained, true);
	start_forward(rig);
	assert_ended(rig, END_DRAINED, "end=drained");
}

/* send_close and drain_input */

static enum step_result step_refuse(struct session *session)
{
	session_enters_step(session);
	return session_refuse(session, END_NO_HOST, "refused");
}

static const struct step refuse_steps[] = {{"refuse", step_refuse, NULL}, {0}};

static void a_close_may_have_to_wait(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	client.end_result = IO_AGAIN;
	rig_go(session, refuse_steps);
	assert_string_equal(session->step->name, "send_close");
	assert_int_equal(client.watched, EV_WRITE);
	client.end_result = IO_DONE;
	assert_true(fake_ready(&client));
	assert_string_equal(session->step->name, "drain_input");
	assert_int_equal(client.watched, EV_READ);
	assert_int_equal(client.half_closes, 2);
	client_leaves(rig);
	assert_ended(rig, END_NO_HOST, "step=drain_input end=refused");
	assert_int_equal(client.full_closes, 0);
	assert_int_equal(client.aborts, 0);
}

/* A failed handshake has said its alert: the transport is ended all the same. */
static void a_close_that_fails_is_followed_by_draining(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	client.end_result = IO_FAIL;
	rig_go(session, refuse_steps);
	assert_string_equal(session->step->name, "drain_input");
	assert_int_equal(client.drains, 1);
	client.in_broken = true;
	assert_true(fake_ready(&client));
	assert_ended(rig, END_NO_HOST, "end=refused");
}

static void what_a_refused_client_sends_is_dropped(void **state)
{
	struct rig *rig = rig_of(state);
	rig_go(rig_start_fake(rig, &client), refuse_steps);
	for (int i = 0; i < 10; i++) {
		feed("more", 4);
		assert_int_equal(fake_waiting(&client), 0);
	}
	assert_int_equal(rig->gone, 0);
	client_leaves(rig);
}

/* However fast it sends: others have their turn, and it is not cut off before it ends. */
static void a_client_that_sends_on_is_read_by_turns(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	client.in_endless = true;
	rig_go(session, refuse_steps);
	for (int turn = 0; turn < 20; turn++) {
		assert_int_equal(rig->gone, 0);
		assert_int_equal(client.watched, EV_READ);
		assert_in_range(client.drains, 1, 8);
		client.drains = 0;
		fake_ready(&client);
	}
	client.in_endless = false;
	client_leaves(rig);
}

static void lingering_has_a_deadline(void **state)
{
	struct rig *rig = rig_of(state);
	struct session *session = rig_start_fake(rig, &client);
	rig_go(session, refuse_steps);
	ev_tstamp left = session->deadline - loop_ctx_now(&rig->service.ctx);
	assert_true(left > 0 && left <= 2.01);
	/* Sooner than that: the engine ends it by the same reason and words. */
	session_set_deadline(session, 5, session->timeout_reason, session->timeout_words);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_NO_HOST, "step=drain_input end=refused");
}

static void a_client_that_is_gone_misses_its_alert(void **state)
{
	struct rig *rig = rig_of(state);
	start_sniffing(rig);
	client.out_broken = true;
	client.in_ended = true;
	client.end_result = IO_FAIL;
	feed("\x16\x03\x01\x02\x00\x01\x01\x00\x00\x00", 10);
	fake_ready(&client);
	assert_ended(rig, END_BAD_HELLO, "step=drain_input");
}

/* answer_421 */

static const struct step answer_steps[] = {{"answer_421", step_answer_421, NULL}, {0}};

static void start_answering(struct rig *rig)
{
	struct session *session = rig_start_fake(rig, &client);
	rig_go(session, answer_steps);
	assert_int_equal(client.watched, EV_READ);
}

static void assert_answered(struct rig *rig, bool has_body)
{
	static const char status[] = "HTTP/1.1 421 Misdirected Request\r\n";
	assert_string_equal(rig->service.sessions->step->name, "drain_input");
	client.out[client.out_len] = '\0';
	assert_memory_equal(client.out, status, sizeof status - 1);
	const char *body = strstr((const char *)client.out, "\r\n\r\n");
	const char *length = strstr((const char *)client.out, "Content-Length: ");
	assert_true(body && length && length < body);
	body += 4;
	size_t promised = (size_t)atoi(length + 16);
	assert_true(promised > 100);
	assert_int_equal(strlen(body), has_body ? promised : 0);
	client_leaves(rig);
	assert_logged("reason=no_host ");
	assert_logged("end=\"unknown server name: answered 421\"");
}

static void assert_answered_at_every_split(struct rig *rig, const char *request, bool has_body)
{
	size_t len = strlen(request);
	log_configure(LOG_INFO_LEVEL, false);
	for (size_t at = 1; at <= len; at++) {
		rig->service.log_ratelimit.kinds[0][0].seen = 0;
		start_answering(rig);
		feed(request, at);
		assert_int_equal(client.out_len > 0, at == len);
		if (at < len)
			feed(request + at, len - at);
		assert_answered(rig, has_body);
	}
}

static void requests_are_answered_at_every_split(void **state)
{
	struct rig *rig = rig_of(state);
	assert_answered_at_every_split(
		rig, "GET / HTTP/1.1\r\nHost: other.test\r\nX: y\r\n\r\n", true);
	assert_answered_at_every_split(rig, "GET / HTTP/1.0\n\n", true);
	assert_answered_at_every_split(rig, "HEAD / HTTP/1.1\r\nHost: other.test\r\n\r\n", false);
	assert_answered_at_every_split(rig, "HEADER / HTTP/1.1\r\n\r\n", true);
	start_answering(rig);
	feed("HEAD \0\0 HTTP/1.1\n\n", 18);
	assert_answered(rig, false);
}

/* No request will follow: the first line is enough. */
static void what_is_not_http_is_answered_at_once(void **state)
{
	assert_answered_at_every_split(rig_of(state), "SSH-2.0-OpenSSH_9.2\r\n", true);
	assert_answered_at_every_split(rig_of(state), "\n", true);
}

static void an_end_is_a_request(void **state)
{
	struct rig *rig = rig_of(state);
	start_answering(rig);
	feed("GET / HT", 8);
	client.in_ended = true;
	assert_true(fake_ready(&client));
	fake_ready(&client);
	assert_ended(rig, END_NO_HOST, "end=\"unknown server name: answered 421\"");
	assert_true(client.out_len > 100);
}

static void a_request_without_end_is_answered(void **state)
{
	struct rig *rig = rig_of(state);
	char much[1024];
	memset(much, 'x', sizeof much);
	start_answering(rig);
	feed("GET / HTTP/1.1\r\nX: ", 19);
	for (int i = 0; i < 62; i++)
		feed(much, sizeof much);
	assert_int_equal(client.out_len, 0);
	for (int i = 0; i < 3; i++)
		feed(much, sizeof much);
	assert_answered(rig, true);
}

static void a_client_may_leave_before_its_answer(void **state)
{
	struct rig *rig = rig_of(state);
	start_answering(rig);
	client.in_broken = true;
	assert_true(fake_ready(&client));
	assert_ended(rig, END_NO_HOST, "client gone before the 421");
	start_answering(rig);
	client.out_broken = true;
	feed("\n", 1);
	assert_int_equal(rig_ends(rig, END_NO_HOST), 2);
}

/* connect_upstream */

static const struct step connect_steps[] = {
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream}, PASSED, {0}};

struct server_socket {
	int fd;
	uint16_t port;
};

static struct server_socket server_bind(void)
{
	struct sockaddr_in address = rig_source("127.0.0.1", 0);
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return (struct server_socket){fd, ntohs(address.sin_port)};
}

static struct server_socket server_open(void)
{
	struct server_socket server = server_bind();
	assert_int_equal(listen(server.fd, 8), 0);
	return server;
}

/* One on which connections wait for ever: its queue is full. */
static struct server_socket server_full(int fillers[4])
{
	struct server_socket server = server_bind();
	assert_int_equal(listen(server.fd, 0), 0);
	struct sockaddr_in address = rig_source("127.0.0.1", server.port);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&address, sizeof address);
	}
	return server;
}

static int server_accept(const struct server_socket *server)
{
	struct pollfd poll_fd = {.fd = server->fd, .events = POLLIN};
	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	int fd = accept(server->fd, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

/* `format` has a %u for each port. */
static void load_servers(
	struct rig *rig, const char *more, const struct server_socket *servers, size_t count)
{
	char config[1024], list[256] = "";
	for (size_t i = 0; i < count; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s\"127.0.0.1:%u\"",
			i ? ", " : "", servers[i].port);
	snprintf(config, sizeof config,
		"\"proxy\": {\"dial_timeout\": \"20ms\"}, \"hosts\": {\"app.test\": "
		"{\"mode\": \"passthrough\", \"backend\": {\"servers\": [%s], "
		"\"balance\": \"round_robin\"%s}}}",
		list, more);
	rig_load(rig, config);
}

/* Its list of facts is what a sniffed hello would have left. */
static struct session *start_connecting(struct rig *rig)
{
	static const char sni[] = "app.test";
	struct session *session = rig_start_fake(rig, &client);
	struct hello_facts *hello = calloc(1, sizeof *hello + sizeof sni);
	hello->sni = memcpy(hello + 1, sni, sizeof sni);
	hello->alpn_offered = hello->sni + sizeof sni - 1;
	hello->alpn = span_of(hello->sni, 0);
	session->hello = hello;
	session->route = route_of(rig, "app.test", "");
	ev_now_update(rig->service.ctx.loop);
	rig_go(session, connect_steps);
	return rig->service.sessions;
}

static void a_server_is_connected_to(void **state)
{
	struct rig *rig = rig_of(state);
	struct server_socket server = server_open();
	load_servers(rig, "", &server, 1);
	struct session *session = start_connecting(rig);
	rig_run_until(rig, has_passed(session));
	int fd = server_accept(&server);
	assert_non_null(session->upstream);
	struct buf buf = {.data = (uint8_t[]){"hi"}, .end = 2, .size = 2};
	char got[8];
	assert_int_equal(stream_write(session->upstream, &buf), IO_DONE);
	assert_int_equal(read(fd, got, sizeof got), 2);
	assert_true(session->deadline == 0);
	session_end(session, END_KILLED, "killed");
	char line[64];
	snprintf(line, sizeof line, "upstream=127.0.0.1:%u", server.port);
	assert_logged(line);
	assert_int_equal(read(fd, got, sizeof got), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	close(server.fd);
}

static void the_next_server_is_tried(void **state)
{
	struct rig *rig = rig_of(state);
	struct server_socket servers[] = {server_bind(), server_open()}; /* the first refuses */
	load_servers(rig, "", servers, 2);
	struct session *session = start_connecting(rig);
	rig_run_until(rig, has_passed(session));
	struct server *all = session->route->backend->servers;
	assert_int_equal(session->server, 1);
	assert_int_equal(counter_get(&rig->service.counters->dial_errors), 1);
	assert_int_equal(atomic_load(&all[0].state->active), 0);
	assert_int_equal(atomic_load(&all[1].state->active), 1);
	assert_int_equal(atomic_load(&all[0].state->failures), 1);
	assert_logged("msg=\"server marked down\"");
	assert_logged("connection refused");
	/* While it is down the other one is chosen, whose turn it would not be. */
	session_end(session, END_KILLED, "killed");
	for (int i = 0; i < 3; i++) {
		session = start_connecting(rig);
		rig_run_until(rig, has_passed(session));
		assert_int_equal(session->server, 1);
		session_end(session, END_KILLED, "killed");
	}
	assert_int_equal(counter_get(&rig->service.counters->dial_errors), 1);
	/* Its time is up, and it listens again. */
	atomic_store(&all[0].state->down_until, 0);
	assert_int_equal(listen(servers[0].fd, 8), 0);
	for (int i = 0; i < 2; i++) {
		session = start_connecting(rig);
		rig_run_until(rig, has_passed(session));
		session_end(session, END_KILLED, "killed");
	}
	assert_int_equal(rig_logged("msg=\"server marked up\""), 1);
	close(servers[0].fd);
	close(servers[1].fd);
}

static void without_a_server_a_passthrough_client_is_closed(void **state)
{
	struct rig *rig = rig_of(state);
	struct server_socket servers[5];
	for (int i = 0; i < 5; i++)
		servers[i] = server_bind();
	load_servers(rig, "", servers, 5);
	start_connecting(rig);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_DIAL, "step=connect_upstream end=\"upstream 127.0.0.1:");
	assert_logged("level=warning msg=connection");
	assert_int_equal(counter_get(&rig->service.counters->dial_errors), 3);
	assert_int_equal(client.out_len + client.half_closes, 0);
	assert_int_equal(client.aborts, 1);
	for (int i = 0; i < 5; i++)
		close(servers[i].fd);
}

static void without_a_server_a_tls_client_gets_a_reset(void **state)
{
	struct rig *rig = rig_of(state);
	struct server_socket server = server_bind();
	load_servers(rig, "", &server, 1);
	static struct tls_context *const is_terminated = (struct tls_context *)&client;
	struct session *session = rig_start_fake(rig, &client);
	session->route = route_of(rig, "app.test", "");
	session->context = is_terminated; /* looked at, and not into */
	rig_go(session, connect_steps);
	rig_run_until(rig, rig->gone == 1);
	assert_ended(rig, END_DIAL, "step=connect_upstream end=\"upstream 127.0.0.1:");
	assert_int_equal(client.out_len + client.half_closes + client.full_closes, 0);
	assert_int_equal(client.aborts, 1);
	close(server.fd);
}

static void drained_servers_are_not_tried(void **state)
{
	struct rig *rig = rig_of(state);
	struct server_socket server = server_open();
	load_servers(rig, "", &server, 1);
	atomic_store(&route_of(rig, "app.test", "")->backend->servers[0].drained, true);
	start_connecting(rig);
	assert_ended(rig, END_DIAL, "end=\"no server left\"");
	close(server.fd);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
	struct rig *rig = rig_of(state);
	int fillers[4];
	struct server_socket servers[] = {server_full(fillers), server_open()};
	load_servers(rig, "", servers, 2);
	struct session *session = start_connecting(rig);
	uint64_t started_us = clock_now_us();
	rig_run_until(rig, has_passed(session));
	assert_true(clock_now_us() - started_us >= 15000);
	assert_int_equal(session->server, 1);
	assert_logged("dial timeout");
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(servers[0].fd);
	close(servers[1].fd);
}

static void a_session_may_end_while_it_connects(void **state)
{
	struct rig *rig = rig_of(state);
	int fillers[4];
	struct server_socket servers[] = {server_bind(), server_full(fillers)};
	load_servers(rig, "", servers, 2);
	struct session *session = start_connecting(rig);
	rig_run_until(rig, session->server == 1); /* with a failure behind it */
	struct server_state *state_of = session->route->backend->servers[1].state;
	assert_int_equal(atomic_load(&state_of->active), 1);
	session_end(session, END_STOPPED, "shutting down");
	assert_int_equal(atomic_load(&state_of->active), 0);
	rig_run_for(rig, 25); /* no timer is left behind */
	assert_ended(rig, END_STOPPED, "step=connect_upstream");
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(servers[0].fd);
	close(servers[1].fd);
}

static size_t read_header(struct rig *rig, const char *more, uint8_t *out, size_t size)
{
	struct server_socket server = server_open();
	load_servers(rig, more, &server, 1);
	struct session *session = start_connecting(rig);
	rig_run_until(rig, has_passed(session));
	session_end(session, END_KILLED, "killed");
	int fd = server_accept(&server);
	size_t len = 0;
	for (ssize_t n; (n = read(fd, out + len, size - len)) > 0;)
		len += (size_t)n;
	close(fd);
	close(server.fd);
	return len;
}

static void a_proxy_header_comes_first(void **state)
{
	struct rig *rig = rig_of(state);
	uint8_t bytes[512];
	struct proxy_header header;
	size_t len = read_header(rig, ", \"proxy_protocol\": \"v1\"", bytes, sizeof bytes);
	assert_int_equal(proxy_header_parse(span_of(bytes, len), &header), PROXY_WHOLE);
	assert_int_equal(header.len, len);
	assert_int_equal(header.version, 1);
	assert_memory_equal(bytes, "PROXY UNKNOWN\r\n", 15); /* the fake has no address of ours */
	len = read_header(rig, ", \"proxy_protocol\": \"v2\"", bytes, sizeof bytes);
	assert_int_equal(proxy_header_parse(span_of(bytes, len), &header), PROXY_WHOLE);
	assert_int_equal(header.len, len);
	assert_int_equal(header.version, 2);
	assert_true(header.local);
}

/* Where both ends are known: by a PROXY header of the client's own proxy. */
static size_t header_of(struct rig *rig, enum proxy_out version, uint8_t *out, size_t size)
{
	struct server_socket server = server_open();
	load_servers(rig, "", &server, 1);
	struct session *session = rig_start_fake(rig, &client);
	session->route = route_of(rig, "app.test", "");
	session->told_destination.v4 = rig_source("198.51.100.7", 443);
	session->hello = calloc(1, sizeof *session->hello);
	session->hello->sni = (char[]){"app.test"};
	session->hello->alpn_offered = (char[]){""};
	session->route->backend->proxy_protocol = version;
	client.facts = (struct stream_facts){.tls_version = "TLSv1.3", .cipher = "A"};
	size_t len = write_proxy_header(session, out, size);
	session_end(session, END_KILLED, "killed");
	close(server.fd);
	return len;
}

static void a_proxy_header_says_who_connected(void **state)
{
	static const char v1[] = "PROXY TCP4 192.0.2.1 198.51.100.7 50000 443\r\n";
	struct rig *rig = rig_of(state);
	uint8_t bytes[512];
	struct proxy_header header;
	struct span value, tlvs;
	unsigned type;
	bool has_authority = false, has_tls = false;
	assert_int_equal(header_of(rig, PROXY_OUT_V1, bytes, sizeof bytes), sizeof v1 - 1);
	assert_memory_equal(bytes, v1, sizeof v1 - 1);
	size_t len = header_of(rig, PROXY_OUT_V2, bytes, sizeof bytes);
	assert_int_equal(proxy_header_parse(span_of(bytes, len), &header), PROXY_WHOLE);
	assert_false(header.local);
	assert_int_equal(ntohs(header.source.v4.sin_port), 50000);
	assert_int_equal(ntohs(header.destination.v4.sin_port), 443);
	tlvs = header.tlvs;
	while (proxy_tlv_next(&tlvs, &type, &value)) {
		has_authority |= type == PROXY_TLV_AUTHORITY &&
			span_equal(value, span_of_string("app.test"));
		has_tls |= type == PROXY_TLV_SSL;
	}
	assert_true(has_authority && has_tls);
}

/* The lists. */

static void assert_list(const struct step *steps, const char *expected)
{
	char names[256] = "";
	for (; steps->name; steps++)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", steps->name);
	assert_string_equal(names, expected);
}

static void lists_are_for_listeners(void **state)
{
	const struct preface *prefaces[] = {preface_find("ldap"), NULL};
	struct listener_config plain = {0}, ldap = {.prefaces = prefaces};
	struct route forward = {0};
	(void)state;
	assert_list(steps_for(&plain, NULL, false),
		"admit_source sniff choose_route handshake_client connect_upstream relay ");
	assert_list(steps_for(NULL, NULL, false),
		"admit_source sniff choose_route handshake_client connect_upstream relay ");
	assert_list(steps_for(&plain, &forward, false),
		"admit_source acquire_slot connect_upstream relay ");
	assert_list(steps_for(&ldap, NULL, false), "admit_source preface sniff ");
	assert_list(steps_for(&ldap, NULL, true), "preface admit_source ");
	assert_list(misdirected_steps, "handshake_client answer_421 ");
	assert_list(joined_steps, "first_message connect_upstream join relay ");
	assert_list(refusal_steps, "handshake_client say_refusal ");
	assert_list(linger_steps, "send_close drain_input ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits_sources_are_not_counted),
		TEST(a_source_has_its_share),
		TEST(a_source_has_its_rate),
		TEST(local_clients_have_no_source),
		TEST(hellos_are_sniffed_at_every_split),
		TEST(a_hello_may_come_byte_by_byte),
		TEST(a_hello_is_looked_at_a_few_times),
		TEST(a_client_that_leaves_sent_no_hello),
		TEST(an_end_behind_half_a_hello_is_seen),
		TEST(a_whole_hello_with_an_end_is_a_hello),
		TEST(a_client_may_send_nothing),
		TEST(a_silent_client_meets_the_hello_timeout),
		TEST(a_stream_that_wakes_for_nothing_does_not_spin),
		TEST(what_is_not_tls_is_closed),
		TEST(a_broken_hello_gets_an_alert),
		TEST(sniffing_takes_nothing),
		TEST(a_known_name_has_its_route),
		TEST(an_unknown_name_gets_an_alert),
		TEST(an_unknown_name_may_get_a_page),
		TEST(no_common_protocol_gets_an_alert),
		TEST(names_that_are_none_get_an_alert),
		TEST(drained_hosts_take_no_connections),
		TEST(a_host_has_its_slots),
		TEST(a_forward_has_its_slots),
		TEST(a_close_may_have_to_wait),
		TEST(a_close_that_fails_is_followed_by_draining),
		TEST(what_a_refused_client_sends_is_dropped),
		TEST(a_client_that_sends_on_is_read_by_turns),
		TEST(lingering_has_a_deadline),
		TEST(a_client_that_is_gone_misses_its_alert),
		TEST(requests_are_answered_at_every_split),
		TEST(what_is_not_http_is_answered_at_once),
		TEST(an_end_is_a_request),
		TEST(a_request_without_end_is_answered),
		TEST(a_client_may_leave_before_its_answer),
		TEST(a_server_is_connected_to),
		TEST(the_next_server_is_tried),
		TEST(without_a_server_a_passthrough_client_is_closed),
		TEST(without_a_server_a_tls_client_gets_a_reset),
		TEST(drained_servers_are_not_tried),
		TEST(a_server_that_does_not_answer_is_given_up),
		TEST(a_session_may_end_while_it_connects),
		TEST(a_proxy_header_comes_first),
		TEST(a_proxy_header_says_who_connected),
		TEST(lists_are_for_listeners),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
