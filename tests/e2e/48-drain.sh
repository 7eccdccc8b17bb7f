#!/bin/bash
# SIGTERM: no new connection is taken, those that are there may end, then gatehouse does, with 0. It
# waits for them no longer than drain_timeout; a second signal ends it now.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo
pki_ca root
pki_cert root site terminated.test
hello --sni passed.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
free_port front

start() { # DRAIN-TIMEOUT: with a connection of each kind
	cat >"$TMP/config.json" <<-CONFIG
		{
			"listen": "127.0.0.1:$front",
			"workers": 2,
			"hosts": {
				"terminated.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$echo"},
				"passed.test": {"mode": "passthrough", "backend": "$echo"}
			},
			"proxy": {"drain_timeout": "$1"}
		}
	CONFIG
	rm -f "$TMP/go"
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
	spawn passed talk --hello "$TMP/hello" --skip "$hello_size" --timeout 60 "127.0.0.1:$front" \
		exchange=1000 say=begun "file=$TMP/go" exchange=200000 fin wait
	spawn secured talk --tls --sni terminated.test --timeout 60 "127.0.0.1:$front" \
		exchange=1000 say=begun "file=$TMP/go" exchange=200000 close_notify fin wait
	ok "$1: connections stand" wait_for "$PATIENCE" grep -q begun "$TMP/passed.out" &&
		wait_for "$PATIENCE" grep -q begun "$TMP/secured.out"
}

ends_soon() { # DESCRIPTION
	ok "$1" wait_for "$PATIENCE" is_over "$gatehouse_pid"
	wait "$gatehouse_pid"
	is "$1, with 0" "$?" 0
	not_ok "$1, without a complaint" grep -E 'Sanitizer|runtime error:' "$LOG"
}

is_refused() {
	! is_listening "127.0.0.1:$front"
}

start 60s
kill -TERM "$gatehouse_pid"
logs "it says that it drains" msg=draining connections=2
ok "no new connection is taken" wait_for "$PATIENCE" is_refused
ok "it waits" is_running "$gatehouse_pid"
: >"$TMP/go"
wait "$passed_pid" "$secured_pid"
like "what passes goes on to its end" "$(cat "$TMP/passed.out")" \
	"received $((hello_size + 201000)) |received 201000 .*saw fin"
like "what is secured goes on to its end" "$(cat "$TMP/secured.out")" \
	'received 201000 .*saw close_notify'
ends_soon "when they are over so is it"
logs "it says so" msg=stopped

start 1s
kill -TERM "$gatehouse_pid"
logs "drain_timeout: it waits" msg=draining
begun=${EPOCHREALTIME/./}
ends_soon "drain_timeout: it waits no longer"
took=$((${EPOCHREALTIME/./} - begun))
ok "drain_timeout: but so long" test "$took" -ge 700000
logs "drain_timeout: the log tells how many were closed" "msg=drain_timeout: 2 connections are closed"
: >"$TMP/go"
is "drain_timeout: each has its line" "$(log_count msg=connection "end=shutting down")" 2
wait "$passed_pid" "$secured_pid"
like "drain_timeout: who is cut off must see it" "$(cat "$TMP/passed.out")" 'saw reset'

start 60s
kill -TERM "$gatehouse_pid"
logs "a second signal: it waits" msg=draining
kill -TERM "$gatehouse_pid"
ends_soon "a second signal: it ends now"
logs "a second signal: the log tells" "msg=second signal: 2 connections are closed"
: >"$TMP/go"
wait "$passed_pid" "$secured_pid"

start 60s
: >"$TMP/go"
wait "$passed_pid" "$secured_pid"
begun=${EPOCHREALTIME/./}
kill -INT "$gatehouse_pid"
ends_soon "with nobody there SIGINT ends it at once"
ok "at once" test $((${EPOCHREALTIME/./} - begun)) -lt 3000000

# A reload that comes while it drains is none, and does not keep it.
start 60s
kill -TERM "$gatehouse_pid"
logs "draining" msg=draining
kill -HUP "$gatehouse_pid"
sed 's/"workers": 2,//' "$TMP/config.json" >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"
: >"$TMP/go"
wait "$passed_pid" "$secured_pid"
ends_soon "a change while it drains does not keep it"
logs_not "and is not followed" msg=reloaded

# A unix socket's path is free for a successor while this one drains, and stays the successor's.
rm -f "$TMP/go"
sed "s,\"127.0.0.1:$front\",\"unix:$TMP/front.sock\"," "$TMP/config.json" >"$TMP/unix.json"
start_gatehouse --as first "$TMP/unix.json" || bail_out "no first"
spawn held talk --hello "$TMP/hello" --skip "$hello_size" --timeout 60 "unix:$TMP/front.sock" \
	exchange=1000 say=begun "file=$TMP/go" fin wait
wait_for "$PATIENCE" grep -q begun "$TMP/held.out" || bail_out "$(cat "$TMP/held.err")"
kill -TERM "$first_pid"
logs "a unix socket: it drains" msg=draining connections=1
ok "a unix socket: a successor may come" start_gatehouse --as second "$TMP/unix.json"
: >"$TMP/go"
wait "$held_pid"
ok "a unix socket: the first has its end" wait_for "$PATIENCE" is_over "$first_pid"
like "a unix socket: and leaves the second alone" \
	"$(talk --hello "$TMP/hello" --skip "$hello_size" "unix:$TMP/front.sock" exchange=1000 fin wait)" \
	'received 1000 .*saw fin'
ok "a unix socket: the second ends well" stop_gatehouse --as second
not_ok "a unix socket: and takes its path away" test -e "$TMP/front.sock"
done_testing
