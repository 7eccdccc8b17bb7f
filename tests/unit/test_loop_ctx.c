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

static void begin_turn(struct loop_ctx *ctx)
{
	ev_invoke(ctx->loop, &ctx->turn, EV_PREPARE);
}

static void who_had_his_turn_waits_for_those_who_wait(void **state)
{
	struct err err;
	struct loop_ctx ctx;
	unsigned a = 0, b = 0;
	(void)state;
	assert_true(loop_ctx_init(&ctx, loop_ctx_loop_create(&err), &err));
	begin_turn(&ctx);
	ctx.turn_cost = TURN_COST_MAX / 2 + 1;
	assert_false(loop_ctx_has_to_wait(&ctx, &a));
	ctx.turn_cost = TURN_COST_MAX + 1;
	assert_true(loop_ctx_has_to_wait(&ctx, &b));
	assert_true(loop_ctx_has_to_wait(&ctx, &a));
	begin_turn(&ctx);
	assert_true(loop_ctx_is_busy(&ctx));
	assert_true(loop_ctx_has_to_wait(&ctx, &a)); /* whatever the order of their events */
	assert_false(loop_ctx_has_to_wait(&ctx, &b));
	begin_turn(&ctx);
	assert_false(loop_ctx_is_busy(&ctx));
	assert_false(loop_ctx_has_to_wait(&ctx, &a));
	assert_false(loop_ctx_has_to_wait(&ctx, &a)); /* in a turn that has cost nothing */
	ctx.turn_cost = TURN_COST_MAX / 2 + 1;
	assert_false(loop_ctx_has_to_wait(&ctx, &a));
	assert_true(loop_ctx_has_to_wait(&ctx, &a));
	assert_false(loop_ctx_has_to_wait(&ctx, &b));
	begin_turn(&ctx);
	assert_false(loop_ctx_has_to_wait(&ctx, &a)); /* nobody else had to wait */
	struct ev_loop *loop = ctx.loop;
	loop_ctx_finish(&ctx);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_is_epoll_whatever_the_environment_says),
		cmocka_unit_test(who_had_his_turn_waits_for_those_who_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
