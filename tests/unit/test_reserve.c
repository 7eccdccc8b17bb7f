/* What cannot take a failure gets memory while the heap has none, and returns to the heap afterwards. */
#include "base/reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sys/resource.h>

#define LARGE (512 << 10) /* not on the heap that there is already */

static void assert_filled(const uint8_t *at, uint8_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(at[i], value);
}

static void as_realloc_while_there_is_memory(void **state)
{
	(void)state;
	uint8_t *at = reserve_resize(NULL, 100);
	memset(at, 7, 100);
	at = reserve_resize(at, 100000);
	assert_filled(at, 7, 100);
	at = reserve_resize(at, 10);
	assert_filled(at, 7, 10);
	assert_null(reserve_resize(at, 0));
	assert_null(reserve_resize(NULL, 0));
}

#if !defined(__SANITIZE_ADDRESS__) &&                                                              \
	!defined(__SANITIZE_THREAD__) /* they map memory of their own */
/* No page more for this process, and after it what was allowed before. */
static struct rlimit before;

static void take_memory_away(void)
{
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){1, before.rlim_max}), 0);
}

static void give_memory_back(void)
{
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

static void from_the_reserve_while_there_is_none(void **state)
{
	(void)state;
	uint8_t *small = reserve_resize(NULL, 1000), *other;
	memset(small, 1, 1000);
	take_memory_away();
	small = reserve_resize(small, LARGE); /* from the heap to the reserve */
	memset(small + 1000, 2, LARGE - 1000);
	other = reserve_resize(NULL, LARGE);
	memset(other, 3, LARGE);
	small = reserve_resize(small, LARGE + 5000); /* within the reserve */
	give_memory_back();
	assert_filled(small, 1, 1000);
	assert_filled(small + 1000, 2, LARGE - 1000);
	small = reserve_resize(small, 2 * LARGE); /* back to the heap */
	assert_filled(small, 1, 1000);
	assert_filled(small + 1000, 2, LARGE - 1000);
	assert_filled(other, 3, LARGE);
	reserve_resize(small, 0);
	reserve_resize(other, 0);
}

/* More than the reserve holds at once, one after the other: its room comes back. */
static void the_reserve_is_used_again(void **state)
{
	(void)state;
	take_memory_away();
	for (int i = 0; i < 20; i++) {
		uint8_t *at = reserve_resize(NULL, LARGE);
		memset(at, i, LARGE);
		reserve_resize(at, 0);
	}
	give_memory_back();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_realloc_while_there_is_memory),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		cmocka_unit_test(from_the_reserve_while_there_is_none),
		cmocka_unit_test(the_reserve_is_used_again),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
