#!/bin/bash
# Who comes back resumes, in both versions of TLS; a ticket that was given under another name or
# another route is no good there and does no harm: the handshake is a whole one.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site '*.site.test' single.test
start_echo back --source 1
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"*.site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$back"},
		"single.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$back"}
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# visit VERSION NAME [OPTION...]: "New" or "Reused"; "alert" if it was refused
visit() {
	openssl s_client "-$1" -connect "127.0.0.1:$front" -servername "$2" -ign_eof "${@:3}" \
		</dev/null >"$TMP/visit" 2>&1
	sed -nE 's/^(New|Reused), TLS.*/\1/p; s/.*(alert) .*/\1/p' "$TMP/visit" | head -n 1
}

for version in tls1_2 tls1_3; do
	session=$TMP/$version
	is "$version: the first time" "$(visit "$version" a.site.test -sess_out "$session")" New
	is "$version: the second time" "$(visit "$version" a.site.test -sess_in "$session")" Reused
	visit "$version" a.site.test -sess_out "$session" >/dev/null
	is "$version: another name of the same wildcard" \
		"$(visit "$version" b.site.test -sess_in "$session")" New
	visit "$version" a.site.test -sess_out "$session" >/dev/null
	is "$version: another route" "$(visit "$version" single.test -sess_in "$session")" New
done

ok "it ends well" stop_gatehouse
done_testing
