#!/bin/bash
# However one side of a forward ends, the other learns of it and of nothing else, as at the front
# door: FIN and close_notify stand for each other, and what is cut off arrives as a reset.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root server server.test
free_port here
free_port there

cat >"$TMP/config.json" <<CONFIG
{
	"forwards": [{"listen": "127.0.0.1:$here", "target": "127.0.0.1:$there",
		"server_name": "server.test", "ca": "pki/root.crt"}]
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

saw() { # NAME
	sed -n 's/^saw //p' "$TMP/$1.out"
}

received() { # NAME
	sed -n 's/^received \([0-9]*\).*/\1/p' "$TMP/$1.out"
}

has_ended() { # COUNT
	[[ $(log_count msg=connection) == "$1" ]]
}

connections=0

# Both sides say 1000 bytes first, so that the connection stands when the words begin.
converse() { # CLIENT-WORDS SERVER-WORDS [SERVER-OPTIONS [CLIENT-OPTIONS]]
	rm -f "$TMP/go"
	# shellcheck disable=SC2086 # words
	spawn server talk --listen --tls --cert "$PKI/server.crt" --key "$PKI/server.key" ${3:-} \
		"127.0.0.1:$there" exchange=1000 $2
	wait_for "$PATIENCE" grep -q listening "$TMP/server.out" || bail_out "$(cat "$TMP/server.err")"
	# shellcheck disable=SC2086
	spawn client talk ${4:-} "127.0.0.1:$here" exchange=1000 $1
}

finish() {
	wait "$client_pid" "$server_pid"
	connections=$((connections + 1))
	wait_for "$PATIENCE" has_ended "$connections" || diag "no line for this connection"
}

judge() { # DESCRIPTION CLIENT-SAW SERVER-SAW LOG
	is "$1: what the client sees" "$(saw client)" "$2"
	is "$1: what the server sees" "$(saw server)" "$3"
	is "$1: what the log says" "$(log_value end msg=connection)" "$4"
}

for version in TLS1.2 TLS1.3; do
	tls="--max $version"

	converse "fin wait" "wait send=300000 close_notify fin" "$tls"
	finish
	judge "$version: the client ends, then the server" fin close_notify "done"
	is "$version: the server could still talk" "$(received client)" 301000

	converse "wait send=300000 fin" "close_notify wait" "$tls"
	finish
	judge "$version: the server ends by close_notify alone, then the client" fin close_notify "done"
	is "$version: the client could still talk" "$(received server)" 301000

	converse "wait send=300000 fin" "send=5000 close_notify wait" "$tls"
	finish
	judge "$version: last words and the end at once" fin close_notify "done"
	is "$version: last words and the end at once: both are heard" "$(received client)" 6000

	converse "send=300000 fin wait" "file=$TMP/go wait close_notify fin" "$tls --rcvbuf 4096"
	(wait_for 1 false; : >"$TMP/go")
	finish
	judge "$version: the client ends while bytes wait" fin close_notify "done"
	is "$version: they all arrive before the end does" "$(received server)" 301000

	converse "reset" "wait" "$tls"
	finish
	judge "$version: the client resets" '' reset "client: reset by peer"

	converse "wait" "reset" "$tls"
	finish
	judge "$version: the server resets" reset '' "upstream: reset by peer"

	converse "wait" "fin wait" "$tls"
	finish
	is "$version: a FIN without close_notify: what the client sees" "$(saw client)" reset
	like "$version: a FIN without close_notify: what the log says" \
		"$(log_value end msg=connection)" '^upstream: .*closed without close_notify$'

	converse "send=3000000 wait" "file=$TMP/go reset" "$tls --rcvbuf 4096"
	(wait_for 1 false; : >"$TMP/go")
	finish
	judge "$version: the server resets while bytes wait" reset '' "upstream: reset by peer"
done

# Who asks for new keys without end gets no room in memory, and no time.
converse wait "keyupdate=400000 wait" "--timeout 60 --rcvbuf 4096" "--timeout 60"
finish
is "key updates without end: what the client sees" "$(saw client)" reset
is "key updates without end: what the log says" "$(log_value end msg=connection)" \
	"upstream: too many control messages from the peer"

ok "it ends well" stop_gatehouse
done_testing
