#include "route/inspect.h"

#include "config/config_names.h"
#include "route/plaintext.h"
#include "route/routes_inside.h"

const struct credential *routes_first_to_expire(const struct routes *routes)
{
	const struct credential *first = NULL;
	for (size_t i = 0; i < routes->contexts.count; i++) {
		const struct tls_context *context = routes->contexts.items[i];
		for (size_t j = 0; j < context->policy.credential_count; j++) {
			const struct credential *credential = context->policy.credentials[j];
			if (!first || credential->not_after < first->not_after)
				first = credential;
		}
	}
	return first;
}

static bool visit_host(const struct host *host, routes_visit_fn *visit, void *owner)
{
	if (host->own && !visit(owner, host->own))
		return false;
	for (uint32_t i = 0; i < host->alpn_count; i++)
		if (!visit(owner, &host->alpn[i]))
			return false;
	return true;
}

void routes_each(const struct routes *routes, routes_visit_fn *visit, void *owner)
{
	for (size_t i = 0; i < routes->hosts.count; i++)
		if (!visit_host(&routes->hosts.hosts[i], visit, owner))
			return;
	for (size_t i = 0; i < routes->config->forward_count; i++)
		if (!visit(owner, &routes->forwards[i]))
			return;
	for (size_t i = 0; i < routes_plaintext_count(routes); i++) {
		const struct route *route = routes_plaintext_at(routes, i);
		if (route && !visit(owner, route))
			return;
	}
}

const char *route_client_auth_name(const struct route *route)
{
	if (!route->tls)
		return NULL;
	switch (route->tls->policy.verify) {
	case TLS_VERIFY_NONE:
		return client_auth_name(CLIENT_AUTH_NONE);
	case TLS_VERIFY_OPTIONAL:
		return client_auth_name(CLIENT_AUTH_OPTIONAL);
	case TLS_VERIFY_REQUIRED:
		break;
	}
	return client_auth_name(CLIENT_AUTH_REQUIRED);
}
