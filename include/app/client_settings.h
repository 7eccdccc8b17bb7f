/*
 * What `connect` and `run` know of a gateway before they dial it: flags, over the user's settings,
 * over the system's, over what is built in.
 */
#ifndef GATEHOUSE_APP_CLIENT_SETTINGS_H
#define GATEHOUSE_APP_CLIENT_SETTINGS_H

#include "net/address.h"
#include "route/client_config.h"

#define CLIENT_PORT 443

/* From the command line. */
struct client_flags {
	const char *who; /* "gatehouse connect": what every line on stderr begins with */
	struct arena arena;
	struct client_config said;
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
#define CLIENT_LONG_OPTIONS                                                                     \
	{"sni", required_argument, NULL, CLIENT_OPTION_SNI},                                    \
	{"alpn", required_argument, NULL, CLIENT_OPTION_ALPN},                                  \
	{"cert", required_argument, NULL, CLIENT_OPTION_CERT},                                  \
	{"key", required_argument, NULL, CLIENT_OPTION_KEY},                                    \
	{"passphrase-file", required_argument, NULL, CLIENT_OPTION_PASSPHRASE_FILE},            \
	{"ca", required_argument, NULL, CLIENT_OPTION_CA},                                      \
	{"pin", required_argument, NULL, CLIENT_OPTION_PIN},                                    \
	{"min-version", required_argument, NULL, CLIENT_OPTION_MIN_VERSION},                    \
	{"connect-timeout", required_argument, NULL, CLIENT_OPTION_CONNECT_TIMEOUT},            \
	{"keepalive", required_argument, NULL, CLIENT_OPTION_KEEPALIVE},                        \
	{"ipv4", no_argument, NULL, '4'},                                                       \
	{"ipv6", no_argument, NULL, '6'},                                                       \
	{"verbose", no_argument, NULL, 'v'}
#define CLIENT_SHORT_OPTIONS "46v"

extern const char client_options_help[];

void client_flags_init(struct client_flags *flags, const char *who);
void client_flags_finish(struct client_flags *flags);

/* False with `err`: no option of a client's (then `err` is empty), or its value is no good. */
bool client_flags_take(
	struct client_flags *flags, int option, const char *value, struct err *err);

/* Everything settled. Lives as long as the flags. */
struct client_settings {
	const char *who;
	bool verbose;
	struct client_config config;
	struct endpoint endpoint; /* to be dialled */
	const char *target;       /* what the user named, for messages */
	const char *name;         /* what the certificate must stand for, and the SNI if it is a name */
};

/* False after an error, which has been told on stderr. */
bool client_settings_make(
	struct client_settings *settings, struct client_flags *flags, const char *target);

#endif
