#!/bin/bash
# 200 reloads, half of them refused, during 10,000 connections on both kinds of route: no connection
# fails, and memory ends where it was. QUICK=1, or a sanitizer, makes it less.
# first: it takes long
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# In its sandbox only root sees its descriptors, which are looked at here.
observable=$([[ $(id -u) == 0 ]] && echo true || echo false)

# Connections on each kind of route, and reloads.
count=5000
reloads=200
if [[ -n ${QUICK:-} || -n $GATEHOUSE_WRAP ]] || grep -qE '__(a|t)san_init' "$GATEHOUSE"; then
	count=400
	reloads=20
fi

pki_ca root
pki_cert root site terminated.test passed.test
start_nginx plain http
start_nginx secure tls --cert site
free_port front

config() { # NUMBER: odd ones are broken, each of the others is another configuration
	local broken=''
	(($1 % 2 == 0)) || broken='"brokken": true,'
	cat <<-CONFIG
		{
			"listen": "127.0.0.1:$front",
			"sandbox": $observable,
			"hosts": {
				"round$1.test": {"mode": "passthrough", "backend": "$secure"},
				"terminated.test": {"mode": "terminate", $broken
					"cert": "pki/site.crt", "key": "pki/site.key", "backend": "$plain"},
				"passed.test": {"mode": "passthrough", "backend": "$secure"}
			},
			"logging": {"level": "error"}
		}
	CONFIG
}

reload() { # NUMBER: and wait until it is done
	config "$1" >"$TMP/next"
	mv "$TMP/next" "$TMP/config.json"
	kill -HUP "$gatehouse_pid"
	wait_for "$PATIENCE" is_told "$1"
}

# What was done last: of a broken one the log tells, of a sound one the routes.
is_told() { # NUMBER
	if (($1 % 2 == 1)); then
		[[ $(grep -c 'reload refused' "$LOG") -ge $((($1 + 1) / 2)) ]]
	else
		https "https://round$1.test/" "127.0.0.1:$front" -k | grep -q '^secure https'
	fi
}

memory() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$gatehouse_pid/status"
}

is_idle() { # no connection but the listeners' own descriptors
	[[ $(find "/proc/$gatehouse_pid/fd" -lname 'socket:*' | wc -l) == "$sockets" ]]
}

load() { # NAME COUNT SNI EXPECTED
	spawn "$1" tlsload --count "$2" --concurrency 4 --sni "$3" --ca "$PKI/root.crt" \
		--expect "$4" "127.0.0.1:$front"
}

config 0 >"$TMP/config.json"
sed 's/error/info/' "$TMP/config.json" >"$TMP/first.json"
mv "$TMP/first.json" "$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
sockets=$(find "/proc/$gatehouse_pid/fd" -lname 'socket:*' | wc -l)

# All memory that use needs is there once it was used.
load warm_up $((count / 5)) terminated.test 'plain http'
load warm_up_too $((count / 5)) passed.test 'secure https'
wait "$warm_up_pid" "$warm_up_too_pid"
failed=0
for ((i = 1; i <= 10; i++)); do
	reload "$i" || failed=$((failed + 1))
done
wait_for "$PATIENCE" is_idle
before=$(memory)

load terminated "$count" terminated.test 'plain http'
load passed "$count" passed.test 'secure https'
begun=$SECONDS
for ((; i <= reloads + 10; i++)); do
	reload "$i" || failed=$((failed + 1))
	is_running "$terminated_pid" || is_running "$passed_pid" || break
done
done_reloads=$((i - 11))
wait "$terminated_pid" "$passed_pid"
took=$((SECONDS - begun))
# The rest of them, should the load have been quicker.
for ((i++; i <= reloads + 10; i++)); do
	reload "$i" || failed=$((failed + 1))
done

is "every reload was done or refused" "$failed" 0
like "no connection to terminate failed" "$(cat "$TMP/terminated.out")" "^ok $count failed 0 "
like "no connection to pass failed" "$(cat "$TMP/passed.out")" "^ok $count failed 0 "
note "$done_reloads reloads during $((2 * count)) connections in $took s"
ok "every connection is over" wait_for "$PATIENCE" is_idle
after=$(memory)
note "VmRSS before: $before KiB, after: $after KiB"
# A snapshot that stayed would cost at least 4 KiB a time; an allocator's ways cost less.
if grep -qE '__(a|t)san_init' "$GATEHOUSE"; then
	skip 1 "a sanitizer keeps what is freed"
else
	ok "memory ends where it was" test $((after - before)) -lt $((2048 + reloads * 2))
fi
ok "it ends well" stop_gatehouse
done_testing
