#include "config/config_listen.h"
#include "config/config_starttls.h"

#include "config/config_backend.h"
#include "config/config_plaintext.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTENERS_MAX 1024

static bool is_bindable(const char *text)
{
	struct endpoint endpoint;
	struct err err;
	return endpoint_parse(text, &endpoint, &err) && endpoint_is_literal(&endpoint);
}

static const char *refuse_address(
	struct reader *reader, const struct place *place, const char *text, const char *what)
{
	char quoted[96];
	place_quote(text, quoted, sizeof quoted);
	place_error(place, reader->report, "expected %s, got %s", what, quoted);
	return NULL;
}

const char *item_listen_address(struct reader *reader, const struct place *place, const char *text)
{
	if (strncmp(text, "unix:", 5) == 0)
		return item_server_address(reader, place, text);
	bool is_inherited =
		strncmp(text, "fd:", 3) == 0 && text[3] != '\0' && !strchr(text + 3, ':');
	if (is_inherited || is_bindable(text))
		return reader_copy(reader, text);
	return refuse_address(reader, place, text,
		"an address to listen on such as \":443\", \"127.0.0.1:443\", \"[::1]:443\", "
		"\"unix:/path\" or \"fd:NAME\"");
}

const char *item_admin_address(struct reader *reader, const struct place *place, const char *text)
{
	if (strncmp(text, "unix:", 5) == 0)
		return item_server_address(reader, place, text);
	if (is_bindable(text))
		return reader_copy(reader, text);
	return refuse_address(reader, place, text,
		"an address to listen on such as \"127.0.0.1:9000\", \"[::1]:9000\" or \"unix:/path\"");
}

/* Leaves the first `bits` of the address; true when the others were zero already. */
static bool mask_address(struct in6_addr *address, unsigned bits)
{
	bool was_clean = true;
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : bits - 8 * i;
		uint8_t kept = (uint8_t)(address->s6_addr[i] & (0xff00 >> keep));
		was_clean = was_clean && kept == address->s6_addr[i];
		address->s6_addr[i] = kept;
	}
	return was_clean;
}

/* IPv4 stands in the last 32 bits of a v4-mapped address. */
static bool parse_address(const char *text, struct in6_addr *out, unsigned *width)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (inet_pton(AF_INET6, text, out) == 1) {
		*width = 128;
		return true;
	}
	if (inet_pton(AF_INET, text, out->s6_addr + 12) != 1)
		return false;
	memcpy(out->s6_addr, mapped, sizeof mapped);
	*width = 32;
	return true;
}

static bool parse_network(const char *text, struct network *out)
{
	char address[INET6_ADDRSTRLEN];
	unsigned width, bits;
	size_t len = strcspn(text, "/");
	if (len >= sizeof address)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!parse_address(address, &out->address, &width))
		return false;
	bits = width;
	if (text[len] == '/') {
		const char *digits = text + len + 1;
		size_t count = strspn(digits, "0123456789");
		if (count == 0 || count > 3 || digits[count] != '\0')
			return false;
		bits = (unsigned)strtoul(digits, NULL, 10);
	}
	if (bits > width)
		return false;
	out->bits = bits + 128 - width;
	return true;
}

static void read_network(
	struct reader *reader, const struct place *place, const cJSON *value, struct network *out)
{
	if (!cJSON_IsString(value) || !parse_network(value->valuestring, out)) {
		field_expected(reader, place,
			"a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"", value);
		return;
	}
	if (!mask_address(&out->address, out->bits))
		place_error(place, reader->report,
			"expected a network, got \"%s\", which has bits set behind its prefix",
			value->valuestring);
}

/* struct listener_config: its networks. */
static void networks_field(struct reader *reader, const struct field *field,
	const struct place *place, const cJSON *value, void *out)
{
	struct listener_config *listener = out;
	unsigned index = 0;
	(void)field;
	if (!cJSON_IsArray(value)) {
		field_expected(reader, place, "a list of networks such as [\"10.0.0.0/8\"]", value);
		return;
	}
	listener->accept_proxy_count = (size_t)cJSON_GetArraySize(value);
	listener->accept_proxy =
		reader_alloc(reader, listener->accept_proxy_count, sizeof *listener->accept_proxy);
	if (!listener->accept_proxy)
		return;
	for (const cJSON *item = value->child; item; item = item->next, index++) {
		struct place here = place_item(place, index);
		read_network(reader, &here, item, &listener->accept_proxy[index]);
	}
}

/* A name that a client could send. */
static void name_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	(void)field;
	if (!cJSON_IsString(value)) {
		field_expected(reader, place, "a host name", value);
		return;
	}
	struct server_name *name = reader_alloc(reader, 1, sizeof *name);
	const char *wrong =
		name ? server_name_parse(span_of_string(value->valuestring), name) : NULL;
	if (wrong)
		place_error(place, reader->report, "expected a host name: this one %s", wrong);
	*(const struct server_name **)out = name;
}

/* A key of "hosts" at the top, in canonical form. */
static const char *item_host_key(struct reader *reader, const struct place *place, const char *text)
{
	struct server_name name;
	if (strcmp(text, "*") == 0)
		return reader_copy(reader, text);
	const char *wrong = server_name_parse_pattern(span_of_string(text), &name);
	if (!wrong)
		return reader_copy(reader, name.text);
	place_error(place, reader->report, "expected the name of a host: this one %s", wrong);
	return NULL;
}

static const struct choice cancel_words[] = {{"none", false}, {"forward", true}, {0}};

static const struct field listener_fields[] = {
	{"address", field_text, FIELD_AT(struct listener_config, address), .traits = FIELD_REQUIRED,
		.item = item_listen_address},
	{"accept_proxy", networks_field, .offset = 0},
	{"starttls", starttls_list_field, FIELD_AT(struct listener_config, prefaces)},
	{"host", name_field, FIELD_AT(struct listener_config, host)},
	{"default_host", name_field, FIELD_AT(struct listener_config, default_host)},
	{"hosts", field_strings, FIELD_AT(struct listener_config, hosts), .min = 1,
		.item = item_host_key},
	{"cancel", field_choice, FIELD_AT(struct listener_config, forwards_cancel),
		.choices = cancel_words},
	{"plaintext", plaintext_field, FIELD_AT(struct listener_config, plaintext)},
	{0},
};

static bool can_cancel(const struct listener_config *listener)
{
	for (size_t i = 0; listener->prefaces && listener->prefaces[i]; i++)
		if (listener->prefaces[i]->cancel)
			return true;
	return false;
}

/* What must hold between the fields. */
static void check_listener(
	struct reader *reader, const struct place *place, const struct listener_config *listener)
{
	struct place cancel = place_member(place, "cancel");
	struct place host = place_member(place, "host");
	if (listener->host && (listener->default_host || listener->hosts.count > 0))
		place_error(&host, reader->report,
			"all clients are for this host: \"default_host\" and \"hosts\" have no effect "
			"beside it");
	if (!listener->forwards_cancel)
		return;
	if (!can_cancel(listener))
		place_error(&cancel, reader->report,
			"expected a listener with \"starttls\": \"postgres\"");
	else if (!listener->host && !listener->default_host)
		place_error(&cancel, reader->report,
			"\"host\" or \"default_host\" is missing beside it: a request to cancel has "
			"no name");
}

static void read_listener_object(struct reader *reader, const struct place *place,
	const cJSON *value, struct listener_config *out)
{
	fields_read(reader, listener_fields, place, value, out);
	out->names_hosts = out->host || out->default_host || out->hosts.count > 0;
	check_listener(reader, place, out);
	plaintext_check(reader, place, out);
}

static void read_listener(struct reader *reader, const struct place *place, const cJSON *value,
	struct listener_config *out)
{
	out->where = reader_place_text(reader, place);
	if (cJSON_IsString(value))
		out->address = item_listen_address(reader, place, value->valuestring);
	else if (cJSON_IsObject(value))
		read_listener_object(reader, place, value, out);
	else
		field_expected(reader, place,
			"an address such as \":443\" or {\"address\": \":443\"}", value);
}

static void read_list(struct reader *reader, const struct place *place, const cJSON *list,
	struct listener_list *out)
{
	unsigned index = 0;
	int count = cJSON_GetArraySize(list);
	if (count == 0 || count > LISTENERS_MAX) {
		place_error(place, reader->report, "expected 1 to %d addresses, got a list of %d",
			LISTENERS_MAX, count);
		return;
	}
	out->items = reader_alloc(reader, (size_t)count, sizeof *out->items);
	if (!out->items)
		return;
	out->count = (size_t)count;
	for (const cJSON *item = list->child; item; item = item->next, index++) {
		struct place here = place_item(place, index);
		read_listener(reader, &here, item, &out->items[index]);
	}
}

void listen_field(struct reader *reader, const struct field *field, const struct place *place,
	const cJSON *value, void *out)
{
	struct listener_list *list = out;
	(void)field;
	if (cJSON_IsArray(value)) {
		read_list(reader, place, value, list);
		return;
	}
	if (!cJSON_IsString(value) && !cJSON_IsObject(value)) {
		field_expected(
			reader, place, "an address such as \":443\", or a list of them", value);
		return;
	}
	list->items = reader_alloc(reader, 1, sizeof *list->items);
	list->count = list->items ? 1 : 0;
	if (list->items)
		read_listener(reader, place, value, list->items);
}

#define USED_TEXT_MAX 320

struct used_address {
	char address[USED_TEXT_MAX];
	const char *where;
	size_t order; /* in the file: the second of two is the wrong one */
};

struct used_list {
	struct used_address *items;
	size_t count;
};

/* One spelling of an address: ":443" and "[::]:443" are the same. */
static void write_canonical(const char *text, char out[USED_TEXT_MAX])
{
	struct endpoint endpoint;
	struct address address;
	struct err err;
	if (strncmp(text, "fd:", 3) != 0 && endpoint_parse(text, &endpoint, &err) &&
		!endpoint_zone(&endpoint) && address_of_endpoint(&endpoint, &address))
		address_text(&address.any, address.len, out);
	else
		snprintf(out, USED_TEXT_MAX, "%s", text);
}

static void used_add(struct used_list *list, const char *address, const char *where)
{
	struct used_address *used = &list->items[list->count];
	if (!address)
		return;
	write_canonical(address, used->address);
	used->where = where;
	used->order = list->count++;
}

static int by_address(const void *a, const void *b)
{
	const struct used_address *left = a, *right = b;
	int order = strcmp(left->address, right->address);
	if (order != 0)
		return order;
	return left->order < right->order ? -1 : left->order > right->order;
}

static size_t count_addresses(const struct config *config)
{
	size_t count = config->listener_count + 2;
	for (size_t i = 0; i < config->forward_count; i++)
		count += config->forwards[i].listener_count;
	return count;
}

/* Health and metrics may be on one address: their paths differ. */
static void used_add_all(struct used_list *list, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		used_add(list, config->listeners[i].address, config->listeners[i].where);
	for (size_t i = 0; i < config->forward_count; i++)
		for (size_t j = 0; j < config->forwards[i].listener_count; j++)
			used_add(list, config->forwards[i].listeners[j].address,
				config->forwards[i].listeners[j].where);
	if (config->health.enabled)
		used_add(list, config->health.listen, config->health.where);
	bool is_shared = config->health.enabled &&
		strcmp(config->health.listen, config->metrics.listen) == 0;
	if (config->metrics.enabled && !is_shared)
		used_add(list, config->metrics.listen, config->metrics.where);
}

void listeners_check_unique(struct reader *reader, const struct config *config)
{
	struct used_list list = {calloc(count_addresses(config), sizeof *list.items), 0};
	if (!list.items) {
		reader->out_of_memory = true;
		return;
	}
	used_add_all(&list, config);
	qsort(list.items, list.count, sizeof *list.items, by_address);
	for (size_t i = 1; i < list.count; i++)
		if (strcmp(list.items[i].address, list.items[i - 1].address) == 0)
			report_error(reader->report, "%s: the same address as %s",
				list.items[i].where, list.items[i - 1].where);
	free(list.items);
}
