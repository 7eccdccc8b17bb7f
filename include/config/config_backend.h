/* "backend" and "target": servers, TLS to them, health checks. */
#ifndef GATEHOUSE_CONFIG_CONFIG_BACKEND_H
#define GATEHOUSE_CONFIG_CONFIG_BACKEND_H

#include "config/config.h"
#include "config/read/fields.h"

field_get backend_field;        /* struct backend_config: a string, a list or an object */
field_item item_server_address; /* "host:port", "unix:/path" made absolute */
field_item item_peer_name; /* the name, or IP address, that a server's certificate is to cover */
field_item item_alpn_id;   /* decoded from RFC 7639's form; holds no NUL */

/* The bytes of an ALPN id from its form in RFC 7639: "%" and two hex digits. False: it is none. */
bool alpn_decode(const char *text, uint8_t out[255], size_t *len);

/* Of a client's certificate and key, both or neither; `traits` are those that were given. */
void client_pair_check(struct reader *reader, const struct place *place, unsigned traits);

/* What TLS to the servers needs beyond its single fields. */
void backend_check_tls(
	struct reader *reader, const struct place *place, const struct backend_config *backend);

/* The fields of the object form; those of its parts behind them, in `fields`. */
const struct field *backend_config_fields(void);

#endif
