/*
 * Decisions against a naive model: random tables and random hellos, on the wire, must lead where a
 * reader of the manual expects. Prints its seed; DECISION_SEED=N repeats a run.
 */
#include "route/decision.h"

#include "made_certificate.h"
#include "route/drain.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TABLES      1000
#define HELLOS      24 /* of each table */
#define HOSTS_MAX   40
#define ENTRIES_MAX 4

/* The model's idea of a configuration. */
struct entry {
	const char *id; /* NULL: the host itself */
	bool terminates;
};

struct model_host {
	char name[64];
	bool has_own;
	struct entry own, entries[ENTRIES_MAX];
	unsigned entry_count, offer_count;
	const char *offer[2];
	bool is_drained;
};

struct table {
	struct model_host hosts[HOSTS_MAX];
	unsigned count;
};

/* A client: what it sends, and what the model has to know of it. */
enum flaw { FLAWLESS, CUT_OFF, NOT_TLS, BROKEN, BAD_NAME, BAD_ALPN };

struct client {
	enum flaw flaw;
	char name[64];
	const char *alpn[4];
	unsigned alpn_count;
	bool all_drained, is_preface_unknown;
	const struct preface *preface;
	uint8_t wire[512];
	size_t len;
};

struct fixture {
	char certificate[64], key[64], path[64];
	struct tls_store *store;
	struct servers *servers;
	uint64_t random;
};

static const char *const ids[] = {"h2", "http/1.1", "http/1.0", "ssh", "x"};

static const struct preface greets = {.name = "greets", .speaks_first = true},
			    silent = {.name = "silent"}, web = {.name = "web", .is_web = true};
/* Most clients begin with TLS. */
static const struct preface *const prefaces[] = {
	NULL, NULL, NULL, NULL, NULL, NULL, &greets, &silent, &web};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* xorshift64*: the same numbers everywhere. */
static unsigned random_below(struct fixture *fixture, unsigned bound)
{
	uint64_t x = fixture->random;
	x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
	fixture->random = x;
	return (unsigned)((x * 0x2545f4914f6cdd1dull) >> 33) % bound;
}

static bool chance(struct fixture *fixture, unsigned one_in)
{
	return random_below(fixture, one_in) == 0;
}

/* Few labels, so that names and tables meet often. */
static void random_name(struct fixture *fixture, char *out)
{
	static const char *const tops[] = {"test", "example", "b.test"};
	unsigned labels = random_below(fixture, 4);
	*out = '\0';
	for (unsigned i = 0; i < labels; i++) {
		*out++ = (char)('a' + random_below(fixture, 4));
		*out++ = '.';
	}
	strcpy(out, tops[random_below(fixture, COUNT(tops))]);
}

static struct model_host *find_host(struct table *table, const char *name)
{
	for (unsigned i = 0; i < table->count; i++)
		if (strcmp(table->hosts[i].name, name) == 0)
			return &table->hosts[i];
	return NULL;
}

static void random_host(struct fixture *fixture, struct table *table)
{
	struct model_host host = {.has_own = !chance(fixture, 5)};
	unsigned kind = random_below(fixture, 10);
	if (kind == 0)
		strcpy(host.name, "*");
	else if (kind < 4)
		strcpy(host.name, "*.");
	if (kind != 0)
		random_name(fixture, host.name + strlen(host.name));
	if (find_host(table, host.name))
		return;
	host.own.terminates = chance(fixture, 2);
	unsigned first = random_below(fixture, COUNT(ids));
	host.entry_count = host.has_own ? random_below(fixture, 3) : 1 + random_below(fixture, 3);
	for (unsigned i = 0; i < host.entry_count; i++)
		host.entries[i] = (struct entry){ids[(first + i) % COUNT(ids)], chance(fixture, 2)};
	host.offer_count = host.has_own && host.own.terminates ? random_below(fixture, 3) : 0;
	for (unsigned i = 0; i < host.offer_count; i++)
		host.offer[i] = ids[(first + 2 * i + 1) % COUNT(ids)];
	host.is_drained = chance(fixture, 12);
	table->hosts[table->count++] = host;
}

/* The configuration that says so. */

static void write_mode(const struct fixture *fixture, FILE *file, bool terminates)
{
	if (terminates)
		fprintf(file,
			"\"mode\": \"terminate\", \"cert\": \"%s\", \"key\": \"%s\", \"backend\": \"[::1]:2\"",
			fixture->certificate, fixture->key);
	else
		fprintf(file, "\"mode\": \"passthrough\", \"backend\": \"[::1]:1\"");
}

static void write_host(const struct fixture *fixture, FILE *file, const struct model_host *host)
{
	const char *comma = "";
	fprintf(file, "\"%s\": {", host->name);
	if (host->has_own) {
		write_mode(fixture, file, host->own.terminates);
		comma = ", ";
	}
	for (unsigned i = 0; i < host->offer_count; i++)
		fprintf(file, "%s\"%s\"%s", i ? ", " : ", \"offer_alpn\": [", host->offer[i],
			i + 1 == host->offer_count ? "]" : "");
	fprintf(file, "%s\"alpn\": {", comma);
	for (unsigned i = 0; i < host->entry_count; i++) {
		fprintf(file, "%s\"%s\": {", i ? ", " : "", host->entries[i].id);
		write_mode(fixture, file, host->entries[i].terminates);
		fputc('}', file);
	}
	fputs("}}", file);
}

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)report;
	if (severity == SEVERITY_ERROR)
		fail_msg("%s", text);
}

static struct routes *load(struct fixture *fixture, const struct table *table)
{
	struct report report = {.on_finding = on_finding};
	struct path_set paths = {0};
	struct routes_setup setup = {fixture->path, fixture->store, fixture->servers};
	FILE *file = fopen(fixture->path, "w");
	assert_non_null(file);
	fputs("{\"listen\": \":443\", \"hosts\": {", file);
	for (unsigned i = 0; i < table->count; i++) {
		fputs(i ? ",\n" : "\n", file);
		write_host(fixture, file, &table->hosts[i]);
	}
	fputs("}}\n", file);
	fclose(file);
	struct routes *routes = routes_load(&setup, &paths, &report);
	assert_non_null(routes);
	tls_store_end(fixture->store, true);
	path_set_finish(&paths);
	for (unsigned i = 0; i < table->count; i++)
		if (table->hosts[i].is_drained)
			routes_drain_host(routes, table->hosts[i].name, true);
	return routes;
}

/* The hello. */

static void put(struct client *client, const void *data, size_t len)
{
	assert_true(client->len + len <= sizeof client->wire);
	memcpy(client->wire + client->len, data, len);
	client->len += len;
}

static void put_u16(struct client *client, size_t value)
{
	put(client, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_name(struct client *client)
{
	size_t len = strlen(client->name);
	if (len == 0)
		return;
	put_u16(client, 0);
	put_u16(client, len + 5);
	put_u16(client, len + 3);
	put(client, "", 1);
	put_u16(client, len);
	put(client, client->name, len);
}

static void put_alpn(struct client *client)
{
	size_t len = 0;
	for (unsigned i = 0; i < client->alpn_count; i++)
		len += strlen(client->alpn[i]) + 1;
	if (client->alpn_count == 0)
		return;
	put_u16(client, 16);
	put_u16(client, len + 2);
	put_u16(client, len);
	for (unsigned i = 0; i < client->alpn_count; i++) {
		/* One byte more than there is in the list. */
		bool is_bad = client->flaw == BAD_ALPN && i + 1 == client->alpn_count;
		uint8_t id_len = (uint8_t)(strlen(client->alpn[i]) + is_bad);
		put(client, &id_len, 1);
		put(client, client->alpn[i], strlen(client->alpn[i]));
	}
}

static void set_u16(struct client *client, size_t at, size_t value)
{
	client->wire[at] = (uint8_t)(value >> 8);
	client->wire[at + 1] = (uint8_t)value;
}

/* One record, one message; the lengths are filled in when they are known. */
static void write_hello(struct fixture *fixture, struct client *client)
{
	static const uint8_t start[] = {
		0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3, [43] = 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 0};
	put(client, start, sizeof start);
	put_name(client);
	put_alpn(client);
	bool is_overrun = client->flaw == BROKEN;
	set_u16(client, 3, client->len - 5);
	set_u16(client, 7, client->len - 9);
	set_u16(client, sizeof start - 2, client->len - sizeof start + is_overrun);
	if (client->flaw == NOT_TLS)
		client->wire[0] = 'G';
	if (client->flaw == CUT_OFF)
		client->len = random_below(fixture, (unsigned)client->len);
}

static void random_client(struct fixture *fixture, struct client *client)
{
	static const char *const bad_names[] = {"[::1]:443", "a..test", "a\tb.test"};
	static const char address[] = "192.0.2.1"; /* counts as no name */
	*client = (struct client){.flaw = FLAWLESS,
		.all_drained = chance(fixture, 40),
		.is_preface_unknown = chance(fixture, 4)};
	if (chance(fixture, 6))
		client->flaw = 1 + random_below(fixture, BAD_ALPN);
	if (client->flaw == BAD_NAME)
		strcpy(client->name, bad_names[random_below(fixture, COUNT(bad_names))]);
	else if (!chance(fixture, 8))
		random_name(fixture, client->name);
	else if (chance(fixture, 2))
		strcpy(client->name, address);
	if (!client->is_preface_unknown)
		client->preface = prefaces[random_below(fixture, COUNT(prefaces))];
	unsigned first = random_below(fixture, COUNT(ids));
	client->alpn_count = client->flaw == BAD_ALPN ? 2 : random_below(fixture, 4);
	for (unsigned i = 0; i < client->alpn_count; i++)
		client->alpn[i] = ids[(first + 2 * i) % COUNT(ids)];
	write_hello(fixture, client);
	if (strcmp(client->name, address) == 0)
		client->name[0] = '\0';
}

/* The model. */

static const struct model_host *model_match(struct table *table, const char *name)
{
	const struct model_host *found = *name ? find_host(table, name) : NULL;
	size_t longest = 0;
	if (found)
		return found;
	for (unsigned i = 0; i < table->count; i++) {
		const char *suffix = table->hosts[i].name + 1; /* ".b.test" */
		size_t len = strlen(suffix), name_len = strlen(name);
		if (table->hosts[i].name[0] != '*' || len <= longest || len >= name_len)
			continue;
		if (strcmp(name + name_len - len, suffix) == 0) {
			found = &table->hosts[i];
			longest = len;
		}
	}
	return found ? found : find_host(table, "*");
}

static bool model_terminates(const struct model_host *host)
{
	bool terminates = host->has_own && host->own.terminates;
	for (unsigned i = 0; i < host->entry_count; i++)
		terminates |= host->entries[i].terminates;
	return terminates;
}

static bool model_offers(const struct client *client, const char *id)
{
	for (unsigned i = 0; i < client->alpn_count; i++)
		if (strcmp(client->alpn[i], id) == 0)
			return true;
	return false;
}

/* Labels that two names share, from the right; a "*" is no label. */
static unsigned shared_labels(const char *a, const char *b)
{
	size_t i = strlen(a), j = strlen(b);
	unsigned count = 0;
	while (i > 0 && j > 0 && a[i - 1] == b[j - 1]) {
		i--, j--;
		count += a[i] == '.';
	}
	bool both_at_border = (i == 0 || a[i - 1] == '.') && (j == 0 || b[j - 1] == '.');
	bool is_label = i < strlen(a) && a[i] != '.' && a[i] != '*';
	return count + (both_at_border && is_label);
}

static unsigned most_shared(struct table *table, const char *name)
{
	unsigned most = 0;
	for (unsigned i = 0; i < table->count; i++) {
		unsigned shared = shared_labels(table->hosts[i].name, name);
		if (model_terminates(&table->hosts[i]) && shared > most)
			most = shared;
	}
	return most;
}

static void model_unknown(struct table *table, const struct client *client, char *out)
{
	bool has_certificate = false, is_web = client->alpn_count == 0;
	for (unsigned i = 0; i < table->count; i++)
		has_certificate |= model_terminates(&table->hosts[i]);
	is_web |= model_offers(client, "http/1.1") || model_offers(client, "http/1.0");
	if (has_certificate && is_web && (!client->preface || client->preface->is_web))
		sprintf(out, "421 %u %s", most_shared(table, client->name),
			model_offers(client, "http/1.1") ? "http/1.1" : "-");
	else
		strcpy(out, "alert unrecognized_name unknown server name");
}

static void model_route(const struct model_host *host, const struct client *client, char *out)
{
	const struct entry *entry = &host->own;
	const char *agreed = "-";
	for (unsigned i = client->alpn_count; i-- > 0;)
		for (unsigned j = 0; j < host->entry_count; j++)
			if (strcmp(client->alpn[i], host->entries[j].id) == 0)
				entry = &host->entries[j];
	if (entry != &host->own)
		agreed = entry->id;
	for (unsigned i = host->offer_count; i-- > 0 && entry == &host->own;)
		if (model_offers(client, host->offer[i]))
			agreed = host->offer[i];
	bool is_refused = host->offer_count > 0 && client->alpn_count > 0 && agreed[0] == '-';
	if (entry == &host->own && (!host->has_own || is_refused))
		strcpy(out, "alert no_application_protocol no common application protocol");
	else if (client->preface == &greets && !entry->terminates) /* and no backend does */
		strcpy(out,
			"alert no_application_protocol "
			"the greeting of the listener is not that of the backend");
	else if (host->is_drained || client->all_drained)
		strcpy(out, "alert internal_error drained");
	else
		sprintf(out, "route %s %s %s %s", host->name, entry->id ? entry->id : "-", agreed,
			entry->terminates ? "terminate" : "passthrough");
}

static void model_decide(struct table *table, const struct client *client, char *out)
{
	static const char *const flaws[] = {NULL, "wait", "close not TLS", "alert decode_error",
		"alert illegal_parameter", "alert decode_error"};
	const struct model_host *host = model_match(table, client->name);
	if (client->flaw != FLAWLESS)
		strcpy(out, flaws[client->flaw]);
	else if (host)
		model_route(host, client, out);
	else
		model_unknown(table, client, out);
}

/* The same of what was decided. */

static void id_text(struct span id, char out[ALPN_TEXT_MAX])
{
	alpn_text(id.len > 0 ? id : span_of("-", 1), out, ALPN_TEXT_MAX);
}

static void write_decision(
	const struct decision *decision, const struct client *client, char *out, size_t size)
{
	char words[DECISION_TEXT_MAX], key[ALPN_TEXT_MAX], agreed[ALPN_TEXT_MAX];
	decision_text(decision, words);
	id_text(decision->alpn, agreed);
	switch (decision->outcome) {
	case OUTCOME_ROUTE:
		id_text(decision->route->alpn, key);
		assert_ptr_equal(decision->context, decision->route->tls);
		snprintf(out, size, "route %s %s %s %s", decision->route->host, key, agreed,
			route_mode_name(decision->route));
		return;
	case OUTCOME_WAIT:
		snprintf(out, size, "wait");
		return;
	case OUTCOME_CLOSE:
		snprintf(out, size, "close %s", words);
		return;
	case OUTCOME_ALERT:
		snprintf(out, size, "alert %s%s%s", alert_name(decision->alert),
			client->flaw == FLAWLESS ? " " : "", client->flaw == FLAWLESS ? words : "");
		return;
	case OUTCOME_PAGE_421:
		assert_ptr_equal(decision->context, decision->closest->tls_no_client_auth);
		snprintf(out, size, "421 %u %s",
			shared_labels(decision->closest->host, client->name), agreed);
		return;
	case OUTCOME_REDIRECT: /* no listener here has "plaintext" */
		fail_msg("a redirect");
		return;
	case OUTCOME_REFUSAL: /* no preface here has words */
		fail_msg("a refusal in words");
		return;
	}
}

/* Each outcome has reasons of its own. */
static void assert_reason(const struct decision *decision)
{
	bool is_refusal = end_reason_info(decision->reason)->is_refusal;
	assert_int_equal(is_refusal, decision->outcome != OUTCOME_ROUTE);
	assert_int_equal(decision->words != NULL, decision->outcome != OUTCOME_ROUTE);
	if (decision->outcome == OUTCOME_PAGE_421)
		assert_int_equal(decision->reason, END_NO_HOST);
	if (decision->outcome == OUTCOME_CLOSE)
		assert_int_equal(decision->reason, END_NOT_TLS);
	assert_int_equal(decision->route != NULL,
		decision->outcome == OUTCOME_ROUTE || decision->reason == END_DRAINED);
}

static void compare(struct table *table, const struct routes *routes, const struct client *client)
{
	static struct client_hello hello;
	static uint8_t joined[CLIENT_HELLO_MAX];
	char expected[2048], got[2048];
	struct decision decision;
	struct route_facts facts = {.hello = &hello,
		.is_drained = client->all_drained,
		.preface = client->preface,
		.is_preface_unknown = client->is_preface_unknown};
	facts.verdict = client_hello_parse(span_of(client->wire, client->len), joined, &hello);
	route_decide(routes, &facts, &decision);
	model_decide(table, client, expected);
	write_decision(&decision, client, got, sizeof got);
	assert_string_equal(got, expected);
	assert_reason(&decision);
}

static void random_tables_and_hellos_agree(void **state)
{
	struct fixture *fixture = *state;
	static struct table table;
	static struct client client;
	for (unsigned i = 0; i < TABLES; i++) {
		table.count = 0;
		for (unsigned n = 1 + random_below(fixture, HOSTS_MAX); n > 0; n--)
			random_host(fixture, &table);
		struct routes *routes = load(fixture, &table);
		for (unsigned j = 0; j < HELLOS; j++) {
			random_client(fixture, &client);
			compare(&table, routes, &client);
		}
		routes_unref(routes);
	}
}

static void a_full_route_refuses(void **state)
{
	(void)state;
	struct server_state slots = {.active = 1};
	struct route route = {.slots = &slots, .max_connections = 2};
	struct decision decision = {.outcome = OUTCOME_ROUTE, .route = &route};
	char words[DECISION_TEXT_MAX];
	assert_false(route_is_full(&(struct route){0}));
	assert_false(route_is_full(&route));
	slots.active = 2;
	assert_true(route_is_full(&route));
	decision_refuse_full(&decision);
	decision_text(&decision, words);
	assert_string_equal(words, "max_connections of the host reached");
	assert_int_equal(decision.outcome, OUTCOME_ALERT);
	assert_int_equal(decision.reason, END_LIMIT);
	assert_ptr_equal(decision.route, &route);
}

static void assert_admitted(
	const struct route *route, const struct client_facts *client, bool is_admitted)
{
	struct admission admission;
	route_admit(route, client, &admission);
	assert_int_equal(admission.is_admitted, is_admitted);
	assert_non_null(admission.why);
}

static void certificates_are_judged_by_mode_trust_and_rules(void **state)
{
	(void)state;
	static const struct identity stranger;
	struct err err;
	struct acl *acl =
		acl_create(&(struct acl_config){.allow_cn = {(const char *[]){"alice"}, 1}}, &err);
	struct tls_context context = {0};
	struct route open = {.tls = &context}, strict = {.tls = &context, .acl = acl};
	struct client_facts none = {0}, trusted = {.identity = &stranger},
			    untrusted = {&stranger, "certificate has expired"};
	assert_non_null(acl);
	context.policy.verify = TLS_VERIFY_NONE;
	assert_admitted(&open, &none, true);
	assert_admitted(&open, &untrusted, true);
	context.policy.verify = TLS_VERIFY_OPTIONAL;
	assert_admitted(&open, &none, true);
	assert_admitted(&open, &trusted, true);
	assert_admitted(&open, &untrusted, false);
	context.policy.verify = TLS_VERIFY_REQUIRED;
	assert_admitted(&open, &none, false);
	assert_admitted(&open, &trusted, true);
	assert_admitted(&strict, &none, false);
	assert_admitted(&strict, &trusted, false);
	acl_free(acl);
}

static void write_pair(struct fixture *fixture)
{
	const struct made_name names[] = {{0, GEN_DNS, BYTES("any.test")}};
	EVP_PKEY *key = made_key();
	X509 *certificate = made_certificate(key, names, 1);
	FILE *file = fopen(fixture->key, "w");
	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
	file = fopen(fixture->certificate, "w");
	assert_non_null(file);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct err err;
	const char *seed = getenv("DECISION_SEED");
	int pid = (int)getpid();
	snprintf(fixture.path, sizeof fixture.path, "/tmp/test_decision.%d.json", pid);
	snprintf(fixture.key, sizeof fixture.key, "/tmp/test_decision.%d.key", pid);
	snprintf(fixture.certificate, sizeof fixture.certificate, "/tmp/test_decision.%d.crt", pid);
	fixture.store = tls_store_create(&err);
	fixture.servers = servers_create();
	fixture.random = seed ? strtoull(seed, NULL, 0) : ((uint64_t)time(NULL) << 16 ^ pid) | 1;
	printf("DECISION_SEED=%llu: %u tables, %u hellos each\n",
		(unsigned long long)fixture.random, TABLES, HELLOS);
	write_pair(&fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	tls_store_destroy(fixture->store);
	servers_destroy(fixture->servers);
	return unlink(fixture->path) | unlink(fixture->key) | unlink(fixture->certificate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_tables_and_hellos_agree, set_up, tear_down),
		cmocka_unit_test(a_full_route_refuses),
		cmocka_unit_test(certificates_are_judged_by_mode_trust_and_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
