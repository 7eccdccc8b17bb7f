#!/bin/bash
# An ECDSA and an RSA certificate stand side by side and the client's signature algorithms choose;
# what version, cipher and group are taken is the server's choice among what the client offers.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root ec both.test
pki_cert root rsa both.test --rsa
start_echo back --source 1
start_echo open --greet hello
free_port front
cat >"$TMP/config.json" <<CONFIG
{"listen": "127.0.0.1:$front", "hosts": {
	"both.test": {"mode": "terminate", "cert": ["pki/ec.crt", "pki/rsa.crt"],
		"key": ["pki/ec.key", "pki/rsa.key"], "backend": "$back"},
	"turned.test": {"mode": "terminate", "cert": ["pki/rsa.crt", "pki/ec.crt"],
		"key": ["pki/rsa.key", "pki/ec.key"], "backend": "$back"},
	"open.test": {"mode": "terminate", "cert": "pki/ec.crt", "key": "pki/ec.key",
		"backend": "$open"},
	"new.test": {"mode": "terminate", "cert": "pki/ec.crt", "key": "pki/ec.key",
		"min_version": "TLS1.3", "backend": "$back"}}}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

visit() { # NAME [OPTION of s_client...]: to $TMP/visit
	openssl s_client -connect "127.0.0.1:$front" -servername "$1" -ign_eof "${@:2}" </dev/null \
		>"$TMP/visit" 2>&1
}

certificate() { # NAME [OPTION...]: the kind of key in the certificate that came
	visit "$@"
	openssl x509 -in "$TMP/visit" -noout -pubkey 2>/dev/null | openssl pkey -pubin -noout -text |
		sed -nE 's/^ASN1 OID: .*/ECDSA/p; s/^Modulus:/RSA/p'
}

said() { # SED-SCRIPT
	sed -nE "$1" "$TMP/visit" | head -n 1
}

# --- certificates ---

for name in both.test turned.test; do
	is "$name, TLS 1.3: ECDSA alone" "$(certificate $name -tls1_3 -sigalgs ECDSA+SHA256)" ECDSA
	is "$name, TLS 1.3: RSA alone" "$(certificate $name -tls1_3 -sigalgs RSA-PSS+SHA256)" RSA
	is "$name, TLS 1.2: ECDSA alone" \
		"$(certificate $name -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256)" ECDSA
	is "$name, TLS 1.2: RSA alone" \
		"$(certificate $name -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256)" RSA
	is "$name, TLS 1.2: RSA by its signatures" \
		"$(certificate $name -tls1_2 -sigalgs RSA+SHA256:RSA-PSS+SHA256)" RSA
done
is "both: the cheaper one" "$(certificate both.test)" ECDSA
is "curl verifies it" "$(https https://both.test/ "127.0.0.1:$front" --cacert "$PKI/root.crt" --http0.9)" a
is "whoever can do neither is told so" \
	"$(visit new.test -sigalgs RSA-PSS+SHA256; said 's/.*alert number ([0-9]+).*/\1/p')" 40

# --- versions ---

visit both.test
is "TLS 1.3 where both have it" "$(said 's/^(New, TLSv1.3),.*/\1/p')" "New, TLSv1.3"
visit both.test -tls1_2
is "TLS 1.2 where the client wants it" "$(said 's/^(New, TLSv1.2),.*/\1/p')" "New, TLSv1.2"
visit new.test -tls1_2
is "min_version: alert protocol_version" "$(said 's/.*alert number ([0-9]+).*/\1/p')" 70
logs "the log says why" msg=connection sni=new.test step=drain_input "end=handshake: unsupported protocol"
for old in tls1_1 tls1; do
	visit both.test -$old -cipher 'DEFAULT@SECLEVEL=0'
	is "never $old" "$(said 's/.*alert number ([0-9]+).*/\1/p')" 70
done

# --- ciphers and groups ---

for ciphers in ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256 \
	ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384; do
	visit both.test -tls1_2 -cipher "$ciphers"
	chosen+=("$(said 's/^ *Cipher *: (.*)/\1/p')")
done
is "TLS 1.2: the server's order of ciphers" "${chosen[0]}" "${chosen[1]}"
for groups in P-256:X25519 X25519:P-256; do
	visit both.test -tls1_2 -groups "$groups"
	is "TLS 1.2: the server's order of groups ($groups)" \
		"$(said 's/^Server Temp Key: ([^,]*).*/\1/p')" X25519
done
for weak in AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA DHE-RSA-AES128-GCM-SHA256 \
	ECDHE-RSA-AES128-SHA256 aNULL; do
	visit both.test -tls1_2 -cipher "$weak@SECLEVEL=0"
	is "no $weak" "$(said 's/.*alert number ([0-9]+).*/\1/p')" 40
done
visit both.test -tls1_3 -groups P-521
is "a group that only the client has" "$(said 's/.*alert number ([0-9]+).*/\1/p')" 40
visit both.test -tls1_3 -groups P-521:P-384
is "one that is found by asking again" "$(said 's/^Server Temp Key: .* ([0-9]+) bits/\1/p')" 384

# --- no renegotiation ---

mkfifo "$TMP/keys"
exec 5<>"$TMP/keys"
# shellcheck disable=SC2016 # the inner shell expands it
spawn client bash -c 'exec openssl s_client -connect "$1" -servername open.test -tls1_2 <"$2"' - \
	"127.0.0.1:$front" "$TMP/keys"
wait_for "$PATIENCE" grep -q hello "$TMP/client.out"
echo R >&5
ok "renegotiation is refused" wait_for "$PATIENCE" grep -q 'no renegotiation' "$TMP/client.err"
ok "it ends well" stop_gatehouse
done_testing
