/*
 * The inside of a snapshot (struct routes), for the code that builds it and the code that reads
 * it.
 */
#ifndef GATEHOUSE_ROUTE_ROUTES_INSIDE_H
#define GATEHOUSE_ROUTE_ROUTES_INSIDE_H

#include "route/host_table.h"
#include "route/pointers.h"
#include "route/route.h"
#include "tls/tls_store.h"

#include <pthread.h>

struct routes {
	atomic_uint refs;
	struct config *config;
	struct servers *servers;
	struct arena arena; /* names, routes, backends */
	struct host_table hosts;
	size_t route_count;
	struct route *forwards; /* as many as in the configuration, in its order */
	struct route *
		plaintext; /* two of each listener (route/plaintext.c); NULL: no listener has any */
	struct pointers contexts; /* each with a reference */
	struct pointers backends; /* each to be finished */
	struct pointers acls;     /* each owned */
	struct pointers slots;    /* of routes with a limit: each with a reference */
	pthread_mutex_t stats_lock;
	struct pointers stats; /* of routes that have seen a connection: each with a reference */
	struct pointers kept;  /* copies of routes (route/kept_route): each with a reference */
	bool is_kept;          /* it is such a copy: its route is in `forwards` */
	const struct route *first_with_certificate;
	struct tls_store_counts tls_counts;
};

#endif
