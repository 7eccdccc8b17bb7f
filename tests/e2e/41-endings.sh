#!/bin/bash
# However one side ends, the other learns of it and of nothing else: a half-close lets the other
# direction flow on, a reset or a truncation is never passed on as a clean end, and the log says
# which side it was.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site terminated.test
hello --sni passed.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
free_port front
free_port back

cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "127.0.0.1:$back"},
		"passed.test": {"mode": "passthrough", "backend": "127.0.0.1:$back"}
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# In words and expectations, "end" is the clean one: close_notify and FIN, or FIN alone.
expand() { # ROUTE TEXT
	local words=" $2 " end=fin
	[[ $1 != terminate ]] || end='close_notify fin'
	echo "${words// end / $end }"
}

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
converse() { # ROUTE CLIENT-WORDS SERVER-WORDS [SERVER-OPTIONS [CLIENT-OPTIONS]]
	local client=(--hello "$TMP/hello") server=(--skip "$hello_size")
	if [[ $1 == terminate ]]; then
		client=(--tls --sni terminated.test)
		server=()
	fi
	rm -f "$TMP/go"
	# shellcheck disable=SC2086 # words
	spawn server talk --listen "${server[@]}" ${4:-} "127.0.0.1:$back" exchange=1000 $3
	wait_for "$PATIENCE" grep -q listening "$TMP/server.out" || bail_out "$(cat "$TMP/server.err")"
	# shellcheck disable=SC2046,SC2086
	spawn client talk "${client[@]}" ${5:-} "127.0.0.1:$front" exchange=1000 $(expand "$1" "$2")
}

finish() {
	wait "$client_pid" "$server_pid"
	connections=$((connections + 1))
	wait_for "$PATIENCE" has_ended "$connections" || diag "no line for this connection"
}

# A clean end as the client of that route sees it.
clean() { # ROUTE
	if [[ $1 == terminate ]]; then echo close_notify; else echo fin; fi
}

judge() { # DESCRIPTION CLIENT-SAW SERVER-SAW LOG
	is "$1: what the client sees" "$(saw client)" "$2"
	is "$1: what the server sees" "$(saw server)" "$3"
	is "$1: what the log says" "$(log_value end msg=connection)" "$4"
}

for route in terminate passthrough; do
	end=$(clean "$route")
	extra=0
	[[ $route == terminate ]] || extra=$hello_size

	converse "$route" "end wait" "wait send=300000 fin"
	finish
	judge "$route: the client ends, then the server" "$end" fin "done"
	is "$route: the server could still talk" "$(received client)" 301000
	is "$route: bytes are counted" "$(log_value up msg=connection) $(log_value down msg=connection)" \
		"$((1000 + extra)) 301000"

	converse "$route" "wait send=300000 end" "fin wait"
	finish
	judge "$route: the server ends, then the client" "$end" fin "done"
	is "$route: the client could still talk" "$(received server)" 301000

	converse "$route" "end wait" "fin wait"
	finish
	judge "$route: both end at once" "$end" fin "done"

	converse "$route" "send=300000 end wait" "file=$TMP/go wait fin" --rcvbuf\ 4096
	(wait_for 1 false; : >"$TMP/go")
	finish
	judge "$route: the client ends while bytes wait" "$end" fin "done"
	is "$route: they all arrive before the end does" "$(received server)" 301000

	converse "$route" reset wait
	finish
	judge "$route: the client resets" '' reset "client: reset by peer"

	converse "$route" wait reset
	finish
	judge "$route: the server resets" reset '' "upstream: reset by peer"

	converse "$route" "end wait" "wait reset"
	finish
	judge "$route: the client ends, the server resets" reset fin "upstream: reset by peer"

	converse "$route" "wait reset" "fin wait"
	finish
	judge "$route: the server ends, the client resets" "$end" reset "client: reset by peer"

	converse "$route" "end file=$TMP/go reset" "wait say=ended file=$TMP/gone send=30000000 wait"
	wait_for "$PATIENCE" grep -q ended "$TMP/server.out"
	: >"$TMP/go"
	wait "$client_pid"
	: >"$TMP/gone"
	finish
	rm -f "$TMP/gone"
	judge "$route: the client ends, then resets" '' 'fin, reset' "client: reset by peer"

	converse "$route" "send=300000 reset" "file=$TMP/go wait" --rcvbuf\ 4096
	wait "$client_pid"
	: >"$TMP/go"
	finish
	judge "$route: the client resets while bytes wait" '' reset "client: reset by peer"

	converse "$route" "send=3000000 wait" "file=$TMP/go reset" --rcvbuf\ 4096
	(wait_for 1 false; : >"$TMP/go")
	finish
	judge "$route: the server resets while bytes wait" reset '' "upstream: reset by peer"

	# A server that closes without having read it all: the kernel sends a reset behind its words.
	converse "$route" "send=5000 file=$TMP/go wait" "recv=1000 send=2000"
	wait "$server_pid"
	: >"$TMP/go"
	finish
	judge "$route: a server's last words" reset '' "upstream: reset by peer"
	is "$route: are heard before its reset is" "$(received client)" 3000
done

# What only TLS tells apart.
converse terminate "fin wait" wait
finish
is "a FIN without close_notify: what the server sees" "$(saw server)" reset
unlike "a FIN without close_notify: what the client sees" "$(saw client)" close_notify
like "a FIN without close_notify: what the log says" "$(log_lines msg=connection | tail -n 1)" \
	' tls=TLSv1.3 .*end="client: .*closed without close_notify"'

converse terminate "close_notify wait" "wait send=300000 fin"
finish
judge "close_notify without a FIN" close_notify fin "done"
is "close_notify without a FIN: the server could still talk" "$(received client)" 301000

# Asking for new keys again and again gets no room in memory, and no time.
converse terminate "keyupdate=400000 wait" wait "--timeout 60" "--timeout 60 --rcvbuf 4096"
finish
like "key updates without end" "$(saw client)" '^(reset|truncation)$'
is "key updates without end: what the server sees" "$(saw server)" reset
is "key updates without end: what the log says" "$(log_value end msg=connection)" \
	"client: too many control messages from the peer"

ok "it ends well" stop_gatehouse
done_testing
