/*
 * Bytes with a length. A `span` points into memory of another owner; parsers take one and
 * move it forward as a cursor that cannot pass its end. A `buf` is a window over memory that its
 * holder owns: the bytes between `start` and `end` are in use, those behind `end` are free.
 */
#ifndef GATEHOUSE_BASE_BYTES_H
#define GATEHOUSE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data;
	size_t len;
};

struct buf {
	uint8_t *data;
	size_t start, end, size;
};

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){data, len};
}

static inline struct span span_of_string(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Each span_take_* moves the cursor past what it took; false without a move if too little is left. */
static inline bool span_take(struct span *cursor, size_t len, struct span *out)
{
	if (cursor->len < len)
		return false;
	*out = (struct span){cursor->data, len};
	cursor->data += len;
	cursor->len -= len;
	return true;
}

static inline bool span_take_u8(struct span *cursor, unsigned *out)
{
	struct span byte;
	if (!span_take(cursor, 1, &byte))
		return false;
	*out = byte.data[0];
	return true;
}

static inline bool span_take_u16(struct span *cursor, unsigned *out)
{
	struct span bytes;
	if (!span_take(cursor, 2, &bytes))
		return false;
	*out = (unsigned)bytes.data[0] << 8 | bytes.data[1];
	return true;
}

static inline bool span_take_u24(struct span *cursor, unsigned *out)
{
	struct span bytes;
	if (!span_take(cursor, 3, &bytes))
		return false;
	*out = (unsigned)bytes.data[0] << 16 | (unsigned)bytes.data[1] << 8 | bytes.data[2];
	return true;
}

/* A vector behind its length (RFC 8446 section 3.4). After a failure the cursor is undefined. */
static inline bool span_take_vector8(struct span *cursor, struct span *out)
{
	unsigned len;
	return span_take_u8(cursor, &len) && span_take(cursor, len, out);
}

static inline bool span_take_vector16(struct span *cursor, struct span *out)
{
	unsigned len;
	return span_take_u16(cursor, &len) && span_take(cursor, len, out);
}

static inline size_t buf_used(const struct buf *buf)
{
	return buf->end - buf->start;
}

static inline size_t buf_room(const struct buf *buf)
{
	return buf->size - buf->end;
}

#endif
