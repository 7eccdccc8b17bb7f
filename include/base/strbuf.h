/*
 * Text that grows: JSON, and the lines that Prometheus reads. Without memory it fails once and for
 * all, which `failed` tells at the end.
 *
 *     json_open(&text, NULL, '{');
 *     json_text(&text, "status", "ready");
 *     json_close(&text, '}');                  {"status":"ready"}
 */
#ifndef GATEHOUSE_BASE_STRBUF_H
#define GATEHOUSE_BASE_STRBUF_H

#include "base/bytes.h"

#include <time.h>

/* All zero is an empty one. */
struct strbuf {
	char *at; /* ends in a NUL once there is something in it */
	size_t len, room;
	bool failed;
};

void strbuf_append(struct strbuf *text, const char *data, size_t len);
void strbuf_printf(struct strbuf *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void strbuf_finish(struct strbuf *text);

/* The key of an item of a list is NULL. Commas come by themselves. */
void json_open(struct strbuf *text, const char *key, char bracket);
void json_close(struct strbuf *text, char bracket);
void json_text(struct strbuf *text, const char *key, const char *value); /* NULL: null */
void json_number(struct strbuf *text, const char *key, long long value);
void json_real(struct strbuf *text, const char *key, double value); /* three decimals */
void json_flag(struct strbuf *text, const char *key, bool value);
void json_date(struct strbuf *text, const char *key, time_t when); /* "2026-03-28T23:07:44Z" */

/* A label's value, in its quotes (Prometheus text format 0.0.4). */
void strbuf_label(struct strbuf *text, const char *value);

#endif
