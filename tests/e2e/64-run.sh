#!/bin/bash
# run gives a command a forward that lives as long as it does, that only this user may use, and that
# real clients can be pointed at.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# shellcheck disable=SC2016 # the inner shells expand it
# needs: curl socat postgresql redis-server redis-tools perl procps util-linux
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME= TMPDIR=$TMP/tmp XDG_RUNTIME_DIR=
mkdir -p "$HOME" "$TMPDIR"
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)

pki_ca root
pki_ca clients
pki_cert root site app.test db.test
pki_cert clients alice
pki_cert clients bob
start_echo echo
start_nginx web http
free_port front
free_port redis
free_port nowhere
mkdir "$TMP/postgres"
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
		"client_auth": "required", "ca": "pki/clients.crt", "acl": {"allow_cn": ["alice"]},
		"backend": "$web",
		"alpn": {
			"echo": {"backend": "$echo"},
			"redis": {"backend": "127.0.0.1:$redis"},
			"postgresql": {"backend": "unix:$TMP/postgres/.s.PGSQL.5432"}
		}}}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
LOG=$TMP/gatehouse.err

flags=(--ca "$PKI/root.crt" --cert "$PKI/alice.crt" --key "$PKI/alice.key" --sni app.test
	--to "127.0.0.1:$front")
run() { # ARGUMENT...
	# shellcheck disable=SC2086 # the wrap is a command with its options
	timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" run "${flags[@]}" "$@"
}
nothing_left() {
	! pgrep -f "^$GATEHOUSE run" && [[ -z $(ls "$TMPDIR") ]]
}

# --- the command ---

run -- sh -c 'exit 7'
is "its exit status is the command's" "$?" 7
run -- sh -c 'setsid talk "$1" say=there wait >"$2" 2>&1 & until grep -q there "$2"; do sleep 0.01; done' \
	- '{addr}' "$TMP/left.out"
wait_for "$PATIENCE" grep -q ^saw "$TMP/left.out"
is "a connection that is open when the command ends is reset" "$(sed -n 's/^saw //p' "$TMP/left.out")" reset
run -- sh -c 'kill -KILL $$'
is "128 and the signal, where one ended it" "$?" 137
is "stdin, stdout and arguments are its own" "$(echo in | run -- sh -c 'cat; echo "$1"' - 'a  b {x}')" \
	$'in\na  b {x}'
is "the forward is in its arguments" \
	"$(run -- sh -c 'test "$1 $2" = "at $3:$4" && test "$3" = 127.0.0.1 && test "$4" -gt 0 && echo yes' \
		- at '{addr}' '{host}' '{port}')" yes
is "and in its environment" \
	"$(GATEHOUSE_SOCKET=old run -- sh -c 'echo "$GATEHOUSE_ADDR ${GATEHOUSE_SOCKET-none}" |
		sed "s/$GATEHOUSE_HOST:$GATEHOUSE_PORT/here/"')" 'here none'
is "a socket, because the arguments speak of one" \
	"$(run -- sh -c 'test -S "$1" && test "$1" = "$GATEHOUSE_SOCKET" && test "unix:$1" = "$GATEHOUSE_ADDR" &&
		stat -c %a "$(dirname "$1")" && echo "${GATEHOUSE_PORT-none}"' - '{socket}')" $'700\nnone'
free_port chosen
is "a port of one's choice" "$(run --listen "$chosen" -- echo '{addr}')" "127.0.0.1:$chosen"
is "a socket of one's choice" "$(run --listen "unix:$TMP/here" -- sh -c 'echo "$1"; stat -c %a "$2"' - \
	'{addr}' '{socket}')" "unix:$TMP/here"$'\n'600
[[ ! -e /proc/net/if_inet6 ]] || ! grep -q ' lo$' /proc/net/if_inet6 ||
	is "IPv6" "$(run --listen '[::1]:0' -- sh -c 'test "$1" = "[$2]:$3" && echo "$2"' - '{addr}' '{host}' '{port}')" ::1
ok "nothing is left of all this" wait_for "$PATIENCE" nothing_left

# --- real clients ---

is "curl through a port" "$(run -- curl -s 'http://{addr}/' | cut -d' ' -f1-2)" "web http"
is "curl through a socket" "$(run -- curl -s --unix-socket '{socket}' http://any/ | cut -d' ' -f1-2)" \
	"web http"
is "twenty connections at a time" "$(run -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
	do curl -s "http://$GATEHOUSE_ADDR/" & done; wait' | wc -l)" 20
head -c 20000000 /dev/urandom >"$TMP/blob"
is "20 MB there and back" "$(run --alpn echo -- socat -t 30 - 'TCP:{addr}' <"$TMP/blob" | sha256sum)" \
	"$(sha256sum <"$TMP/blob")"
run --alpn echo -- perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ARGV[0]) or die;
	print $s "x" x 100000' '{socket}'
logs "what is said just before the end arrives" alpn=echo up=100000

if type -P redis-server redis-cli >/dev/null; then
	spawn redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$TMP"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$redis" || bail_out "$(cat "$TMP/redis.out")"
	is "redis-cli through a port" "$(run --alpn redis -- redis-cli -h '{host}' -p '{port}' ping)" PONG
	is "redis-cli through a socket" "$(run --alpn redis -- redis-cli -s '{socket}' ping)" PONG
else
	skip 2 "no redis"
fi

as_nobody=()
if [[ $(id -u) == 0 ]]; then # postgres would not run as root
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chown 65534:65534 "$TMP/postgres"
fi
if type -P initdb psql >/dev/null; then
	"${as_nobody[@]}" initdb --auth=trust --username=me --no-sync -D "$TMP/postgres/data" \
		>"$TMP/initdb.out" 2>&1 || bail_out "$(cat "$TMP/initdb.out")"
	spawn postgres "${as_nobody[@]}" postgres -D "$TMP/postgres/data" -k "$TMP/postgres" -F \
		-c listen_addresses=
	wait_for "$PATIENCE" pg_isready -q -h "$TMP/postgres" || bail_out "$(cat "$TMP/postgres.err")"
	is "psql by flags" "$(run --alpn postgresql -- psql -XAtq -h '{host}' -p '{port}' -U me postgres \
		-c 'select 6 * 7')" 42
	is "psql by a connection string" "$(run --alpn postgresql -- psql -XAtq \
		'postgresql://me@{addr}/postgres?sslmode=disable' -c 'select sum(i) from generate_series(1, 100000) i')" \
		5000050000
	is "psql by its environment" "$(run --alpn postgresql -- sh -c \
		'PGHOST=$GATEHOUSE_HOST PGPORT=$GATEHOUSE_PORT psql -XAtq -U me postgres -c "select 1"')" 1
	LOG=$TMP/postgres.err
	is "psql said goodbye each time" "$(grep -c 'unexpected EOF' "$LOG")" 0
	LOG=$TMP/gatehouse.err
else
	skip 4 "no postgres"
fi

# --- only this user ---

if [[ $(id -u) == 0 ]]; then
	stranger='setpriv --reuid=65534 --regid=65534 --clear-groups'
	tries='IFS=: read -r h p <<<"$1"; exec 3<>"/dev/tcp/$h/$p"; echo hi >&3; cat <&3 2>/dev/null; true'
	said=$(run --alpn echo -- $stranger bash -c "$tries" - '{addr}' 2>&1)
	is "another user's process gets no connection on a port" "$said" \
		"gatehouse run: refused a connection of user 65534: only user 0 may connect"
	chmod 755 "$TMPDIR"
	said=$(run --alpn echo -- $stranger socat - 'UNIX:{socket}' 2>&1 </dev/null)
	like "nor at a socket" "$said" 'Permission denied'
	chmod 644 "$PKI"/*.key
	said=$(cd / && $stranger "$GATEHOUSE" run "${flags[@]}" -- curl -s 'http://{addr}/' 2>"$TMP/said")
	is "an ordinary user can run it" "$(cut -d' ' -f1 <<<"$said")" web
	chmod 600 "$PKI"/*.key
else
	skip 3 "only root can be another user"
fi

# --- signals, and the terminal ---

spawn waits "$GATEHOUSE" run "${flags[@]}" -- sh -c \
	'trap "echo term; exit 3" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.05; done'
wait_for "$PATIENCE" grep -q ready "$TMP/waits.out"
kill -USR1 "$waits_pid"
ok "a signal goes on to the command" wait_for "$PATIENCE" grep -q usr1 "$TMP/waits.out"
stop "$waits_pid"
is "so does SIGTERM, and what the command makes of it counts" "$STATUS $(tail -n 1 "$TMP/waits.out")" "3 term"

spawn killed "$GATEHOUSE" run "${flags[@]}" -- sh -c 'echo "$$"; exec sleep 300'
wait_for "$PATIENCE" test -s "$TMP/killed.out"
stop "$killed_pid" KILL
ok "killed, it does not leave its command behind" wait_for "$PATIENCE" is_over "$(cat "$TMP/killed.out")"

spawn stops "$GATEHOUSE" run "${flags[@]}" -- sh -c 'echo "$1 $$"; exec sleep 300' - '{addr}'
wait_for "$PATIENCE" test -s "$TMP/stops.out"
read -r address child <"$TMP/stops.out"
kill -STOP "$child"
is "while the command is stopped, the forward goes on" "$(curl -s --max-time 20 "http://$address/" | cut -d' ' -f1)" web
kill -CONT "$child"
kill "$child"
wait "$stops_pid"
is "and it ends with it all the same" "$?" 143
not_ok "then nobody listens any more" is_listening "$address"

cat >"$TMP/terminal" <<SCRIPT
#!/bin/bash
cd "$TMP"
"$GATEHOUSE" run ${flags[*]} -- sh -c 'trap "echo interrupted; exit 4" INT; tty -s && echo terminal; while :; do sleep 0.05; done'
echo "status \$?"
SCRIPT
chmod 755 "$TMP/terminal"
mkfifo "$TMP/keys"
exec 8<>"$TMP/keys"
socat -t 30 - "EXEC:$TMP/terminal,pty,setsid,ctty" <&8 >"$TMP/screen" 2>/dev/null &
terminal=$!
identity "$terminal" >>"$TMP/.processes"
ok "the terminal is the command's" wait_for "$PATIENCE" grep -q terminal "$TMP/screen"
printf '\003' >&8
ok "^C is for the command to deal with, once" wait_for "$PATIENCE" grep -q 'status 4' "$TMP/screen"
is "not twice" "$(grep -c interrupted "$TMP/screen")" 1
exec 8>&-
stop "$terminal"

# --- what goes wrong ---

LINE=$(run -- no-such-command 2>&1)
is "no such command" "$? $LINE" "127 gatehouse run: no-such-command: no such command in PATH"
LINE=$(run -- "$TMP" 2>&1)
is "a command that cannot be run" "$? $LINE" "126 gatehouse run: $TMP: Permission denied"
LINE=$(run --listen "127.0.0.1:$front" -- true 2>&1)
is "a port that is taken" "$? $LINE" "1 gatehouse run: 127.0.0.1:$front: in use by another program"
LINE=$(run --key "$PKI/bob.key" --cert "$PKI/alice.crt" -- touch "$TMP/ran" 2>&1)
is "a key that does not match" "$? $LINE" \
	"1 gatehouse run: $PKI/bob.key: is the key of another certificate than $PKI/alice.crt"
not_ok "the command was not begun" test -e "$TMP/ran"
LINE=$(run --to "127.0.0.1:$nowhere" -- curl -s 'http://{addr}/' 2>&1)
is "gateway down: told for each connection" "$LINE" \
	"gatehouse run: 127.0.0.1:$nowhere: connection refused; is the gateway running, and is the port right?"
LINE=$(run --cert "$PKI/bob.crt" --key "$PKI/bob.key" -- curl -s -o "$TMP/none" 'http://{addr}/' 2>&1)
like "refused by the gateway" "$LINE" \
	"^gatehouse run: 127.0.0.1:$front: refused by the gateway: handshake failure; client certificate .*/bob.crt \(CN=bob\): the rules of the gateway do not admit it$"
usage() { # DESCRIPTION LINE ARGUMENT...
	local description=$1 line=$2
	shift 2
	LINE=$("$GATEHOUSE" run "$@" 2>&1)
	is "$description" "$? $(head -n 1 <<<"$LINE")" "2 gatehouse run: $line"
}
usage "no gateway" 'expected --to GATEWAY' -- true
usage "no command" 'expected a COMMAND after the options' --to a
usage "an address of everybody's" \
	'--listen: expected a loopback address or a unix socket, such as 127.0.0.1:PORT or unix:PATH, got "0.0.0.0:80"' \
	--to a --listen 0.0.0.0:80 -- true
usage "a socket that is none" 'COMMAND contains {socket}, but --listen is not a unix socket' \
	--to a --listen 0 -- echo '{socket}'
usage "a socket has no port" 'COMMAND contains {host} or {port}, but a unix socket has neither' \
	--to a -- echo '{socket} {port}'

# --- certificates of a few hours ---

cp "$PKI/bob.crt" "$TMP/short.crt"
cp "$PKI/bob.key" "$TMP/short.key"
cat >"$TMP/renews" <<SCRIPT
curl -s "http://\$1/" >/dev/null
cp "$PKI/alice.crt" "$TMP/short.crt"
cp "$PKI/alice.key" "$TMP/short.key"
curl -s "http://\$1/" | cut -d' ' -f1
SCRIPT
is "a certificate that is renewed is used from the next connection on" \
	"$(run --cert "$TMP/short.crt" --key "$TMP/short.key" -- sh "$TMP/renews" '{addr}' 2>/dev/null)" web

ok "nothing is left of all this" wait_for "$PATIENCE" nothing_left
ok "gatehouse ends well" stop_gatehouse
done_testing
