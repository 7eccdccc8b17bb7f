#include "route/routes_builder.h"

#include <search.h>

static int compare_pointers(const void *a, const void *b)
{
	return a < b ? -1 : a > b;
}

bool builder_add_once(struct builder *builder, void **tree, void *item)
{
	if (tfind(item, tree, compare_pointers))
		return false;
	builder->no_memory |= !tsearch(item, tree, compare_pointers);
	return true;
}
