#include "tls/tls_context.h"

#include "tls/cert/ossl_error.h"
#include "tls/tls_conn.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* A ticket outlives its period by none: the keys of the period before are still there. */
#define SESSION_SECONDS TICKET_PERIOD_SECONDS

/*
 * Clients of TLS 1.3 use a ticket once (RFC 8446 appendix C.4): without another they would come back
 * to a full handshake every second time.
 */
#define TICKET_RENEW 2

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int seal)
{
	const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct ticket_binding *binding = &tls_conn_of(ssl)->accept.binding;
	if (seal)
		return tickets_seal(context->ticket_keys, binding, name, iv, cipher, mac);
	int found = tickets_open(context->ticket_keys, binding, name, iv, cipher, mac);
	return found == 1 && SSL_version(ssl) == TLS1_3_VERSION ? TICKET_RENEW : found;
}

static void use_tickets(SSL_CTX *ctx, bool tickets)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
	SSL_CTX_set_num_tickets(ctx, tickets ? 1 : 0);
	if (tickets)
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	else
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

/* A client's certificate with its chain; a sane one has some kilobytes, with post-quantum keys some
 * tens of them. */
#define CLIENT_CHAIN_MAX (64 * 1024)

static bool use_trust(SSL_CTX *ctx, const struct tls_policy *policy)
{
	STACK_OF(X509_NAME) *names = SSL_dup_CA_list(policy->trust->names);
	if (!names)
		return false;
	int mode = SSL_VERIFY_PEER;
	if (policy->verify == TLS_VERIFY_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_MAX);
	SSL_CTX_set1_verify_cert_store(ctx, policy->trust->store);
	SSL_CTX_set_verify(ctx, mode, tls_conn_on_verify_client);
	SSL_CTX_set_verify_depth(ctx, (int)policy->verify_depth);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
	X509_VERIFY_PARAM_set_flags(param, trust_flags(policy->trust));
	return true;
}

static bool use_credentials(SSL_CTX *ctx, const struct tls_policy *policy)
{
	for (size_t i = 0; i < policy->credential_count; i++)
		if (!credential_use(policy->credentials[i], ctx))
			return false;
	return true;
}

static bool tls_context_configure(SSL_CTX *ctx, struct tls_context *context)
{
	const struct tls_policy *policy = &context->policy;
	SSL_CTX_set_options(ctx,
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
			SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_tlsext_servername_callback(ctx, tls_conn_on_server_name);
	SSL_CTX_set_alpn_select_cb(ctx, tls_conn_on_alpn, NULL);
	use_tickets(ctx, policy->tickets);
	if (SSL_CTX_set_app_data(ctx, context) != 1 ||
		SSL_CTX_set_min_proto_version(ctx, policy->min_version) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1 ||
		SSL_CTX_set1_groups_list(ctx, context->groups) != 1 ||
		!use_credentials(ctx, policy))
		return false;
	return policy->verify == TLS_VERIFY_NONE || use_trust(ctx, policy);
}

static void adopt_policy(struct tls_context *context, const struct tls_policy *policy)
{
	context->policy = *policy;
	for (size_t i = 0; i < policy->credential_count; i++)
		credential_ref(policy->credentials[i]);
	if (policy->trust)
		trust_ref(policy->trust);
}

struct tls_context *tls_context_create(const struct tls_policy *policy, struct tickets *tickets,
	const struct tls_groups *groups, struct err *err)
{
	struct tls_context *context = calloc(1, sizeof *context);
	if (!context) {
		err_no_memory(err);
		return NULL;
	}
	context->refs = 1;
	context->ticket_keys = tickets;
	context->groups = groups->available;
	adopt_policy(context, policy);
	return context;
}

/* Of two threads that come first at the same time one uses what the other has made. */
static SSL_CTX *context_build(struct tls_context *context)
{
	SSL_CTX *there = NULL, *made = SSL_CTX_new(TLS_server_method());
	bool ok = made && tls_context_configure(made, context);
	if (ok && atomic_compare_exchange_strong(&context->ssl_ctx, &there, made))
		return made;
	SSL_CTX_free(made);
	return there;
}

SSL_CTX *tls_context_ssl(struct tls_context *context)
{
	SSL_CTX *there = atomic_load_explicit(&context->ssl_ctx, memory_order_acquire);
	if (there)
		return there;
	there = context_build(context);
	ossl_error_clear();
	return there;
}

bool tls_context_prepare(struct tls_context *context, struct err *err)
{
	ERR_clear_error();
	if (context_build(context)) {
		ossl_error_clear();
		return true;
	}
	err_set(err, "OpenSSL refuses a TLS context: %s", ossl_error_take());
	return false;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	atomic_fetch_add(&context->refs, 1);
	return context;
}

void tls_context_unref(struct tls_context *context)
{
	if (!context || atomic_fetch_sub(&context->refs, 1) > 1)
		return;
	SSL_CTX_free(context->ssl_ctx);
	for (size_t i = 0; i < context->policy.credential_count; i++)
		credential_unref(context->policy.credentials[i]);
	trust_unref(context->policy.trust);
	free(context);
}
