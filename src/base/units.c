#include "base/units.h"

#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* The digits in front of a unit; false when there are none or the number does not fit. */
static bool take_number(const char **cursor, uint64_t *out)
{
	const char *at = *cursor;
	uint64_t number = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
			return false;
	if (at == *cursor)
		return false;
	*cursor = at;
	*out = number;
	return true;
}

static bool parse_units(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
	uint64_t number, result;
	if (!take_number(&text, &number))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(number, units[i].factor, &result))
			return false;
		*out = result;
		return true;
	}
	return false;
}

bool units_duration_ms(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	if (strcmp(text, "0") == 0) {
		*out = 0;
		return true;
	}
	return parse_units(text, units, sizeof units / sizeof *units, out);
}

bool units_size(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
	return parse_units(text, units, sizeof units / sizeof *units, out);
}
