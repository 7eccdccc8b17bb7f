#!/bin/bash
# Limits hold: connections of a host and of a source, new ones of a source each second; an IPv6 /64 is
# one source, and IPv4 is the same on a dual-stack listener. What is refused is told in the log, and a
# flood of it in few lines.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo --greet hello
cd "$TMP" || bail_out "no $TMP"
hello --sni limit.test >hello.bytes
hello --sni narrow.test >hello.narrow
free_port port
free_port port6
at=127.0.0.1:$port

configure() { # LIMITS
	cat >next.json <<-JSON
		{ "workers": 2, "listen": [ "$at", "[::]:$port6", "unix:$TMP/front.sock",
		    { "address": "unix:$TMP/proxied.sock", "accept_proxy": ["127.0.0.0/8"] } ],
		  "proxy": { "drain_timeout": "100ms", "hello_timeout": "5s"${1:+, $1} }, "hosts": {
		    "limit.test": { "mode": "passthrough", "backend": "$echo" },
		    "narrow.test": { "mode": "passthrough", "backend": "$echo", "max_connections": 3 } } }
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
ask() { # ADDRESS [OPTION of rawclient...]: "hello", or nothing
	rawclient "${@:2}" --file "$TMP/hello.bytes" --until 5 --raw --timeout 5 "$1" 2>/dev/null | head -c 5
}
from() { # SOURCE: a PROXY header that says so
	case $1 in
	*:*) printf 'PROXY TCP6 %s 2001:db8::1 1000 443\r\n' "$1" ;;
	*) printf 'PROXY TCP4 %s 192.0.2.1 1000 443\r\n' "$1" ;;
	esac
}
hold_from() { # NAME COUNT SOURCE
	{ from "$3"; cat hello.bytes; } >"hold.$1"
	spawn "$1" holdmany --count "$2" --file "$TMP/hold.$1" --hold 60 "unix:$TMP/proxied.sock"
	wait_for 5 grep -q holding "$TMP/$1.out"
}
ask_from() { # SOURCE
	from "$1" >"$TMP/from"
	ask "unix:$TMP/proxied.sock" --file "$TMP/from"
}
reaches() { # COUNT: the echo server's
	wait_for 5 has_accepted echo "$1"
}

# --- connections of a host ---

configure ''
start_gatehouse config.json || bail_out "gatehouse does not start"
spawn three holdmany --count 3 --file "$TMP/hello.narrow" --hold 60 "$at"
ok "three of three" reaches 3
is "a fourth is refused with an alert" \
	"$(rawclient --file hello.narrow "$at" | sed -n 's/^received //p')" 15030300020250
logs "and told" route=narrow.test 'end=max_connections of the host reached'
is "another host is not concerned" "$(ask "$at")" hello
touch config.json
configure '"idle_timeout": "50m"'
reloaded || bail_out "no reload"
is "a reload does not make new places" \
	"$(rawclient --file hello.narrow "$at" | sed -n 's/^received //p')" 15030300020250
stop "$three_pid"
is_served() {
	[[ $(rawclient --file hello.narrow --until 5 --raw "$at" 2>/dev/null | head -c 5) == hello ]]
}
ok "when they are gone there are places again" wait_for 5 is_served

# --- connections of a source ---

configure '"max_per_source": 4'
reloaded || bail_out "no reload"
before=$(accepts echo)
hold_from v4 4 192.0.2.4
ok "four of a source" reaches $((before + 4))
is "not a fifth" "$(ask_from 192.0.2.4)" ''
logs "which is told" 'client=192.0.2.4:1000' 'end=max_per_source reached'
is "its neighbour has its own" "$(ask_from 192.0.2.5)" hello
is "v4-mapped is the same source" "$(ask_from ::ffff:192.0.2.4)" ''
before=$(accepts echo)
hold_from v6 4 2001:db8:1:2::1
ok "four of an IPv6 address" reaches $((before + 4))
is "a /64 is one source" "$(ask_from 2001:db8:1:2:ffff:ffff:ffff:ffff)" ''
is "the next is another" "$(ask_from 2001:db8:1:3::1)" hello
stop "$v4_pid"
is_admitted() { # SOURCE
	[[ $(ask_from "$1") == hello ]]
}
ok "places come back" wait_for 5 is_admitted 192.0.2.4
before=$(accepts echo)
spawn local holdmany --count 8 --file "$TMP/hello.bytes" --hold 60 "unix:$TMP/front.sock"
ok "clients on a unix socket are no source" reaches $((before + 8))
stop "$local_pid"
before=$(accepts echo)
spawn dual holdmany --count 4 --file "$TMP/hello.bytes" --hold 60 "127.0.0.1:$port6"
ok "four over IPv4 on the dual-stack listener" reaches $((before + 4))
is "count on the other listener too" "$(ask "$at")" ''
stop "$dual_pid"
stop "$v6_pid"

# --- new ones a second ---

configure '"rate_per_source": 5'
reloaded || bail_out "no reload"
got=
for i in {1..5}; do got+=$(ask_from 198.51.100.1); done
is "five at once" "$got" hellohellohellohellohello
admitted=0 refused=0
begun=${EPOCHREALTIME/./}
for i in {1..40}; do
	if is_admitted 198.51.100.1; then admitted=$((admitted + 1)); else refused=$((refused + 1)); fi
done
took=$(((${EPOCHREALTIME/./} - begun) / 1000))
ok "then five a second: $admitted in $took ms" test "$admitted" -le $((took * 5 / 1000 + 2))
ok "and the rest is refused" test "$refused" -gt 20
is "others are not concerned" "$(ask_from 198.51.100.2)" hello
lines=$(grep -c 'rate_per_source reached' "$LOG")
ok "told in few lines: $lines for $refused" test "$lines" -le 10 # five for each worker
ok "a second later it is admitted again" wait_for 3 is_admitted 198.51.100.1
ok "stops" stop_gatehouse
ok "how many more there were is told" grep -qE 'rate_per_source reached.*count=|count=.*rate_per_source' "$LOG"

done_testing
