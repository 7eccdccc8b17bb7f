/*
 * What has been loaded for TLS, kept over reloads: a pair of files is parsed once however many hosts
 * name it, and not again while it is unchanged; routes with equal policy and files share a context.
 *
 * Used by one thread at a time (whoever loads a configuration). What it returns is lent: a holder
 * that outlives the load takes a reference.
 */
#ifndef GATEHOUSE_TLS_TLS_STORE_H
#define GATEHOUSE_TLS_TLS_STORE_H

#include "tls/tls_client.h"
#include "tls/tls_context.h"

struct tls_store;

struct tls_store *tls_store_create(struct err *err);
void tls_store_destroy(struct tls_store *store);
struct tickets *tls_store_tickets(struct tls_store *store);
const struct tls_groups *tls_store_groups(const struct tls_store *store);

/* Everything requested between begin and end belongs to one load. */
void tls_store_begin(struct tls_store *store);

/* `published`: what this load did not request is dropped. Otherwise all stays for the next try. */
void tls_store_end(struct tls_store *store, bool published);

/* Has this load lacked memory, within OpenSSL or beside it? Then what it has loaded may be incomplete. */
bool tls_store_lacks_memory(const struct tls_store *store);

struct credential *tls_store_credential(struct tls_store *store, const char *cert_path,
	const char *key_path, enum credential_part *at_fault, struct err *err);
struct trust *tls_store_trust(struct tls_store *store, const struct trust_files *files,
	enum trust_part *at_fault, int *index, struct err *err);

/* NULL with `err` for what OpenSSL refuses, such as a policy when it lacks all groups. */
struct tls_context *tls_store_context(
	struct tls_store *store, const struct tls_policy *policy, struct err *err);

/* A client context, and a peer under it: the same one, with its sessions, as long as both are. */
struct tls_client *tls_store_client(
	struct tls_store *store, const struct tls_client_policy *policy, struct err *err);
struct tls_peer *tls_store_peer(struct tls_store *store, struct tls_client *client,
	const char *address, const char *name, struct err *err);

/*
 * Of this load: pairs in use, pairs that were parsed, those of them that had been loaded before with
 * other content; sets of CAs and CRLs that were parsed.
 */
struct tls_store_counts {
	unsigned credentials, parsed, renewed, trusts_parsed;
	bool changed; /* something was parsed since the last load that was published */
};
struct tls_store_counts tls_store_counts(const struct tls_store *store);

#endif
