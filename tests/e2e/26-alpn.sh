#!/bin/bash
# Of the protocols that a client offers, the first that the host has an entry for is its route and is
# negotiated; else the host's own fields hold and offer_alpn says what may be spoken.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site site.test
pki_cert root special special.test
free_port front
for name in own h2 ssh acme odd strict only; do
	start_echo "$name" --greet "$name"
done

cert='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
cat >"$TMP/config.json" <<CONFIG
{"listen": "127.0.0.1:$front", "hosts": {
	"site.test": {$cert, "backend": "$own", "alpn": {
		"h2": {"backend": "$h2"},
		"ssh": {"backend": "$ssh", "cert": "pki/special.crt", "key": "pki/special.key"},
		"a%25b": {"backend": "$odd"},
		"acme-tls/1": {"mode": "passthrough", "backend": "$acme"}}},
	"web.test": {$cert, "backend": "$strict", "offer_alpn": ["http/1.1", "http/1.0"],
		"alpn": {"h2": {"backend": "$h2"}}},
	"only.test": {"alpn": {"ssh": {$cert, "backend": "$only"}}}}}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

ask() { # NAME [ALPN]: to $TMP/client.out and .err
	local alpn=()
	[[ -z ${2:-} ]] || alpn=(-alpn "$2")
	spawn client openssl s_client -connect "127.0.0.1:$front" -servername "$1" "${alpn[@]}" -ign_eof
	wait_for "$PATIENCE" has_answer
	stop "$client_pid"
}

has_answer() { # a greeting is the last thing in it, or it has failed
	is_over "$client_pid" || [[ $(tail -n 1 "$TMP/client.out") =~ ^(own|h2|ssh|acme|odd|strict|only)$ ]]
}

# speaks NAME ALPN BACKEND PROTOCOL DESCRIPTION: PROTOCOL is "" for none
speaks() {
	ask "$1" "$2"
	is "$5: the backend" "$(tail -n 1 "$TMP/client.out")" "$3"
	is "$5: the protocol" "$(sed -n 's/^ALPN protocol: //p' "$TMP/client.out")" "$4"
}

refused() { # NAME ALPN DESCRIPTION
	ask "$1" "$2"
	like "$3: no_application_protocol" "$(cat "$TMP/client.err")" 'SSL alert number 120'
}

speaks site.test '' own '' "none offered"
speaks site.test h2 h2 h2 "one that has an entry"
speaks site.test h2,ssh h2 h2 "two that have one"
speaks site.test ssh,h2 ssh ssh "the client's order counts"
speaks site.test unknown,ssh,h2 ssh ssh "those without an entry are passed over"
speaks site.test http/1.1 own '' "none that has an entry: the host's own, nothing negotiated"
speaks site.test a%b odd a%b "bytes are bytes"
speaks site.test A%B own '' "and letters' case counts"
is "an entry's own certificate" "$(ask site.test ssh && openssl x509 -noout -ext subjectAltName \
	-in "$TMP/client.out" | sed -n 's/.*DNS://p')" special.test
logs "the log has the protocol" msg=connection sni=site.test alpn=ssh route=site.test
logs "percent-encoded" msg=connection sni=site.test alpn=a%25b
logs "and what was offered in vain" msg=connection sni=site.test alpn_offered=http/1.1

speaks web.test http/1.1 strict http/1.1 "offer_alpn"
speaks web.test http/1.0,http/1.1 strict http/1.1 "offer_alpn is in order of preference"
speaks web.test http/1.0 strict http/1.0 "and all of it is on offer"
speaks web.test http/1.1,h2 h2 h2 "an entry comes before offer_alpn"
speaks web.test '' strict '' "who offers nothing is not asked"
refused web.test spdy/3 "neither an entry nor on offer"

speaks only.test ssh only ssh "a host that has entries alone"
refused only.test h2 "and nothing for others"
refused only.test '' "nor for who offers nothing"
logs "the log says so" msg=connection sni=only.test alpn_offered=h2 \
	"end=no common application protocol"

# Through passthrough the offer goes on as it came.
hello --sni site.test --alpn h2x,acme-tls/1 >"$TMP/acme"
is "passed through by protocol" "$(rawclient --file "$TMP/acme" --half-close --raw \
	"127.0.0.1:$front" 2>/dev/null | sha256sum)" "$( (printf acme; cat "$TMP/acme") | sha256sum)"
like "curl chooses from what is offered" "$(https https://web.test/ "127.0.0.1:$front" -v \
	--cacert "$PKI/root.crt" --http1.1 --max-time 5 2>&1)" 'server accepted http/1.1'
ok "gatehouse ends well" stop_gatehouse
done_testing
