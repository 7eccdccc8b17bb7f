#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPILE_MS 10000 /* it takes some milliseconds */

/* The child. Its exit status is 0 or an errno; older libraries search linearly. */
static int compile(filter_rules_fn *rules, uint32_t otherwise, int to)
{
	scmp_filter_ctx context = seccomp_init(otherwise);
	int error = context ? rules(context) : -ENOMEM;
	if (error == 0)
		seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	error = error ? error : seccomp_export_bpf(context, to);
	return -error;
}

/* Until the end of the file; false: it does not come in time, or there is too much. */
static bool read_program(struct filter *filter, int from)
{
	size_t len = 0;
	struct pollfd ready = {.fd = from, .events = POLLIN};
	while (len < sizeof filter->program && poll(&ready, 1, COMPILE_MS) > 0) {
		ssize_t n = read(from, (char *)filter->program + len, sizeof filter->program - len);
		if (n < 0 && errno != EINTR)
			return false;
		if (n == 0) {
			filter->len = (unsigned short)(len / sizeof *filter->program);
			return len % sizeof *filter->program == 0;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	return false;
}

static bool await_child(pid_t child, struct err *err)
{
	int status = -1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status))
		err_set(err, "cannot compile the filter: %s", strerror(WEXITSTATUS(status)));
	else
		err_set(err, "cannot compile the filter: ended by a signal");
	return false;
}

bool filter_compile(
	struct filter *filter, filter_rules_fn *rules, uint32_t otherwise, struct err *err)
{
	int ends[2];
	filter->len = 0;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		err_set(err, "cannot compile the filter: %s", strerror(errno));
		return false;
	}
	pid_t child = fork();
	if (child == 0)
		_exit(compile(rules, otherwise, ends[1]));
	int error = errno;
	close(ends[1]);
	bool is_read = child > 0 && read_program(filter, ends[0]);
	close(ends[0]);
	if (child < 0) {
		err_set(err, "cannot compile the filter: %s", strerror(error));
		return false;
	}
	if (!is_read)
		kill(child, SIGKILL);
	if (await_child(child, err) && is_read && filter->len > 0)
		return true;
	filter->len = 0;
	return false;
}

/* Older kernels cannot log refusals. */
bool filter_load(const struct filter *filter, struct err *err)
{
	struct sock_fprog program = {filter->len, (struct sock_filter *)filter->program};
	if (filter->len == 0) {
		err_set(err, "there is no filter");
		return false;
	}
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) == 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return true;
	if (errno == EINVAL || errno == ENOSYS)
		err_set(err, "the kernel has no seccomp filters");
	else
		err_set(err, "%s", strerror(errno));
	return false;
}
