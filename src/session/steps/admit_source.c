#include "session/steps/steps.h"

/* Limits that concern who connects, whatever it wants. */
enum step_result step_admit_source(struct session *session)
{
	const struct config *config = routes_config(session->routes);
	unsigned max = config->proxy.max_per_source, rate = config->proxy.rate_per_source;
	if ((max == 0 && rate == 0) || session->source.any.sa_family == AF_UNIX)
		return STEP_NEXT;
	switch (sources_enter(session->service->limits->sources, &session->source.any, max, rate)) {
	case SOURCE_TOO_MANY:
		return session_end(session, END_LIMIT, "max_per_source reached");
	case SOURCE_TOO_FAST:
		return session_end(session, END_LIMIT, "rate_per_source reached");
	case SOURCE_NO_MEMORY:
		return session_end(session, END_NO_MEMORY, "out of memory");
	case SOURCE_ADMITTED:
		break;
	}
	session->is_source_counted = true;
	return STEP_NEXT;
}
