#!/bin/bash
# Every byte arrives, once and in order: both kinds of route, any size, whichever side is slow, and
# whatever the kernel allows in the way of pipes.
# alone: it uses up the pipes of a user, whom other tests use too
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# In its sandbox only root sees its descriptors, which are looked at here.
observable=$([[ $(id -u) == 0 ]] && echo true || echo false)

# Whoever runs the tests may have left descriptors open to them; here they are counted.
for fd in "/proc/$$/fd"/*; do
	fd=${fd##*/}
	((fd <= 2 || fd == 255)) || eval "exec $fd>&-"
done

pki_ca root
pki_cert root site terminated.test passed.test
chmod 644 "$PKI"/*
hello --sni passed.test >"$TMP/hello"
free_port front
free_port back

cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"sandbox": $observable,
	"workers": 1,
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "127.0.0.1:$back"},
		"passed.test": {"mode": "passthrough", "backend": "127.0.0.1:$back"}
	}
}
CONFIG

# Sets $problem: how the two ends' accounts differ. A client, a server, and between them gatehouse.
converse() { # ROUTE CLIENT-OPTIONS SERVER-OPTIONS CLIENT-WORDS SERVER-WORDS
	local client=(--hello "$TMP/hello") server=(--skip "$(wc -c <"$TMP/hello")") ending=
	if [[ $1 == terminate ]]; then
		client=(--tls --sni terminated.test)
		server=()
		ending=close_notify
	fi
	# shellcheck disable=SC2086 # words
	spawn server talk --listen "${server[@]}" $3 "127.0.0.1:$back" $5 fin wait
	wait_for "$PATIENCE" grep -q listening "$TMP/server.out" || bail_out "$(cat "$TMP/server.err")"
	# shellcheck disable=SC2086
	spawn client talk "${client[@]}" $2 "127.0.0.1:$front" $4 $ending fin wait
	wait "$client_pid" "$server_pid"
	problem=$(diff <(sed -n 's/^sent //p; s/^saw fin/saw close_notify/p; /^saw/p' "$TMP/client.out" | sort -u) \
		<(sed -n 's/^received //p; s/^saw fin/saw close_notify/p; /^saw/p' "$TMP/server.out" | sort -u)
	diff <(grep ^received "$TMP/client.out") <(sed -n 's/^sent/received/p' "$TMP/server.out"))
}

carries() { # DESCRIPTION ROUTE CLIENT-OPTIONS SERVER-OPTIONS CLIENT-WORDS SERVER-WORDS
	local description=$1
	shift
	converse "$@"
	is "$description" "$problem" ''
}

pipes_held() {
	find "/proc/$gatehouse_pid/fd" -lname 'pipe:*' 2>/dev/null | wc -l
}

# What is done to one gatehouse, on one kind of route.
carries_all() { # WHO ROUTE LARGE
	local size large=$3
	for size in 1 16385 1000003; do
		carries "$1, $2: $size bytes each way" "$2" '--seed 1' '--seed 2' \
			"exchange=$size" "exchange=$size"
	done
	carries "$1, $2: $large bytes each way" "$2" '--seed 3' '--seed 4' \
		"exchange=$large" "exchange=$large"
	carries "$1, $2: a slow reader in front" "$2" \
		'--rcvbuf 4096 --read-chunk 8192 --read-delay 300' '--seed 5' recv=3000000 send=3000000
	carries "$1, $2: a slow reader behind" "$2" '--seed 6' \
		'--rcvbuf 4096 --read-chunk 8192 --read-delay 300' send=3000000 recv=3000000
	carries "$1, $2: a slow writer in front" "$2" '--write-chunk 67 --write-delay 100' '' \
		exchange=30000 exchange=30000
	carries "$1, $2: a slow writer behind" "$2" '' '--write-chunk 67 --write-delay 100' \
		exchange=30000 exchange=30000
}

large=67108864
[[ -z ${QUICK:-} && -z $GATEHOUSE_WRAP ]] || large=6700417

start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
carries_all us terminate "$large"
is "us: bytes that are transformed need no pipe" "$(pipes_held)" 0
carries_all us passthrough "$large"
isnt "us: bulk went through a pipe" "$(pipes_held)" 0

# Both at once, many connections: the scratch memory of a worker is shared by all its connections.
start_many() {
	local i
	for i in {1..8}; do
		spawn "echo$i" talk --tls --sni terminated.test --seed "$i" "127.0.0.1:$front" \
			exchange=2000000 close_notify fin wait
	done
}
start_echo echo
sed "s/127.0.0.1:$back/$echo/" "$TMP/config.json" >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"
logs "the backend changes" msg=reloaded changed=2
start_many
different=0
for i in {1..8}; do
	pid=echo${i}_pid
	wait "${!pid}"
	[[ $(sed -n 's/^sent //p' "$TMP/echo$i.out") == "$(sed -n 's/^received //p' "$TMP/echo$i.out")" ]] ||
		different=$((different + 1))
done
is "eight at a time, each gets its own bytes back" "$different" 0
ok "it ends well" stop_gatehouse
sed "s/$echo/127.0.0.1:$back/" "$TMP/config.json" >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"

# Not one descriptor for a pipe: there is one for each of the two sockets, and that is all.
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
first_free() { # the lowest descriptor that the process does not have
	local fd=0
	while [[ -e /proc/$gatehouse_pid/fd/$fd ]]; do fd=$((fd + 1)); done
	echo "$fd"
}
highest=$(find "/proc/$gatehouse_pid/fd" -mindepth 1 -printf '%f\n' | sort -n | tail -n 1)
is "descriptors have no gap" "$(first_free)" $((highest + 1))
prlimit --pid "$gatehouse_pid" --nofile=$((highest + 3)):$((highest + 3))
carries_all "without pipes" passthrough 6700417
is "there was no pipe" "$(pipes_held)" 0
ok "it ends well" stop_gatehouse

# An ordinary user whose share of pipe memory is used up: pipes are to be had, but tiny ones.
if [[ $(id -u) == 0 ]]; then
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	# shellcheck disable=SC2016 # of perl
	spawn hoard prlimit --nofile=4096 "${as_nobody[@]}" perl -e '$| = 1;
		for (1..1100) { pipe(my $in, my $out) or die $!; push @pipes, $in, $out }
		print "held\n"; sleep 300'
	ok "another process of the user holds 1,100 pipes" \
		wait_for "$PATIENCE" grep -q held "$TMP/hoard.out"
	GATEHOUSE_WRAP="${as_nobody[*]} $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" ||
		bail_out "no gatehouse"
	carries_all "nobody" passthrough 6700417
	is "nobody: a tiny pipe is none" "$(pipes_held)" 0
	stop "$hoard_pid"
	carries "nobody: with pipes again" passthrough '' '' exchange=6700417 exchange=6700417
	isnt "nobody: there is one" "$(pipes_held)" 0
	ok "it ends well" stop_gatehouse
else
	skip 13 "only root can become another user"
fi

done_testing
