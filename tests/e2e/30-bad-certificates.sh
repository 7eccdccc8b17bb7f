#!/bin/bash
# Every way in which a certificate or a key can be wrong is told by `check` and at a start alike, in
# one line with file, line and field; nothing of it is served.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_ca middle root
pki_cert root good good.test
pki_cert root other other.test
pki_cert root late good.test --expired
pki_cert root early good.test --notyet
pki_cert root soon good.test --days 3
pki_cert root rsa good.test --rsa
pki_cert middle chained good.test
start_echo back --source 1
free_port front
cd "$TMP" || bail_out "no $TMP"

openssl ec -in pki/good.key -aes256 -passout pass:secret -out pki/old-style.key 2>/dev/null
openssl pkcs8 -topk8 -in pki/good.key -passout pass:secret -out pki/encrypted.key
openssl pkey -in pki/good.key -pubout -out pki/public.key
openssl x509 -in pki/good.crt -outform DER -out pki/der.crt
: >pki/empty
echo "nothing of the kind" >pki/text
mkdir pki/directory
mkfifo pki/fifo
head -c 17000000 /dev/zero >pki/huge
head -n 5 pki/good.crt >pki/cut.crt
(cat pki/chained.own.crt; head -n 5 pki/middle.own.crt) >pki/cut-chain.crt
head -n 3 pki/good.key >pki/cut.key
(cat pki/good.own.crt; sed 's/^M/!/' pki/root.crt) >pki/garbled-chain.crt
(umask 077 && cat pki/good.key pki/good.crt >pki/both.pem)

# config CERT KEY: as they stand in JSON
config() {
	cat >config.json <<-CONFIG
		{"listen": "127.0.0.1:$front", "hosts": {
			"good.test": {"mode": "terminate", "backend": "$back",
				"cert": $1, "key": $2}}}
	CONFIG
}

run() { # ARGUMENT...: sets STATUS and ERR
	"$GATEHOUSE" "$@" >out 2>err </dev/null &
	local pid=$!
	identity "$pid" >>"$TMP/.processes"
	wait_for "$PATIENCE" is_over "$pid" || kill "$pid"
	wait "$pid"
	STATUS=$?
	ERR=$(<err)
}

# refused DESCRIPTION CERT KEY FIELD MESSAGE
refused() {
	local field="config.json:3: hosts[\"good.test\"].$4: "
	config "$2" "$3"
	run check -c config.json
	is "$1: check" "$STATUS $(sed -n 1p err)" "1 $field$5"
	run -c config.json
	is "$1: start" "$STATUS $ERR" "1 $field$5"
}

# warned DESCRIPTION CERT KEY MESSAGE: a pattern; it is served all the same
warned() {
	config "$2" "$3"
	run check -c config.json
	like "$1: check" "$STATUS $(sed -n 1p err)" \
		"^0 warning: config.json:3: hosts\[\"good.test\"\].cert: $4\$"
	start_gatehouse config.json || return
	like "$1: start" "$(sed -n 1p "$LOG")" \
		"^warning: config.json:3: hosts\[\"good.test\"\].cert: $4\$"
	is "$1: served" "$(openssl s_client -connect "127.0.0.1:$front" -servername good.test \
		-ign_eof -quiet </dev/null 2>/dev/null)" a
	stop_gatehouse
}

good='"pki/good.crt"' key='"pki/good.key"'
is_at=$TMP/pki

# --- certificates ---

refused "no such file" '"pki/none.crt"' "$key" cert "\"$is_at/none.crt\": no such file"
refused "a directory" '"pki/directory"' "$key" cert \
	"\"$is_at/directory\": is a directory, expected a file"
refused "a pipe" '"pki/fifo"' "$key" cert "\"$is_at/fifo\": is not a regular file"
refused "an empty file" '"pki/empty"' "$key" cert "\"$is_at/empty\": is empty"
refused "a huge file" '"pki/huge"' "$key" cert "\"$is_at/huge\": is larger than 16 MiB"
refused "text" '"pki/text"' "$key" cert \
	"\"$is_at/text\": no PEM certificate in it (no start line)"
refused "DER" '"pki/der.crt"' "$key" cert \
	"\"$is_at/der.crt\": no PEM certificate in it (no start line)"
refused "a key" "$key" "$key" cert \
	"\"$is_at/good.key\": no PEM certificate in it (no start line)"
refused "cut off" '"pki/cut.crt"' "$key" cert \
	"\"$is_at/cut.crt\": no PEM certificate in it (bad end line)"
refused "a chain cut off" '"pki/cut-chain.crt"' '"pki/chained.key"' cert \
	"\"$is_at/cut-chain.crt\": certificate 2 of its chain cannot be read (bad end line)"
refused "a chain garbled" '"pki/garbled-chain.crt"' "$key" cert \
	"\"$is_at/garbled-chain.crt\": certificate 2 of its chain cannot be read (bad base64 decode)"
refused "a file under a file" '"pki/good.crt/more"' "$key" cert \
	"\"$is_at/good.crt/more\": Not a directory"

# --- keys ---

refused "no such key" "$good" '"pki/none.key"' key "\"$is_at/none.key\": no such file"
refused "the key of another certificate" "$good" '"pki/other.key"' key \
	"\"$is_at/other.key\": is the key of another certificate than \"$is_at/good.crt\""
refused "a key of another type" "$good" '"pki/rsa.key"' key \
	"\"$is_at/rsa.key\": is the key of another certificate than \"$is_at/good.crt\""
refused "an encrypted key" "$good" '"pki/encrypted.key"' key \
	"\"$is_at/encrypted.key\": is encrypted, expected a key without a passphrase"
refused "one of the older form" "$good" '"pki/old-style.key"' key \
	"\"$is_at/old-style.key\": is encrypted, expected a key without a passphrase"
refused "an empty key" "$good" '"pki/empty"' key "\"$is_at/empty\": is empty"
refused "a directory as the key" "$good" '"pki/directory"' key \
	"\"$is_at/directory\": is a directory, expected a file"
refused "a certificate as the key" "$good" "$good" key \
	"\"$is_at/good.crt\": no PEM private key in it (unsupported)"
refused "a public key" "$good" '"pki/public.key"' key \
	"\"$is_at/public.key\": no PEM private key in it (unsupported)"
refused "a key cut off" "$good" '"pki/cut.key"' key \
	"\"$is_at/cut.key\": no PEM private key in it (unsupported)"

# --- pairs ---

refused "two of one type" '["pki/good.crt", "pki/other.crt"]' '["pki/good.key", "pki/other.key"]' \
	'cert[1]' "a second ECDSA certificate, expected one of each type"
refused "the second key is wrong" '["pki/good.crt", "pki/rsa.crt"]' \
	'["pki/good.key", "pki/none.key"]' 'key[1]' "\"$is_at/none.key\": no such file"
config '["pki/good.crt", "pki/rsa.crt"]' "$key"
run check -c config.json
like "fewer keys than certificates" "$STATUS $(sed -n 1p err)" \
	'^1 config.json:[23]: hosts\["good.test"\].*: .*(key|cert)'

if (($(id -u) != 0)); then
	chmod 0 pki/other.key
	refused "a key that may not be read" "$good" '"pki/other.key"' key \
		"\"$is_at/other.key\": Permission denied"
fi

# --- what is only a warning ---

date='20[0-9-]+T[0-9:]+Z'
warned "expired" '"pki/late.crt"' '"pki/late.key"' "the certificate expired at $date"
warned "not yet valid" '"pki/early.crt"' '"pki/early.key"' \
	"the certificate is not valid before $date"
warned "about to expire" '"pki/soon.crt"' '"pki/soon.key"' "the certificate expires at $date"
warned "of another name" '"pki/other.crt"' '"pki/other.key"' \
	'the certificate does not cover the name "good.test"'

# --- and what is right ---

for pair in '"pki/good.crt" "pki/good.key"' '"pki/both.pem" "pki/both.pem"' \
	'"pki/chained.crt" "pki/chained.key"'; do
	# shellcheck disable=SC2086 # two words
	config $pair
	run check -c config.json
	is "no finding: $pair" "$STATUS $ERR" "0 "
done
done_testing
