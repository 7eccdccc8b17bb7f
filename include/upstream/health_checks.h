/*
 * Health checks: servers that ask for them are connected to at intervals, by the main thread, and
 * marked down after `fall` failures in a row, up after `rise` answers. A reload goes on with those
 * that stay. What is found is told to the workers through the server's shared state.
 */
#ifndef GATEHOUSE_UPSTREAM_HEALTH_CHECKS_H
#define GATEHOUSE_UPSTREAM_HEALTH_CHECKS_H

#include "route/routes.h"

#include <ev.h>

struct health_checks;

struct health_checks *health_checks_create(struct ev_loop *loop, struct err *err);

/* Checks what that snapshot asks for, and nothing else. Its servers must live until the next call. */
void health_checks_follow(struct health_checks *checks, const struct routes *routes);
void health_checks_destroy(struct health_checks *checks);

#endif
