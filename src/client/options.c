#include "client/options.h"

#include "base/units.h"
#include "config/config_backend.h"
#include "tls/cert/pin.h"

#include <string.h>
#include <sys/socket.h>

#define DURATION_MOST_MS (24 * 3600 * 1000)

const char client_options_help[] =
	"      --sni NAME            the name to ask for and to verify (default: the host)\n"
	"      --alpn ID[,ID]        application protocols to offer, such as ssh\n"
	"      --cert FILE           certificate to show: PEM, PKCS#12, or a pkcs11: URI\n"
	"      --key FILE            its key, where that is not in the same file\n"
	"      --passphrase-file F   what opens the key (default: asked at the terminal)\n"
	"      --ca FILE             CA that the gateway's certificate is from: a file or a\n"
	"                            directory, may be given again (default: the system's roots)\n"
	"      --pin SHA256          of the gateway's certificate or of its public key, may be\n"
	"                            given again; without --ca all that is asked of it\n"
	"      --min-version V       TLS1.3 (default) or TLS1.2\n"
	"      --connect-timeout D   for name, connection and handshake together (10s)\n"
	"      --keepalive D         TCP probes after that much silence (60s); 0: none\n"
	"  -4, -6                    IPv4 or IPv6 addresses only\n"
	"  -v, --verbose             tell on stderr what happens\n"
	"  -h, --help\n";

void client_flags_init(struct client_flags *flags, const char *who)
{
	*flags = (struct client_flags){.who = who, .said = client_config_nothing};
}

void client_flags_finish(struct client_flags *flags)
{
	arena_finish(&flags->arena);
}

static bool add(struct client_flags *flags, struct strings *strings, const char *text)
{
	const char **items = arena_alloc(&flags->arena, (strings->count + 1) * sizeof *items);
	if (!items)
		return false;
	if (strings->count > 0)
		memcpy(items, strings->items, strings->count * sizeof *items);
	items[strings->count++] = text;
	strings->items = items;
	return true;
}

static bool add_alpn(struct client_flags *flags, const char *id, size_t id_len, struct err *err)
{
	uint8_t decoded[255];
	size_t len;
	char *text = arena_copy(&flags->arena, id, id_len);
	if (!text || !alpn_decode(text, decoded, &len) || memchr(decoded, '\0', len)) {
		err_set(err, "--alpn: expected ids with commas between, got \"%s\"",
			text ? text : "");
		return false;
	}
	char *copy = arena_copy(&flags->arena, (char *)decoded, len);
	err_set(err, "out of memory");
	return copy && add(flags, &flags->said.alpn, copy);
}

static bool take_alpn(struct client_flags *flags, const char *value, struct err *err)
{
	for (;;) {
		size_t len = strcspn(value, ",");
		if (!add_alpn(flags, value, len, err))
			return false;
		if (value[len] == '\0')
			return true;
		value += len + 1;
	}
}

static bool take_duration(const char *option, const char *value, uint64_t *out, struct err *err)
{
	if (units_duration_ms(value, out) && *out <= DURATION_MOST_MS)
		return true;
	err_set(err, "%s: expected a duration such as \"10s\", got \"%s\"", option, value);
	return false;
}

static bool take_version(const char *value, uint16_t *out, struct err *err)
{
	if (strncasecmp(value, "TLS", 3) == 0)
		value += 3 + (value[3] == 'v' || value[3] == 'V');
	if (strcmp(value, "1.2") == 0)
		*out = 0x0303;
	else if (strcmp(value, "1.3") == 0)
		*out = 0x0304;
	else
		err_set(err, "--min-version: expected \"TLS1.2\" or \"TLS1.3\"");
	return *out != 0;
}

static bool take_pin(struct client_flags *flags, const char *value, struct err *err)
{
	struct pins pins = {0};
	if (!pins_add(&pins, value, err)) {
		err_prefix(err, "--pin: ");
		return false;
	}
	err_set(err, "out of memory");
	return add(flags, &flags->said.pin, value);
}

static bool take_text(const char *option, const char *value, const char **out, struct err *err)
{
	*out = value;
	if (*value)
		return true;
	err_set(err, "%s: expected a value that is not empty", option);
	return false;
}

static bool take_ca(struct client_flags *flags, const char *value, struct err *err)
{
	const char *text;
	if (!take_text("--ca", value, &text, err))
		return false;
	err_set(err, "out of memory");
	return add(flags, &flags->said.ca, text);
}

bool client_flags_take(struct client_flags *flags, int option, const char *value, struct err *err)
{
	struct client_config *said = &flags->said;
	err->text[0] = '\0';
	switch (option) {
	case CLIENT_OPTION_SNI:
		return take_text("--sni", value, &said->sni, err);
	case CLIENT_OPTION_ALPN:
		return take_alpn(flags, value, err);
	case CLIENT_OPTION_CERT:
		return take_text("--cert", value, &said->cert, err);
	case CLIENT_OPTION_KEY:
		return take_text("--key", value, &said->key, err);
	case CLIENT_OPTION_PASSPHRASE_FILE:
		return take_text("--passphrase-file", value, &said->passphrase_file, err);
	case CLIENT_OPTION_CA:
		return take_ca(flags, value, err);
	case CLIENT_OPTION_PIN:
		return take_pin(flags, value, err);
	case CLIENT_OPTION_MIN_VERSION:
		return take_version(value, &said->min_version, err);
	case CLIENT_OPTION_CONNECT_TIMEOUT:
		return take_duration("--connect-timeout", value, &said->connect_timeout_ms, err);
	case CLIENT_OPTION_KEEPALIVE:
		return take_duration("--keepalive", value, &said->keepalive_ms, err);
	case '4':
		said->family = AF_INET;
		return true;
	case '6':
		said->family = AF_INET6;
		return true;
	case 'v':
		return flags->verbose = true;
	default:
		return false;
	}
}
