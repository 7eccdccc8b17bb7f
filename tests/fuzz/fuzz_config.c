/*
 * Any bytes as a configuration: it is taken whole or every error has its line, and what is handed
 * over keeps the promises of config.h. Texts that include others are left out: they reach for
 * files.
 */
#include "config/config_finding.h"
#include "config/config_read.h"
#include "wire/server_name.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
	char path[64];
	size_t hosts;
};

static void check_line(struct report *report, enum severity severity, const char *text)
{
	struct seen *seen = report->owner;
	CHECK(severity == SEVERITY_ERROR || severity == SEVERITY_WARNING);
	CHECK(strncmp(text, seen->path, strlen(seen->path)) == 0);
	CHECK(text[strlen(seen->path)] == ':');
	for (const char *c = text; *c; c++)
		CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_strings(const struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		CHECK(strings->items[i] && strings->items[i][0]);
}

static void check_paths(const struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		CHECK(strings->items[i][0] == '/');
}

static void check_backend(const struct backend_config *backend)
{
	CHECK(backend->count > 0);
	for (size_t i = 0; i < backend->count; i++)
		CHECK(strchr(backend->servers[i].address, ':'));
	CHECK(!backend->tls.cert == !backend->tls.key);
	CHECK(backend->tls.min_version == 0x0303 || backend->tls.min_version == 0x0304);
	check_paths(&backend->tls.ca);
}

static void check_fingerprints(const struct strings *fingerprints)
{
	for (size_t i = 0; i < fingerprints->count; i++)
		CHECK(strspn(fingerprints->items[i], "0123456789abcdef") == 64 &&
			strlen(fingerprints->items[i]) == 64);
}

static void check_route(const struct route_config *route)
{
	bool terminates = route->mode == MODE_TERMINATE;
	CHECK(route->has_backend && route->place);
	CHECK(terminates || route->mode == MODE_PASSTHROUGH);
	CHECK(route->cert.count == route->key.count && (route->cert.count > 0) == terminates);
	CHECK(route->client_auth <= CLIENT_AUTH_REQUIRED);
	CHECK((route->ca.count > 0) == (route->client_auth != CLIENT_AUTH_NONE));
	CHECK(terminates || !route->backend.has_tls);
	CHECK(route->verify_depth >= 1 && route->verify_depth <= 10);
	check_paths(&route->cert);
	check_paths(&route->key);
	check_paths(&route->ca);
	check_strings(&route->offer_alpn);
	check_strings(&route->acl.allow_cn);
	check_fingerprints(&route->acl.allow_fingerprint);
	check_backend(&route->backend);
}

static void check_host(void *owner, const struct host_config *host)
{
	struct seen *seen = owner;
	struct server_name name;
	seen->hosts++;
	CHECK(!server_name_parse_pattern(span_of_string(host->name), &name));
	CHECK(strcmp(name.text, host->name) == 0);
	CHECK(host->line > 0 && strcmp(host->file, seen->path) == 0);
	CHECK(host->has_route || host->alpn_count > 0);
	if (host->has_route)
		check_route(&host->route);
	for (size_t i = 0; i < host->alpn_count; i++) {
		CHECK(host->alpn[i].id.len >= 1 && host->alpn[i].id.len <= 255);
		check_route(&host->alpn[i].route);
	}
	/* The line of a field must be found wherever it stands, or is missing. */
	struct report ignored = {.on_finding = check_line, .owner = seen};
	host_config_error(host, &ignored, "a finding");
	route_config_error(&host->route, &ignored, "cert", 1, "a finding");
	for (size_t i = 0; i < host->alpn_count; i++)
		route_config_warning(
			&host->alpn[i].route, &ignored, "backend.tls.ca", -1, "a finding");
}

static void check_config(const struct config *config, const struct seen *seen)
{
	CHECK(config->host_count == seen->hosts);
	CHECK(config->listener_count > 0 || config->forward_count > 0);
	CHECK(config->workers <= 1024 && config->files.count == 1);
	for (size_t i = 0; i < config->listener_count; i++)
		CHECK(config->listeners[i].address && config->listeners[i].where);
	for (size_t i = 0; i < config->forward_count; i++) {
		CHECK(config->forwards[i].listener_count > 0 && config->forwards[i].target.has_tls);
		check_backend(&config->forwards[i].target);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen seen = {0};
	struct report report = {.on_finding = check_line, .owner = &seen};
	if (memmem(data, len, "include", 7))
		return 0;
	int fd = memfd_create("config", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	snprintf(seen.path, sizeof seen.path, "/proc/self/fd/%d", fd);
	struct config *config = config_read(seen.path, check_host, &seen, &report);
	CHECK((config == NULL) == (report.errors > 0));
	if (config)
		check_config(config, &seen);
	config_free(config);
	close(fd);
	return 0;
}
