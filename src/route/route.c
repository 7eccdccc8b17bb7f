#include "route/route.h"

#include "base/hash.h"
#include "config/config_names.h"

const char *route_mode_name(const struct route *route)
{
	if (route->is_forward)
		return "forward";
	if (route->is_plaintext)
		return route->backend ? "plaintext" : "redirect";
	return mode_name(route->tls ? MODE_TERMINATE : MODE_PASSTHROUGH);
}

/*
 * Fixed keys suffice: a client that finds colliding names resumes a session of its own. The halves
 * have different ones. The policy needs no part in it: where it could matter, certificates are
 * requested and no ticket is sent.
 */
struct ticket_binding route_ticket_binding(const struct route *route, const char *server_name)
{
	uint64_t host[2], halves[2];
	for (unsigned i = 0; i < 2; i++) {
		struct hash_key key = {0x6761746568ull, i};
		host[i] = hash_bytes(key, route->host, strlen(route->host));
		key.k0 = host[i];
		key.k0 = hash_bytes(key, server_name, strlen(server_name));
		halves[i] = hash_bytes(key, route->alpn.data, route->alpn.len);
	}
	struct ticket_binding binding;
	memcpy(binding.bytes, halves, sizeof binding.bytes);
	return binding;
}
