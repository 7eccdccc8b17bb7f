#include "config/config_finding.h"
#include "route/routes_builder.h"
#include "tls/tls_client.h"
#include "tls/tls_store.h"

/*
 * A login may prove that both ends see one certificate (SCRAM-SHA-256-PLUS; RFC 5929 section 4). With TLS on both
 * sides of us they do if ours is the server's own. One that does not cover the server's name is not.
 */

static bool has_certificate_of(const struct tls_policy *policy, const struct server_name *name)
{
	for (size_t i = 0; i < policy->credential_count; i++)
		if (credential_covers(policy->credentials[i], name))
			return true;
	return false;
}

void build_check_binding(
	struct builder *builder, const struct route_config *config, const struct route *route)
{
	const struct backend *backend = route->backend;
	struct server_name name;
	if (!route->tls || !backend || !backend->starttls || !backend->starttls->binds_channel)
		return;
	const char *text = backend->servers[0].tls ? tls_peer_name(backend->servers[0].tls) : "";
	if (server_name_parse(span_of_string(text), &name) != NULL ||
		has_certificate_of(&route->tls->policy, &name))
		return;
	route_config_warning(config, builder->report, "backend.starttls", -1,
		"logins with channel binding (SCRAM-SHA-256-PLUS) fail: \"cert\" is not the certificate of "
		"\"%s\"; see gatehouse.json(5), PostgreSQL",
		name.text);
}
