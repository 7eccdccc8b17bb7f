/*
 * Where finished log lines go: straight to standard error, or, between log_sink_start and
 * log_sink_stop, into a buffer that a thread of its own empties. Only log.c puts lines here.
 */
#ifndef GATEHOUSE_BASE_LOG_SINK_H
#define GATEHOUSE_BASE_LOG_SINK_H

#include <stddef.h>

#define LOG_LINE_MAX 4096 /* with its newline */

/* Writes the line, with its newline, that reports lost lines. Returns its length. */
typedef size_t log_loss_fn(unsigned long long lost, char out[LOG_LINE_MAX]);

/* Whole lines, each with its newline. Never blocks while the thread runs. */
void log_sink_put(const char *lines, size_t len);

/* Starting twice changes nothing. log_sink_stop writes what waits, for at most two seconds. */
void log_sink_start(log_loss_fn *write_loss);
void log_sink_stop(void);

/* Lines that found no room or could not be written, so far. */
unsigned long long log_sink_lost(void);

#endif
