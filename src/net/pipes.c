#include "net/pipes.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define PIPE_WORTH  (64 * 1024)   /* a smaller pipe costs more calls than copying */
#define PIPE_LARGE  (1024 * 1024) /* pipe-max-size, what an ordinary user may ask for */
#define POOLED_MAX  128
#define RETRY_AFTER 64 /* takes that are answered NULL before the kernel is asked again */

struct pipes {
	struct pipe *idle;
	unsigned idle_count, taken, most;
	unsigned refusals; /* how many more takes go unasked */
	bool grow_refused, is_stopped;
};

struct pipes *pipes_create(void)
{
	struct pipes *pipes = calloc(1, sizeof *pipes);
	if (pipes)
		pipes->most = UINT_MAX;
	return pipes;
}

void pipes_limit(struct pipes *pipes, unsigned most)
{
	pipes->most = most;
}

static void pipe_close(struct pipe *pipe)
{
	close(pipe->read_fd);
	close(pipe->write_fd);
	free(pipe);
}

static struct pipe *pipe_open(void)
{
	int fds[2];
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return NULL;
	struct pipe *pipe = calloc(1, sizeof *pipe);
	int capacity = fcntl(fds[1], F_GETPIPE_SZ);
	if (!pipe || capacity < PIPE_WORTH) {
		free(pipe);
		close(fds[0]);
		close(fds[1]);
		return NULL;
	}
	*pipe = (struct pipe){.read_fd = fds[0], .write_fd = fds[1], .capacity = (size_t)capacity};
	return pipe;
}

void pipes_destroy(struct pipes *pipes)
{
	if (!pipes)
		return;
	pipes_trim(pipes);
	free(pipes);
}

struct pipe *pipes_take(struct pipes *pipes)
{
	struct pipe *pipe = pipes->idle;
	if (pipe) {
		pipes->idle = pipe->next;
		pipes->idle_count--;
	} else if (pipes->is_stopped || pipes->taken >= pipes->most) {
		return NULL;
	} else if (pipes->refusals > 0) {
		pipes->refusals--;
		return NULL;
	} else if (!(pipe = pipe_open())) {
		pipes->refusals = RETRY_AFTER;
		return NULL;
	}
	pipes->taken++;
	return pipe;
}

void pipes_give(struct pipes *pipes, struct pipe *pipe)
{
	pipes->taken--;
	if (pipe->used > 0 || pipes->is_stopped || pipes->idle_count >= POOLED_MAX) {
		pipe_close(pipe);
		return;
	}
	pipe->next = pipes->idle;
	pipes->idle = pipe;
	pipes->idle_count++;
}

/* Over its soft limit an ordinary user is refused again and again: asked once, then left alone. */
void pipes_grow(struct pipes *pipes, struct pipe *pipe)
{
	if (pipe->capacity >= PIPE_LARGE || pipes->grow_refused)
		return;
	int capacity = fcntl(pipe->write_fd, F_SETPIPE_SZ, PIPE_LARGE);
	if (capacity > 0)
		pipe->capacity = (size_t)capacity;
	else
		pipes->grow_refused = true;
}

unsigned pipes_trim(struct pipes *pipes)
{
	unsigned closed = pipes->idle_count;
	while (pipes->idle) {
		struct pipe *pipe = pipes->idle;
		pipes->idle = pipe->next;
		pipe_close(pipe);
	}
	pipes->idle_count = 0;
	pipes->grow_refused = false;
	return closed;
}

void pipes_stop_splicing(struct pipes *pipes)
{
	pipes->is_stopped = true;
	pipes_trim(pipes);
}

unsigned pipes_in_use(const struct pipes *pipes)
{
	return pipes->taken;
}
