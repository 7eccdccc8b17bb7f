/*
 * Starts the new program in an upgrade: a small process that is forked before anything is
 * loaded. A sandboxed process cannot do it: what it forbids itself its children inherit, and
 * running programs is the first thing to forbid. The launcher holds no key and no socket, takes
 * orders from the process that forked it alone, and runs one program: the one on that process's
 * command line, in its environment and directory. It becomes the same user, so that no part of the
 * daemon stays root. It ignores signals meant for the process group and ends with the daemon.
 */
#ifndef GATEHOUSE_UPGRADE_LAUNCHER_H
#define GATEHOUSE_UPGRADE_LAUNCHER_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct launcher {
	int fd;        /* where it answers, one `launcher_answer` at a time; -1: there is none */
	char why[128]; /* then why not */
};

enum launcher_outcome { LAUNCHER_STARTED, LAUNCHER_FAILED, LAUNCHER_ENDED };
struct launcher_answer {
	enum launcher_outcome outcome;
	pid_t pid;
	int status; /* ENDED: as of waitpid; FAILED: an errno */
};

/* Forks it; while there is one thread. */
void launcher_fork(struct launcher *launcher);

/* It becomes that user, as user_become does; waits for it. */
bool launcher_become(struct launcher *launcher, const char *user, struct err *err);

/*
 * It gives up what no program that it starts needs (sandbox_limit_launcher_calls): the new one inherits that,
 * and adds its own sandbox.
 */
void launcher_restrict(struct launcher *launcher);

/* Sockets for the next launch, `count` of up to LAUNCHER_FDS_MAX, and the name of each. */
#define LAUNCHER_FDS_MAX 64
bool launcher_pass(
	struct launcher *launcher, const int *fds, const char *const *names, unsigned count);

/* Starts the program with what was passed, and `channel` besides; it answers STARTED or FAILED, and
 * ENDED at its end. */
bool launcher_launch(struct launcher *launcher, int channel);
bool launcher_kill(struct launcher *launcher); /* what it started last */

/* The next answer, if there is one; false with `gone` when there is no launcher any more. */
bool launcher_receive(struct launcher *launcher, struct launcher_answer *answer, bool *gone);

void launcher_finish(struct launcher *launcher);

#endif
