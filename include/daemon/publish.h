/* What follows a load: the new snapshot is put to use, or refused, and the log says which. */
#ifndef GATEHOUSE_DAEMON_PUBLISH_H
#define GATEHOUSE_DAEMON_PUBLISH_H

#include "daemon/load/reload.h"
#include "daemon/load/reload_retry.h"
#include "daemon/participant.h"
#include "daemon/snapshots.h"

/* All are borrowed. */
struct publisher {
	const char *path; /* of the configuration */
	struct tls_store *store;
	const struct participants *participants;
	const struct snapshots *snapshots;
	struct reload_retry *retry;
};

/* After participants_prepare at the start; takes the reference over. */
void publish_first(const struct publisher *publisher, struct routes *routes);

/* Takes loaded->routes over. */
void publish(const struct publisher *publisher, const struct loaded *loaded);

#endif
