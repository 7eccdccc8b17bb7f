#include "session/steps/peek.h"
#include "session/steps/steps.h"
#include "wire/http_request.h"

#include <stdio.h>

/* The largest answer: a target and a host as long as they may be, and the rest. */
#define ANSWER_MAX (HTTP_LINE_MAX + 1024)

/* The address of the same with TLS; a default port of http is no port of https. */
static int write_location(char *out, size_t size, const struct http_request *request)
{
	bool has_port = request->port.len > 0 && !span_equal(request->port, span_of("80", 2)) &&
		!span_equal(request->port, span_of("443", 3));
	bool has_slash = request->target.len > 0 && request->target.data[0] == '/';
	return snprintf(out, size, "Location: https://%.*s%s%.*s%s%.*s\r\n", (int)request->host.len,
		(const char *)request->host.data, has_port ? ":" : "",
		has_port ? (int)request->port.len : 0,
		has_port ? (const char *)request->port.data : "", has_slash ? "" : "/",
		(int)request->target.len, (const char *)request->target.data);
}

static size_t write_answer(char *out, const struct http_request *request, unsigned status)
{
	static const char moved[] = "This address is served with TLS: use https.";
	char location[ANSWER_MAX - 512] = "", page[128];
	if (status == 308)
		write_location(location, sizeof location, request);
	int page_len = snprintf(page, sizeof page, "%u %s: %s\n", status,
		http_reason_phrase(status), status == 308 ? moved : request->error);
	return (size_t)snprintf(out, ANSWER_MAX,
		"HTTP/1.1 %u %s\r\n"
		"%s"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %d\r\n"
		"Connection: close\r\n"
		"\r\n%s",
		status, http_reason_phrase(status), location, page_len,
		request->is_head ? "" : page);
}

static enum step_result send_answer(
	struct session *session, const struct http_request *request, unsigned status)
{
	char text[ANSWER_MAX], words[128];
	struct buf buf = {.data = (uint8_t *)text, .size = sizeof text};
	buf.end = write_answer(text, request, status);
	if (stream_write(session->client, &buf) != IO_DONE) /* its queue is empty */
		return session_end(session, END_CLIENT_BROKE, "client gone before the redirect");
	if (status == 308)
		return session_refuse(session, END_DONE, "redirected to https");
	snprintf(words, sizeof words, "answered %u: %s", status, request->error);
	return session_refuse(session, END_NOT_TLS, words);
}

/* Looks at an HTTP request, and answers with the address of the same under https. */
enum step_result step_redirect(struct session *session)
{
	struct peeking *peeking = &session->at.sniff;
	struct http_request request;
	size_t len;
	if (session_enters_step(session))
		*peeking = (struct peeking){.ended = "client closed within its request"};
	enum step_result seen = peek(session, HTTP_HEAD_MAX, &len);
	if (seen != STEP_NEXT)
		return seen;
	switch (http_request_parse(span_of(session->service->ctx.plain, len), &request)) {
	case HTTP_MORE:
		return peek_wait_for(session, peeking, len, len + 1);
	case HTTP_WHOLE:
		peek_done(session, peeking);
		return send_answer(session, &request, 308);
	case HTTP_BAD:
		break;
	}
	peek_done(session, peeking);
	return send_answer(session, &request, request.status);
}
