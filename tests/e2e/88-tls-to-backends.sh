#!/bin/bash
# TLS to the backend: verified against its CA and name, with our own certificate where it wants one,
# resumed where it may be; a backend that is not right is refused, and nothing reaches it.
# shellcheck disable=SC2016,SC2154 # nginx's variables; NAME and NAME_pid are set by functions
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca inner
pki_ca stranger
pki_cert ca front '*.back.test'
pki_cert inner good inner.test second.inner.test
pki_cert inner address 127.0.0.1
pki_cert inner expired inner.test --expired
pki_cert inner notyet inner.test --notyet
pki_cert inner clientonly inner.test --eku client
pki_cert stranger foreign inner.test
pki_cert inner me --cn gateway --eku client
cd "$TMP" || bail_out "no $TMP"

lines='location /reused { return 200 "$ssl_session_reused $ssl_protocol\n"; }
	location /who { return 200 "$ssl_client_s_dn $ssl_alpn_protocol\n"; }'
start_nginx good tls --cert good --lines "ssl_protocols TLSv1.3; $lines"
start_nginx old tls --cert good --lines "ssl_protocols TLSv1.2; $lines"
start_nginx address tls --cert address
start_nginx mutual tls --cert good --client-ca "$PKI/inner.crt" --lines "$lines"
for name in expired notyet clientonly foreign; do start_nginx $name tls --cert $name; done
start_echo plaintext --greet $'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected' --record "$TMP/plain.bytes"
start_echo silent --sink

free_port port
at=127.0.0.1:$port
host() { # NAME SERVER TLS
	printf '"%s.back.test": {"mode": "terminate", "cert": "pki/front.crt", "key": "pki/front.key",
		"offer_alpn": "http/1.1", "backend": {"servers": ["%s"], "tls": {%s}}}' "$@"
}
inner='"ca": "pki/inner.crt", "server_name": "inner.test"'
{
	echo "{\"listen\": \"$at\", \"workers\": 1, \"proxy\": {\"handshake_timeout\": \"1s\"}, \"hosts\": {"
	host good "$good" "$inner"
	echo ,
	host old "$old" "$inner"
	echo ,
	host second "$good" '"ca": "pki/inner.crt", "server_name": "second.inner.test"'
	echo ,
	host othertrust "$good" '"ca": ["pki/inner.crt", "pki/ca.crt"], "server_name": "inner.test"'
	echo ,
	host address "$address" '"ca": "pki/inner.crt"'
	echo ,
	host noaddress "$good" '"ca": "pki/inner.crt"'
	echo ,
	host otheraddress "$address" '"ca": "pki/inner.crt", "server_name": "127.0.0.2"'
	echo ,
	host wrongname "$good" '"ca": "pki/inner.crt", "server_name": "wrong.test"'
	echo ,
	host system "$good" '"server_name": "inner.test"'
	echo ,
	host mutual "$mutual" "$inner, \"cert\": \"pki/me.crt\", \"key\": \"pki/me.key\""
	echo ,
	host unknown "$mutual" "$inner"
	for name in expired notyet clientonly foreign plaintext silent; do
		echo ,
		host $name "${!name}" "$inner"
	done
	echo ,
	host new "$old" "$inner, \"min_version\": \"TLS1.3\""
	echo "}}"
} >config.json
start_gatehouse config.json || bail_out "gatehouse does not start"

ask() { # HOST [PATH]
	https "https://$1.back.test${2:-/}" "$at" --cacert "$PKI/ca.crt" 2>&1
}

like "a good one; its server name is sent" "$(ask good)" '^good https HTTP/1.1 inner.test 127.0.0.1'
like "one that is known by its address; none is sent" "$(ask address)" '^address https HTTP/1.1  127.0.0.1'
is "one that wants to know who we are" "$(ask mutual /who)" "CN=gateway http/1.1"
like "and one that is not told" "$(ask unknown)" '400 No required SSL certificate'

# --- resumption ---

fresh=$(ask second /reused)
is "a session is resumed" "$(ask good /reused) $(ask good /reused)" "r TLSv1.3 r TLSv1.3"
is "never under another name" "$fresh" ". TLSv1.3"
is "nor with another trust" "$(ask othertrust /reused)" ". TLSv1.3"
ask old /reused >/dev/null
is "in TLS 1.2 again and again" "$(for i in 1 2 3 4; do ask old /reused; done | sort -u)" "r TLSv1.2"

# --- refused ---

refused() { # HOST WHY
	local name=$1 answer
	answer=$(ask "$1")
	like "$1: the client gets nothing" "$answer" '^curl: \((52|55|56)\)'
	logs "$1: the log is clear" level=warning "route=$1.back.test" "end=upstream ${3:-${!1}}: handshake: $2"
}
refused wrongname 'server certificate: not for \"wrong.test\"; its names: inner.test, second.inner.test' "$good"
refused noaddress 'server certificate: not for \"127.0.0.1\"; its names: inner.test, second.inner.test' "$good"
refused otheraddress 'server certificate: not for \"127.0.0.2\"; its names: 127.0.0.1' "$address"
refused system 'server certificate: unable to get local issuer certificate' "$good"
refused foreign 'server certificate: unable to get local issuer certificate'
refused clientonly 'server certificate: unsuitable certificate purpose'
expired_at=$(date -u -d "$(openssl x509 -in "$PKI/expired.own.crt" -noout -enddate | sed 's/.*=//')" \
	+%Y-%m-%dT%H:%M:%SZ)
refused expired "server certificate: expired at $expired_at"
like "notyet: the client gets nothing" "$(ask notyet)" '^curl: \((52|55|56)\)'
ok "notyet: the log is clear" wait_for 5 grep -q 'route=notyet.*server certificate: not valid before 20' "$LOG"
refused silent timeout
like "too old: the client gets nothing" "$(ask new)" '^curl: \((52|55|56)\)'
ok "too old: the log is clear" wait_for 5 grep -q 'route=new.*handshake: .*protocol version' "$LOG"

# Words before the handshake are no answer of the backend's.
answer=$(ask plaintext)
unlike "plaintext before the handshake never reaches the client" "$answer" injected
ok "plaintext: the log is clear" wait_for 5 grep -q 'route=plaintext.*handshake: wrong version number' "$LOG"
not_ok "and nothing of the request reached it" grep -qa 'GET /' plain.bytes
ok "stops" stop_gatehouse

done_testing
