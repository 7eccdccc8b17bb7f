/* The command `connect`: standard input and output joined to a TLS connection with a gateway. */
#ifndef GATEHOUSE_CLIENT_CONNECT_H
#define GATEHOUSE_CLIENT_CONNECT_H

/* argv[0] is the command's name. The exit status: 0 done, 1 failed (a line on stderr says why), 2
 * usage. When a signal ends it, it ends by that signal and does not return. */
int connect_main(int argc, char **argv);

#endif
