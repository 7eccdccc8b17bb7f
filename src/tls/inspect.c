#include "tls/inspect.h"

#include "tls/cert/ossl_error.h"
#include "tls/verify_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct client_certificate {
	X509 *leaf;
	STACK_OF(X509) *chain; /* what follows the leaf in its file */
	struct identity *identity;
};

/* What is behind the leaf and is no certificate, such as its key, is passed over. */
static bool read_pem(struct client_certificate *certificate, FILE *file, struct err *err)
{
	ERR_clear_error();
	certificate->leaf = PEM_read_X509_AUX(file, NULL, NULL, NULL);
	if (!certificate->leaf) {
		err_set(err, "no PEM certificate in it (%s)", ossl_error_take());
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

const char *client_certificate_verify(
	const struct client_certificate *certificate, struct tls_context *context)
{
	return tls_verify_client(context, certificate->leaf, certificate->chain);
}
