#!/bin/bash
# Clients that send part of a hello, or of a request in plaintext, and then nothing, or that and a FIN, cost no
# processor time and are gone at hello_timeout; others are served meanwhile.
# first: it watches for seconds
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

HELD=100    # connections at a time
WATCHED=0.6 # seconds in which the workers must do next to nothing
TICKS=5     # of 10 ms: a loop that spins takes all of the 60
WAKES=3     # in that time, of all workers: looking 20 times a second would be 12 for each

pki_ca root
pki_cert root site site.test
free_port front
free_port hurried
free_port plain
start_echo back --greet hi

write_config() { # FILE TIMEOUT LISTEN
	cat >"$TMP/$1" <<-CONFIG
		{
			"listen": [$3],
			"hosts": {"site.test": {"mode": "terminate", "cert": "pki/site.crt",
				"key": "pki/site.key", "backend": "$back"}},
			"proxy": {"hello_timeout": "$2"}
		}
	CONFIG
}
plaintext='"plaintext": {"http": "redirect", "ssh": "127.0.0.1:1", "ssh_silence": "50s"}'
write_config patient.json 60s "\"127.0.0.1:$front\", \"unix:$TMP/front.sock\",
	{\"address\": \"127.0.0.1:$plain\", $plaintext}"
write_config hurried.json 1s "\"127.0.0.1:$hurried\", \"unix:$TMP/hurried.sock\""
start_gatehouse "$TMP/patient.json" || bail_out "no gatehouse"

hello --sni site.test >"$TMP/small"
hello --sni site.test --pad 60000 >"$TMP/large"
printf 'GET / HTTP/1.1\r\nHost: a.test\r\nX: %010000d\r\n\r\n' 0 >"$TMP/request"

# Of the workers alone: the main thread watches directories that other tests write to.
sum_of_workers() { # FILE AWK: of each worker's FILE in /proc
	local task
	for task in "/proc/$gatehouse_pid/task"/*; do
		[[ $(cat "$task/comm") != worker-* ]] || cat "$task/$1"
	done | awk "$2"' END { print sum + 0 }'
}

processor_ticks() { # so far, in user and kernel
	sum_of_workers stat '{ sub(/.*\) /, ""); sum += $12 + $13 }'
}

wakes() { # how often a worker has slept so far
	sum_of_workers status '/^voluntary_ctxt_switches/ { sum += $2 }'
}

# The workers have rested for WATCHED seconds. What happens a little late, since the machine is busy,
# makes another look necessary; a worker that spins or polls never rests.
rests() { # [WAKES: how many are too few to matter]
	local woken used
	woken=$(wakes)
	used=$(processor_ticks)
	sleep "$WATCHED" # what is measured is this time
	woken=$(($(wakes) - woken))
	used=$(($(processor_ticks) - used))
	echo "woken $woken times, $used ticks of 10 ms in $WATCHED s" >"$TMP/rest"
	((used <= TICKS && woken <= ${1:-woken}))
}

is_served() {
	tlsload --count 1 --sni site.test --ca "$PKI/root.crt" --request x --half-close --expect hi \
		"127.0.0.1:$front" >"$TMP/served" 2>&1
}

# rests_while DESCRIPTION ADDRESS FILE BYTES
rests_while() {
	spawn held holdmany --count "$HELD" --file "$3" --first "$4" --hold 60 "$2"
	wait_for "$PATIENCE" grep -q "^holding $HELD failed 0" "$TMP/held.out" ||
		bail_out "holdmany: $(cat "$TMP/held.err")"
	local wakes=$WAKES
	[[ $2 != unix:* ]] || wakes= # only TCP knows SO_RCVLOWAT
	ok "$1: the kernel does the waiting" wait_for "$PATIENCE" rests $wakes
	note "$(cat "$TMP/rest")"
	ok "$1: others are served" is_served
	stop "$held_pid"
	is "$1: and they were all still there" "$(tail -n 1 "$TMP/held.out")" "closed 0"
}

unix=unix:$TMP/front.sock
rests_while "no byte" "127.0.0.1:$front" "$TMP/small" 0
rests_while "one byte" "127.0.0.1:$front" "$TMP/small" 1
rests_while "a record's header" "127.0.0.1:$front" "$TMP/small" 5
rests_while "all but one byte" "127.0.0.1:$front" "$TMP/small" $(($(wc -c <"$TMP/small") - 1))
rests_while "much of a large hello" "127.0.0.1:$front" "$TMP/large" 50000
rests_while "all but one byte, on a unix socket" "$unix" "$TMP/small" \
	$(($(wc -c <"$TMP/small") - 1))
rests_while "much of a large hello, on a unix socket" "$unix" "$TMP/large" 50000
rests_while "no byte, which may be ssh" "127.0.0.1:$plain" "$TMP/request" 0
rests_while "half a request line" "127.0.0.1:$plain" "$TMP/request" 10
rests_while "all of a request but one byte" "127.0.0.1:$plain" "$TMP/request" $(($(wc -c <"$TMP/request") - 1))

# --- a FIN in mid-hello ---

# The bytes were never read, so that the kernel makes a reset of the close.
for address in "127.0.0.1:$front" "$unix"; do
	for bytes in 1 100 50000; do
		like "$bytes bytes and a FIN to ${address%%:*}: closed at once" \
			"$(rawclient --file "$TMP/large" --first $bytes --half-close --timeout 5 \
				"$address")" 'ended (fin|reset)'
	done
done
logs "the log says so" msg=connection step=sniff "end=client closed within ClientHello"
for bytes in 3 10000; do
	like "$bytes bytes of a request and a FIN: closed at once" \
		"$(rawclient --file "$TMP/request" --first $bytes --half-close --timeout 5 \
			"127.0.0.1:$plain")" 'ended (fin|reset)'
done

# Everybody who left in the middle is gone by now; whoever was not would spin.
ok "nothing spins behind a FIN" wait_for "$PATIENCE" rests
note "$(cat "$TMP/rest")"

for n in 1 2 3; do
	rawclient --file "$TMP/small" --first 100 --reset "127.0.0.1:$front" >/dev/null
done
ok "nor behind a reset" is_served
ok "gatehouse ends well" stop_gatehouse

# --- hello_timeout: one deadline from the accept on ---

start_gatehouse --as hurried "$TMP/hurried.json" || bail_out "no gatehouse"

# closed_in_time DESCRIPTION ADDRESS [options of rawclient]
closed_in_time() {
	local description=$1 address=$2 begun took
	shift 2
	begun=${EPOCHREALTIME/./}
	rawclient --file "$TMP/small" "$@" --timeout 20 "$address" >"$TMP/answer" 2>&1
	took=$(((${EPOCHREALTIME/./} - begun) / 1000))
	if ((took >= 900 && took < 3000)) && grep -qE '^ended (fin|reset)' "$TMP/answer"; then
		pass "$description"
	else
		fail "$description" "after $took ms, wanted 1000: $(tr '\n' ' ' <"$TMP/answer")"
	fi
}
for address in "127.0.0.1:$hurried" "unix:$TMP/hurried.sock"; do
	closed_in_time "silence is over after a second (${address%%:*})" "$address" --first 0
	closed_in_time "so is half a hello (${address%%:*})" "$address" --first 150
	closed_in_time "and bytes that trickle in (${address%%:*})" "$address" --first 300 \
		--every 1 --delay-us 50000
done
logs "the log says so" msg=connection step=sniff "end=hello timeout"
ok "it ends well" stop_gatehouse --as hurried
done_testing
