#!/bin/bash
# The alert rules that are shipped: a real Prometheus reads the metrics and raises them, and stays
# silent where all is well.
# needs: prometheus
# plain: it is about Prometheus and the rules for it
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root good app.test
pki_cert root old old.test --expired
start_echo back
free_port front
claim_metrics
free_port prometheus

write_config() { # CERTIFICATE BACKEND
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "workers": 1,
			"hosts": {"app.test": {"mode": "terminate", "cert": "pki/$1.crt", "key": "pki/$1.key",
				"backend": {"servers": ["$2"], "health_check":
					{"interval": "100ms", "rise": 1, "fall": 1}}}},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

like "promtool accepts the rules" "$(promtool check rules "$ROOT/conf/alerts.yml" 2>&1)" SUCCESS
# shellcheck disable=SC2016 # of perl
ok "the dashboard is JSON" perl -MJSON::PP -0777 -ne 'decode_json($_)' "$ROOT/conf/grafana-dashboard.json"

# Nobody waits for minutes here: what is waited for is told by the rules and not by their patience.
sed 's/for: [0-9]*m/for: 0s/' "$ROOT/conf/alerts.yml" >"$TMP/alerts.yml"
cat >"$TMP/prometheus.yml" <<CONFIG
global: {scrape_interval: 200ms, evaluation_interval: 200ms, scrape_timeout: 200ms}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: gatehouse
    static_configs: [{targets: ["127.0.0.1:$admin"]}]
CONFIG

raised() { # the names of the alerts that fire
	curl -s "http://127.0.0.1:$prometheus/api/v1/alerts" | perl -MJSON::PP -0777 -ne '
		my %names = map { $_->{labels}{alertname} => 1 }
			grep { $_->{state} eq "firing" } @{decode_json($_)->{data}{alerts}};
		print join(" ", sort keys %names)'
}

raises() { # NAME...
	[[ $(raised) == "$*" ]]
}

knows() { # QUERY: it has an answer
	curl -s -G "http://127.0.0.1:$prometheus/api/v1/query" --data-urlencode "query=$1" |
		grep -q '"value"'
}

write_config good "$back"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
spawn prometheus prometheus --config.file="$TMP/prometheus.yml" --storage.tsdb.path="$TMP/tsdb" \
	--web.listen-address="127.0.0.1:$prometheus" --log.level=warn
ok "Prometheus reads the metrics" wait_for 30 knows 'gatehouse_connections_total == 0'
ok "and the server marked up" wait_for "$PATIENCE" knows 'gatehouse_backend_up == 1'
is "all is well" "$(raised)" ""
write_config good 127.0.0.1:1
ok "a server that is down" wait_for "$PATIENCE" raises GatehouseBackendDown
write_config old "$back"
ok "a certificate that has expired" \
	wait_for "$PATIENCE" raises GatehouseCertificateExpired GatehouseCertificateExpiring
cp "$TMP/config.json" "$TMP/sound.json"
echo '{' >"$TMP/config.json"
ok "a mistake in the configuration" wait_for "$PATIENCE" raises \
	GatehouseCertificateExpired GatehouseCertificateExpiring GatehouseReloadFailing
write_config good "$back"
ok "mended" wait_for "$PATIENCE" raises
ok "gatehouse ends well" stop_gatehouse
ok "no gatehouse" wait_for "$PATIENCE" raises GatehouseDown
stop "$prometheus_pid"

# What takes its time, on a clock of promtool's own.
cat >"$TMP/test.yml" <<TEST
rule_files: [$ROOT/conf/alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'gatehouse_connections_ended_total{reason="handshake", instance="a", job="gatehouse"}'
        values: '0+6x90 600+60x60'
      - series: 'gatehouse_connections_ended_total{reason="handshake", instance="b", job="gatehouse"}'
        values: '0+60x150'
    alert_rule_test:
      - eval_time: 85m
        alertname: GatehouseHandshakeFailuresRising
      - eval_time: 125m
        alertname: GatehouseHandshakeFailuresRising
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, job: gatehouse}
            exp_annotations:
              summary: "TLS handshakes on a fail three times as often as an hour ago"
              description: "1 a second. The newest and their reasons are on the status page."
TEST
like "handshakes that fail more and more" "$(promtool test rules "$TMP/test.yml" 2>&1)" SUCCESS
done_testing
