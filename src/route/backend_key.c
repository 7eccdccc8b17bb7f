#include "route/backend_key.h"

/* Texts end in a NUL; an absent one has a byte that no text begins with. */
static void append_text(struct strbuf *out, const char *text)
{
	if (!text)
		text = "\xff";
	strbuf_append(out, text, strlen(text) + 1);
}

static void append_tls(struct strbuf *out, const struct client_tls_config *tls)
{
	append_text(out, tls->server_name);
	append_text(out, tls->cert);
	append_text(out, tls->key);
	for (size_t i = 0; i < tls->ca.count; i++)
		append_text(out, tls->ca.items[i]);
	append_text(out, NULL);
	for (size_t i = 0; i < tls->crl.count; i++)
		append_text(out, tls->crl.items[i]);
}

/*
 * tests/unit/test_backend_key.c changes every field that the reader knows, and expects another
 * key.
 */
void backend_key(const struct backend_config *config, struct strbuf *out)
{
	uint64_t numbers[] = {config->count, 0, config->balance, config->proxy_protocol,
		(uintptr_t)config->starttls, config->has_tls,
		config->has_tls ? config->tls.min_version : 0,
		config->has_tls && config->tls.refuse_expired_crl, config->health,
		config->health_interval_ms, config->health_timeout_ms, config->health_rise,
		config->health_fall};
	for (size_t i = 0; i < config->count; i++)
		numbers[1] |= (uint64_t)config->servers[i].backup << i; /* at most 32 */
	strbuf_append(out, (const char *)numbers, sizeof numbers);
	for (size_t i = 0; i < config->count; i++)
		append_text(out, config->servers[i].address);
	if (config->has_tls)
		append_tls(out, &config->tls);
}
