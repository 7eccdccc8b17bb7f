#include "daemon/load/reload_change.h"

#include <string.h>

size_t config_listener_count(const struct config *config)
{
	size_t count = config->listener_count;
	for (size_t i = 0; i < config->forward_count; i++)
		count += config->forwards[i].listener_count;
	return count;
}

const struct listener_config *config_listener(const struct config *config, size_t index)
{
	if (index < config->listener_count)
		return &config->listeners[index];
	index -= config->listener_count;
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct forward_config *forward = &config->forwards[i];
		if (index < forward->listener_count)
			return &forward->listeners[index];
		index -= forward->listener_count;
	}
	return NULL;
}

static const struct listener_config *listener_of_address(
	const struct config *config, const char *address)
{
	for (size_t i = 0; i < config_listener_count(config); i++) {
		const struct listener_config *listener = config_listener(config, i);
		if (strcmp(listener->address, address) == 0)
			return listener;
	}
	return NULL;
}

/* Addresses of `config` that `other` does not have. */
static unsigned count_missing(const struct config *config, const struct config *other)
{
	unsigned count = 0;
	for (size_t i = 0; i < config_listener_count(config); i++)
		count += !listener_of_address(other, config_listener(config, i)->address);
	return count;
}

/* Either may be NULL. */
static bool text_equal(const char *one, const char *other)
{
	return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool strings_equal(const struct strings *one, const struct strings *other)
{
	if (one->count != other->count)
		return false;
	for (size_t i = 0; i < one->count; i++)
		if (strcmp(one->items[i], other->items[i]) != 0)
			return false;
	return true;
}

static bool proxy_equal(const struct config *one, const struct config *other)
{
	return one->proxy.hello_timeout_ms == other->proxy.hello_timeout_ms &&
		one->proxy.handshake_timeout_ms == other->proxy.handshake_timeout_ms &&
		one->proxy.dial_timeout_ms == other->proxy.dial_timeout_ms &&
		one->proxy.idle_timeout_ms == other->proxy.idle_timeout_ms &&
		one->proxy.drain_timeout_ms == other->proxy.drain_timeout_ms &&
		one->proxy.max_connections == other->proxy.max_connections &&
		one->proxy.max_per_source == other->proxy.max_per_source &&
		one->proxy.rate_per_source == other->proxy.rate_per_source &&
		one->proxy.max_handshakes == other->proxy.max_handshakes &&
		one->proxy.handshake_rate == other->proxy.handshake_rate &&
		one->proxy.min_rate == other->proxy.min_rate;
}

static bool admin_equal(const struct admin_config *one, const struct admin_config *other)
{
	return one->enabled == other->enabled &&
		(!one->enabled ||
			(text_equal(one->listen, other->listen) &&
				strings_equal(&one->hosts, &other->hosts)));
}

static bool process_equal(const struct config *one, const struct config *other)
{
	return one->workers == other->workers && text_equal(one->user, other->user) &&
		one->sandbox == other->sandbox && one->logging.level == other->logging.level &&
		one->logging.json == other->logging.json &&
		admin_equal(&one->health, &other->health) &&
		admin_equal(&one->metrics, &other->metrics) &&
		text_equal(one->control_socket, other->control_socket);
}

static bool target_equal(const struct backend_config *one, const struct backend_config *other)
{
	const struct client_tls_config *tls = &one->tls, *other_tls = &other->tls;
	if (one->count != other->count || one->has_tls != other->has_tls)
		return false;
	for (size_t i = 0; i < one->count; i++)
		if (strcmp(one->servers[i].address, other->servers[i].address) != 0 ||
			one->servers[i].backup != other->servers[i].backup)
			return false;
	return one->balance == other->balance && one->proxy_protocol == other->proxy_protocol &&
		one->starttls == other->starttls &&
		text_equal(tls->server_name, other_tls->server_name) &&
		strings_equal(&tls->ca, &other_tls->ca) &&
		strings_equal(&tls->crl, &other_tls->crl) &&
		tls->refuse_expired_crl == other_tls->refuse_expired_crl &&
		text_equal(tls->cert, other_tls->cert) && text_equal(tls->key, other_tls->key) &&
		tls->min_version == other_tls->min_version && one->health == other->health &&
		one->health_interval_ms == other->health_interval_ms &&
		one->health_timeout_ms == other->health_timeout_ms &&
		one->health_rise == other->health_rise && one->health_fall == other->health_fall;
}

static bool forwards_equal(const struct config *one, const struct config *other)
{
	if (one->forward_count != other->forward_count)
		return false;
	for (size_t i = 0; i < one->forward_count; i++) {
		const struct forward_config *a = &one->forwards[i], *b = &other->forwards[i];
		if (!strings_equal(&a->alpn, &b->alpn) ||
			a->max_connections != b->max_connections ||
			!target_equal(&a->target, &b->target))
			return false;
	}
	return true;
}

static bool networks_equal(const struct listener_config *one, const struct listener_config *other)
{
	if (one->accept_proxy_count != other->accept_proxy_count)
		return false;
	for (size_t i = 0; i < one->accept_proxy_count; i++) {
		const struct network *a = &one->accept_proxy[i], *b = &other->accept_proxy[i];
		if (a->bits != b->bits || memcmp(&a->address, &b->address, sizeof a->address) != 0)
			return false;
	}
	return true;
}

/* Lists that end in NULL, or none; their items are entries of one registry. */
static bool prefaces_equal(const struct preface *const *one, const struct preface *const *other)
{
	if (!one || !other)
		return one == other;
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

static bool names_equal(const struct server_name *one, const struct server_name *other)
{
	return text_equal(one ? one->text : NULL, other ? other->text : NULL);
}

static bool plaintext_equal(
	const struct plaintext_config *one, const struct plaintext_config *other)
{
	if (!one || !other)
		return one == other;
	return one->redirects_http == other->redirects_http &&
		!one->http.where == !other->http.where && !one->ssh.where == !other->ssh.where &&
		target_equal(&one->http.config, &other->http.config) &&
		target_equal(&one->ssh.config, &other->ssh.config) &&
		one->ssh_silence_ms == other->ssh_silence_ms;
}

static bool listener_equal(const struct listener_config *one, const struct listener_config *other)
{
	return networks_equal(one, other) && prefaces_equal(one->prefaces, other->prefaces) &&
		names_equal(one->host, other->host) &&
		names_equal(one->default_host, other->default_host) &&
		strings_equal(&one->hosts, &other->hosts) &&
		one->forwards_cancel == other->forwards_cancel &&
		plaintext_equal(one->plaintext, other->plaintext);
}

/* Of the listeners that stay. */
static bool listeners_equal(const struct config *one, const struct config *other)
{
	for (size_t i = 0; i < config_listener_count(one); i++) {
		const struct listener_config *a = config_listener(one, i);
		const struct listener_config *b = listener_of_address(other, a->address);
		if (b && !listener_equal(a, b))
			return false;
	}
	return true;
}

struct reload_change reload_change_of(const struct routes *before, const struct routes *after)
{
	const struct config *one = routes_config(before), *other = routes_config(after);
	return (struct reload_change){
		.hosts = routes_compare(before, after),
		.listeners_opened = count_missing(other, one),
		.listeners_closed = count_missing(one, other),
		.settings_changed = !proxy_equal(one, other) || !process_equal(one, other) ||
			!forwards_equal(one, other) || !listeners_equal(one, other),
	};
}
