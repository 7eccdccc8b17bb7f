#!/bin/bash
# MySQL's protocol with the real MariaDB, its client and PyMySQL: TLS ends at gatehouse, passwords are proved to the
# server, whatever the account's method, and gatehouse knows none. A client without TLS, and each that is refused,
# reads a sentence.
# needs: mariadb-server mariadb-client python3-pymysql
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

PATH=$PATH:/usr/sbin
type -P mariadbd mariadb mariadb-install-db >/dev/null || skip_all "no MariaDB"

pki_ca root
pki_ca inner
pki_cert root site '*.db.test' localhost
pki_cert inner server server.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client
pki_cert inner inside --cn inside --eku client
chmod 644 "$PKI/server.key" # the server may run as another user

as=()
[[ $(id -u) != 0 ]] || as=(--user=root)

mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
	--innodb-log-file-size=4M --datadir="$TMP/data" "${as[@]}" >"$TMP/install.out" 2>&1 ||
	bail_out "$(tail "$TMP/install.out")"

# start_mariadb NAME [OPTION...]: sets NAME to its address and NAME_pid; its socket is $TMP/NAME.d/socket
start_mariadb() {
	local name=$1 dir=$TMP/$1.d port
	shift
	free_port port
	mkdir "$dir"
	cp -r "$TMP/data" "$dir/data"
	spawn "$name" mariadbd --no-defaults "${as[@]}" --datadir="$dir/data" --socket="$dir/socket" --port="$port" \
		--bind-address=127.0.0.1 --pid-file="$dir/pid" --plugin-load-add=auth_ed25519 --skip-name-resolve \
		--innodb-flush-method=nosync --innodb-log-file-size=4M --max-connections=30 "$@"
	printf -v "$name" %s "127.0.0.1:$port"
}
prepare_mariadb() { # NAME
	wait_for "$PATIENCE" mariadb-admin --no-defaults -S "$TMP/$1.d/socket" -u root ping || bail_out "$(tail "$TMP/$1.err")"
	at_server "$1" "create database shop character set utf8mb4; create user nothing, native identified by 'secret',
		ed identified via ed25519 using password('secret'), passer identified via unix_socket;
		create user encrypted identified by 'secret' require ssl;
		create user certified identified by 'secret' require subject '/CN=inside';
		grant all on *.* to native, ed, nothing, encrypted, certified;
		create table shop.who as select '$1' as name" || bail_out "no accounts"
}
at_server() { # NAME STATEMENT: as root, to that server itself
	mariadb --no-defaults -N -S "$TMP/$1.d/socket" -u root -e "$2"
}
start_mariadb plain
start_mariadb guarded --ssl-cert="$PKI/server.crt" --ssl-key="$PKI/server.key" --ssl-ca="$PKI/inner.crt"
prepare_mariadb plain
prepare_mariadb guarded

# A server of a few bytes, which greets with $1 and prints what it hears.
start_scripted() { # NAME BYTES
	free_port scripted_port
	printf -v "$1" %s "127.0.0.1:$scripted_port"
	spawn "$1" perl -MIO::Socket::INET -e '
		$| = 1;
		my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 9, ReuseAddr => 1) or die;
		while (my $client = $listener->accept) {
			syswrite $client, eval qq("$ARGV[1]");
			print "heard $_" while <$client>;
		}' "${!1}" "$2"
	wait_for "$PATIENCE" is_listening "${!1}" || bail_out "no scripted server"
}
start_scripted busy '\x17\0\0\0\xff\x10\x04Too many connections'
start_scripted garbage '220 mail.test ESMTP\r\n'
start_scripted two '\x49\0'

for listener in front to_plain to_guarded to_socket to_strict to_certified to_gone to_busy to_garbage to_full \
	to_declined to_pool to_sha2 to_sha2_tcp sha2_port proxied direct forwarded; do
	free_port "$listener"
done
sha2_address=127.0.0.1:$sha2_port
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "server.test"}'
inner="\"starttls\": \"mysql\", $tls"
listens() { # PORT HOST
	printf '{"address": "127.0.0.1:%s", "starttls": "mysql", "host": "%s.db.test"},' "$1" "$2"
}
cat >"$TMP/config.json" <<CONFIG
	{
		"listen": [{"address": "127.0.0.1:$front", "starttls": "mysql"},
			$(listens "$to_plain" plain) $(listens "$to_guarded" guarded) $(listens "$to_socket" socket)
			$(listens "$to_strict" strict) $(listens "$to_certified" certified) $(listens "$to_gone" gone)
			$(listens "$to_busy" busy) $(listens "$to_garbage" garbage) $(listens "$to_full" full)
			$(listens "$to_declined" declined) $(listens "$to_pool" pool)
			$(listens "$to_sha2" sha2) $(listens "$to_sha2_tcp" sha2-tcp)
			{"address": "127.0.0.1:$proxied", "starttls": "mysql", "host": "plain.db.test",
				"accept_proxy": ["127.0.0.0/8"]},
			"127.0.0.1:$direct"],
		"forwards": [{"listen": "127.0.0.1:$forwarded", "target": "127.0.0.1:$direct",
			"server_name": "raw.db.test", "ca": "pki/root.crt"}],
		"hosts": {
			"localhost": {$site, "backend": "$plain"},
			"plain.db.test": {$site, "backend": "$plain"},
			"raw.db.test": {$site, "backend": "$plain"},
			"socket.db.test": {$site, "backend": "unix:$TMP/plain.d/socket"},
			"guarded.db.test": {$site, "backend": {"servers": ["$guarded"], $inner,
				"health_check": {"type": "tls", "interval": "100ms"}}},
			"certified.db.test": {$site, "backend": {"servers": ["$guarded"], "starttls": "mysql",
				"tls": {"ca": "pki/inner.crt", "server_name": "server.test",
					"cert": "pki/inside.crt", "key": "pki/inside.key"}}},
			"strict.db.test": {$site, "client_auth": "required", "ca": "pki/root.crt",
				"acl": {"allow_cn": ["alice"]}, "backend": "$plain"},
			"sha2.db.test": {$site, "backend": "unix:$TMP/sha2.socket"},
			"sha2-tcp.db.test": {$site, "backend": "$sha2_address"},
			"gone.db.test": {$site, "backend": "127.0.0.1:1"},
			"busy.db.test": {$site, "backend": {"servers": ["$busy"], $inner}},
			"garbage.db.test": {$site, "backend": "$garbage"},
			"declined.db.test": {$site, "backend": {"servers": ["$plain"], $inner}},
			"pool.db.test": {$site, "backend": {"servers": ["$plain", "$two", "$guarded"],
				"balance": "round_robin", $inner}},
			"full.db.test": {$site, "max_connections": 1, "backend": "$plain"}
		},
		"proxy": {"hello_timeout": "2s", "handshake_timeout": "1s"},
		$METRICS
	}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# sql PORT USER STATEMENT [OPTION...]: the answer, or what the client says is wrong
sql() {
	local port=$1 user=$2 statement=$3
	shift 3
	mariadb --no-defaults -N --connect-timeout="$PATIENCE" --default-character-set=utf8mb4 -h "${NAME:-127.0.0.1}" \
		--protocol=tcp -P "$port" -u "$user" "--password=${PASSWORD-secret}" --ssl-ca="$PKI/root.crt" "$@" \
		-D shop -e "$statement" 2>&1
}
who='select name from who'

# --- who it is: every method, by plaintext, TLS and a unix socket behind ---

for way in plain guarded socket; do
	port=to_$way answer=$way
	[[ $way != socket ]] || answer=plain
	for account in native ed; do
		is "$way, $account" "$(sql "${!port}" "$account" "$who")" "$answer"
		like "$way, $account, a wrong password" "$(PASSWORD=wrong sql "${!port}" "$account" "$who")" \
			"ERROR 1045 \\(28000\\): Access denied for user '$account'"
	done
	is "$way, no password" "$(PASSWORD='' sql "${!port}" nothing "$who")" "$answer"
	like "$way, an unknown account" "$(sql "${!port}" nobody "$who")" 'ERROR 1045.*nobody'
	like "$way, another account than the process has" "$(sql "${!port}" passer "$who")" 'ERROR 1698'
done
logs "the log" msg=connection route=plain.db.test preface=mysql mode=terminate tls step=relay reason=done
is "TLS behind" "$(sql "$to_guarded" native "show status like 'ssl_version'")" $'Ssl_version\tTLSv1.3'
is "an account that requires it" "$(sql "$to_guarded" encrypted "$who")" guarded
like "which it cannot have in the clear" "$(sql "$to_plain" encrypted "$who")" 'ERROR 1045'
is "a client certificate for the server" "$(sql "$to_certified" certified "$who")" guarded
like "and none" "$(sql "$to_guarded" certified "$who")" 'ERROR 1045'

# --- TLS in front ---

is "a verified certificate" "$(NAME=localhost sql "$to_plain" native "$who" --ssl-verify-server-cert)" plain
like "not the certificate of that name" "$(sql "$to_plain" native "$who" --ssl-verify-server-cert)" 'ERROR 2026'
like "no TLS is refused with the remedy" "$(sql "$to_plain" native "$who" --skip-ssl)" \
	'ERROR 3159 \(HY000\): This server accepts only connections with TLS.*--ssl'
ends_as "the log: no TLS" bad_preface 'ended (fin|reset)$' send_text '\x20\x00\x00\x01\x00\x82\x08\x00' --half-close
is "a client certificate" "$(sql "$to_strict" native "$who" --ssl-cert="$PKI/alice.crt" --ssl-key="$PKI/alice.key")" plain
logs "the log: who it was" msg=connection route=strict.db.test identity=CN=alice
unlike "one that no rule admits" \
	"$(sql "$to_strict" native "$who" --ssl-cert="$PKI/mallory.crt" --ssl-key="$PKI/mallory.key")" '^plain$'
logs "the log: no rule" msg=connection reason=not_admitted
cat >"$TMP/proxied.py" <<'PYTHON'
import pymysql, socket, sys

header, host, port, ca = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3]), sys.argv[4]
connect = socket.create_connection

def with_header(*arguments, **options):
    tcp = connect(*arguments, **options)
    tcp.sendall(header)
    return tcp

socket.create_connection = with_header
connection = pymysql.connect(host=host, port=port, user="native", password="secret", database="shop",
    ssl={"ca": ca, "check_hostname": host == "localhost"})
with connection.cursor() as cursor:
    cursor.execute("select name, %s from who", ("it's",))
    print(*cursor.fetchone())
connection.close()
PYTHON
python() { # HEADER PORT
	/usr/bin/python3 "$TMP/proxied.py" "$1" "${NAME:-127.0.0.1}" "$2" "$PKI/root.crt" 2>&1 | tail -n 1
}
# It sends its ClientHello behind SSLRequest at once, which has no answer.
for way in plain guarded socket; do
	port=to_$way
	like "PyMySQL, $way" "$(python '' "${!port}")" "^(plain|guarded) it's$"
done
is "PyMySQL sends the name of the server, which MariaDB's client does not" "$(NAME=localhost python '' "$front")" "plain it's"
logs "the log: the name" msg=connection sni=localhost route=localhost preface=mysql
is "behind a PROXY header" "$(python $'PROXY TCP4 192.0.2.1 192.0.2.2 1 3306\r\n' "$proxied")" "plain it's"
logs "the log: from where" msg=connection client=192.0.2.1:1 preface=mysql

# --- caching_sha2_password, which MariaDB has not: its client with a server of the test ---

cat >"$TMP/sha2.py" <<'PYTHON'
import hashlib, os, socket, struct, sys

def sha(data):
    return hashlib.sha256(data).digest()

def send(stream, number, payload):
    stream.sendall(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)

def receive(stream, number):
    head = stream.recv(4, socket.MSG_WAITALL)
    assert head[3] == number, "number %d, not %d" % (head[3], number)
    size = head[0] | head[1] << 8 | head[2] << 16
    return stream.recv(size, socket.MSG_WAITALL) if size else b""

def serve(stream):
    nonce = bytes(byte % 100 + 1 for byte in os.urandom(20))
    send(stream, 0, b"\x0a8.4.0\0" + struct.pack("<I", 7) + b"x" * 8 + b"\0\x00\xa2\x2d\2\0\x08\0\x15" + b"\0" * 10 +
        b"y" * 12 + b"\0caching_sha2_password\0")
    user = receive(stream, 1)[32:].split(b"\0")[0]
    if user == b"gone":
        return
    if user == b"garbage":
        stream.sendall(b"\x10\0\0\x99" + b"no packet of MySQL")
        return
    send(stream, 0 if user == b"odd" else 2, b"\xfecaching_sha2_password\0" + nonce + b"\0")
    mask = sha(sha(sha(b"secret")) + nonce)
    right = receive(stream, 3) == bytes(a ^ b for a, b in zip(sha(b"secret"), mask))
    number, words = 5, b"fast, %s" % (b"right" if right else b"wrong")
    send(stream, 4, b"\1\3" if user == b"fast" else b"\1\4")
    if user != b"fast":
        number, words = 6, b"full, " + receive(stream, 5).rstrip(b"\0")
    send(stream, number, b"\xff\x51\4#HY000" + words)

listener = socket.socket(socket.AF_UNIX if "/" in sys.argv[1] else socket.AF_INET)
listener.bind(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
listener.listen()
while True:
    stream = listener.accept()[0]
    try:
        serve(stream)
    except (AssertionError, IndexError, OSError) as error:
        print(error, flush=True)
    stream.close()
PYTHON
spawn sha2 python3 "$TMP/sha2.py" "$TMP/sha2.socket"
spawn sha2_tcp python3 "$TMP/sha2.py" "${sha2_address##*:}"
ok "a server of the test" wait_for "$PATIENCE" test -S "$TMP/sha2.socket"
ok "another" wait_for "$PATIENCE" is_listening "$sha2_address"
like "the fast way" "$(sql "$to_sha2_tcp" fast "$who")" ': fast, right$'
like "a wrong password" "$(PASSWORD=wrong sql "$to_sha2_tcp" fast "$who")" ': fast, wrong$'
like "the password itself, by a unix socket" "$(sql "$to_sha2" full "$who")" ': full, secret$'
like "and not where it can be read" "$(sql "$to_sha2_tcp" full "$who")" \
	'ERROR 3159.*the login needs TLS or a unix socket to the server'
logs "the log: why" msg=connection route=sha2-tcp.db.test \
	"end=MySQL: the login needs TLS or a unix socket to the server"

# A server that does not keep to the protocol within the login.
for account in odd garbage; do
	like "$account" "$(sql "$to_sha2_tcp" "$account" "$who")" 'ERROR 1043 \(08S01\).*does not keep to the protocol'
done
logs "the log: it does not" msg=connection route=sha2-tcp.db.test reason=bad_preface \
	"end=MySQL: the server does not keep to the protocol"
like "a server that closes" "$(sql "$to_sha2_tcp" gone "$who")" 'ERROR 2013'

# --- refusals are sentences, with the numbers of MySQL ---

like "an unknown name" "$(sql "$front" native "$who")" 'ERROR 1105 \(HY000\)[^:]*: unknown server name'
like "no server" "$(sql "$to_gone" native "$who")" 'ERROR 1429 \(HY000\)[^:]*: no server is available'
like "a server that greets with an error" "$(sql "$to_busy" native "$who")" 'ERROR 1429'
logs "the log: it has too many connections" msg=connection route=busy.db.test reason=upstream_preface \
	"end=upstream $busy: MySQL: the server has too many connections"
is "it has heard nothing" "$(cat "$TMP/busy.out")" ''
like "a server of another protocol" "$(sql "$to_garbage" native "$who")" 'ERROR 1429'
like "a server without TLS" "$(sql "$to_declined" native "$who")" 'ERROR 1429'
logs "the log: it has no TLS" msg=connection route=declined.db.test "end=upstream $plain: MySQL: the server does not offer TLS"
is "the next server is tried: one declines, one stops after two bytes" "$(sql "$to_pool" native "$who")" guarded
sql "$to_full" native 'select sleep(60)' >"$TMP/sleeper" &
sleeper=$!
identity "$sleeper" >>"$TMP/.processes"
sleeping="select id from information_schema.processlist where info like 'select sleep%'"
sleeps() {
	[[ -n $(at_server plain "$sleeping") ]]
}
ok "one is connected" wait_for "$PATIENCE" sleeps
like "a full host" "$(sql "$to_full" native "$who")" 'ERROR 1040 \(08004\)[^:]*: .*max_connections'
is "KILL reaches it: the id is the one of connection_id()" \
	"$(sql "$to_plain" native "kill query $(at_server plain "$sleeping"); select 'killed'")" killed
wait "$sleeper"
like "and sleep() ends" "$(cat "$TMP/sleeper")" 'ERROR 1317'


# --- much, and every kind of statement ---

seq 100000 >"$TMP/lines"
is "LOAD DATA LOCAL" "$(sql "$to_guarded" native "create table numbers (number int, text varchar(20));
	load data local infile '$TMP/lines' into table numbers (number); select count(*), sum(number) from numbers" \
	--local-infile)" $'100000\t5000050000'
is "and back" "$(sql "$to_guarded" native 'select number from numbers order by number' -q | sha256sum)" \
	"$(seq 100000 | sha256sum)"
is "a prepared statement" "$(sql "$to_guarded" native "prepare p from 'select ? + 1'; set @x = 41; execute p using @x")" 42
is "text" "$(sql "$to_plain" native "select 'gr""üß""e 😀'")" 'grüße 😀'
is "a statement of 2 MB" "$(printf "select length('%s')" "$(printf 'x%.0s' {1..2000000})" | mariadb --no-defaults -N \
	-h 127.0.0.1 -P "$to_plain" -u native -psecret --ssl 2>&1)" 2000000
like "an error of a statement" "$(sql "$to_plain" native 'select * from nothing')" 'ERROR 1146 \(42S02\)'
like "a dump" "$(mariadb-dump --no-defaults -h 127.0.0.1 -P "$to_plain" -u native -psecret --ssl shop 2>&1)" \
	"INSERT INTO .who. VALUES"

# --- by a forward: the client is in the clear, and the greeting is the server's ---

is "a forward to a gateway" "$(sql "$forwarded" native "$who" --skip-ssl)" plain
is "another method" "$(sql "$forwarded" ed "$who" --skip-ssl)" plain

# --- bytes ---

PORT=$to_plain
like "it greets" "$(send_text '' --until 60 | od -An -c | tr -d ' \n')" 'mysql_native_pa|gatehouse'
for bytes in '\x20\x00\x00\x02' '\xff\xff\xff\x01' 'GET / HTTP/1.1\r\n' '\x16\x03\x01\x00\x05\x01' '\x20\x00\x00\x01\x00\x08\x00\x00' \
	'\x4c\x00\x00\x01\x00\x8a\x08\x00'; do
	ends_as "refused: $bytes" bad_preface 'ended (fin|reset)$' send_text "$bytes" --half-close
done
ends_as "half a request and silence: closed at hello_timeout" no_hello 'ended (fin|reset)$' send_text '\x20\x00'

# --- what cannot be ---

findings() { # CONFIG
	echo "$1" >"$TMP/check.json"
	"$GATEHOUSE" check -c "$TMP/check.json" 2>&1
}
like "check: not for passthrough" "$(findings '{"listen": {"address": ":3306", "starttls": "mysql"}, "hosts": {"a.test":
	{"mode": "passthrough", "backend": {"servers": ["a:3306"], "starttls": "mysql"}}}}')" \
	'the backend of "a:3306" has "starttls": "mysql", which is not for "mode": "passthrough": its greeting is a part'
like "check: not for a forward" "$(findings '{"forwards": [{"listen": ":1", "server_name": "a.test",
	"target": {"servers": ["a:3306"], "starttls": "mysql"}}]}')" \
	'forwards\[0\].target.starttls: "mysql" is not for a forward'
is "others are served" "$(sql "$to_plain" native "$who")" plain
logs_not "health checks find the server up" "msg=server marked down" "server=$guarded"
ok "stops" stop_gatehouse
done_testing
