/*
 * Whom the Host header of a request may name. A page of some site can have its own name resolve to
 * 127.0.0.1 (DNS rebinding) and read the answers; it cannot do so under an address, nor under a name
 * that nobody can register.
 */
#ifndef GATEHOUSE_ADMIN_HOST_RULE_H
#define GATEHOUSE_ADMIN_HOST_RULE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * `host`: the header's value, a port may follow; NULL or "": none. True for none, for an IP address,
 * for a name without a dot, for one below "localhost", and for `own`, the machine's name.
 */
bool host_rule_accepts(const char *host, const char *own);

/* True if `host` names one of `names`, which are in lower case and without a final dot. */
bool host_rule_names(const char *host, const char *const *names, size_t count);

#endif
