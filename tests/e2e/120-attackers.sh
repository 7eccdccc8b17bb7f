#!/bin/bash
# A neighbour's echo stays quick beside one attacker and beside 400 of each form, and /healthz never fails: the
# worker spends less than 20 ms of CPU time between an echo's bytes and their return. Wall time depends on what
# else the machine does, and is only shown.
# FORMS="records ldap" runs these alone.
# shellcheck disable=SC2086,SC2154 # $first is a command; NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

limit_us=20000
[[ -z ${GATEHOUSE_SANITIZER:-} ]] || limit_us=$((limit_us * 10))
[[ -z $GATEHOUSE_WRAP ]] || limit_us=$((limit_us * 60))
forms=${FORMS:-handshakes records keyupdates unknown tickets hellos renegotiations flights bulk segments proxy ldap pop3 postgres}

pki_ca root
pki_cert root site '*.test' server.test
# What measures must not wait for a CPU itself, or the worker's other work in that time counts too. Nor for TCP:
# a flood of segments overflows the queue of the loopback device, and then 200 ms pass until one is sent again.
first=
! chrt --fifo 1 true 2>/dev/null || first='chrt --fifo 1'
echo=unix:$TMP/echo.sock
spawn echo $first echod "$echo"
start_echo sink --sink
for port in front proxied ldap pop3 postgres forward server admin; do free_port "$port"; done
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
cat >"$TMP/config.json" <<-CONFIG
	{
		"workers": 1,
		"listen": ["127.0.0.1:$front", "unix:$TMP/near.sock",
			{"address": "127.0.0.1:$proxied", "accept_proxy": ["127.0.0.0/8"]},
			{"address": "127.0.0.1:$ldap", "starttls": "ldap"},
			{"address": "127.0.0.1:$pop3", "starttls": "pop3"},
			{"address": "127.0.0.1:$postgres", "starttls": "postgres"}],
		"forwards": [{"listen": "127.0.0.1:$forward", "target": "127.0.0.1:$server",
			"server_name": "server.test", "ca": "pki/root.crt"}],
		"hosts": {
			"passed.test": {"mode": "passthrough", "backend": "$echo"},
			"ended.test": {$site, "backend": "$echo"},
			"sink.test": {$site, "backend": "$sink"},
			"passed-sink.test": {"mode": "passthrough", "backend": "$sink"},
			"mail.test": {$site, "backend": {"servers": ["$sink"], "starttls": "pop3",
				"tls": {"server_name": "server.test", "ca": "pki/root.crt"}}}
		},
		"health": {"enabled": true, "listen": "127.0.0.1:$admin"}
	}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

poll_health() {
	trap 'exit 0' TERM
	while :; do
		curl -s -o "$TMP/health.body" -w '%{http_code}\n' --max-time 5 "http://127.0.0.1:$admin/healthz"
		sleep 0.05
	done
}
start_neighbour() { # NAME SNI [OPTION...]
	spawn "$1" $first neighbour --pid "$gatehouse_pid" --sni "$2" --every 10 --seconds 60 "${@:3}" "unix:$TMP/near.sock"
	wait_for "$PATIENCE" grep -q ready "$TMP/$1.out" || bail_out "$1: no echo" "$(cat "$TMP/$1.err")"
}
launch() { # FORM COUNT MS
	local options=(--count "$2" --ms "$3")
	case $1 in
	handshakes | records | keyupdates | renegotiations | bulk_records) attack "${options[@]}" --sni sink.test "$1" "127.0.0.1:$front" ;;
	unknown) attack "${options[@]}" --sni none.test keyupdates "127.0.0.1:$front" ;;
	tickets | hellos | flights)
		attack "${options[@]}" --serve "127.0.0.1:$server" --cert "$PKI/site.crt" --key "$PKI/site.key" \
			"$1" "127.0.0.1:$forward"
		;;
	bulk | segments) attack "${options[@]}" --sni passed-sink.test "$1" "127.0.0.1:$front" ;;
	proxy) attack "${options[@]}" --sni passed-sink.test "$1" "127.0.0.1:$proxied" ;;
	ldap) attack "${options[@]}" --sni sink.test "$1" "127.0.0.1:$ldap" ;;
	postgres) attack "${options[@]}" --sni sink.test "$1" "127.0.0.1:$postgres" ;;
	pop3) attack "${options[@]}" --sni mail.test "$1" "127.0.0.1:$pop3" ;;
	esac
}
figure() { # NAME WHICH
	sed -n "s/^echoes.* $2 \([0-9]*\).*/\1/p" "$TMP/$1.out"
}
judge() { # NAME DESCRIPTION
	local pid=${1}_pid cpu_us
	stop "${!pid}"
	cpu_us=$(figure "$1" cpu_us)
	note "$2: $(tail -n 1 "$TMP/$1.out")"
	is "$2: every echo is right" "$STATUS $(cat "$TMP/$1.err")" "0 "
	ok "$2: the worker's CPU time for an echo: ${cpu_us:-no} us" test "${cpu_us:-$limit_us}" -lt "$limit_us"
}
beside() { # FORM COUNT MS
	start_neighbour passed passed.test
	start_neighbour ended ended.test --tls
	launch "$@" >"$TMP/attack.out" || fail "$1, $2: no attack"
	note "$1, $2: $(cat "$TMP/attack.out")"
	judge passed "$1, $2, passed through"
	judge ended "$1, $2, TLS ended"
}

spawn health poll_health
for form in $forms; do
	beside "$form" 1 400
	beside "$form" 400 800
done
stop "$health_pid"
is "/healthz was always good" "$(sort -u "$TMP/health.out")" 200
ok "it ends well" stop_gatehouse
done_testing
