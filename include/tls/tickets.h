/*
 * The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1). One secret is drawn at random and
 * replaced each period; a ticket is good for the period it was made in and the next. The keys that
 * seal a ticket are derived from that secret and a binding that names the route and its policy, so
 * that a ticket of one route opens on no other, even if they share the SSL context.
 */
#ifndef GATEHOUSE_TLS_TICKETS_H
#define GATEHOUSE_TLS_TICKETS_H

#include "base/err.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKET_BINDING_SIZE   16
#define TICKET_PERIOD_SECONDS (8 * 3600)

struct ticket_binding {
	uint8_t bytes[TICKET_BINDING_SIZE];
};

struct tickets; /* shared by every thread */

struct tickets *tickets_create(struct err *err);
void tickets_destroy(struct tickets *tickets);

/* Draws a new secret and forgets the one before the last. */
void tickets_rotate(struct tickets *tickets);

/*
 * OpenSSL's ticket callback, less its SSL: 1 sealed or opened, 2 opened and to be renewed, 0 not
 * ours (a full handshake follows), -1 failed. `name` is TICKET_NAME_SIZE bytes.
 */
#define TICKET_NAME_SIZE 16
int tickets_seal(struct tickets *tickets, const struct ticket_binding *binding, uint8_t *name,
	uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);
int tickets_open(struct tickets *tickets, const struct ticket_binding *binding, const uint8_t *name,
	const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);

#endif
