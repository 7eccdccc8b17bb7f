#include "session/session_iter.h"

void session_iter_begin(struct session_iter *iter, struct service *service)
{
	*iter = (struct session_iter){service, service->sessions, service->iters};
	service->iters = iter;
}

struct session *session_iter_next(struct session_iter *iter)
{
	struct session *session = iter->at;
	if (session)
		iter->at = session->next;
	return session;
}

void session_iter_end(struct session_iter *iter)
{
	struct session_iter **at = &iter->service->iters;
	while (*at != iter)
		at = &(*at)->next;
	*at = iter->next;
}

void session_iters_leave(const struct session *session)
{
	for (struct session_iter *iter = session->service->iters; iter; iter = iter->next)
		if (iter->at == session)
			iter->at = session->next;
}
