#!/bin/bash
# The log can be read by people and by programs, says no more than was asked for, tells a flood as one
# line, and never stands in anybody's way.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site terminated.test
start_echo echo --greet hi
hello --sni passed.test --alpn 'h2,x y' >"$TMP/hello"
hello --sni nobody.test >"$TMP/nobody"
free_port front

config() { # LEVEL FORMAT
	cat <<-CONFIG
		{
			"listen": "127.0.0.1:$front",
			"workers": 1,
			"hosts": {
				"terminated.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$echo"},
				"passed.test": {"mode": "passthrough", "backend": "$echo"}
			},
			"logging": {"level": "$1", "format": "$2"}
		}
	CONFIG
}

# One of each kind: passed, terminated, refused in some ways.
use() {
	rawclient --file "$TMP/hello" --half-close "127.0.0.1:$front"
	talk --tls --sni terminated.test "127.0.0.1:$front" exchange=10 close_notify fin wait
	rawclient --text 'GET / HTTP/1.0' "127.0.0.1:$front"
	rawclient --hex '16 03 01 00 05 01 00 00 01 ff' "127.0.0.1:$front"
	rawclient --file "$TMP/nobody" --until 100 "127.0.0.1:$front"
	rawclient --hex "$(printf '"\\\n\e[31m\x80=' | od -An -tx1)" "127.0.0.1:$front"
} >/dev/null

connections() {
	grep -c 'connection' "$LOG"
}

# --- text ---

config info text >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
use
ok "it ends well" stop_gatehouse
bad=$(grep -vE '^time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z level=(error|warning|info|debug) msg=("([^"\\]|\\.)*"|[^" ]+)( [a-z_0-9]+=("([^"\\]|\\.)*"|[^" ]+))*$' "$LOG")
is "text: every line is pairs" "$bad" ''
is "text: nothing that a terminal would obey" "$(LC_ALL=C tr -d '\n -~' <"$LOG")" ''
is "text: six connections, six lines" "$(log_count msg=connection)" 6
line=$(log_lines msg=connection sni=terminated.test)
for pair in "client=127.0.0.1:[0-9]+" "listener=127.0.0.1:$front" route=terminated.test mode=terminate \
	tls=TLSv1.3 cipher=TLS_ "upstream=$echo" up=10 down=12 "handshake_ms=[0-9.]+" "dial_ms=[0-9.]+" \
	"total_ms=[0-9.]+" end=done; do
	like "text: of a connection, ${pair%%=*}" "$line" " $pair"
done
like "text: what a client offered" "$(log_lines sni=passed.test)" 'alpn(_offered)?="?h2,x%20y'

# --- JSON ---

config info json >"$TMP/config.json"
LOG=$TMP/gatehouse.err
spawn gatehouse "$GATEHOUSE" -c "$TMP/config.json"
wait_for "$PATIENCE" grep -q '"msg":"ready"' "$LOG" || bail_out "$(cat "$LOG")"
use
stop "$gatehouse_pid"
is "JSON: it ends well" "$STATUS" 0
is "JSON: every line is an object" "$(jq -r 'type' "$LOG" | sort -u)" object
is "JSON: with a time, a level, a message" \
	"$(jq -r '[has("time", "level", "msg")] | all' "$LOG" | sort -u)" true
is "JSON: numbers are numbers" "$(jq -r 'select(.sni == "terminated.test") |
	[.up, .down, .total_ms, .handshake_ms | type] | unique | join(" ")' "$LOG")" number
is "JSON: truth is truth" "$(jq -r 'select(.sni == "terminated.test") | .resumed | type' "$LOG")" boolean
is "JSON: six connections" "$(jq -r 'select(.msg == "connection") | .end' "$LOG" | wc -l)" 6

# --- levels ---

for level in error warn debug; do
	config "$level" text >"$TMP/config.json"
	spawn gatehouse "$GATEHOUSE" -c "$TMP/config.json"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$front"
	use
	stop "$gatehouse_pid"
	case $level in
	error) is "error: nothing was one" "$(cat "$LOG")" '' ;;
	warn) unlike "warn: no information" "$(cat "$LOG")" level=info ;;
	debug) is "debug: everything" "$(log_count msg=connection | sed 's/[67]/all/')" all ;;
	esac
done

# --- journald ---

config info text >"$TMP/config.json"
: >"$TMP/journal"
stream=$(stat -c %d:%i "$TMP/journal")
JOURNAL_STREAM=$stream "$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/journal" &
pid=$!
identity "$pid" >>"$TMP/.processes"
ok "under journald it starts" wait_for "$PATIENCE" grep -q 'msg=ready' "$TMP/journal"
use
echo '{' >"$TMP/config.json"
ok "under journald it refuses a file" wait_for "$PATIENCE" grep -q 'reload refused' "$TMP/journal"
stop "$pid"
is "under journald each line has a priority, and no time" \
	"$(grep -vcE '^<[3-7]>level=' "$TMP/journal")" 0
is "errors are 3" "$(sed -n 's/^<\(.\)>level=error.*/\1/p' "$TMP/journal" | sort -u)" 3
is "information is 6" "$(sed -n 's/^<\(.\)>level=info.*/\1/p' "$TMP/journal" | sort -u)" 6
config info text >"$TMP/config.json"
JOURNAL_STREAM=1:1 start_gatehouse "$TMP/config.json"
like "another stream than the journal's has times" "$(head -n 1 "$LOG")" '^time='
ok "it ends well" stop_gatehouse

# --- a flood ---

start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
for i in {1..300}; do rawclient --text 'no TLS here' "127.0.0.1:$front" >/dev/null; done
rawclient --file "$TMP/hello" --half-close "127.0.0.1:$front" >/dev/null
logs "in a flood others are told" msg=connection sni=passed.test end=done
told=$(log_count msg=connection "end=not TLS")
ok "of a flood the first are told: $told" test "$told" -ge 1 -a "$told" -le 20
ok "it ends well" stop_gatehouse
rest=$(sed -n 's/.*msg="suppressed repeats" end="not TLS" count=\([0-9]*\).*/\1/p' "$LOG" | paste -sd+)
is "and the number of the rest" "$((told + ${rest:-0}))" 300

# --- nobody reads it ---

config debug text >"$TMP/config.json"
mkfifo "$TMP/pipe"
exec {reader}<>"$TMP/pipe"
"$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/pipe" &
pid=$!
identity "$pid" >>"$TMP/.processes"
ok "its log is a pipe that nobody reads" wait_for "$PATIENCE" is_listening "127.0.0.1:$front"
tlsload --count 1500 --sni terminated.test --request hi --half-close --expect hi \
	"127.0.0.1:$front" >"$TMP/load.out"
like "1,500 connections fill it, and not one of them fails" "$(cat "$TMP/load.out")" '^ok 1500 failed 0 '
ok "it is full" test "$(timeout 1 head -c 60000 <&"$reader" | wc -c)" -ge 60000
timeout 20 cat <&"$reader" >"$TMP/rest" &
cat_pid=$!
stop "$pid"
is "it ends when it is told to" "$STATUS" 0
kill "$cat_pid" 2>/dev/null
exec {reader}<&-

# Nobody reads it to the end.
config debug text >"$TMP/config.json"
exec {reader}<>"$TMP/pipe"
"$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/pipe" &
pid=$!
identity "$pid" >>"$TMP/.processes"
wait_for "$PATIENCE" is_listening "127.0.0.1:$front"
tlsload --count 600 --sni terminated.test --request hi --half-close "127.0.0.1:$front" >/dev/null
begun=${EPOCHREALTIME/./}
stop "$pid"
is "with its log stuck it ends all the same" "$STATUS" 0
ok "within seconds" test $((${EPOCHREALTIME/./} - begun)) -lt 8000000
exec {reader}<&-
done_testing
