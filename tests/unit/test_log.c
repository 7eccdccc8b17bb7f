/* Each test lets a child log with its standard error in a pipe, and reads what came out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define CAPTURE_MAX (32 * 1024 * 1024)
#define STAMP       "20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-9:]{8}\\.[0-9]{3}Z"

struct captured {
	char *text;
	size_t len;
	int status;
};

static pid_t start_child(void (*body)(void), int err_fd)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0)
		return child;
	alarm(20);
	dup2(err_fd, STDERR_FILENO);
	body();
	_exit(0);
}

static void read_all(int fd, struct captured *out)
{
	ssize_t n;

	out->text = malloc(CAPTURE_MAX);
	out->len = 0;
	assert_non_null(out->text);
	while ((n = read(fd, out->text + out->len, CAPTURE_MAX - 1 - out->len)) > 0)
		out->len += (size_t)n;
	out->text[out->len] = '\0';
	close(fd);
}

static struct captured capture(void (*body)(void))
{
	struct captured out;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t child = start_child(body, ends[1]);
	close(ends[1]);
	read_all(ends[0], &out);
	waitpid(child, &out.status, 0);
	assert_int_equal(out.status, 0);
	return out;
}

static bool matches(const char *text, const char *pattern)
{
	regex_t compiled;

	assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
	bool found = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return found;
}

static void expect_match(void (*body)(void), const char *pattern)
{
	struct captured out = capture(body);

	if (!matches(out.text, pattern))
		fail_msg("%s\ndoes not match %s", out.text, pattern);
	free(out.text);
}

static void expect_text(void (*body)(void), const char *expected)
{
	struct captured out = capture(body);

	/* The time is different in every run. */
	const char *after = strstr(out.text, " level=");
	assert_non_null(after);
	assert_string_equal(after, expected);
	free(out.text);
}

static cJSON *capture_json(void (*body)(void))
{
	const char *end;
	struct captured out = capture(body);
	cJSON *line = cJSON_ParseWithOpts(out.text, &end, false);

	assert_non_null(line);
	assert_string_equal(end, "\n");
	free(out.text);
	return line;
}

static size_t count_lines(const char *text, const char *containing)
{
	size_t count = 0;

	for (const char *at = text; (at = strstr(at, containing)) != NULL; at += strlen(containing))
		count++;
	return count;
}

static void log_pairs(void)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING_LEVEL, "all kinds");
	log_text(&line, "text", "bare");
	log_text(&line, "none", NULL);
	log_span(&line, "span", span_of("a\0b", 3));
	log_format(&line, "format", "%d-%s", 7, "x");
	log_number(&line, "number", -12345678901234);
	log_duration(&line, "short", 1250);
	log_duration(&line, "zero", 0);
	log_flag(&line, "flag", true);
	log_flag(&line, "other", false);
	log_end(&line);
}

static void log_pairs_json(void)
{
	log_configure(LOG_INFO_LEVEL, true);
	log_pairs();
}

static void a_text_line_holds_its_pairs(void **state)
{
	(void)state;
	expect_text(log_pairs,
		" level=warning msg=\"all kinds\" text=bare span=\"a\\u0000b\""
		" format=7-x number=-12345678901234 short=1.250 zero=0.000"
		" flag=true other=false\n");
	expect_match(log_pairs, "^time=" STAMP " level=warning ");
}

static void a_json_line_holds_its_pairs(void **state)
{
	(void)state;
	expect_match(log_pairs_json,
		"^\\{\"time\":\"" STAMP "\",\"level\":\"warning\",\"msg\":\"all kinds\","
		"\"text\":\"bare\",\"span\":\"a\\\\u0000b\",\"format\":\"7-x\","
		"\"number\":-12345678901234,\"short\":1\\.250,\"zero\":0\\.000,"
		"\"flag\":true,\"other\":false\\}\n$");
}

static void log_values_to_quote(void)
{
	static const char *const values[] = {"", "plain/+:,[]", "a b", "a=b", "say \"x\"",
		"back\\s", "\r\n\t", "\x1b[31m", "\x7f", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac",
		"\xf0\x9f\x9a\xaa",
		/* not sound UTF-8: alone, overlong, surrogate, beyond the last, cut short */
		"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
		/* sound, but a terminal would obey: CSI, line separator, right-to-left override */
		"\xc2\x9b", "\xe2\x80\xa8", "\xe2\x80\xae"};
	struct log_line line;

	log_begin(&line, LOG_INFO_LEVEL, "values");
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		log_text(&line, "v", values[i]);
	log_end(&line);
}

static void log_values_to_quote_json(void)
{
	log_configure(LOG_INFO_LEVEL, true);
	log_values_to_quote();
}

static void text_values_are_quoted_where_needed(void **state)
{
	(void)state;
	expect_text(log_values_to_quote,
		" level=info msg=values v=\"\" v=plain/+:,[] v=\"a b\" v=\"a=b\""
		" v=\"say \\\"x\\\"\" v=\"back\\\\s\" v=\"\\r\\n\\t\" v=\"\\u001b[31m\""
		" v=\"\\u007f\" v=\"gr\xc3\xbc\xc3\x9f\" v=\"\xe2\x82\xac\""
		" v=\"\xf0\x9f\x9a\xaa\" v=\"\\xff\" v=\"\\xc0\\x80\" v=\"\\xe0\\x80\\x80\" v=\"\\xed\\xa0\\x80\""
		" v=\"\\xf4\\x90\\x80\\x80\" v=\"\\xe2\\x82\" v=\"\\u009b\" v=\"\\u2028\""
		" v=\"\\u202e\"\n");
}

static void json_values_read_back(void **state)
{
	static const char *const expected[] = {"values", "", "plain/+:,[]", "a b", "a=b",
		"say \"x\"", "back\\s", "\r\n\t", "\x1b[31m", "\x7f", "gr\xc3\xbc\xc3\x9f",
		"\xe2\x82\xac", "\xf0\x9f\x9a\xaa", "\\xff", "\\xc0\\x80", "\\xe0\\x80\\x80",
		"\\xed\\xa0\\x80", "\\xf4\\x90\\x80\\x80", "\\xe2\\x82", "\xc2\x9b", "\xe2\x80\xa8",
		"\xe2\x80\xae"};
	cJSON *line = capture_json(log_values_to_quote_json);

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		cJSON *value = cJSON_GetArrayItem(line, (int)i + 2);
		assert_string_equal(cJSON_GetStringValue(value), expected[i]);
	}
	cJSON_Delete(line);
}

static void levels_have_the_names_of_the_configuration(void **state)
{
	enum log_level level;

	(void)state;
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_ERROR_LEVEL);
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_WARNING_LEVEL);
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG_LEVEL);
	assert_false(log_level_parse("warning", &level));
	assert_false(log_level_parse("", &level));
}

static void log_at_all_levels(void)
{
	log_error("error %d", 1);
	log_warning("warning %d", 2);
	log_info("info %d", 3);
	log_debug("debug %d", 4);
}

static void log_quietly(void)
{
	log_configure(LOG_ERROR_LEVEL, false);
	assert_false(log_enabled(LOG_WARNING_LEVEL));
	log_at_all_levels();
}

static void log_loudly(void)
{
	log_configure(LOG_DEBUG_LEVEL, false);
	assert_true(log_enabled(LOG_DEBUG_LEVEL));
	log_at_all_levels();
}

static void only_what_the_level_admits_is_written(void **state)
{
	(void)state;
	expect_match(log_quietly, "^[^\n]* level=error msg=\"error 1\"\n$");
	expect_match(log_at_all_levels, "msg=\"error 1\"\n.*\"warning 2\"\n.*msg=\"info 3\"\n$");
	expect_match(log_loudly, "level=info msg=\"info 3\"\n.* level=debug msg=\"debug 4\"\n$");
}

static void log_one_pair_too_many(void)
{
	char big[LOG_LINE_MAX];
	struct log_line line;

	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\0';
	log_begin(&line, LOG_INFO_LEVEL, "begins");
	log_text(&line, "kept", "yes");
	log_text(&line, "big", big);
	log_text(&line, "later", "no");
	log_end(&line);
}

static void log_one_pair_too_many_json(void)
{
	log_configure(LOG_INFO_LEVEL, true);
	log_one_pair_too_many();
}

static void a_long_line_is_cut_at_a_pair(void **state)
{
	(void)state;
	expect_text(log_one_pair_too_many, " level=info msg=begins kept=yes cut=true\n");
	expect_match(log_one_pair_too_many_json, "\"kept\":\"yes\",\"cut\":true\\}\n$");
}

/* Plain, escaped and two-byte characters against the limit, one length after the other. */
static void log_long_messages(void)
{
	static const char *const bits[] = {"x", "\n", "\x01", "\xff", "\xc3\xbc"};
	char message[LOG_LINE_MAX] = "";

	for (size_t len = 640; len < LOG_LINE_MAX - 8; len++) {
		const char *bit = bits[len % (sizeof bits / sizeof *bits)];
		size_t used = 0;
		for (; used + strlen(bit) < len; used += strlen(bit))
			memcpy(message + used, bit, strlen(bit));
		message[used] = '\0';
		log_configure(LOG_INFO_LEVEL, len / 5 % 2);
		log_info("%s", message);
	}
}

static void check_line(const char *line, size_t len)
{
	char copy[LOG_LINE_MAX + 1];

	assert_true(len <= LOG_LINE_MAX);
	memcpy(copy, line, len);
	copy[len] = '\0';
	if (*copy == '{') {
		cJSON *parsed = cJSON_Parse(copy);
		assert_non_null(parsed);
		assert_true(strlen(cJSON_GetStringValue(cJSON_GetObjectItem(parsed, "msg"))) > 500);
		cJSON_Delete(parsed);
	} else {
		assert_true(matches(copy, "[\"x](| cut=true)\n$"));
	}
}

static void a_long_message_is_cut_in_good_order(void **state)
{
	struct captured out = capture(log_long_messages);
	size_t lines = 0;

	(void)state;
	for (char *line = out.text, *end; (end = strchr(line, '\n')); line = end + 1, lines++)
		check_line(line, (size_t)(end - line) + 1);
	assert_int_equal(lines, LOG_LINE_MAX - 8 - 640);
	assert_true(count_lines(out.text, "cut=true\n") > 100);
	assert_true(count_lines(out.text, "\"cut\":true}\n") > 100);
	free(out.text);
}

static void name_journal(unsigned long long inode_offset)
{
	struct stat stream;
	char name[64];

	fstat(STDERR_FILENO, &stream);
	snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)stream.st_dev,
		(unsigned long long)stream.st_ino + inode_offset);
	setenv("JOURNAL_STREAM", name, 1);
}

static void log_to_journal(void)
{
	name_journal(0);
	log_configure(LOG_DEBUG_LEVEL, false);
	log_at_all_levels();
}

static void log_to_journal_json(void)
{
	name_journal(0);
	log_configure(LOG_INFO_LEVEL, true);
	log_info("hello");
}

static void log_beside_journal(void)
{
	name_journal(1);
	log_info("hello");
}

static void the_journal_gets_priorities_and_no_time(void **state)
{
	(void)state;
	expect_match(log_to_journal,
		"^<3>level=error msg=\"error 1\"\n<4>level=warning msg=\"warning 2\"\n"
		"<6>level=info msg=\"info 3\"\n<7>level=debug msg=\"debug 4\"\n$");
	expect_match(log_to_journal_json, "^<6>\\{\"level\":\"info\",\"msg\":\"hello\"\\}\n$");
	expect_match(log_beside_journal, "^time=" STAMP " level=info msg=hello\n$");
}

static void mark(const char *text)
{
	assert_int_equal(write(STDERR_FILENO, text, strlen(text)), strlen(text));
}

static void log_in_batches(void)
{
	log_batch(true);
	log_info("one");
	mark("A\n");
	log_flush();
	mark("B\n");
	log_info("two");
	log_error("three");
	mark("C\n");
	log_info("four");
	log_batch(false);
	mark("D\n");
	log_info("five");
	mark("E\n");
}

static void a_batch_waits_for_its_flush(void **state)
{
	(void)state;
	expect_match(log_in_batches,
		"^A\n[^\n]*msg=one\nB\n[^\n]*msg=two\n[^\n]*msg=three\nC\n"
		"[^\n]*msg=four\nD\n[^\n]*msg=five\nE\n$");
}

static void log_a_full_batch(void)
{
	log_batch(true);
	for (int i = 0; i < 3000; i++)
		log_info("line %d of many", i);
	mark("mark\n");
	log_batch(false);
}

static void a_full_batch_flushes_itself(void **state)
{
	struct captured out = capture(log_a_full_batch);

	(void)state;
	assert_int_equal(count_lines(out.text, " of many\"\n"), 3000);
	size_t before = (size_t)(strstr(out.text, "mark\n") - out.text);
	assert_true(before > 65536 && out.len - before < 65536);
	free(out.text);
}

static void *log_from_thread(void *number)
{
	struct log_line line;

	log_batch(*(int *)number % 2);
	for (int i = 0; i < 1000; i++) {
		log_begin(&line, LOG_INFO_LEVEL, "from a thread");
		log_number(&line, "thread", *(int *)number);
		log_number(&line, "turn", i);
		log_end(&line);
		log_configure(LOG_INFO_LEVEL, false);
	}
	log_batch(false);
	return NULL;
}

static void log_from_threads(void)
{
	pthread_t threads[4];
	int numbers[] = {0, 1, 2, 3};

	log_start();
	log_start(); /* a second one changes nothing */
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, log_from_thread, &numbers[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_stop();
	log_info("last");
	log_stop();
}

static void lines_of_many_threads_arrive_whole(void **state)
{
	struct captured out = capture(log_from_threads);
	int expected[4] = {0}, thread, turn;

	(void)state;
	for (char *line = out.text, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *pairs = strstr(line, " thread=");
		if (!pairs || pairs > end)
			continue;
		assert_int_equal(sscanf(pairs, " thread=%d turn=%d\n", &thread, &turn), 2);
		assert_int_equal(turn, expected[thread]++);
	}
	for (thread = 0; thread < 4; thread++)
		assert_int_equal(expected[thread], 1000);
	assert_true(matches(out.text, " level=info msg=last\n$"));
	free(out.text);
}

#define FLOOD 30000

static int told[2]; /* the child says here that it has come to the end of its flood */

static void flood(void)
{
	log_start();
	for (int i = 0; i < FLOOD; i++)
		log_info("one more line of the flood, and it is not a short one");
	assert_int_equal(write(told[1], "x", 1), 1);
	log_stop();
}

/* Nobody reads until the child has logged three times what the buffer holds. */
static void a_stuck_reader_blocks_nobody(void **state)
{
	struct captured out;
	int ends[2], lost = 0;
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pipe(told), 0);
	pid_t child = start_child(flood, ends[1]);
	close(ends[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	read_all(ends[0], &out);
	waitpid(child, &out.status, 0);
	assert_int_equal(out.status, 0);

	for (const char *at = out.text; (at = strstr(at, "msg=\"log lines lost\" count=")); at++)
		lost += atoi(strchr(strstr(at, "count="), '=') + 1);
	assert_true(lost > 0);
	assert_int_equal(count_lines(out.text, "not a short one\"\n") + (size_t)lost, FLOOD);
	free(out.text);
	close(told[0]);
	close(told[1]);
}

static void stop_while_stuck(void)
{
	char full[4096] = "";

	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
	while (write(STDERR_FILENO, full, sizeof full) > 0)
		continue;
	fcntl(STDERR_FILENO, F_SETFL, 0);
	log_start();
	log_info("never read");
	uint64_t before = clock_now_us();
	log_stop();
	uint64_t took = clock_now_us() - before;
	if (took < 1900 * 1000 || took > 10 * 1000 * 1000)
		_exit(1);
}

static void stopping_does_not_wait_for_ever(void **state)
{
	int ends[2], status;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t child = start_child(stop_while_stuck, ends[1]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(ends[0]);
	close(ends[1]);
}

static void log_to_nobody(void)
{
	log_start();
	for (int i = 0; i < 1000; i++)
		log_info("nobody listens");
	log_stop();
}

static void a_closed_reader_kills_nobody(void **state)
{
	int ends[2], status;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	pid_t child = start_child(log_to_nobody, ends[1]);
	close(ends[1]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
}

static void log_nonblocking(void)
{
	fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
	fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
	log_start();
	for (int i = 0; i < 3000; i++)
		log_info("through a narrow pipe");
	log_stop();
}

static void a_nonblocking_stream_gets_every_line(void **state)
{
	struct captured out = capture(log_nonblocking);

	(void)state;
	assert_int_equal(
		count_lines(out.text, " level=info msg=\"through a narrow pipe\"\n"), 3000);
	free(out.text);
}

static void log_over_a_full_disk(void)
{
	int good = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	dup2(full, STDERR_FILENO);
	log_start();
	log_info("lost");
	log_info("lost too");
	log_stop();
	dup2(good, STDERR_FILENO);
	log_start();
	log_info("kept");
	log_stop();
}

static void what_was_lost_is_told(void **state)
{
	(void)state;
	expect_match(log_over_a_full_disk,
		"^time=[^\n]* msg=kept\n[^\n]* level=error msg=\"log lines lost\" count=2\n$");
}

static void log_to_a_limited_file(void)
{
	struct captured told_back;
	int good = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	dup2(fileno(file), STDERR_FILENO);
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("whole");
	log_info("this one does not go into the file as a whole");
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	log_info("after");
	lseek(STDERR_FILENO, 0, SEEK_SET);
	read_all(STDERR_FILENO, &told_back);
	dup2(good, STDERR_FILENO);
	mark(told_back.text);
}

static void a_torn_line_spoils_only_itself(void **state)
{
	(void)state;
	expect_match(
		log_to_a_limited_file, "^time=[^\n]* msg=whole\n[^\n]*\ntime=[^\n]* msg=after\n$");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_line_holds_its_pairs),
		cmocka_unit_test(a_json_line_holds_its_pairs),
		cmocka_unit_test(text_values_are_quoted_where_needed),
		cmocka_unit_test(json_values_read_back),
		cmocka_unit_test(levels_have_the_names_of_the_configuration),
		cmocka_unit_test(only_what_the_level_admits_is_written),
		cmocka_unit_test(a_long_line_is_cut_at_a_pair),
		cmocka_unit_test(a_long_message_is_cut_in_good_order),
		cmocka_unit_test(the_journal_gets_priorities_and_no_time),
		cmocka_unit_test(a_batch_waits_for_its_flush),
		cmocka_unit_test(a_full_batch_flushes_itself),
		cmocka_unit_test(lines_of_many_threads_arrive_whole),
		cmocka_unit_test(a_stuck_reader_blocks_nobody),
		cmocka_unit_test(stopping_does_not_wait_for_ever),
		cmocka_unit_test(a_closed_reader_kills_nobody),
		cmocka_unit_test(a_nonblocking_stream_gets_every_line),
		cmocka_unit_test(what_was_lost_is_told),
		cmocka_unit_test(a_torn_line_spoils_only_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
