#include "tls/tls_groups.h"

#include "tls/cert/ossl_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

static const char *const wanted[] = {"X25519", "P-256", "P-384"}; /* all fit in one list */

static void list_add(char list[TLS_GROUPS_TEXT_MAX], const char *group)
{
	if (*list)
		strcat(list, ":");
	strcat(list, group);
}

void tls_groups_select(struct tls_groups *groups, tls_group_test_fn *has, void *owner)
{
	*groups = (struct tls_groups){0};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		list_add(has(owner, wanted[i]) ? groups->available : groups->missing, wanted[i]);
}

static bool openssl_has(void *ctx, const char *group)
{
	return ctx && SSL_CTX_set1_groups_list(ctx, group) == 1;
}

/* That a group is missing is known only while there is memory to find it out. */
static bool is_out_of_memory(void)
{
	unsigned long code;
	bool found = false;
	while ((code = ERR_get_error()) != 0)
		found |= ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
	return found;
}

bool tls_groups_find(struct tls_groups *groups)
{
	ERR_clear_error();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	tls_groups_select(groups, openssl_has, ctx);
	bool ok = ctx && !is_out_of_memory();
	SSL_CTX_free(ctx);
	ossl_error_clear();
	return ok;
}
