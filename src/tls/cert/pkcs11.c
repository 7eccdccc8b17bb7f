/* OpenSSL 3 finds tokens by a provider; where there is only the older kind, an engine, that is
 * used. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/cert/pkcs11.h"

#include "tls/cert/ossl_error.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

static const char nothing_installed[] =
	"no PKCS#11 provider or engine for OpenSSL is installed (Debian: libengine-pkcs11-openssl)";

static void take_info(struct key_parts *parts, OSSL_STORE_INFO *info)
{
	int type = OSSL_STORE_INFO_get_type(info);
	if (type == OSSL_STORE_INFO_PKEY && !parts->key)
		parts->key = OSSL_STORE_INFO_get1_PKEY(info);
	else if (type == OSSL_STORE_INFO_CERT && !parts->leaf)
		parts->leaf = OSSL_STORE_INFO_get1_CERT(info);
}

/* False: no provider knows such URIs, or it does not know this one. */
static bool load_by_provider(struct key_parts *parts, const char *uri, UI_METHOD *ui, void *prompt)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, ui, prompt, NULL, NULL);
	while (store && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);
		if (!info && OSSL_STORE_error(store))
			break;
		if (info)
			take_info(parts, info);
		OSSL_STORE_INFO_free(info);
	}
	if (store)
		OSSL_STORE_close(store);
	return parts->key || parts->leaf;
}

static void load_by_engine(
	struct key_parts *parts, ENGINE *engine, const char *uri, UI_METHOD *ui, void *prompt)
{
	struct {
		const char *uri;
		X509 *certificate;
	} query = {uri, NULL}; /* as the engine's LOAD_CERT_CTRL has it */
	if (ENGINE_ctrl_cmd(engine, "LOAD_CERT_CTRL", 0, &query, NULL, 1) == 1)
		parts->leaf = query.certificate;
	parts->key = ENGINE_load_private_key(engine, uri, ui, prompt);
}

static bool try_engine(struct key_parts *parts, const char *uri, UI_METHOD *ui, void *prompt)
{
	ENGINE *engine = ENGINE_by_id("pkcs11");
	if (!engine)
		return false;
	ENGINE_ctrl_cmd(engine, "QUIET", 0, NULL, NULL, 1); /* we report what is wrong ourselves */
	bool ok = ENGINE_init(engine) == 1;
	if (ok) {
		load_by_engine(parts, engine, uri, ui, prompt);
		ENGINE_finish(engine); /* a key holds a reference of its own */
	}
	ENGINE_free(engine);
	return ok;
}

bool pkcs11_load(
	struct key_parts *parts, const char *uri, struct key_prompt *prompt, struct err *err)
{
	UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(key_prompt_ask, 0);
	OSSL_PROVIDER *provider = OSSL_PROVIDER_try_load(NULL, "pkcs11", 1);
	ERR_clear_error();
	bool ok = load_by_provider(parts, uri, ui, prompt);
	bool has_engine = !ok && !prompt->has_failed && try_engine(parts, uri, ui, prompt);
	ok = parts->key || parts->leaf;
	if (prompt->has_failed)
		*err = prompt->err;
	else if (!ok && !provider && !has_engine)
		err_set(err, "%s", nothing_installed);
	else if (!ok)
		err_set(err, "the token has no such key or certificate, or did not open (%s)",
			ossl_error_take());
	ERR_clear_error();
	UI_destroy_method(ui);
	return ok && !prompt->has_failed;
}
