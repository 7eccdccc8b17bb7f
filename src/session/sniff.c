#include "session/steps.h"

#include "wire/client_hello.h"

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

static bool peer_has_ended(const struct session *session)
{
	struct pollfd poll_fd = {
		.fd = socket_fd(&session->client_socket), .events = POLLRDHUP};
	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents != 0;
}

/*
 * SO_RCVLOWAT keeps the kernel from waking us before the bytes are there. It wakes us all the same
 * for a FIN, or when the receive buffer cannot hold what is wanted (and on a unix socket always):
 * then the timer looks again, and no event does.
 */
static enum step_result wait_for_rest(struct session *session, size_t have, size_t want)
{
	if (have > session->peeked) {
		session->peeked = have;
		set_lowat(session, want);
		session_wait(session, &session->client_socket, EV_READ);
		return STEP_WAIT;
	}
	if (peer_has_ended(session))
		return session_end(session, "client closed in mid-hello");
	session_wait(session, &session->client_socket, 0);
	session_retry_after(session, LOOK_AGAIN_SECONDS);
	return STEP_WAIT;
}

static enum step_result judge(
	struct session *session, enum hello_verdict verdict, const struct client_hello *hello)
{
	if (session->lowat > 0)
		set_lowat(session, 1);
	session_wait(session, &session->client_socket, 0);
	switch (verdict) {
	case HELLO_NOT_TLS:
		return session_end(session, "not TLS");
	case HELLO_BROKEN:
	case HELLO_TOO_LARGE:
		return refuse_with_alert(session, ALERT_DECODE_ERROR, hello->error);
	case HELLO_MORE:
	case HELLO_WHOLE:
		break;
	}
	return STEP_NEXT;
}

/*
 * Looks at the ClientHello and takes none of it: the kernel's queue is what passthrough will splice
 * and OpenSSL will read.
 */
enum step_result step_sniff(struct session *session)
{
	struct lane *lane = &session->service->lane;
	struct client_hello *hello = &session->service->hello;
	ssize_t n = recv(socket_fd(&session->client_socket), lane->plain, CLIENT_HELLO_MAX, MSG_PEEK);
	if (n == 0)
		return session_end(session, "client closed without a word");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return session_end(session, "client reset before its hello");
	if (n < 0) {
		session_wait(session, &session->client_socket, EV_READ);
		return STEP_WAIT;
	}
	enum hello_verdict verdict =
		client_hello_parse(span_of(lane->plain, (size_t)n), lane->sealed_in, hello);
	if (verdict == HELLO_MORE)
		return wait_for_rest(session, (size_t)n, hello->want);
	return judge(session, verdict, hello);
}
