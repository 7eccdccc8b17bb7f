#!/bin/bash
# hello_timeout, handshake_timeout, dial_timeout, idle_timeout: each ends what it is about, after its
# time and not before, and nothing else.
# first: it waits for timeouts
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site terminated.test slow.test
for name in {passed,terminated,slow,named,two}.test; do hello --sni "$name" >"$TMP/$name.hello"; done
start_echo echo
free_port front

start_blackhole hole

route() { # BACKEND
	echo "{\"mode\": \"passthrough\", \"backend\": $1}"
}
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$echo"},
		"slow.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$hole"},
		"passed.test": $(route "\"$hole\""),
		"named.test": $(route "\"localhost:${hole##*:}\""),
		"two.test": $(route "{\"servers\": [{\"address\": \"$hole\"},
			{\"address\": \"$echo\", \"backup\": true}]}"),
		"good.test": $(route "\"$echo\"")
	},
	"proxy": {"hello_timeout": "700ms", "handshake_timeout": "900ms", "dial_timeout": "1100ms",
		"idle_timeout": "800ms"}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# The last answer of rawclient, and that its end came after so long: at most a second later.
ended() { # DESCRIPTION MS ENDING
	local after
	after=$(sed -n 's/^after_ms //p' "$TMP/answer")
	if ((after >= $2 - 20 && after <= $2 + 1000)); then
		pass "$1: after $2 ms"
	else
		fail "$1: after $2 ms" "after $after ms"
	fi
	like "$1: $3" "$(sed -n 's/^ended //p' "$TMP/answer")" "^($3)$"
}

rawclient "127.0.0.1:$front" >"$TMP/answer"
ended "not a word" 700 reset
logs "not a word: the log" msg=connection step=sniff "end=hello timeout"

rawclient --file "$TMP/passed.test.hello" --first 50 --every 5 --delay-us 100000 \
	"127.0.0.1:$front" >"$TMP/answer"
ended "a hello in drops" 700 reset
is "a hello in drops: the log" "$(log_count msg=connection step=sniff "end=hello timeout")" 2

rawclient --file "$TMP/terminated.test.hello" "127.0.0.1:$front" >"$TMP/answer"
ended "a hello and nothing more" 900 reset
logs "a hello and nothing more: the log" msg=connection step=handshake_client "end=handshake timeout"
is "a hello and nothing more: the server heard nothing" "$(accepts echo)" 0

rawclient --file "$TMP/passed.test.hello" "127.0.0.1:$front" >"$TMP/answer"
ended "a server that does not answer" 1100 reset
logs "a server that does not answer: the log" msg=connection sni=passed.test step=connect_upstream \
	"end=upstream $hole: dial timeout"

spawn slow talk --tls --sni slow.test "127.0.0.1:$front" wait
wait "$slow_pid"
like "a secured client sees a reset, and no end" "$(cat "$TMP/slow.out")" $'\nsaw reset$'

rawclient --file "$TMP/named.test.hello" "127.0.0.1:$front" >"$TMP/answer"
ended "a server with a name that does not answer" 1100 reset
wait_for "$PATIENCE" has_log msg=connection sni=named.test
like "a server with a name that does not answer: the log" \
	"$(log_lines msg=connection sni=named.test | tail -n 1)" "end=\"upstream .*:${hole##*:}: dial timeout\""

rawclient --file "$TMP/two.test.hello" --until 20 "127.0.0.1:$front" >"$TMP/answer"
ended "one that does not answer, one that does" 1100 left

# --- idle ---

hello --sni good.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
rawclient --file "$TMP/hello" "127.0.0.1:$front" >"$TMP/answer"
ended "nothing moves" 800 reset # what is cut off is no end
logs "nothing moves: the log" msg=connection sni=good.test "end=idle timeout"

talk --hello "$TMP/hello" --skip "$hello_size" --write-chunk 1 --write-delay 300000 \
	"127.0.0.1:$front" exchange=6 wait >"$TMP/busy"
like "what moves now and then stays" "$(cat "$TMP/busy")" '^sent 6 .*received 6 .*saw reset'
took=$(log_value total_ms msg=connection sni=good.test)
ok "what moves now and then stays: $took ms" test "${took%.*}" -gt 2000

talk --tls --sni terminated.test --write-chunk 1 --write-delay 300000 "127.0.0.1:$front" \
	exchange=6 wait >"$TMP/busy"
like "so with TLS" "$(cat "$TMP/busy")" '^sent 6 .*received 6 .*saw '
logs "so with TLS: the log" msg=connection sni=terminated.test "end=idle timeout"

ok "it ends well" stop_gatehouse
done_testing
