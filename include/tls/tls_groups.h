/*
 * The groups of key exchange that clients are offered: those of our choice that the providers of this
 * OpenSSL have. A FIPS provider may lack X25519, and OpenSSL refuses a list with a group that it lacks.
 */
#ifndef GATEHOUSE_TLS_TLS_GROUPS_H
#define GATEHOUSE_TLS_TLS_GROUPS_H

#include <stdbool.h>

#define TLS_GROUPS_TEXT_MAX 64

/* Each a list as OpenSSL reads them, "X25519:P-256", in order of preference; or "". */
struct tls_groups {
	char available[TLS_GROUPS_TEXT_MAX], missing[TLS_GROUPS_TEXT_MAX];
};

/* What `has` says of each. */
typedef bool tls_group_test_fn(void *owner, const char *group);
void tls_groups_select(struct tls_groups *groups, tls_group_test_fn *has, void *owner);

/* What OpenSSL says of each, with the providers that it has now. False: no memory. Leaves no OpenSSL error. */
bool tls_groups_find(struct tls_groups *groups);

#endif
