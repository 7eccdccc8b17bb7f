#!/bin/bash
# Resumption carries nobody past a check: not a ticket of a host that asks for nothing, not a session
# from before a reload that changed the CA or narrowed the rules; in TLS 1.2 and 1.3.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca other
pki_cert ca server '*.check.test'
pki_cert ca alice --cn alice
pki_cert other olga --cn olga
start_echo back --source 1
cd "$TMP" || bail_out "no $TMP"
free_port port

configure() { # CLIENT_AUTH CA ACL: of mutual.check.test
	local asked="\"client_auth\": \"$1\", \"ca\": \"pki/$2.crt\", \"acl\": $3"
	cat >next.json <<-JSON
		{ "listen": "127.0.0.1:$port", "hosts": {
		  "open.check.test": { "mode": "terminate", "cert": "pki/server.crt",
		    "key": "pki/server.key", "backend": "$back" },
		  "asks.check.test": { "mode": "terminate", "cert": "pki/server.crt",
		    "key": "pki/server.key", "backend": "$back", "client_auth": "optional", "ca": "pki/ca.crt" },
		  "mutual.check.test": { "mode": "terminate", "cert": "pki/server.crt",
		    "key": "pki/server.key", "backend": "$back", $asked } } }
	JSON
	mv next.json config.json
}
reloads=0
reconfigure() {
	configure "$@"
	reloads=$((reloads + 1))
	wait_for "$PATIENCE" has_reloaded
}
has_reloaded() {
	[[ $(log_count msg=reloaded) == "$reloads" ]]
}

# visit VERSION NAME [OPTION...]: "New", "Reused" or "alert"
visit() {
	openssl s_client "-$1" -connect "127.0.0.1:$port" -servername "$2.check.test" -ign_eof "${@:3}" \
		</dev/null >visit 2>&1
	if grep -q 'SSL alert number' visit; then
		echo alert
	else
		sed -nE 's/^(New|Reused), TLS.*/\1/p' visit | head -n 1
	fi
}

as_alice=(-cert "$PKI/alice.crt" -key "$PKI/alice.key")
as_olga=(-cert "$PKI/olga.crt" -key "$PKI/olga.key")

configure none ca '{}'
start_gatehouse config.json || bail_out "gatehouse does not start"
for version in tls1_2 tls1_3; do
	is "$version: a ticket resumes where nobody is asked (else this shows nothing)" \
		"$(visit $version mutual -sess_out old.$version; visit $version mutual -sess_in old.$version)" \
		$'New\nReused'
	visit $version mutual -sess_out old.$version >/dev/null
	cp old.$version older.$version
	visit $version open -sess_out open.$version >/dev/null
	is "$version: a ticket of one host is none on another" \
		"$(visit $version asks -sess_in open.$version)" New
done

ok "certificates are required" reconfigure required ca '{}'
heard=$(accepts back)
for version in tls1_2 tls1_3; do
	is "$version: a ticket from before does not stand for one" \
		"$(visit $version mutual -sess_in old.$version)" alert
	is "$version: nor does one of another host" "$(visit $version mutual -sess_in open.$version)" alert
done
is "no backend heard of these" "$(accepts back)" "$heard"
for version in tls1_2 tls1_3; do
	is "$version: with the certificate the handshake is a whole one" \
		"$(visit $version mutual "${as_alice[@]}" -sess_in old.$version -sess_out alice.$version)" New
	visit $version asks "${as_alice[@]}" -sess_out asks.$version >/dev/null
	not_ok "$version: which gives no session" test -s alice.$version
	not_ok "$version: nor where a certificate is optional" test -s asks.$version
done

heard=$(accepts back)
ok "the rules are narrowed" reconfigure required ca '{"allow_cn": "bob"}'
for version in tls1_2 tls1_3; do
	is "$version: a session from before does not get past them" \
		"$(visit $version mutual "${as_alice[@]}" -sess_in older.$version)" alert
done
ok "the CA is another one" reconfigure required other '{}'
for version in tls1_2 tls1_3; do
	is "$version: a session under the old one does not get past it" \
		"$(visit $version mutual "${as_alice[@]}" -sess_in older.$version)" alert
	is "$version: nor does it without the certificate" \
		"$(visit $version mutual -sess_in older.$version)" alert
done
is "no backend heard of these" "$(accepts back)" "$heard"
is "a client of the new CA" "$(visit tls1_3 mutual "${as_olga[@]}")" New
logs_not "no session of a client with a certificate was resumed" identity resumed=true
ok "stops" stop_gatehouse

done_testing
