#!/bin/bash
# Without a descriptor for a caller of the control socket the main thread rests, and says so once; when there
# is one again, the caller is answered.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"workers": 1,
	"hosts": {"a.test": {"mode": "passthrough", "backend": "127.0.0.1:1"}},
	"control": {"socket": "control.sock"}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
serving=$(log_value pid msg=ready)

ticks() { # of the processor, that it has used so far
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$serving/stat")"
	echo $((fields[11] + fields[12]))
}

like "the control socket answers" "$("$GATEHOUSE" ctl -s "$TMP/control.sock" status)" "$serving"
prlimit --pid "$serving" --nofile=5:1024 || bail_out "no prlimit"
spawn caller "$GATEHOUSE" ctl -s "$TMP/control.sock" status
logs "without descriptors it says so" \
	"msg=control: accepting paused: out of file descriptors (LimitNOFILE=)"
began=$(ticks)
wait_for 1 false
used=$(($(ticks) - began))
note "CPU in a second of want: $used ticks of $(getconf CLK_TCK)"
ok "nothing spins" test "$used" -le $(($(getconf CLK_TCK) / 5))
is "it is said once" "$(log_count "msg=control: accepting paused: out of file descriptors (LimitNOFILE=)")" 1
prlimit --pid "$serving" --nofile=1024:1024
ok "the caller is answered" wait_for "$PATIENCE" grep -q "$serving" "$TMP/caller.out"
ok "it ends well" stop_gatehouse
done_testing
