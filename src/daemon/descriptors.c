#include "daemon/descriptors.h"

#include <dirent.h>
#include <sys/resource.h>

#define KEPT_MAX        128 /* for files that a reload reads, name servers, health checks */
#define OF_EACH_WORKER  4   /* its loop's, its resolver's */
#define PIPES_PART      32  /* one pipe, which is two descriptors, for so many */
#define DIALING_PART    64  /* one further attempt of a dial for so many */
#define ASSUMED_OPEN    64  /* where /proc is not to be seen */
#define LIMIT_UNBOUNDED 0x40000000

void descriptors_raise_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	if (!dir)
		return ASSUMED_OPEN;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", "..", and the directory's own */
}

static unsigned limit_now(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > LIMIT_UNBOUNDED)
		return LIMIT_UNBOUNDED;
	return (unsigned)limit.rlim_cur;
}

void descriptors_share(struct limits *limits, unsigned workers)
{
	unsigned limit = limit_now();
	unsigned kept = limit / 8 < KEPT_MAX ? limit / 8 : KEPT_MAX;
	unsigned pipes = limit / PIPES_PART;
	unsigned dialing = limit / DIALING_PART;
	unsigned used = count_open() + OF_EACH_WORKER * workers + kept + 2 * pipes + dialing;
	limits->connections_max = used + 2 <= limit ? (limit - used) / 2 : 1;
	limits->workers = workers;
	limits->pipes_max = pipes / workers > 0 ? pipes / workers : 1;
	limits->dialing_max = dialing / workers;
}
