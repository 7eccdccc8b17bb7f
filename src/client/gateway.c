#include "client/gateway.h"

#include "client/passphrase.h"
#include "tls/cert/client_key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void warn_loose_key(const struct client_settings *settings)
{
	const struct client_config *config = &settings->config;
	const char *path = config->key ? config->key : config->cert;
	unsigned mode = client_key_loose_mode(path);
	if (mode)
		fprintf(stderr,
			"%s: warning: %s: mode %04o lets other users read this key; run chmod 600\n",
			settings->program, path, mode);
}

static bool load_credential(struct gateway *gateway, struct err *err)
{
	const struct client_config *config = &gateway->settings->config;
	struct client_key_setup setup = {.cert = config->cert,
		.key = config->key,
		.ask = passphrase_get,
		.owner = (void *)(uintptr_t)config->passphrase_file};
	if (!config->cert && !config->key)
		return true;
	gateway->credential = client_key_load(&setup, err);
	return gateway->credential != NULL;
}

static void warn_expired_crl(const struct gateway *gateway)
{
	const struct client_settings *settings = gateway->settings;
	if (settings->config.expired_crl != EXPIRED_CRL_REFUSE && gateway->trust &&
		trust_has_expired_crl(gateway->trust, time(NULL)))
		fprintf(stderr, "%s: warning: a certificate revocation list has expired\n",
			settings->program);
}

static bool load_trust(struct gateway *gateway, struct err *err)
{
	const struct client_config *config = &gateway->settings->config;
	struct trust_files files = {(const char *const *)config->ca.items,
		(const char *const *)config->crl.items, config->ca.count, config->crl.count};
	enum trust_part at_fault;
	int index;
	if (files.ca_count == 0 && files.crl_count > 0) {
		err_set(err, "crl: \"ca\" is missing: \"crl\" needs it");
		return false;
	}
	if (files.ca_count == 0)
		return true;
	gateway->trust = trust_load(&files, &at_fault, &index, err);
	if (!gateway->trust)
		err_prefix(err, at_fault == TRUST_CA ? "--ca: " : "crl: ");
	return gateway->trust != NULL;
}

static bool add_pins(const struct client_config *config, struct pins *pins, struct err *err)
{
	for (size_t i = 0; i < config->pin.count; i++)
		if (!pins_add(pins, config->pin.items[i], err))
			return false;
	return true;
}

static bool make_peer(struct gateway *gateway, struct err *err)
{
	const struct client_settings *settings = gateway->settings;
	struct tls_client_policy policy = {.credential = gateway->credential,
		.trust = gateway->trust,
		.min_version = settings->config.min_version,
		.refuse_expired_crl = settings->config.expired_crl == EXPIRED_CRL_REFUSE};
	if (!add_pins(&settings->config, &policy.pins, err))
		return false;
	gateway->client = tls_client_create(&policy, err);
	if (gateway->client)
		gateway->peer = tls_peer_create(gateway->client, settings->name, err);
	return gateway->peer != NULL;
}

static bool list_alpn(struct gateway *gateway, struct err *err)
{
	const struct strings *ids = &gateway->settings->config.alpn;
	for (size_t i = 0; i < ids->count; i++) {
		size_t len = strlen(ids->items[i]);
		if (gateway->alpn_len + 1 + len > sizeof gateway->alpn) {
			err_set(err, "--alpn: the list of protocols is too long");
			return false;
		}
		gateway->alpn[gateway->alpn_len] = (uint8_t)len;
		memcpy(gateway->alpn + gateway->alpn_len + 1, ids->items[i], len);
		gateway->alpn_len += 1 + len;
	}
	return true;
}

bool gateway_open(struct gateway *gateway, const struct client_settings *settings, struct err *err)
{
	*gateway = (struct gateway){.settings = settings};
	if (load_credential(gateway, err) && load_trust(gateway, err) && make_peer(gateway, err) &&
		list_alpn(gateway, err)) {
		if (gateway->credential)
			warn_loose_key(settings);
		warn_expired_crl(gateway);
		return true;
	}
	gateway_close(gateway);
	return false;
}

void gateway_close(struct gateway *gateway)
{
	tls_peer_unref(gateway->peer);
	tls_client_unref(gateway->client);
	trust_unref(gateway->trust);
	credential_unref(gateway->credential);
	*gateway = (struct gateway){0};
}

static bool is_current(const struct gateway *gateway)
{
	return (!gateway->credential || client_key_is_current(gateway->credential)) &&
		(!gateway->trust || trust_is_current(gateway->trust));
}

bool gateway_refresh(struct gateway *gateway, struct err *err)
{
	struct gateway fresh = {.settings = gateway->settings};
	if (is_current(gateway))
		return true;
	if (!load_credential(&fresh, err) || !load_trust(&fresh, err) || !make_peer(&fresh, err) ||
		!list_alpn(&fresh, err)) {
		gateway_close(&fresh);
		return false;
	}
	gateway_close(gateway);
	*gateway = fresh;
	return true;
}
