#include "admin/pages.h"

#include "admin/inventory.h"
#include "base/clock.h"
#include "tls/cert/credential.h"

#include <stdlib.h>

/* A loop that has not turned for so long is stuck. */
#define STUCK_SECONDS 20

/* Alive: the main thread and all workers make progress. This thread answers even when they hang. */
unsigned page_healthz(struct state *state, struct strbuf *body)
{
	struct json_out out = {.text = body};
	struct published_state published;
	state_read(state, &published);
	routes_unref(published.routes);
	unsigned stuck = state_stuck(state, STUCK_SECONDS);
	uint64_t now = clock_now_us();
	bool main_is_stuck = published.tick_us > 0 && now > published.tick_us &&
		now - published.tick_us > STUCK_SECONDS * 1000000ull;
	bool is_alive = stuck == 0 && !main_is_stuck;
	json_out_object(&out, NULL);
	json_out_text(&out, "status", is_alive ? "alive" : "stuck");
	if (stuck > 0)
		json_out_number(&out, "stuck_workers", stuck);
	if (main_is_stuck)
		json_out_flag(&out, "stuck_main", true);
	json_out_close(&out);
	strbuf_printf(body, "\n");
	return is_alive ? 200 : 503;
}

/* Certificates. */

static bool write_name(void *owner, const struct server_name *name)
{
	json_out_text(owner, NULL, name->text);
	return false;
}

static void write_certificate(struct json_out *out, const struct certificate_row *row, time_t now)
{
	json_out_object(out, NULL);
	json_out_text(out, "file", row->credential->cert_stamp.path);
	json_out_list(out, "names");
	credential_each_name(row->credential, write_name, out);
	json_out_close(out);
	json_out_text(out, "key_type", credential_key_type(row->credential));
	json_out_date(out, "not_before", row->credential->not_before);
	json_out_date(out, "not_after", row->credential->not_after);
	json_out_number(out, "days_left", days_left(row->credential->not_after, now));
	json_out_flag(out, "valid",
		now >= row->credential->not_before && now <= row->credential->not_after);
	json_out_text(out, "host", row->host);
	json_out_number(out, "routes", (long long)row->routes);
	json_out_close(out);
}

void page_write_certificates(const struct routes *routes, size_t max, struct json_out *out)
{
	size_t count;
	time_t now = time(NULL);
	struct certificate_row *rows = inventory_certificates(routes, &count);
	json_out_list(out, "certificates");
	for (size_t i = 0; i < count && i < max; i++)
		write_certificate(out, &rows[i], now);
	json_out_close(out);
	free(rows);
}

/* Those of the first to expire stand outside as well, where mtlsd has them. */
unsigned page_certz(struct state *state, struct strbuf *body)
{
	struct json_out out = {.text = body};
	struct published_state published;
	size_t count;
	state_read(state, &published);
	struct certificate_row *rows = inventory_certificates(published.routes, &count);
	json_out_object(&out, NULL);
	if (count > 0) {
		json_out_number(
			&out, "days_left", days_left(rows[0].credential->not_after, time(NULL)));
		json_out_date(&out, "not_after", rows[0].credential->not_after);
	}
	free(rows);
	page_write_certificates(published.routes, INVENTORY_MAX, &out);
	json_out_close(&out);
	strbuf_printf(body, "\n");
	routes_unref(published.routes);
	return 200;
}

/* Readiness. */

struct readiness {
	struct strbuf problems, warnings; /* items of two lists */
	struct json_out problem_list, warning_list;
};

static void add_problem(struct readiness *readiness, const char *what)
{
	json_out_text(&readiness->problem_list, NULL, what);
}

/* One of many certificates that has expired is its hosts' trouble; all of them are everybody's. */
static void examine_certificates(struct readiness *readiness, const struct routes *routes)
{
	size_t count, invalid = 0;
	time_t now = time(NULL);
	struct certificate_row *rows = inventory_certificates(routes, &count);
	for (size_t i = 0; i < count; i++) {
		const struct credential *credential = rows[i].credential;
		if (now >= credential->not_before && now <= credential->not_after)
			continue;
		char what[512];
		snprintf(what, sizeof what, "%s %s %s",
			credential->is_leaf_first ? "certificate" : "certificate chain",
			credential->cert_stamp.path,
			now < credential->not_before ? "is not valid yet" : "has expired");
		if (invalid++ < 10)
			json_out_text(&readiness->warning_list, NULL, what);
	}
	if (count > 0 && invalid == count)
		add_problem(readiness, "no certificate is valid now");
	free(rows);
}

static void examine_acceptors(struct readiness *readiness, const struct state *state)
{
	struct totals totals;
	char what[80];
	state_totals(state, &totals);
	if (totals.deaf == 0)
		return;
	snprintf(what, sizeof what, "%llu listening sockets are not accepted from", totals.deaf);
	add_problem(readiness, what);
}

static void examine_readiness(struct readiness *readiness, const struct published_state *published)
{
	if (published->is_stopping)
		add_problem(readiness, "draining: the process is about to end");
	if (published->is_drained)
		add_problem(readiness, "drained by the administrator");
	if (published->listeners == 0)
		add_problem(readiness, "no listener is open");
	examine_certificates(readiness, published->routes);
	if (published->reload.outcome == RELOAD_REFUSED)
		json_out_text(&readiness->warning_list, NULL,
			"the last reload was refused; the configuration before it is served");
	if (published->drained[0]) {
		char what[1100];
		snprintf(what, sizeof what, "drained: %s", published->drained);
		json_out_text(&readiness->warning_list, NULL, what);
	}
}

unsigned page_readyz(struct state *state, struct strbuf *body)
{
	struct json_out out = {.text = body};
	struct readiness readiness = {
		.problem_list = {.text = &readiness.problems},
		.warning_list = {.text = &readiness.warnings},
	};
	struct published_state published;
	state_read(state, &published);
	examine_readiness(&readiness, &published);
	examine_acceptors(&readiness, state);
	bool is_ready = !readiness.problem_list.has_item;
	json_out_object(&out, NULL);
	json_out_text(&out, "status", is_ready ? "ready" : "not ready");
	json_out_list(&out, "problems");
	json_out_raw(&out, NULL, &readiness.problems);
	json_out_close(&out);
	json_out_list(&out, "warnings");
	json_out_raw(&out, NULL, &readiness.warnings);
	json_out_close(&out);
	json_out_close(&out);
	strbuf_printf(body, "\n");
	strbuf_finish(&readiness.problems);
	strbuf_finish(&readiness.warnings);
	routes_unref(published.routes);
	return is_ready ? 200 : 503;
}
