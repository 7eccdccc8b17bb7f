#!/bin/bash
# `gatehouse explain --hello` says what the bytes of a client say: whole, unfinished or broken.
. "${0%/*}/lib.sh"

cd "$TMP" || bail_out "no $TMP"

explain() { # the JSON, compact; sets nothing, for $(...)
	# shellcheck disable=SC2086 # the wrap is a command with its options
	$GATEHOUSE_WRAP "$GATEHOUSE" explain "$@" 2>"$TMP/err" | jq -c .
}

bytes() { # HEX
	# shellcheck disable=SC2001
	printf '%b' "$(tr -d ' ' <<<"$1" | sed 's/../\\x&/g')"
}

length() { # HEX BYTES: of what was given as hex, in hex
	printf "%0$((2 * $2))x" $((${#1} / 2))
}

# A TLS 1.2 hello around the given extensions, in one record.
hello_with() { # EXTENSIONS
	local body message
	body=0303$(printf '00%.0s' {1..32})000002c02b0100$(length "$1" 2)$1
	message=01$(length "$body" 3)$body
	echo "160301$(length "$message" 2)$message"
}

with_sni() { # NAME in hex: the extension
	local entry list
	entry=00$(length "$1" 2)$1
	list=$(length "$entry" 2)$entry
	echo "0000$(length "$list" 2)$list"
}

with_alpn() { # LIST, the ids with their lengths
	local body
	body=$(length "$1" 2)$1
	echo "0010$(length "$body" 2)$body"
}

hex() { # TEXT
	printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}

of_extensions() { # EXTENSIONS
	bytes "$(hello_with "$1")" | explain --hello -
}

# --- whole ---

hello --sni App.Test --alpn h2,http/1.1 >whole
expected='{"complete":true,"sni":"app.test","sni_error":null,"alpn":["h2","http/1.1"],"error":null}'
is "a hello from a file" "$(explain --hello whole)" "$expected"
is "from standard input" "$(explain --hello - <whole)" "$expected"
is "through a pipe, slowly" \
	"$( (head -c 100 whole; sleep 0.2; tail -c +101 whole) | explain --hello -)" "$expected"
is "one line" "$("$GATEHOUSE" explain --hello whole | wc -l)" 1
hello --sni App.Test --alpn h2,http/1.1 --record 7 >records
is "in many records" "$(explain --hello records)" "$expected"
head -c 100000 /dev/zero | cat whole - >longer
is "with more behind it" "$(explain --hello longer)" "$expected"
is "no name, no protocols" "$(hello | explain --hello -)" \
	'{"complete":true,"sni":null,"sni_error":null,"alpn":[],"error":null}'
is "a name with a dot" "$(of_extensions "$(with_sni "$(hex a.Test.)")" | jq -r .sni)" a.test
is "protocols as RFC 7639 writes them" \
	"$(of_extensions "$(with_alpn 02683203ff25200121)" | jq -c .alpn)" '["h2","%FF%25%20","!"]'

# --- names that cannot be used ---

# The name is UTF-8 in the hello; each of its bytes is a character here, in UTF-8 again.
of_extensions "$(with_sni "$(hex 'é.test')")" >eight
is "an 8-bit name" "$(jq -r '.sni | explode | map(tostring) | join(",")' eight)" \
	195,169,46,116,101,115,116
ok "in UTF-8" grep -q "$(printf '"\303\203\302\251.test"')" eight
is "quotes and backslashes" "$(of_extensions "$(with_sni "$(hex 'a"b\c')")" | jq -r .sni)" 'a"b\c'
is "a NUL" "$(of_extensions "$(with_sni 61006200)" | jq -c '[.complete, .sni, .sni_error]')" \
	'[true,null,"holds a NUL byte"]'
is "an address counts as no name" \
	"$(of_extensions "$(with_sni "$(hex 127.0.0.1)")" | jq -c '[.sni, .sni_error, .sni_note]')" \
	'[null,null,"an IP address is not a server name, and counts as none"]'
isnt "a malformed list" "$(of_extensions 00000003000500 | jq -r .sni_error)" null
is "is whole all the same" "$(of_extensions 00000003000500 | jq -c '[.complete, .error]')" '[true,null]'
is "malformed protocols" "$(of_extensions "$(with_alpn 0568)" |
	jq -c '[.complete, .alpn, .error, (.alpn_error | type)]')" '[true,[],null,"string"]'

# --- unfinished ---

unfinished='{"complete":false,"sni":null,"sni_error":null,"alpn":[],"error":null}'
size=$(wc -c <whole)
is "nothing" "$(explain --hello - </dev/null)" "$unfinished"
for cut in 1 5 6 50 $((size - 1)); do
	is "$cut bytes" "$(head -c "$cut" whole | explain --hello -)" "$unfinished"
done

# --- broken ---

bad='[.complete, .sni, .alpn, (.error | type)]'
for text in 'GET / HTTP/1.1' 'SSH-2.0-x'; do
	is "not TLS: $text" "$(echo "$text" | explain --hello - | jq -c "$bad")" \
		'[false,null,[],"string"]'
done
is "another handshake message" "$(bytes 16030100040e000000 | explain --hello - | jq -c "$bad")" \
	'[false,null,[],"string"]'
is "lengths that do not add up" "$(of_extensions 00170005 | jq -c "$bad")" '[false,null,[],"string"]'
is "too large" "$(bytes 16030140000100ffff | explain --hello - | jq -c "$bad")" \
	'[false,null,[],"string"]'
head -c 10000000 /dev/zero | explain --hello - >/dev/null
is "broken is no failure" "${PIPESTATUS[1]}" 0

# --- with a configuration ---

pki_ca root
pki_cert root app app.test
cat >config.json <<-'JSON'
	{ "listen": ":443", "hosts": { "app.test": { "mode": "terminate", "cert": "pki/app.crt",
	  "key": "pki/app.key", "backend": "127.0.0.1:80", "alpn": { "ssh": { "backend": "127.0.0.1:22" } } } } }
JSON
routed() { # FILTER: of the hello on standard input
	explain -c config.json --hello - | jq -c "$1"
}
is "the route" "$(hello --sni app.test --alpn ssh | routed '[.sni, .route.host, .route.alpn, .route.mode, .route.backend.servers]')" \
	'["app.test","app.test","ssh","terminate",["127.0.0.1:22"]]'
is "no route" "$(hello --sni b.test | routed '[.complete, .route, .why]')" '[true,null,"unknown server name"]'
is "a version too old" "$(hello --max TLS1.1 --min TLS1.1 --sni app.test | routed '.route | [.min_version, .version_error != null]')" \
	'["TLS1.2",true]'
is "an unfinished hello" "$(head -c 20 whole | routed '[.error, .route, .why]')" \
	'[null,null,"the ClientHello is incomplete"]'
is "a broken one" "$(bytes "$(hello_with 00170005)" | routed '[.route, .answer]')" \
	'[null,"alert decode_error"]'
is "no TLS" "$(echo GET | routed '[.route, .why]')" '[null,"not TLS"]'
is "a name that cannot be used" "$(bytes "$(hello_with "$(with_sni 6100)")" | routed '[.route, .why, .answer]')" \
	'[null,"server name holds a NUL byte","alert illegal_parameter"]'
is "protocols that cannot" "$(bytes "$(hello_with "$(with_alpn 0568)")" | routed '[.route, .answer]')" \
	'[null,"alert decode_error"]'

# --- what cannot be read ---

for file in none "$TMP"; do
	"$GATEHOUSE" explain --hello "$file" >out 2>err
	is "not $file" "$?" 1
	like "and why" "$(cat err)" '^gatehouse explain: .*: (No such file|Is a directory)'
	is "no answer" "$(cat out)" ''
done

done_testing
