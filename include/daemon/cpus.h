/*
 * How many processors this process may use: its affinity, and the quotas of its control group and of
 * those above it, in version 1 (cpu.cfs_quota_us) and version 2 (cpu.max).
 */
#ifndef GATEHOUSE_DAEMON_CPUS_H
#define GATEHOUSE_DAEMON_CPUS_H

unsigned cpus_usable(void); /* at least 1 */

/* By quotas alone; UINT_MAX: there is none. `root` stands before /proc and /sys: "", but for tests. */
unsigned cpus_of_quotas(const char *root);

#endif
