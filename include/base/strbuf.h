/*
 * Text that grows. After a lack of memory appending does nothing, and `failed` is true at the end.
 */
#ifndef GATEHOUSE_BASE_STRBUF_H
#define GATEHOUSE_BASE_STRBUF_H

#include "base/bytes.h"

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

/* A label's value, in its quotes (Prometheus text format 0.0.4). */
void strbuf_label(struct strbuf *text, const char *value);

#endif
