/* The participant that sets the log's level and format. */
#ifndef GATEHOUSE_DAEMON_LOG_SETTINGS_H
#define GATEHOUSE_DAEMON_LOG_SETTINGS_H

#include "daemon/participant.h"

/* Now; at the start lines are logged before the first commit. */
void log_settings_apply(const struct config *config);

struct participant log_settings_participant(void);

#endif
