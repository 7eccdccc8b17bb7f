/* How many processors this process may use: its affinity, and the quota of its control group. */
#ifndef GATEHOUSE_DAEMON_CPUS_H
#define GATEHOUSE_DAEMON_CPUS_H

unsigned cpus_usable(void); /* at least 1 */

#endif
