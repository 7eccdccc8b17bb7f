#!/bin/bash
# A name that nobody has is answered over TLS, with the closest certificate and an HTTP 421 page.
# needs: curl
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root first first.test
pki_cert root wild '*.apps.example.test'
pki_cert root deep '*.eu.apps.example.test'
free_port front
start_echo back

# The first host and a passthrough host, which has no certificate of its own, are of no use to the
# names that are asked for below.
cat >"$TMP/config.json" <<CONFIG
{"listen": "127.0.0.1:$front", "hosts": {
	"first.test": {"mode": "terminate", "cert": "pki/first.crt", "key": "pki/first.key",
		"backend": "$back", "alpn": {"ssh": {"backend": "$back"}}},
	"very.apps.example.test": {"mode": "passthrough", "backend": "$back"},
	"one.apps.example.test": {"mode": "terminate", "cert": "pki/wild.crt", "key": "pki/wild.key",
		"backend": "$back"},
	"one.eu.apps.example.test": {"mode": "terminate", "cert": "pki/deep.crt",
		"key": "pki/deep.key", "backend": "$back", "min_version": "TLS1.3"}}}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

get() { # NAME [options of curl]
	local name=$1
	shift
	https "https://$name/" "127.0.0.1:$front" --cacert "$PKI/root.crt" "$@"
}

# --- the page ---

body=$(get two.apps.example.test -D "$TMP/head" -w '\n%{http_code} %{size_download} %{http_version}')
read -r code size version <<<"$(tail -n 1 <<<"$body")"
is "curl, which offers h2, sees a 421 in HTTP/1.1" "$code $version" "421 1.1"
head=$(tr -d '\r' <"$TMP/head")
like "it is HTML" "$head" $'\n'"Content-Type: text/html; charset=utf-8"$'\n'
like "of the length that it says" "$head" $'\n'"Content-Length: $size"$'\n'
like "and the connection ends" "$head" $'\n'"Connection: close"
like "the page says what is the matter" "$body" '^<!doctype html>.*421 Misdirected Request.*</html>'
unlike "and echoes nothing" "$body$head" 'two.apps'

raw() { # REQUEST [OPTION of s_client...]: everything that comes back
	printf '%b\r\n\r\n' "$1" | openssl s_client -connect "127.0.0.1:$front" \
		-servername two.apps.example.test -quiet -ign_eof "${@:2}" 2>/dev/null | tr -d '\r'
}
is "HEAD: the head alone, with the length of the page" "$(raw 'HEAD / HTTP/1.1')" "$head"
is "a request that comes in pieces" "$( (printf 'HEAD / HT'; sleep 0.1; printf \
	'TP/1.1\r\nHost: x\r\n'; sleep 0.1; printf '\r\n') | openssl s_client -connect \
	"127.0.0.1:$front" -servername two.apps.example.test -quiet -ign_eof 2>/dev/null |
	tr -d '\r')" "$head"
like "who offers h2 alone, and cannot read it, gets the alert" \
	"$(printf 'GET / HTTP/1.1\r\n\r\n' | openssl s_client -connect "127.0.0.1:$front" \
		-servername two.apps.example.test -alpn h2 -ign_eof 2>&1)" 'unrecognized name'
like "who offers both gets it" \
	"$(printf 'GET / HTTP/1.1\r\n\r\n' | openssl s_client -connect "127.0.0.1:$front" \
		-servername two.apps.example.test -alpn h2,http/1.1 -ign_eof 2>/dev/null)" \
	'ALPN protocol: http/1.1.*HTTP/1.1 421 Misdirected Request'
is "an upload is answered too" "$(get two.apps.example.test --data-binary @/bin/true \
	-o /dev/null -w '%{http_code}')" 421
is "TLS 1.2" "$(get two.apps.example.test --tls-max 1.2 -o /dev/null -w '%{http_code}')" 421

# --- the closest certificate ---

certificate_for() { # OPTION...: of s_client
	openssl s_client -connect "127.0.0.1:$front" "$@" </dev/null 2>/dev/null |
		openssl x509 -noout -ext subjectAltName 2>/dev/null | sed -n 's/.*DNS://p'
}
is "the one that covers it" "$(certificate_for -servername two.apps.example.test)" '*.apps.example.test'
is "with the most labels in common" "$(certificate_for -servername two.eu.apps.example.test)" \
	'*.eu.apps.example.test'
is "else the nearest above" "$(certificate_for -servername nobody.example.test)" '*.apps.example.test'
is "else the first there is" "$(certificate_for -servername elsewhere.org)" 'first.test'
is "for a client that names nobody too" "$(certificate_for -noservername)" 'first.test'

logs "the log says who was not there" msg=connection sni=two.apps.example.test tls=TLSv1.3 \
	"end=unknown server name: answered 421"
is "the backends heard of none" "$(accepts back)" 0
ok "gatehouse ends well" stop_gatehouse
done_testing
