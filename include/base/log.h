/*
 * The log: lines of key=value pairs, or of JSON, on standard error. A line is built in a
 * `struct log_line` on the caller's stack: begun, given its pairs, ended.
 *
 *     time=2026-03-28T23:07:44.000Z level=info msg="reloaded" routes=12 added=1
 *     {"time":"2026-03-28T23:07:44.000Z","level":"info","msg":"reloaded","routes":12,"added":1}
 *
 * Lines are whole or absent: one that does not fit in LOG_LINE_MAX is cut at a pair and says so
 * ("cut=true"). Bytes that are not valid UTF-8 and control characters are escaped, so that a client's
 * server name can neither break a line nor a terminal. Under journald (JOURNAL_STREAM names our
 * standard error) each line starts with its priority, "<6>", and has no time of its own.
 *
 * Until log_start, its caller writes a line at once. After it a separate thread writes, so
 * that a blocked standard error (a full pipe, a slow journal) never stops a worker: lines wait
 * in a buffer of a megabyte, and what finds no room is counted and logged when there is room again.
 * Every function may be called by every thread.
 */
#ifndef GATEHOUSE_BASE_LOG_H
#define GATEHOUSE_BASE_LOG_H

#include "base/bytes.h"
#include "base/log_sink.h"

enum log_level { LOG_ERROR_LEVEL, LOG_WARNING_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };

/* Each level, its name in the configuration, in a line, and its priority of syslog(3). */
// clang-format off
#define LOG_LEVELS(LEVEL) \
	LEVEL(LOG_ERROR_LEVEL,   "error", "error",   '3') \
	LEVEL(LOG_WARNING_LEVEL, "warn",  "warning", '4') \
	LEVEL(LOG_INFO_LEVEL,    "info",  "info",    '6') \
	LEVEL(LOG_DEBUG_LEVEL,   "debug", "debug",   '7')
// clang-format on

/* `name` is one of the configuration's; false for any other. */
bool log_level_parse(const char *name, enum log_level *out);

struct log_line {
	size_t len;
	enum log_level level;
	bool json, cut,
		live; /* live: false when the level is not logged; then nothing is formatted */
	char text[LOG_LINE_MAX];
};

/* What is logged and how; may change while threads log. */
void log_configure(enum log_level level, bool json);
bool log_enabled(enum log_level level);

void log_begin(struct log_line *line, enum log_level level, const char *message);
void log_text(struct log_line *line, const char *key, const char *value); /* NULL: left out */
void log_span(struct log_line *line, const char *key, struct span value);
void log_format(struct log_line *line, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void log_number(struct log_line *line, const char *key, long long value);
void log_duration(
	struct log_line *line, const char *key, uint64_t us); /* in ms, 3 decimals: 1.250 */
void log_flag(struct log_line *line, const char *key, bool value);
void log_end(struct log_line *line);

/* A line with nothing but a message. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A thread that logs for many connections in a turn of its loop batches: after log_batch(true) its
 * lines wait (up to 64 KiB) until log_flush, which it calls before it sleeps. Errors go at once.
 */
void log_batch(bool on);
void log_flush(void);

/* The thread that writes. log_stop writes what waits, for at most two seconds. */
void log_start(void);
void log_stop(void);

/* Lines that found no room or could not be written, so far. */
unsigned long long log_lost(void);

#endif
