/*
 * What may come before TLS on a connection: a PROXY header, or a protocol's own way to ask for TLS
 * (STARTTLS). Each protocol is one file of src/preface and one line of preface/entries.h; nothing else changes
 * when one is added. An entry is a conversation, pure: bytes in, bytes and a verdict out. One step drives
 * it towards clients (session/steps/preface), the connector towards servers (upstream/connector).
 *
 * Where a listener has several, the PROXY header comes first, and each of the others may decline what it
 * does not know (TALK_NOT_MINE); what all decline is taken for TLS. A protocol whose server speaks first
 * stands alone on its listener.
 */
#ifndef GATEHOUSE_PREFACE_PREFACE_H
#define GATEHOUSE_PREFACE_PREFACE_H

#include "base/bytes.h"

#include <netinet/in.h>

enum talk {
	TALK_MORE,     /* needs at least state->want bytes in all */
	TALK_SAY,      /* `say` is to be sent; call again with what comes */
	TALK_DONE,     /* the preface is over; `say`, if any, is to be sent first */
	TALK_NOT_MINE, /* these bytes are of another protocol; nothing is used */
	TALK_REFUSE,   /* state->error says why; `say`, if any, is to be sent before the end */
};

#define PREFACE_SAY_MAX   1024 /* the room in `say` */
#define PREFACE_HEARD_MAX 4096 /* the most bytes that a conversation may wait for in one piece */
#define PREFACES_MAX      16   /* entries of the registry */

/* All zero at the beginning. */
struct talk_state {
	unsigned phase;    /* the conversation's own: where it stands */
	size_t want;       /* TALK_MORE */
	const char *error; /* TALK_REFUSE: in words for the log; static */
	/* What a PROXY header says: the addresses of the connection; AF_UNSPEC: nothing. */
	union talk_address {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source, destination;
};

/*
 * `heard`: what has come and is not used yet; at first, where the server speaks first, nothing. `*used`:
 * how many of these bytes are done with (0 unless set). `say` is empty and has PREFACE_SAY_MAX bytes of room.
 */
typedef enum talk talk_fn(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say);

struct preface {
	const char *name;  /* the word of the configuration, the log and the metrics */
	const char *title; /* for messages: "PROXY header" */
	bool is_starttls;  /* TLS follows in the same connection, and no byte before it */
	bool is_web;       /* an unknown server name may be answered with a page */
	bool speaks_first; /* the server sends a greeting before the client sends anything */
	size_t heard_max;  /* bytes of one piece at most; 0: PREFACE_HEARD_MAX */
	talk_fn *front;    /* we are the server */
	talk_fn *back;     /* we are the client; NULL: never spoken to a server */
	/* How the protocol says to a client that it is refused; NULL: the end alone. */
	void (*refuse)(const char *words, struct buf *say);
};

/* The protocols of "starttls", by their words. NULL: none of that name. */
const struct preface *preface_find(const char *name);

/* These words for a message, as `"ldap", "pop3"`. */
void preface_names(char *out, size_t size);

/* The PROXY header alone, as a list that ends in NULL. */
const struct preface *const *preface_proxy_list(void);

/*
 * Does a client that asks for TLS by `front` get along with a server that is asked by `back`? (NULL: TLS begins
 * at once.) A greeting that is sent before TLS is not sent again within it, so both ends have the same greeting,
 * or neither has one.
 */
bool preface_fits(const struct preface *front, const struct preface *back);

/* Every entry of the registry; NULL behind the last. */
const struct preface *preface_at(size_t index);
size_t preface_index(const struct preface *preface);

/* Behind `buf`, as much as fits. */
void preface_say(struct buf *say, const void *data, size_t len);

#endif
