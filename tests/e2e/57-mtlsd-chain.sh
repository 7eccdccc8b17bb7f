#!/bin/bash
# What mtlsd does: a caller speaks plainly to a client daemon, which takes it by mutual TLS to a
# server daemon, which takes it plainly to the service. Both daemons are gatehouse, in two processes
# or in one; certificates are renewed on both sides while connections come, and none is lost.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server --eku server localhost
pki_cert ca client --eku client --cn frontend-service --org shop
pki_cert ca other --eku client --cn reporting-service
start_echo service --greet "echo: "
free_port server
free_port client
free_port single_server
free_port single_client

SERVER='"*": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
	"ca": "pki/ca.crt", "client_auth": "required", "min_version": "TLS1.2",
	"acl": {"allow_cn": ["frontend-service"]}, "backend": "'$service'"}'
CLIENT='"cert": "pki/client.crt", "key": "pki/client.key", "ca": "pki/ca.crt",
	"server_name": "localhost", "min_version": "TLS1.2"'
PROXY='"proxy": {"dial_timeout": "10s", "idle_timeout": "90s", "max_connections": 1000}'

cat >"$TMP/server.json" <<CONFIG
{"listen": "127.0.0.1:$server", $PROXY, "hosts": {$SERVER}}
CONFIG
cat >"$TMP/client.json" <<CONFIG
{"forwards": [{"listen": "127.0.0.1:$client", "target": "127.0.0.1:$server", $CLIENT}], $PROXY}
CONFIG
cat >"$TMP/both.json" <<CONFIG
{"listen": "127.0.0.1:$single_server", $PROXY, "hosts": {$SERVER},
	"forwards": [{"listen": "127.0.0.1:$single_client", "target": "127.0.0.1:$single_server", $CLIENT}]}
CONFIG

start_gatehouse --as server "$TMP/server.json" || bail_out "no server daemon"
start_gatehouse --as client "$TMP/client.json" || bail_out "no client daemon"

say() { # PORT TEXT: what comes back
	rawclient --text "$2" --half-close --raw --timeout "$PATIENCE" "127.0.0.1:$1" 2>/dev/null
}

# --- the chain ---------------------------------------------------------------------------------

is "a word through all four" "$(say "$client" "hello mtlsd")" "echo: hello mtlsd"
LOG=$TMP/server.err
logs "the server daemon tells who it was" msg=connection mode=terminate sni=localhost \
	"identity=O=shop,CN=frontend-service" "upstream=$service" end=done
LOG=$TMP/client.err
logs "the client daemon tells where it went" msg=connection mode=forward \
	"upstream=127.0.0.1:$server" end=done

head -c 20000000 /dev/urandom >"$TMP/data"
rawclient --file "$TMP/data" --half-close --raw --timeout 60 "127.0.0.1:$client" \
	>"$TMP/back" 2>/dev/null
is "megabytes through all four" "$(tail -c +7 "$TMP/back" | sha256sum)" "$(sha256sum <"$TMP/data")"

heard=$(accepts service)
sed "s,pki/client,pki/other,g; s,127.0.0.1:$client,unix:$TMP/denied.sock," \
	"$TMP/client.json" >"$TMP/denied.json"
start_gatehouse --as denied "$TMP/denied.json" || bail_out "no third daemon"
is "one that the list does not name gets nothing" \
	"$(rawclient --text hi --half-close --raw "unix:$TMP/denied.sock" 2>/dev/null)" ""
logs "and its own daemon says why" msg=connection level=warning \
	"end=upstream: peer sent: sslv3 alert handshake failure"
is "the service has heard nothing of it" "$(accepts service)" "$heard"
LOG=$TMP/server.err
logs "the server daemon tells whom it refused" msg=connection identity=CN=reporting-service
ok "the third ends well" stop_gatehouse --as denied

# --- certificates are renewed ------------------------------------------------------------------

serial() { # FILE
	openssl x509 -noout -serial -in "$1"
}

served() { # PORT
	openssl s_client -connect "127.0.0.1:$1" -servername localhost -cert "$PKI/client.crt" \
		-key "$PKI/client.key" </dev/null 2>/dev/null | openssl x509 -noout -serial
}

# Callers, one connection after the other, until $TMP/enough is there.
keep_calling() { # NAME PORT
	local calls=0 failures=0
	while [[ ! -e $TMP/enough ]]; do
		calls=$((calls + 1))
		[[ $(say "$2" "$1 $calls") == "echo: $1 $calls" ]] || failures=$((failures + 1))
	done
	echo "$calls $failures" >"$TMP/$1.calls"
}

has_reloaded() { # NAME COUNT
	LOG=$TMP/$1.err
	(($(log_count msg=reloaded took_ms) >= $2))
}

renew() { # NAME OPTION...: by renaming over it, as most tools do, or by copying, key first
	local name=$1
	shift
	pki_cert ca new "$@"
	if ((round % 2)); then
		cp "$PKI/new.key" "$PKI/$name.key"
		cp "$PKI/new.crt" "$PKI/$name.crt"
	else
		cp "$PKI/new.crt" "$PKI/.crt"
		cp "$PKI/new.key" "$PKI/.key"
		mv "$PKI/.crt" "$PKI/$name.crt"
		mv "$PKI/.key" "$PKI/$name.key"
	fi
}

for caller in a b c; do
	keep_calling "$caller" "$client" &
	callers+=("$!")
done
for round in 1 2 3 4; do
	before=$(grep -c 'msg=reloaded .*took_ms' "$TMP/server.err")
	renew server --eku server localhost
	wait_for "$PATIENCE" has_reloaded server "$((before + 1))" || diag "the server did not reload"
	before=$(grep -c 'msg=reloaded .*took_ms' "$TMP/client.err")
	renew client --eku client --cn frontend-service --ou "round $round"
	wait_for "$PATIENCE" has_reloaded client "$((before + 1))" || diag "the client did not reload"
done
: >"$TMP/enough"
wait "${callers[@]}"
calls=0 failures=0
while read -r more failed; do
	calls=$((calls + more))
	failures=$((failures + failed))
done < <(cat "$TMP"/?.calls)
note "$calls connections"
is "eight renewals during a stream of connections: none is lost" "$failures" 0
ok "and there were many" test "$calls" -gt 50
is "the new certificate is served" "$(served "$server")" "$(serial "$PKI/server.crt")"
say "$client" last >/dev/null
LOG=$TMP/server.err
logs "and the new one is shown" msg=connection "identity=OU=round 4,CN=frontend-service"

# A connection that stands is none of the renewal's business.
heard=$(accepts service)
spawn stays rawclient --hold 60 --half-close "127.0.0.1:$client"
wait_for "$PATIENCE" has_accepted service "$((heard + 1))" || bail_out "no connection"
kill -HUP "$server_pid" "$client_pid"
logs "SIGHUP is a reload" "msg=reloaded: nothing had changed"
ok "a connection that stands goes on" is_running "$stays_pid"
stop "$stays_pid"

# --- both in one -------------------------------------------------------------------------------

ok "the client daemon ends well" stop_gatehouse --as client
ok "the server daemon ends well" stop_gatehouse --as server
start_gatehouse "$TMP/both.json" || bail_out "no gatehouse"
is "both roles in one process" "$(say "$single_client" "hello twice")" "echo: hello twice"
logs "its log has the one" msg=connection mode=forward end=done
logs "and the other" msg=connection mode=terminate "identity=OU=round 4,CN=frontend-service" end=done
ok "it ends well" stop_gatehouse
done_testing
