#include "daemon/log_settings.h"

#include "base/log.h"

void log_settings_apply(const struct config *config)
{
	log_configure(config->logging.level, config->logging.json);
}

static void log_settings_commit(void *owner, const struct reload_event *event)
{
	(void)owner;
	log_settings_apply(routes_config(event->routes));
}

struct participant log_settings_participant(void)
{
	return (struct participant){.name = "log settings", .commit = log_settings_commit};
}
