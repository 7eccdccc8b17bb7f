#include "tls/cert/client_key.h"

#include "tls/cert/key_parts.h"
#include "tls/cert/pkcs11.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static bool load_file(struct key_parts *parts, struct file_stamp *stamp, const char *path,
	struct key_prompt *prompt, struct err *err)
{
	uint8_t *data;
	size_t len;
	if (!file_stamp_read(stamp, path, &data, &len, err))
		return false;
	bool ok = key_parts_read(parts, data, len, prompt, err);
	OPENSSL_cleanse(data, len);
	free(data);
	return ok;
}

static bool load_source(struct key_parts *parts, struct file_stamp *stamp,
	const struct client_key_setup *setup, const char *source, struct err *err)
{
	char text[SOURCE_TEXT_MAX];
	client_key_text(source, text, sizeof text);
	struct key_prompt prompt = {.ask = setup->ask, .owner = setup->owner, .what = text};
	bool ok = client_key_is_uri(source) ? pkcs11_load(parts, source, &prompt, err)
					    : load_file(parts, stamp, source, &prompt, err);
	if (!ok)
		err_prefix(err, "%s: ", text);
	return ok;
}

static void source_error(struct err *err, const char *source, const char *what)
{
	char text[SOURCE_TEXT_MAX];
	client_key_text(source, text, sizeof text);
	err_set(err, "%s: %s", text, what);
}

static bool take_leaf(
	struct credential *credential, struct key_parts *parts, const char *source, struct err *err)
{
	if (!parts->leaf) {
		source_error(err, source, "there is no certificate in it");
		return false;
	}
	credential_set_leaf(credential, parts->leaf, parts->chain);
	parts->leaf = NULL;
	parts->chain = NULL;
	return true;
}

static bool take_key(struct credential *credential, struct key_parts *parts, const char *source,
	const char *cert_source, struct err *err)
{
	char text[SOURCE_TEXT_MAX];
	if (!parts->key) {
		source_error(err, source,
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
	key_parts_finish(&first);
	key_parts_finish(&second);
	return ok;
}

struct credential *client_key_load(const struct client_key_setup *setup, struct err *err)
{
	struct credential *credential = calloc(1, sizeof *credential);
	if (!credential) {
		err_no_memory(err);
		return NULL;
	}
	credential->refs = 1;
	if (load_parts(credential, setup, err))
		return credential;
	credential_unref(credential);
	return NULL;
}

static bool stamp_holds(struct file_stamp *stamp)
{
	return !stamp->path || file_stamp_holds(stamp);
}

bool client_key_is_current(struct credential *credential)
{
	return stamp_holds(&credential->cert_stamp) && stamp_holds(&credential->key_stamp);
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
