/* Steps the wall clock of a program under test. The source is built twice: as a shared object for
 * LD_PRELOAD, which shifts what the program reads by the offset in a file, and as the program that
 * writes the offset. CLOCK_MONOTONIC stays as it is. A timerfd on CLOCK_REALTIME becomes readable when
 * the offset changes, as TFD_TIMER_CANCEL_ON_SET promises; it never expires otherwise. */
#undef _FORTIFY_SOURCE /* its read() is an inline function, which would be in the way of ours */
#include "tool.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static const char help[] =
	"usage: clockstep FILE SECONDS\n"
	"Programs under LD_PRELOAD=clockstep.so CLOCKSTEP=FILE see the wall clock SECONDS later. FILE must\n"
	"be there when they start; \"clockstep FILE 0\" makes it.\n";

#define EXPORT __attribute__((visibility("default")))

/* Descriptors of inotify that pass for a timerfd. They are opened at the start, since a program may
 * give up the system calls for it, and where they are in nobody's way. */
enum { TIMERS = 8, FIRST_FD = 100 };
static struct timer {
	int fd;
	bool is_given;
} timers[TIMERS];

static const volatile int64_t *offset; /* seconds, mapped from the file */

/* The function of that name that this one hides. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int watch_offset(const char *path)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (moved < 0 || inotify_add_watch(moved, path, IN_MODIFY) < 0)
		die("clockstep: cannot watch %s: %s", path, strerror(errno));
	REAL(close)(fd);
	return moved;
}

__attribute__((constructor)) static void map_offset(void)
{
	const char *path = getenv("CLOCKSTEP");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *mapped = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
	REAL(close)(fd);
	if (mapped == MAP_FAILED)
		die("clockstep: %s: %s", path, strerror(errno));
	offset = mapped;
	for (size_t i = 0; i < TIMERS; i++)
		timers[i].fd = watch_offset(path);
}

EXPORT int clock_gettime(clockid_t id, struct timespec *now)
{
	static __typeof__(&clock_gettime) real;
	if (!real)
		real = REAL(clock_gettime);
	int result = real(id, now);
	if (result == 0 && offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		now->tv_sec += *offset;
	return result;
}

EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	(void)zone;
	struct timespec exact;
	if (clock_gettime(CLOCK_REALTIME, &exact) < 0)
		return -1;
	*now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
	return 0;
}

EXPORT time_t time(time_t *out)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

static struct timer *find_timer(int fd)
{
	for (size_t i = 0; i < TIMERS; i++)
		if (timers[i].is_given && timers[i].fd == fd)
			return &timers[i];
	return NULL;
}

static ssize_t drain_timer(int fd)
{
	char events[4096];
	return REAL(read)(fd, events, sizeof events);
}

EXPORT int timerfd_create(clockid_t id, int flags)
{
	if (!offset || id != CLOCK_REALTIME)
		return REAL(timerfd_create)(id, flags);
	for (size_t i = 0; i < TIMERS; i++) {
		if (timers[i].is_given)
			continue;
		timers[i].is_given = true;
		if (!(flags & TFD_NONBLOCK))
			fcntl(timers[i].fd, F_SETFL, 0);
		return timers[i].fd;
	}
	errno = EMFILE;
	return -1;
}

EXPORT int timerfd_settime(
	int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	if (!find_timer(fd))
		return REAL(timerfd_settime)(fd, flags, value, old);
	struct pollfd pending = {.fd = fd, .events = POLLIN};
	if (poll(&pending, 1, 0) > 0)
		drain_timer(fd);
	return 0;
}

EXPORT ssize_t read(int fd, void *data, size_t size)
{
	static __typeof__(&read) real;
	if (!real)
		real = REAL(read);
	if (!find_timer(fd))
		return real(fd, data, size);
	if (drain_timer(fd) > 0)
		errno = ECANCELED;
	return -1;
}

EXPORT int close(int fd)
{
	struct timer *timer = find_timer(fd);
	if (timer)
		*timer = (struct timer){.fd = -1, .is_given = true}; /* there is no second use */
	return REAL(close)(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		show_help(help, '?');
	int64_t seconds = number(argv[2], -1000000000, 1000000000);
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || pwrite(fd, &seconds, sizeof seconds, 0) != sizeof seconds)
		die("%s: %s", argv[1], strerror(errno));
	return 0;
}
