#!/bin/bash
# A handshake gives one session ticket, or none where certificates are asked for; tickets outlive a
# reload that does not concern their host, and no other.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site site.test mutual.test other.test
pki_cert root me --cn me
start_echo back --source 1
free_port front

write_config() { # WHAT-SITE-ASKS-FOR [MORE-HOSTS]
	local cert='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
	local mutual='"client_auth": "required", "ca": "pki/root.crt"'
	cat >"$TMP/next.json" <<-CONFIG
		{"listen": "127.0.0.1:$front", "hosts": {
			"mutual.test": {$cert, $mutual, "backend": "$back"},
			${2:-}
			"site.test": {$cert, ${1:+$mutual,} "backend": "$back"}}}
	CONFIG
	mv "$TMP/next.json" "$TMP/config.json"
}
write_config ''
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

visit() { # VERSION NAME [OPTION...]: to $TMP/visit
	openssl s_client "-$1" -connect "127.0.0.1:$front" -servername "$2" -ign_eof "${@:3}" \
		</dev/null >"$TMP/visit" 2>&1
}

resumes() { # VERSION NAME [OPTION...]: "New" or "Reused"
	visit "$@"
	sed -nE 's/^(New|Reused), TLS.*/\1/p' "$TMP/visit" | head -n 1
}

has_reloaded() { # COUNT
	[[ $(log_count msg=reloaded) == "$1" ]]
}

me=(-cert "$PKI/me.crt" -key "$PKI/me.key")

visit tls1_3 site.test -sess_out "$TMP/tls1_3"
is "TLS 1.3: one ticket" "$(grep -c 'New Session Ticket arrived' "$TMP/visit")" 1
visit tls1_3 site.test -sess_in "$TMP/tls1_3"
is "TLS 1.3: one more when resumed, because clients use each once" "$(grep -c 'New Session Ticket arrived' "$TMP/visit")" 1
visit tls1_2 site.test -sess_out "$TMP/tls1_2"
is "TLS 1.2: one ticket" "$(grep -c 'TLS session ticket:' "$TMP/visit")" 1

visit tls1_3 mutual.test "${me[@]}"
is "TLS 1.3 with a client certificate: none" "$(grep -c 'New Session Ticket arrived' "$TMP/visit")" 0
visit tls1_2 mutual.test "${me[@]}"
is "TLS 1.2 with a client certificate: none" "$(grep -c 'TLS session ticket:' "$TMP/visit")" 0

# --- reloads ---

write_config '' '"other.test": {"mode": "passthrough", "backend": "127.0.0.1:1"},'
ok "another host is added" wait_for "$PATIENCE" has_reloaded 1
pki_cert root site site.test mutual.test other.test more.test
ok "a certificate is renewed" wait_for "$PATIENCE" has_reloaded 2
for version in tls1_3 tls1_2; do
	visit "$version" site.test -sess_out "$TMP/$version"
done
write_config ''
ok "the other host is removed" wait_for "$PATIENCE" has_reloaded 3
is "TLS 1.3: resumes after that" "$(resumes tls1_3 site.test -sess_in "$TMP/tls1_3")" Reused
is "TLS 1.2: resumes after that" "$(resumes tls1_2 site.test -sess_in "$TMP/tls1_2")" Reused

for version in tls1_3 tls1_2; do
	visit "$version" site.test -sess_out "$TMP/$version"
done
write_config mutual
ok "the host asks for certificates now" wait_for "$PATIENCE" has_reloaded 4
for version in tls1_3 tls1_2; do
	is "$version: an old ticket does not stand in for one" \
		"$(resumes "$version" site.test -sess_in "$TMP/$version" "${me[@]}")" New
	visit "$version" site.test -sess_in "$TMP/$version"
	like "$version: who has but the ticket is refused" "$(cat "$TMP/visit")" 'alert number (116|40)'
done
logs "the log says why" msg=connection sni=site.test "end=handshake: peer did not return a certificate"
ok "it ends well" stop_gatehouse
done_testing
