#include "preface/preface.h"

#include <stdio.h>

#define PREFACE(name) extern const struct preface name##_preface;
#include "preface/entries.h"
#undef PREFACE

#define PREFACE(name) &name##_preface,
static const struct preface *const registry[] = {
#include "preface/entries.h"
	NULL};
#undef PREFACE

#define ENTRIES (sizeof registry / sizeof *registry - 1)
_Static_assert(ENTRIES <= PREFACES_MAX, "PREFACES_MAX");

const struct preface *const *preface_proxy_list(void)
{
	static const struct preface *const list[] = {&proxy_preface, NULL};
	return list;
}

const struct preface *preface_at(size_t index)
{
	return index < ENTRIES ? registry[index] : NULL;
}

size_t preface_index(const struct preface *preface)
{
	size_t index = 0;
	while (registry[index] != preface)
		index++;
	return index;
}

const struct preface *preface_find(const char *name)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (registry[i]->is_starttls && strcmp(registry[i]->name, name) == 0)
			return registry[i];
	return NULL;
}

void preface_names(char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < ENTRIES && used < size; i++)
		if (registry[i]->is_starttls)
			used += (size_t)snprintf(out + used, size - used, "%s\"%s\"",
				used ? ", " : "", registry[i]->name);
}

static bool is_greeting(const struct preface *preface)
{
	return preface && preface->speaks_first;
}

const struct preface *preface_of_alpn(struct span id)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (registry[i]->alpn && span_equal(id, span_of_string(registry[i]->alpn)))
			return registry[i];
	return NULL;
}

bool preface_fits(const struct preface *front, const struct preface *back, bool is_terminated)
{
	if (!is_greeting(front) && !is_greeting(back))
		return true;
	if (front == back)
		return is_terminated || !front->joined;
	if (!is_terminated)
		return false;
	return is_greeting(front) ? back == NULL : front == NULL && !back->joined;
}

size_t preface_heard_max(const struct preface *preface)
{
	return preface->heard_max > 0 ? preface->heard_max : PREFACE_HEARD_MAX;
}

void preface_say(struct buf *say, const void *data, size_t len)
{
	size_t taken = len < buf_room(say) ? len : buf_room(say);
	if (taken == 0) /* there may be no memory behind it */
		return;
	memcpy(say->data + say->end, data, taken);
	say->end += taken;
}
