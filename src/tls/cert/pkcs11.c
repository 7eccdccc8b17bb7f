/* OpenSSL 3 finds tokens by a provider; where there is only the older kind, an engine, that is
 * used. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/cert/client_key_inside.h"

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
static bool load_by_provider(struct key_parts *parts, const char *uri, UI_METHOD *ui, void *asking)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, ui, asking, NULL, NULL);
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
	struct key_parts *parts, ENGINE *engine, const char *uri, UI_METHOD *ui, void *asking)
{
	struct {
		const char *uri;
		X509 *certificate;
	} query = {uri, NULL}; /* as the engine's LOAD_CERT_CTRL has it */
	if (ENGINE_ctrl_cmd(engine, "LOAD_CERT_CTRL", 0, &query, NULL, 1) == 1)
		parts->leaf = query.certificate;
	parts->key = ENGINE_load_private_key(engine, uri, ui, asking);
}

static bool try_engine(struct key_parts *parts, const char *uri, UI_METHOD *ui, void *asking)
{
	ENGINE *engine = ENGINE_by_id("pkcs11");
	if (!engine)
		return false;
	ENGINE_ctrl_cmd(engine, "QUIET", 0, NULL, NULL, 1); /* what is wrong we tell ourselves */
	bool ok = ENGINE_init(engine) == 1;
	if (ok) {
		load_by_engine(parts, engine, uri, ui, asking);
		ENGINE_finish(engine); /* a key holds a reference of its own */
	}
	ENGINE_free(engine);
	return ok;
}

bool pkcs11_load(struct key_parts *parts, const char *uri, struct asking *asking, struct err *err)
{
	UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(on_passphrase, 0);
	OSSL_PROVIDER *provider = OSSL_PROVIDER_try_load(NULL, "pkcs11", 1);
	ERR_clear_error();
	bool ok = load_by_provider(parts, uri, ui, asking);
	bool has_engine = !ok && !asking->failed && try_engine(parts, uri, ui, asking);
	ok = parts->key || parts->leaf;
	if (asking->failed)
		*err = asking->err;
	else if (!ok && !provider && !has_engine)
		err_set(err, "%s", nothing_installed);
	else if (!ok)
		err_set(err, "the token has no such key or certificate, or did not open (%s)",
			ossl_error_take());
	ERR_clear_error();
	UI_destroy_method(ui);
	return ok && !asking->failed;
}
