#include "client/options.h"

#include "base/units.h"
#include "config/config_backend.h"
#include "tls/cert/pin.h"

#include <string.h>
#include <sys/socket.h>

#define DURATION_MAX_MS (24 * 3600 * 1000)

const char client_options_help[] =
	"      --sni NAME            server name to send and to verify (default: the host)\n"
	"      --alpn ID[,ID]        application protocols to offer, such as ssh\n"
	"      --cert FILE           client certificate: PEM, PKCS#12, or a pkcs11: URI\n"
	"      --key FILE            its private key, if that is not in the same file\n"
	"      --passphrase-file F   file with the key's passphrase (default: read from the terminal)\n"
	"      --ca FILE             CA certificates that may issue the gateway's certificate: a file or\n"
	"                            a directory; repeatable (default: the system's roots)\n"
	"      --pin SHA256          hash of the gateway's certificate or public key; repeatable;\n"
	"                            without --ca it is the only check\n"
	"      --min-version V       TLS1.3 (default) or TLS1.2\n"
	"      --connect-timeout D   for resolving, connecting and handshake together (10s)\n"
	"      --keepalive D         TCP keepalive after that much silence (60s); 0: none\n"
	"  -4, -6                    IPv4 or IPv6 addresses only\n"
	"  -v, --verbose             report progress on stderr\n"
	"  -h, --help\n";

void client_flags_init(struct client_flags *flags, const char *program)
{
	*flags = (struct client_flags){.program = program, .given = client_config_nothing};
}

void client_flags_finish(struct client_flags *flags)
{
	arena_finish(&flags->arena);
}

static bool client_flags_append(
	struct client_flags *flags, struct strings *strings, const char *text)
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
		err_set(err, "--alpn: expected protocol IDs separated by commas, got \"%s\"",
			text ? text : "");
		return false;
	}
	char *copy = arena_copy(&flags->arena, (char *)decoded, len);
	err_set(err, "out of memory");
	return copy && client_flags_append(flags, &flags->given.alpn, copy);
}

static bool parse_alpn(struct client_flags *flags, const char *value, struct err *err)
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

static bool parse_duration(const char *option, const char *value, uint64_t *out, struct err *err)
{
	if (units_duration_ms(value, out) && *out <= DURATION_MAX_MS)
		return true;
	err_set(err, "%s: expected a duration such as \"10s\", got \"%s\"", option, value);
	return false;
}

static bool parse_version(const char *value, uint16_t *out, struct err *err)
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

static bool parse_pin(struct client_flags *flags, const char *value, struct err *err)
{
	struct pins pins = {0};
	if (!pins_add(&pins, value, err)) {
		err_prefix(err, "--pin: ");
		return false;
	}
	err_set(err, "out of memory");
	return client_flags_append(flags, &flags->given.pin, value);
}

static bool parse_text(const char *option, const char *value, const char **out, struct err *err)
{
	*out = value;
	if (*value)
		return true;
	err_set(err, "%s: expected a value that is not empty", option);
	return false;
}

static bool parse_ca(struct client_flags *flags, const char *value, struct err *err)
{
	const char *text;
	if (!parse_text("--ca", value, &text, err))
		return false;
	err_set(err, "out of memory");
	return client_flags_append(flags, &flags->given.ca, text);
}

bool client_flags_take(struct client_flags *flags, int option, const char *value, struct err *err)
{
	struct client_config *given = &flags->given;
	err->text[0] = '\0';
	switch (option) {
	case CLIENT_OPTION_SNI:
		return parse_text("--sni", value, &given->sni, err);
	case CLIENT_OPTION_ALPN:
		return parse_alpn(flags, value, err);
	case CLIENT_OPTION_CERT:
		return parse_text("--cert", value, &given->cert, err);
	case CLIENT_OPTION_KEY:
		return parse_text("--key", value, &given->key, err);
	case CLIENT_OPTION_PASSPHRASE_FILE:
		return parse_text("--passphrase-file", value, &given->passphrase_file, err);
	case CLIENT_OPTION_CA:
		return parse_ca(flags, value, err);
	case CLIENT_OPTION_PIN:
		return parse_pin(flags, value, err);
	case CLIENT_OPTION_MIN_VERSION:
		return parse_version(value, &given->min_version, err);
	case CLIENT_OPTION_CONNECT_TIMEOUT:
		return parse_duration("--connect-timeout", value, &given->connect_timeout_ms, err);
	case CLIENT_OPTION_KEEPALIVE:
		return parse_duration("--keepalive", value, &given->keepalive_ms, err);
	case '4':
		given->family = AF_INET;
		return true;
	case '6':
		given->family = AF_INET6;
		return true;
	case 'v':
		return flags->verbose = true;
	default:
		return false;
	}
}
