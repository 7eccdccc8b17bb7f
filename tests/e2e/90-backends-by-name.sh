#!/bin/bash
# Backends by name: all addresses are tried, IPv6 and IPv4; a name that moves is followed when its
# time is over, also under load; a name server that is silent or does not know is told clearly.
# first: it waits for timeouts
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

cd "$TMP" || bail_out "no $TMP"
[[ $(id -u) == 0 ]] || skip_all "a name server has port 53: only root may"
unshare -m true 2>unshare.err || skip_all "no mount namespace: $(cat unshare.err)"

# gatehouse sees a resolv.conf and hosts of its own.
free_port number
dns=127.53.$((number / 256)).$((number % 256))
echo "nameserver $dns" >resolv.conf
echo "127.0.0.1 localhost" >hosts
cat >own-names <<-SH
	#!/bin/sh
	mount --bind $TMP/resolv.conf /etc/resolv.conf && mount --bind $TMP/hosts /etc/hosts || exit 1
	exec "\$@"
SH
chmod 755 own-names
GATEHOUSE_WRAP="unshare -m $TMP/own-names $GATEHOUSE_WRAP"

zone() { # LINE...: from now on
	printf '%s\n' "$@" >next.zone
	mv next.zone zone
}
zone "app.test 1 127.0.0.1"
spawn dns dnsd --zone "$TMP/zone" "$dns:53"
wait_for 5 grep -q listening dns.out || bail_out "no name server" "$(cat dns.err)"
asked() { # NAME: how often
	grep -c "^$1\$" dns.out
}

# One port on several addresses, each with a server that says which.
free_port app
start_at() { # NAME ADDRESS
	spawn "$1" echod --greet "$1" "$2:$app"
	wait_for 5 grep -q listening "$TMP/$1.out" || bail_out "$1: $(cat "$TMP/$1.err")"
}
start_at one 127.0.0.1
start_at two 127.0.0.2
start_at six '[::1]'

free_port port
at=127.0.0.1:$port
host() {
	printf '"%s.host.test": {"mode": "passthrough", "backend": %s}' "$1" "$2"
}
cat >config.json <<-JSON
	{ "listen": "$at", "workers": 1, "proxy": { "dial_timeout": "2s", "drain_timeout": "1s" }, "hosts": {
	  $(host app "\"app.test:$app\""), $(host both "\"both.test:$app\""),
	  $(host nobody "\"nobody.test:$app\""), $(host none "\"none.test:$app\""),
	  $(host silent "[\"silent.test:$app\", {\"address\": \"127.0.0.2:$app\", \"backup\": true}]"),
	  $(host mute "\"silent.test:$app\""),
	  $(host checked "{\"servers\": [\"checked.test:$app\"], \"health_check\":
	    {\"interval\": \"50ms\", \"timeout\": \"1s\", \"rise\": 2, \"fall\": 2}}") } }
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"
for name in app both nobody none silent mute; do hello --sni $name.host.test >hello.$name; done
ask() { # NAME: who answers
	rawclient --file "hello.$1" --until 3 --raw --timeout 8 "$at" 2>/dev/null | head -c 3
}
answers() { # NAME WHO
	[[ $(ask "$1") == "$2" ]]
}

is "a name is resolved" "$(ask app)" one
for i in {1..10}; do ask app >/dev/null; done
ok "and asked for again only when its time is over" test "$(asked app.test)" -le 3
zone "app.test 1 127.0.0.2"
ok "a name that moves is followed" wait_for 5 answers app two

# --- all addresses ---

zone "both.test 60 127.0.0.77" "both.test 60 ::1" "both.test 60 127.0.0.78"
is "of several addresses the one that answers" "$(ask both)" six

# --- what cannot be resolved ---

zone "none.test 1 none" "silent.test 1 silent"
is "no such name: nothing" "$(ask nobody)" ''
logs "and told" level=warning route=nobody.host.test "end=upstream nobody.test:$app: no such name"
is "no address: nothing" "$(ask none)" ''
logs "and told" level=warning route=none.host.test "end=upstream none.test:$app: the name has no address"
is "silence: the next server" "$(ask silent)" two
is "silence and no other: nothing" "$(ask mute)" ''
logs "and told" level=warning route=mute.host.test \
	"end=upstream silent.test:$app: the name server does not answer"

# --- a name that moves under load ---

zone "app.test 1 127.0.0.1"
ok "back to the first" wait_for 5 answers app one
load() {
	local who good=0 bad=0 last=
	until [[ -e $TMP/enough ]]; do
		who=$(ask app)
		if [[ -n $who ]]; then good=$((good + 1)); else bad=$((bad + 1)); fi
		[[ -z $who || $who == "$last" ]] || printf '%s ' "$who"
		last=$who
	done
	echo "good $good bad $bad"
}
spawn load load
zone "app.test 1 127.0.0.2"
ok "it moves" wait_for 5 answers app two
stop "$one_pid"
zone "app.test 1 127.0.0.1" "app.test 1 127.0.0.2"
ok "an address that is dead does no harm" wait_for 3 answers app two
zone "app.test 1 ::1"
ok "it moves again" wait_for 5 answers app six
: >enough
wait "$load_pid"
note "under load: $(cat load.out)"
like "no connection failed" "$(cat load.out)" 'good [1-9][0-9]* bad 0$'

# --- health checks follow names, and try all addresses ---

zone "checked.test 1 127.0.0.77" "checked.test 1 127.0.0.2"
ok "the first of two addresses is dead: the server is not" test "$(log_count 'msg=server marked down' "server=checked.test:$app")" -le 1
has_turned() { # WHERE COUNT
	[[ $(log_count "msg=server marked $1" "server=checked.test:$app") -ge $2 ]]
}
zone "checked.test 1 127.0.0.77"
ok "all of them dead: down" wait_for 10 has_turned down 1
zone "checked.test 1 127.0.0.2"
ok "up again" wait_for 10 has_turned up 1
ok "stops" stop_gatehouse

done_testing
