/*
 * Health checks: servers of backends that ask for them are connected to at intervals, by the main thread,
 * as a session would connect (PROXY header and STARTTLS included), and marked down after `fall` failures in
 * a row, up after `rise` answers. A reload goes on with those that stay. The workers see the outcome in the
 * server's shared state.
 *
 * At most HEALTH_CHECKS_AT_ONCE connect at the same time; others that are due wait, first come, first served.
 * An interval runs from the end of one check to the next, so that checks stay spread.
 */
#ifndef GATEHOUSE_UPSTREAM_HEALTH_CHECKS_H
#define GATEHOUSE_UPSTREAM_HEALTH_CHECKS_H

#include "upstream/backend.h"

#include <ev.h>

#define HEALTH_CHECKS_AT_ONCE 64u

struct health_checks;

struct health_checks *health_checks_create(struct ev_loop *loop, struct err *err);

/*
 * What is to be checked from now on, and nothing else: begin, each backend, end. The servers must live
 * until the next such round.
 */
void health_checks_begin(struct health_checks *checks);
void health_checks_add(struct health_checks *checks, const struct backend *backend);
void health_checks_end(struct health_checks *checks);
void health_checks_destroy(struct health_checks *checks); /* NULL is fine */

#endif
