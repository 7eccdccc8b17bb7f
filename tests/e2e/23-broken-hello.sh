#!/bin/bash
# What is no sound ClientHello gets the fitting alert and no route, not even "*"; the log says why.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site site.test
free_port front
free_port strict
start_echo back

cat >"$TMP/lax.json" <<CONFIG
{"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock"], "hosts": {
	"site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
		"backend": "$back"},
	"*": {"mode": "passthrough", "backend": "$back"}}}
CONFIG
cat >"$TMP/strict.json" <<CONFIG
{"listen": "127.0.0.1:$strict", "hosts": {
	"passed.test": {"mode": "passthrough", "backend": "$back"}}}
CONFIG
start_gatehouse "$TMP/lax.json" || bail_out "no gatehouse"

alert() { # NUMBER: the record of a fatal one, in hex
	printf '1503030002 02%02x' "$1" | tr -d ' '
}
DECODE_ERROR=$(alert 50)
ILLEGAL_PARAMETER=$(alert 47)
UNRECOGNIZED_NAME=$(alert 112)

# answered DESCRIPTION ANSWER REASON [options of rawclient]: exactly those bytes, then a clean end,
# and that reason in the log.
answered() {
	local description=$1 answer=$2 reason=$3
	shift 3
	is "$description: the answer" \
		"$(rawclient "$@" "${ADDRESS:-127.0.0.1:$front}" | head -n 2 | tr '\n' ' ')" \
		"received $answer ended fin "
	logs "$description: \"$reason\"" msg=connection "end=$reason"
}

# --- broken TLS ---

hello --sni site.test >"$TMP/hello"
size=$(wc -c <"$TMP/hello")

# changed OFFSET HEX: the hello with those bytes there
changed() {
	local bytes=${2// /}
	cp "$TMP/hello" "$TMP/changed"
	printf '%b' "$(sed 's/../\\x&/g' <<<"$bytes")" |
		dd of="$TMP/changed" bs=1 seek="$1" conv=notrunc status=none
}

answered "a hello too short to be one" "$DECODE_ERROR" "the ClientHello is too short" \
	--hex '16 0301 0006 01 000002 0303'
answered "another handshake message" "$DECODE_ERROR" "the first handshake message is not a ClientHello" \
	--hex '16 0301 0004 02 000000'
answered "an empty record" "$DECODE_ERROR" "a handshake record is empty" --hex '16 0301 0000'
answered "a record that is too long" "$DECODE_ERROR" "a record is longer than 16384 bytes" \
	--hex '16 0301 4001'
answered "a hello over 64 KiB" "$DECODE_ERROR" "the ClientHello is larger than 64 KiB" \
	--hex '16 0301 4000 01 010000 0303'
changed 43 21 # the length of the session id: 33
answered "a session id that is too long" "$DECODE_ERROR" \
	"the session id is longer than 32 bytes" --file "$TMP/changed"
changed 6 "$(printf %06x $((size - 9 - 1)))"
changed_size=$(printf %04x $((size - 5 - 1)))
head -c $((size - 1)) "$TMP/changed" >"$TMP/shorter"
cp "$TMP/shorter" "$TMP/hello.shorter"
printf '%b' "$(sed 's/../\\x&/g' <<<"$changed_size")" |
	dd of="$TMP/shorter" bs=1 seek=3 conv=notrunc status=none
answered "extensions that end beyond it" "$DECODE_ERROR" \
	"the extensions do not end where the ClientHello ends" --file "$TMP/shorter"
head -c 100 "$TMP/hello" >"$TMP/interrupted"
printf '\x16\x03\x01\x00\x5f' | dd of="$TMP/interrupted" bs=1 conv=notrunc status=none
printf '\x15\x03\x01\x00\x02\x01\x00' >>"$TMP/interrupted"
answered "another record in mid-hello" "$DECODE_ERROR" \
	"another kind of record comes before it is whole" --file "$TMP/interrupted"

# --- the alert comes before any reset ---

head -c 1000000 /dev/zero >"$TMP/zeros"
for n in 1 2 3; do
	like "an alert reaches who still sends ($n)" \
		"$(rawclient --hex '16 0301 4001' --file "$TMP/zeros" "127.0.0.1:$front")" \
		"^received $DECODE_ERROR"
done
ADDRESS=unix:$TMP/front.sock answered "on a unix socket" "$DECODE_ERROR" \
	"a handshake record is empty" --hex '16 0301 0000'

# --- no TLS ---

for text in "GET / HTTP/1.1" "SSH-2.0-client" "PROXY TCP4 127.0.0.1" $'\x80\x2e\x01\x03\x01'; do
	is "no TLS, no answer: $(printf %q "$text")" \
		"$(rawclient --text "$text"$'\r\n\r\n' "127.0.0.1:$front" | head -n 1)" "received "
done
logs "the log says so" msg=connection step=sniff "end=not TLS"

# --- server names that are none ---

# named DESCRIPTION NAME REASON [SED-SCRIPT]: the script changes the hello without changing lengths
named() {
	hello --sni "$2" | sed "${4:-}" >"$TMP/named"
	answered "$1" "$ILLEGAL_PARAMETER" "server name $3" --file "$TMP/named"
}
long=$(printf 'a%.0s' {1..60})
named "a NUL in the name" "site.test#.evil.test" "holds a NUL byte" 's/site.test#/site.test\x00/'
named "a NUL at its end" "site.test#" "holds a NUL byte" 's/site.test#/site.test\x00/'
named "a control byte" $'site\ttest' "holds a control byte"
named "a line feed" $'site.test\nlevel=info' "holds a control byte"
named "a DEL" $'site\x7f.test' "holds a control byte"
named "an empty label" "site..test" "has an empty label"
named "a dot in front" ".site.test" "has an empty label"
named "two dots at the end" "site.test.." "has an empty label"
named "a dot alone" "." "has an empty label"
named "254 bytes" "$long.$long.$long.$long.1234567890" "is longer than 253 bytes"
named "an IPv6 address in brackets, with a port" "[::1]:443" "is an IP address"

like "253 bytes are a name" "$(hello --sni "$long.$long.$long.$long.123456789" |
	rawclient --file - --half-close "127.0.0.1:$front")" '^received 160301'
backend_had=1
ok "which \"*\" has" wait_for "$PATIENCE" has_accepted back $backend_had

# --- nobody of that name, and no certificate to say so with ---

ok "gatehouse ends well" stop_gatehouse
is "no broken hello reached a backend" "$(accepts back)" $backend_had
start_gatehouse --as strict "$TMP/strict.json" || bail_out "no gatehouse"
ADDRESS=127.0.0.1:$strict answered "an unknown name without any certificate" \
	"$UNRECOGNIZED_NAME" "unknown server name" --file "$TMP/hello"
hello >"$TMP/nameless"
ADDRESS=127.0.0.1:$strict answered "no name at all" "$UNRECOGNIZED_NAME" "unknown server name" \
	--file "$TMP/nameless"
is "no backend heard of them" "$(accepts back)" $backend_had
ok "gatehouse ends well" stop_gatehouse --as strict
done_testing
