#!/bin/bash
# Which certificates are taken: keys on other curves than those of the key exchange, in TLS 1.2 and 1.3, of
# clients, of our own and of servers. Servers are held to what clients are: forward secrecy, authenticated
# encryption, names in the subjectAltName.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"
cd "$TMP" || bail_out "no $TMP"

pki_ca root
pki_cert root front front.test '*.front.test'
curve() { # NAME CURVE [SAN]: a certificate with a key on that curve
	pki_request "$1" "/CN=$1" -newkey ec -pkeyopt "ec_paramgen_curve:$2"
	pki_sign root "$1" "$(pki_time -1day)" "$(pki_time +30days)" "basicConstraints = CA:false
subjectAltName = DNS:${3:-$1}"
	cp "$PKI/$1.own.crt" "$PKI/$1.crt"
}
curves=(P-256 P-384 P-521 brainpoolP256r1)
for name in "${curves[@]}"; do curve "client-$name" "$name"; done
curve large P-521 large.test
curve server P-521 localhost
start_echo plain --greet hello
start_nginx old tls --cert server --lines 'ssl_protocols TLSv1.2;'
start_nginx new tls --cert server --lines 'ssl_protocols TLSv1.3;'
pki_cert root rsa --rsa localhost
pki_cert root unnamed --cn localhost
suite() { # NAME CIPHER
	start_nginx "$1" tls --cert rsa --lines "ssl_protocols TLSv1.2; ssl_ciphers $2:@SECLEVEL=0;"
}
suite cbc ECDHE-RSA-AES128-SHA
suite static AES128-GCM-SHA256
suite good ECDHE-RSA-AES128-GCM-SHA256
start_nginx unnamed tls --cert unnamed

free_port front
host() { # CERT MORE
	printf '{"mode": "terminate", "cert": "pki/%s.crt", "key": "pki/%s.key", %s}' "$1" "$1" "$2"
}
to_server() { # PORT
	printf '"offer_alpn": "http/1.1", "backend": {"servers": ["LocalHost:%s"], "tls": {"ca": "pki/root.crt"}}' "$1"
}
cat >config.json <<-JSON
	{"listen": "127.0.0.1:$front", "workers": 1, "hosts": {
		"front.test": $(host front '"client_auth": "required", "ca": "pki/root.crt", "backend": "'"$plain"'"'),
		"large.test": $(host large '"backend": "'"$plain"'"'),
		"old.front.test": $(host front "$(to_server "${old#*:}")"),
		"new.front.test": $(host front "$(to_server "${new#*:}")"),
		"cbc.front.test": $(host front "$(to_server "${cbc#*:}")"),
		"static.front.test": $(host front "$(to_server "${static#*:}")"),
		"good.front.test": $(host front "$(to_server "${good#*:}")"),
		"unnamed.front.test": $(host front "$(to_server "${unnamed#*:}")")}}
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

greeted() { # NAME VERSION [OPTION...]: of s_client
	spawn client openssl s_client -connect "127.0.0.1:$front" -servername "$1" "-$2" -ign_eof -quiet \
		-CAfile "$PKI/root.crt" -verify_return_error "${@:3}"
	wait_for "$PATIENCE" is_settled
	stop "$client_pid"
	is "$1 in $2 ${*:3}" "$(cat client.out)" hello
}
is_settled() { [[ -s $TMP/client.out ]] || is_over "$client_pid"; }

# Every curve in TLS 1.2; in TLS 1.3 those that it has (RFC 8446 section 4.2.3).
for name in "${curves[@]}"; do
	greeted front.test tls1_2 -cert "$PKI/client-$name.crt" -key "$PKI/client-$name.key" \
		-groups "$(printf '%s\n' X25519 P-256 "$name" | sort -u | paste -sd :)"
done
for name in "${curves[@]:0:3}"; do
	greeted front.test tls1_3 -cert "$PKI/client-$name.crt" -key "$PKI/client-$name.key"
done

# Our own.
for version in tls1_2 tls1_3; do greeted large.test $version; done

# A key exchange on P-521 is not offered all the same.
openssl s_client -connect "127.0.0.1:$front" -servername large.test -tls1_3 -groups P-521 \
	</dev/null >exchange 2>&1
like "no key exchange on P-521" "$(cat exchange)" 'alert handshake failure'

# A server's.
for name in old new good; do
	like "a server's: $name" \
		"$(https "https://$name.front.test/" "127.0.0.1:$front" -k 2>&1)" "^$name https HTTP/1.1 localhost "
done
refused() { # NAME WHY
	like "refused: $1" "$(https "https://$1.front.test/" "127.0.0.1:$front" -k 2>&1)" '^curl: \((52|55|56)\)'
	ok "and the log is clear" wait_for 5 grep -q "route=$1.*handshake: .*$2" "$LOG"
}
refused cbc 'handshake failure'
refused static 'handshake failure'
refused unnamed 'not for ..localhost..; its names: none'
ok "gatehouse ends well" stop_gatehouse
done_testing
