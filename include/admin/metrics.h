/* The text that Prometheus reads (exposition format 0.0.4). */
#ifndef GATEHOUSE_ADMIN_METRICS_H
#define GATEHOUSE_ADMIN_METRICS_H

#include "admin/state.h"
#include "base/strbuf.h"

void metrics_write(struct state *state, struct strbuf *out);

#endif
