/*
 * The parts of `gatehouse explain`, offline and over the control socket: what a client says, what
 * route_decide makes of it, and what follows.
 */
#ifndef GATEHOUSE_EXPLAIN_EXPLAIN_H
#define GATEHOUSE_EXPLAIN_EXPLAIN_H

#include "explain/explain_out.h"
#include "net/address.h"
#include "route/decision.h"

struct client_certificate;

/* A client's first bytes, read or made from options; too large for a stack. */
struct explain_input {
	enum hello_verdict verdict;
	enum plaintext plaintext; /* HELLO_NOT_TLS: what it is */
	struct client_hello hello;
	uint8_t wire[CLIENT_HELLO_MAX + 1];
	uint8_t joined[CLIENT_HELLO_MAX];
};

/* Bytes as a client sends them; "-" is standard input. False: they cannot be read. */
bool explain_input_read(struct explain_input *input, const char *path, struct err *err);

/*
 * `sni` "": the client sends none; `alpn` is a list with commas, ids in RFC 7639's form, or NULL.
 * A name that cannot be used is no failure, as it is none of the parser. False: `alpn` is no such
 * list.
 */
bool explain_input_make(
	struct explain_input *input, const char *sni, const char *alpn, struct err *err);

/* Of a client that speaks "http" or "ssh" in the clear. False: it is another word. */
bool explain_input_plaintext(struct explain_input *input, const char *word, struct err *err);

/* "complete", "sni", "sni_error", "alpn", "error"; and "alpn_error" if there is one. */
void explain_hello(struct out *out, const struct explain_input *input);
/* "sni", "alpn": of one that was made. */
void explain_offer(struct out *out, const struct explain_input *input);

/* What is known besides the hello. */
struct explain_facts {
	const struct client_certificate *certificate; /* NULL: the client shows none */
	const struct address *source;                 /* NULL: any */
	bool is_drained;                              /* the administrator drains every host */
	const struct preface *preface; /* the STARTTLS that the client begins with; NULL: none */
	bool is_preface_known;         /* else any backend's STARTTLS fits the client's */
	const struct listener_config *listener; /* that it connects to; NULL: no matter which */
};

/* From the name of a STARTTLS, or "" for none; NULL: not known. False: no such name. */
bool explain_set_starttls(struct explain_facts *facts, const char *name, struct err *err);

/*
 * The listener of that address in the configuration; NULL: no matter which. After explain_set_starttls, which it
 * completes: on some listeners there is one way to begin. False: no such listener, or it has not that STARTTLS.
 */
bool explain_set_listen(struct explain_facts *facts, const struct routes *routes,
	const char *listen, struct err *err);

/* "route"; and where the client is refused "why" and the "answer" that it gets. */
void explain_route(struct out *out, const struct routes *routes, const struct explain_input *input,
	const struct explain_facts *facts);

/* "certificates": what the context shows. */
void explain_certificates(struct out *out, const struct tls_context *context);

/* "client_auth", "trusted_files", "acl", and of this client "client". */
void explain_client(struct out *out, const struct route *route, const struct explain_facts *facts);

/* "client": of a certificate shown to a passthrough route. */
void explain_unseen(struct out *out, const struct client_certificate *shown);

/* "backend" */
void explain_backend(struct out *out, struct backend *backend, const struct explain_facts *facts);

#endif
