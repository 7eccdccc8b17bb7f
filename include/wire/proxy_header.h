/*
 * The PROXY protocol, versions 1 and 2: who really connected, sent before the first byte of a
 * connection (HAProxy's doc/proxy-protocol.txt). Pure: bytes in, a struct out, and the other way.
 */
#ifndef GATEHOUSE_WIRE_PROXY_HEADER_H
#define GATEHOUSE_WIRE_PROXY_HEADER_H

#include "base/bytes.h"
#include <netinet/in.h>

/* The longest header read or written: a v2 prefix and the maximum of its length field. */
#define PROXY_HEADER_MAX (16 + 65535)
#define PROXY_V1_MAX     107 /* CRLF included */

enum proxy_verdict {
	PROXY_WHOLE,
	PROXY_MORE,  /* a prefix of a header */
	PROXY_NONE,  /* these bytes begin no PROXY header */
	PROXY_WRONG, /* they begin one, and it does not add up */
};

struct proxy_header {
	int version; /* 1 or 2 */
	bool local;  /* v2 LOCAL, v1 UNKNOWN, v2 UNSPEC: the connection stands for itself */
	/* Valid unless local. An address family other than IP (v2 AF_UNIX) counts as local. */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source, destination;
	size_t len; /* bytes of the header, to be taken off the connection */
	/* v2, not LOCAL or UNSPEC: well formed, each length within; points into the input. */
	struct span tlvs;
	size_t want;       /* PROXY_MORE: at least this many bytes in all */
	const char *error; /* PROXY_WRONG: why, in words for the log */
};

enum proxy_verdict proxy_header_parse(struct span bytes, struct proxy_header *header);

/* The TLVs of a v2 header (sections 2.2.1 to 2.2.8). */
enum proxy_tlv {
	PROXY_TLV_ALPN = 0x01,
	PROXY_TLV_AUTHORITY = 0x02,
	PROXY_TLV_SSL = 0x20,
	PROXY_TLV_SSL_VERSION = 0x21,
	PROXY_TLV_SSL_CN = 0x22,
	PROXY_TLV_SSL_CIPHER = 0x23,
};
bool proxy_tlv_next(struct span *tlvs, unsigned *type, struct span *value);

/* What is sent to a backend. NULL and empty members are left out. */
struct proxy_info {
	const struct sockaddr *source, *destination; /* both IP; else LOCAL (v2) or UNKNOWN (v1) */
	struct span authority, alpn;
	bool tls;                /* terminated here: the SSL TLV is sent */
	bool client_cert;        /* a certificate came with this connection, and it was verified */
	const char *tls_version; /* "TLSv1.3" */
	const char *cipher;
	struct span common_name; /* of the client's certificate */
};

/*
 * Bytes written, or 0 when `size` is too small (PROXY_V1_MAX suffices for v1; for v2: 1024 plus the
 * length of authority, alpn and common_name). A v4 and v6 mix is sent as v6-mapped, a pair of
 * v6-mapped addresses as v4. LOCAL carries no TLVs: its receivers must discard them.
 */
size_t proxy_v1_encode(const struct proxy_info *info, uint8_t *out, size_t size);
size_t proxy_v2_encode(const struct proxy_info *info, uint8_t *out, size_t size);

#endif
