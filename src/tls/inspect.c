#include "tls/inspect.h"

#include "tls/tls_error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client_certificate {
	X509 *leaf;
	STACK_OF(X509) * chain; /* what follows the leaf in its file */
	struct identity *identity;
};

/* What is behind the leaf and is no certificate, such as its key, is passed over. */
static bool read_pem(struct client_certificate *certificate, FILE *file, struct err *err)
{
	ERR_clear_error();
	certificate->leaf = PEM_read_X509_AUX(file, NULL, NULL, NULL);
	if (!certificate->leaf) {
		err_set(err, "no PEM certificate in it (%s)", tls_error_take());
		return false;
	}
	X509 *next;
	while ((next = PEM_read_X509(file, NULL, NULL, NULL)) != NULL)
		sk_X509_push(certificate->chain, next);
	ERR_clear_error();
	certificate->identity = identity_of(certificate->leaf);
	if (!certificate->identity)
		err_set(err, "its names cannot be read");
	return certificate->identity != NULL;
}

struct client_certificate *client_certificate_read(const char *path, struct err *err)
{
	struct client_certificate *certificate = calloc(1, sizeof *certificate);
	FILE *file = fopen(path, "re");
	bool ok = false;
	if (!file)
		err_set(err, "%s", strerror(errno));
	else if (!certificate || (certificate->chain = sk_X509_new_null()) == NULL)
		err_set(err, "out of memory");
	else
		ok = read_pem(certificate, file, err);
	if (file)
		fclose(file);
	if (ok)
		return certificate;
	err_prefix(err, "\"%s\": ", path);
	client_certificate_free(certificate);
	return NULL;
}

void client_certificate_free(struct client_certificate *certificate)
{
	if (!certificate)
		return;
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	identity_free(certificate->identity);
	free(certificate);
}

const struct identity *client_certificate_identity(const struct client_certificate *certificate)
{
	return certificate->identity;
}

/* As tls_stream_on_verify has it. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	const struct tls_policy *policy = X509_STORE_CTX_get_app_data(store);
	int error = X509_STORE_CTX_get_error(store);
	bool above_leaf = X509_STORE_CTX_get_error_depth(store) > 0;
	bool is_forgiven = (error == X509_V_ERR_UNABLE_TO_GET_CRL && above_leaf) ||
		(error == X509_V_ERR_CRL_HAS_EXPIRED && !policy->refuse_expired_crl);
	if (!ok && is_forgiven)
		X509_STORE_CTX_set_error(store, X509_V_OK);
	return ok || is_forgiven;
}

/* What libssl's ssl_verify_cert_chain sets, from the very same SSL_CTX. */
static bool set_up(X509_STORE_CTX *store, const struct tls_context *context)
{
	SSL_CTX *ssl_ctx = context->ssl_ctx;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
	X509_STORE_CTX_set_app_data(store, (void *)&context->policy);
	X509_VERIFY_PARAM_set_auth_level(param, SSL_CTX_get_security_level(ssl_ctx));
	X509_STORE_CTX_set_verify_cb(store, on_verify);
	return X509_STORE_CTX_set_default(store, "ssl_client") == 1 &&
		X509_VERIFY_PARAM_set1(param, SSL_CTX_get0_param(ssl_ctx)) == 1;
}

const char *client_certificate_verify(
	const struct client_certificate *certificate, const struct tls_context *context)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	const char *why = "out of memory";
	if (store &&
		X509_STORE_CTX_init(store, context->policy.trust->store, certificate->leaf,
			certificate->chain) == 1 &&
		set_up(store, context)) {
		bool is_good = X509_verify_cert(store) == 1;
		int error = X509_STORE_CTX_get_error(store);
		why = is_good ? NULL : X509_verify_cert_error_string(error);
	}
	X509_STORE_CTX_free(store);
	ERR_clear_error();
	return why;
}
