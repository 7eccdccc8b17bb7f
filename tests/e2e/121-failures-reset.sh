#!/bin/bash
# What fails before a relay begins arrives as a reset at the client, whatever the reason: an end would pass for
# an empty answer. A client that got an answer (an alert, a page), or left before it asked, sees an end.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site terminated.test
for name in gone.test echo.test; do hello --sni "$name" >"$TMP/$name.hello"; done
start_echo echo
start_echo plain
start_blackhole hole
for port in front proxied ldap dead refused silent unnamed no_tls declined headed untrusted full; do free_port "$port"; done
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'

forward() { # NAME TARGET [MEMBERS]
	echo "{\"listen\": \"127.0.0.1:${!1}\", \"target\": $2, \"ca\": \"pki/root.crt\", \"server_name\": \"server.test\"${3:+, $3}}"
}
cat >"$TMP/config.json" <<CONFIG
{
	"listen": ["127.0.0.1:$front", {"address": "127.0.0.1:$proxied", "accept_proxy": ["127.0.0.0/8"]},
		{"address": "127.0.0.1:$ldap", "starttls": "ldap"}],
	"forwards": [
		$(forward refused "\"127.0.0.1:$dead\""),
		$(forward silent "\"$hole\""),
		$(forward unnamed "\"no-such-host.invalid:443\""),
		$(forward no_tls "\"$plain\""),
		$(forward declined "{\"servers\": [\"$plain\"], \"starttls\": \"ldap\"}"),
		$(forward headed "{\"servers\": [\"127.0.0.1:$dead\"], \"proxy_protocol\": \"v2\"}"),
		$(forward untrusted "\"127.0.0.1:$front\""),
		$(forward full "\"$hole\"" '"max_connections": 1')
	],
	"hosts": {
		"gone.test": {"mode": "passthrough", "backend": "127.0.0.1:$dead"},
		"echo.test": {"mode": "passthrough", "backend": "$echo"},
		"terminated.test": {$site, "backend": "127.0.0.1:$dead"}
	},
	"proxy": {"hello_timeout": "500ms", "handshake_timeout": "500ms", "dial_timeout": "500ms",
		"drain_timeout": "200ms"},
	"control": {"socket": "$TMP/control.sock"}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

ending() { # ADDRESS [OPTION of rawclient...]
	rawclient "${@:2}" "$1" | sed -n 's/^ended //p'
}
resets() { # DESCRIPTION END ADDRESS [OPTION...]: END is of the log
	is "$1" "$(ending "${@:3}")" reset
	wait_for "$PATIENCE" has_end "$2" || fail "$1: the log" "$(tail -n 2 "$LOG")"
}
has_end() { # REGEX
	log_value end msg=connection | grep -qE "$1"
}
resets_forward() { # NAME END
	resets "forward, $1: silent" "$2" "127.0.0.1:${!1}"
	resets "forward, $1: it has sent a request" "$2" "127.0.0.1:${!1}" --text hello
	resets "forward, $1: it has ended its side" "$2" "127.0.0.1:${!1}" --half-close
}

# --- forwards ---

resets_forward refused 'connection refused$'
resets_forward silent 'dial timeout$'
resets_forward unnamed 'no-such-host'
resets_forward no_tls 'handshake: '
resets_forward declined 'LDAP.*: '
resets_forward headed 'connection refused$'
resets_forward untrusted 'handshake: '
spawn first rawclient --hold 1 --half-close "127.0.0.1:$full"
is_dialling() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" sessions --json | grep -q connect_upstream
}
wait_for "$PATIENCE" is_dialling
resets "forward: max_connections" 'max_connections of the forward' "127.0.0.1:$full"
wait "$first_pid"

# --- the router ---

at=127.0.0.1:$front
resets "passthrough, the server refuses" 'connection refused$' "$at" --file "$TMP/gone.test.hello"
resets "no hello" '^hello timeout$' "$at"
resets "half a hello" '^hello timeout$' "$at" --file "$TMP/gone.test.hello" --first 50
resets "not TLS" '^not TLS$' "$at" --text 'GET / HTTP/1.0\r\n\r\n'
hello --sni terminated.test >"$TMP/hello"
resets "a handshake that does not go on" '^handshake timeout$' "$at" --file "$TMP/hello"
resets "no PROXY header" 'PROXY' "127.0.0.1:$proxied" --text 'PROXY nonsense\r\n'
for version in TLS1.2 TLS1.3; do
	is "$version, terminated, the server refuses: a reset without close_notify" \
		"$(talk --tls --max $version --sni terminated.test "$at" wait | sed -n 's/^saw //p')" reset
done

"$GATEHOUSE" connect --sni terminated.test --ca "$PKI/root.crt" "$at" </dev/null >"$TMP/connected" 2>&1
is "gatehouse connect: an error" "$?" 1
like "gatehouse connect: in words" "$(cat "$TMP/connected")" 'reset by peer'

# --- an answer, and then an end ---

hello --sni none.test --alpn ssh >"$TMP/hello"
is "an alert" "$(ending "$at" --file "$TMP/hello")" fin
is "the client left before it asked" "$(ending "$at" --half-close)" fin
is "a protocol's refusal" "$(ending "127.0.0.1:$ldap" --hex 300c020101600702010304008000)" fin

# --- drained, limits, shutting down ---

"$GATEHOUSE" ctl -s "$TMP/control.sock" drain all >"$TMP/drained" 2>&1
resets "forward, drained" '^drained$' "127.0.0.1:$refused"
is "the router, drained: an alert" "$(ending "$at" --file "$TMP/echo.test.hello")" fin
"$GATEHOUSE" ctl -s "$TMP/control.sock" undrain all >>"$TMP/drained" 2>&1
spawn cut rawclient "127.0.0.1:$full"
wait_for "$PATIENCE" is_dialling
ok "it ends well" stop_gatehouse
wait "$cut_pid"
is "cut off by drain_timeout as it connects" "$(sed -n 's/^ended //p' "$TMP/cut.out")" reset
done_testing
