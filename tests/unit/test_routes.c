/* Snapshots, loaded from files: what leads where, what a reload changes, what is parsed again. */
#include "route/decision.h"

#include "made_certificate.h"
#include "route/inspect.h"
#include "tls/cert/lazy_cert.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A directory with a configuration and certificates, and what is kept over reloads. */
struct fixture {
	char directory[64];
	char path[96];
	struct tls_store *store;
	struct servers *servers;
	EVP_PKEY *key;
};

static struct fixture *fixture_of(void **state)
{
	return *state;
}

static FILE *create(const struct fixture *fixture, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	return file;
}

static void write_key(const struct fixture *fixture, const char *name, EVP_PKEY *key)
{
	FILE *file = create(fixture, name);
	assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
}

static void write_certificate(
	const struct fixture *fixture, const char *name, EVP_PKEY *key, X509 *certificate)
{
	FILE *file = create(fixture, name);
	assert_int_equal(X509_sign(certificate, key, EVP_sha256()) > 0, 1);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	X509_free(certificate);
}

/* NAME.crt and NAME.key for one DNS name. */
static void make_pair_with(
	const struct fixture *fixture, const char *name, const char *dns, EVP_PKEY *key)
{
	const struct made_name names[] = {{0, GEN_DNS, span_of_string(dns)}};
	char file[64];
	snprintf(file, sizeof file, "%s.crt", name);
	write_certificate(fixture, file, key, made_certificate(key, names, 1));
	snprintf(file, sizeof file, "%s.key", name);
	write_key(fixture, file, key);
}

static void make_pair(const struct fixture *fixture, const char *name, const char *dns)
{
	make_pair_with(fixture, name, dns, fixture->key);
}

static void make_ca(const struct fixture *fixture)
{
	const struct made_name names[] = {{NID_commonName, V_ASN1_UTF8STRING, BYTES("ca")}};
	X509 *ca = made_certificate(fixture->key, names, 1);
	X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:true");
	assert_int_equal(X509_add_ext(ca, extension, -1), 1);
	X509_EXTENSION_free(extension);
	write_certificate(fixture, "ca.crt", fixture->key, ca);
}

static int set_up(void **state)
{
	struct err err;
	struct fixture *fixture = calloc(1, sizeof *fixture);
	strcpy(fixture->directory, "/tmp/test_routes.XXXXXX");
	if (!mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->path, sizeof fixture->path, "%s/config.json", fixture->directory);
	fixture->store = tls_store_create(&err);
	fixture->servers = servers_create();
	fixture->key = made_key();
	*state = fixture;
	make_pair(fixture, "app", "app.test");
	make_ca(fixture);
	return fixture->store && fixture->servers && fixture->key ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	tls_store_destroy(fixture->store);
	servers_destroy(fixture->servers);
	EVP_PKEY_free(fixture->key);
	free(fixture);
	return 0;
}

/* The hosts alone; the rest of the configuration is the same everywhere. */
static void write_hosts(const struct fixture *fixture, const char *hosts)
{
	FILE *file = create(fixture, "config.json");
	fprintf(file, "{\"listen\": \":443\", \"hosts\": {%s}}\n", hosts);
	fclose(file);
}

/* Findings one after the other, a line each. */
static void tell(struct report *report, enum severity severity, const char *text)
{
	char *findings = report->owner;
	size_t used = strlen(findings);
	snprintf(findings + used, 4096 - used, "%s%s\n",
		severity == SEVERITY_WARNING ? "warning: " : "", text);
}

static struct routes *load(const struct fixture *fixture, char findings[4096])
{
	struct report report = {.on_finding = tell, .owner = findings};
	struct path_set paths = {0};
	struct routes_setup setup = {fixture->path, fixture->store, fixture->servers};
	findings[0] = '\0';
	struct routes *routes = routes_load(&setup, &paths, &report);
	assert_true(paths.count > 0);
	assert_int_equal(routes == NULL, report.errors > 0);
	path_set_finish(&paths);
	return routes;
}

static struct routes *load_hosts(const struct fixture *fixture, const char *hosts)
{
	char findings[4096];
	write_hosts(fixture, hosts);
	struct routes *routes = load(fixture, findings);
	if (!routes)
		fail_msg("%s", findings);
	tls_store_end(fixture->store, true);
	return routes;
}

/* A client's offer on the wire, and what came of it, which may point into the offer. */
struct answer {
	struct decision decision;
	uint8_t offer[256];
};

/* `alpn`: the ids, a space between. */
static void ask(
	const struct routes *routes, const char *name, const char *alpn, struct answer *answer)
{
	size_t used = 0;
	struct client_hello hello = {.version_max = 0x0304};
	if (*name)
		assert_null(server_name_parse(span_of_string(name), &hello.sni));
	while (*alpn) {
		size_t len = strcspn(alpn, " ");
		answer->offer[used++] = (uint8_t)len;
		memcpy(answer->offer + used, alpn, len);
		used += len;
		alpn += len + (alpn[len] == ' ');
	}
	hello.alpn = span_of(answer->offer, used);
	route_decide(routes, &(struct route_facts){.hello = &hello}, &answer->decision);
}

static void or_dash(struct span id, char out[ALPN_TEXT_MAX])
{
	alpn_text(id.len > 0 ? id : span_of("-", 1), out, ALPN_TEXT_MAX);
}

/* "HOST ALPN-KEY AGREED", each "-" when empty; or what there is instead of a route. */
static void assert_leads(
	const struct routes *routes, const char *name, const char *alpn, const char *expected)
{
	struct answer answer;
	char got[2048] = "no name", key[ALPN_TEXT_MAX], agreed[ALPN_TEXT_MAX];
	const struct decision *decision = &answer.decision;
	ask(routes, name, alpn, &answer);
	if (decision->reason == END_NO_PROTOCOL)
		strcpy(got, "no protocol");
	if (decision->route) {
		or_dash(decision->route->alpn, key);
		or_dash(decision->alpn, agreed);
		snprintf(got, sizeof got, "%s %s %s", decision->route->host, key, agreed);
	}
	assert_string_equal(got, expected);
}

static const struct route *route_of(const struct routes *routes, const char *name, const char *alpn)
{
	struct answer answer;
	ask(routes, name, alpn, &answer);
	assert_non_null(answer.decision.route);
	return answer.decision.route;
}

#define BACKEND "\"backend\": \"127.0.0.1:1\""
#define SECURE  "\"mode\": \"terminate\", \"cert\": \"app.crt\", \"key\": \"app.key\", " BACKEND
#define PASS    "\"mode\": \"passthrough\", " BACKEND

static void names_lead_to_their_hosts(void **state)
{
	struct routes *routes = load_hosts(fixture_of(state),
		"\"app.test\": {" SECURE "}, \"*.app.test\": {" PASS "}, \"*\": {" PASS "}");
	assert_leads(routes, "app.test", "", "app.test - -");
	assert_leads(routes, "APP.test.", "", "app.test - -");
	assert_leads(routes, "a.b.app.test", "", "*.app.test - -");
	assert_leads(routes, "other.test", "h2", "* - -");
	assert_leads(routes, "", "", "* - -");
	assert_non_null(route_of(routes, "app.test", "")->tls);
	assert_null(route_of(routes, "other.test", "")->tls);
	assert_int_equal(routes_summary(routes).hosts, 3);
	routes_unref(routes);
	routes = load_hosts(fixture_of(state), "\"app.test\": {" PASS "}");
	assert_leads(routes, "other.test", "", "no name");
	assert_leads(routes, "", "", "no name");
	routes_unref(routes);
}

static void the_clients_order_of_protocols_decides(void **state)
{
	struct routes *routes = load_hosts(fixture_of(state),
		"\"app.test\": {" SECURE ", \"alpn\": {\"ssh\": {}, \"h2\": {}, "
		"\"%20x\": {" PASS "}}}");
	assert_leads(routes, "app.test", "h2 ssh", "app.test h2 h2");
	assert_leads(routes, "app.test", "ssh h2", "app.test ssh ssh");
	assert_leads(routes, "app.test", "foo h2 ssh", "app.test h2 h2");
	assert_leads(routes, "app.test", "%20x", "app.test - -");
	assert_leads(routes, "app.test", "SSH", "app.test - -");
	assert_leads(routes, "app.test", "ss sshx", "app.test - -");
	assert_leads(routes, "app.test", "", "app.test - -");
	assert_leads(routes, "app.test", "foo", "app.test - -");
	routes_unref(routes);
}

static void a_host_may_have_protocols_alone(void **state)
{
	struct routes *routes =
		load_hosts(fixture_of(state), "\"app.test\": {\"alpn\": {\"ssh\": {" SECURE "}}}");
	assert_leads(routes, "app.test", "h2 ssh", "app.test ssh ssh");
	assert_leads(routes, "app.test", "h2", "no protocol");
	assert_leads(routes, "app.test", "", "no protocol");
	routes_unref(routes);
}

/* Here it is the host's order that decides, and one that the client cannot speak is a refusal. */
static void offered_protocols_are_agreed_on(void **state)
{
	struct routes *routes = load_hosts(fixture_of(state),
		"\"app.test\": {" SECURE ", \"offer_alpn\": [\"h2\", \"http/1.1\"], "
		"\"alpn\": {\"ssh\": {}}}, \"pass.test\": {" PASS "}");
	assert_leads(routes, "app.test", "http/1.1 h2", "app.test - h2");
	assert_leads(routes, "app.test", "http/1.1", "app.test - http/1.1");
	assert_leads(routes, "app.test", "http/1.1 ssh", "app.test ssh ssh");
	assert_leads(routes, "app.test", "foo", "no protocol");
	assert_leads(routes, "app.test", "", "app.test - -");
	assert_leads(routes, "pass.test", "h2", "pass.test - -");
	routes_unref(routes);
}

static void an_unknown_name_gets_the_closest_certificate(void **state)
{
	struct server_name name = {0};
	make_pair(fixture_of(state), "two", "two.example");
	struct routes *routes = load_hosts(fixture_of(state),
		"\"pass.test\": {" PASS "}, \"app.test\": {" SECURE "}, \"www.two.example\": {"
		"\"mode\": \"terminate\", \"cert\": \"two.crt\", \"key\": \"two.key\", " BACKEND
		"}");
	assert_string_equal(routes_closest(routes, &name)->host, "app.test");
	assert_null(server_name_parse(span_of_string("api.two.example"), &name));
	assert_string_equal(routes_closest(routes, &name)->host, "www.two.example");
	assert_null(server_name_parse(span_of_string("pass.test"), &name));
	assert_string_equal(routes_closest(routes, &name)->host, "app.test");
	assert_null(server_name_parse(span_of_string("else.where"), &name));
	assert_string_equal(routes_closest(routes, &name)->host, "app.test");
	routes_unref(routes);
	routes = load_hosts(fixture_of(state), "\"pass.test\": {" PASS "}");
	assert_null(routes_closest(routes, &name));
	assert_null(routes_first_to_expire(routes));
	routes_unref(routes);
}

/* What a reload tells of: "+NAME" "-NAME" "~NAME", sorted by nothing but the configurations. */
static bool note_change(void *owner, char what, const char *host)
{
	char *changes = owner;
	size_t used = strlen(changes);
	snprintf(changes + used, 256 - used, "%c%s ", what, host);
	return true;
}

static bool stop_at_once(void *owner, char what, const char *host)
{
	(void)what, (void)host;
	++*(int *)owner;
	return false;
}

static void a_reload_tells_what_it_changed(void **state)
{
	char changes[256] = "";
	int visits = 0;
	struct routes *before = load_hosts(fixture_of(state),
		"\"same.test\": {" PASS "}, \"gone.test\": {" PASS "}, \"*.x.test\": {" PASS "}, "
		"\"moved.test\": {" PASS "}");
	struct routes *after = load_hosts(fixture_of(state),
		"\"new.test\": {" PASS "},\n \"same.test\": { " BACKEND
		",  \"mode\":\"passthrough\" },"
		"\"moved.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:2\"}, "
		"\"*\": {" PASS "}");
	routes_each_change(before, after, note_change, changes);
	struct routes_change change = routes_compare(before, after);
	assert_non_null(strstr(changes, "+new.test "));
	assert_non_null(strstr(changes, "+* "));
	assert_non_null(strstr(changes, "~moved.test "));
	assert_non_null(strstr(changes, "-gone.test "));
	assert_non_null(strstr(changes, "-*.x.test "));
	assert_int_equal(change.added, 2);
	assert_int_equal(change.removed, 2);
	routes_each_change(before, after, stop_at_once, &visits);
	assert_int_equal(visits, 1);
	change = routes_compare(after, after);
	assert_int_equal(change.added + change.removed + change.changed, 0);
	routes_unref(before);
	routes_unref(after);
}

/* Spaces and line ends say nothing; nor does it matter where in the file a host stands. */
static void layout_is_no_change(void **state)
{
	struct routes *before =
		load_hosts(fixture_of(state), "\"a.test\": {" PASS "}, \"b.test\": {" SECURE "}");
	struct routes *after = load_hosts(
		fixture_of(state), "\n\n\"b.test\" :\n{" SECURE "\n}, \"a.test\":{  " PASS "  }");
	struct routes_change change = routes_compare(before, after);
	assert_int_equal(change.added + change.removed + change.changed, 0);
	routes_unref(before);
	routes_unref(after);
}

static void unchanged_certificates_are_not_parsed_again(void **state)
{
	const struct fixture *fixture = fixture_of(state);
	static const char hosts[] = "\"app.test\": {" SECURE "}, \"b.test\": {" SECURE "}";
	struct routes *first = load_hosts(fixture, hosts);
	struct tls_store_counts counts = routes_summary(first).tls;
	assert_int_equal(counts.credentials, 1);
	assert_int_equal(counts.parsed, 1);
	assert_int_equal(counts.renewed, 0);
	struct routes *second = load_hosts(fixture, hosts);
	counts = routes_summary(second).tls;
	assert_int_equal(counts.credentials, 1);
	assert_int_equal(counts.parsed, 0);
	assert_ptr_equal(
		route_of(first, "app.test", "")->tls, route_of(second, "app.test", "")->tls);
	routes_unref(first);
	assert_non_null(tls_context_ssl(route_of(second, "app.test", "")->tls));
	routes_unref(second);
}

static void renewed_certificates_are(void **state)
{
	const struct fixture *fixture = fixture_of(state);
	struct routes *before = load_hosts(fixture, "\"app.test\": {" SECURE "}");
	make_pair(fixture, "app", "app.test"); /* another signature, the same key */
	struct routes *after = load_hosts(fixture, "\"app.test\": {" SECURE "}");
	struct tls_store_counts counts = routes_summary(after).tls;
	assert_int_equal(counts.parsed, 1);
	assert_int_equal(counts.renewed, 1);
	const struct route *was = route_of(before, "app.test", "");
	const struct route *is = route_of(after, "app.test", "");
	assert_ptr_not_equal(was->tls, is->tls);
	X509 *old = lazy_cert_whole(was->tls->policy.credentials[0]->leaf);
	X509 *new = lazy_cert_whole(is->tls->policy.credentials[0]->leaf);
	assert_int_not_equal(X509_cmp(old, new), 0);
	X509_free(old);
	X509_free(new);
	routes_unref(before);
	routes_unref(after);
}

/* The state after a failed load is that before it: what was parsed then need not be again. */
static void a_failed_load_changes_nothing(void **state)
{
	const struct fixture *fixture = fixture_of(state);
	char findings[4096];
	struct routes *before = load_hosts(fixture, "\"app.test\": {" SECURE "}");
	write_hosts(fixture,
		"\"app.test\": {" SECURE "}, \"x.test\": {\"mode\": \"terminate\", "
		"\"cert\": \"none.crt\", \"key\": \"none.key\", " BACKEND "}, "
		"\"app.test\": {" PASS "}, \"y.test\": {\"mode\": \"terminate\", "
		"\"cert\": \"app.crt\", \"key\": \"ca.crt\", " BACKEND "}");
	assert_null(load(fixture, findings));
	assert_non_null(strstr(findings, "hosts[\"x.test\"].cert: "));
	assert_non_null(strstr(findings, "none.crt"));
	assert_non_null(strstr(findings, "hosts[\"y.test\"].key: "));
	assert_leads(before, "app.test", "", "app.test - -");
	struct routes *after = load_hosts(fixture, "\"app.test\": {" SECURE "}");
	assert_int_equal(routes_summary(after).tls.parsed, 0);
	assert_ptr_equal(
		route_of(before, "app.test", "")->tls, route_of(after, "app.test", "")->tls);
	routes_unref(before);
	routes_unref(after);
}

static void a_context_and_a_backend_are_shared(void **state)
{
	struct routes *routes = load_hosts(fixture_of(state),
		"\"a.test\": {" SECURE "}, \"b.test\": {" SECURE "}, \"c.test\": {" SECURE
		", \"min_version\": \"TLS1.3\"}, \"d.test\": {" PASS "}");
	const struct route *a = route_of(routes, "a.test", ""), *b = route_of(routes, "b.test", "");
	const struct route *c = route_of(routes, "c.test", ""), *d = route_of(routes, "d.test", "");
	assert_ptr_equal(a->tls, b->tls);
	assert_ptr_equal(a->tls, a->tls_no_client_auth);
	assert_ptr_not_equal(a->tls, c->tls);
	assert_ptr_equal(a->tls->policy.credentials[0], c->tls->policy.credentials[0]);
	assert_ptr_equal(a->backend, d->backend);
	assert_int_equal(routes_summary(routes).contexts, 2);
	assert_int_equal(routes_summary(routes).routes, 4);
	assert_ptr_equal(routes_first_to_expire(routes), a->tls->policy.credentials[0]);
	routes_unref(routes);
}

#define AUTH ", \"client_auth\": \"required\", \"ca\": \"ca.crt\""

static void client_certificates_need_a_context_of_their_own(void **state)
{
	struct routes *routes = load_hosts(fixture_of(state),
		"\"a.test\": {" SECURE "}, \"b.test\": {" SECURE AUTH "}, \"c.test\": {" SECURE
		", \"client_auth\": \"optional\", \"ca\": \"ca.crt\", "
		"\"acl\": {\"allow_cn\": \"alice\"}}");
	const struct route *a = route_of(routes, "a.test", ""), *b = route_of(routes, "b.test", "");
	const struct route *c = route_of(routes, "c.test", "");
	assert_int_equal(a->tls->policy.verify, TLS_VERIFY_NONE);
	assert_true(a->tls->policy.tickets);
	assert_int_equal(b->tls->policy.verify, TLS_VERIFY_REQUIRED);
	assert_false(b->tls->policy.tickets);
	assert_non_null(b->tls->policy.trust);
	assert_int_equal(b->tls_no_client_auth->policy.verify, TLS_VERIFY_NONE);
	assert_null(b->tls_no_client_auth->policy.trust);
	assert_null(b->acl);
	assert_int_equal(c->tls->policy.verify, TLS_VERIFY_REQUIRED); /* by its rules */
	assert_non_null(c->acl);
	routes_unref(routes);
}

static bool same_binding(const struct route *a, const struct route *b)
{
	struct ticket_binding one = route_ticket_binding(a, "a.test");
	struct ticket_binding other = route_ticket_binding(b, "a.test");
	return memcmp(one.bytes, other.bytes, sizeof one.bytes) == 0;
}

static void ticket_bindings_differ(void **state)
{
	static const char hosts[] =
		"\"a.test\": {" SECURE ", \"alpn\": {\"ssh\": {}, \"h2\": {}}}, "
		"\"b.test\": {" SECURE ", \"alpn\": {\"ssh\": {}}}";
	struct routes *routes = load_hosts(fixture_of(state), hosts);
	struct routes *again = load_hosts(fixture_of(state), hosts);
	const struct route *all[] = {route_of(routes, "a.test", ""),
		route_of(routes, "a.test", "ssh"), route_of(routes, "a.test", "h2"),
		route_of(routes, "b.test", ""), route_of(routes, "b.test", "ssh")};
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(same_binding(all[i], all[j]), i == j);
	assert_true(same_binding(all[1], route_of(again, "a.test", "ssh")));
	routes_unref(routes);
	routes_unref(again);
}

static void two_key_types_side_by_side(void **state)
{
	const struct fixture *fixture = fixture_of(state);
	char findings[4096];
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	make_pair_with(fixture, "rsa", "app.test", rsa);
	EVP_PKEY_free(rsa);
	struct routes *routes = load_hosts(fixture,
		"\"app.test\": {\"mode\": \"terminate\", \"cert\": [\"app.crt\", \"rsa.crt\"], "
		"\"key\": [\"app.key\", \"rsa.key\"], " BACKEND "}");
	const struct tls_policy *policy = &route_of(routes, "app.test", "")->tls->policy;
	assert_int_equal(policy->credential_count, 2);
	assert_string_equal(credential_key_type(policy->credentials[0]), "ECDSA");
	assert_string_equal(credential_key_type(policy->credentials[1]), "RSA");
	routes_unref(routes);
	make_pair(fixture, "app2", "app.test");
	write_hosts(fixture,
		"\"app.test\": {\"mode\": \"terminate\", \"cert\": [\"app.crt\", \"app2.crt\"], "
		"\"key\": [\"app.key\", \"app2.key\"], " BACKEND "}");
	assert_null(load(fixture, findings));
	assert_non_null(strstr(findings, "cert[1]: a second ECDSA certificate"));
}

static void a_name_that_is_not_covered_is_warned_of(void **state)
{
	char findings[4096];
	write_hosts(fixture_of(state), "\"other.test\": {" SECURE "}");
	struct routes *routes = load(fixture_of(state), findings);
	assert_non_null(routes);
	tls_store_end(fixture_of(state)->store, true);
	assert_non_null(strstr(findings, "warning: "));
	assert_non_null(strstr(findings, "does not cover the name \"other.test\""));
	routes_unref(routes);
}

#define WILD(more, port)                                                                           \
	"\"mode\": \"terminate\", \"cert\": \"wild.crt\", \"key\": \"wild.key\", " more            \
	", \"backend\": \"127.0.0.1:" port "\""
#define H2      "\"offer_alpn\": [\"h2\", \"http/1.1\"]"
#define NO_H2   "\"offer_alpn\": [\"http/1.1\"]"
#define ALPN_H2 "\"alpn\": {\"h2\": {}}"

static void assert_coalescing(const struct fixture *fixture, const char *hosts, const char *warning)
{
	char findings[4096];
	write_hosts(fixture, hosts);
	struct routes *routes = load(fixture, findings);
	assert_non_null(routes);
	tls_store_end(fixture->store, true);
	const char *found = strstr(findings, "HTTP/2 clients may send requests");
	if (!warning != !found || (warning && !strstr(findings, warning)))
		fail_msg("%s: %s", hosts, findings);
	assert_true(!found || !strstr(found + 1, "HTTP/2 clients"));
	routes_unref(routes);
}

/* RFC 9113 section 9.1.1: a connection serves every name that its certificate covers. */
static void hosts_whose_connections_browsers_share_are_warned_of(void **state)
{
	const struct fixture *fixture = fixture_of(state);
	make_pair(fixture, "wild", "*.wild.test");
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(H2, "1") "}, \"b.wild.test\": {" WILD(H2, "2") "}",
		"hosts[\"b.wild.test\"].cert: HTTP/2 clients may send requests for this host over a "
		"connection to \"a.wild.test\"");
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(H2, "1") "}, \"b.wild.test\": {" WILD(
			H2, "1") "}, "
				 "\"c.wild.test\": {" WILD(
					 ALPN_H2, "3") "}, \"d.wild.test\": {" WILD(H2, "4") "}",
		"hosts[\"c.wild.test\"].cert: HTTP/2");
	assert_coalescing(fixture,
		"\"*\": {" WILD(H2, "1") "}, \"*.wild.test\": {" WILD(H2, "2") "}", "*.wild.test");
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(H2, "1") "}, \"b.wild.test\": {" WILD(NO_H2, "2") "}",
		NULL);
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(H2, "1") "}, \"b.wild.test\": {" WILD(H2, "1") "}", NULL);
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(H2, "1") "}, \"other.test\": {" WILD(H2, "2") "}", NULL);
	assert_coalescing(fixture,
		"\"a.wild.test\": {" WILD(
			H2 ", \"alpn\": {\"h2\": {\"backend\": \"127.0.0.1:9\"}}", "1") "}",
		NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_lead_to_their_hosts),
		TEST(the_clients_order_of_protocols_decides),
		TEST(a_host_may_have_protocols_alone),
		TEST(offered_protocols_are_agreed_on),
		TEST(an_unknown_name_gets_the_closest_certificate),
		TEST(a_reload_tells_what_it_changed),
		TEST(layout_is_no_change),
		TEST(unchanged_certificates_are_not_parsed_again),
		TEST(renewed_certificates_are),
		TEST(a_failed_load_changes_nothing),
		TEST(a_context_and_a_backend_are_shared),
		TEST(client_certificates_need_a_context_of_their_own),
		TEST(ticket_bindings_differ),
		TEST(two_key_types_side_by_side),
		TEST(a_name_that_is_not_covered_is_warned_of),
		TEST(hosts_whose_connections_browsers_share_are_warned_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
