#!/bin/bash
# The harness keeps its own promises: without gatehouse, so that what fails here is the harness.
# plain: it runs the harness, not gatehouse
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# --- TAP, as another shell prints it ---

in_harness() { # SCRIPT: what it prints, run as a test of its own
	printf '. %q\n%s\n' "$ROOT/tests/e2e/lib.sh" "$1" >"$TMP/inner.sh"
	TOOLS=$TOOLS bash "$TMP/inner.sh" 2>&1
}

is "a test passes" "$(in_harness 'is "one is one" 1 1; done_testing')" $'ok 1 - one is one\n1..1'
like "a test fails and says where and why" "$(in_harness 'is "one is two" 1 2')" \
	$'^not ok 1 - one is two\n# failed: one is two \\(inner.sh:2\\)\n#      got: 1\n# expected: 2$'
in_harness 'fail "no"' >/dev/null
is "a failed test fails the script" "$?" 1
is "skipped tests count" "$(in_harness 'skip 2 "no ssh"; done_testing')" \
	$'ok 1 # SKIP no ssh\nok 2 # SKIP no ssh\n1..2'
like "commands are judged by their status" "$(in_harness 'ok a true; not_ok b false; ok c false')" \
	$'^ok 1 - a\nok 2 - b\nnot ok 3 - c'
like "regular expressions" "$(in_harness 'like a xyz ^x; unlike b xyz ^y; isnt c 1 2')" \
	$'^ok 1 - a\nok 2 - b\nok 3 - c$'

# --- waiting and cleaning up ---

(wait_for 5 test -e "$TMP/appears") &
: >"$TMP/appears"
ok "wait_for notices a condition" wait "$!"
not_ok "wait_for gives up" wait_for 1 false

# shellcheck disable=SC2016 # the inner shell expands it
left=$(in_harness 'spawn nap sleep 300; (trap "" TERM; spawn deaf sleep 300); free_port p
	echo "$TMP $CLAIMS/$p"; tail -q -n 9 "$TMP/.processes" | cut -d" " -f1')
read -r directory claim <<<"$left"
mapfile -t started < <(tail -n +2 <<<"$left")
is "two processes were started" "${#started[@]}" 2
not_ok "the first was ended" is_running "${started[0]}"
not_ok "the deaf one too" is_running "${started[1]}"
not_ok "no directory stays" test -e "$directory"
not_ok "no claim on a port stays" test -e "$claim"

for name in port{1..20}; do free_port "$name"; done
is "ports are not given twice" "$(printf '%s\n' "${!port@}" | while read -r name; do
	echo "${!name}"; done | sort -u | wc -l)" 20

# --- tools: echod and rawclient ---

start_echo plain
is "bytes come back" "$(rawclient --text hello --every 2 --half-close "$plain" | head -n 2)" \
	$'received 68656c6c6f\nended fin'
rawclient --hex '00 ff' --split 1 --until 2 "$plain" >/dev/null
is "a client may leave" "$?" 0
rawclient --timeout 0.1 "$plain" >/dev/null
is "silence is a status" "$?" 4
ok "connections are counted" wait_for "$PATIENCE" has_accepted plain 3

start_echo onsocket --unix --greet 'hi ' --half-close-test
is "a greeting, a unix socket, a half-closed connection" \
	"$(rawclient --text 12345 --half-close --raw "$onsocket" 2>/dev/null)" 'hi got 5 bytes'
start_echo resetting --reset-after 3
rawclient --text abc "$resetting" >/dev/null
is "a reset is a status" "$?" 3
start_echo closing --close-after 3
is "a close after some bytes" "$(rawclient --text abc "$closing" | head -n 2)" \
	$'received 616263\nended fin'
start_echo source --source 1000000
is "a source" "$(rawclient --half-close --raw "$source" 2>/dev/null | wc -c)" 1000000
start_echo sink --sink --record "$TMP/recorded"
rawclient --text 'for the record' --half-close "$sink" >/dev/null
is "a sink, recorded" "$(cat "$TMP/recorded")" 'for the record'

spawn held holdmany --count 500 --hold 60 "$sink"
ok "500 connections are held" wait_for "$PATIENCE" grep -q '^holding 500 failed 0' "$TMP/held.out"
ok "the server has them all" wait_for "$PATIENCE" has_accepted sink 501
stop "$held_pid"
is "they were open to the end" "$(tail -n 1 "$TMP/held.out")" 'closed 0'

# --- hello ---

hello --sni app.test --alpn h2,http/1.1 >"$TMP/whole"
hello --sni app.test --alpn h2,http/1.1 --record 10 >"$TMP/pieces"
like "a hello is a TLS record" "$(head -c 6 "$TMP/whole" | od -An -tx1)" '^ 16 03 01 .. .. 01$'
body=$(($(wc -c <"$TMP/whole") - 5))
records=$(((body + 9) / 10))
is "smaller records cost five bytes each" "$(wc -c <"$TMP/pieces")" $((body + 5 * records))
ok "it holds the name" grep -qa app.test "$TMP/whole"
ok "a padded one is large" test "$(hello --pad 20000 | wc -c)" -gt 20000

# --- certificates ---

pki_ca root
pki_ca inter root
pki_cert root good good.test 127.0.0.1 spiffe://test/good --cn Good --org Org --ou Unit
pki_cert inter leaf leaf.test --eku client
pki_cert root late late.test --expired
pki_cert root early early.test --notyet
pki_cert root lost lost.test
pki_crl root lost

verify() { # NAME [OPTION...]: what openssl says
	local name=$1
	shift
	openssl verify -CAfile "$PKI/root.crt" -untrusted "$PKI/$name.crt" "$@" "$PKI/$name.crt" 2>&1
}
like "a good certificate" "$(verify good -purpose sslserver)" ': OK$'
like "its subject" "$(openssl x509 -in "$PKI/good.crt" -noout -subject)" \
	'O = Org, OU = Unit, CN = Good'
like "its names" "$(openssl x509 -in "$PKI/good.crt" -noout -ext subjectAltName)" \
	'DNS:good.test, IP Address:127.0.0.1, URI:spiffe://test/good'
like "one from an intermediate" "$(verify leaf -purpose sslclient)" ': OK$'
unlike "which is for clients alone" "$(verify leaf -purpose sslserver)" ': OK$'
like "an expired one" "$(verify late)" 'certificate has expired'
like "one from the future" "$(verify early)" 'certificate is not yet valid'
like "a revoked one" "$(verify lost -crl_check -CRLfile "$PKI/root.crl")" 'certificate revoked'
like "and one that is not" "$(verify good -crl_check -CRLfile "$PKI/root.crl")" ': OK$'
pki_crl root --expired
like "an expired list" "$(verify good -crl_check -CRLfile "$PKI/root.crl")" 'CRL has expired'

# --- nginx, https, tlsload ---

start_nginx web http
start_nginx secure h2 --cert good
start_nginx mutual tls --cert good --client-ca "$PKI/root.crt"
start_nginx proxied http --proxy-protocol
is "plain HTTP" "$(https http://any.test/ "$web")" 'web http HTTP/1.1  127.0.0.1'
is "HTTP/2" "$(https https://good.test/ "$secure" --cacert "$PKI/root.crt")" \
	'secure https HTTP/2.0 good.test 127.0.0.1'
like "without a client certificate" "$(https https://good.test/ "$mutual" -k)" '400 No required SSL'
like "with one" \
	"$(https https://good.test/ "$mutual" -k --cert "$PKI/good.crt" --key "$PKI/good.key")" \
	'^mutual https HTTP/1.1 good.test'
is "a PROXY header" "$(https http://any.test/ "$proxied" --haproxy-protocol)" \
	'proxied http HTTP/1.1  127.0.0.1'
echo content >"$TMP/web.d/files/file"
is "a file" "$(https http://any.test/files/file "$web")" content

like "a load" "$(tlsload --count 20 --sni good.test --ca "$PKI/root.crt" \
	--expect 'secure https' "$secure")" '^ok 20 failed 0 resumed 0 '
like "resumed, one thread: all but the first" \
	"$(tlsload --count 10 --concurrency 1 --resume --sni good.test "$secure")" \
	'^ok 10 failed 0 resumed 9 '
like "with client certificates" "$(tlsload --count 10 --max TLS1.2 --sni good.test \
	--cert "$PKI/good.crt" --key "$PKI/good.key" --expect mutual "$mutual")" '^ok 10 failed 0 '
like "failures have reasons" "$(tlsload --count 3 --sni other.test --ca "$PKI/root.crt" "$secure")" \
	$'^ok 0 failed 3 .*\nreason 3 handshake: certificate verify failed'

# --- assertions on the log ---

LOG=$TMP/log
cat >"$LOG" <<'LOG'
time=2026-03-28T23:07:44.000Z level=info msg="log lines lost" count=3
time=2026-03-28T23:07:45.000Z level=info msg=closed sni=app.test reason="client said \"no\"" ms=1.250
LOG
is "lines are found by their pairs" "$(log_count level=info)" 2
is "quotes do not matter" "$(log_count 'msg=log lines lost' count=3)" 1
is "a key alone" "$(log_count sni)" 1
is "all pairs must be there" "$(log_count sni=app.test count)" 0
is "a value is whole" "$(log_count sni=app)" 0
is "the value of a key" "$(log_value ms msg=closed)" 1.250
is "a quoted value" "$(log_value reason)" 'client said \"no\"'
(wait_for 1 false; echo 'level=info msg=later' >>"$LOG") &
logs "a line that comes later" msg=later
logs_not "a line that does not come" msg=never

done_testing
