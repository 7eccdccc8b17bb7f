/*
 * What a gatehouse gives up before it takes the first connection, for itself and all its threads,
 * and cannot get back (an upgrade or a restart makes a new process):
 *
 * - new privileges, by any program: PR_SET_NO_NEW_PRIVS.
 * - core dumps, which would have keys in them, and the view of its memory to others of its user.
 * - system calls that it does not need: seccomp. Another one fails with EPERM, and the kernel's log
 *   tells of it. It does not end the process: a new version of a library that tries a new call and
 *   does well without must not take down what everything behind the gate depends on.
 * - of these calls, in the threads that speak with clients: those that open listeners, remove files, start threads.
 * - capabilities, but for binding low ports.
 * - files that it does not need: Landlock. It reads /etc and what lies beside the files that it was
 *   started with, so that these can be exchanged; writes none; makes sockets where it had one.
 *
 * One line in the log lists what is on; what the kernel lacks is a warning.
 */
#ifndef GATEHOUSE_SANDBOX_SANDBOX_H
#define GATEHOUSE_SANDBOX_SANDBOX_H

#include "base/err.h"
#include "base/path_set.h"
#include "config/config.h"

/* While there is one thread. `paths`: all that the configuration's load looked at. True: calls are filtered. */
bool sandbox_enter(const struct config *config, const struct path_set *paths);

/* In a worker's thread, after its start, where sandbox_enter has said true. */
void sandbox_enter_worker(void);

/* Is a file, or the directory of a pattern, there and readable but for the sandbox? */
bool sandbox_hides(const char *path);

/* sandbox_calls.c: the name of a call that is let through; NULL behind the last. */
const char *sandbox_call(size_t index);
bool sandbox_limit_calls(struct err *err);
bool sandbox_limit_worker_calls(struct err *err); /* behind the other */

/*
 * For a process that starts programs: other processes, the kernel's modules, mounts, namespaces and the like,
 * which no gatehouse needs at any time. False for a user with capabilities of the program's file, which the new one
 * is to have too: the kernel permits a filter only without them.
 */
bool sandbox_limit_launcher_calls(struct err *err);

/* sandbox_files.c: the version of Landlock in use; 0, and why, when there is none. */
/* The files that resolving a name reads; NULL behind the last. */
const char *sandbox_name_file(size_t index);
int sandbox_limit_files(const struct config *config, const struct path_set *paths, struct err *err);

#endif
