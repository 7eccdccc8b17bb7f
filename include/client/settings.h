/*
 * What `connect` and `run` know of a gateway before they dial it: flags, over the user's settings,
 * over the system's, over what is built in.
 */
#ifndef GATEHOUSE_CLIENT_SETTINGS_H
#define GATEHOUSE_CLIENT_SETTINGS_H

#include "client/options.h"
#include "net/address.h"

#define CLIENT_PORT 443

/* Everything settled. Lives as long as the flags. */
struct client_settings {
	const char *who;
	bool verbose;
	struct client_config config;
	struct endpoint endpoint; /* to be dialled */
	const char *target;       /* what the user named, for messages */
	const char *name; /* what the certificate must stand for, and the SNI if it is a name */
};

/* False after an error, which has been told on stderr. */
bool client_settings_make(
	struct client_settings *settings, struct client_flags *flags, const char *target);

#endif
