/* Descriptors 0 to 2, so that nothing else is ever opened as standard input, output or error. */
#ifndef GATEHOUSE_BASE_STANDARD_FDS_H
#define GATEHOUSE_BASE_STANDARD_FDS_H

/* Opens /dev/null as each of them that is closed. First thing in the process. */
void standard_fds_open(void);

#endif
