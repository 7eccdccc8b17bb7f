#include "session/join.h"

#include <stdlib.h>
#include <string.h>

struct join *join_create(void)
{
	struct join *join = calloc(1, sizeof *join);
	if (!join)
		return NULL;
	join->state.memory = join->memory.bytes;
	join->greeting = (struct buf){.data = join->greeting_room, .size = PREFACE_SAY_MAX};
	return join;
}

static void target_free(struct cancel_target *target)
{
	if (target)
		routes_unref(target->routes);
	free(target);
}

void join_destroy(struct join *join)
{
	if (!join)
		return;
	free(join->client.heard.data);
	free(join->client.said.data);
	free(join->server.heard.data);
	free(join->server.said.data);
	target_free(join->target);
	free(join);
}

bool join_reserve(struct buf *buf, size_t room)
{
	size_t used = buf_used(buf);
	if (buf_room(buf) >= room)
		return true;
	if (buf->start > 0)
		memmove(buf->data, buf->data + buf->start, used);
	buf->start = 0;
	buf->end = used;
	if (buf_room(buf) >= room)
		return true;
	uint8_t *data = realloc(buf->data, used + room);
	if (!data)
		return false;
	buf->data = data;
	buf->size = used + room;
	return true;
}
