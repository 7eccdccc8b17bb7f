#include "admin/metrics.h"

#include "admin/inventory.h"
#include "admin/process.h"
#include "base/log.h"
#include "tls/cert/credential.h"

#include <stdlib.h>

static void metric_family(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metric_single(struct strbuf *out, const char *name, const char *type, const char *help,
	unsigned long long value)
{
	metric_family(out, name, type, help);
	strbuf_printf(out, "%s %llu\n", name, value);
}

static void metric_labelled(struct strbuf *out, const char *name, const char *label,
	const char *text, unsigned long long value)
{
	strbuf_printf(out, "%s{%s=", name, label);
	strbuf_label(out, text);
	strbuf_printf(out, "} %llu\n", value);
}

/* Connections. */

struct histogram_sum {
	unsigned long long buckets[HISTOGRAM_MAX + 1], sum_us;
};

static void add_histogram(struct histogram_sum *sum, const struct histogram *histogram)
{
	for (unsigned i = 0; i <= histogram->count; i++)
		sum->buckets[i] += counter_get(&histogram->buckets[i]);
	sum->sum_us += counter_get(&histogram->sum_us);
}

static void metrics_histogram(struct strbuf *out, const char *name, const struct histogram_sum *sum,
	const struct histogram *shape)
{
	unsigned long long below = 0;
	for (unsigned i = 0; i < shape->count; i++) {
		below += sum->buckets[i];
		strbuf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, shape->bounds[i], below);
	}
	below += sum->buckets[shape->count];
	strbuf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, below);
	strbuf_printf(out, "%s_sum %.6f\n", name, (double)sum->sum_us / 1e6);
	strbuf_printf(out, "%s_count %llu\n", name, below);
}

static void metrics_histograms(struct strbuf *out, const struct state_setup *setup)
{
	struct histogram_sum durations = {0}, handshakes = {0};
	for (unsigned i = 0; i < setup->workers; i++) {
		add_histogram(&durations, &setup->counters[i]->durations);
		add_histogram(&handshakes, &setup->counters[i]->handshakes);
	}
	metric_family(out, "gatehouse_connection_duration_seconds", "histogram",
		"From accept to close, of connections that have ended.");
	metrics_histogram(out, "gatehouse_connection_duration_seconds", &durations,
		&setup->counters[0]->durations);
	metric_family(out, "gatehouse_tls_handshake_duration_seconds", "histogram",
		"TLS handshakes with clients that were completed.");
	metrics_histogram(out, "gatehouse_tls_handshake_duration_seconds", &handshakes,
		&setup->counters[0]->handshakes);
}

static void metrics_totals(struct strbuf *out, const struct totals *totals)
{
	metric_single(out, "gatehouse_active_connections", "gauge", "Connections open now.",
		totals->active);
	metric_single(out, "gatehouse_connections_total", "counter", "Connections accepted.",
		totals->connections);
	metric_family(out, "gatehouse_bytes_total", "counter",
		"Bytes delivered: up to upstreams, down to clients.");
	metric_labelled(out, "gatehouse_bytes_total", "direction", "up", totals->up);
	metric_labelled(out, "gatehouse_bytes_total", "direction", "down", totals->down);
	metric_family(out, "gatehouse_acl_decisions_total", "counter",
		"Verified client certificates, admitted or not.");
	metric_labelled(
		out, "gatehouse_acl_decisions_total", "result", "allowed", totals->acl_admitted);
	metric_labelled(
		out, "gatehouse_acl_decisions_total", "result", "denied", totals->acl_denied);
	metric_single(out, "gatehouse_dial_errors_total", "counter",
		"Attempts to reach an upstream that failed.", totals->dial_errors);
}

static void metrics_end_reasons(struct strbuf *out, const struct totals *totals)
{
	metric_family(out, "gatehouse_connections_ended_total", "counter",
		"Connections that have ended, by why.");
	for (unsigned i = 0; i < END_REASONS; i++)
		metric_labelled(out, "gatehouse_connections_ended_total", "reason",
			end_reason_info(i)->name, totals->end_reasons[i]);
	metric_family(out, "gatehouse_prefaces_total", "counter",
		"Prefaces that clients have completed before TLS, by protocol.");
	for (unsigned i = 0; preface_at(i); i++)
		metric_labelled(out, "gatehouse_prefaces_total", "protocol", preface_at(i)->name,
			totals->prefaces[i]);
	metric_family(out, "gatehouse_hello_errors_total", "counter",
		"First bytes that were no ClientHello, or a broken one.");
	metric_labelled(out, "gatehouse_hello_errors_total", "kind", "not_tls",
		totals->end_reasons[END_NOT_TLS]);
	metric_labelled(out, "gatehouse_hello_errors_total", "kind", "broken",
		totals->end_reasons[END_BAD_HELLO]);
}

/* Routes. */

static void route_line(struct strbuf *out, const char *name, const struct route_stats_row *row,
	const char *more, unsigned long long value)
{
	strbuf_printf(out, "%s{route=", name);
	strbuf_label(out, row->host);
	strbuf_append(out, ",alpn=", 6);
	strbuf_label(out, row->alpn);
	strbuf_printf(out, "%s} %llu\n", more, value);
}

static void metrics_routes(struct strbuf *out, struct route_stats_table *table)
{
	size_t count;
	struct route_stats_row *rows = route_stats_rows(table, &count);
	metric_family(out, "gatehouse_route_connections_total", "counter",
		"Connections by route; _none: no route was found; _other: routes beyond the first 1000.");
	for (size_t i = 0; i < count; i++)
		route_line(out, "gatehouse_route_connections_total", &rows[i], "",
			rows[i].connections);
	metric_family(out, "gatehouse_route_active_connections", "gauge",
		"Connections open now, by route.");
	for (size_t i = 0; i < count; i++)
		route_line(out, "gatehouse_route_active_connections", &rows[i], "", rows[i].active);
	metric_family(out, "gatehouse_route_bytes_total", "counter", "Bytes delivered, by route.");
	for (size_t i = 0; i < count; i++) {
		route_line(out, "gatehouse_route_bytes_total", &rows[i], ",direction=\"up\"",
			rows[i].up);
		route_line(out, "gatehouse_route_bytes_total", &rows[i], ",direction=\"down\"",
			rows[i].down);
	}
	metric_family(out, "gatehouse_route_errors_total", "counter",
		"Connections that were refused or failed, by route.");
	for (size_t i = 0; i < count; i++)
		route_line(out, "gatehouse_route_errors_total", &rows[i], "", rows[i].errors);
	free(rows);
}

/* Configuration. */

static void metrics_reloads(struct strbuf *out, const struct reload_facts *reload)
{
	metric_family(out, "gatehouse_reloads_total", "counter", "Reloads of the configuration.");
	metric_labelled(out, "gatehouse_reloads_total", "result", "ok", reload->done);
	metric_labelled(out, "gatehouse_reloads_total", "result", "failed", reload->failed);
	metric_single(out, "gatehouse_reload_last_successful", "gauge",
		"1 when the last reload, or the start, succeeded.",
		reload->outcome != RELOAD_REFUSED);
	metric_single(out, "gatehouse_reload_last_success_timestamp_seconds", "gauge",
		"When the configuration was last loaded and found good.",
		(unsigned long long)reload->succeeded_at);
	metric_family(out, "gatehouse_reload_duration_seconds", "gauge",
		"How long the last good load took.");
	strbuf_printf(
		out, "gatehouse_reload_duration_seconds %.6f\n", (double)reload->took_us / 1e6);
}

static void metrics_certificates(struct strbuf *out, const struct routes *routes)
{
	size_t count;
	struct certificate_row *rows = inventory_certificates(routes, &count);
	metric_family(out, "gatehouse_certificate_not_after_seconds", "gauge",
		"When a certificate expires, in seconds since 1970; the 1000 that do first.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "gatehouse_certificate_not_after_seconds", "file",
			rows[i].credential->cert_stamp.path,
			(unsigned long long)rows[i].credential->not_after);
	free(rows);
}

static void metrics_servers(struct strbuf *out, const struct routes *routes)
{
	size_t count;
	struct server_row *rows = inventory_servers(routes, &count);
	metric_family(out, "gatehouse_backend_up", "gauge",
		"1 while a backend server answers, of those with a choice or a health check.");
	for (size_t i = 0; i < count; i++)
		if (rows[i].state)
			metric_labelled(out, "gatehouse_backend_up", "server", rows[i].text,
				server_is_up(&rows[i]));
	metric_family(out, "gatehouse_backend_active_connections", "gauge",
		"Connections that a backend server has from here.");
	for (size_t i = 0; i < count; i++)
		if (rows[i].state)
			metric_labelled(out, "gatehouse_backend_active_connections", "server",
				rows[i].text,
				atomic_load(&((struct server_state *)rows[i].state)->active));
	metric_family(
		out, "gatehouse_backend_drained", "gauge", "1 while a backend server is drained.");
	for (size_t i = 0; i < count; i++)
		if (rows[i].state || rows[i].is_drained)
			metric_labelled(out, "gatehouse_backend_drained", "server", rows[i].text,
				rows[i].is_drained);
	free(rows);
}

/* The process. */

static void metrics_internals(
	struct strbuf *out, const struct totals *totals, const struct published_state *published)
{
	metric_single(out, "gatehouse_draining", "gauge", "1 while no new connections are taken.",
		published->is_stopping || published->is_drained);
	metric_single(out, "gatehouse_pipes_in_use", "gauge", "Kernel pipes with bytes in transit.",
		totals->pipes);
	metric_single(out, "gatehouse_buffered_bytes", "gauge",
		"Memory for bytes that wait for slow readers.", totals->held);
	metric_single(out, "gatehouse_handshakes_waiting", "gauge",
		"Clients that wait for max_handshakes or handshake_rate.",
		totals->handshakes_waiting);
	metric_single(out, "gatehouse_snapshots", "gauge",
		"Generations of the configuration that some connection still uses.",
		published->generations);
	metric_single(out, "gatehouse_log_lines_lost_total", "counter",
		"Log lines that standard error did not take in time.", log_lost());
	metric_family(out, "gatehouse_loop_turn_max_seconds", "gauge",
		"The longest that one turn of a worker's event loop took, of the last 15 to 30 seconds.");
	strbuf_printf(out, "gatehouse_loop_turn_max_seconds %.6f\n", (double)totals->turn_us / 1e6);
}

static void metrics_process(struct strbuf *out, struct state *state)
{
	struct process_facts process;
	process_look(&process);
	metric_single(out, "process_open_fds", "gauge", "Open file descriptors.", process.open_fds);
	metric_single(out, "process_max_fds", "gauge", "The limit on them.", process.max_fds);
	metric_single(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
		process.resident_bytes);
	metric_family(out, "process_cpu_seconds_total", "counter", "Processor time used.");
	strbuf_printf(out, "process_cpu_seconds_total %.2f\n", process.cpu_seconds);
	metric_single(out, "process_start_time_seconds", "gauge", "When the process began.",
		(unsigned long long)state_started(state));
	metric_family(out, "gatehouse_build_info", "gauge", "The version that runs.");
	metric_labelled(out, "gatehouse_build_info", "version", state_of_setup(state)->version, 1);
	metric_single(out, "gatehouse_workers", "gauge", "Event-loop threads.",
		state_of_setup(state)->workers);
}

void metrics_write(struct state *state, struct strbuf *out)
{
	struct published_state published;
	struct totals totals;
	state_read(state, &published);
	state_totals(state, &totals);
	metrics_totals(out, &totals);
	metrics_end_reasons(out, &totals);
	metrics_histograms(out, state_of_setup(state));
	metrics_routes(out, state_of_setup(state)->table);
	metrics_reloads(out, &published.reload);
	metrics_certificates(out, published.routes);
	metrics_servers(out, published.routes);
	metrics_internals(out, &totals, &published);
	metrics_process(out, state);
	routes_unref(published.routes);
}
