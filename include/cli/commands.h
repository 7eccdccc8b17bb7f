/*
 * The commands of the program, each in a file of its own; those of a client are in client/connect.h
 * and client/run.h. Each gets its own arguments, argv[0] being its name, and returns the exit
 * status: 0 done, 1 failed (a line on stderr says why), 2 usage.
 */
#ifndef GATEHOUSE_CLI_COMMANDS_H
#define GATEHOUSE_CLI_COMMANDS_H

int serve_main(int argc, char **argv);
int check_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int ctl_main(int argc, char **argv);

#endif
