/*
 * What a service sends to systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Without that
 * variable each call does nothing.
 */
#ifndef GATEHOUSE_DAEMON_SYSTEMD_H
#define GATEHOUSE_DAEMON_SYSTEMD_H

#include <stdint.h>

/* Reads the environment and clears it; once, before threads start. */
void systemd_init(void);

/* "READY=1", "STATUS=...", lines of it. */
void systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
void systemd_notify_reloading(void); /* with the time that Type=notify-reload asks for */

/* Another process is the service's now ("MAINPID="): nothing more is sent. */
void systemd_retire(void);

/* How often systemd wants a sign of life, in microseconds; 0: not at all. */
uint64_t systemd_watchdog_us(void);

#endif
