/* The few socket calls that the bench programs share; each exits with a message when it fails. */
#ifndef BENCH_SOCKETS_H
#define BENCH_SOCKETS_H

#include <netinet/in.h>
#include <stdint.h>

_Noreturn void die(const char *what);

struct sockaddr_in loopback(uint16_t port);

/* A non-blocking listener on 127.0.0.1 with the backlog that every proxy in the bench gets. */
int listen_on(uint16_t port);

/* A non-blocking connection under way, or established already; -1 when it failed at once. */
int connect_to(const struct sockaddr_in *address);

void set_nodelay(int fd);

/* Removes the soft limit on descriptors, up to the hard one. */
void raise_descriptor_limit(void);

/* A port number from a command line. */
uint16_t port_from(const char *text);

#endif
