/*
 * SipHash-1-3, a keyed hash for tables whose keys clients choose: without the hash key one
 * cannot make names that collide (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012).
 */
#ifndef GATEHOUSE_BASE_HASH_H
#define GATEHOUSE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

/* Never fails once the first was drawn; without random bytes for the first the process exits with 1. */
struct hash_key hash_key_random(void);
uint64_t hash_bytes(struct hash_key key, const void *data, size_t len);

#endif
