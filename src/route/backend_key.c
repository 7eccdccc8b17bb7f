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
	uint32_t numbers[] = {tls->min_version, tls->refuse_expired_crl};
	strbuf_append(out, (const char *)numbers, sizeof numbers);
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
	uint64_t backups = 0; /* a bit each, of at most 32 servers */
	for (size_t i = 0; i < config->count; i++)
		backups |= (uint64_t)config->servers[i].backup << i;
	struct { /* without holes, whose bytes could be anything */
		uint64_t backups, health_interval_ms, health_timeout_ms;
		const struct preface *starttls;
		unsigned health_rise, health_fall;
		uint8_t count, balance, proxy_protocol, health, has_tls, padding[3];
	} of_all = {backups, config->health_interval_ms, config->health_timeout_ms,
		config->starttls, config->health_rise, config->health_fall, config->count,
		config->balance, config->proxy_protocol, config->health, config->has_tls, {0}};
	strbuf_append(out, (const char *)&of_all, sizeof of_all);
	for (size_t i = 0; i < config->count; i++)
		append_text(out, config->servers[i].address);
	if (config->has_tls)
		append_tls(out, &config->tls);
}
