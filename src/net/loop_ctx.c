#include "net/loop_ctx.h"

#include "net/pipes.h"

#include <stdlib.h>

bool lane_init(struct lane *lane, struct ev_loop *loop, struct err *err)
{
	*lane = (struct lane){.loop = loop,
		.pipes = pipes_create(),
		.plain = malloc(LANE_PLAIN_SIZE),
		.sealed_in = malloc(LANE_SEALED_IN_SIZE),
		.sealed_out = malloc(LANE_SEALED_OUT_SIZE)};
	if (lane->pipes && lane->plain && lane->sealed_in && lane->sealed_out)
		return true;
	lane_finish(lane);
	err_set(err, "out of memory");
	return false;
}

void lane_finish(struct lane *lane)
{
	pipes_destroy(lane->pipes);
	free(lane->plain);
	free(lane->sealed_in);
	free(lane->sealed_out);
}
