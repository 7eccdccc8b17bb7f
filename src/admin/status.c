#include "admin/pages.h"

#include "admin/inventory.h"
#include "admin/metrics.h"
#include "admin/process.h"
#include "config/config_names.h"

#include <stdlib.h>
#include <unistd.h>

/* What fits on a page that people read. */
#define SHOWN_ROUTES       50
#define SHOWN_SERVERS      100
#define SHOWN_CERTIFICATES 50
#define SHOWN_REFUSALS     20

static const char *state_of(const struct published_state *published)
{
	if (published->is_stopping)
		return "stopping";
	return published->is_drained ? "drained" : "serving";
}

void page_write_process(
	struct state *state, const struct published_state *published, struct json_out *out)
{
	const struct state_setup *setup = state_of_setup(state);
	struct routes_summary summary = routes_summary(published->routes);
	struct process_facts process;
	struct totals totals;
	process_look(&process);
	state_totals(state, &totals);
	json_out_text(out, "version", setup->version);
	json_out_number(out, "pid", getpid());
	json_out_text(out, "state", state_of(published));
	json_out_text(out, "drained", published->drained[0] ? published->drained : NULL);
	json_out_date(out, "started", state_started(state));
	json_out_number(out, "uptime_seconds", (long long)state_uptime(state));
	json_out_text(out, "config", setup->path);
	json_out_text(out, "listen", published->listens);
	json_out_number(out, "workers", setup->workers);
	json_out_number(out, "hosts", (long long)summary.hosts);
	json_out_number(out, "active", (long long)totals.active);
	json_out_number(out, "connections", (long long)totals.connections);
	json_out_number(out, "refused", (long long)totals.refused);
	json_out_number(out, "dial_errors", (long long)totals.dial_errors);
	json_out_number(out, "bytes_up", (long long)totals.up);
	json_out_number(out, "bytes_down", (long long)totals.down);
	json_out_number(out, "open_fds", (long long)process.open_fds);
	json_out_number(out, "max_fds", (long long)process.max_fds);
	json_out_number(out, "resident_bytes", (long long)process.resident_bytes);
	json_out_number(out, "pipes_in_use", (long long)totals.pipes);
	json_out_number(out, "snapshots", published->generations);
	json_out_real(out, "loop_turn_max_ms", (double)totals.turn_us / 1000);
}

void page_write_reload(const struct reload_facts *reload, struct json_out *out)
{
	static const char *const outcomes[] = {[RELOAD_NEVER] = "started",
		[RELOAD_DONE] = "reloaded",
		[RELOAD_UNCHANGED] = "unchanged",
		[RELOAD_REFUSED] = "refused"};
	json_out_object(out, "reload");
	json_out_text(out, "outcome", outcomes[reload->outcome]);
	json_out_date(out, "at", reload->at);
	json_out_date(out, "succeeded_at", reload->succeeded_at);
	json_out_real(out, "took_ms", (double)reload->took_us / 1000);
	json_out_number(out, "added", (long long)reload->change.added);
	json_out_number(out, "removed", (long long)reload->change.removed);
	json_out_number(out, "changed", (long long)reload->change.changed);
	json_out_number(out, "listeners_opened", reload->change.listeners_opened);
	json_out_number(out, "listeners_closed", reload->change.listeners_closed);
	json_out_flag(out, "settings_changed", reload->change.settings_changed);
	json_out_number(out, "done", (long long)reload->done);
	json_out_number(out, "failed", (long long)reload->failed);
	json_out_text(out, "error", reload->error[0] ? reload->error : NULL);
	json_out_number(out, "retry_seconds", reload->retry_seconds);
	json_out_close(out);
}

static void write_history(struct state *state, struct json_out *out)
{
	struct moment *moments = malloc(HISTORY_MAX * sizeof *moments);
	size_t count = moments ? state_history(state, moments) : 0;
	json_out_number(out, "history_seconds", HISTORY_SECONDS);
	json_out_list(out, "history");
	for (size_t i = 0; i < count; i++) {
		const struct moment *moment = &moments[i];
		json_out_list(out, NULL);
		json_out_number(out, NULL, moment->at_ms);
		json_out_number(out, NULL, (long long)moment->active);
		json_out_number(out, NULL, (long long)moment->connections);
		json_out_number(out, NULL, (long long)moment->up);
		json_out_number(out, NULL, (long long)moment->down);
		json_out_number(out, NULL, (long long)moment->refused);
		json_out_close(out);
	}
	json_out_close(out);
	free(moments);
}

static void write_end_reasons(struct state *state, struct json_out *out)
{
	struct totals totals;
	state_totals(state, &totals);
	json_out_object(out, "end_reasons");
	for (unsigned i = 0; i < END_REASONS; i++)
		if (totals.end_reasons[i] > 0)
			json_out_number(
				out, end_reason_info(i)->name, (long long)totals.end_reasons[i]);
	json_out_close(out);
}

static int busiest_first(const void *one, const void *other)
{
	const struct route_stats_row *a = one, *b = other;
	unsigned long long a_bytes = a->up + a->down, b_bytes = b->up + b->down;
	if (a->active != b->active)
		return a->active > b->active ? -1 : 1;
	if (a_bytes != b_bytes)
		return a_bytes > b_bytes ? -1 : 1;
	return a->connections == b->connections ? 0 : a->connections > b->connections ? -1 : 1;
}

static void write_route(struct json_out *out, const struct route_stats_row *row)
{
	json_out_object(out, NULL);
	json_out_text(out, "route", row->host);
	json_out_text(out, "alpn", row->alpn[0] ? row->alpn : NULL);
	json_out_text(out, "mode",
		row->host[0] == '_'
			? NULL
			: mode_name(row->is_terminated ? MODE_TERMINATE : MODE_PASSTHROUGH));
	json_out_number(out, "active", row->active);
	json_out_number(out, "connections", (long long)row->connections);
	json_out_number(out, "up", (long long)row->up);
	json_out_number(out, "down", (long long)row->down);
	json_out_number(out, "errors", (long long)row->errors);
	json_out_close(out);
}

static void write_routes(struct route_stats_table *table, struct json_out *out)
{
	size_t count, shown = 0;
	struct route_stats_row *rows = route_stats_rows(table, &count);
	if (count > 0)
		qsort(rows, count, sizeof *rows, busiest_first);
	json_out_list(out, "routes");
	for (size_t i = 0; i < count && shown < SHOWN_ROUTES; i++)
		if (rows[i].connections > 0) {
			write_route(out, &rows[i]);
			shown++;
		}
	json_out_close(out);
	free(rows);
}

static void write_server(struct json_out *out, const struct server_row *row)
{
	struct server_state *state = (struct server_state *)row->state;
	json_out_object(out, NULL);
	json_out_text(out, "server", row->text);
	json_out_text(out, "state",
		row->is_drained             ? "drained"
			: !state            ? "not watched"
			: server_is_up(row) ? "up"
					    : "down");
	json_out_flag(out, "checked", row->is_checked);
	if (state) {
		json_out_number(out, "active", atomic_load(&state->active));
		json_out_number(out, "failures", atomic_load(&state->failures));
	}
	json_out_close(out);
}

/* Trouble first. */
static int worst_first(const void *one, const void *other)
{
	const struct server_row *a = one, *b = other;
	int a_rank = server_is_up(a) ? a->is_drained ? 1 : a->state ? 2 : 3 : 0;
	int b_rank = server_is_up(b) ? b->is_drained ? 1 : b->state ? 2 : 3 : 0;
	return a_rank != b_rank ? a_rank - b_rank : strcmp(a->text, b->text);
}

void page_write_servers(const struct routes *routes, size_t max, struct json_out *out)
{
	size_t count;
	struct server_row *rows = inventory_servers(routes, &count);
	if (count > 0)
		qsort(rows, count, sizeof *rows, worst_first);
	json_out_list(out, "servers");
	for (size_t i = 0; i < count && i < max; i++)
		write_server(out, &rows[i]);
	json_out_close(out);
	free(rows);
}

static void write_refusals(const struct state *state, struct json_out *out)
{
	struct refusal refusals[SHOWN_REFUSALS];
	size_t count = state_refusals(state, refusals, SHOWN_REFUSALS);
	json_out_list(out, "refusals");
	for (size_t i = 0; i < count; i++) {
		json_out_object(out, NULL);
		json_out_number(out, "at_ms", refusals[i].at_ms);
		json_out_text(out, "source", refusals[i].source);
		json_out_text(out, "name", refusals[i].name[0] ? refusals[i].name : NULL);
		json_out_text(out, "reason", end_reason_info(refusals[i].end_reason)->name);
		json_out_text(out, "why", refusals[i].why);
		json_out_close(out);
	}
	json_out_close(out);
}

unsigned page_status_json(struct state *state, struct strbuf *body)
{
	struct json_out out = {.text = body};
	struct published_state published;
	state_read(state, &published);
	json_out_object(&out, NULL);
	page_write_process(state, &published, &out);
	page_write_reload(&published.reload, &out);
	write_history(state, &out);
	write_end_reasons(state, &out);
	write_routes(state_of_setup(state)->table, &out);
	page_write_servers(published.routes, SHOWN_SERVERS, &out);
	page_write_certificates(published.routes, SHOWN_CERTIFICATES, &out);
	write_refusals(state, &out);
	json_out_close(&out);
	strbuf_printf(body, "\n");
	routes_unref(published.routes);
	return 200;
}

unsigned page_metrics(struct state *state, struct strbuf *out)
{
	metrics_write(state, out);
	return 200;
}

/* The page itself, status.html, as the assembler takes it in (the Makefile knows of it). */
__asm__(".pushsection .rodata\n"
	".hidden gatehouse_status_html\n.global gatehouse_status_html\n"
	"gatehouse_status_html:\n.incbin \"src/admin/status.html\"\n"
	".hidden gatehouse_status_html_end\n.global gatehouse_status_html_end\n"
	"gatehouse_status_html_end:\n.byte 0\n.popsection\n");
extern const char gatehouse_status_html[], gatehouse_status_html_end[];

unsigned page_status(struct state *state, struct strbuf *out)
{
	(void)state;
	strbuf_append(out, gatehouse_status_html,
		(size_t)(gatehouse_status_html_end - gatehouse_status_html));
	return 200;
}
