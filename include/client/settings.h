/*
 * What `connect` and `run` know of a gateway before they dial it. Flags override the user's settings,
 * these the system's, these the built-in defaults.
 */
#ifndef GATEHOUSE_CLIENT_SETTINGS_H
#define GATEHOUSE_CLIENT_SETTINGS_H

#include "client/options.h"
#include "net/address.h"

#define CLIENT_PORT 443

/* The result. Valid as long as the flags. */
struct client_settings {
	const char *program; /* as of the flags */
	bool verbose;
	struct client_config config;
	struct endpoint endpoint; /* to be dialled */
	const char *target;       /* what the user named, for messages */
	const char *name;         /* the name to verify; also the SNI unless it is an IP address */
};

/* False after an error, which has been printed on stderr. */
bool client_settings_make(
	struct client_settings *settings, struct client_flags *flags, const char *target);

#endif
