#!/bin/bash
# Keys, certificates, CAs and revocation lists are renewed under load and nothing is dropped; what a
# mistake kept from being loaded is loaded once the mistake is undone.
# threads: reloads under load
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca ca2
pki_cert ca server rotate.test
pki_cert ca alice --cn alice
pki_cert ca bob --cn bob
pki_cert ca2 anna --cn anna
pki_crl ca
pki_crl ca2
start_echo echo
cd "$TMP" || bail_out "no $TMP"
free_port port
at=127.0.0.1:$port
mkdir live
install_files() { # CERTIFICATE CA CRL: each renamed over the old one
	local name
	cp "$PKI/$1.crt" live/next.cert
	cp "$PKI/$1.key" live/next.key
	# shellcheck disable=SC2086 # several, with commas between
	cat ${2//,/ } >live/next.ca
	# shellcheck disable=SC2086
	cat ${3//,/ } >live/next.crl
	for name in cert key ca crl; do mv "live/next.$name" "live/$name.pem"; done
}
install_files server "$PKI/ca.crt" "$PKI/ca.crl"
cat >config.json <<-JSON
	{ "listen": "$at", "proxy": { "drain_timeout": "1s" }, "hosts": { "rotate.test": {
	  "mode": "terminate", "cert": "live/cert.pem", "key": "live/key.pem", "client_auth": "required",
	  "ca": "live/ca.pem", "crl": "live/crl.pem", "backend": "$echo" } } }
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

shown() { # the serial number of the certificate that is shown
	openssl s_client -connect "$at" -servername rotate.test -cert "$PKI/alice.crt" \
		-key "$PKI/alice.key" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
is_shown() { # NAME
	[[ $(shown) == "$(openssl x509 -in "$PKI/$1.own.crt" -noout -serial)" ]]
}
quietly() { # COMMAND...: what it prints is no test's result
	"$@" >"$TMP/quietly.out"
}

load() { # CLIENT COUNT
	tlsload --count "$2" --concurrency 2 --sni rotate.test --ca "$PKI/ca.crt" --cert "$PKI/$1.crt" \
		--key "$PKI/$1.key" --request hello --expect hello --half-close "$at"
}

ok "it works" quietly load alice 5
load_until() { # FILE is there
	until [[ -e $1 ]]; do load alice 100; done
}
spawn load load_until "$TMP/rotated"

pki_cert ca second rotate.test --rsa
install_files second "$PKI/ca.crt" "$PKI/ca.crl"
ok "another key and certificate" wait_for 5 is_shown second
install_files second "$PKI/ca.crt,$PKI/ca2.crt" "$PKI/ca.crl,$PKI/ca2.crl"
ok "a second CA beside the first" wait_for 5 load anna 1
ok "the first goes on" quietly load bob 1
pki_crl ca bob
install_files second "$PKI/ca.crt,$PKI/ca2.crt" "$PKI/ca.crl,$PKI/ca2.crl"
refused() { # CLIENT
	! quietly load "$1" 1
}
ok "bob is revoked" wait_for 5 refused bob
for i in 1 2 3; do
	pki_cert ca "third$i" rotate.test
	install_files "third$i" "$PKI/ca.crt" "$PKI/ca.crl"
	ok "renewed again, $i" wait_for 5 is_shown "third$i"
done
ok "the second CA is gone" refused anna
ok "all that happened under load" is_running "$load_pid"
: >rotated
wait "$load_pid"
note "$(grep -c '^ok' load.out) times 100 connections"
is "of which nothing was dropped" "$(grep -v '^ok 100 failed 0 ' load.out)" ''

# --- a mistake elsewhere at the same time ---

refusals() {
	[[ $(log_count 'msg=reload refused, the running configuration stays') == "$1" ]]
}
pki_cert ca fourth rotate.test
cp live/crl.pem good.crl
cp "$PKI/fourth.crt" live/next.cert
cp "$PKI/fourth.key" live/next.key
echo garbage >live/crl.pem
mv live/next.key live/key.pem
mv live/next.cert live/cert.pem
ok "a list that cannot be read" wait_for 5 refusals 1
ok "keeps the certificate from being taken, too" is_shown third3
cp good.crl live/crl.pem
ok "until the list is what it was" wait_for 5 is_shown fourth
cp "$PKI/fourth.crt" live/cert.pem
echo '-----BEGIN CERTIFICATE-----' >live/ca.pem
ok "half a CA" wait_for 5 refusals 2
not_ok "is no open door" quietly tlsload --count 1 --sni rotate.test --request hello --expect hello \
	--half-close "$at"
ok "what was there goes on" quietly load alice 5
ok "stops" stop_gatehouse

done_testing
