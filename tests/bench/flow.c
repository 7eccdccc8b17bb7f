#include "flow.h"

#include "pattern.h"
#include "sockets.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_AT_ONCE 16

enum state { STATE_START, STATE_HANDSHAKE, STATE_ASK, STATE_ROUND, STATE_HELD, STATE_END };
enum io { IO_DONE, IO_WAIT, IO_EOF, IO_FAIL };

struct flow {
	const struct work *work;
	int fd;
	SSL *ssl;
	enum state state;
	enum state after_hold;
	uint32_t interest;
	uint32_t number;
	uint32_t rounds_left;
	bool was_parked;
	size_t asked;
	uint64_t to_send, to_receive; /* of this round */
	uint64_t sent, received;      /* positions in the pattern */
	uint64_t round_started_ns;
};

static unsigned char input[PATTERN_WINDOW];

static enum flow_status fail(struct flow *flow, const char *why)
{
	tally_failure(flow->work->tally, why);
	return FLOW_FAILED;
}

static enum io tls_result(struct flow *flow, int result)
{
	int error = SSL_get_error(flow->ssl, result);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return IO_WAIT;
	if (error == SSL_ERROR_ZERO_RETURN)
		return IO_EOF;
	return IO_FAIL;
}

static enum io read_some(struct flow *flow, size_t *length)
{
	ssize_t n;

	if (flow->ssl) {
		ERR_clear_error();
		if (SSL_read_ex(flow->ssl, input, sizeof(input), length))
			return IO_DONE;
		return tls_result(flow, 0);
	}
	n = recv(flow->fd, input, sizeof(input), 0);
	if (n < 0)
		return errno == EAGAIN ? IO_WAIT : IO_FAIL;
	*length = (size_t)n;
	return n == 0 ? IO_EOF : IO_DONE;
}

static enum io write_some(struct flow *flow, const void *bytes, size_t *length)
{
	ssize_t n;

	if (flow->ssl) {
		ERR_clear_error();
		if (SSL_write_ex(flow->ssl, bytes, *length, length))
			return IO_DONE;
		return tls_result(flow, 0);
	}
	n = send(flow->fd, bytes, *length, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? IO_WAIT : IO_FAIL;
	*length = (size_t)n;
	return IO_DONE;
}

static void begin_round(struct flow *flow)
{
	flow->to_send = flow->work->command.sends;
	flow->to_receive = flow->work->command.receives;
}

static void wait_a_little(const struct flow *flow)
{
	if (flow->work->gap_us > 0)
		usleep(flow->work->gap_us);
}

static enum flow_status park(struct flow *flow, enum state next)
{
	flow->was_parked = true;
	flow->after_hold = next;
	flow->state = STATE_HELD;
	return FLOW_PARKED;
}

static enum flow_status start(struct flow *flow)
{
	flow->state = flow->ssl ? STATE_HANDSHAKE : STATE_ASK;
	if (flow->ssl)
		wait_a_little(flow);
	if (flow->work->park == PARK_SILENT)
		return park(flow, flow->state);
	return FLOW_GOES_ON;
}

static enum flow_status handshake(struct flow *flow, enum io *io)
{
	ERR_clear_error();
	int result = SSL_do_handshake(flow->ssl);

	if (result != 1) {
		*io = tls_result(flow, result);
		if (*io == IO_WAIT)
			return FLOW_GOES_ON;
		const char *reason = ERR_reason_error_string(ERR_peek_last_error());
		return fail(flow, reason ? reason : "connection lost in the handshake");
	}
	const char *complaint = client_tls_complaint(flow->work->tls, flow->ssl);
	if (complaint)
		return fail(flow, complaint);
	flow->work->tally->handshakes++;
	flow->work->tally->resumed += SSL_session_reused(flow->ssl) ? 1 : 0;
	flow->state = STATE_ASK;
	return FLOW_GOES_ON;
}

/* The hello, or in TLS the bare command. */
static enum flow_status ask(struct flow *flow, enum io *io)
{
	unsigned char question[HELLO_MAX];
	size_t length = COMMAND_SIZE;

	if (flow->ssl) {
		command_encode(&flow->work->command, question);
	} else {
		length = flow->work->hello->length;
		hello_copy(flow->work->hello, flow->number, question);
	}
	if (flow->asked == 0)
		wait_a_little(flow);
	size_t n = length - flow->asked;
	*io = write_some(flow, question + flow->asked, &n);
	if (*io == IO_WAIT)
		return FLOW_GOES_ON;
	if (*io != IO_DONE)
		return fail(flow, "connection refused or lost before the question");
	flow->asked += n;
	if (flow->asked < length)
		return FLOW_GOES_ON;
	begin_round(flow);
	flow->state = STATE_ROUND;
	return FLOW_GOES_ON;
}

static enum flow_status send_round(struct flow *flow, enum io *io)
{
	size_t n = flow->to_send < PATTERN_WINDOW ? (size_t)flow->to_send : PATTERN_WINDOW;

	*io = write_some(flow, pattern_at(flow->sent), &n);
	if (*io == IO_WAIT)
		return FLOW_GOES_ON;
	if (*io != IO_DONE)
		return fail(flow, "connection lost while sending");
	flow->sent += n;
	flow->to_send -= n;
	flow->work->tally->bytes += n;
	return FLOW_GOES_ON;
}

static void begin_end(struct flow *flow)
{
	wait_a_little(flow);
	if (flow->ssl)
		SSL_shutdown(flow->ssl);
	else
		shutdown(flow->fd, SHUT_WR);
	flow->state = STATE_END;
}

static enum flow_status round_done(struct flow *flow)
{
	struct tally *tally = flow->work->tally;
	uint64_t now = now_ns();

	tally->units++;
	tally_latency(tally, now - flow->round_started_ns);
	flow->round_started_ns = now;
	if (--flow->rounds_left == 0) {
		begin_end(flow);
		return FLOW_GOES_ON;
	}
	begin_round(flow);
	if (flow->work->park == PARK_AFTER_ROUND && !flow->was_parked)
		return park(flow, STATE_ROUND);
	return FLOW_GOES_ON;
}

static enum flow_status receive_round(struct flow *flow, enum io *io)
{
	size_t n = 0;

	*io = read_some(flow, &n);
	if (*io == IO_WAIT)
		return FLOW_GOES_ON;
	if (*io != IO_DONE)
		return fail(flow,
			*io == IO_EOF ? "end of file in mid-answer"
				      : "connection lost while receiving");
	if (n > flow->to_receive)
		return fail(flow, "more bytes than were asked for");
	if (!pattern_matches(input, n, flow->received))
		return fail(flow, "other bytes than were asked for");
	flow->received += n;
	flow->to_receive -= n;
	flow->work->tally->bytes += n;
	return flow->to_receive == 0 ? round_done(flow) : FLOW_GOES_ON;
}

static enum flow_status do_round(struct flow *flow, enum io *io)
{
	if (flow->to_send > 0)
		return send_round(flow, io);
	return receive_round(flow, io);
}

static enum flow_status await_end(struct flow *flow, enum io *io)
{
	size_t n = 0;

	*io = read_some(flow, &n);
	if (*io == IO_WAIT)
		return FLOW_GOES_ON;
	if (*io == IO_DONE)
		return fail(flow, "bytes after the end");
	if (*io == IO_FAIL)
		flow->work->tally->resets++;
	flow->work->tally->connections++;
	return FLOW_DONE;
}

static enum flow_status step(struct flow *flow, enum io *io)
{
	switch (flow->state) {
	case STATE_START:
		return start(flow);
	case STATE_HANDSHAKE:
		return handshake(flow, io);
	case STATE_ASK:
		return ask(flow, io);
	case STATE_ROUND:
		return do_round(flow, io);
	case STATE_HELD:
		return fail(flow, "a held connection was closed");
	case STATE_END:
		return await_end(flow, io);
	}
	return fail(flow, "no such state");
}

static uint32_t wanted_events(const struct flow *flow)
{
	switch (flow->state) {
	case STATE_START:
	case STATE_ASK:
		return EPOLLOUT;
	case STATE_HANDSHAKE:
		return SSL_want_write(flow->ssl) ? EPOLLOUT : EPOLLIN;
	case STATE_ROUND:
		return flow->to_send > 0 ? EPOLLOUT : EPOLLIN;
	case STATE_HELD:
	case STATE_END:
		return EPOLLIN;
	}
	return 0;
}

static void update_interest(struct flow *flow)
{
	uint32_t wanted = wanted_events(flow);
	struct epoll_event event = {.events = wanted, .data.ptr = flow};

	if (wanted == flow->interest)
		return;
	if (epoll_ctl(flow->work->epoll, flow->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, flow->fd,
		    &event) < 0)
		die("epoll_ctl");
	flow->interest = wanted;
}

enum flow_status flow_advance(struct flow *flow)
{
	enum flow_status status = FLOW_GOES_ON;
	enum io io = IO_DONE;

	for (int i = 0; i < STEPS_AT_ONCE && io == IO_DONE && status == FLOW_GOES_ON; i++)
		status = step(flow, &io);
	if (status == FLOW_GOES_ON || status == FLOW_PARKED)
		update_interest(flow);
	return status;
}

struct flow *flow_open(const struct work *work, uint32_t number, uint64_t started_ns)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		die("calloc");
	flow->work = work;
	flow->number = number;
	flow->round_started_ns = started_ns;
	flow->rounds_left = work->command.rounds;
	flow->fd = connect_to(&work->proxy);
	if (flow->fd < 0)
		die("connect");
	if (work->tls)
		flow->ssl = client_tls_open(work->tls, flow->fd, number);
	return flow;
}

void flow_resume(struct flow *flow)
{
	flow->state = flow->after_hold;
	flow->round_started_ns = now_ns();
	update_interest(flow);
}

void flow_close(struct flow *flow)
{
	if (flow->ssl)
		client_tls_close(flow->ssl);
	close(flow->fd);
	free(flow);
}
