#include "admin/pages.h"

#include "admin/inventory.h"
#include "admin/metrics.h"
#include "admin/process.h"

#include <stdlib.h>
#include <unistd.h>

/* What fits on a page that people read. */
#define SHOWN_ROUTES       50
#define SHOWN_SERVERS      100
#define SHOWN_CERTIFICATES 50
#define SHOWN_REFUSALS     20

static const char *state_of(const struct published_state *told)
{
	if (told->is_stopping)
		return "stopping";
	return told->is_drained ? "drained" : "serving";
}

void tell_process(struct state *state, const struct published_state *told, struct strbuf *out)
{
	const struct state_setup *setup = state_of_setup(state);
	struct routes_summary summary = routes_summary(told->routes);
	struct process_facts process;
	struct totals totals;
	process_look(&process);
	state_totals(state, &totals);
	json_text(out, "version", setup->version);
	json_number(out, "pid", getpid());
	json_text(out, "state", state_of(told));
	json_text(out, "drained", told->drained[0] ? told->drained : NULL);
	json_date(out, "started", state_started(state));
	json_number(out, "uptime_seconds", (long long)(time(NULL) - state_started(state)));
	json_text(out, "config", setup->path);
	json_text(out, "listen", told->listens);
	json_number(out, "workers", setup->workers);
	json_number(out, "hosts", (long long)summary.hosts);
	json_number(out, "active", (long long)totals.active);
	json_number(out, "connections", (long long)totals.connections);
	json_number(out, "refused", (long long)totals.refused);
	json_number(out, "dial_errors", (long long)totals.dial_errors);
	json_number(out, "bytes_up", (long long)totals.up);
	json_number(out, "bytes_down", (long long)totals.down);
	json_number(out, "open_fds", (long long)process.open_fds);
	json_number(out, "max_fds", (long long)process.max_fds);
	json_number(out, "resident_bytes", (long long)process.resident_bytes);
	json_number(out, "pipes_in_use", (long long)totals.pipes);
	json_number(out, "snapshots", told->generations);
	json_real(out, "loop_turn_max_ms", (double)totals.turn_us / 1000);
}

void tell_reload(const struct reload_facts *reload, struct strbuf *out)
{
	static const char *const outcomes[] = {[RELOAD_NEVER] = "started",
		[RELOAD_DONE] = "reloaded",
		[RELOAD_UNCHANGED] = "unchanged",
		[RELOAD_REFUSED] = "refused"};
	json_open(out, "reload", '{');
	json_text(out, "outcome", outcomes[reload->outcome]);
	json_date(out, "at", reload->at);
	json_date(out, "succeeded_at", reload->succeeded_at);
	json_real(out, "took_ms", (double)reload->took_us / 1000);
	json_number(out, "added", (long long)reload->added);
	json_number(out, "removed", (long long)reload->removed);
	json_number(out, "changed", (long long)reload->changed);
	json_number(out, "done", (long long)reload->done);
	json_number(out, "failed", (long long)reload->failed);
	json_text(out, "error", reload->error[0] ? reload->error : NULL);
	json_close(out, '}');
}

static void tell_history(struct state *state, struct strbuf *out)
{
	struct moment *moments = malloc(HISTORY_MAX * sizeof *moments);
	size_t count = moments ? state_history(state, moments) : 0;
	json_number(out, "history_seconds", HISTORY_SECONDS);
	json_open(out, "history", '[');
	for (size_t i = 0; i < count; i++) {
		const struct moment *moment = &moments[i];
		json_open(out, NULL, '[');
		json_number(out, NULL, moment->at_ms);
		json_number(out, NULL, (long long)moment->active);
		json_number(out, NULL, (long long)moment->connections);
		json_number(out, NULL, (long long)moment->up);
		json_number(out, NULL, (long long)moment->down);
		json_number(out, NULL, (long long)moment->refused);
		json_close(out, ']');
	}
	json_close(out, ']');
	free(moments);
}

static void tell_endings(struct state *state, struct strbuf *out)
{
	struct totals totals;
	state_totals(state, &totals);
	json_open(out, "end_reasons", '{');
	for (unsigned i = 0; i < END_REASONS; i++)
		if (totals.end_reasons[i] > 0)
			json_number(
				out, end_reason_info(i)->name, (long long)totals.end_reasons[i]);
	json_close(out, '}');
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

static void tell_route(struct strbuf *out, const struct route_stats_row *row)
{
	json_open(out, NULL, '{');
	json_text(out, "route", row->host);
	json_text(out, "alpn", row->alpn[0] ? row->alpn : NULL);
	json_text(out, "mode",
		row->host[0] == '_'          ? NULL
			: row->is_terminated ? "terminate"
					     : "passthrough");
	json_number(out, "active", row->active);
	json_number(out, "connections", (long long)row->connections);
	json_number(out, "up", (long long)row->up);
	json_number(out, "down", (long long)row->down);
	json_number(out, "errors", (long long)row->errors);
	json_close(out, '}');
}

static void tell_tallies(struct route_stats_table *table, struct strbuf *out)
{
	size_t count, shown = 0;
	struct route_stats_row *rows = route_stats_rows(table, &count);
	if (count > 0)
		qsort(rows, count, sizeof *rows, busiest_first);
	json_open(out, "routes", '[');
	for (size_t i = 0; i < count && shown < SHOWN_ROUTES; i++)
		if (rows[i].connections > 0) {
			tell_route(out, &rows[i]);
			shown++;
		}
	json_close(out, ']');
	free(rows);
}

static void tell_server(struct strbuf *out, const struct server_row *row)
{
	struct server_state *state = (struct server_state *)row->state;
	json_open(out, NULL, '{');
	json_text(out, "server", row->text);
	json_text(out, "state",
		row->is_drained             ? "drained"
			: !state            ? "not watched"
			: server_is_up(row) ? "up"
					    : "down");
	json_flag(out, "checked", row->is_checked);
	if (state) {
		json_number(out, "active", atomic_load(&state->active));
		json_number(out, "failures", atomic_load(&state->failures));
	}
	json_close(out, '}');
}

/* Trouble first. */
static int worst_first(const void *one, const void *other)
{
	const struct server_row *a = one, *b = other;
	int a_rank = server_is_up(a) ? a->is_drained ? 1 : a->state ? 2 : 3 : 0;
	int b_rank = server_is_up(b) ? b->is_drained ? 1 : b->state ? 2 : 3 : 0;
	return a_rank != b_rank ? a_rank - b_rank : strcmp(a->text, b->text);
}

void tell_servers(const struct routes *routes, size_t most, struct strbuf *out)
{
	size_t count;
	struct server_row *rows = inventory_servers(routes, &count);
	if (count > 0)
		qsort(rows, count, sizeof *rows, worst_first);
	json_open(out, "servers", '[');
	for (size_t i = 0; i < count && i < most; i++)
		tell_server(out, &rows[i]);
	json_close(out, ']');
	free(rows);
}

static void tell_refusals(const struct state *state, struct strbuf *out)
{
	struct refusal refusals[SHOWN_REFUSALS];
	size_t count = state_refusals(state, refusals, SHOWN_REFUSALS);
	json_open(out, "refusals", '[');
	for (size_t i = 0; i < count; i++) {
		json_open(out, NULL, '{');
		json_number(out, "at_ms", refusals[i].at_ms);
		json_text(out, "source", refusals[i].source);
		json_text(out, "name", refusals[i].name[0] ? refusals[i].name : NULL);
		json_text(out, "reason", end_reason_info(refusals[i].end_reason)->name);
		json_text(out, "why", refusals[i].why);
		json_close(out, '}');
	}
	json_close(out, ']');
}

unsigned page_status_json(struct state *state, struct strbuf *out)
{
	struct published_state told;
	state_read(state, &told);
	json_open(out, NULL, '{');
	tell_process(state, &told, out);
	tell_reload(&told.reload, out);
	tell_history(state, out);
	tell_endings(state, out);
	tell_tallies(state_of_setup(state)->table, out);
	tell_servers(told.routes, SHOWN_SERVERS, out);
	tell_certificates(told.routes, SHOWN_CERTIFICATES, out);
	tell_refusals(state, out);
	json_close(out, '}');
	strbuf_printf(out, "\n");
	routes_unref(told.routes);
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
