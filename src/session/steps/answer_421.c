#include "session/steps/steps.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_MAX (64 * 1024)

static const char page[] =
	"<!doctype html>\n"
	"<html lang=\"en\">\n"
	"<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>421 Misdirected Request</title>\n"
	"<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;"
	"padding:0 1rem;color:#222;background:#fff}"
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}</style>\n"
	"<h1>421 Misdirected Request</h1>\n"
	"<p>This server has no site of that name. Check the address; if it is right, the name may "
	"point to the wrong server.</p>\n"
	"</html>\n";

static size_t write_answer(char *out, size_t size, bool head_only)
{
	int len = snprintf(out, size,
		"HTTP/1.1 421 Misdirected Request\r\n"
		"Content-Type: text/html; charset=utf-8\r\n"
		"Content-Length: %zu\r\n"
		"Cache-Control: no-store\r\n"
		"Connection: close\r\n"
		"\r\n%s",
		sizeof page - 1, head_only ? "" : page);
	return (size_t)len;
}

/* A request may come in any pieces: what the answer depends on is matched byte by byte. */
static void match_byte(struct answer_state *answer, uint8_t byte)
{
	static const char head[] = "HEAD ", http[] = " HTTP/";
	if (answer->seen < sizeof head - 1 && answer->head_matched == answer->seen &&
		byte == head[answer->seen])
		answer->head_matched++;
	if (answer->http_matched == sizeof http - 1)
		return;
	if (byte == http[answer->http_matched])
		answer->http_matched++;
	else
		answer->http_matched = byte == http[0];
}

static bool is_head_only(const struct answer_state *answer)
{
	return answer->head_matched == strlen("HEAD ");
}

/* A first line that is none of HTTP, such as ssh's: no request will follow to wait for. */
static bool is_no_request(const struct answer_state *answer)
{
	return answer->http_matched < strlen(" HTTP/");
}

/* A request's head ends, over any number of reads, with two line feeds and at most a CR between. */
static bool head_ends(struct answer_state *answer, const struct buf *buf)
{
	for (size_t i = buf->start; i < buf->end; i++) {
		uint8_t byte = buf->data[i];
		match_byte(answer, byte);
		answer->seen++;
		if (byte == '\r')
			continue;
		if (byte == '\n' && (answer->last_byte == '\n' || is_no_request(answer)))
			return true;
		answer->last_byte = byte;
	}
	return answer->seen >= REQUEST_MAX;
}

static enum step_result client_is_gone(struct session *session)
{
	return session_end(session, END_NO_HOST, "unknown server name; client gone before the 421");
}

static enum step_result send_answer(struct session *session)
{
	char text[2048];
	struct buf buf = {.data = (uint8_t *)text, .size = sizeof text};
	buf.end = write_answer(text, sizeof text, is_head_only(&session->at.answer));
	if (stream_write(session->client, &buf) == IO_FAIL)
		return client_is_gone(session);
	return session_refuse(session, END_NO_HOST, "unknown server name: answered 421");
}

/* Reads the request, so that the answer is one, and says that no site of that name is here. */
enum step_result step_answer_421(struct session *session)
{
	struct loop_ctx *ctx = &session->service->ctx;
	struct buf buf = {.data = ctx->plain, .size = LOOP_PLAIN_SIZE};
	if (session_enters_step(session))
		session->at.answer = (struct answer_state){0};
	switch (stream_read(session->client, &buf)) {
	case IO_AGAIN:
		stream_watch(session->client, EV_READ);
		return STEP_WAIT;
	case IO_EOF:
		return send_answer(session);
	case IO_FAIL:
		return client_is_gone(session);
	case IO_DONE:
		break;
	}
	if (head_ends(&session->at.answer, &buf))
		return send_answer(session);
	stream_watch(session->client, EV_READ); /* what lies here already counts, too */
	return STEP_WAIT;
}
