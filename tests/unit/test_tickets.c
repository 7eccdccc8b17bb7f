/*
 * What session tickets are sealed with: opened by the same binding in two periods,
 * by nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <pthread.h>
#include <string.h>

#include "tls/tickets.h"

#define TEXT "a session, or so"

static const struct ticket_binding one = {.bytes = "one"}, other = {.bytes = "other"};

/* A ticket as OpenSSL makes it: encrypted, and a MAC over what came out. */
struct ticket {
	uint8_t name[TICKET_NAME_SIZE], iv[EVP_MAX_IV_LENGTH], sealed[64], mac[32];
	int len;
};

struct tools {
	EVP_CIPHER_CTX *cipher;
	EVP_MAC *hmac;
	EVP_MAC_CTX *mac;
};

static struct tools tools_make(void)
{
	struct tools tools = {.cipher = EVP_CIPHER_CTX_new()};
	tools.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	tools.mac = EVP_MAC_CTX_new(tools.hmac);
	return tools;
}

static void tools_free(struct tools *tools)
{
	EVP_CIPHER_CTX_free(tools->cipher);
	EVP_MAC_CTX_free(tools->mac);
	EVP_MAC_free(tools->hmac);
}

static void authenticate(struct tools *tools, const struct ticket *ticket, uint8_t mac[32])
{
	size_t len;
	assert_int_equal(EVP_MAC_init(tools->mac, NULL, 0, NULL), 1);
	assert_int_equal(EVP_MAC_update(tools->mac, ticket->sealed, (size_t)ticket->len), 1);
	assert_int_equal(EVP_MAC_final(tools->mac, mac, &len, 32), 1);
	assert_int_equal(len, 32);
}

static struct ticket seal(struct tickets *tickets, const struct ticket_binding *binding)
{
	struct tools tools = tools_make();
	struct ticket ticket = {.len = 0};
	int more;
	assert_int_equal(
		tickets_seal(tickets, binding, ticket.name, ticket.iv, tools.cipher, tools.mac), 1);
	EVP_EncryptUpdate(
		tools.cipher, ticket.sealed, &ticket.len, (const uint8_t *)TEXT, sizeof TEXT);
	EVP_EncryptFinal_ex(tools.cipher, ticket.sealed + ticket.len, &more);
	ticket.len += more;
	authenticate(&tools, &ticket, ticket.mac);
	tools_free(&tools);
	return ticket;
}

/* What tickets_open says; 0 too when the MAC is another, as OpenSSL would find. */
static int open_ticket(
	struct tickets *tickets, const struct ticket_binding *binding, const struct ticket *ticket)
{
	struct tools tools = tools_make();
	uint8_t mac[32], text[80];
	int len = 0, more = 0;
	int result =
		tickets_open(tickets, binding, ticket->name, ticket->iv, tools.cipher, tools.mac);
	if (result > 0) {
		authenticate(&tools, ticket, mac);
		if (memcmp(mac, ticket->mac, sizeof mac) != 0)
			result = 0;
	}
	if (result > 0) {
		assert_int_equal(
			EVP_DecryptUpdate(tools.cipher, text, &len, ticket->sealed, ticket->len),
			1);
		assert_int_equal(EVP_DecryptFinal_ex(tools.cipher, text + len, &more), 1);
		assert_memory_equal(text, TEXT, sizeof TEXT);
	}
	tools_free(&tools);
	return result;
}

static void test_opens_what_it_sealed(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err);
	struct ticket ticket = seal(tickets, &one);
	(void)state;
	assert_int_equal(open_ticket(tickets, &one, &ticket), 1);
	assert_memory_not_equal(ticket.sealed, TEXT, sizeof TEXT);
	tickets_destroy(tickets);
}

static void test_not_for_another_route(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err);
	struct ticket ticket = seal(tickets, &one);
	(void)state;
	assert_int_equal(open_ticket(tickets, &other, &ticket), 0);
	tickets_destroy(tickets);
}

static void test_not_in_another_process(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err), *strangers = tickets_create(&err);
	struct ticket ticket = seal(tickets, &one);
	(void)state;
	assert_int_equal(open_ticket(strangers, &one, &ticket), 0);
	memset(ticket.name, 0, sizeof ticket.name); /* not the name of a secret never drawn */
	assert_int_equal(open_ticket(tickets, &one, &ticket), 0);
	tickets_destroy(tickets);
	tickets_destroy(strangers);
	tickets_destroy(NULL);
}

static void test_for_two_periods(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err);
	struct ticket ticket = seal(tickets, &one);
	(void)state;
	tickets_rotate(tickets);
	assert_int_equal(open_ticket(tickets, &one, &ticket), 2); /* to be renewed */
	assert_int_equal(open_ticket(tickets, &other, &ticket), 0);
	struct ticket newer = seal(tickets, &one);
	assert_memory_not_equal(newer.name, ticket.name, TICKET_NAME_SIZE);
	assert_int_equal(open_ticket(tickets, &one, &newer), 1);
	tickets_rotate(tickets);
	assert_int_equal(open_ticket(tickets, &one, &ticket), 0);
	assert_int_equal(open_ticket(tickets, &one, &newer), 2);
	tickets_destroy(tickets);
}

static void test_no_two_alike(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err);
	struct ticket a = seal(tickets, &one), b = seal(tickets, &one), c = seal(tickets, &other);
	(void)state;
	assert_memory_not_equal(a.iv, b.iv, 16);
	assert_memory_not_equal(a.sealed, b.sealed, 16);
	assert_memory_not_equal(a.mac, c.mac, 32);
	tickets_destroy(tickets);
}

static void *use(void *argument)
{
	for (int i = 0; i < 2000; i++) {
		struct ticket ticket = seal(argument, &one);
		assert_in_range(open_ticket(argument, &one, &ticket), 0, 2);
	}
	return NULL;
}

static void test_shared_by_threads(void **state)
{
	struct err err;
	struct tickets *tickets = tickets_create(&err);
	pthread_t threads[3];
	(void)state;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, use, tickets);
	for (int i = 0; i < 200; i++)
		tickets_rotate(tickets);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	tickets_destroy(tickets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_what_it_sealed),
		cmocka_unit_test(test_not_for_another_route),
		cmocka_unit_test(test_not_in_another_process),
		cmocka_unit_test(test_for_two_periods),
		cmocka_unit_test(test_no_two_alike),
		cmocka_unit_test(test_shared_by_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
