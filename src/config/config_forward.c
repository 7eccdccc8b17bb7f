#include "config/config_forward.h"

#include "config/config_backend.h"
#include "config/config_listen.h"

#define FORWARDS_MAX 1024

/* A forward as it is written: its TLS stands beside the target, which has none of its own. */
struct written {
	struct listener_list listen;
	struct backend_config target;
	struct client_tls_config tls;
	struct strings alpn;
	unsigned max_connections;
};

static const struct field forward_fields[] = {
	{"listen", listen_field, FIELD_AT(struct written, listen), .traits = FIELD_REQUIRED},
	{"target", backend_field, FIELD_AT(struct written, target), .traits = FIELD_REQUIRED},
	{"server_name", field_text, FIELD_AT(struct written, tls.server_name),
		.item = item_peer_name},
	{"alpn", field_strings, FIELD_AT(struct written, alpn), .max = 64, .item = item_alpn_id},
	{"cert", field_text, FIELD_AT(struct written, tls.cert), .traits = FIELD_IS_CERT,
		.item = item_path},
	{"key", field_text, FIELD_AT(struct written, tls.key), .traits = FIELD_IS_KEY,
		.item = item_path},
	{"ca", field_strings, FIELD_AT(struct written, tls.ca), .min = 1, .item = item_path},
	{"crl", field_strings, FIELD_AT(struct written, tls.crl), .min = 1, .item = item_path},
	{"expired_crl", field_expired_crl, FIELD_AT(struct written, tls.refuse_expired_crl)},
	{"min_version", field_tls_version, FIELD_AT(struct written, tls.min_version)},
	{"max_connections", field_count, FIELD_AT(struct written, max_connections)},
	{0},
};

static void read_forward(struct reader *reader, const struct place *place, const cJSON *value,
	struct forward_config *out)
{
	struct written written = {.tls.min_version = 0x0303};
	struct place target = place_member(place, "target");
	struct place target_tls = place_member(&target, "tls");
	struct place target_starttls = place_member(&target, "starttls");
	if (!cJSON_IsObject(value)) {
		field_expected(reader, place, "an object with \"listen\" and \"target\"", value);
		return;
	}
	struct given given = fields_read(reader, forward_fields, place, value, &written);
	client_pair_check(reader, place, given.traits);
	for (size_t i = 0; i < written.listen.count; i++)
		if (written.listen.items[i].prefaces || written.listen.items[i].host ||
			written.listen.items[i].default_host ||
			written.listen.items[i].hosts.count || written.listen.items[i].plaintext)
			report_error(reader->report,
				"%s: \"starttls\", \"host\", \"default_host\", \"hosts\" and "
				"\"plaintext\" are for the router's listeners",
				written.listen.items[i].where);
	if (!preface_fits(NULL, written.target.starttls, true))
		place_error(&target_starttls, reader->report,
			"\"%s\" is not for a forward: its greeting is a part of the login",
			written.target.starttls->name);
	if (written.target.has_tls)
		place_error(&target_tls, reader->report,
			"a forward's TLS fields stand in the forward itself, beside \"target\"");
	else
		written.target.tls = written.tls;
	if (!written.target.has_tls) {
		written.target.has_tls = true;
		backend_check_tls(reader, place, &written.target);
	}
	*out = (struct forward_config){.where = reader_place_text(reader, place),
		.listeners = written.listen.items,
		.listener_count = written.listen.count,
		.target = written.target,
		.alpn = written.alpn,
		.max_connections = written.max_connections};
}

void forwards_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct config *config = out;
	unsigned index = 0;
	int count = cJSON_GetArraySize(value);
	(void)field;
	if (!cJSON_IsArray(value) || count > FORWARDS_MAX) {
		field_expected(reader, place, "a list of at most 1024 forwards", value);
		return;
	}
	config->forwards = reader_alloc(reader, (size_t)count, sizeof *config->forwards);
	if (!config->forwards)
		return;
	config->forward_count = (size_t)count;
	for (const cJSON *item = value->child; item; item = item->next, index++) {
		struct place here = place_item(place, index);
		read_forward(reader, &here, item, &config->forwards[index]);
	}
}
