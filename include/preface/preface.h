/*
 * What may come before TLS on a connection: a PROXY header, or a protocol's own way to request TLS
 * (STARTTLS). Each protocol is one file of src/preface and one line of preface/entries.h; nothing else changes
 * when one is added.
 *
 * An entry is a conversation, pure: bytes in, bytes and a verdict out. `front` is the server, and talks to our
 * clients (session/steps/preface); `back` is the client, and talks to our servers (upstream/connector). Both
 * are called by the same rules, a call for each turn:
 *
 * - `back`, and `front` where the server speaks first, is called once with nothing, at the beginning.
 * - Any other call has all bytes that have come and are not used, at least one.
 *
 *   verdict    used      say      what follows
 *   MORE       none      nothing  a call with the same bytes and usually more; `want` says how many in all.
 *                                 Where `heard_max` bytes are there already: refused as too long.
 *   SAY        some (1)  sent     a call with the bytes that are left, if any, else when bytes come
 *   DONE       any       sent     TLS. Bytes left could be anybody's: the driver refuses them, and `say` is not
 *                                 sent. Without is_starttls they belong to what follows.
 *   NOT_MINE   none      nothing  `front` before its first SAY: the next protocol of the listener gets these
 *                                 bytes; after the last one they are taken for TLS. Later, and in `back`:
 *                                 refused, "another protocol".
 *   REFUSE     any       sent     the end; state->error says why. `front` that says nothing: see `refuse`.
 *   LEAVE      any       sent     the orderly end by a client that does not want TLS: no error, and logged as
 *                                 reason=done. `front` alone; in `back` the connector takes it for REFUSE.
 *
 *   (1) At least one byte, except in the call with nothing. `say` may be empty.
 *
 * A verdict of MORE or NOT_MINE changes nothing but `want`. fuzz_preface and tests/unit/conversation.h check
 * these rules for every entry (tests/unit/talk_rules.h).
 *
 * Where a listener has several prefaces, the PROXY header comes first. A protocol whose server speaks first
 * stands alone on its listener.
 */
#ifndef GATEHOUSE_PREFACE_PREFACE_H
#define GATEHOUSE_PREFACE_PREFACE_H

#include "base/bytes.h"

#include <netinet/in.h>

enum talk {
	TALK_MORE,
	TALK_SAY,
	TALK_DONE,
	TALK_NOT_MINE,
	TALK_REFUSE,
	TALK_LEAVE,
};

#define PREFACE_SAY_MAX   1024 /* the room in `say` */
#define PREFACE_HEARD_MAX 4096 /* heard_max, unless an entry has its own */
#define PREFACES_MAX      16   /* entries of the registry */

/* All zero at the beginning. */
struct talk_state {
	unsigned phase;    /* the conversation's own: where it stands */
	size_t want;       /* TALK_MORE: more than were heard */
	const char *error; /* TALK_REFUSE: in words for the log; static, printable ASCII */
	/* What a PROXY header says: the addresses of the connection; AF_UNSPEC: nothing. */
	union talk_address {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source, destination;
};

/* `*used`: 0 unless set. `say` is empty and has PREFACE_SAY_MAX bytes of room. */
typedef enum talk talk_fn(
	struct talk_state *state, struct span heard, size_t *used, struct buf *say);

struct preface {
	const char *name;  /* the word of the configuration, the log and the metrics */
	const char *title; /* for messages: "PROXY header" */
	bool is_starttls;  /* TLS follows in the same connection, and no byte before it */
	bool is_web;       /* an unknown server name may be answered with a page */
	bool speaks_first; /* the server sends a greeting before the client sends anything */
	size_t heard_max;  /* of one call, in bytes; 0: see preface_heard_max */
	talk_fn *front;    /* we are the server */
	talk_fn *back;     /* we are the client; NULL: never spoken to a server */
	/*
	 * How the protocol says to a client that it is refused; NULL: the end alone. `words`: why, static
	 * strings of ours: printable ASCII, without CR, LF or any other control byte.
	 */
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

/* The most bytes of one call, for both drivers: a conversation cannot wait for more of them. */
size_t preface_heard_max(const struct preface *preface);

/* Every entry of the registry; NULL behind the last. */
const struct preface *preface_at(size_t index);
size_t preface_index(const struct preface *preface);

/* Behind `buf`, as much as fits. */
void preface_say(struct buf *say, const void *data, size_t len);

#endif
