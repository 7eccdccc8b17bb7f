#!/bin/bash
# Many hosts: 100,000, or with BIG=1 a million. They load in seconds, each is found, and a change of
# one of them is a reload like any other.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

count=100000
kib_each=2
[[ -z ${BIG:-} ]] || count=1000000
if [[ -n $GATEHOUSE_WRAP ]] || grep -qE '__(a|t)san_init' "$GATEHOUSE"; then
	count=20000
	kib_each=8
	PATIENCE=120
fi
[[ -z ${BIG:-} ]] || PATIENCE=120

pki_ca root
pki_cert root site '*.term.test'
start_echo one --greet one
start_echo two --greet two
free_port front

# Every tenth terminates, all with the same certificate.
config() { # ADDRESS-OF-THE-LAST
	awk -v count="$count" -v one="$one" -v last="$1" -v port="$front" 'BEGIN {
		printf "{\n\"listen\": \"127.0.0.1:%s\",\n\"hosts\": {\n", port
		for (i = 1; i <= count; i++) {
			backend = i == count ? last : one
			if (i % 10 == 5)
				printf "\"h%d.term.test\": {\"mode\": \"terminate\", \"cert\": \"pki/site.crt\", \"key\": \"pki/site.key\", \"backend\": \"%s\"},\n", i, backend
			else
				printf "\"h%d.test\": {\"mode\": \"passthrough\", \"backend\": \"%s\"},\n", i, backend
		}
		printf "\"*.wild.test\": {\"mode\": \"passthrough\", \"backend\": \"%s\"}\n}\n}\n", one
	}'
}

ask() { # NAME
	hello --sni "$1" >"$TMP/hello"
	rawclient --file "$TMP/hello" --until 3 --raw "127.0.0.1:$front" 2>/dev/null | head -c 3 |
		tr -cd '[:lower:]'
}

memory() { # Rss, or Hwm for its peak
	sed -n "s/^Vm$1:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$gatehouse_pid/status"
}

config "$one" >"$TMP/config.json"
note "$count hosts in $(($(wc -c <"$TMP/config.json") / 1048576)) MiB of JSON"
begun=${EPOCHREALTIME/./}
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
note "ready after $(((${EPOCHREALTIME/./} - begun) / 1000)) ms, resident $(memory RSS) KiB, at most $(memory HWM) KiB"
rss=$(memory RSS)
ok "it takes less than $kib_each KiB for each host" test "$rss" -lt $((40000 + kib_each * count))
is "it has them all" "$(log_value hosts msg=ready)" $((count + 1))
is "and one certificate" "$(log_value certificates msg=ready)" 1

is "the first is found" "$(ask h1.test)" one
is "one in the middle" "$(ask "h$((count / 2)).test")" one
is "the last" "$(ask "h$count.test")" one
is "one by its pattern" "$(ask any.name.wild.test)" one
unlike "one too many is not" "$(ask "h$((count + 1)).test")" one
like "one that terminates" "$(talk --tls --sni h5.term.test "127.0.0.1:$front" recv=3)" '^.*received 3 '

# While it loads the new ones the old ones are served, and quickly.
config "$two" >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"
slowest=0
failed=0
until has_log msg=reloaded took_ms || ((SECONDS > PATIENCE * 2)); do
	begun=${EPOCHREALTIME/./}
	[[ $(ask h1.test) == one ]] || failed=$((failed + 1))
	took=$(((${EPOCHREALTIME/./} - begun) / 1000))
	((took <= slowest)) || slowest=$took
done
is "while it reloads everyone is served" "$failed" 0
note "the slowest of them took $slowest ms, with the tools' own start"
logs "one was changed" msg=reloaded changed=1 added=0 removed=0 certificates_read=0
note "the reload took $(log_value took_ms msg=reloaded) ms, resident $(memory RSS) KiB, at most $(memory HWM) KiB"
is "and leads elsewhere" "$(ask "h$count.test")" two
is "the others do not" "$(ask h1.test)" one

config "$two" | sed 's/^"h77.test": {/&"colour": "red", /' >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"
ok "a mistake in the midst is found" wait_for "$PATIENCE" grep -q 'config.json:80: .*colour: unknown key' "$LOG"
gives_back() { (($(memory RSS) < rss + rss / 2 + 20000)); }
if grep -qE '__(a|t)san_init' "$GATEHOUSE"; then
	skip 1 "a sanitizer keeps what is freed"
else
	ok "and memory is given back" wait_for "$PATIENCE" gives_back
fi
note "resident at the end: $(memory RSS) KiB"
ok "it ends well" stop_gatehouse
done_testing
