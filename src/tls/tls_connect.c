#include "tls/tls_stream_inside.h"

#include "tls/cert/identity.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define NAMES_TEXT_MAX 160

struct stream *tls_connect_stream(struct loop_ctx *ctx, struct socket *socket,
	struct tls_peer *peer, struct span alpn, struct err *err)
{
	struct tls_stream *tls = tls_stream_create(ctx, socket, tls_peer_ssl(peer), err);
	if (!tls)
		return NULL;
	tls->peer = tls_peer_ref(peer);
	if (alpn.len > 0)
		SSL_set_alpn_protos(tls->ssl, alpn.data, (unsigned)alpn.len);
	return &tls->stream;
}

struct tls_peer *tls_stream_peer(SSL *ssl)
{
	return tls_stream_of_ssl(ssl)->peer;
}

static size_t add_name(char *out, size_t used, const char *name, size_t len)
{
	int n = snprintf(
		out + used, NAMES_TEXT_MAX - used, "%s%.*s", used ? ", " : "", (int)len, name);
	return n < 0 || used + (size_t)n >= NAMES_TEXT_MAX ? used : used + (size_t)n;
}

static size_t add_address(char *out, size_t used, const ASN1_OCTET_STRING *address)
{
	char text[64];
	const unsigned char *b = ASN1_STRING_get0_data(address);
	if (ASN1_STRING_length(address) != 4)
		return add_name(out, used, "an IPv6 address", 15);
	int len = snprintf(text, sizeof text, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
	return add_name(out, used, text, (size_t)len);
}

/* The names that the certificate does stand for, as many as fit. */
static void write_names(X509 *leaf, char out[NAMES_TEXT_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;
	out[0] = '\0';
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		if (type == GEN_DNS)
			used = add_name(out, used, (const char *)ASN1_STRING_get0_data(value),
				(size_t)ASN1_STRING_length(value));
		else if (type == GEN_IPADD)
			used = add_address(out, used, value);
	}
	GENERAL_NAMES_free(names);
	for (char *c = out; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (used == 0)
		snprintf(out, NAMES_TEXT_MAX, "none");
}

static void write_date(const ASN1_TIME *time, char *out, size_t size)
{
	struct tm parts;
	out[0] = '\0';
	if (ASN1_TIME_to_tm(time, &parts) == 1)
		strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* Why the server's certificate was refused, in words that help whoever is to mend it. */
static const char *explain(struct tls_stream *tls, X509 *leaf, int error)
{
	char detail[NAMES_TEXT_MAX];
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		write_names(leaf, detail);
		return tls_stream_format(tls, "server certificate: not for \"%s\"; its names: %s",
			tls_peer_name(tls->peer), detail);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		write_date(X509_get0_notAfter(leaf), detail, sizeof detail);
		return tls_stream_format(tls, "server certificate: expired at %s", detail);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		write_date(X509_get0_notBefore(leaf), detail, sizeof detail);
		return tls_stream_format(tls, "server certificate: not valid before %s", detail);
	default:
		return tls_stream_format(
			tls, "server certificate: %s", X509_verify_cert_error_string(error));
	}
}

int tls_stream_on_verify_server(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *tls = tls_stream_of_ssl(ssl);
	X509 *at_fault = X509_STORE_CTX_get_current_cert(store);
	if (ok || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
		return 1;
	if (!at_fault)
		at_fault = X509_STORE_CTX_get0_cert(store);
	tls->refusal = explain(tls, at_fault, X509_STORE_CTX_get_error(store));
	return 0;
}

/* Its own certificate a client has shown it or not: nothing is left to choose. */
int tls_connect_on_asked(SSL *ssl, void *unused)
{
	(void)unused;
	tls_stream_of_ssl(ssl)->asked = true;
	return 1;
}

static const char *explain_pin(struct tls_stream *tls, const struct identity *identity)
{
	char certificate[FINGERPRINT_HEX_SIZE], key[FINGERPRINT_HEX_SIZE];
	fingerprint_hex(identity->certificate, certificate);
	fingerprint_hex(identity->key, key);
	return tls_stream_format(tls,
		"server certificate: not the pinned one; its SHA-256 is %s, its key's %s",
		certificate, key);
}

/* In the place of OpenSSL's own verification, which follows where there is someone to trust. */
int tls_connect_on_pinned(X509_STORE_CTX *store, void *arg)
{
	const struct tls_client_policy *policy = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *tls = tls_stream_of_ssl(ssl);
	struct identity *identity = identity_of(X509_STORE_CTX_get0_cert(store));
	bool matches = identity && pins_match(&policy->pins, identity);
	if (!matches) {
		tls->refusal = identity ? explain_pin(tls, identity) : "out of memory";
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	} else if (!policy->trust) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
	}
	identity_free(identity);
	return matches && (!policy->trust || X509_verify_cert(store) == 1);
}

/* A server that refuses often closes with our bytes unread: its alert, and then a reset, wait. */
void tls_connect_hear_alert(struct tls_stream *tls)
{
	int error = tls->io.error;
	uint8_t byte;
	tls->io.error = 0;
	record_io_open(&tls->io);
	ERR_clear_error();
	SSL_peek(tls->ssl, &byte, sizeof byte);
	tls->io.error = error;
}
