#include "daemon/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static unsigned by_affinity(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* "max 100000" or "150000 100000": microseconds of time in each period; part of one counts as one. */
static unsigned quota_in(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long quota, period;
	unsigned cpus = UINT_MAX;
	if (!file)
		return cpus;
	if (fscanf(file, "%lu %lu", &quota, &period) == 2 && period > 0)
		cpus = (unsigned)((quota + period - 1) / period);
	fclose(file);
	return cpus;
}

/* The tightest quota from our control group up to the root (cgroup v2). */
static unsigned by_quota(void)
{
	char line[PATH_MAX], path[PATH_MAX + 64];
	unsigned least = UINT_MAX;
	FILE *file = fopen("/proc/self/cgroup", "re");
	if (!file)
		return least;
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (char *group = line + 3; group[0]; *strrchr(group, '/') = '\0') {
			snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
			unsigned cpus = quota_in(path);
			least = cpus < least ? cpus : least;
		}
	}
	fclose(file);
	return least;
}

unsigned cpus_usable(void)
{
	unsigned affinity = by_affinity(), quota = by_quota();
	unsigned cpus = affinity < quota ? affinity : quota;
	return cpus > 0 ? cpus : 1;
}
