#!/bin/bash
# What is wrong with a certificate that is served all the same is reported by check, at the start, and where
# somebody watches: a chain that does not lead up, or ends before its certificate; a key that others can read.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"
cd "$TMP" || bail_out "no $TMP"

pki_ca root
pki_ca inter root
pki_ca other root
pki_cert inter site site.test
pki_cert inter foreign foreign.test
cat "$PKI/foreign.own.crt" "$PKI/other.own.crt" >"$PKI/foreign.crt"
# The same intermediate, for one day more.
pki_sign root inter "$(pki_time -1day)" "$(pki_time +1day)" "basicConstraints = critical, CA:true"
pki_cert inter brief brief.test
pki_sign root inter "$(pki_time -3days)" "$(pki_time -1day)" "basicConstraints = critical, CA:true"
pki_cert inter late late.test
mkdir -m 700 closed
cp -p "$PKI/site.key" closed/ && chmod 644 closed/site.key
pki_cert root loose loose.test
pki_cert root own own.test
chmod 755 "$PKI"
chmod 644 "$PKI/loose.key" "$PKI/own.key"
chmod 640 "$PKI/brief.key"
start_echo back
free_port front
free_port admin

config() { # HOST CERT KEY MORE
	cat >config.json <<-JSON
		{"listen": "127.0.0.1:$front", "workers": 1,
		"health": {"enabled": true, "listen": "127.0.0.1:$admin"}, "hosts": {
		"$1": {"mode": "terminate", "cert": "$2", "key": "$3", "backend": ${4:-\"$back\"}}}}
	JSON
}
check() { # sets OUT and ERR
	# shellcheck disable=SC2086 # the wrap is a command with its options
	OUT=$($GATEHOUSE_WRAP "$GATEHOUSE" check -c config.json 2>err)
	ERR=$(<err)
}
warns() { # DESCRIPTION REGEX
	check
	like "$1" "$ERR" "$2"
	like "and it is only a warning" "$OUT" '1 certificate, 1 warning;'
}

config site.test pki/site.crt pki/site.key
check
is "a chain as it should be: no warning" "$ERR" ""
config foreign.test pki/foreign.crt pki/foreign.key
warns "a foreign intermediate" \
	'^warning: config.json:[0-9]+: hosts\["foreign.test"\].cert: the issuer of certificate 1, CN=inter, is not certificate 2 of the file, which is CN=other$'
config brief.test pki/brief.crt pki/brief.key
warns "an intermediate that expires before the certificate" 'CN=inter, expires before the certificate itself, at 20'
like "and it counts for the summary" "$OUT" 'the first to expire is .*brief.crt. at .* in (0|1) days'

config site.test pki/site.crt closed/site.key
check
is "a key in a directory that others cannot enter" "$ERR" ""
config loose.test pki/loose.crt pki/loose.key
warns "a key that others can read" \
	'^warning: .*hosts\["loose.test"\].key: "/.*loose.key": mode 0644 lets other users read this key; run chmod 600$'
config site.test pki/site.crt pki/site.key \
	"{\"servers\": [\"$back\"], \"tls\": {\"server_name\": \"a.test\", \"cert\": \"pki/own.crt\", \"key\": \"pki/own.key\"}}"
check
like "one that is shown to servers" "$ERR" \
	'^warning: .*hosts\["site.test"\].backend.tls.key: "/.*own.key": mode 0644 lets other users read this key'

# --- while it runs ---

config late.test pki/late.crt pki/late.key
chmod 604 "$PKI/late.key"
start_gatehouse config.json || bail_out "no gatehouse"
ok "the start warns of an intermediate that has expired" grep -q 'certificate 2 of the file, CN=inter, expired at 20' "$LOG"
ok "and of the key" grep -q 'late.key.*mode 0604 lets other users read this key' "$LOG"
like "/readyz: nobody trusts the only certificate" "$(curl -s "http://127.0.0.1:$admin/readyz")" \
	'"no certificate is valid now".*certificate chain /.*late.crt has expired'
like "/certz has the chain's end" "$(curl -s "http://127.0.0.1:$admin/certz")" '^\{"days_left":-2,.*"valid":false'
ok "gatehouse ends well" stop_gatehouse
done_testing
