#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log_sink.h"
#include "base/utf8.h"

/* Kept free at the end of a line for a closing quote, "cut" in its longer form, and the newline. */
#define TAIL_ROOM sizeof("\",\"cut\":true}\n")

#define BATCH_SIZE 65536

static const struct {
	const char *configured, *name;
	char priority; /* of syslog(3) */
} levels[] = {
#define LEVEL_ROW(level, configured, name, priority) [level] = {configured, name, priority},
	LOG_LEVELS(LEVEL_ROW)};

static _Atomic enum log_level max_level = LOG_INFO_LEVEL;
static atomic_bool json_wanted;

static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool is_journal;

/* The lines of a thread that batches; NULL in one that does not. */
static _Thread_local struct batch {
	size_t len;
	char text[BATCH_SIZE];
} * batch;

/* JOURNAL_STREAM holds "device:inode" of the stream that systemd gave us: sd-daemon(3). */
static void detect_journal(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat stream;

	is_journal = named && sscanf(named, "%llu:%llu", &device, &inode) == 2 &&
		fstat(STDERR_FILENO, &stream) == 0 && stream.st_dev == device &&
		stream.st_ino == inode;
}

void log_configure(enum log_level level, bool json)
{
	max_level = level;
	json_wanted = json;
}

bool log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strcmp(name, levels[i].configured) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

static bool line_append(struct log_line *line, const char *text, size_t len)
{
	if (line->len + len + TAIL_ROOM > LOG_LINE_MAX)
		return false;
	memcpy(line->text + line->len, text, len);
	line->len += len;
	return true;
}

static bool line_append_string(struct log_line *line, const char *text)
{
	return line_append(line, text, strlen(text));
}

/* Moves one character from `text` into `out`, in the form it has between quotes. */
static size_t escape_next_char(struct span *text, bool json, char *out)
{
	const uint8_t *at = text->data;
	uint32_t point;
	size_t len = utf8_decode(*text, &point);

	text->data += len ? len : 1;
	text->len -= len ? len : 1;
	if (len == 0)
		return (size_t)snprintf(out, JSON_ESCAPE_MAX, json ? "\\\\x%02x" : "\\x%02x", *at);
	size_t escaped = json_escape(point, out);
	if (escaped > 0)
		return escaped;
	memcpy(out, at, len);
	return len;
}

static bool is_bare_word(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		uint8_t byte = value.data[i];
		if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\')
			return false;
	}
	return value.len > 0;
}

/* False when only the beginning found room; the quotes are closed nevertheless. */
static bool line_append_value(struct log_line *line, struct span value)
{
	char escaped[JSON_ESCAPE_MAX];
	bool is_whole = true;

	if (!line->json && is_bare_word(value) &&
		line_append(line, (const char *)value.data, value.len))
		return true;
	if (!line_append(line, "\"", 1))
		return false;
	while (value.len > 0 && is_whole)
		is_whole =
			line_append(line, escaped, escape_next_char(&value, line->json, escaped));
	line->text[line->len++] = '"'; /* TAIL_ROOM has its place */
	return is_whole;
}

static bool line_append_key(struct log_line *line, const char *key)
{
	if (line->json)
		return line_append(line, ",\"", 2) && line_append_string(line, key) &&
			line_append(line, "\":", 2);
	return line_append(line, " ", 1) && line_append_string(line, key) &&
		line_append(line, "=", 1);
}

/* `is_string`: JSON quotes the value; false for numbers and truth values. */
static void line_add_pair(struct log_line *line, const char *key, struct span value, bool is_string)
{
	size_t before = line->len;

	if (!line->live || line->cut)
		return;
	if (line_append_key(line, key) &&
		(is_string ? line_append_value(line, value)
			   : line_append(line, (const char *)value.data, value.len)))
		return;
	line->len = before;
	line->cut = true;
}

void log_begin(struct log_line *line, enum log_level level, const char *message)
{
	char stamp[CLOCK_STAMP_SIZE];
	char prefix[] = {'<', levels[level].priority, '>', '\0'};

	line->level = level;
	line->live = log_enabled(level);
	if (!line->live)
		return;
	pthread_once(&journal_once, detect_journal);
	line->len = 0;
	line->cut = false;
	line->json = json_wanted;
	if (is_journal)
		line_append_string(line, prefix);
	line_append_string(line, line->json ? "{" : "");
	if (!is_journal) {
		clock_stamp(stamp);
		line_append_string(line, line->json ? "\"time\":\"" : "time=");
		line_append_string(line, stamp);
		line_append_string(line, line->json ? "\"," : " ");
	}
	line_append_string(line, line->json ? "\"level\":\"" : "level=");
	line_append_string(line, levels[level].name);
	line_append_string(line, line->json ? "\",\"msg\":" : " msg=");
	/* The beginning of a long message is worth more than none. */
	line->cut = !line_append_value(line, span_of_string(message));
}

void log_text(struct log_line *line, const char *key, const char *value)
{
	if (value)
		line_add_pair(line, key, span_of_string(value), true);
}

void log_span(struct log_line *line, const char *key, struct span value)
{
	line_add_pair(line, key, value, true);
}

void log_format(struct log_line *line, const char *key, const char *format, ...)
{
	char value[LOG_LINE_MAX];
	va_list args;

	if (!line->live)
		return;
	va_start(args, format);
	vsnprintf(value, sizeof value, format, args);
	va_end(args);
	log_text(line, key, value);
}

void log_number(struct log_line *line, const char *key, long long value)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%lld", value);

	line_add_pair(line, key, span_of(digits, (size_t)len), false);
}

void log_duration(struct log_line *line, const char *key, uint64_t us)
{
	char digits[32];
	int len = snprintf(digits, sizeof digits, "%llu.%03u", (unsigned long long)us / 1000,
		(unsigned)(us % 1000));

	line_add_pair(line, key, span_of(digits, (size_t)len), false);
}

void log_flag(struct log_line *line, const char *key, bool value)
{
	line_add_pair(line, key, span_of_string(value ? "true" : "false"), false);
}

static void line_close(struct log_line *line)
{
	const char *cut = line->json ? ",\"cut\":true" : " cut=true";
	const char *tail = line->json ? "}\n" : "\n";
	int len = snprintf(line->text + line->len, LOG_LINE_MAX - line->len, "%s%s",
		line->cut ? cut : "", tail);

	line->len += (size_t)len;
}

void log_end(struct log_line *line)
{
	if (!line->live)
		return;
	line_close(line);
	line->live = false;
	if (!batch) {
		log_sink_put(line->text, line->len);
		return;
	}
	if (line->len > BATCH_SIZE - batch->len)
		log_flush();
	memcpy(batch->text + batch->len, line->text, line->len);
	batch->len += line->len;
	if (line->level == LOG_ERROR_LEVEL)
		log_flush();
}

void log_flush(void)
{
	if (!batch || batch->len == 0)
		return;
	log_sink_put(batch->text, batch->len);
	batch->len = 0;
}

void log_batch(bool on)
{
	if (on && !batch) {
		batch = malloc(sizeof *batch); /* without it, lines simply do not wait */
		if (batch)
			batch->len = 0;
	} else if (!on) {
		log_flush();
		free(batch);
		batch = NULL;
	}
}

__attribute__((format(printf, 2, 0))) static void log_message(
	enum log_level level, const char *format, va_list args)
{
	char message[LOG_LINE_MAX];
	struct log_line line;

	if (!log_enabled(level))
		return;
	vsnprintf(message, sizeof message, format, args);
	log_begin(&line, level, message);
	log_end(&line);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_message(LOG_ERROR_LEVEL, format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_message(LOG_WARNING_LEVEL, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_message(LOG_INFO_LEVEL, format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_message(LOG_DEBUG_LEVEL, format, args);
	va_end(args);
}

/* The sink writes it by itself, past the buffer that was full. */
static size_t write_loss(unsigned long long lost, char out[LOG_LINE_MAX])
{
	struct log_line line;

	log_begin(&line, LOG_ERROR_LEVEL, "log lines lost");
	log_number(&line, "count", (long long)lost);
	line_close(&line);
	memcpy(out, line.text, line.len);
	return line.len;
}

void log_start(void)
{
	log_sink_start(write_loss);
}

void log_stop(void)
{
	log_flush();
	log_sink_stop();
}

unsigned long long log_lost(void)
{
	return log_sink_lost();
}
