#include "tls/cert/issuers.h"

#include <openssl/pem.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct issuer {
	const unsigned char *der;
	size_t len;
	X509 *certificate;
};

struct issuers {
	void *index; /* a tree (tsearch) */
};

static int issuer_compare(const void *one, const void *other)
{
	const struct issuer *a = one, *b = other;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->der, b->der, a->len);
}

static void issuer_free(void *item)
{
	struct issuer *issuer = item;
	X509_free(issuer->certificate);
	free(issuer);
}

struct issuers *issuers_create(void)
{
	return calloc(1, sizeof(struct issuers));
}

void issuers_destroy(struct issuers *issuers)
{
	if (issuers)
		tdestroy(issuers->index, issuer_free);
	free(issuers);
}

/* Without the memory for it the next one is decoded again, and that is all. */
static void issuers_keep(struct issuers *issuers, const struct issuer *read)
{
	struct issuer *kept = malloc(sizeof *kept + read->len);
	if (!kept)
		return;
	*kept = *read;
	kept->der = memcpy(kept + 1, read->der, read->len);
	X509_up_ref(kept->certificate);
	if (!tsearch(kept, &issuers->index, issuer_compare))
		issuer_free(kept);
}

static X509 *issuers_decode(struct issuers *issuers, struct issuer *read)
{
	struct issuer **found = issuers ? tfind(read, &issuers->index, issuer_compare) : NULL;
	if (found) {
		X509_up_ref((*found)->certificate);
		return (*found)->certificate;
	}
	const unsigned char *at = read->der;
	read->certificate = d2i_X509(NULL, &at, (long)read->len);
	if (read->certificate && issuers)
		issuers_keep(issuers, read);
	return read->certificate;
}

X509 *issuers_read(struct issuers *issuers, BIO *pem)
{
	unsigned char *der;
	long len;
	if (PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_X509, pem, NULL, NULL) != 1)
		return NULL;
	struct issuer read = {.der = der, .len = (size_t)len};
	X509 *certificate = issuers_decode(issuers, &read);
	OPENSSL_free(der);
	return certificate;
}
