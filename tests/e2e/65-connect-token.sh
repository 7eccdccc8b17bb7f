#!/bin/bash
# A key that never leaves its token: connect uses it by a PKCS#11 URI.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: softhsm2 opensc libengine-pkcs11-openssl
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME=
mkdir -p "$HOME" "$TMP/tokens"
for program in softhsm2-util pkcs11-tool; do
	command -v "$program" >/dev/null || skip_all "no $program here"
done
PKCS11_MODULE_PATH=$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null | head -n 1)
ls "$(openssl version -e | sed 's/.*"\(.*\)"/\1/')"/pkcs11.so >/dev/null 2>&1 || skip_all "no PKCS#11 engine here"
export PKCS11_MODULE_PATH SOFTHSM2_CONF=$TMP/softhsm.conf
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$TMP/tokens" >"$SOFTHSM2_CONF"

# The engine forgets to free its methods.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

pki_ca root
pki_ca clients
pki_cert root site app.test
pki_cert clients alice
start_echo echo
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
		"client_auth": "required", "ca": "pki/clients.crt", "backend": "$echo"}}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

quietly() { # COMMAND...
	"$@" >"$TMP/.token" 2>&1 || bail_out "$*" "$(cat "$TMP/.token")"
}
quietly softhsm2-util --init-token --free --label laptop --pin 1234 --so-pin 5678
openssl pkcs8 -topk8 -nocrypt -in "$PKI/alice.key" -out "$TMP/alice.p8"
quietly softhsm2-util --import "$TMP/alice.p8" --token laptop --label me --id 01 --pin 1234
openssl x509 -in "$PKI/alice.crt" -outform DER -out "$TMP/alice.der"
quietly pkcs11-tool --module "$PKCS11_MODULE_PATH" --token-label laptop --login --pin 1234 \
	--write-object "$TMP/alice.der" --type cert --label me --id 01
rm "$TMP/alice.p8" "$PKI/alice.key"

# Sets LINE, OUT and STATUS.
connect() { # ARGUMENT...
	# shellcheck disable=SC2086 # the wrap is a command with its options
	OUT=$(echo x | timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" connect --ca "$PKI/root.crt" \
		--sni app.test "$@" "127.0.0.1:$front" 2>"$TMP/line")
	STATUS=$?
	LINE=$(cat "$TMP/line")
}
token='pkcs11:token=laptop;object=me'
echo 1234 >"$TMP/pin"
connect --cert "$PKI/alice.crt" --key "$token;type=private;pin-value=1234"
is "a key on a token, its certificate in a file" "$STATUS $OUT$LINE" "0 x"
connect --key "$token;pin-value=1234"
is "both on the token" "$STATUS $OUT$LINE" "0 x"
connect --key "$token" --passphrase-file "$TMP/pin"
is "the PIN from a file" "$STATUS $OUT$LINE" "0 x"
connect --cert "$PKI/alice.crt" --key 'pkcs11:token=laptop;object=nobody;type=private;pin-value=1234'
like "no such key" "$STATUS $LINE" '^1 gatehouse connect: pkcs11:.*: the token has no such key or certificate, or did not open \('
PKCS11_MODULE_PATH=/nowhere.so connect --key "$token;pin-value=1234"
LINE=$(tail -n 1 <<<"$LINE") # the engine itself complains too
like "no such library" "$STATUS $LINE" '^1 gatehouse connect: pkcs11:[^ ]*pin-value=\.\.\.: the token has no such key'
OPENSSL_ENGINES=/nowhere connect --key "$token;pin-value=1234"
is "nothing that knows tokens" "$STATUS $LINE" "1 gatehouse connect: $token;pin-value=...: no PKCS#11 provider or engine for OpenSSL is installed (Debian: libengine-pkcs11-openssl)"

ok "gatehouse ends well" stop_gatehouse
done_testing
