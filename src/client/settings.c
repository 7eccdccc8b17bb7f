#include "client/settings.h"

#include "base/printable.h"
#include "net/address.h"
#include "wire/server_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_SETTINGS "/etc/gatehouse/client.json"

#define CONNECT_TIMEOUT_MS 10000
#define KEEPALIVE_MS       60000

static const struct client_config built_in = {.min_version = 0x0304,
	.connect_timeout_ms = CONNECT_TIMEOUT_MS,
	.keepalive_ms = KEEPALIVE_MS};

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	const char *program = report->owner;
	fprintf(stderr, "%s: %s%s\n", program, severity == SEVERITY_WARNING ? "warning: " : "",
		text);
}

static bool log_failure(const struct client_flags *flags, const char *text)
{
	print_diagnostic(flags->program, text);
	return false;
}

/* NULL when the user has no home directory, as a service may have none. */
static const char *user_path(struct arena *arena)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	if (config && *config == '/')
		return arena_format(arena, "%s/gatehouse/client.json", config);
	if (home && *home == '/')
		return arena_format(arena, "%s/.config/gatehouse/client.json", home);
	return NULL;
}

/* A port that is left out takes the value of the default. */
static bool has_port(const char *target)
{
	struct endpoint one, other;
	struct err err;
	return endpoint_parse_near(target, 1, &one, &err) &&
		endpoint_parse_near(target, 2, &other, &err) && one.port == other.port;
}

static bool find_endpoint(
	struct client_settings *settings, const struct endpoint *typed, struct err *err)
{
	const char *gateway = settings->config.gateway;
	settings->endpoint = *typed;
	if (!gateway)
		return true;
	if (!endpoint_parse_near(gateway, CLIENT_PORT, &settings->endpoint, err))
		return false;
	if (!settings->endpoint.is_unix && has_port(settings->target))
		settings->endpoint.port = typed->port;
	return true;
}

/* The name to verify, without the zone of a link-local address. */
static bool find_name(struct client_settings *settings, const struct endpoint *typed,
	struct arena *arena, struct err *err)
{
	const char *text = settings->config.sni ? settings->config.sni : typed->host;
	struct server_name name;
	err_set(err, "out of memory");
	settings->name = arena_copy(arena, text, strcspn(text, "%"));
	if (!settings->name || address_is_ip(settings->name))
		return settings->name != NULL;
	if (!settings->config.sni && typed->is_unix) {
		err_set(err, "%s: a unix socket has no name to verify; give one with --sni",
			settings->target);
		return false;
	}
	const char *wrong = server_name_parse(span_of_string(text), &name);
	if (wrong) {
		err_set(err, "the name \"%s\" %s; give the right one with --sni", text, wrong);
		return false;
	}
	settings->name = arena_copy(arena, name.text, name.len);
	return settings->name != NULL;
}

static void log_match(const struct client_lookup *lookup, const struct client_flags *flags)
{
	if (flags->verbose && lookup->matched)
		fprintf(stderr, "%s: settings: \"%s\" of %s\n", flags->program, lookup->matched,
			lookup->matched_in);
}

bool client_settings_make(
	struct client_settings *settings, struct client_flags *flags, const char *target)
{
	struct report report = {
		.on_finding = on_finding, .owner = (void *)(uintptr_t)flags->program};
	struct endpoint typed;
	struct err err;
	*settings = (struct client_settings){.program = flags->program,
		.verbose = flags->verbose,
		.config = built_in,
		.target = target};
	if (!endpoint_parse_near(target, CLIENT_PORT, &typed, &err))
		return log_failure(flags, err.text);
	struct client_lookup lookup = {.arena = &flags->arena,
		.name = typed.host,
		.system_path = SYSTEM_SETTINGS,
		.user_path = user_path(&flags->arena)};
	if (!client_config_look_up(&lookup, &report))
		return false;
	log_match(&lookup, flags);
	client_config_overlay(&settings->config, &lookup.defaults);
	client_config_overlay(&settings->config, &lookup.gateway);
	client_config_overlay(&settings->config, &flags->given);
	if (!find_endpoint(settings, &typed, &err) ||
		!find_name(settings, &typed, &flags->arena, &err))
		return log_failure(flags, err.text);
	return true;
}
