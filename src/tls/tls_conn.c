#include "tls/tls_conn.h"

#include "base/date.h"
#include "wire/server_name.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX       400
#define NAMES_TEXT_MAX 160

const char *tls_conn_format(struct tls_conn *conn, const char *format, ...)
{
	if (!conn->text)
		conn->text = malloc(TEXT_MAX);
	if (!conn->text)
		return "out of memory";
	va_list args;
	va_start(args, format);
	vsnprintf(conn->text, TEXT_MAX, format, args);
	va_end(args);
	return conn->text;
}

void tls_conn_finish(struct tls_conn *conn)
{
	SSL_free(conn->ssl);
	identity_free(conn->identity);
	free(conn->text);
}

static struct tls_conn *conn_of_store(X509_STORE_CTX *store)
{
	return tls_conn_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* A server's. */

static bool is_routed_name(const struct tls_conn *conn, const char *sni)
{
	struct server_name seen = {0};
	if (sni && server_name_parse_sni(span_of_string(sni), &seen) != NULL)
		return false;
	return strcmp(seen.text, conn->accept.name) == 0;
}

/* A second hello, after a HelloRetryRequest, may not name another host than the routed first. */
int tls_conn_on_server_name(SSL *ssl, int *alert, void *unused)
{
	struct tls_conn *conn = tls_conn_of(ssl);
	(void)unused;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (is_routed_name(conn, sni))
		return sni ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
	conn->refusal = "the server name changed during the handshake";
	*alert = SSL_AD_ILLEGAL_PARAMETER;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_conn_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *unused)
{
	struct tls_conn *conn = tls_conn_of(ssl);
	struct span list = span_of(in, in_len), id, wanted = conn->accept.alpn;
	(void)unused;
	if (wanted.len == 0)
		return SSL_TLSEXT_ERR_NOACK;
	while (span_take_vector8(&list, &id)) {
		if (!span_equal(id, wanted))
			continue;
		*out = id.data;
		*out_len = (unsigned char)id.len;
		return SSL_TLSEXT_ERR_OK;
	}
	conn->refusal = "the application protocol changed during the handshake";
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Curves of the keys in clients' certificates: what those who issue them use. */
static const int certificate_curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1,
	NID_brainpoolP256r1, NID_brainpoolP384r1, NID_brainpoolP512r1};

/*
 * For the signature of a TLS 1.2 client OpenSSL takes the groups of the key exchange as the curves of
 * certificates, too ("wrong curve"). The exchange is done at this point: the list has no other use any
 * more. In TLS 1.3 the signature algorithm names the curve (RFC 8446 section 4.2.3).
 */
static void allow_certificate_curves(SSL *ssl)
{
	if (SSL_version(ssl) < TLS1_3_VERSION)
		SSL_set1_groups(ssl, (int *)certificate_curves,
			sizeof certificate_curves / sizeof *certificate_curves);
}

static int refuse_client(struct tls_conn *conn, X509_STORE_CTX *store, const char *why)
{
	conn->refusal = why ? why : "not admitted";
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

/* The leaf comes last, when the chain above it has been found valid. */
int tls_conn_on_verify_client(int ok, X509_STORE_CTX *store)
{
	struct tls_conn *conn = conn_of_store(store);
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
	if (!conn->identity)
		conn->identity = identity_of(X509_STORE_CTX_get0_cert(store));
	if (!ok && trust_forgives(conn->policy->refuse_expired_crl, error, depth)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	if (!ok) {
		conn->refusal = tls_conn_format(
			conn, "client certificate: %s", X509_verify_cert_error_string(error));
		return 0;
	}
	if (depth > 0)
		return 1;
	allow_certificate_curves(conn->ssl);
	if (!conn->accept.admit)
		return 1;
	const char *why = NULL;
	if (!conn->identity)
		return refuse_client(conn, store, "out of memory");
	if (!conn->accept.admit(conn->accept.owner, conn->identity, &why))
		return refuse_client(conn, store, why);
	return 1;
}

/* A client's. */

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

static void write_date(const ASN1_TIME *time, char out[DATE_SIZE])
{
	struct tm parts;
	out[0] = '\0';
	if (ASN1_TIME_to_tm(time, &parts) == 1)
		date_write(timegm(&parts), out);
}

/* Why the server's certificate was refused, in words that help whoever is to mend it. */
static const char *explain_refusal(struct tls_conn *conn, X509 *leaf, int error)
{
	char detail[NAMES_TEXT_MAX];
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		write_names(leaf, detail);
		return tls_conn_format(conn, "server certificate: not for \"%s\"; its names: %s",
			conn->peer_name, detail);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		write_date(X509_get0_notAfter(leaf), detail);
		return tls_conn_format(conn, "server certificate: expired at %s", detail);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		write_date(X509_get0_notBefore(leaf), detail);
		return tls_conn_format(conn, "server certificate: not valid before %s", detail);
	default:
		return tls_conn_format(
			conn, "server certificate: %s", X509_verify_cert_error_string(error));
	}
}

int tls_conn_on_verify_server(int ok, X509_STORE_CTX *store)
{
	struct tls_conn *conn = conn_of_store(store);
	X509 *at_fault = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
	if (ok || SSL_get_verify_mode(conn->ssl) == SSL_VERIFY_NONE)
		return 1;
	if (trust_forgives(conn->refuse_expired_crl, error, depth)) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
		return 1;
	}
	if (!at_fault)
		at_fault = X509_STORE_CTX_get0_cert(store);
	conn->refusal = explain_refusal(conn, at_fault, error);
	return 0;
}

/* The certificate is part of the context: nothing is left to choose. */
int tls_conn_on_certificate_request(SSL *ssl, void *unused)
{
	(void)unused;
	tls_conn_of(ssl)->is_asked = true;
	return 1;
}

static const char *explain_pin(struct tls_conn *conn, const struct identity *identity)
{
	char certificate[FINGERPRINT_HEX_SIZE], key[FINGERPRINT_HEX_SIZE];
	fingerprint_hex(identity->certificate, certificate);
	fingerprint_hex(identity->key, key);
	return tls_conn_format(conn,
		"server certificate: not the pinned one; its SHA-256 is %s, its key's %s",
		certificate, key);
}

/* In the place of OpenSSL's own verification, which follows unless the pins are all that counts. */
int tls_conn_on_pinned(X509_STORE_CTX *store, void *arg)
{
	const struct tls_pinning *pinning = arg;
	struct tls_conn *conn = conn_of_store(store);
	struct identity *identity = identity_of(X509_STORE_CTX_get0_cert(store));
	bool matches = identity && pins_match(&pinning->pins, identity);
	if (!matches) {
		conn->refusal = identity ? explain_pin(conn, identity) : "out of memory";
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	} else if (pinning->is_all) {
		X509_STORE_CTX_set_error(store, X509_V_OK);
	}
	identity_free(identity);
	return matches && (pinning->is_all || X509_verify_cert(store) == 1);
}
