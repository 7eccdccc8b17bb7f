/*
 * A seccomp filter: rules compiled to the kernel's program by libseccomp, which neither survives a lack of memory
 * nor reports it (2.5: it frees twice, follows a NULL, loops for ever). A child process compiles; what happens to it
 * is an error here, and loading the program needs no memory.
 */
#ifndef GATEHOUSE_SANDBOX_FILTER_H
#define GATEHOUSE_SANDBOX_FILTER_H

#include "base/err.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct filter {
	unsigned short len; /* instructions; 0: none */
	struct sock_filter program[BPF_MAXINSNS];
};

/* Adds the rules, in the child: 0, or -errno. `context` is libseccomp's. */
typedef int filter_rules_fn(void *context);

/* `otherwise`: SCMP_ACT_... for a call without a rule. While this process has one thread. */
bool filter_compile(
	struct filter *filter, filter_rules_fn *rules, uint32_t otherwise, struct err *err);

/* For the calling thread; the process has no new privileges, or is root. */
bool filter_load(const struct filter *filter, struct err *err);

#endif
