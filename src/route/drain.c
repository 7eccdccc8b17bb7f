#include "route/drain.h"

#include "route/plaintext.h"
#include "route/routes_inside.h"

size_t routes_drain_host(struct routes *routes, const char *name, bool drained)
{
	size_t count = 0;
	const struct host *host = host_table_get(&routes->hosts, span_of_string(name));
	if (host && host->own) {
		atomic_store(&host->own->drained, drained);
		count++;
	}
	for (uint32_t i = 0; host && i < host->alpn_count; i++, count++)
		atomic_store(&host->alpn[i].drained, drained);
	for (size_t i = 0; i < routes->config->forward_count; i++)
		if (strcmp(routes->forwards[i].host, name) == 0) {
			atomic_store(&routes->forwards[i].drained, drained);
			count++;
		}
	struct route *plaintext = routes_plaintext_named(routes, name);
	if (plaintext)
		atomic_store(&plaintext->drained, drained);
	return count + (plaintext != NULL);
}

size_t routes_drain_server(struct routes *routes, const char *name, bool drained)
{
	size_t count = 0;
	for (size_t i = 0; i < routes->backends.count; i++) {
		struct backend *backend = routes->backends.items[i];
		for (unsigned at = 0; at < backend->count; at++)
			if (strcmp(backend->servers[at].text, name) == 0) {
				atomic_store(&backend->servers[at].drained, drained);
				count++;
			}
	}
	return count;
}
