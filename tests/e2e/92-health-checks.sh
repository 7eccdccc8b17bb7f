#!/bin/bash
# Health checks take a server out after `fall` failures and back in after `rise` answers, with TLS where
# asked; a reload goes on with what is known and puts no check off. A single server may have one.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server '*.check.test'
pki_cert ca good inner.test
pki_cert ca expired inner.test --expired
cd "$TMP" || bail_out "no $TMP"
start_echo a --greet a
start_echo b --greet b
start_nginx good tls --cert good
start_nginx expired tls --cert expired
start_echo notls --greet plain
start_echo alone
free_port port
at=127.0.0.1:$port

configure() { # INTERVAL [MORE]
	local check="\"health_check\": {\"interval\": \"$1\", \"timeout\": \"1s\", \"rise\": 3, \"fall\": 2"
	local term='"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key"'
	local inner='"tls": {"ca": "pki/ca.crt", "server_name": "inner.test"}'
	cat >next.json <<-JSON
		{ "listen": "$at", "workers": 2, "proxy": { "drain_timeout": "1s" ${2:-} }, "hosts": {
		  "pool.check.test": { "mode": "passthrough",
		    "backend": { "servers": ["$a", "$b"], $check} } },
		  "one.check.test": { "mode": "passthrough", "backend": { "servers": ["$alone"], $check} } },
		  "seen.check.test": { "mode": "passthrough",
		    "backend": { "servers": ["$good", "$notls"], $check, "type": "tls"} } },
		  "tls.check.test": { $term,
		    "backend": { "servers": ["$good", "$expired"], $inner, $check, "type": "tls"} } } } }
	JSON
	mv next.json config.json
}
reloads=0
reloaded() {
	reloads=$((reloads + 1))
	wait_for "$PATIENCE" has_reloaded
}
has_reloaded() {
	[[ $(log_count msg=reloaded) == "$reloads" ]]
}
turns() { # UP-OR-DOWN SERVER: how often
	log_count "msg=server marked $1" "server=$2"
}
has_turned() { # UP-OR-DOWN SERVER COUNT
	[[ $(turns "$1" "$2") == "$3" ]]
}

configure 50ms
start_gatehouse config.json || bail_out "gatehouse does not start"
logs "a certificate that has expired: down" 'msg=server marked down' "server=$expired"
like "and why" "$(log_value reason 'msg=server marked down' "server=$expired")" \
	'server certificate: expired at 20'
logs "no TLS where TLS is asked for: down" 'msg=server marked down' "server=$notls"
is "the others are not" "$(turns down "$good") $(turns down "$a") $(turns down "$b")" "0 0 0"
for i in {1..6}; do
	https https://tls.check.test/ "$at" --cacert "$PKI/ca.crt"
done >answers
is "clients go where it is good" "$(sort -u answers)" "good https HTTP/1.1 inner.test 127.0.0.1"

# --- fall and rise ---

hello --sni pool.check.test >hello.pool
ask() {
	rawclient --file hello.pool --until 1 --raw "$at" 2>/dev/null | head -c 1
}
stop "$a_pid"
ok "a dead server: down" wait_for 5 has_turned down "$a" 1
is "nobody is sent there" "$(for i in {1..6}; do ask; done)" bbbbbb
spawn a echod --count "$TMP/a.count" --greet a "$a"
wait_for 5 grep -q listening a.out
ok "back: up" wait_for 5 has_turned up "$a" 1
ok "after three answers" test "$(accepts a)" -ge 3
is_used() {
	[[ $(ask)$(ask)$(ask)$(ask) == *a* ]]
}
ok "at once, whatever connections had thought of it" wait_for 2 is_used

# --- reloads ---

stop "$a_pid"
ok "down again" wait_for 5 has_turned down "$a" 2
configure 50ms ', "idle_timeout": "50m"'
reloaded || bail_out "no reload"
is "a reload does not forget it" "$(for i in {1..6}; do ask; done)" bbbbbb
is "nor tell it again" "$(turns down "$a")" 2
configure 1s
reloaded || bail_out "no reload"
seen=$(accepts b)
for i in 1 2 3 4 5 6; do
	configure 1s ", \"idle_timeout\": \"5${i}m\""
	reloaded || bail_out "no reload"
done
ok "many reloads put no check off" wait_for 2 eval "((\$(accepts b) > seen))"
ok "stops" stop_gatehouse

done_testing
