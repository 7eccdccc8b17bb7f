#include "session/steps/peek.h"

#include <errno.h>
#include <poll.h>

/* When poll keeps waking us for bytes that do not come: how soon to look again. */
#define LOOK_AGAIN_SECONDS 0.05

static void set_lowat(struct session *session, size_t bytes)
{
	int lowat = (int)bytes;
	if (setsockopt(socket_fd(&session->client_socket), SOL_SOCKET, SO_RCVLOWAT, &lowat,
		    sizeof lowat) == 0)
		session->lowat = lowat;
}

bool peek_has_ended(const struct session *session)
{
	struct pollfd poll_fd = {.fd = socket_fd(&session->client_socket), .events = POLLRDHUP};
	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents != 0;
}

enum step_result peek(struct session *session, size_t size, size_t *len)
{
	ssize_t n = recv(
		socket_fd(&session->client_socket), session->service->ctx.plain, size, MSG_PEEK);
	if (n > 0) {
		*len = (size_t)n;
		return STEP_NEXT;
	}
	if (n == 0)
		return session_end(session, "client closed without a word");
	if (errno != EAGAIN && errno != EINTR)
		return session_end(session, "client reset before its hello");
	socket_wait(&session->client_socket, EV_READ);
	return STEP_WAIT;
}

/*
 * SO_RCVLOWAT keeps the kernel from waking us before the bytes are there. It wakes us all the same
 * for a FIN, or when the receive buffer cannot hold what is wanted (and on a unix socket always):
 * then the timer looks again, and no event does.
 */
enum step_result peek_wait_for(struct session *session, size_t have, size_t want)
{
	if (have > session->peeked) {
		session->peeked = have;
		set_lowat(session, want);
		socket_wait(&session->client_socket, EV_READ);
		return STEP_WAIT;
	}
	if (peek_has_ended(session))
		return session_end(session, "client closed in mid-hello");
	socket_wait(&session->client_socket, 0);
	session_retry_after(session, LOOK_AGAIN_SECONDS);
	return STEP_WAIT;
}

void peek_done(struct session *session)
{
	if (session->lowat > 0)
		set_lowat(session, 1);
	session->lowat = 0;
	session->peeked = 0;
	socket_wait(&session->client_socket, 0);
}
