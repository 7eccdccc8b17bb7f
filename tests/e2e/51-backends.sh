#!/bin/bash
# Servers that refuse, in whole or in part; on unix sockets, by name; and the PROXY header as real
# servers read it.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site
cat "$PKI/site.crt" "$PKI/site.key" >"$PKI/both.pem"
for name in {some,none,unix,named,nobody}.test; do hello --sni "$name" >"$TMP/$name.hello"; done
start_echo echo --greet hi
start_echo onsocket --unix --greet hi
start_nginx proxied http --proxy-protocol
start_nginx proxied_tls tls --cert site --proxy-protocol
free_port dead
free_port dead_too
free_port balancer
free_port front

terminating() { # BACKEND
	echo "{\"mode\": \"terminate\", \"cert\": \"pki/site.crt\", \"key\": \"pki/site.key\", \"backend\": $1}"
}

passing() { # BACKEND
	echo "{\"mode\": \"passthrough\", \"backend\": $1}"
}

proxying() { # ADDRESS VERSION
	echo "{\"servers\": [\"$1\"], \"proxy_protocol\": \"$2\"}"
}

dead="127.0.0.1:$dead"
dead_too="127.0.0.1:$dead_too"
cat >"$TMP/config.json" <<CONFIG
{
	"listen": ["127.0.0.1:$front", "[::1]:$front"],
	"hosts": {
		"some.test": $(passing "[\"$dead\", \"$echo\", \"$dead_too\"]"),
		"none.test": $(passing "[\"$dead\", \"$dead_too\"]"),
		"nobody.test": $(passing "\"no-such-host.invalid:80\""),
		"none-secured.test": $(terminating "\"$dead\""),
		"unix.test": $(passing "\"$onsocket\""),
		"gone.test": $(terminating "\"unix:$TMP/gone.sock\""),
		"named.test": $(passing "\"localhost:${echo##*:}\""),
		"v1.test": $(terminating "$(proxying "$proxied" v1)"),
		"v2.test": $(terminating "$(proxying "$proxied" v2)"),
		"v1-passed.test": $(passing "$(proxying "$proxied_tls" v1)"),
		"v2-passed.test": $(passing "$(proxying "$proxied_tls" v2)"),
		"balanced.test": $(terminating "$(proxying "127.0.0.1:$balancer" v2)")
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

greeted() { # NAME
	[[ $(rawclient --file "$TMP/$1.hello" --until 2 --raw "127.0.0.1:$front" 2>/dev/null |
		head -c 2) == hi ]]
}

# --- who refuses ---

served=0
for i in {1..10}; do ! greeted some.test || served=$((served + 1)); done
is "two of three servers refuse: ten of ten clients are served" "$served" 10
logs "the log names the one that served" msg=connection sni=some.test "upstream=$echo" end=done

rawclient --file "$TMP/none.test.hello" "127.0.0.1:$front" >"$TMP/answer"
is "all refuse: the client sees a reset" "$(tail -n 2 "$TMP/answer" | head -n 1)" 'ended reset'
logs "all refuse: the log says who and why" msg=connection sni=none.test level=warning \
	step=connect_upstream
like "all refuse: in words" "$(log_value end sni=none.test)" \
	"^upstream ($dead|$dead_too): connection refused$"

talk --tls --sni none-secured.test "127.0.0.1:$front" wait >"$TMP/answer"
like "all refuse, with TLS: a reset, and no end" "$(cat "$TMP/answer")" $'\nsaw reset$'
logs "all refuse, with TLS: the log" msg=connection sni=none-secured.test tls=TLSv1.3 \
	"end=upstream $dead: connection refused"

rawclient --file "$TMP/nobody.test.hello" "127.0.0.1:$front" >/dev/null
wait_for "$PATIENCE" has_log sni=nobody.test
like "a name that does not exist" "$(log_value end sni=nobody.test)" '^upstream no-such-host.invalid:80: '

# --- who is found elsewhere ---

ok "a server on a unix socket" greeted unix.test
logs "the log names it" msg=connection sni=unix.test "upstream=$onsocket"
talk --tls --sni gone.test "127.0.0.1:$front" wait >/dev/null
wait_for "$PATIENCE" has_log sni=gone.test
like "a unix socket that is not there" "$(log_value end sni=gone.test)" \
	"^upstream unix:$TMP/gone.sock: No such file"
ok "a server known by name" greeted named.test
logs "the log tells its address" msg=connection sni=named.test "upstream=$echo"

# --- the PROXY header ---

through() { # NAME [ADDRESS]
	https "https://$1/" "${2:-127.0.0.1:$front}" -k
}
is "PROXY v1, as nginx reads it" "$(through v1.test)" 'proxied http HTTP/1.1  127.0.0.1'
is "PROXY v2, as nginx reads it" "$(through v2.test)" 'proxied http HTTP/1.1  127.0.0.1'
is "v1 before TLS that passes" "$(through v1-passed.test)" \
	'proxied_tls https HTTP/1.1 v1-passed.test 127.0.0.1'
is "v2 before TLS that passes" "$(through v2-passed.test)" \
	'proxied_tls https HTTP/1.1 v2-passed.test 127.0.0.1'
if is_listening "::1:$front" || curl -s -k --max-time 5 "https://[::1]:$front/" >/dev/null || [[ $? != 7 ]]; then
	is "an IPv6 client, v1" "$(through v1.test "[::1]:$front")" 'proxied http HTTP/1.1  ::1'
	is "an IPv6 client, v2" "$(through v2.test "[::1]:$front")" 'proxied http HTTP/1.1  ::1'
else
	skip 2 "no IPv6"
fi

if command -v haproxy >/dev/null; then
	cat >"$TMP/haproxy.cfg" <<-CONFIG
		defaults
			mode http
			timeout client 5s
			timeout server 5s
			timeout connect 5s
		frontend balancer
			bind 127.0.0.1:$balancer accept-proxy
			http-request return status 200 content-type text/plain lf-string "%[src] %[dst]:%[dst_port] %[fc_pp_authority]"
	CONFIG
	spawn haproxy haproxy -db -f "$TMP/haproxy.cfg"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$balancer" || bail_out "$(cat "$TMP/haproxy.err")"
	is "v2, as HAProxy reads it: client, our address, and the name" "$(through balanced.test)" \
		"127.0.0.1 127.0.0.1:$front balanced.test"
else
	skip 1 "no haproxy"
fi

ok "it ends well" stop_gatehouse
done_testing
