/*
 * What may come before the ClientHello on a connection. Each kind is an entry: `probe` judges the
 * bytes peeked so far, `run` takes exactly its own bytes off the connection and does what they ask.
 * Adding one changes nothing in the core: a listener's list of steps begins with it.
 */
#ifndef GATEHOUSE_SESSION_STEPS_PREFACE_H
#define GATEHOUSE_SESSION_STEPS_PREFACE_H

#include "session/session.h"

enum probe {
	PROBE_NO,   /* not this preface: `why` is set when that is a reason to close */
	PROBE_MORE, /* `want` bytes in all */
	PROBE_YES,
};

struct preface {
	const char *name; /* in the log: "PROXY header" */
	size_t most;      /* bytes to look at */
	enum probe (*probe)(struct span peeked, size_t *want, const char **why);
	enum step_result (*run)(struct session *session, struct span peeked);
};

/* A PROXY header, version 1 or 2, which must be there (proxy_preface.c). */
extern const struct preface proxy_preface;

/* The step that such an entry makes. */
enum step_result preface_step(struct session *session, const struct preface *preface);

#endif
