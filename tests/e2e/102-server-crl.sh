#!/bin/bash
# Servers' certificates are looked for in revocation lists: of backends, of forwards and of the client; what is
# revoked is refused from the reload on, resumption included.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"
cd "$TMP" || bail_out "no $TMP"

pki_ca root
pki_ca old
pki_cert root front '*.front.test'
for name in good bad; do pki_cert root $name inner.test; done
pki_cert old stale inner.test
pki_crl root bad
pki_crl old --expired
cp pki/root.crl live.crl
for name in good bad stale; do start_nginx $name tls --cert $name; done
free_port front
free_port plain
free_port forward

to() { # SERVER CA CRL MORE: a backend's TLS
	printf '{"servers": ["%s"], "tls": {"ca": "pki/%s.crt", "crl": "%s", "server_name": "inner.test"%s}}' "$@"
}
host() { # NAME BACKEND
	printf '"%s.front.test": {"mode": "terminate", "cert": "pki/front.crt", "key": "pki/front.key",
		"offer_alpn": "http/1.1", "backend": %s}' "$@"
}
cat >config.json <<-JSON
	{"listen": "127.0.0.1:$front", "workers": 1, "hosts": {
		$(host good "$(to "$good" root live.crl '')"),
		$(host bad "$(to "$bad" root live.crl '')"),
		$(host stale "$(to "$stale" old pki/old.crl '')"),
		$(host strict "$(to "$stale" old pki/old.crl ', "expired_crl": "refuse"')")},
	"forwards": [{"listen": "127.0.0.1:$forward", "target": "$bad", "server_name": "inner.test",
		"ca": "pki/root.crt", "crl": "live.crl"}]}
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

ask() { # HOST
	https "https://$1.front.test/" "127.0.0.1:$front" -k 2>&1
}
refused() { # HOST WHY
	like "$1: refused" "$(ask "$1")" '^curl: \((52|55|56)\)'
	ok "$1: $2" wait_for "$PATIENCE" grep -q "route=$1.*handshake: server certificate: $2" "$LOG"
}
like "one that is not revoked" "$(ask good)" '^good https'
refused bad 'certificate revoked'
like "an expired list is used" "$(ask stale)" '^stale https'
refused strict 'CRL has expired'
like "a warning of the load" "$(cat "$LOG")" 'hosts\["stale.*backend.tls.crl: a certificate revocation list has expired'
like "and one of what follows" "$(cat "$LOG")" 'hosts\["strict.*list has expired: servers are refused'
logs "which the log repeats" msg="certificate revocation list has expired" "file=$TMP/pki/old.crl" servers=refused
curl -s --max-time "$PATIENCE" "http://127.0.0.1:$forward/" >forwarded
is "a forward" "$(cat forwarded)" ""
logs "a forward: the log is clear" msg=connection "listener=127.0.0.1:$forward" "reason=upstream_handshake"

# --- a list that changes ---

ask good >/dev/null # there is a session to resume now
pki_crl root good
cp pki/root.crl next.crl && mv next.crl live.crl
logs "a new list is noticed" msg=reloaded
refused good 'certificate revoked'

# --- the client ---

mkdir -p home/gatehouse
client() { # CONFIG: what connect says
	echo "$1" >home/gatehouse/client.json
	# shellcheck disable=SC2086 # the wrap is a command with its options
	XDG_CONFIG_HOME=$TMP/home $GATEHOUSE_WRAP "$GATEHOUSE" connect --sni inner.test --min-version TLS1.2 "$2" 2>&1 </dev/null
}
like "the client: revoked" \
	"$(client "{\"defaults\": {\"ca\": \"$PKI/root.crt\", \"crl\": \"$PKI/root.crl\"}}" "$bad")" 'certificate revoked'
like "the client: an expired list" \
	"$(client "{\"defaults\": {\"ca\": \"$PKI/old.crt\", \"crl\": \"$PKI/old.crl\"}}" "$stale")" \
	'warning: a certificate revocation list has expired'
like "the client: refused for it" \
	"$(client "{\"defaults\": {\"ca\": \"$PKI/old.crt\", \"crl\": \"$PKI/old.crl\", \"expired_crl\": \"refuse\"}}" "$stale")" \
	'CRL has expired'
like "the client: a list needs CAs" "$(client "{\"defaults\": {\"crl\": \"$PKI/old.crl\"}}" "$stale")" \
	'"ca" is missing: "crl" needs it'

# --- errors ---

sed 's/"ca": "pki.old.crt", //' config.json >none.json
like "lists without CAs" "$("$GATEHOUSE" check -c none.json 2>&1)" \
	'stale.front.test"\].backend.tls: "ca" is missing: "crl" needs it'
sed '$ s/"crl": "live.crl"/"crl": "pki\/root.key"/' config.json >none.json
like "what is no list" "$("$GATEHOUSE" check -c none.json 2>&1)" 'forwards\[0\].crl: ".*root.key": no CRL in it'
ok "gatehouse ends well" stop_gatehouse
done_testing
