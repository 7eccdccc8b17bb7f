#!/bin/bash
# Listen addresses that include one another: they work beside each other, each with its own connections, and a
# reload exchanges one for another without losing a connection.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo back
hello --sni a.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
free_port front
free_port health

config() { # LISTEN HEALTH
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [$1], "workers": 2,
			"hosts": {"a.test": {"mode": "passthrough", "backend": "$back"}},
			"health": {"enabled": true, "listen": "$2"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
echoes() { # ADDRESS
	talk --hello "$TMP/hello" --skip "$hello_size" --timeout 10 "$1:$front" exchange=1000 fin wait 2>&1 |
		grep -q 'received 1000 '
}
healthy() { # ADDRESS
	is "/healthz at $1" "$(curl -s -g -o /dev/null -w '%{http_code}' "http://$1:$health/healthz")" 200
}
reloads=0
reload_to() { # LISTEN HEALTH
	config "$@"
	reloads=$((reloads + 1))
	is_done() { [[ $(log_count msg=reloaded took_ms) -ge $reloads ]]; }
	ok "a reload to $1" wait_for "$PATIENCE" is_done
}

config "\"0.0.0.0:$front\", \"[::]:$front\", \"127.0.0.1:$front\"" "127.0.0.1:$health"
is "check has no objection" "$("$GATEHOUSE" check -c "$TMP/config.json" >/dev/null 2>&1; echo $?)" 0
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
for at in 127.0.0.1 127.0.0.2 '[::1]'; do
	ok "a connection to $at" echoes "$at"
done
logs "the address that is most exact has it" msg=connection "listener=127.0.0.1:$front"
logs "IPv4 has what is IPv4" msg=connection "listener=0.0.0.0:$front" client
logs "and IPv6 the rest" msg=connection "listener=[::]:$front"
config "\"0.0.0.0:$front\"" "127.0.0.1:$health"
start_gatehouse --as second "$TMP/config.json" && fail "a second gatehouse is refused"
like "a second gatehouse is refused" "$(cat "$TMP/second.err")" 'address in use: another program'
LOG=$TMP/gatehouse.err

# Meanwhile there are connections, one after another.
reloads=$(log_count msg=reloaded took_ms)
connecting() {
	local count=0
	while [[ ! -e $TMP/enough ]]; do
		echoes 127.0.0.1 || echo "connection $count failed"
		count=$((count + 1))
	done
	echo "made $count"
}
config "\"127.0.0.1:$front\"" "127.0.0.1:$health"
wait_for 1 false
reloads=$(log_count msg=reloaded took_ms)
connecting >"$TMP/connecting" 2>&1 &
loop=$!
reload_to "\"0.0.0.0:$front\"" "0.0.0.0:$health"
healthy 127.0.0.2
reload_to "\"[::]:$front\"" "[::]:$health"
healthy '[::1]'
reload_to "\":$front\"" ":$health"
healthy 127.0.0.1
reload_to "\"127.0.0.1:$front\"" "127.0.0.1:$health"
healthy 127.0.0.1
reload_to "\"[::]:$front\", \"0.0.0.0:$front\"" "0.0.0.0:$health"
: >"$TMP/enough"
wait "$loop"
note "$(tail -n 1 "$TMP/connecting")"
is "no connection was lost" "$(grep -v '^made' "$TMP/connecting")" ''

config "\":$front\", \"[::]:$front\"" "127.0.0.1:$health"
like "the same address twice is an error" "$("$GATEHOUSE" check -c "$TMP/config.json" 2>&1)" \
	'listen\[1\]: the same address as .*listen\[0\]'
ok "it ends well" stop_gatehouse
done_testing
