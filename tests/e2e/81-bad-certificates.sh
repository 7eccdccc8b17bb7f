#!/bin/bash
# Whoever shows a certificate that is not good is refused with an alert, and no backend hears of it.
# Real clients; a table of what each of them got is printed.
# needs: gnutls-bin
# first: it takes long
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# --- certificates, good and bad ---

pki_ca ca
pki_ca other
pki_ca inter ca
pki_ca deep1 ca
pki_ca deep2 deep1
pki_ca deep3 deep2
pki_ca lost-inter ca
cp "$PKI/lost-inter.own.crt" "$PKI/lost-inter-ca.own.crt"
pki_cert ca server mtls.test '*.mtls.test'

pki_cert ca good --eku client
pki_cert inter chained --eku client
pki_cert ca anyuse --eku none

pki_cert other stranger
pki_cert ca expired --expired
pki_cert ca notyet --notyet
pki_cert ca revoked
pki_cert ca serveronly --eku server
pki_cert deep3 toolong
cat "$PKI/toolong.own.crt" "$PKI"/deep{3,2,1}.own.crt >"$PKI/toolong.crt"
pki_cert lost-inter belowrevoked
pki_cert inter unchained
cp "$PKI/unchained.own.crt" "$PKI/unchained.crt"
pki_crl ca revoked lost-inter-ca
pki_crl inter
pki_crl lost-inter

self_signed() { # NAME
	pki_openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -config /dev/null \
		-subj "/CN=$1" -days 30 -keyout "$PKI/$1.key" -out "$PKI/$1.crt"
}
self_signed selfsigned

weak() { # NAME: an RSA key of 1024 bits
	pki_openssl req -new -batch -nodes -newkey rsa:1024 -config /dev/null -subj "/CN=$1" \
		-keyout "$PKI/$1.key" -out "$PKI/$1.csr"
	pki_sign ca "$1" "$(pki_time -1day)" "$(pki_time +9days)" "basicConstraints = CA:false"
	cp "$PKI/$1.own.crt" "$PKI/$1.crt"
}
weak weakkey

# Its subject has 64 KiB, in units of 64 characters; the CA does not mind.
subject=/CN=huge
unit=$(printf 'x%.0s' {1..64})
for ((i = 0; i < 1000; i++)); do subject+="/OU=$unit"; done
pki_openssl req -new -batch -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -config /dev/null \
	-subj "$subject" -keyout "$PKI/huge.key" -out "$PKI/huge.csr"
pki_openssl x509 -req -days 9 -in "$PKI/huge.csr" -CA "$PKI/ca.own.crt" -CAkey "$PKI/ca.key" \
	-CAcreateserial -out "$PKI/huge.crt"

# Signed by another key of the same name.
pki_openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -config /dev/null \
	-subj /CN=ca -days 30 -keyout "$TMP/forger.key" -out "$TMP/forger.crt"
pki_request forged /CN=forged
pki_openssl x509 -req -days 9 -in "$PKI/forged.csr" -CA "$TMP/forger.crt" -CAkey "$TMP/forger.key" \
	-CAcreateserial -out "$PKI/forged.crt"

# --- gatehouse ---

start_echo echo
cd "$TMP" || bail_out "no $TMP"
free_port port
at=127.0.0.1:$port
cat >config.json <<-JSON
	{ "listen": "$at", "hosts": {
	  "*.mtls.test": { "mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
	    "backend": "$echo", "client_auth": "required", "ca": "pki/ca.crt",
	    "crl": ["pki/ca.crl", "pki/inter.crl", "pki/lost-inter.crl"], "verify_depth": 2 } } }
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

# --- clients, none of which is too fine to send a weak key: each prints what it got, as an alert's number, "in", or what else it says ---

cat >"$TMP/lax.cnf" <<-'CONF'
	openssl_conf = all
	[all]
	ssl_conf = tls
	[tls]
	system_default = lax
	[lax]
	CipherString = DEFAULT@SECLEVEL=0
CONF

split_chain() { # NAME: the leaf and what comes behind it, apart
	awk -v leaf="$PKI/$1.leaf" -v chain="$PKI/$1.chain" '/BEGIN CERT/ { n++ }
		{ print > (n > 1 ? chain : leaf) }' "$PKI/$1.crt"
}

by_openssl() { # NAME OPTION...
	local name=$1 chain=() out
	shift
	[[ ! -f $PKI/$name.chain ]] || chain=(-cert_chain "$PKI/$name.chain")
	out=$(echo hello | OPENSSL_CONF=$TMP/lax.cnf timeout 10 openssl s_client \
		-connect "$at" -servername "$name.mtls.test" -cert "$PKI/$name.leaf" -key "$PKI/$name.key" "${chain[@]}" -ign_eof "$@" 2>&1)
	grep -oE 'SSL alert number [0-9]+' <<<"$out" | head -n 1 | grep -oE '[0-9]+' || tail -n 1 <<<"$out"
}

by_curl() { # NAME
	local out
	out=$(OPENSSL_CONF=$TMP/lax.cnf https "https://$1.mtls.test/" "$at" --cacert "$PKI/ca.crt" \
		--cert "$PKI/$1.crt" --key "$PKI/$1.key" 2>&1)
	sed -nE 's/.*alert ([a-z ]+), errno.*/\1/p; t; s/^curl: //p' <<<"$out" | tail -n 1
}

by_gnutls() { # NAME
	local out
	out=$(echo hello | timeout 10 gnutls-cli --x509cafile "$PKI/ca.crt" --sni-hostname "$1.mtls.test" \
		--verify-hostname "$1.mtls.test" --x509certfile "$PKI/$1.crt" --x509keyfile "$PKI/$1.key" \
		-p "$port" 127.0.0.1 2>&1)
	grep -oE 'Received alert \[[0-9]+\]' <<<"$out" | head -n 1 | grep -oE '[0-9]+' ||
		tail -n 1 <<<"$out"
}

note "$(printf '%-13s %8s %8s  %-28s %s' certificate 'TLS 1.2' 'TLS 1.3' curl gnutls-cli)"
note "$(printf '%-13s %8s %8s  %-28s %s' '' 'alert' 'alert' alert alert)"

refused() { # NAME ALERT WHY [IDENTITY]: by gatehouse, whoever it is that shows it
	local name=$1 alert=$2 why=$3 identity=${4-CN=$1} old new curl gnutls
	split_chain "$name"
	old=$(by_openssl "$name" -tls1_2)
	new=$(by_openssl "$name" -tls1_3)
	curl=$(by_curl "$name")
	gnutls=$(by_gnutls "$name")
	note "$(printf '%-13s %8s %8s  %-28s %s' "$name" "$old" "$new" "$curl" "$gnutls")"
	is "$name: TLS 1.2 and 1.3 of OpenSSL get alert $alert" "$old $new" "$alert $alert"
	like "$name: so does curl" "$curl" '^(bad|unknown|decrypt|unsupported|illegal|certificate|handshake)[a-z ]+$'
	like "$name: and gnutls-cli an alert" "$gnutls" '^[0-9]+$'
	logs "$name: the log has the reason, and who it was" "sni=$name.mtls.test" \
		${identity:+"identity=$identity"} "end=handshake: $why"
}

bad='client certificate:'
refused stranger 48 "$bad unable to get local issuer certificate"
refused selfsigned 48 "$bad self-signed certificate"
refused forged 51 "$bad certificate signature failure"
refused expired 45 "$bad certificate has expired"
refused notyet 42 "$bad certificate is not yet valid"
refused revoked 44 "$bad certificate revoked"
refused belowrevoked 44 "$bad certificate revoked"
refused serveronly 43 "$bad unsuitable certificate purpose"
refused toolong 48 "$bad certificate chain too long"
refused unchained 48 "$bad unable to get local issuer certificate"
refused weakkey 42 "$bad EE certificate key too weak"
refused huge 47 "excessive message size" ""

# --- none at all ---

cp "$PKI/good.crt" "$PKI/nobody.leaf"
nobody=(timeout 10 openssl s_client -connect "$at" -servername nobody.mtls.test -ign_eof)
like "nobody: TLS 1.2 gets alert 40" "$(echo | "${nobody[@]}" -tls1_2 2>&1)" 'SSL alert number 40'
like "nobody: TLS 1.3 gets alert 116" "$(echo | "${nobody[@]}" -tls1_3 2>&1)" 'SSL alert number 116'
logs "nobody: the log has the reason" sni=nobody.mtls.test \
	'end=handshake: peer did not return a certificate'

# The request names our CAs, so that a client can choose.
like "the certificate request names the CA" "$(echo | "${nobody[@]}" -tls1_3 2>&1)" \
	$'Acceptable client certificate CA names\nCN = ca\n'

is "no backend heard of any of them" "$(accepts echo)" 0

quietly() { # COMMAND...: what it prints is no test's result
	"$@" >"$TMP/quietly.out"
}

# --- good ones, to be sure that the tests above can fail ---

for name in good chained anyuse; do
	ok "$name: is admitted" quietly tlsload --count 1 --sni "$name.mtls.test" --cert "$PKI/$name.crt" \
		--key "$PKI/$name.key" --request hello --expect hello --half-close "$at"
done
ok "and the backend heard of those" wait_for 5 has_accepted echo 3
ok "stops" stop_gatehouse

done_testing
