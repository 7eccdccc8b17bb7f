#!/bin/bash
# What Prometheus reads: well-formed, true, up to date for connections that live, bounded in number.
# needs: prometheus
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site app.test mtls.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client
start_echo back
free_port front
claim_metrics

write_config() { # HOST...: each passed through as well
	local host more=
	for host; do
		more+="\"$host\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"},"
	done
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "workers": 2,
			"hosts": { $more
				"app.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$back"},
				"mtls.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": ["$back", "127.0.0.1:1"],
					"client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["alice"]}}
			},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

shows() { # NAME-WITH-LABELS VALUE
	scrape && [[ $(metric "$1") == "$2" ]]
}

comes_to_show() { # DESCRIPTION NAME-WITH-LABELS VALUE
	if wait_for "$PATIENCE" shows "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "     got: $2 $(metric "$2")" "expected: $3"
	fi
}

visit() { # NAME [OPTION...]: a connection that comes and goes
	local name=$1
	shift
	talk --tls --sni "$name" "$@" "127.0.0.1:$front" fin wait >/dev/null 2>&1
}

write_config dead.test
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
scrape
is "promtool finds nothing" "$(promtool check metrics <"$TMP/metrics" 2>&1)" ""
is "nobody yet" "$(metric gatehouse_connections_total)" 0

spawn long talk --tls --sni app.test "127.0.0.1:$front" exchange=100000 recv=1
comes_to_show "one is there" gatehouse_active_connections 1
comes_to_show "its bytes show while it lives: up" 'gatehouse_bytes_total{direction="up"}' 100000
comes_to_show "and down" 'gatehouse_bytes_total{direction="down"}' 100000
is "by route" "$(metric 'gatehouse_route_bytes_total{route="app.test",alpn="",direction="up"}')" 100000
is "open, by route" "$(metric 'gatehouse_route_active_connections{route="app.test",alpn=""}')" 1
is "a handshake" "$(metric gatehouse_tls_handshake_duration_seconds_count)" 1
is "no end yet" "$(metric gatehouse_connection_duration_seconds_count)" 0
stop "$long_pid"
comes_to_show "it has gone" gatehouse_active_connections 0
is "its end is counted" "$(metric gatehouse_connection_duration_seconds_count)" 1
is "its bytes once" "$(metric 'gatehouse_bytes_total{direction="up"}')" 100000

for name in alice mallory; do
	visit mtls.test --cert "$PKI/$name.crt" --key "$PKI/$name.key"
done
comes_to_show "alice is admitted" 'gatehouse_acl_decisions_total{result="allowed"}' 1
comes_to_show "mallory is not" 'gatehouse_acl_decisions_total{result="denied"}' 1
comes_to_show "which is why it ended" \
	'gatehouse_connections_ended_total{reason="not_admitted"}' 1
visit mtls.test
comes_to_show "none at all is a failed handshake" \
	'gatehouse_connections_ended_total{reason="handshake"}' 1
visit dead.test
comes_to_show "a dead backend" gatehouse_dial_errors_total 1
is "by why" "$(metric 'gatehouse_connections_ended_total{reason="dial"}')" 1
is "by route" "$(metric 'gatehouse_route_errors_total{route="dead.test",alpn=""}')" 1
rawclient --text 'GET / HTTP/1.1' "127.0.0.1:$front" >/dev/null 2>&1
comes_to_show "what is no TLS" 'gatehouse_hello_errors_total{kind="not_tls"}' 1
printf '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00' >"$TMP/broken"
rawclient --file "$TMP/broken" "127.0.0.1:$front" >/dev/null 2>&1
comes_to_show "what is a broken hello" 'gatehouse_hello_errors_total{kind="broken"}' 1

before=$(wc -l <"$TMP/metrics")
for i in {1..40}; do visit "unknown$i.test"; done
comes_to_show "40 unknown names" 'gatehouse_connections_ended_total{reason="no_host"}' 40
is "make no new series" "$(wc -l <"$TMP/metrics")" "$before"

endings=$(awk '/^gatehouse_connections_ended_total/ { sum += $2 } END { print sum }' "$TMP/metrics")
is "every connection has ended once" "$endings" "$(metric gatehouse_connections_total)"

write_config other.test
logs "a reload" msg=reloaded
comes_to_show "is counted" 'gatehouse_reloads_total{result="ok"}' 1
is "took some time" "$(awk '/^gatehouse_reload_duration_seconds/ && $2 > 0 { print "yes" }' "$TMP/metrics")" yes
is "a route that stays goes on counting" \
	"$(metric 'gatehouse_route_bytes_total{route="app.test",alpn="",direction="up"}')" 100000
wait_for "$PATIENCE" shows gatehouse_snapshots 1
scrape
is "one that has gone has no series" \
	"$(metric 'gatehouse_route_connections_total{route="dead.test",alpn=""}')" ""
is "the old snapshot is gone" "$(metric gatehouse_snapshots)" 1
echo '{' >"$TMP/config.json"
comes_to_show "a mistake is counted" 'gatehouse_reloads_total{result="failed"}' 1
is "and shows" "$(metric gatehouse_reload_last_successful)" 0

expires=$(date -d "$(openssl x509 -in "$PKI/site.crt" -noout -enddate | cut -d= -f2)" +%s)
is "when the certificate expires" \
	"$(metric "gatehouse_certificate_not_after_seconds{file=\"$PKI/site.crt\"}")" "$expires"
is "a server of two" "$(metric "gatehouse_backend_up{server=\"$back\"}")" 1
isnt "descriptors" "$(metric process_open_fds)" ""
is "promtool finds nothing still" "$(promtool check metrics <"$TMP/metrics" 2>&1)" ""
ok "gatehouse ends well" stop_gatehouse
done_testing
