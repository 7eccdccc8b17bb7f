#!/bin/bash
# No deadline moves when the wall clock is stepped by an hour, forward or back: of a hello, a handshake, a
# dial, a relay, a drain, a server that is marked down, a reload. Only a date follows the wall clock: the
# session of a client whose certificate has expired by then ends.
# needs: perl
# first: it waits for timeouts
# plain: the library that steps the clock and a sanitizer's each have to be loaded first
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ -z $GATEHOUSE_WRAP ]] || skip_all "it has a wrap of its own"

# In seconds. What goes on for longer than IDLE and is not idle stays.
HELLO=3 HANDSHAKE=4 DIAL=3 IDLE=5 DRAIN=3
LATE=2500 # ms that a deadline may be late on a busy machine

# Two daemons, one whose clock is set forward again and again, one whose clock is set back.
DAEMONS=(forward back)
declare -A STEP=([forward]=3600 [back]=-3600) OFFSET=([forward]=0 [back]=0) PORT=() DEAD=()

pki_ca root
pki_cert root site terminated.test strict.test behind.test
pki_request brief /CN=brief
pki_sign root brief "$(pki_time -2days)" "$(pki_time +30minutes)" "basicConstraints = CA:false"
cp "$PKI/brief.own.crt" "$PKI/brief.crt"
for name in terminated passed good pool; do hello --sni $name.test >"$TMP/$name.hello"; done
hello_size=$(wc -c <"$TMP/good.hello")
start_blackhole hole
start_echo echo
start_echo mute --sink

write_config() { # NAME [HOST]: one more
	local extra=''
	local site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
	[[ -z ${2:-} ]] || extra="\"$2\": {\"mode\": \"passthrough\", \"backend\": \"$echo\"},"
	cat >"$TMP/$1.next" <<-CONFIG
		{
			"listen": "127.0.0.1:${PORT[$1]}",
			"hosts": { $extra
				"terminated.test": {$site, "backend": "$echo"},
				"strict.test": {$site, "backend": "$echo", "client_auth": "required",
					"ca": "pki/root.crt", "revalidate": true},
				"behind.test": {$site, "backend": {"servers": ["$mute"],
					"tls": {"ca": "pki/root.crt"}}},
				"passed.test": {"mode": "passthrough", "backend": "$hole"},
				"good.test": {"mode": "passthrough", "backend": "$echo"},
				"pool.test": {"mode": "passthrough", "backend": {
					"servers": ["$echo", "127.0.0.1:${DEAD[$1]}"], "balance": "round_robin"}}
			},
			"proxy": {"hello_timeout": "${HELLO}s", "handshake_timeout": "${HANDSHAKE}s",
				"dial_timeout": "${DIAL}s", "idle_timeout": "${IDLE}s",
				"drain_timeout": "${DRAIN}s"},
			"control": {"socket": "$TMP/$1.sock"}
		}
	CONFIG
	mv "$TMP/$1.next" "$TMP/$1.json"
}

start() { # NAME
	local dead
	free_port port
	free_port dead
	PORT[$1]=$port DEAD[$1]=$dead
	clockstep "$TMP/$1.clock" 0
	write_config "$1"
	GATEHOUSE_WRAP="env LD_PRELOAD=$TOOLS/clockstep.so CLOCKSTEP=$TMP/$1.clock" \
		start_gatehouse --as "$1" "$TMP/$1.json" || bail_out "no gatehouse"
}

step() { # NAME: by one hour more
	OFFSET[$1]=$((OFFSET[$1] + STEP[$1]))
	clockstep "$TMP/$1.clock" "${OFFSET[$1]}"
}

at() { # NAME
	echo "127.0.0.1:${PORT[$1]}"
}

ctl() { # NAME ARGUMENT...
	"$GATEHOUSE" ctl -s "$TMP/$1.sock" "${@:2}" 2>&1
}

has_sessions() { # NAME COUNT
	[[ $(ctl "$1" sessions --json) == *"\"matched\":$2}"* ]]
}

pid_of() { # NAME
	local pid=${1}_pid
	echo "${!pid}"
}

CLIENTS=(silent mid_hello handshaking dialling unanswered idle)
start_clients() { # NAME: one in each state, which live until their deadlines, and two that stay
	spawn "$1_silent" rawclient --timeout 30 "$(at "$1")"
	spawn "$1_mid_hello" rawclient --timeout 30 --file "$TMP/good.hello" --first 100 "$(at "$1")"
	spawn "$1_handshaking" rawclient --timeout 30 --file "$TMP/terminated.hello" "$(at "$1")"
	spawn "$1_dialling" rawclient --timeout 30 --file "$TMP/passed.hello" "$(at "$1")"
	spawn "$1_unanswered" talk --tls --sni behind.test --timeout 30 "$(at "$1")" wait
	spawn "$1_idle" rawclient --timeout 30 --file "$TMP/good.hello" "$(at "$1")"
	spawn "$1_live" talk --hello "$TMP/good.hello" --skip "$hello_size" --timeout 30 \
		--write-chunk 1 --write-delay 1500000 "$(at "$1")" exchange=7 fin wait
	spawn "$1_brief" talk --tls --sni strict.test --cert "$PKI/brief.crt" --key "$PKI/brief.key" \
		--timeout 30 --write-chunk 1 --write-delay 1500000 "$(at "$1")" exchange=7 close_notify fin wait
}

clients_over() { # of both daemons
	local name client
	for name in "${DAEMONS[@]}"; do
		for client in "${CLIENTS[@]}" live brief; do
			is_over "$(pid_of "${name}_$client")" || return 1
		done
	done
}

is_in_time() { # SECONDS MS
	[[ -n $2 ]] && (($2 >= $1 * 1000 - 50 && $2 <= $1 * 1000 + LATE))
}

ended_after() { # DESCRIPTION SECONDS CLIENT: as rawclient reports
	local took
	took=$(sed -n 's/^after_ms //p' "$TMP/$3.out")
	if is_in_time "$2" "$took"; then
		pass "$1: after $2 s"
	else
		fail "$1: after $2 s" "after ${took:-no} ms; $(tr '\n' ' ' <"$TMP/$3.out")"
	fi
}

# --- sessions: the clock is stepped again and again, each deadline sees a step somewhere ---

for name in "${DAEMONS[@]}"; do start "$name"; done
for name in "${DAEMONS[@]}"; do
	start_clients "$name"
	ok "$name: a client in each state" wait_for "$PATIENCE" has_sessions "$name" 8
done
limit=$(($(monotonic_ms) + 25000))
until clients_over || (($(monotonic_ms) > limit)); do
	for name in "${DAEMONS[@]}"; do step "$name"; done
	sleep 0.7 # and not a divisor of the deadlines
done

for name in "${DAEMONS[@]}"; do
	LOG=$TMP/$name.err
	ended_after "$name: a silent client" $HELLO "${name}_silent"
	ended_after "$name: a client in the middle of its hello" $HELLO "${name}_mid_hello"
	ended_after "$name: a client in its handshake" $HANDSHAKE "${name}_handshaking"
	ended_after "$name: a server that does not answer" $DIAL "${name}_dialling"
	ended_after "$name: an idle relay" $IDLE "${name}_idle"
	took=$(log_value total_ms sni=behind.test)
	ok "$name: a server that does not answer the handshake: after $HANDSHAKE s (${took:-no} ms)" \
		is_in_time $HANDSHAKE "${took%.*}"
	like "$name: a relay that is used stays" "$(cat "$TMP/${name}_live.out")" '^sent 7 .*received 7 .*saw fin'
done

# --- dates ---

LOG=$TMP/forward.err
logs "forward: a certificate that has expired ends its session" sni=strict.test \
	reason=revalidated
took=$(log_value total_ms sni=strict.test)
ok "forward: soon after the step (${took:-no} ms)" test "${took%.*}" -lt 5000
like "back: a certificate that has not expired does not" "$(cat "$TMP/back_brief.out")" \
	'^sent 7 .*received 7 .*saw '

# --- uptime ---

for name in "${DAEMONS[@]}"; do
	uptime=$(ctl "$name" status --json | jq .uptime_seconds)
	like "$name: uptime is the time that has passed" "$uptime" '^[0-9]{1,3}$'
done

# --- a server that is marked down ---

greets() { # NAME: does the server that was dead serve?
	rawclient --file "$TMP/pool.hello" --until 6 --raw "$(at "$1")" 2>/dev/null | grep -aq alive
}
marks_down() { # NAME: the server that refuses
	greets "$1"
	has_log level=warning "server=127.0.0.1:${DEAD[$1]}"
}
for name in "${DAEMONS[@]}"; do
	LOG=$TMP/$name.err
	ok "$name: a server that refuses is marked down" wait_for "$PATIENCE" marks_down "$name"
	step "$name"
	spawn "${name}_revived" echod --greet alive "127.0.0.1:${DEAD[$name]}"
done
for name in "${DAEMONS[@]}"; do
	ok "$name: it comes back" wait_for 8 greets "$name"
done

# --- a reload: what changed is read once nothing more changes ---

for name in "${DAEMONS[@]}"; do
	LOG=$TMP/$name.err
	write_config "$name" new.test
	step "$name"
	logs "$name: a change is followed" msg=reloaded
done

# --- drain ---

for name in "${DAEMONS[@]}"; do
	LOG=$TMP/$name.err
	spawn "${name}_held" talk --hello "$TMP/good.hello" --skip "$hello_size" --timeout 30 \
		--write-chunk 1 --write-delay 1000000 "$(at "$name")" exchange=20 fin wait
	wait_for "$PATIENCE" has_sessions "$name" 1 || diag "the drain has nothing to wait for"
done
begun=$(monotonic_ms)
for name in "${DAEMONS[@]}"; do kill -TERM "$(pid_of "$name")"; done
for name in "${DAEMONS[@]}"; do
	LOG=$TMP/$name.err
	logs "$name: it drains" msg=draining connections=1
	step "$name"
done
for name in "${DAEMONS[@]}"; do
	ok "$name: it drains no longer than $DRAIN s" \
		wait_for $((DRAIN + LATE / 1000)) is_over "$(pid_of "$name")"
	took=$(($(monotonic_ms) - begun))
	ok "$name: but so long ($took ms)" test "$took" -ge $((DRAIN * 1000 - 300))
	ok "$name: it ends well" stop_gatehouse --as "$name"
done
done_testing
