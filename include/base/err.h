/*
 * A failure, in words for the person who can act on it. The function that fails says what it
 * expected and what it got; each level above prefixes its own part of the path:
 *
 *     config.json:14: hosts["app.test"].backend: expected "host:port", got "127.0.0.1"
 *
 * The caller owns the struct, usually on its stack. Over-long text is cut at the end.
 */
#ifndef GATEHOUSE_BASE_ERR_H
#define GATEHOUSE_BASE_ERR_H

struct err {
	char text[1024];
};

void err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
