#!/bin/bash
# When descriptors run out accepting pauses, nothing spins, those who are connected notice nothing;
# when there are some again, those who waited are served.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo
hello --sni a.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"workers": 2,
	"hosts": {"a.test": {"mode": "passthrough", "backend": "$echo"}},
	"proxy": {"hello_timeout": "60s"}
}
CONFIG
GATEHOUSE_WRAP="prlimit --nofile=100:100 $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" ||
	bail_out "no gatehouse"

ticks() { # of the processor, that it has used so far
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$gatehouse_pid/stat")"
	echo $((fields[11] + fields[12]))
}

spawn before talk --hello "$TMP/hello" --skip "$hello_size" --timeout 60 "127.0.0.1:$front" \
	exchange=1000 say=begun "file=$TMP/go" exchange=100000 say=more "file=$TMP/gone" \
	exchange=1000 fin wait
ok "a connection" wait_for "$PATIENCE" grep -q begun "$TMP/before.out"

spawn crowd holdmany --count 200 --file "$TMP/hello" --hold 60 "127.0.0.1:$front"
logs "200 more: accepting is paused, and why is told" \
	"msg=accepting paused: out of file descriptors (LimitNOFILE=)"
wait_for "$PATIENCE" grep -q holding "$TMP/crowd.out"
is "all are connected, or wait" "$(cat "$TMP/crowd.out")" "holding 200 failed 0"

began=$(ticks)
wait_for 2 false
used=$(($(ticks) - began))
note "CPU in two seconds of want: $used ticks of $(getconf CLK_TCK) a second"
ok "nothing spins" test "$used" -le $((2 * $(getconf CLK_TCK) / 10))

: >"$TMP/go"
ok "who was there before goes on" wait_for "$PATIENCE" grep -q more "$TMP/before.out"

spawn late talk --hello "$TMP/hello" --skip "$hello_size" --timeout 60 "127.0.0.1:$front" \
	exchange=1000 say=served fin wait
wait_for 1 false
not_ok "who comes now waits" grep -q served "$TMP/late.out"
ok "and is not sent away" is_running "$late_pid"
stop "$crowd_pid"
ok "when the others leave it is served" wait_for "$PATIENCE" grep -q served "$TMP/late.out"
is "none of the others was sent away" "$(tail -n 1 "$TMP/crowd.out")" "closed 0"
logs "which is told" "msg=accepting resumed"
logs_not "a server is not blamed for it" "end=upstream $echo: Too many open files"
: >"$TMP/gone"
wait "$before_pid" "$late_pid"
like "who was there before got every byte" "$(cat "$TMP/before.out")" \
	"received $((hello_size + 0 + 102000)) |received 102000 .*saw fin"
ok "it ends well" stop_gatehouse
done_testing
