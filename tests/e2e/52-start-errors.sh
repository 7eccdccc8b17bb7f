#!/bin/bash
# What keeps gatehouse from starting is told in a line that says what and where, and it ends with 1:
# nothing listens half.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo --greet hi
hello --sni a.test >"$TMP/hello"
free_port front
free_port other

config() { # LISTEN [MORE]
	printf '{\n"listen": %s,\n"hosts": {"a.test": {"mode": "passthrough", "backend": "%s"}}%s\n}\n' \
		"$1" "$echo" "${2:-}"
}

# Runs it to its end, which is to come soon; sets $errors.
refuses() { # DESCRIPTION REGEX [COMMAND...]: the command before it
	local description=$1 wanted=$2
	shift 2
	spawn refused "$@" "$GATEHOUSE" -c "${CONFIG:-$TMP/config.json}"
	wait_for "$PATIENCE" is_over "$refused_pid" || kill "$refused_pid"
	wait "$refused_pid"
	is "$description: status 1" "$?" 1
	errors=$(cat "$TMP/refused.err")
	like "$description: a clear line" "$errors" "$wanted"
	is "$description: one line" "$(wc -l <<<"$errors")" "${LINES_WANTED:-1}"
}

config "\"127.0.0.1:${echo##*:}\"" >"$TMP/config.json"
refuses "another program listens" "config.json:2: .*\"127.0.0.1:${echo##*:}\": address in use"

config "\"127.0.0.1:$front\"" >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
refuses "a second instance" "config.json:2: .*\"127.0.0.1:$front\": address in use"
config "[\"127.0.0.1:$other\", \"127.0.0.1:$front\"]" >"$TMP/second.json"
CONFIG=$TMP/second.json refuses "a second instance, of two listeners" \
	"second.json:2: .*\"127.0.0.1:$front\": address in use"
served() {
	[[ $(rawclient --file "$TMP/hello" --until 2 --raw "$1" 2>/dev/null | head -c 2) == hi ]]
}
took=0
for i in {1..20}; do ! served "127.0.0.1:$front" || took=$((took + 1)); done
is "the first goes on, and shares its port with nobody" "$took" 20
ok "it ends well" stop_gatehouse

config "\"unix:$TMP/front.sock\"" >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
refuses "a second instance on a unix socket" "config.json:2: .*address in use"
ok "the first goes on" served "unix:$TMP/front.sock"
kill -KILL "$gatehouse_pid"
wait "$gatehouse_pid" 2>/dev/null
ok "killed, it leaves its socket" test -S "$TMP/front.sock"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
ok "which is no hindrance" served "unix:$TMP/front.sock"
ok "it ends well" stop_gatehouse
not_ok "and removes its socket" test -e "$TMP/front.sock"
echo precious >"$TMP/front.sock"
refuses "a file where the socket would be" 'config.json:2: .*it is no socket'
is "which is left alone" "$(cat "$TMP/front.sock")" precious

config "[\"127.0.0.1:$front\", \"127.0.0.1:$front\"]" >"$TMP/config.json"
refuses "two listeners on one address" "config.json:2: listen.1.: the same address as .*config.json:2: listen.0."
config "[\"[::1]:$front\", \"[0:0::1]:$front\"]" >"$TMP/config.json"
refuses "one address in two spellings" "config.json:2: listen.1.: .*config.json:2: listen.0."
config '"192.0.2.1:443"' >"$TMP/config.json"
refuses "an address of another machine" 'config.json:2: .*192.0.2.1:443.*no interface of this machine'
config '"example.com:443"' >"$TMP/config.json"
refuses "a name to listen on" 'config.json:2: listen: expected an address to listen on .*got "example.com:443"'

config "\"127.0.0.1:$front\"" >"$TMP/sound.json"
CONFIG=$TMP/none.json refuses "no configuration" 'none.json: .*[Nn]o such file'
CONFIG=$TMP refuses "a directory" "$TMP: .*(directory|not a file)"
: >"$TMP/config.json"
refuses "an empty file" 'config.json:?[0-9]*: '
head -c 60 "$TMP/sound.json" >"$TMP/config.json"
refuses "half a file" 'config.json:3: expected'
config "\"127.0.0.1:$front\"" ', "forwads": [], "loging": {}' >"$TMP/config.json"
LINES_WANTED=2 refuses "two mistakes" 'forwads.*'$'\n''.*loging'

if [[ $(id -u) == 0 ]]; then
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all)
	chmod 600 "$TMP/sound.json"
	CONFIG=$TMP/sound.json refuses "a file that may not be read" 'sound.json: .*[Pp]ermission denied' \
		"${as_nobody[@]}"
	if (($(cat /proc/sys/net/ipv4/ip_unprivileged_port_start) > 443)); then
		config '"127.0.0.1:443"' >"$TMP/config.json"
		refuses "an ordinary user and port 443" \
			'config.json:2: .*"127.0.0.1:443": no right to bind it' "${as_nobody[@]}"
	else
		skip 3 "anybody may bind port 443 here"
	fi
	config "\"127.0.0.1:$front\"" ', "user": "no-such-user"' >"$TMP/config.json"
	refuses "a user that does not exist" 'no-such-user'
	config "\"127.0.0.1:$front\"" ', "user": "nobody"' >"$TMP/config.json"
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
	is "a user that does: that is who runs" "$(stat -c %U "/proc/$gatehouse_pid")" nobody
	is "with no capability left" "$(sed -n 's/^CapEff:\t*//p' "/proc/$gatehouse_pid/status")" \
		0000000000000000
	ok "and serves" served "127.0.0.1:$front"
	ok "it ends well" stop_gatehouse
else
	skip 13 "only root can become another user"
fi
done_testing
