/* epoll_ctl(2) in place of the C library's: it fails to add descriptors, so many times, for want of memory. */
#ifndef GATEHOUSE_UNIT_FAILING_EPOLL_H
#define GATEHOUSE_UNIT_FAILING_EPOLL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int epoll_failures, epoll_failing = -1; /* of this descriptor alone; -1: of all */

static bool has_to_fail(int operation, int fd)
{
	int failing = atomic_load(&epoll_failing), left = atomic_load(&epoll_failures);
	return operation == EPOLL_CTL_ADD && (failing < 0 || fd == failing) && left > 0 &&
		atomic_compare_exchange_strong(&epoll_failures, &left, left - 1);
}

__attribute__((visibility("default"))) int epoll_ctl(
	int epoll, int operation, int fd, struct epoll_event *event)
{
	if (has_to_fail(operation, fd)) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

#endif
