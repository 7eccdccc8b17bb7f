#include "tls/verify_client.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

static int on_verify(int ok, X509_STORE_CTX *store)
{
	const struct tls_policy *policy = X509_STORE_CTX_get_app_data(store);
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
	if (ok || !trust_forgives(policy->refuse_expired_crl, error, depth))
		return ok;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* What libssl's ssl_verify_cert_chain sets, from the very same SSL_CTX. */
static bool set_up_store(X509_STORE_CTX *store, struct tls_context *context)
{
	SSL_CTX *ssl_ctx = tls_context_ssl(context);
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
	if (!ssl_ctx || X509_STORE_CTX_set_app_data(store, (void *)&context->policy) != 1)
		return false;
	X509_VERIFY_PARAM_set_auth_level(param, SSL_CTX_get_security_level(ssl_ctx));
	X509_STORE_CTX_set_verify_cb(store, on_verify);
	return X509_STORE_CTX_set_default(store, "ssl_client") == 1 &&
		X509_VERIFY_PARAM_set1(param, SSL_CTX_get0_param(ssl_ctx)) == 1;
}

const char *tls_verify_client(struct tls_context *context, X509 *leaf, STACK_OF(X509) *chain)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	X509_STORE *trusted = context->policy.trust->store;
	const char *why = "out of memory";
	if (store && X509_STORE_CTX_init(store, trusted, leaf, chain) == 1 &&
		set_up_store(store, context)) {
		bool is_good = X509_verify_cert(store) == 1;
		int error = X509_STORE_CTX_get_error(store);
		why = is_good ? NULL : X509_verify_cert_error_string(error);
	}
	X509_STORE_CTX_free(store);
	ERR_clear_error();
	return why;
}
