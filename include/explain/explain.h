/* The parts of `gatehouse explain`: what a client says, the route that leads to, and what then. */
#ifndef GATEHOUSE_EXPLAIN_EXPLAIN_H
#define GATEHOUSE_EXPLAIN_EXPLAIN_H

#include "explain/explain_out.h"
#include "net/address.h"
#include "route/routes.h"

struct client_certificate;

/* A hello, from bytes or made from flags; too large for a stack. */
struct asked {
	enum hello_verdict verdict;
	struct client_hello hello;
	uint8_t wire[CLIENT_HELLO_MAX + 1];
	uint8_t joined[CLIENT_HELLO_MAX];
};

/* Bytes as a client sends them; "-" is standard input. False: they cannot be read. */
bool asked_read(struct asked *asked, const char *path, struct err *err);

/*
 * `sni` "" names nobody; `alpn` is a list with commas, ids in RFC 7639's form, or NULL. A name that
 * cannot be used is no failure, as it is none of the parser. False: `alpn` is no such list.
 */
bool asked_make(struct asked *asked, const char *sni, const char *alpn, struct err *err);

/* "complete", "sni", "sni_error", "alpn", "error"; and "alpn_error" if there is one. */
void explain_hello(struct out *out, const struct asked *asked);
/* "sni", "alpn": of one that was made. */
void explain_asked(struct out *out, const struct asked *asked);

/* Who asks, as far as it is known. */
struct asker {
	const struct client_certificate *certificate; /* NULL: shows none */
	const struct address *source;                 /* NULL: from anywhere */
};

/* "route", and where there is none "why" and what the client gets for an "answer". */
void explain_route(struct out *out, const struct routes *routes, const struct asked *asked,
	const struct asker *asker);

/* "certificates": what the context shows. */
void explain_certificates(struct out *out, const struct tls_context *context);

/* "client_auth", "trusted_files", "acl", and of this client "client". */
void explain_client(struct out *out, const struct route *route, const struct asker *asker);

/* "client": who shows a certificate to a route that passes it through. */
void explain_unseen(struct out *out, const struct client_certificate *shown);

/* "backend" */
void explain_backend(struct out *out, struct backend *backend, const struct asker *asker);

#endif
