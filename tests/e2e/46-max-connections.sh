#!/bin/bash
# "max_connections" of all: whoever is too many waits in the kernel's queue. Of a host: is told so
# by an alert, and other hosts are served.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo --greet hi
for name in {few,many}.test; do hello --sni "$name" >"$TMP/$name.hello"; done
free_port front

config() { # MAX-OF-ALL MAX-OF-FEW
	cat <<-CONFIG
		{
			"listen": "127.0.0.1:$front",
			"workers": 2,
			"control": {"socket": "$TMP/control.sock"},
			"hosts": {
				"few.test": {"mode": "passthrough", "backend": "$echo", "max_connections": $2},
				"many.test": {"mode": "passthrough", "backend": "$echo"}
			},
			"proxy": {"max_connections": $1}
		}
	CONFIG
}

held=0
hold() { # NAME: a connection more; waits until it is greeted
	held=$((held + 1))
	spawn "held$held" talk --hello "$TMP/$1.hello" --timeout 60 "127.0.0.1:$front" \
		recv=2 say=greeted "file=$TMP/over$held" fin wait
	wait_for "${2:-$PATIENCE}" grep -q greeted "$TMP/held$held.out"
}

let_go() { # NUMBER
	local pid=held$1_pid
	: >"$TMP/over$1"
	wait "${!pid}"
}

# --- of all ---

config 3 0 >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
hold many.test && hold few.test && hold many.test
is "three are served" "$?" 0
hold many.test 1
is "the fourth waits" "$(cat "$TMP/held4.out")" ''
is "but is not sent away" "$(accepts echo)" 3
logs "why is told" "msg=accepting paused: max_connections reached"
let_go 1
ok "one leaves, and the fourth is served" wait_for "$PATIENCE" grep -q greeted "$TMP/held4.out"
logs "which is told" "msg=accepting resumed"
hold many.test 1
is "the fifth waits" "$(cat "$TMP/held5.out")" ''
config 100 0 >"$TMP/config.json"
ok "until there may be more" wait_for "$PATIENCE" grep -q greeted "$TMP/held5.out"
for i in {2..5}; do let_go "$i"; done
ok "it ends well" stop_gatehouse

# --- of one host ---

config 0 2 >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
hold few.test && hold few.test
is "two are served" "$?" 0
before=$(accepts echo)
is "the third gets an alert, internal_error" \
	"$(rawclient --file "$TMP/few.test.hello" "127.0.0.1:$front" | head -n 2)" \
	$'received 15030300020250\nended fin'
logs "why is told" msg=connection sni=few.test "end=max_connections of the host reached"
explain() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" explain --sni few.test
}
like "explain says the same" "$(explain)" \
	'why: max_connections of the host reached.answer: alert internal_error'
is "the server heard nothing of it" "$(accepts echo)" "$before"
ok "another host is served" hold many.test
let_go 6
wait_for "$PATIENCE" has_log msg=connection sni=few.test end=done
unlike "explain sees a free slot" "$(explain)" reached
ok "one leaves, and one may come" hold few.test
for i in 7 8 9; do let_go "$i"; done
ok "it ends well" stop_gatehouse
done_testing
