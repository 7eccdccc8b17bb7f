#include "explain/explain.h"

#include "config/config_names.h"
#include "net/source_hash.h"

static void print_servers(struct out *out, const struct backend *backend, bool backups)
{
	out_list(out, backups ? "backups" : "servers");
	for (unsigned i = 0; i < backend->count; i++)
		if (backend->servers[i].backup == backups)
			out_text(out, NULL, backend->servers[i].text);
	out_close(out);
}

static bool has_backups(const struct backend *backend)
{
	for (unsigned i = 0; i < backend->count; i++)
		if (backend->servers[i].backup)
			return true;
	return false;
}

/* The order in which they would be tried while all are taken to be up. */
static void print_order(struct out *out, struct backend *backend, uint64_t hash)
{
	uint32_t tried = 0;
	int index;
	out_list(out, "order_for_source");
	while ((index = backend_choose(backend, tried, hash)) >= 0) {
		out_text(out, NULL, backend->servers[index].text);
		tried |= 1u << index;
	}
	out_close(out);
}

void explain_backend(struct out *out, struct backend *backend, const struct explain_facts *facts)
{
	out_object(out, "backend");
	print_servers(out, backend, false);
	if (has_backups(backend))
		print_servers(out, backend, true);
	if (backend->count > 1)
		out_text(out, "balance", balance_name(backend->balance));
	if (backend->balance == BALANCE_SOURCE && facts->source)
		print_order(out, backend, source_hash(&facts->source->any));
	out_text(out, "proxy_protocol", proxy_out_name(backend->proxy_protocol));
	if (backend->starttls)
		out_text(out, "starttls", backend->starttls->name);
	out_close(out);
}
