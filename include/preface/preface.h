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
 *                                 sent. Without is_starttls they belong to what follows, and where `front`
 *                                 says nothing: a client that waits for no answer begins TLS with them.
 *   NOT_MINE   none      nothing  `front` before its first SAY: the next protocol of the listener gets these
 *                                 bytes; after the last one they are taken for TLS. Later, and in `back`:
 *                                 refused, "another protocol".
 *   REFUSE     any       sent     the end; state->error says why. `front` that says nothing: see `refuse`.
 *   LEAVE      any       sent     the orderly end by a client that does not want TLS: no error, and logged as
 *                                 reason=done. `front` alone; in `back` the connector takes it for REFUSE.
 *   CANCEL     all       the key  the client wants to stop what another connection does. `say` is the key
 *                                 that the other connection was given, and is not sent. `front` alone.
 *
 *   (1) At least one byte, except in the call with nothing. `say` may be empty.
 *
 * A verdict of MORE or NOT_MINE changes nothing but `want`. fuzz_preface and tests/unit/conversation.h check
 * these rules for every entry (tests/unit/talk_rules.h).
 *
 * Where a listener has several prefaces, the PROXY header comes first. A protocol whose server speaks first
 * stands alone on its listener.
 *
 * Greetings: where TLS is terminated, the client is greeted once, whichever end has it before TLS. A server
 * that greets although the client was greeted in front: `back` is called with `is_plain`, and DONE follows the
 * greeting. A client that was not: `back` appends the server's greeting to `greeting`.
 *
 * `joined` is optional: it sees what both sides say after the client's TLS, and what it passes on is what they
 * hear (session/steps/join). It is called for the first bytes of the client before there is a server, until
 * it says CONNECT; then for the bytes of either side, until it says DONE. A call has all bytes of one side
 * that are not used, at least one; `to_client` and `to_server` have room for them and PREFACE_SAY_MAX more.
 *
 *   verdict    used      said     what follows
 *   MORE       none      nothing  a call with more of this side; at PREFACE_JOIN_MAX: refused as too long
 *   CONNECT    any       nothing  once: a server is connected to, then as SAY
 *   SAY        some (2)  sent     a call with the bytes that are left of either side
 *   DONE       some      sent     bytes that are left and all others are relayed as they are
 *   REFUSE     any       sent     the end; state->error says why. Where nothing is for the client: see `refuse`
 *   CANCEL     all       the key  in `to_server`, as above; before CONNECT alone
 *
 *   (2) Or something is said. Before CONNECT nothing is said to the server.
 *
 * A client's TLS may end at another gatehouse or at a forward, so that it knows nothing of it: it may request
 * TLS within TLS.
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
	TALK_CANCEL,
	TALK_CONNECT,
};

#define PREFACE_SAY_MAX   1024  /* the room in `say` */
#define PREFACE_HEARD_MAX 4096  /* heard_max, unless an entry has its own */
#define PREFACE_JOIN_MAX  16384 /* of one call of `joined` */
#define PREFACE_MEMORY    512   /* bytes of talk_state.memory */
#define PREFACE_KEY_MAX   260   /* bytes of a key to cancel by */
#define PREFACES_MAX      16    /* entries of the registry */

/* All zero at the beginning, but for what the driver lends. */
struct talk_state {
	unsigned phase; /* the conversation's own: where it stands */
	bool is_plain; /* `back`: of the driver; no TLS is requested, the greeting alone is heard */
	/* `joined`: of the driver; behind, TLS or a unix socket keeps what is said from others. */
	bool is_private;
	size_t want;       /* TALK_MORE: more than were heard */
	const char *error; /* TALK_REFUSE: in words for the log; static, printable ASCII */
	/* Of the driver, may be NULL: the name of this end, or the name that a server is wanted for. */
	const char *host;
	/* Of the driver: where `back` appends the server's greeting, as much as fits; NULL: not wanted. */
	struct buf *greeting;
	/*
	 * Of the driver: PREFACE_MEMORY bytes, zero at first and aligned for anything, which `joined` and `back`
	 * of one connection share. `back` may be called for several servers, one after the other. NULL: a health
	 * check, or no `joined`.
	 */
	void *memory;
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

/* One turn of `joined`. */
struct joined_turn {
	bool is_server;    /* whose bytes they are */
	struct span heard; /* all that are not used */
	size_t used;       /* of them; 0 at first */
	struct buf to_client, to_server;
	/*
	 * SAY, DONE: bytes of `to_client` that are the key by which the server knows this connection. The driver
	 * puts as many of its own there, which lead to this server (session/cancel_keys). NULL: none.
	 */
	uint8_t *key;
	size_t key_len; /* at most PREFACE_KEY_MAX */
};

/* Why a client is refused, as far as protocols distinguish. */
enum preface_refusal {
	REFUSAL_PROTOCOL,     /* it did not keep to the protocol, or did not request TLS */
	REFUSAL_UNKNOWN_NAME, /* there is no such server here */
	REFUSAL_LIMIT,
	REFUSAL_DRAINED,
	REFUSAL_NO_SERVER, /* none could be connected to */
};

struct preface {
	const char *name;  /* the word of the configuration, the log and the metrics */
	const char *title; /* for messages: "PROXY header" */
	bool is_starttls;  /* TLS follows in the same connection, and no byte before it */
	bool is_web;       /* an unknown server name may be answered with a page */
	bool speaks_first; /* the server sends a greeting before the client sends anything */
	bool offers_starttls; /* its server lists STARTTLS among its capabilities, until there is TLS */
	/*
	 * A client that has sent its last bytes may get a reset for an end: its server closes without reading
	 * to the end of TLS.
	 */
	bool ends_by_reset;
	bool ends_itself; /* either side may close without the end of TLS: the protocol has one of its own */
	bool binds_channel; /* logins may prove that client and server see one certificate */
	const char *
		alpn; /* the id of a client that begins with TLS and speaks the protocol in it; NULL: none */
	size_t heard_max; /* of one call, in bytes; 0: see preface_heard_max */
	talk_fn *front;   /* we are the server */
	talk_fn *back;    /* we are the client; NULL: never spoken to a server */
	/* After TLS; NULL: relayed as it is. */
	enum talk (*joined)(struct talk_state *state, struct joined_turn *turn);
	/*
	 * How the protocol says to a client that it is refused, before TLS or after the handshake; NULL: the end
	 * alone. `words`: why: printable ASCII, without CR, LF or any other control byte.
	 */
	void (*refuse)(enum preface_refusal why, const char *words, struct buf *say);
	/* The request that stops what a connection with this key does; TALK_CANCEL has the key. */
	void (*cancel)(struct span key, struct buf *say);
};

/* The protocols of "starttls", by their words. NULL: none of that name. */
const struct preface *preface_find(const char *name);

/* These words for a message, as `"ldap", "pop3"`. */
void preface_names(char *out, size_t size);

/* The PROXY header alone, as a list that ends in NULL. */
const struct preface *const *preface_proxy_list(void);

/* The protocol that this ALPN id is for; NULL: none of the registry's. */
const struct preface *preface_of_alpn(struct span id);

/*
 * Does a client that asks for TLS by `front` get along with a server that is asked by `back`? (NULL: TLS begins
 * at once.) A greeting that is sent before TLS is not sent again within it. Passed through, both ends have the
 * same greeting, or neither has one, and it is not a part of `joined`. Where TLS is terminated, a greeting too many
 * is taken away, and one that is missing is passed on, unless it is a part of `joined`.
 */
bool preface_fits(const struct preface *front, const struct preface *back, bool is_terminated);

/* The most bytes of one call, for both drivers: a conversation cannot wait for more of them. */
size_t preface_heard_max(const struct preface *preface);

/* Every entry of the registry; NULL behind the last. */
const struct preface *preface_at(size_t index);
size_t preface_index(const struct preface *preface);

/* Behind `buf`, as much as fits. */
void preface_say(struct buf *say, const void *data, size_t len);

#endif
