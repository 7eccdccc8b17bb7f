/* The options that `connect` and `run` have in common. */
#ifndef GATEHOUSE_CLIENT_OPTIONS_H
#define GATEHOUSE_CLIENT_OPTIONS_H

#include "base/err.h"
#include "config/client/client_config.h"

/* The values of the command line. */
struct client_flags {
	const char *program; /* "gatehouse connect": the prefix of every line on stderr */
	struct arena arena;
	struct client_config given;
	bool verbose;
};

/* The long options, for getopt_long's table; "46v" are the short ones. */
enum {
	CLIENT_OPTION_SNI = 512,
	CLIENT_OPTION_ALPN,
	CLIENT_OPTION_CERT,
	CLIENT_OPTION_KEY,
	CLIENT_OPTION_PASSPHRASE_FILE,
	CLIENT_OPTION_CA,
	CLIENT_OPTION_PIN,
	CLIENT_OPTION_MIN_VERSION,
	CLIENT_OPTION_CONNECT_TIMEOUT,
	CLIENT_OPTION_KEEPALIVE,
};
/* clang-format off */
#define CLIENT_LONG_OPTIONS \
	{"sni", required_argument, NULL, CLIENT_OPTION_SNI}, \
	{"alpn", required_argument, NULL, CLIENT_OPTION_ALPN}, \
	{"cert", required_argument, NULL, CLIENT_OPTION_CERT}, \
	{"key", required_argument, NULL, CLIENT_OPTION_KEY}, \
	{"passphrase-file", required_argument, NULL, CLIENT_OPTION_PASSPHRASE_FILE}, \
	{"ca", required_argument, NULL, CLIENT_OPTION_CA}, \
	{"pin", required_argument, NULL, CLIENT_OPTION_PIN}, \
	{"min-version", required_argument, NULL, CLIENT_OPTION_MIN_VERSION}, \
	{"connect-timeout", required_argument, NULL, CLIENT_OPTION_CONNECT_TIMEOUT}, \
	{"keepalive", required_argument, NULL, CLIENT_OPTION_KEEPALIVE}, \
	{"ipv4", no_argument, NULL, '4'}, \
	{"ipv6", no_argument, NULL, '6'}, \
	{"verbose", no_argument, NULL, 'v'}
/* clang-format on */
#define CLIENT_SHORT_OPTIONS "46v"

extern const char client_options_help[];

void client_flags_init(struct client_flags *flags, const char *program);
void client_flags_finish(struct client_flags *flags);

/* False with `err`: not one of these options (then `err` is empty), or its value is invalid. */
bool client_flags_take(struct client_flags *flags, int option, const char *value, struct err *err);

#endif
