#include "session/session_iter.h"

void walk_begin(struct walk *walk, struct service *service)
{
	*walk = (struct walk){service, service->sessions, service->walks};
	service->walks = walk;
}

struct session *walk_next(struct walk *walk)
{
	struct session *session = walk->at;
	if (session)
		walk->at = session->next;
	return session;
}

void walk_end(struct walk *walk)
{
	struct walk **at = &walk->service->walks;
	while (*at != walk)
		at = &(*at)->next;
	*at = walk->next;
}

void walks_leave(const struct session *session)
{
	for (struct walk *walk = session->service->walks; walk; walk = walk->next)
		if (walk->at == session)
			walk->at = session->next;
}
