#include "config/config_finding.h"

#include "config/read/place.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX  4
#define FIELD_SIZE 64

/* A path of places made of "backend.tls.ca": what stands at `steps[count - 1]` is the field. */
struct path {
	char text[FIELD_SIZE];
	struct place steps[STEPS_MAX];
	unsigned count;
};

static void path_make(struct path *path, const struct place *from, const char *field)
{
	char *rest = path->text;
	path->count = 0;
	snprintf(path->text, sizeof path->text, "%s", field);
	while (path->count < STEPS_MAX) {
		char *key = strsep(&rest, ".");
		if (!key)
			return;
		path->steps[path->count++] = place_member(from, key);
		from = &path->steps[path->count - 1];
	}
}

/* A finding about what an entry inherits names the field of its host. */
static const struct place *owner_of(const struct place *place, const char *field)
{
	struct path path;
	size_t value_at;
	path_make(&path, place, field);
	return place->heir_of && !place_find(&path.steps[0], &value_at) ? place->heir_of : place;
}

static void report_field(const struct route_config *route, struct report *report,
	enum severity severity, const char *field, int index, const char *format, va_list args)
	__attribute__((format(printf, 6, 0)));

static void report_field(const struct route_config *route, struct report *report,
	enum severity severity, const char *field, int index, const char *format, va_list args)
{
	struct path path;
	size_t value_at;
	path_make(&path, owner_of(route->place, field), field);
	const struct place *place = &path.steps[path.count - 1];
	struct place item = place_item(place, index < 0 ? 0 : (unsigned)index);
	/* A field that takes one or many may have been given one: then there is no list to point
	 * into. */
	bool is_in_list = index >= 0 && place_find(&item, &value_at);
	place_report(is_in_list ? &item : place, report, severity, format, args);
}

void route_config_error(const struct route_config *route, struct report *report, const char *field,
	int index, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report_field(route, report, SEVERITY_ERROR, field, index, format, args);
	va_end(args);
}

void route_config_warning(const struct route_config *route, struct report *report,
	const char *field, int index, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	report_field(route, report, SEVERITY_WARNING, field, index, format, args);
	va_end(args);
}

void host_config_error(
	const struct host_config *host, struct report *report, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	place_report(host->route.place, report, SEVERITY_ERROR, format, args);
	va_end(args);
}
