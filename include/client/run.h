/* The command `run`: a program with a local forward to a gateway that lives as long as it does. */
#ifndef GATEHOUSE_CLIENT_RUN_H
#define GATEHOUSE_CLIENT_RUN_H

/* argv[0] is the command's name. The exit status: the program's, 128 and the number of the signal
 * that ended it; 126 or 127 when it cannot be run; 1 when there is no forward, 2 usage. */
int run_main(int argc, char **argv);

#endif
