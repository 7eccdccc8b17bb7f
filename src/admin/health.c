#include "admin/pages.h"

#include "admin/inventory.h"
#include "base/clock.h"
#include "tls/cert/credential.h"

#include <stdlib.h>

/* A loop that has not turned for so long will not answer anybody. */
#define STUCK_SECONDS 20

/* Alive is who could still do his work: this thread answers even when the others hang. */
unsigned page_healthz(struct state *state, struct strbuf *out)
{
	struct published_state told;
	state_read(state, &told);
	routes_unref(told.routes);
	unsigned stuck = state_stuck(state, STUCK_SECONDS);
	uint64_t now = clock_now_us();
	bool main_is_stuck = told.tick_us > 0 && now > told.tick_us &&
		now - told.tick_us > STUCK_SECONDS * 1000000ull;
	bool is_alive = stuck == 0 && !main_is_stuck;
	json_open(out, NULL, '{');
	json_text(out, "status", is_alive ? "alive" : "stuck");
	if (stuck > 0)
		json_number(out, "stuck_workers", stuck);
	if (main_is_stuck)
		json_flag(out, "stuck_main", true);
	json_close(out, '}');
	strbuf_printf(out, "\n");
	return is_alive ? 200 : 503;
}

/* Certificates. */

static bool tell_name(void *owner, const struct server_name *name)
{
	json_text(owner, NULL, name->text);
	return false;
}

static void tell_certificate(struct strbuf *out, const struct certificate_row *row, time_t now)
{
	json_open(out, NULL, '{');
	json_text(out, "file", row->credential->cert_stamp.path);
	json_open(out, "names", '[');
	credential_each_name(row->credential, tell_name, out);
	json_close(out, ']');
	json_text(out, "key_type", credential_key_type(row->credential));
	json_date(out, "not_before", row->credential->not_before);
	json_date(out, "not_after", row->credential->not_after);
	json_number(out, "days_left", days_left(row->credential->not_after, now));
	json_flag(out, "valid",
		now >= row->credential->not_before && now <= row->credential->not_after);
	json_text(out, "host", row->host);
	json_number(out, "routes", (long long)row->routes);
	json_close(out, '}');
}

void tell_certificates(const struct routes *routes, size_t most, struct strbuf *out)
{
	size_t count;
	time_t now = time(NULL);
	struct certificate_row *rows = inventory_certificates(routes, &count);
	json_open(out, "certificates", '[');
	for (size_t i = 0; i < count && i < most; i++)
		tell_certificate(out, &rows[i], now);
	json_close(out, ']');
	free(rows);
}

/* Those of the first to expire stand outside as well, where mtlsd has them. */
unsigned page_certz(struct state *state, struct strbuf *out)
{
	struct published_state told;
	size_t count;
	state_read(state, &told);
	struct certificate_row *rows = inventory_certificates(told.routes, &count);
	json_open(out, NULL, '{');
	if (count > 0) {
		json_number(out, "days_left", days_left(rows[0].credential->not_after, time(NULL)));
		json_date(out, "not_after", rows[0].credential->not_after);
	}
	free(rows);
	tell_certificates(told.routes, INVENTORY_MAX, out);
	json_close(out, '}');
	strbuf_printf(out, "\n");
	routes_unref(told.routes);
	return 200;
}

/* Readiness. */

struct readiness {
	struct strbuf problems, warnings; /* items of two lists */
	size_t problem_count;
};

static void problem(struct readiness *readiness, const char *what)
{
	json_text(&readiness->problems, NULL, what);
	readiness->problem_count++;
}

/* One of many certificates that has expired is its hosts' trouble; all of them are everybody's. */
static void look_at_certificates(struct readiness *readiness, const struct routes *routes)
{
	size_t count, invalid = 0;
	time_t now = time(NULL);
	struct certificate_row *rows = inventory_certificates(routes, &count);
	for (size_t i = 0; i < count; i++) {
		const struct credential *credential = rows[i].credential;
		if (now >= credential->not_before && now <= credential->not_after)
			continue;
		char what[512];
		snprintf(what, sizeof what, "certificate %s %s", credential->cert_stamp.path,
			now < credential->not_before ? "is not valid yet" : "has expired");
		if (invalid++ < 10)
			json_text(&readiness->warnings, NULL, what);
	}
	if (count > 0 && invalid == count)
		problem(readiness, "no certificate is valid now");
	free(rows);
}

static void look(struct readiness *readiness, const struct published_state *told)
{
	if (told->is_stopping)
		problem(readiness, "draining: the process is about to end");
	if (told->is_drained)
		problem(readiness, "drained by the administrator");
	if (told->listeners == 0)
		problem(readiness, "no listener is open");
	look_at_certificates(readiness, told->routes);
	if (told->reload.outcome == RELOAD_REFUSED)
		json_text(&readiness->warnings, NULL,
			"the last reload was refused; the configuration before it is served");
	if (told->drained[0]) {
		char what[1100];
		snprintf(what, sizeof what, "drained: %s", told->drained);
		json_text(&readiness->warnings, NULL, what);
	}
}

unsigned page_readyz(struct state *state, struct strbuf *out)
{
	struct readiness readiness = {0};
	struct published_state told;
	state_read(state, &told);
	json_open(&readiness.problems, NULL, '[');
	json_open(&readiness.warnings, NULL, '[');
	look(&readiness, &told);
	json_close(&readiness.problems, ']');
	json_close(&readiness.warnings, ']');
	bool is_ready = readiness.problem_count == 0;
	strbuf_printf(out, "{\"status\":\"%s\",\"problems\":%s,\"warnings\":%s}\n",
		is_ready ? "ready" : "not ready", readiness.problems.at, readiness.warnings.at);
	out->failed |= readiness.problems.failed || readiness.warnings.failed;
	strbuf_finish(&readiness.problems);
	strbuf_finish(&readiness.warnings);
	routes_unref(told.routes);
	return is_ready ? 200 : 503;
}
