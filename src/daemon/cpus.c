#include "daemon/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned by_affinity(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* Microseconds of time in each period; part of a processor counts as one. */
static unsigned cpus_of_quota(long long quota, long long period)
{
	if (quota <= 0 || period <= 0 || quota / period >= UINT_MAX)
		return UINT_MAX;
	return (unsigned)((quota + period - 1) / period);
}

/* The numbers that a file begins with; false where there are fewer ("max" is none). */
static bool read_numbers(const char *directory, const char *name, long long *out, int count)
{
	char path[2 * PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *file = fopen(path, "re");
	int found = 0;
	if (!file)
		return false;
	while (found < count && fscanf(file, "%lld", &out[found]) == 1)
		found++;
	fclose(file);
	return found == count;
}

/* cgroup v2: "150000 100000", or "max 100000" for none. */
static unsigned quota_v2(const char *group)
{
	long long numbers[2];
	return read_numbers(group, "cpu.max", numbers, 2) ? cpus_of_quota(numbers[0], numbers[1])
							  : UINT_MAX;
}

/* cgroup v1: two files, and -1 for none. */
static unsigned quota_v1(const char *group)
{
	long long quota, period;
	if (!read_numbers(group, "cpu.cfs_quota_us", &quota, 1) ||
		!read_numbers(group, "cpu.cfs_period_us", &period, 1))
		return UINT_MAX;
	return cpus_of_quota(quota, period);
}

/*
 * The tightest quota from the group up to the top of its tree. In a container without a namespace of
 * groups its own group is the top, and `group` is the path outside, which is missing inside.
 */
static unsigned tightest_quota(
	const char *tree, const char *group, unsigned (*quota_in)(const char *))
{
	char path[PATH_MAX];
	size_t top = strlen(tree);
	unsigned least = UINT_MAX;
	int len = snprintf(path, sizeof path, "%s%s", tree, group);
	if (len < 0 || (size_t)len >= sizeof path)
		return least;
	for (;;) {
		unsigned cpus = quota_in(path);
		least = cpus < least ? cpus : least;
		if (strlen(path) <= top)
			return least;
		*strrchr(path, '/') = '\0';
	}
}

static bool has_cpu(const char *controllers)
{
	for (const char *at = controllers; *at; at += at[0] == ',') {
		size_t len = strcspn(at, ",");
		if (len == 3 && memcmp(at, "cpu", 3) == 0)
			return true;
		at += len;
	}
	return false;
}

/* A line of /proc/self/cgroup, "4:cpu,cpuacct:/group", or "0::/group" of version 2. */
static unsigned quota_of_line(const char *root, char *line)
{
	char tree[PATH_MAX];
	line[strcspn(line, "\n")] = '\0';
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!group || group[1] != '/')
		return UINT_MAX;
	*group++ = '\0';
	controllers++;
	if (controllers[0] != '\0' && !has_cpu(controllers))
		return UINT_MAX;
	/* "cpu" is a link to "cpu,cpuacct", or the directory itself */
	snprintf(tree, sizeof tree, "%s/sys/fs/cgroup%s", root, controllers[0] ? "/cpu" : "");
	return tightest_quota(tree, group, controllers[0] ? quota_v1 : quota_v2);
}

unsigned cpus_of_quotas(const char *root)
{
	char line[PATH_MAX];
	unsigned least = UINT_MAX;
	snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
	FILE *file = fopen(line, "re");
	if (!file)
		return least;
	while (fgets(line, sizeof line, file)) {
		unsigned cpus = quota_of_line(root, line);
		least = cpus < least ? cpus : least;
	}
	fclose(file);
	return least;
}

unsigned cpus_usable(void)
{
	unsigned affinity = by_affinity(), quota = cpus_of_quotas("");
	unsigned cpus = affinity < quota ? affinity : quota;
	return cpus > 0 ? cpus : 1;
}
