#!/bin/bash
# A connection that relays keeps its route, not the whole configuration that it began with: however many reloads
# come, one table of hosts lives, and the connections do.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

RELOADS=6
HOSTS=20000

pki_ca root
pki_cert root site app.test mtls.test
pki_cert root alice --cn alice --eku client
start_echo back
free_port front
claim_metrics

write_config() { # NUMBER CN
	{
		cat <<-CONFIG
			{
				"listen": "127.0.0.1:$front", "workers": 2,
				"control": {"socket": "$TMP/control"},
				$METRICS,
				"hosts": {
				"app.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "max_connections": 100,
					"backend": ["$back", "$back"]},
				"mtls.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$back", "revalidate": true,
					"client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["$2"]}},
		CONFIG
		seq -f '"h%.0f.test": {"mode": "passthrough", "backend": "127.0.0.1:1"},' "$HOSTS"
		echo "\"n$1.test\": {\"mode\": \"passthrough\", \"backend\": \"127.0.0.1:1\"}}}"
	} >"$TMP/next"
	mv "$TMP/next" "$TMP/config.json"
}

shows() { # NAME-WITH-LABELS VALUE
	scrape && [[ $(metric "$1") == "$2" ]]
}

has_reloaded() { # COUNT
	[[ $(log_count msg=reloaded) == "$1" ]]
}

sessions_of() { # ROUTE COUNT
	[[ $("$GATEHOUSE" ctl --socket "$TMP/control" --json sessions --route "$1" | grep -o '"id"' | wc -l) == "$2" ]]
}

write_config 0 alice
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
spawn mtls talk --tls --sni mtls.test --cert "$PKI/alice.crt" --key "$PKI/alice.key" "127.0.0.1:$front" \
	exchange=10 wait
ok "one with a certificate relays" wait_for "$PATIENCE" sessions_of mtls.test 1
for ((i = 1; i <= RELOADS; i++)); do
	spawn "idle$i" talk --tls --sni app.test "127.0.0.1:$front" exchange=10 wait
	wait_for "$PATIENCE" sessions_of app.test "$i" || bail_out "client $i is not there"
	write_config "$i" alice
	wait_for "$PATIENCE" has_reloaded "$i" || bail_out "no reload $i"
done
ok "one snapshot is left" wait_for "$PATIENCE" shows gatehouse_snapshots 1
is "the connections live" "$(metric gatehouse_active_connections)" $((RELOADS + 1))
is "and count for their route" \
	"$(metric 'gatehouse_route_active_connections{route="app.test",alpn=""}')" "$RELOADS"
ok "they are shown with their route" sessions_of app.test "$RELOADS"

write_config $((RELOADS + 1)) bob
logs "a certificate that the newest rules refuse is found" reason=revalidated route=mtls.test
stop "$idle1_pid"
ok "one that ends leaves the others" wait_for "$PATIENCE" sessions_of app.test $((RELOADS - 1))
ok "they are closed by the name of their route" \
	"$GATEHOUSE" ctl --socket "$TMP/control" kill --route app.test
ok "all of them" wait_for "$PATIENCE" shows gatehouse_active_connections 0
is "the slots of the route are free" \
	"$(metric 'gatehouse_route_active_connections{route="app.test",alpn=""}')" 0
ok "gatehouse ends" stop_gatehouse
done_testing
