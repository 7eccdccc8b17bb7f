/*
 * Replacing the program without losing a connection. The launcher starts what is now at the path of
 * the program, with the same arguments; it is passed the listening sockets, all of them, so that
 * each queue goes on being served; it loads its configuration and says that it serves. Then this
 * process drains and ends. When the new one fails, in whatever way, this one goes on as if nothing
 * had been, and the log tells why.
 *
 *     old                                  new
 *     upgrade_start ---- launcher -------> exec, passed sockets
 *     serves                               loads, opens what is new, starts its workers
 *     hears it  <------------------------- HANDOVER_READY; both accept
 *     MAINPID= to systemd, lets go ------> READY=1 to systemd
 *     drains, ends
 */
#ifndef GATEHOUSE_UPGRADE_UPGRADE_H
#define GATEHOUSE_UPGRADE_UPGRADE_H

#include "base/err.h"

#include <stdbool.h>

struct gatehouse;
struct upgrade;

/* NULL: out of memory. */
struct upgrade *upgrade_create(struct gatehouse *gatehouse);

/* What SIGUSR2 does. False: it cannot be begun. How it ends is logged. */
bool upgrade_start(struct gatehouse *gatehouse, struct err *err);
/* This gatehouse is to end, not to be succeeded. */
void upgrade_cancel(struct upgrade *upgrade);
bool upgrade_is_running(const struct upgrade *upgrade);

void upgrade_destroy(struct upgrade *upgrade); /* NULL is fine */

#endif
