#!/bin/bash
# "workers": so many threads, and each takes its share; "auto": as many as there are processors for us.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo
hello --sni a.test >"$TMP/hello"
free_port front

config() { # WORKERS
	cat <<-CONFIG
		{
			"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock"], "workers": $1,
			"hosts": {"a.test": {"mode": "passthrough", "backend": "$echo"}}
		}
	CONFIG
}

threads() { # the workers among them
	grep -l '^worker-' "/proc/$gatehouse_pid/task"/*/comm | wc -l
}

sessions() { # for each worker: descriptors cannot tell, so the listening sockets do
	awk -v port="$(printf ':%04X' "$front")" '$4 == "0A" && index($2, port)' /proc/net/tcp | wc -l
}

for count in 1 3 8; do
	config "$count" >"$TMP/config.json"
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
	is "$count: threads" "$(threads)" "$count"
	is "$count: each has a listening socket of its own" "$(sessions)" "$count"
	is "$count: the log tells" "$(log_value workers msg=ready)" "$count"
	served=0
	for i in {1..40}; do
		! rawclient --file "$TMP/hello" --until 50 "127.0.0.1:$front" >/dev/null ||
			served=$((served + 1))
	done
	is "$count: everyone is served" "$served" 40
	ok "$count: by a shared socket, too" rawclient --file "$TMP/hello" --until 50 "unix:$TMP/front.sock"
	ok "$count: it ends well" stop_gatehouse
done >"$TMP/tap"
# rawclient's reports are no TAP
grep -v -e '^received' -e '^ended' -e '^after_ms' "$TMP/tap"

usable=$(nproc)
config '"auto"' >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
auto=$(threads)
ok "auto: one for each processor, or fewer if there is a quota ($auto of $usable)" \
	test "$auto" -ge 1 -a "$auto" -le "$usable"
ok "it ends well" stop_gatehouse
first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
GATEHOUSE_WRAP="taskset -c $first $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" ||
	bail_out "no gatehouse"
is "auto, on one processor: one" "$(threads)" 1
ok "it ends well" stop_gatehouse

# More than one worker really works: with 8 connections held in each, all have some.
config 4 >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
switches() { # of each worker, how often it slept
	local task
	for task in /proc/"$gatehouse_pid"/task/*; do
		grep -q '^worker-' "$task/comm" && sed -n 's/^voluntary_ctxt_switches:\t*//p' "$task/status"
	done
}
mapfile -t before < <(switches)
for i in {1..100}; do rawclient --file "$TMP/hello" --until 50 "127.0.0.1:$front" >/dev/null; done
mapfile -t after < <(switches)
idle=0
for i in 0 1 2 3; do ((after[i] - before[i] >= 5)) || idle=$((idle + 1)); done
is "each of four takes its share of a hundred connections" "$idle" 0

config 2 >"$TMP/config.json"
logs "another number takes a restart, and it says so" level=warning \
	'msg=\"workers\" changed: this needs a restart'
is "until then all stays" "$(threads)" 4
ok "it ends well" stop_gatehouse
done_testing
