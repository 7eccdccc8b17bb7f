#!/bin/bash
# The clients that people have are routed by both kinds of route: curl, wget, openssl, gnutls-cli, and
# by their recorded hellos browsers and the TLS of other languages.
# needs: nginx curl wget gnutls-bin
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

HELLOS=$ROOT/tests/unit/data/clients.jsonl

pki_ca root
pki_cert root front terminated.test
pki_cert root back passed.test localhost
free_port front
start_nginx plain http
start_nginx secure tls --cert back --lines 'ssl_protocols TLSv1.2 TLSv1.3;'
start_echo back

cat >"$TMP/config.json" <<CONFIG
{"listen": "127.0.0.1:$front", "hosts": {
	"terminated.test": {"mode": "terminate", "cert": "pki/front.crt",
		"key": "pki/front.key", "backend": "$plain"},
	"passed.test": {"mode": "passthrough", "backend": "$secure"},
	"*.example.test": {"mode": "passthrough", "backend": "$back"},
	"localhost": {"mode": "passthrough", "backend": "$back"},
	"*": {"mode": "passthrough", "backend": "$back"}}}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

request() { # NAME
	printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1"
}

answer_of() { # NAME: as nginx gives it
	case $1 in
	terminated.*) echo "plain http HTTP/1.1  127.0.0.1" ;;
	passed.*) echo "secure https HTTP/1.1 passed.test 127.0.0.1" ;;
	esac
}

for name in terminated.test passed.test; do
	wanted=$(answer_of $name)
	is "curl, $name" "$(https "https://$name/" "127.0.0.1:$front" --cacert "$PKI/root.crt" \
		--http1.1)" "$wanted"
	is "curl with TLS 1.2, $name" "$(https "https://$name/" "127.0.0.1:$front" --cacert \
		"$PKI/root.crt" --http1.1 --tls-max 1.2)" "$wanted"
	for version in tls1_2 tls1_3; do
		is "openssl s_client -$version, $name" "$(request $name | timeout 20 openssl s_client \
			-$version -connect "127.0.0.1:$front" -servername $name -CAfile "$PKI/root.crt" \
			-verify_return_error -quiet -ign_eof 2>/dev/null | tail -n 1)" "$wanted"
	done
	if command -v gnutls-cli >/dev/null; then
		is "gnutls-cli, $name" "$(request $name | timeout 20 gnutls-cli --logfile=/dev/null \
			--x509cafile="$PKI/root.crt" --sni-hostname=$name --verify-hostname=$name \
			-p "$front" 127.0.0.1 2>/dev/null | tail -n 1)" "$wanted"
	else
		skip 1 "no gnutls-cli"
	fi
done

# wget takes no other address than the name's.
for mode in terminate passthrough; do
	if ! command -v wget >/dev/null; then
		skip 1 "no wget"
		continue
	fi
	free_port local
	case $mode in
	terminate) host='"cert": "pki/back.crt", "key": "pki/back.key", "backend": "'$plain'"' ;;
	passthrough) host='"backend": "'$secure'"' ;;
	esac
	echo "{\"listen\": \"127.0.0.1:$local\", \"hosts\": {\"localhost\": {
		\"mode\": \"$mode\", $host}}}" >"$TMP/local.json"
	start_gatehouse --as local "$TMP/local.json"
	like "wget, $mode" "$(wget -q -O - --no-proxy --timeout=20 --tries=1 --inet4-only \
		--ca-certificate="$PKI/root.crt" "https://localhost:$local/")" \
		'^(plain http HTTP/1.1  127.0.0.1|secure https HTTP/1.1 localhost 127.0.0.1)$'
	stop_gatehouse --as local
done
LOG=$TMP/gatehouse.err

# --- hellos as they were recorded ---

field() { # NAME LINE: a string of a flat JSON object; nothing for null
	sed -nE "s/.*\"$1\": \"([^\"]*)\".*/\1/p" <<<"$2"
}

count=0
while read -r line; do
	count=$((count + 1))
	hex=$(field hex "$line")
	is "$(field source "$line") ($count): every byte reaches its backend" \
		"$(rawclient --hex "$hex" --half-close "127.0.0.1:$front" | head -n 1)" "received $hex"
	sni=$(field sni "$line")
	case $sni in
	*.example.test) route="*.example.test" ;;
	localhost) route=localhost ;;
	*) route="*" ;;
	esac
	wait_for "$PATIENCE" has_log msg=connection "route=$route" ${sni:+"sni=$sni"} end=done
	ok "$(field source "$line") ($count): ${sni:-no name} is routed" \
		has_log msg=connection "route=$route" ${sni:+"sni=$sni"}
done <"$HELLOS"
ok "there were some" test "$count" -gt 10

# --- a browser itself, where there is one ---

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [[ -n $browser ]]; then
	spawn browser "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$TMP/profile" \
		--ignore-certificate-errors --no-proxy-server --disable-quic \
		--host-resolver-rules="MAP * 127.0.0.1:$front" --dump-dom https://terminated.test/
	wait_for 60 is_over "$browser_pid"
	like "Chromium shows the page" "$(cat "$TMP/browser.out")" "$(answer_of terminated.test)"
else
	skip 1 "no Chromium here"
fi
ok "it ends well" stop_gatehouse
done_testing
