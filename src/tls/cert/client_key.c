#include "tls/cert/client_key_inside.h"

#include "tls/cert/ossl_error.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASSPHRASE_MAX  256
#define SOURCE_TEXT_MAX 512

bool client_key_is_uri(const char *source)
{
	return strncasecmp(source, "pkcs11:", 7) == 0;
}

void client_key_text(const char *source, char *out, size_t size)
{
	static const char pin[] = "pin-value=";
	const char *secret = client_key_is_uri(source) ? strstr(source, pin) : NULL;
	size_t before = secret ? (size_t)(secret - source) + sizeof pin - 1 : strlen(source);
	const char *behind = secret ? source + before + strcspn(source + before, ";&?") : "";
	snprintf(out, size, "%.*s%s%s", (int)before, source, secret ? "..." : "", behind);
}

int on_passphrase(char *out, int size, int writing, void *owner)
{
	struct asking *asking = owner;
	const struct client_key_setup *setup = asking->setup;
	(void)writing;
	asking->asked = true;
	if (setup->ask(setup->owner, asking->what, out, (size_t)size, &asking->err))
		return (int)strlen(out);
	asking->failed = true;
	return -1;
}

/* Why a key did not open: nobody had a passphrase, it was another one, or the file is no such
 * thing. */
static void explain(const struct asking *asking, struct err *err)
{
	const char *reason = ossl_error_take();
	if (asking->failed)
		*err = asking->err;
	else if (asking->asked)
		err_set(err, "the passphrase does not open it (%s)", reason);
	else
		err_set(err, "its private key cannot be read (%s)", reason);
}

static bool is_missing(void)
{
	unsigned long code = ERR_peek_last_error();
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool read_certificates(struct key_parts *parts, BIO *pem, struct err *err)
{
	X509 *next;
	ERR_clear_error();
	parts->leaf = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
	while (parts->leaf && (next = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
		sk_X509_push(parts->chain, next);
	bool ok = is_missing();
	if (!ok)
		err_set(err, "a certificate in it cannot be read (%s)", ossl_error_take());
	ERR_clear_error();
	return ok;
}

static bool read_key(struct key_parts *parts, BIO *pem, struct asking *asking, struct err *err)
{
	ERR_clear_error();
	parts->key = PEM_read_bio_PrivateKey(pem, NULL, on_passphrase, asking);
	if (!parts->key)
		explain(asking, err);
	ERR_clear_error();
	return parts->key != NULL;
}

/* Of every kind of key, encrypted or not (RFC 7468 sections 10 and 11, RFC 5915). */
static const char key_label[] = "PRIVATE KEY-----";

static bool read_pem(struct key_parts *parts, const uint8_t *data, size_t len,
	struct asking *asking, struct err *err)
{
	BIO *pem = BIO_new_mem_buf(data, (int)len);
	bool ok = pem && read_certificates(parts, pem, err);
	BIO_free(pem);
	if (!ok || !memmem(data, len, key_label, sizeof key_label - 1))
		return ok;
	pem = BIO_new_mem_buf(data, (int)len);
	ok = pem && read_key(parts, pem, asking, err);
	BIO_free(pem);
	return ok;
}

/* Without a passphrase there are two ways to encrypt: with an empty one, and with none. */
static const char *passphrase_of(
	PKCS12 *p12, struct asking *asking, char room[PASSPHRASE_MAX], bool *ok)
{
	*ok = true;
	if (PKCS12_verify_mac(p12, "", 0) == 1)
		return "";
	if (PKCS12_verify_mac(p12, NULL, 0) == 1)
		return NULL;
	*ok = on_passphrase(room, PASSPHRASE_MAX, 0, asking) >= 0;
	return room;
}

static bool is_unsupported(void)
{
	unsigned long code = ERR_peek_error();
	return ERR_GET_REASON(code) == ERR_R_UNSUPPORTED;
}

static bool read_pkcs12(struct key_parts *parts, const uint8_t *data, size_t len,
	struct asking *asking, struct err *err)
{
	char room[PASSPHRASE_MAX] = "";
	bool ok = false;
	ERR_clear_error();
	PKCS12 *p12 = d2i_PKCS12(NULL, &data, (long)len);
	if (!p12) {
		err_set(err, "neither PEM nor PKCS#12 (%s)", ossl_error_take());
		return false;
	}
	const char *passphrase = passphrase_of(p12, asking, room, &ok);
	ERR_clear_error();
	if (ok)
		ok = PKCS12_parse(p12, passphrase, &parts->key, &parts->leaf, &parts->chain) == 1;
	if (!ok && !asking->failed && is_unsupported())
		err_set(err,
			"encrypted in a way that OpenSSL 3 takes for too weak; "
			"\"openssl pkcs12 -legacy\" can write it anew");
	else if (!ok)
		explain(asking, err);
	ERR_clear_error();
	OPENSSL_cleanse(room, sizeof room);
	PKCS12_free(p12);
	return ok;
}

static void parts_free(struct key_parts *parts)
{
	X509_free(parts->leaf);
	sk_X509_pop_free(parts->chain, X509_free);
	EVP_PKEY_free(parts->key);
}

static bool load_file(struct key_parts *parts, struct file_stamp *mark, const char *path,
	struct asking *asking, struct err *err)
{
	uint8_t *data;
	size_t len;
	if (!file_stamp_read(mark, path, &data, &len, err))
		return false;
	bool is_der = data[0] == 0x30; /* a SEQUENCE; no PEM file begins with "0" */
	bool ok = is_der ? read_pkcs12(parts, data, len, asking, err)
			 : read_pem(parts, data, len, asking, err);
	OPENSSL_cleanse(data, len);
	free(data);
	return ok;
}

static bool load_source(struct key_parts *parts, struct file_stamp *mark,
	const struct client_key_setup *setup, const char *source, struct err *err)
{
	char text[SOURCE_TEXT_MAX];
	client_key_text(source, text, sizeof text);
	struct asking asking = {.setup = setup, .what = text};
	parts->chain = sk_X509_new_null();
	bool ok = client_key_is_uri(source) ? pkcs11_load(parts, source, &asking, err)
					    : load_file(parts, mark, source, &asking, err);
	if (!ok)
		err_prefix(err, "%s: ", text);
	return ok;
}

static time_t time_of(const ASN1_TIME *asn1)
{
	struct tm parts;
	return ASN1_TIME_to_tm(asn1, &parts) == 1 ? timegm(&parts) : 0;
}

static void fail_at(struct err *err, const char *source, const char *what)
{
	char text[SOURCE_TEXT_MAX];
	client_key_text(source, text, sizeof text);
	err_set(err, "%s: %s", text, what);
}

static bool take_leaf(
	struct credential *credential, struct key_parts *parts, const char *source, struct err *err)
{
	if (!parts->leaf) {
		fail_at(err, source, "there is no certificate in it");
		return false;
	}
	credential->leaf = parts->leaf;
	credential->chain = parts->chain;
	credential->not_before = time_of(X509_get0_notBefore(parts->leaf));
	credential->not_after = time_of(X509_get0_notAfter(parts->leaf));
	parts->leaf = NULL;
	parts->chain = NULL;
	return true;
}

static bool take_key(struct credential *credential, struct key_parts *parts, const char *source,
	const char *cert_source, struct err *err)
{
	char text[SOURCE_TEXT_MAX];
	if (!parts->key) {
		fail_at(err, source,
			source == cert_source
				? "there is no private key in it; name its file with --key"
				: "there is no private key in it");
		return false;
	}
	credential->key = parts->key;
	parts->key = NULL;
	ERR_clear_error();
	if (X509_check_private_key(credential->leaf, credential->key) == 1)
		return true;
	ERR_clear_error();
	client_key_text(cert_source, text, sizeof text);
	err_set(err, "is the key of another certificate than %s", text);
	client_key_text(source, text, sizeof text);
	err_prefix(err, "%s: ", text);
	return false;
}

static bool load_parts(
	struct credential *credential, const struct client_key_setup *setup, struct err *err)
{
	const char *cert = setup->cert ? setup->cert : setup->key;
	const char *key = setup->key ? setup->key : cert;
	bool is_one = strcmp(cert, key) == 0;
	struct key_parts first = {0}, second = {0};
	bool ok = load_source(&first, &credential->cert_stamp, setup, cert, err) &&
		take_leaf(credential, &first, cert, err);
	if (ok && !is_one)
		ok = load_source(&second, &credential->key_stamp, setup, key, err);
	ok = ok && take_key(credential, is_one ? &first : &second, is_one ? cert : key, cert, err);
	parts_free(&first);
	parts_free(&second);
	return ok;
}

struct credential *client_key_load(const struct client_key_setup *setup, struct err *err)
{
	struct credential *credential = calloc(1, sizeof *credential);
	if (!credential) {
		err_set(err, "out of memory");
		return NULL;
	}
	credential->refs = 1;
	if (load_parts(credential, setup, err))
		return credential;
	credential_unref(credential);
	return NULL;
}

static bool holds(struct file_stamp *mark)
{
	return !mark->path || file_stamp_holds(mark);
}

bool client_key_is_current(struct credential *credential)
{
	return holds(&credential->cert_stamp) && holds(&credential->key_stamp);
}

/* One's own key is one's own; another's, such as root's for a group, may be for that group. */
unsigned client_key_loose_mode(const char *path)
{
	struct stat st;
	if (client_key_is_uri(path) || stat(path, &st) < 0)
		return 0;
	mode_t loose = st.st_uid == geteuid() ? 077 : 007;
	return st.st_mode & loose ? (unsigned)(st.st_mode & 07777) : 0;
}
