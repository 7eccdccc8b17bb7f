/* What the kernel says of this process. */
#ifndef GATEHOUSE_ADMIN_PROCESS_H
#define GATEHOUSE_ADMIN_PROCESS_H

struct process_facts {
	unsigned long long open_fds, max_fds, resident_bytes;
	double cpu_seconds;
};
void process_look(struct process_facts *out);

#endif
