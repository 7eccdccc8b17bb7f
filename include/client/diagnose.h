/*
 * Failures of a client's connection, each as one line for the person who has to do something about
 * it: what happened, and after a semicolon what may help.
 */
#ifndef GATEHOUSE_CLIENT_DIAGNOSE_H
#define GATEHOUSE_CLIENT_DIAGNOSE_H

#include "client/gateway.h"
#include "net/stream.h"
#include "upstream/connector.h"

void diagnose_dial(
	const struct gateway *gateway, const struct connector *connector, struct err *out);

/* The time limit has passed. */
void diagnose_timeout(
	const struct gateway *gateway, const struct connector *connector, struct err *out);

/* The gateway's stream failed. `heard`: it has delivered bytes before. */
void diagnose_tls(
	const struct gateway *gateway, const struct stream *stream, bool heard, struct err *out);

/* Does the answer begin as gatehouse's page for unknown server names does? */
bool is_misdirected(const uint8_t *head, size_t len);
void diagnose_misdirection(const struct gateway *gateway, struct err *out);

#endif
