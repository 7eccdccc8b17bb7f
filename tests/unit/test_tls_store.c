/* What the store shares and what it keeps apart. */
#include "tls/tls_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

static int create_store(void **state)
{
	*state = tls_store_create(&err);
	if (*state)
		tls_store_begin(*state);
	return *state ? 0 : -1;
}

static int destroy_store(void **state)
{
	tls_store_end(*state, true);
	tls_store_destroy(*state);
	return 0;
}

static struct tls_client_policy pinned(uint8_t first_byte)
{
	struct tls_client_policy policy = {.min_version = 0x0303};
	policy.pins.count = 1;
	policy.pins.sha256[0][0] = first_byte;
	return policy;
}

static void clients_of_one_policy_are_one(void **state)
{
	struct tls_client_policy policy = {.min_version = 0x0303};
	struct tls_client *client = tls_store_client(*state, &policy, &err);
	assert_non_null(client);
	assert_ptr_equal(tls_store_client(*state, &policy, &err), client);
	policy.min_version = 0x0304;
	assert_ptr_not_equal(tls_store_client(*state, &policy, &err), client);
	policy.min_version = 0x0303;
	policy.unverified = true;
	assert_ptr_not_equal(tls_store_client(*state, &policy, &err), client);
}

static void clients_with_other_pins_are_others(void **state)
{
	struct tls_client_policy none = {.min_version = 0x0303};
	struct tls_client_policy one = pinned(1), other = pinned(2), both = pinned(1);
	both.pins.count = 2;
	both.pins.sha256[1][0] = 2;
	struct tls_client *clients[] = {
		tls_store_client(*state, &none, &err),
		tls_store_client(*state, &one, &err),
		tls_store_client(*state, &other, &err),
		tls_store_client(*state, &both, &err),
	};
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(clients[i], clients[j]);
	assert_ptr_equal(tls_store_client(*state, &one, &err), clients[1]);
	assert_int_equal(clients[2]->policy.pins.sha256[0][0], 2);
}

static void peers_are_of_one_client_address_and_name(void **state)
{
	struct tls_client_policy policy = {.min_version = 0x0303}, pins = pinned(1);
	struct tls_client *client = tls_store_client(*state, &policy, &err);
	struct tls_client *other = tls_store_client(*state, &pins, &err);
	struct tls_peer *peer = tls_store_peer(*state, client, "a:1", "a", &err);
	assert_non_null(peer);
	assert_ptr_equal(tls_store_peer(*state, client, "a:1", "a", &err), peer);
	assert_ptr_not_equal(tls_store_peer(*state, client, "a:2", "a", &err), peer);
	assert_ptr_not_equal(tls_store_peer(*state, client, "a:1", "b", &err), peer);
	assert_ptr_not_equal(tls_store_peer(*state, other, "a:1", "a", &err), peer);
}

static void assert_peer_name(struct tls_client *client, const char *name, const char *canonical)
{
	struct tls_peer *peer = tls_peer_create(client, name, &err);
	assert_non_null(peer);
	assert_string_equal(tls_peer_name(peer), canonical);
	SSL *ssl = tls_peer_ssl(peer);
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	bool is_host = *canonical && !strchr(canonical, ':') && canonical[0] > '9';
	assert_string_equal(sni ? sni : "", is_host ? canonical : "");
	SSL_free(ssl);
	tls_peer_unref(peer);
}

/* RFC 6066 section 3: the SNI has no trailing dot; and no certificate has one. */
static void names_of_peers_are_canonical(void **state)
{
	struct tls_client_policy policy = {.min_version = 0x0303};
	struct tls_client *client = tls_store_client(*state, &policy, &err);
	assert_peer_name(client, "plain.example", "plain.example");
	assert_peer_name(client, "Plain.Example.", "plain.example");
	assert_peer_name(client, "192.0.2.1", "192.0.2.1");
	assert_peer_name(client, "fe80::1%eth0", "fe80::1");
	assert_null(tls_peer_create(client, "a..b", &err));
	assert_string_equal(err.text, "the name \"a..b\" has an empty label");
	assert_null(tls_peer_create(client, "", &err));
	policy.unverified = true; /* a health check of a server on a unix socket */
	client = tls_store_client(*state, &policy, &err);
	assert_peer_name(client, "Plain.Example.", "plain.example");
	assert_peer_name(client, "", "");
}

static bool has_cipher(struct tls_client *client, const char *name)
{
	STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(client->ssl_ctx);
	bool found = false;
	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
		found |= strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)), name) == 0;
	return found;
}

static void ciphers_towards_servers_are_those_towards_clients(void **state)
{
	struct tls_client_policy policy = {.min_version = 0x0303};
	struct tls_client *client = tls_store_client(*state, &policy, &err);
	assert_true(has_cipher(client, "ECDHE-ECDSA-AES128-GCM-SHA256"));
	assert_true(has_cipher(client, "ECDHE-RSA-CHACHA20-POLY1305"));
	assert_true(has_cipher(client, "TLS_AES_128_GCM_SHA256"));
	assert_false(has_cipher(client, "AES128-SHA"));
	assert_false(has_cipher(client, "AES128-GCM-SHA256"));
	assert_false(has_cipher(client, "ECDHE-RSA-AES128-SHA"));
	policy.unverified = true; /* a health check: whether it answers is all that counts */
	client = tls_store_client(*state, &policy, &err);
	assert_true(has_cipher(client, "AES128-SHA"));
}

static void what_a_published_load_did_not_use_is_dropped(void **state)
{
	struct tls_client_policy policy = {.min_version = 0x0303};
	struct tls_client *client = tls_client_ref(tls_store_client(*state, &policy, &err));
	tls_store_end(*state, true);
	tls_store_begin(*state);
	assert_ptr_equal(tls_store_client(*state, &policy, &err), client);
	tls_store_end(*state, true);
	tls_store_begin(*state);
	tls_store_end(*state, false); /* refused: all stays */
	tls_store_begin(*state);
	assert_ptr_equal(tls_store_client(*state, &policy, &err), client);
	tls_store_end(*state, true);
	tls_store_begin(*state);
	tls_store_end(*state, true);
	assert_int_equal(atomic_load(&client->refs), 1);
	tls_store_begin(*state);
	assert_ptr_not_equal(tls_store_client(*state, &policy, &err), client);
	tls_client_unref(client);
}

static void failures_leave_nothing_behind(void **state)
{
	enum credential_part part;
	enum trust_part trust_part;
	int index;
	const char *missing[] = {"/nonexistent/ca.crt"};
	struct trust_files files = {.ca = missing, .ca_count = 1};
	for (int i = 0; i < 2; i++) {
		assert_null(tls_store_credential(
			*state, "/nonexistent/a.crt", "/nonexistent/a.key", &part, &err));
		assert_non_null(strstr(err.text, "/nonexistent/a.crt"));
		assert_null(tls_store_trust(*state, &files, &trust_part, &index, &err));
	}
	assert_int_equal(tls_store_counts(*state).credentials, 0);
	assert_false(tls_store_counts(*state).changed);
}

/* Groups of key exchange. */

static bool is_not_x25519(void *owner, const char *group)
{
	(void)owner;
	return strcmp(group, "X25519") != 0;
}

static bool is_never(void *owner, const char *group)
{
	(void)owner, (void)group;
	return false;
}

/* As under OpenSSL's FIPS provider. */
static void groups_that_openssl_lacks_are_left_out(void **state)
{
	struct tls_groups groups;
	tls_groups_select(&groups, is_not_x25519, NULL);
	assert_string_equal(groups.available, "P-256:P-384");
	assert_string_equal(groups.missing, "X25519");
	struct tls_policy policy = {.min_version = 0x0303};
	struct tls_context *context =
		tls_context_create(&policy, tls_store_tickets(*state), &groups, &err);
	assert_true(tls_context_prepare(context, &err));
	tls_context_unref(context);
	tls_groups_select(&groups, is_never, NULL);
	assert_string_equal(groups.available, "");
	assert_string_equal(groups.missing, "X25519:P-256:P-384");
	assert_string_equal(tls_store_groups(*state)->available, "X25519:P-256:P-384");
	assert_string_equal(tls_store_groups(*state)->missing, "");
}

static void what_openssl_refuses_is_an_error_of_the_load(void **state)
{
	struct tls_policy policy = {.min_version = 0x0303};
	struct tls_groups groups = {.available = "X25519:P-999"};
	struct tls_context *context =
		tls_context_create(&policy, tls_store_tickets(*state), &groups, &err);
	assert_false(tls_context_prepare(context, &err));
	assert_non_null(strstr(err.text, "OpenSSL refuses a TLS context: "));
	tls_context_unref(context);
	EVP_set_default_properties(NULL, "provider=none"); /* which lacks everything */
	void *made = tls_store_context(*state, &policy, &err);
	EVP_set_default_properties(NULL, "");
	assert_null(made);
	assert_non_null(strstr(err.text, "OpenSSL refuses a TLS context: "));
}

static void one_context_of_a_class_is_made_while_loading(void **state)
{
	struct tls_policy policy = {.min_version = 0x0303};
	struct tls_context *first = tls_store_context(*state, &policy, &err);
	assert_non_null(atomic_load(&first->ssl_ctx));
	policy.verify_depth = 1;
	struct tls_context *second = tls_store_context(*state, &policy, &err);
	assert_ptr_not_equal(second, first);
	assert_null(atomic_load(&second->ssl_ctx));
	policy.min_version = 0x0304;
	assert_non_null(atomic_load(&tls_store_context(*state, &policy, &err)->ssl_ctx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, create_store, destroy_store)
		TEST(clients_of_one_policy_are_one),
		TEST(clients_with_other_pins_are_others),
		TEST(peers_are_of_one_client_address_and_name),
		TEST(names_of_peers_are_canonical),
		TEST(ciphers_towards_servers_are_those_towards_clients),
		TEST(what_a_published_load_did_not_use_is_dropped),
		TEST(failures_leave_nothing_behind),
		TEST(groups_that_openssl_lacks_are_left_out),
		TEST(what_openssl_refuses_is_an_error_of_the_load),
		TEST(one_context_of_a_class_is_made_while_loading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
