#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline void round_once(struct state *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	round_once(s);
	s->v0 ^= word;
}

uint64_t hash_bytes(struct hash_key key, const void *data, size_t len)
{
	struct state s = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
		key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
	const uint8_t *bytes = data;
	size_t left = len;
	for (; left >= 8; bytes += 8, left -= 8) {
		uint64_t word;
		memcpy(&word, bytes, 8);
		absorb(&s, word);
	}
	uint64_t last = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)bytes[i] << (8 * i);
	absorb(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		round_once(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static struct hash_key seed; /* drawn once, at the start */

static bool draw_key(struct hash_key *key)
{
	return getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key;
}

/* Without entropy nothing that this program does is safe. */
static void draw_seed(void)
{
	if (draw_key(&seed))
		return;
	fputs("gatehouse: the kernel gives no random bytes\n", stderr);
	exit(1);
}

/* A process that has a seed does not need the kernel any more. */
struct hash_key hash_key_random(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static atomic_ullong count;
	struct hash_key key;
	pthread_once(&once, draw_seed);
	if (draw_key(&key))
		return key;
	uint64_t number[2] = {atomic_fetch_add(&count, 2)};
	key.k0 = hash_bytes(seed, number, sizeof number);
	number[1] = 1;
	key.k1 = hash_bytes(seed, number, sizeof number);
	return key;
}
