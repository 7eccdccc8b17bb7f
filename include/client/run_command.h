/*
 * The command of `run`: a child in our process group, with our terminal and our descriptors.
 * Signals that another process sends us are forwarded to it; the terminal sends its signals to both.
 */
#ifndef GATEHOUSE_CLIENT_RUN_COMMAND_H
#define GATEHOUSE_CLIENT_RUN_COMMAND_H

#include "base/err.h"
#include "net/steady_io.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct run_command {
	struct ev_loop *loop;
	sigset_t mask_before;
	struct steady_io signals; /* of a signalfd */
	pid_t pid;
	int status; /* exit status: its own; 128 + the number of a signal; 126 or 127: not started */
};

/* A loop that reaps no children. False with `err`. From here on signals wait for the loop. */
bool run_command_prepare(struct run_command *command, struct ev_loop *loop, struct err *err);

/* False with `err` and the status, 126 or 127, when it cannot be run. The loop is broken off when
 * it has ended. */
bool run_command_start(
	struct run_command *command, char **argv, char **environment, struct err *err);

void run_command_finish(struct run_command *command);

#endif
