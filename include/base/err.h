/*
 * A failure, in words for the person who can act on it. The function that fails says what it
 * expected and what it got; each level above prefixes its own part of the path:
 *
 *     config.json:14: hosts["app.test"].backend: expected "host:port", got "127.0.0.1"
 *
 * The caller owns the struct, usually on its stack. Over-long text is cut at the end.
 *
 * A failure passes if what caused it is a lack (of memory, descriptors, threads, space, of an address
 * that another socket has) or the moment (interrupted, an error of the device): the same may succeed
 * later, though nobody mends anything.
 */
#ifndef GATEHOUSE_BASE_ERR_H
#define GATEHOUSE_BASE_ERR_H

#include <stdbool.h>

struct err {
	char text[1024];
	bool is_passing;
};

/* err_set: a failure that lasts. err_prefix leaves what it is. */
void err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* After err_set: `error`, a value of errno, is what caused it. */
void err_set_cause(struct err *err, int error);

/* "WHAT: " and strerror(3); `what` may be NULL. err_no_memory: "out of memory". */
void err_set_errno(struct err *err, int error, const char *what);
void err_no_memory(struct err *err);

#endif
