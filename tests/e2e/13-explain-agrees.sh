#!/bin/bash
# What `gatehouse explain --hello FILE -c CONFIG` says of a hello is what a client that sends it gets:
# a random table, and random hellos. SEED=N repeats a run.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

SEED=${SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$SEED
HOSTS=60
HELLOS=200
plan 3
note "SEED=$SEED"

request=$'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
ids=(h2 http/1.1 ssh x)

pki_ca root
pki_cert root any any.test
free_port front
cd "$TMP" || bail_out "no $TMP"
for backend in b{0..9}; do
	start_echo "$backend" --unix --greet "$backend" --close-after "${#request}"
done

# --- the table ---

random_name() { # sets NAME: few labels, so that names and hosts meet often
	local tops=(test example b.test) labels=$((RANDOM % 4))
	NAME=${tops[RANDOM % 3]}
	while ((labels-- > 0)); do
		printf -v NAME '%b.%s' "\\x$((61 + RANDOM % 4))" "$NAME"
	done
}

random_target() { # sets TARGET: the fields of a route
	local backend=b$((RANDOM % 10))
	TARGET="\"backend\": \"${!backend}\", "
	if ((RANDOM % 2)); then
		TARGET+='"mode": "terminate", "cert": "pki/any.crt", "key": "pki/any.key"'
	else
		TARGET+='"mode": "passthrough"'
	fi
}

random_entries() { # AT-LEAST: sets ENTRIES
	local i first=$((RANDOM % 4)) count=$(($1 + RANDOM % 3))
	ENTRIES=
	for ((i = 0; i < count; i++)); do
		random_target
		ENTRIES+="${ENTRIES:+, }\"${ids[(first + i) % 4]}\": {$TARGET}"
	done
}

random_host() { # sets HOST: its fields
	if ((RANDOM % 5 == 0)); then
		random_entries 1
		HOST="\"alpn\": {$ENTRIES}"
		return
	fi
	random_entries 0
	random_target
	HOST="$TARGET, \"alpn\": {$ENTRIES}"
	[[ $TARGET == *passthrough* ]] || ((RANDOM % 3)) || HOST+=', "offer_alpn": ["http/1.1", "x"]'
}

declare -A hosts=()
while ((${#hosts[@]} < HOSTS)); do
	random_name
	((RANDOM % 3)) || NAME="*.$NAME"
	((RANDOM % 40 || SEED % 2)) || NAME="*"
	random_host
	hosts[$NAME]=$HOST
done
names=("${!hosts[@]}")
{
	echo "{\"listen\": \"127.0.0.1:$front\", \"workers\": 1, \"hosts\": {"
	separator=
	for name in "${names[@]}"; do
		echo "$separator\"$name\": {${hosts[$name]}}"
		separator=,
	done
	echo '}}'
} >config.json
"$GATEHOUSE" check -c config.json >findings 2>&1
is "the table is valid" "$?" 0
start_gatehouse config.json || bail_out "no gatehouse"

# --- what explain says ---

# "alert NAME", "421", "nothing", or "ROUTE MODE ALPN BACKEND", ALPN the id that is agreed on.
explained() {
	"$GATEHOUSE" explain -c config.json --hello hello --json | jq -r '
		if .route then
			"\(.route.host) \(.route.mode) \(.route.negotiated_alpn // "-") " +
			(.route.backend.servers[0] | capture("(?<name>b[0-9])[.]sock$").name)
		elif .answer | startswith("none") then "nothing"
		else .answer | sub("^421.*"; "421") end'
}

# --- what a client gets ---

declare -A alerts=([0a]=unexpected_message [28]=handshake_failure [2f]=illegal_parameter
	[32]=decode_error [50]=internal_error [70]=unrecognized_name [78]=no_application_protocol)

# Where a handshake is expected the client stays: one that has ended by the time a busy gatehouse gets to its
# handshake is taken for one that has left.
in_clear() { # EXPECTED: what rawclient received, as hex
	local options=(--half-close)
	[[ $1 != *terminate* && $1 != 421 ]] || options=(--until 7)
	rawclient --file hello "${options[@]}" "127.0.0.1:$front" |
		sed -n 's/^received //p' | tr -d ' \n'
}

under_tls() { # NAME ALPN: what s_client received
	local options=(-noservername)
	[[ -z $1 ]] || options=(-servername "$1")
	[[ -z $2 ]] || options+=(-alpn "$2")
	printf %s "$request" | timeout "$PATIENCE" openssl s_client -connect "127.0.0.1:$front" \
		"${options[@]}" -ign_eof 2>/dev/null
}

logged_route() { # of the connection that ends just now, the COUNT-th that is served
	done_count=$((done_count + 1))
	wait_for "$PATIENCE" has_served "$done_count" || return 1
	log_value route msg=connection end=done
}

has_served() {
	(($(log_count msg=connection end=done) >= $1))
}

served() { # NAME ALPN EXPECTED: sets SERVED, in the form of explained
	local bytes text agreed
	bytes=$(in_clear "$3")
	case $bytes in
	'') SERVED=nothing ;;
	1503*) SERVED="alert ${alerts[${bytes:12:2}]:-${bytes:12:2}}" ;;
	16*)
		text=$(under_tls "$1" "$2")
		if [[ $text == *'HTTP/1.1 421 '* ]]; then
			SERVED=421
			return
		fi
		agreed=$(sed -n 's/^ALPN protocol: //p' <<<"$text")
		logged_route >route
		SERVED="$(<route) terminate ${agreed:--} $(grep -ao '^b[0-9]' <<<"$text" | head -n 1)"
		;;
	*)
		logged_route >route
		SERVED="$(<route) passthrough - $(printf '%b' "\\x${bytes:0:2}\\x${bytes:2:2}")"
		;;
	esac
}

# --- the hellos ---

random_hello() { # sets NAME and ALPN; the bytes go to "hello"
	local first=$((RANDOM % 4)) count=$((RANDOM % 3)) i options=()
	NAME='' ALPN=''
	((RANDOM % 8 == 0)) || random_name
	((RANDOM % 3)) || NAME=${names[RANDOM % HOSTS]/\*/a}
	((RANDOM % 15)) || NAME=a..test
	((RANDOM % 20)) || NAME=192.0.2.1
	for ((i = 0; i < count; i++)); do
		ALPN+="${ALPN:+,}${ids[(first + i) % 4]}"
	done
	[[ -z $NAME ]] || options+=(--sni "$NAME")
	[[ -z $ALPN ]] || options+=(--alpn "$ALPN")
	((RANDOM % 4)) || options+=(--record $((20 + RANDOM % 60)))
	hello "${options[@]}" >whole
	case $((RANDOM % 16)) in
	0) head -c $((RANDOM % $(wc -c <whole))) whole >hello ;;
	1) { printf '\x16\x03\x01\x00\x04\x02' && cat whole; } >hello ;; # no ClientHello
	2) { printf 'SSH-' && cat whole; } >hello ;;
	*) cp whole hello ;;
	esac
}

done_count=0
declare -A seen=()
differences=''
for ((n = 0; n < HELLOS; n++)); do
	random_hello
	expected=$(explained)
	served "$NAME" "$ALPN" "$expected"
	[[ $SERVED == "$expected" ]] ||
		differences+="--sni \"$NAME\" --alpn \"$ALPN\": explain: $expected; served: $SERVED"$'\n'
	kind=${SERVED#* }
	[[ $SERVED == alert* ]] || kind=${kind%% *}
	seen[$kind]=$((${seen[$kind]:-0} + 1))
done
for kind in "${!seen[@]}"; do
	note "$kind: ${seen[$kind]}"
done
is "$HELLOS hellos get what explain says (SEED=$SEED)" \
	"$differences" ''
ok "gatehouse ends well" stop_gatehouse
