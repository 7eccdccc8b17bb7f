/* What a sound configuration says: every field, defaults, what entries inherit, included files. */
#include "config/config_finding.h"
#include "config/config_read.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs those before it */

typedef void check_host(const struct host_config *host, struct report *report);

/* One config_read: what it told, and what is looked at while a host is lent. */
struct reading {
	check_host *check;
	struct report report;
	unsigned hosts;
	uint64_t digests[4];
	char told[8192];
};

static void tell(struct report *report, enum severity severity, const char *text)
{
	struct reading *reading = report->owner;
	size_t used = strlen(reading->told);
	const char *mark = severity == SEVERITY_WARNING ? "warning: " : "";
	snprintf(reading->told + used, sizeof reading->told - used, "%s%s\n", mark, text);
}

static void on_host(void *owner, const struct host_config *host)
{
	struct reading *reading = owner;
	reading->digests[reading->hosts++ % 4] = host->digest;
	if (reading->check)
		reading->check(host, &reading->report);
}

static struct config *read_path(struct reading *reading, const char *path, check_host *check)
{
	*reading =
		(struct reading){.check = check, .report = {.on_finding = tell, .owner = reading}};
	return config_read(path, on_host, reading, &reading->report);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static struct config *read_text(struct reading *reading, const char *text, check_host *check)
{
	put("config.json", text);
	return read_path(reading, "config.json", check);
}

static void assert_sound(const char *text, check_host *check, unsigned hosts)
{
	struct reading reading;
	struct config *config = read_text(&reading, text, check);
	assert_string_equal(reading.told, "");
	assert_non_null(config);
	assert_int_equal(reading.hosts, hosts);
	assert_int_equal(config->host_count, hosts);
	config_free(config);
}

static void assert_told(const char *path, const char *told)
{
	struct reading reading;
	struct config *config = read_path(&reading, path, NULL);
	assert_string_equal(reading.told, told);
	assert_null(config);
}

/* Relative names were made absolute by the directory of the test. */
static void assert_here(const char *path, const char *name)
{
	char here[512], whole[768];
	assert_non_null(getcwd(here, sizeof here));
	snprintf(whole, sizeof whole, "%s/%s", here, name);
	assert_string_equal(path, whole);
}

static void assert_strings(const struct strings *strings, size_t count, const char *first)
{
	assert_int_equal(strings->count, count);
	if (count > 0)
		assert_string_equal(strings->items[0], first);
}

static void check_tls_switch(const struct host_config *host, struct report *report)
{
	const struct route_config *route = &host->route;
	(void)report;
	assert_true(host->has_route && route->has_backend);
	assert_string_equal(host->file, "config.json");
	if (host->line == 4) {
		assert_string_equal(host->name, "app.example.com");
		assert_int_equal(route->mode, MODE_TERMINATE);
		assert_strings(&route->cert, 1, "/etc/tls-switch/app.example.com.crt");
		assert_strings(&route->key, 1, "/etc/tls-switch/app.example.com.key");
		assert_string_equal(route->backend.servers[0].address, "127.0.0.1:8080");
	} else {
		assert_int_equal(host->line, 10);
		assert_string_equal(host->name, "legacy.example.com");
		assert_int_equal(route->mode, MODE_PASSTHROUGH);
		assert_string_equal(route->backend.servers[0].address, "10.0.0.5:443");
	}
}

static void takes_a_file_of_tls_switch(void **state)
{
	(void)state;
	assert_sound("{\n"
		     "  \"listen\": \":443\",\n"
		     "  \"hosts\": {\n"
		     "    \"app.example.com\": {\n"
		     "      \"mode\": \"terminate\",\n"
		     "      \"cert\": \"/etc/tls-switch/app.example.com.crt\",\n"
		     "      \"key\": \"/etc/tls-switch/app.example.com.key\",\n"
		     "      \"backend\": \"127.0.0.1:8080\"\n"
		     "    },\n"
		     "    \"legacy.example.com\": {\n"
		     "      \"mode\": \"passthrough\",\n"
		     "      \"backend\": \"10.0.0.5:443\"\n"
		     "    }\n"
		     "  }\n"
		     "}\n",
		check_tls_switch, 2);
}

static void check_defaults(const struct host_config *host, struct report *report)
{
	const struct route_config *route = &host->route;
	(void)report;
	assert_string_equal(host->name, "a.test");
	assert_int_equal(route->min_version, 0x0303);
	assert_int_equal(route->client_auth, CLIENT_AUTH_NONE);
	assert_int_equal(route->verify_depth, 4);
	assert_false(route->refuse_expired_crl || route->revalidate);
	assert_int_equal(route->max_connections, 0);
	assert_int_equal(route->ca.count + route->crl.count + route->offer_alpn.count, 0);
	assert_int_equal(route->acl.allow_cn.count + host->alpn_count, 0);
	assert_int_equal(route->backend.balance, BALANCE_LEAST_CONNECTIONS);
	assert_int_equal(route->backend.proxy_protocol, PROXY_OUT_NONE);
	assert_int_equal(route->backend.health, HEALTH_NONE);
	assert_false(route->backend.has_tls || route->backend.servers[0].backup);
}

static void has_defaults(void **state)
{
	struct reading reading;
	struct config *config = read_text(&reading,
		"{\"listen\": \":443\", \"hosts\": {\"A.Test.\": {\"mode\": \"terminate\", \"cert\": "
		"\"c\", \"key\": \"k\", \"backend\": \"b:1\"}}}",
		check_defaults);
	(void)state;
	assert_non_null(config);
	assert_int_equal(config->workers, 0);
	assert_null(config->user);
	assert_true(config->sandbox);
	assert_null(config->control_socket);
	assert_int_equal(config->proxy.hello_timeout_ms, 10000);
	assert_int_equal(config->proxy.handshake_timeout_ms, 10000);
	assert_int_equal(config->proxy.dial_timeout_ms, 10000);
	assert_int_equal(config->proxy.idle_timeout_ms, 3600000);
	assert_int_equal(config->proxy.drain_timeout_ms, 30000);
	assert_int_equal(config->proxy.max_connections, 0);
	assert_false(config->health.enabled || config->metrics.enabled || config->logging.json);
	assert_string_equal(config->health.listen, "127.0.0.1:9000");
	assert_string_equal(config->metrics.listen, "127.0.0.1:9001");
	assert_int_equal(config->logging.level, LOG_INFO_LEVEL);
	assert_int_equal(config->files.count, 1);
	assert_here(config->files.items[0], "config.json");
	config_free(config);
}

static const char rich_route[] =
	"\"mode\": \"terminate\", \"cert\": [\"a.crt\", \"/b.crt\"], \"key\": [\"a.key\", \"/b.key\"], "
	"\"min_version\": \"TLS1.3\", \"client_auth\": \"optional\", \"ca\": \"ca.pem\", "
	"\"crl\": [\"a.crl\", \"b.crl\"], \"expired_crl\": \"refuse\", \"verify_depth\": 10, "
	"\"acl\": {\"allow_cn\": \"cn\", \"allow_org\": [\"o\", \"p\"], \"allow_ou\": [\"ou\"], "
	"\"allow_dns\": [\"*.D.Test.\"], \"allow_uri\": [\"spiffe://x/y\"], "
	"\"allow_email\": [\"a@b.test\"], \"allow_fingerprint\": [\"$FINGERPRINT\"]}, "
	"\"offer_alpn\": [\"http/1.1\", \"a%25b\"], \"max_connections\": 4294967295, "
	"\"revalidate\": true, \"backend\": {\"servers\": [\"b.test:1\", "
	"{\"address\": \"unix:b.sock\", \"backup\": true}], \"balance\": \"source\", "
	"\"tls\": {\"ca\": [\"x.pem\", \"dir\"], \"server_name\": \"B.Test\", \"cert\": \"m.crt\", "
	"\"key\": \"m.key\", \"min_version\": \"TLS1.3\"}, \"proxy_protocol\": \"v2\", "
	"\"health_check\": {\"type\": \"tls\", \"interval\": \"1s\", \"timeout\": \"250ms\", "
	"\"rise\": 3, \"fall\": 4}}";

#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define COLONED                                                                                    \
	"SHA256:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:"                                  \
	"01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef"

static void check_acl(const struct acl_config *acl)
{
	assert_strings(&acl->allow_cn, 1, "cn");
	assert_strings(&acl->allow_org, 2, "o");
	assert_strings(&acl->allow_ou, 1, "ou");
	assert_strings(&acl->allow_dns, 1, "*.d.test");
	assert_strings(&acl->allow_uri, 1, "spiffe://x/y");
	assert_strings(&acl->allow_email, 1, "a@b.test");
	assert_strings(&acl->allow_fingerprint, 1, FINGERPRINT);
}

static void check_rich_backend(const struct backend_config *backend)
{
	assert_int_equal(backend->count, 2);
	assert_string_equal(backend->servers[0].address, "b.test:1");
	assert_false(backend->servers[0].backup);
	assert_here(backend->servers[1].address + strlen("unix:"), "b.sock");
	assert_true(backend->servers[1].backup);
	assert_int_equal(backend->balance, BALANCE_SOURCE);
	assert_int_equal(backend->proxy_protocol, PROXY_OUT_V2);
	assert_int_equal(backend->health, HEALTH_TLS);
	assert_int_equal(backend->health_interval_ms, 1000);
	assert_int_equal(backend->health_timeout_ms, 250);
	assert_int_equal(backend->health_rise, 3);
	assert_int_equal(backend->health_fall, 4);
	assert_true(backend->has_tls);
	assert_int_equal(backend->tls.ca.count, 2);
	assert_here(backend->tls.ca.items[1], "dir");
	assert_string_equal(backend->tls.server_name, "b.test");
	assert_here(backend->tls.cert, "m.crt");
	assert_here(backend->tls.key, "m.key");
	assert_int_equal(backend->tls.min_version, 0x0304);
}

static void check_rich(const struct host_config *host, struct report *report)
{
	const struct route_config *route = &host->route;
	(void)report;
	assert_here(route->cert.items[0], "a.crt");
	assert_string_equal(route->cert.items[1], "/b.crt");
	assert_int_equal(route->key.count, 2);
	assert_here(route->key.items[0], "a.key");
	assert_int_equal(route->min_version, 0x0304);
	assert_int_equal(route->client_auth, CLIENT_AUTH_OPTIONAL);
	assert_here(route->ca.items[0], "ca.pem");
	assert_here(route->crl.items[1], "b.crl");
	assert_true(route->refuse_expired_crl && route->revalidate);
	assert_int_equal(route->verify_depth, 10);
	assert_strings(&route->offer_alpn, 2, "http/1.1");
	assert_string_equal(route->offer_alpn.items[1], "a%b");
	assert_int_equal(route->max_connections, 4294967295);
	check_acl(&route->acl);
	check_rich_backend(&route->backend);
}

/* The rich route with a fingerprint, inside an object of hosts. */
static const char *rich_text(const char *fingerprint)
{
	static char text[4096];
	const char *hole = strchr(rich_route, '$');
	snprintf(text, sizeof text, "{\"listen\": \":443\", \"hosts\": {\"*.a.test\": {%.*s%s%s}}}",
		(int)(hole - rich_route), rich_route, fingerprint, hole + strlen("$FINGERPRINT"));
	return text;
}

static void reads_every_field_of_a_host(void **state)
{
	(void)state;
	assert_sound(rich_text(FINGERPRINT), check_rich, 1);
	assert_sound(rich_text(COLONED), check_rich, 1);
}

static const char rich_whole[] =
	"{\"listen\": [\":443\", {\"address\": \"[::1]:443\", \"accept_proxy\": [\"10.0.0.0/8\", "
	"\"2001:db8::/32\", \"192.0.2.1\", \"::/0\"]}, \"unix:l.sock\", \"fd:web\"], "
	"\"workers\": 1024, \"user\": \"nobody\", \"sandbox\": false, \"forwards\": [{\"listen\": [\"127.0.0.1:9080\", "
	"\"[::1]:9080\"], \"target\": \"gw.test:443\", \"server_name\": \"192.0.2.7\", \"alpn\": "
	"[\"ssh\"], \"cert\": \"me.crt\", \"key\": \"me.key\", \"ca\": \"gw.pem\", \"min_version\": "
	"\"TLS1.3\", \"max_connections\": 5}, {\"listen\": \"unix:f.sock\", \"target\": "
	"[\"a.test:1\", \"b.test:2\"]}], \"proxy\": {\"hello_timeout\": \"1s\", "
	"\"handshake_timeout\": \"2s\", \"dial_timeout\": \"3s\", \"idle_timeout\": \"0\", "
	"\"drain_timeout\": \"5m\", \"max_connections\": 6, \"max_per_source\": 7, "
	"\"rate_per_source\": 8}, \"health\": {\"enabled\": true, \"listen\": \":9000\"}, "
	"\"metrics\": {\"enabled\": true, \"listen\": \"unix:m.sock\"}, \"control\": {\"socket\": "
	"\"c.sock\"}, \"logging\": {\"level\": \"debug\", \"format\": \"json\"}, \"hosts\": {}}";

static void check_listeners(const struct config *config)
{
	const struct listener_config *second = &config->listeners[1];
	assert_int_equal(config->listener_count, 4);
	assert_string_equal(config->listeners[0].address, ":443");
	assert_string_equal(config->listeners[0].where, "config.json:1: listen[0]");
	assert_string_equal(second->address, "[::1]:443");
	assert_int_equal(second->accept_proxy_count, 4);
	assert_int_equal(second->accept_proxy[0].bits, 104);
	assert_memory_equal(
		&second->accept_proxy[0].address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\0", 16);
	assert_int_equal(second->accept_proxy[1].bits, 32);
	assert_int_equal(second->accept_proxy[2].bits, 128);
	assert_int_equal(second->accept_proxy[3].bits, 0);
	assert_here(config->listeners[2].address + strlen("unix:"), "l.sock");
	assert_string_equal(config->listeners[3].address, "fd:web");
}

static void check_forwards(const struct config *config)
{
	const struct forward_config *first = &config->forwards[0], *second = &config->forwards[1];
	assert_int_equal(config->forward_count, 2);
	assert_string_equal(first->where, "config.json:1: forwards[0]");
	assert_int_equal(first->listener_count, 2);
	assert_string_equal(first->listeners[1].where, "config.json:1: forwards[0].listen[1]");
	assert_string_equal(first->target.servers[0].address, "gw.test:443");
	assert_true(first->target.has_tls);
	assert_string_equal(first->target.tls.server_name, "192.0.2.7");
	assert_here(first->target.tls.cert, "me.crt");
	assert_here(first->target.tls.key, "me.key");
	assert_here(first->target.tls.ca.items[0], "gw.pem");
	assert_int_equal(first->target.tls.min_version, 0x0304);
	assert_strings(&first->alpn, 1, "ssh");
	assert_int_equal(first->max_connections, 5);
	assert_true(second->target.has_tls);
	assert_int_equal(second->target.count, 2);
	assert_int_equal(second->target.tls.min_version, 0x0303);
	assert_null(second->target.tls.cert);
}

static void reads_every_field_of_the_whole(void **state)
{
	struct reading reading;
	struct config *config = read_text(&reading, rich_whole, NULL);
	(void)state;
	assert_string_equal(reading.told, "");
	assert_non_null(config);
	check_listeners(config);
	check_forwards(config);
	assert_int_equal(config->workers, 1024);
	assert_string_equal(config->user, "nobody");
	assert_false(config->sandbox);
	assert_int_equal(config->proxy.hello_timeout_ms, 1000);
	assert_int_equal(config->proxy.handshake_timeout_ms, 2000);
	assert_int_equal(config->proxy.dial_timeout_ms, 3000);
	assert_int_equal(config->proxy.idle_timeout_ms, 0);
	assert_int_equal(config->proxy.drain_timeout_ms, 300000);
	assert_int_equal(config->proxy.max_connections, 6);
	assert_int_equal(config->proxy.max_per_source, 7);
	assert_int_equal(config->proxy.rate_per_source, 8);
	assert_true(config->health.enabled && config->metrics.enabled && config->logging.json);
	assert_string_equal(config->health.listen, ":9000");
	assert_here(config->metrics.listen + strlen("unix:"), "m.sock");
	assert_here(config->control_socket, "c.sock");
	assert_int_equal(config->logging.level, LOG_DEBUG_LEVEL);
	config_free(config);
}

static void needs_no_listener_where_there_are_only_forwards(void **state)
{
	(void)state;
	assert_sound("{\"forwards\": [{\"listen\": \":1\", \"target\": \"a:1\"}]}", NULL, 0);
}

static const struct route_config *entry(const struct host_config *host, const char *id)
{
	for (size_t i = 0; i < host->alpn_count; i++)
		if (span_equal(host->alpn[i].id, span_of_string(id)))
			return &host->alpn[i].route;
	fail_msg("no entry \"%s\"", id);
	return NULL;
}

static void check_inheritance(const struct host_config *host, struct report *report)
{
	const struct route_config *same = entry(host, "same");
	const struct route_config *other = entry(host, "other");
	const struct route_config *open = entry(host, "a%b");
	const struct route_config *passed = entry(host, "acme-tls/1");
	(void)report;
	assert_int_equal(host->alpn_count, 4);
	assert_true(span_equal(host->alpn[3].id, span_of_string("acme-tls/1")));
	check_acl(&same->acl);
	check_rich_backend(&same->backend);
	assert_int_equal(same->client_auth, CLIENT_AUTH_OPTIONAL);
	assert_int_equal(same->cert.count, 2);
	assert_int_equal(same->max_connections, 9);

	assert_here(other->cert.items[0], "o.crt");
	assert_int_equal(other->cert.count, 1);
	assert_int_equal(other->key.count, 1);
	assert_int_equal(other->acl.allow_cn.count, 0);
	assert_strings(&other->acl.allow_org, 1, "z");
	assert_false(other->backend.has_tls);
	assert_int_equal(other->backend.health, HEALTH_NONE);
	assert_int_equal(other->min_version, 0x0304);

	assert_int_equal(open->client_auth, CLIENT_AUTH_NONE);
	assert_int_equal(open->ca.count + open->crl.count + open->acl.allow_cn.count, 0);
	assert_int_equal(open->cert.count, 2);

	assert_int_equal(passed->mode, MODE_PASSTHROUGH);
	assert_int_equal(passed->cert.count + passed->key.count + passed->ca.count, 0);
	assert_int_equal(passed->acl.allow_cn.count + passed->offer_alpn.count, 0);
	assert_int_equal(passed->client_auth, CLIENT_AUTH_NONE);
	assert_int_equal(passed->backend.count, 2);
	assert_false(passed->backend.has_tls || passed->revalidate);
}

static void entries_inherit_what_they_do_not_set(void **state)
{
	static char text[8192];
	const char *rich = rich_text(FINGERPRINT);
	(void)state;
	snprintf(text, sizeof text,
		"%.*s, \"alpn\": {\"same\": {\"max_connections\": 9}, \"other\": {\"cert\": \"o.crt\", "
		"\"key\": \"o.key\", \"acl\": {\"allow_org\": \"z\"}, \"backend\": \"z:1\"}, "
		"\"a%%25b\": {\"client_auth\": \"none\"}, \"acme-tls/1\": {\"mode\": "
		"\"passthrough\"}}}}}",
		(int)strlen(rich) - 3, rich);
	assert_sound(text, check_inheritance, 1);
}

static void check_switched_off(const struct host_config *host, struct report *report)
{
	(void)report;
	assert_int_equal(host->route.client_auth, CLIENT_AUTH_NONE);
	assert_int_equal(host->route.ca.count, 0);
	assert_int_equal(host->route.crl.count, 0);
	assert_int_equal(host->alpn_count, 1);
	assert_int_equal(host->alpn[0].route.client_auth, CLIENT_AUTH_REQUIRED);
	assert_int_equal(host->alpn[0].route.ca.count, 1);
}

static void a_host_may_say_that_nobody_is_asked(void **state)
{
	(void)state;
	assert_sound("{\"listen\": \":1\", \"hosts\": {\"a.test\": {\"mode\": \"terminate\", "
		     "\"cert\": \"c\", \"key\": \"k\", \"backend\": \"b:1\", "
		     "\"client_auth\": \"none\", \"ca\": \"ca.pem\", \"crl\": \"x.crl\", "
		     "\"acl\": {}, "
		     "\"alpn\": {\"ssh\": {\"client_auth\": \"required\"}}}}}",
		check_switched_off, 1);
}

static void check_no_route(const struct host_config *host, struct report *report)
{
	(void)report;
	assert_false(host->has_route || host->route.has_backend);
	assert_int_equal(entry(host, "ssh")->mode, MODE_TERMINATE);
	assert_int_equal(entry(host, "ssh")->cert.count, 1);
	assert_int_equal(entry(host, "h2")->mode, MODE_PASSTHROUGH);
}

static void a_host_may_have_nothing_but_entries(void **state)
{
	(void)state;
	assert_sound("{\"listen\": \":443\", \"hosts\": {\"*\": {\"cert\": \"c\", \"key\": \"k\", "
		     "\"alpn\": {\"ssh\": {\"mode\": \"terminate\", \"backend\": \"b:1\"}, \"h2\": "
		     "{\"mode\": \"passthrough\", \"backend\": \"b:2\"}}}}}",
		check_no_route, 1);
}

static void equal_tokens_have_equal_digests(void **state)
{
	struct reading first, second;
	(void)state;
	config_free(read_text(&first,
		"{\"listen\": \":443\", \"hosts\": {"
		"\"a.test\": {\"mode\":\"passthrough\",\"backend\":\"b:1\"},"
		"\"b.test\": {\n\t\"mode\" : \"passthrough\" ,\r\n \"backend\" : \"b:1\" } ,"
		"\"c.test\": {\"mode\":\"passthrough\",\"backend\":\"b:2\"},"
		"\"d.test\": {\"mode\":\"passthrough\",\"backend\":\"unix:/ b\\\" :1\"}}}",
		NULL));
	config_free(read_text(&second,
		"{\"listen\": \":443\", \"hosts\": {\n\"a.test\": "
		"{\"mode\": \"passthrough\", \"backend\": \"unix:/b\\\":1\"},"
		"\"b.test\": {\"mode\":\"passthrough\",\"backend\":\"b:1\"}}}",
		NULL));
	assert_int_equal(first.hosts, 4);
	assert_int_equal(second.hosts, 2);
	assert_true(first.digests[0] == first.digests[1]);
	assert_true(first.digests[0] == second.digests[1]);
	assert_true(first.digests[0] != first.digests[2]);
	assert_true(first.digests[3] != second.digests[0]); /* space in a string is no layout */
}

static void tell_findings(const struct host_config *host, struct report *report)
{
	const struct route_config *ssh = &host->alpn[0].route;
	host_config_error(host, report, "a finding");
	route_config_error(&host->route, report, "cert", 1, "no such file");
	route_config_error(&host->route, report, "key", 0, "no such file");
	route_config_warning(&host->route, report, "ca", -1, "expires %s", "soon");
	route_config_error(ssh, report, "cert", 0, "inherited");
	route_config_error(ssh, report, "backend.tls.ca", 0, "its own");
	route_config_error(ssh, report, "crl", -1, "nobody's");
}

static void tells_findings_where_they_are_written(void **state)
{
	struct reading reading;
	struct config *config = read_text(&reading,
		"{\"listen\": \":443\", \"hosts\": {\n"
		"\"A.test\": {\n"
		"\"mode\": \"terminate\", \"cert\": [\"c\",\n"
		"\"d\"], \"key\": [\n"
		"\"k\", \"l\"],\n"
		"\"client_auth\": \"required\", \"ca\":\n"
		"\"ca\", \"backend\": \"b:1\",\n"
		"\"alpn\": {\"ssh\": {\"backend\": {\n"
		"\"servers\": [\"b:1\"], \"tls\": {\n"
		"\"ca\": \"x\"}}}}}}}\n",
		tell_findings);
	(void)state;
	assert_null(config);
	assert_string_equal(reading.told,
		"config.json:2: hosts[\"A.test\"]: a finding\n"
		"config.json:4: hosts[\"A.test\"].cert[1]: no such file\n"
		"config.json:5: hosts[\"A.test\"].key[0]: no such file\n"
		"warning: config.json:6: hosts[\"A.test\"].ca: "
		"expires soon\n"
		"config.json:3: hosts[\"A.test\"].cert[0]: "
		"inherited\n"
		"config.json:10: "
		"hosts[\"A.test\"].alpn[\"ssh\"]."
		"backend.tls.ca: its own\n"
		"config.json:2: "
		"hosts[\"A.test\"].crl: "
		"nobody's\n");
}

static void tell_name(const struct host_config *host, struct report *report)
{
	host_config_error(host, report, "%s:%u %s", host->file, host->line, host->name);
}

static const char two_hosts[] =
	"{\"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"unix:s\"},\n"
	"\"b.test\": {\"mode\": \"passthrough\", \"backend\": \"b:1\"}}}";

static void check_included(const struct host_config *host, struct report *report)
{
	(void)report;
	if (strcmp(host->name, "a.test") == 0)
		assert_here(
			host->route.backend.servers[0].address + strlen("unix:"), "conf/hosts.d/s");
}

static void make_hosts_d(void)
{
	mkdir("conf", 0700);
	mkdir("conf/hosts.d", 0700);
	put("conf/config.json",
		"{\"listen\": \":443\", \"include\": [\"hosts.d/*.json\", "
		"\"hosts.d/b.json\", \"none.d/*.json\", \"hosts.d/[x]*.json\"]}");
	put("conf/hosts.d/b.json", two_hosts);
	put("conf/hosts.d/a.json",
		"{\"hosts\": {\"c.test\": {\"mode\": \"passthrough\", "
		"\"backend\": \"b:1\"}}}");
	put("conf/hosts.d/.hidden.json", "{");
	put("conf/hosts.d/other.txt", "{");
}

static void drop_hosts_d(void)
{
	unlink("conf/hosts.d/.hidden.json");
	unlink("conf/hosts.d/other.txt");
	unlink("conf/hosts.d/a.json");
	unlink("conf/hosts.d/b.json");
	rmdir("conf/hosts.d");
	unlink("conf/config.json");
	rmdir("conf");
}

static void includes_files_in_order_and_each_once(void **state)
{
	struct reading reading;
	(void)state;
	make_hosts_d();
	struct config *config = read_path(&reading, "conf/config.json", check_included);
	assert_string_equal(reading.told, "");
	assert_non_null(config);
	assert_int_equal(reading.hosts, 3);
	assert_int_equal(config->include_patterns.count, 4);
	assert_here(config->include_patterns.items[0], "conf/hosts.d/*.json");
	assert_int_equal(config->files.count, 3);
	assert_here(config->files.items[0], "conf/config.json");
	assert_here(config->files.items[1], "conf/hosts.d/a.json");
	assert_here(config->files.items[2], "conf/hosts.d/b.json");
	uint64_t digest = config->digest;
	config_free(config);

	put("conf/hosts.d/a.json", "{\"hosts\": {}}");
	config = read_path(&reading, "conf/config.json", NULL);
	assert_non_null(config);
	assert_true(config->digest != digest);
	config_free(config);

	assert_null(read_path(&reading, "conf/config.json", tell_name));
	assert_string_equal(reading.told,
		"conf/hosts.d/b.json:1: hosts[\"a.test\"]: conf/hosts.d/b.json:1 a.test\n"
		"conf/hosts.d/b.json:2: hosts[\"b.test\"]: conf/hosts.d/b.json:2 b.test\n");
	drop_hosts_d();
}

static void tells_what_is_wrong_in_an_included_file(void **state)
{
	(void)state;
	make_hosts_d();
	put("conf/hosts.d/a.json", "{\n\"listen\": \":1\", \"include\": \"x\",\n\"hots\": {}}");
	put("conf/hosts.d/b.json", "{\"hosts\": {\"a.test\": {},");
	assert_told("conf/config.json",
		"conf/hosts.d/a.json:2: listen: an included file has \"hosts\" and nothing else\n"
		"conf/hosts.d/a.json:2: include: an included file has \"hosts\" and nothing else\n"
		"conf/hosts.d/a.json:3: hots: unknown key: did you mean \"hosts\"?\n"
		"conf/hosts.d/b.json:1: hosts[\"a.test\"]: \"mode\" is missing: expected "
		"\"terminate\" or \"passthrough\"\n"
		"conf/hosts.d/b.json:1: hosts[\"a.test\"]: \"backend\" is missing\n"
		"conf/hosts.d/b.json:1: expected a name in double quotes, got the end of the file\n");
	drop_hosts_d();
}

static void tells_what_it_cannot_read(void **state)
{
	(void)state;
	assert_told("nope.json", "nope.json: cannot read: No such file or directory\n");
	assert_told(".", ".: cannot read: not a file\n");
	assert_told("/dev/zero", "/dev/zero: cannot read: not a file\n");
}

static void no_directory_is_a_pattern(void **state)
{
	struct reading reading;
	(void)state;
	mkdir("[x]*", 0700);
	put("[x]*/config.json", "{\"listen\": \":443\", \"include\": \"h*.json\"}");
	put("[x]*/h1.json", two_hosts);
	struct config *config = read_path(&reading, "[x]*/config.json", NULL);
	assert_string_equal(reading.told, "");
	assert_non_null(config);
	assert_int_equal(reading.hosts, 2);
	config_free(config);
	unlink("[x]*/config.json");
	unlink("[x]*/h1.json");
	rmdir("[x]*");
}

static void refuses_every_beginning_of_a_file(void **state)
{
	struct reading reading;
	const char *texts[] = {rich_text(FINGERPRINT), rich_whole};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = strdup(texts[i]);
		assert_non_null(text);
		for (size_t len = strlen(text); len-- > 0;) {
			text[len] = '\0';
			assert_null(read_text(&reading, text, NULL));
			assert_true(reading.report.errors > 0);
		}
		free(text);
	}
}

static void counts_lines_over_many_hosts(void **state)
{
	struct reading reading;
	FILE *file = fopen("config.json", "w");
	(void)state;
	assert_non_null(file);
	fputs("{\"listen\": \":443\", \"hosts\": {\n", file);
	for (unsigned i = 2; i < 20000; i++)
		fprintf(file,
			"\"h%u.test\": {\"mode\": \"passthrough\",\n\n\"backend\": \"b%s\"},\n", i,
			i == 19000 || i == 7 ? "" : ":1");
	fputs("\"last.test\": {}}}", file);
	assert_int_equal(fclose(file), 0);
	assert_null(read_path(&reading, "config.json", NULL));
	assert_int_equal(reading.hosts, 19996);
	assert_string_equal(reading.told,
		"config.json:19: hosts[\"h7.test\"].backend: expected \"host:port\", got \"b\"\n"
		"config.json:56998: hosts[\"h19000.test\"].backend: expected \"host:port\", got \"b\"\n"
		"config.json:59996: hosts[\"last.test\"]: \"mode\" is missing: expected \"terminate\" or "
		"\"passthrough\"\n"
		"config.json:59996: hosts[\"last.test\"]: \"backend\" is missing\n");
}

static void refuses_a_value_without_bounds(void **state)
{
	FILE *file = fopen("config.json", "w");
	(void)state;
	assert_non_null(file);
	fputs("{\"listen\": \":443\", \"user\": \"", file);
	for (unsigned i = 0; i < 17 << 10; i++)
		fprintf(file, "%01024u", 0);
	fputs("\"}", file);
	assert_int_equal(fclose(file), 0);
	assert_told("config.json",
		"config.json:1: user: larger than 16 MiB: split it, or move its parts to \"hosts\"\n");
}

static void tells_of_many_unknown_keys_once(void **state)
{
	struct reading reading;
	FILE *file = fopen("config.json", "w");
	(void)state;
	assert_non_null(file);
	fputs("{\"listen\": \":443\"", file);
	for (unsigned i = 0; i < 100; i++)
		fprintf(file, ", \"h%u.test\": {\"mode\": \"passthrough\"}", i);
	fputs("}", file);
	assert_int_equal(fclose(file), 0);
	assert_null(read_path(&reading, "config.json", NULL));
	assert_int_equal(reading.report.errors, 21);
	assert_non_null(strstr(reading.told, "config.json:1: and more unknown keys\n"));
}

int main(void)
{
	char directory[] = "/tmp/test_config.XXXXXX";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_file_of_tls_switch),
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(reads_every_field_of_a_host),
		cmocka_unit_test(reads_every_field_of_the_whole),
		cmocka_unit_test(needs_no_listener_where_there_are_only_forwards),
		cmocka_unit_test(entries_inherit_what_they_do_not_set),
		cmocka_unit_test(a_host_may_say_that_nobody_is_asked),
		cmocka_unit_test(a_host_may_have_nothing_but_entries),
		cmocka_unit_test(equal_tokens_have_equal_digests),
		cmocka_unit_test(tells_findings_where_they_are_written),
		cmocka_unit_test(includes_files_in_order_and_each_once),
		cmocka_unit_test(tells_what_is_wrong_in_an_included_file),
		cmocka_unit_test(tells_what_it_cannot_read),
		cmocka_unit_test(no_directory_is_a_pattern),
		cmocka_unit_test(refuses_every_beginning_of_a_file),
		cmocka_unit_test(counts_lines_over_many_hosts),
		cmocka_unit_test(refuses_a_value_without_bounds),
		cmocka_unit_test(tells_of_many_unknown_keys_once),
	};
	if (!mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink("config.json");
	rmdir(directory);
	return failed;
}
