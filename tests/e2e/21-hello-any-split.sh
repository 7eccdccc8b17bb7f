#!/bin/bash
# However a ClientHello is cut into TCP segments and TLS records, it is routed the same, by both
# kinds of route.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root front terminated.test
pki_cert root other other.test
free_port front
start_echo right
start_echo wrong --greet wrong

cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/front.crt", "key": "pki/front.key",
			"backend": "$right"},
		"passed.test": {"mode": "passthrough", "backend": "$right"},
		"*": {"mode": "terminate", "cert": "pki/other.crt", "key": "pki/other.key",
			"backend": "$wrong"}
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

hex() { # FILE
	od -An -v -tx1 "$1" | tr -d ' \n'
}

# A TLS 1.2 server names itself in the clear, in its certificate.
wanted_name=$(printf terminated.test | od -An -tx1 | tr -d ' \n')

terminated() { # FILE [options of rawclient]: answered with the certificate of the right host
	local file=$1
	shift
	[[ $(rawclient --file "$file" "$@" --until 400 "127.0.0.1:$front") == *"$wanted_name"* ]]
}

passed() { # FILE [options of rawclient]: every byte of it came to the backend, which sent it back
	local file=$1
	shift
	[[ $(rawclient --file "$file" "$@" --half-close "127.0.0.1:$front" | head -n 1) == \
		"received $(hex "$file")" ]]
}

# at_each DESCRIPTION CHECK FILE OPTION FROM TO [STEP]
at_each() {
	local n bad=()
	for ((n = $5; n <= $6; n += ${7:-1})); do
		"$2" "$3" "$4" "$n" || bad+=("$n")
	done
	is "$1" "${bad[*]:-}" ""
}

for route in terminated passed; do
	name=(--sni $route.test --max TLS1.2 --alpn h2,http/1.1)
	file=$TMP/$route
	hello "${name[@]}" >"$file"
	size=$(wc -c <"$file")

	ok "$route: in one segment" $route "$file"
	ok "$route: a byte at a time" $route "$file" --every 1 --delay-us 200
	ok "$route: three bytes at a time" $route "$file" --every 3 --delay-us 200
	at_each "$route: cut in two at every offset" $route "$file" --split 1 $((size - 1))

	ok "$route: a pause in mid-hello" $route "$file" --split $((size / 2)) --delay-us 300000

	# As records of one size: two of them, three, ... one for each byte.
	bad=()
	for ((record = size; record >= 1; record--)); do
		hello "${name[@]}" --record "$record" >"$file.records"
		$route "$file.records" || bad+=("$record")
	done
	is "$route: in records of every size" "${bad[*]:-}" ""
	ok "$route: a record for each byte, a byte at a time" $route "$file.records" --every 1 \
		--delay-us 50
	ok "$route: a record for each byte, cut by sevens" $route "$file.records" --every 7 \
		--delay-us 50

	# As large as post-quantum key shares and more make it, up to what is allowed.
	for pad in 4000 20000 60000; do
		hello "${name[@]}" --pad $pad >"$file.large"
		size=$(wc -c <"$file.large")
		ok "$route: $size bytes" $route "$file.large"
		ok "$route: $size bytes, 1000 at a time" $route "$file.large" --every 1000 \
			--delay-us 100
		at_each "$route: $size bytes, cut here and there" $route "$file.large" --split 1 "$size" \
			$((size / 15))
		hello "${name[@]}" --pad $pad --record 100 >"$file.large"
		(($(wc -c <"$file.large") <= 65536)) || continue
		ok "$route: $pad and more bytes in records of 100" $route "$file.large"
	done
done

is "nothing went the laxer way" "$(accepts wrong)" 0
ok "gatehouse ends well" stop_gatehouse
done_testing
