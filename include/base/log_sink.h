/*
 * Where finished log lines go: straight to standard error, or, once log_start has been called,
 * into a buffer that a thread of its own empties. Only log.c puts lines here.
 */
#ifndef GATEHOUSE_BASE_LOG_SINK_H
#define GATEHOUSE_BASE_LOG_SINK_H

#include "base/log.h"

/* Whole lines, each with its newline. After log_start this never blocks. */
void log_sink_put(const char *lines, size_t len);

/* Completes a line as log_end does, for the sink's own line about what was lost. */
void log_line_close(struct log_line *line);

#endif
