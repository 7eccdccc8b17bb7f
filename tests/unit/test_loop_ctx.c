/* What every event loop has in common. */
#include "net/loop_ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_loop_is_epoll_whatever_the_environment_says(void **state)
{
	struct err err;
	(void)state;
	setenv("LIBEV_FLAGS", "1", 1); /* select(2) */
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	unsetenv("LIBEV_FLAGS");
	assert_non_null(loop);
	assert_int_equal(ev_backend(loop), EVBACKEND_EPOLL);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_is_epoll_whatever_the_environment_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
