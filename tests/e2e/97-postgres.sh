#!/bin/bash
# PostgreSQL with the real psql, pgbench and server: TLS ends here or at the server, in every combination; a request
# to cancel reaches the connection that it is meant for, whichever worker and listener it comes to; who is refused
# reads a sentence.
# needs: postgresql
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
type -P initdb postgres psql setpriv >/dev/null || skip_all "no postgres"

pki_ca root
pki_ca inner
pki_cert root site '*.db.test'
pki_cert inner server server.test raw.db.test own.db.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client
pki_cert inner inside --cn alice --eku client

as_nobody=()
if [[ $(id -u) == 0 ]]; then # postgres would not run as root
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi

# start_postgres NAME TLS: sets NAME to its address and NAME_pid
start_postgres() {
	local dir=$TMP/$1.d port
	free_port port
	mkdir "$dir"
	cp "$PKI/server.key" "$PKI/server.crt" "$PKI/inner.crt" "$dir"
	[[ $(id -u) != 0 ]] || chown -R 65534:65534 "$dir"
	chmod 600 "$dir/server.key"
	echo secret >"$TMP/password"
	"${as_nobody[@]}" initdb --auth=trust --username=alice --no-sync --pwfile="$TMP/password" -D "$dir/data" \
		>"$TMP/initdb.out" 2>&1 || bail_out "$(cat "$TMP/initdb.out")"
	cat >"$dir/data/pg_hba.conf" <<-HBA
		local all all trust
		host trusted all 127.0.0.1/32 trust
		host hashed all 127.0.0.1/32 md5
		host scrammed all 127.0.0.1/32 scram-sha-256
		hostssl certified all 127.0.0.1/32 cert
		host all all 127.0.0.1/32 trust
	HBA
	spawn "$1" "${as_nobody[@]}" postgres -D "$dir/data" -k "$dir" -p "$port" -F -c listen_addresses=127.0.0.1 \
		-c ssl="$2" -c ssl_cert_file="$dir/server.crt" -c ssl_key_file="$dir/server.key" \
		-c ssl_ca_file="$dir/inner.crt" -c log_connections=on -c cluster_name="$1"
	wait_for "$PATIENCE" pg_isready -q -h "$dir" -p "$port" || bail_out "$(cat "$TMP/$1.err")"
	PGHOST=$dir PGPORT=$port psql -X -q -U alice postgres -c "create role legacy login" \
		-c "set password_encryption = 'md5'" -c "alter role legacy password 'secret'" \
		-c 'create database trusted' -c 'create database hashed' -c 'create database scrammed' \
		-c 'create database certified' || bail_out "no databases"
	printf -v "$1" %s "127.0.0.1:$port"
}

start_postgres plain off
start_postgres guarded on

free_port front
free_port named
free_port nameless
free_port few
free_port direct
free_port proxied
free_port to_server
free_port to_gateway
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
inner='"starttls": "postgres", "tls": {"ca": "pki/inner.crt", "server_name": "server.test"}'
write_config() { # [HOSTS]
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "postgres"},
				{"address": "127.0.0.1:$named", "starttls": "postgres", "host": "plain.db.test"},
				{"address": "127.0.0.1:$nameless", "starttls": "postgres", "default_host": "raw.db.test",
					"cancel": "forward"},
				{"address": "127.0.0.1:$few", "starttls": "postgres", "hosts": ["plain.db.test"]},
				{"address": "127.0.0.1:$proxied", "starttls": "postgres", "accept_proxy": ["127.0.0.0/8"]},
				"127.0.0.1:$direct"],
			"forwards": [
				{"listen": "127.0.0.1:$to_server", "target": {"servers": ["$guarded"], "starttls": "postgres"},
					"server_name": "server.test", "ca": "pki/inner.crt"},
				{"listen": "127.0.0.1:$to_gateway", "target": "127.0.0.1:$direct",
					"server_name": "guarded.db.test", "ca": "pki/root.crt"}],
			"hosts": { ${1:-}
				"plain.db.test": {$site, "backend": "$plain"},
				"guarded.db.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"own.db.test": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
					"backend": {"servers": ["$guarded"], $inner}},
				"raw.db.test": {"mode": "passthrough", "backend": {"servers": ["$guarded"], "starttls": "postgres"}},
				"strict.db.test": {$site, "client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["alice"]}, "backend": "$plain"},
				"certified.db.test": {$site, "backend": {"servers": ["$guarded"], "starttls": "postgres",
					"tls": {"ca": "pki/inner.crt", "server_name": "server.test",
						"cert": "pki/inside.crt", "key": "pki/inside.key"}}},
				"declined.db.test": {$site, "backend": {"servers": ["$plain"], $inner}},
				"full.db.test": {$site, "max_connections": 1, "backend": "$plain"},
				"chain.db.test": {$site, "backend": {"servers": ["127.0.0.1:$proxied"], "starttls": "postgres",
					"proxy_protocol": "v2", "tls": {"ca": "pki/root.crt", "server_name": "plain.db.test"}}},
				"pool.db.test": {$site, "backend": {"servers": ["$plain", "$guarded"], "balance": "round_robin",
					"health_check": {"type": "tls", "interval": "200ms", "fall": 1, "rise": 1}, $inner}},
				"gone.db.test": {$site, "backend": "127.0.0.1:1"}
			},
			"proxy": {"hello_timeout": "2s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# sql NAME PORT SETTINGS QUESTION: the answer, or what psql says is wrong
sql() {
	PGPASSWORD=secret PGCONNECT_TIMEOUT=$PATIENCE psql -X -A -t -q \
		"host=$1 hostaddr=127.0.0.1 port=$2 user=${USER_NAME:-alice} dbname=${DB:-postgres} $3" -c "$4" 2>&1
}
verified="sslmode=verify-full sslrootcert=$PKI/root.crt"
inside="sslmode=verify-full sslrootcert=$PKI/inner.crt"
who="select current_setting('cluster_name')"


# --- where TLS ends ---

is "terminated, plaintext behind" "$(sql plain.db.test "$front" "$verified" "$who")" plain
logs "the log says what preceded TLS" msg=connection sni=plain.db.test preface=postgres mode=terminate step=relay \
	reason=done
is "terminated, TLS behind" "$(sql guarded.db.test "$front" "$verified channel_binding=disable" "$who")" guarded
is "passed through" "$(sql raw.db.test "$front" "$inside" "$who")" guarded
like "the certificate there is the server's own" "$(sql raw.db.test "$front" "$verified" "$who")" \
	'certificate verify failed'
for mode in prefer require verify-ca verify-full; do
	is "sslmode=$mode" "$(sql plain.db.test "$front" "sslmode=$mode sslrootcert=$PKI/root.crt" "$who")" plain
done
like "sslmode=disable is refused with the remedy" "$(sql plain.db.test "$front" sslmode=disable "$who")" \
	'FATAL:.*only connections with TLS.*HINT:.*sslmode=require'
is "sslmode=allow goes on to TLS" "$(sql plain.db.test "$front" sslmode=allow "$who")" plain
like "gssencmode=require" "$(sql plain.db.test "$front" "$verified gssencmode=require" "$who")" 'GSSAPI'
for mode in disable prefer; do
	is "gssencmode=$mode" "$(sql plain.db.test "$front" "$verified gssencmode=$mode" "$who")" plain
done

# --- who it is: every method of the server ---

is "trust" "$(DB=trusted sql plain.db.test "$front" "$verified" "$who")" plain
is "md5" "$(DB=hashed USER_NAME=legacy sql plain.db.test "$front" "$verified" "$who")" plain
is "scram, plaintext behind" "$(DB=scrammed sql plain.db.test "$front" "$verified" "$who")" plain
is "scram with channel binding, passed through" \
	"$(DB=scrammed sql raw.db.test "$front" "$inside channel_binding=require" "$who")" guarded
is "scram with channel binding, terminated with the certificate of the server" \
	"$(DB=scrammed sql own.db.test "$front" "$inside channel_binding=require" "$who")" guarded
like "scram with channel binding, terminated before TLS: other certificates" \
	"$(DB=scrammed sql guarded.db.test "$front" "$verified" "$who")" 'channel binding'
is "scram without it" "$(DB=scrammed sql guarded.db.test "$front" "$verified channel_binding=disable" "$who")" guarded
is "cert: ours for the server" "$(DB=certified sql certified.db.test "$front" "$verified" "$who")" guarded
like "cert: none" "$(DB=certified sql guarded.db.test "$front" "$verified" "$who")" 'FATAL'
is "a client certificate for gatehouse" "$(sql strict.db.test "$front" \
	"$verified sslcert=$PKI/alice.crt sslkey=$PKI/alice.key" "$who")" plain
logs "the log: who it was" msg=connection sni=strict.db.test identity=CN=alice step=relay
unlike "one that no rule admits" "$(sql strict.db.test "$front" \
	"$verified sslcert=$PKI/mallory.crt sslkey=$PKI/mallory.key" "$who")" '^plain$'
logs "the log: no rule" msg=connection sni=strict.db.test reason=not_admitted

# --- hosts of a listener ---

is "host: whatever the name" "$(sql 127.0.0.1 "$named" sslmode=require "$who")" plain
is "host: even another one" "$(sql raw.db.test "$named" sslmode=require "$who")" plain
is "default_host: no name" "$(sql 127.0.0.1 "$nameless" sslmode=require "$who")" guarded
is "default_host: a name" "$(sql plain.db.test "$nameless" "$verified" "$who")" plain
is "hosts: one of them" "$(sql plain.db.test "$few" "$verified" "$who")" plain
like "hosts: another one is unknown, in words" "$(sql guarded.db.test "$few" sslmode=require "$who")" \
	'FATAL:.*unknown server name'

# --- refusals are sentences ---

like "an unknown name" "$(sql no.test "$front" sslmode=require "$who")" 'FATAL:.*unknown server name'
logs "the log: an unknown name" msg=connection sni=no.test preface=postgres reason=no_host
like "no server" "$(sql gone.db.test "$front" "$verified" "$who")" 'FATAL:.*no server is available'
logs "the log: no server" msg=connection sni=gone.db.test reason=dial
like "a server that declines TLS" "$(sql declined.db.test "$front" "$verified" "$who")" 'FATAL:.*no server'
logs "the log: it declines" msg=connection sni=declined.db.test reason=upstream_preface
sql full.db.test "$front" "$verified" 'select pg_sleep(60)' >"$TMP/sleeper" &
sleeper=$!
identity "$sleeper" >>"$TMP/.processes"
at_plain() { # a question to that server itself
	psql -X -A -t -q -h "$TMP/plain.d" -p "${plain##*:}" -U alice postgres -c "$1"
}
sleeps() { # how many do
	at_plain "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
}
sleeps_are() {
	[[ $(sleeps) == "$1" ]]
}
ok "one is connected" wait_for "$PATIENCE" sleeps_are 1
like "a full host" "$(sql full.db.test "$front" "$verified" "$who")" 'FATAL:.*max_connections'
logs "the log: full" msg=connection sni=full.db.test reason=limit
end_sleeps() {
	at_plain 'select pg_terminate_backend(pid) from pg_stat_activity where query like '"'select pg_sleep%'" >/dev/null
	wait_for "$PATIENCE" sleeps_are 0
}
end_sleeps
wait "$sleeper"

# --- cancelling ---

# cancels NAME PORT SETTINGS: psql is interrupted, and its query ends
cancels() {
	local pid
	PGPASSWORD=secret psql -X -q "host=$1 hostaddr=127.0.0.1 port=$2 user=alice dbname=postgres $3" \
		-c 'select pg_sleep(60)' >"$TMP/cancelled" 2>&1 &
	pid=$!
	identity "$pid" >>"$TMP/.processes"
	wait_for "$PATIENCE" "${4:-sleeps_are}" 1 || { cat "$TMP/cancelled" && return; }
	kill -s INT "$pid"
	wait_for 5 is_over "$pid" || kill -s KILL "$pid"
	wait "$pid"
	cat "$TMP/cancelled"
}
guarded_sleeps_are() {
	[[ $(psql -X -A -t -q -h "$TMP/guarded.d" -p "${guarded##*:}" -U alice postgres -c \
		"select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") == "$1" ]]
}
canceled='ERROR:  canceling statement due to user request'
ends_canceled() { # DESCRIPTION OUTPUT
	like "$1" "$2" "$canceled"
}
ends_canceled "Ctrl-C, plaintext behind" "$(cancels plain.db.test "$front" "$verified")"
logs "the log: it was passed on" msg=connection route=plain.db.test reason=done \
	"end=PostgreSQL: the request to cancel was passed on"
ends_canceled "Ctrl-C, TLS behind" \
	"$(cancels guarded.db.test "$front" "$verified channel_binding=disable" guarded_sleeps_are)"
ends_canceled "Ctrl-C, by a listener with a host" "$(cancels 127.0.0.1 "$named" sslmode=require)"
ends_canceled "Ctrl-C, passed through, where the listener says so" \
	"$(cancels 127.0.0.1 "$nameless" sslmode=require guarded_sleeps_are)"
ends_canceled "Ctrl-C with a client certificate" "$(cancels strict.db.test "$front" \
	"$verified sslcert=$PKI/alice.crt sslkey=$PKI/alice.key")"

ends_as "a key that nobody has" bad_preface 'ended (fin|reset)$' \
	send_text '\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x01\x01abcd' --half-close

# --- TLS from the first byte, as libpq 17 begins with sslnegotiation=direct ---

cat >"$TMP/direct.py" <<'PYTHON'
import socket, ssl, struct, sys, threading

port, name, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def connect():
    context = ssl.create_default_context(cafile=sys.argv[4])
    context.set_alpn_protocols(["postgresql"])
    tcp = socket.create_connection(("127.0.0.1", port), timeout=15)
    tls = context.wrap_socket(tcp, server_hostname=name)
    assert tls.selected_alpn_protocol() == "postgresql", "no ALPN"
    return tls

def exactly(tls, size):
    data = b""
    while len(data) < size:
        more = tls.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data

def message(tls):
    kind = exactly(tls, 1)
    return kind, exactly(tls, struct.unpack("!I", exactly(tls, 4))[0] - 4)

def start(version):
    tls = connect()
    body = struct.pack("!I", version) + b"user\0alice\0database\0postgres\0\0"
    for byte in struct.pack("!I", len(body) + 4) + body:
        tls.send(bytes([byte]))
    return tls

def until_ready(tls):
    key, errors = b"", []
    while True:
        kind, body = message(tls)
        if kind == b"K":
            key = body
        if kind == b"E":
            errors.append(b" ".join(field[1:] for field in body.split(b"\0") if field).decode())
            if b"FATAL" in body:
                return key, errors
        if kind == b"Z":
            return key, errors

def ask(tls, text):
    tls.sendall(b"Q" + struct.pack("!I", len(text) + 5) + text.encode() + b"\0")

def cancel(key, tls):
    tls.sendall(struct.pack("!II", len(key) + 8, 80877102) + key)
    assert tls.recv(1) == b"", "an answer to a request to cancel"

tls = start(196608)
key, errors = until_ready(tls)
if what == "ask":
    print(len(key), errors)
elif what == "cancel":
    ask(tls, "select pg_sleep(60)")
    if len(sys.argv) > 5:  # under another name
        name = sys.argv[5]
    cancel(key, connect())
    tls.settimeout(float(sys.argv[6]) if len(sys.argv) > 6 else 15)
    try:
        print(until_ready(tls)[1])
    except TimeoutError:
        print("it goes on")
PYTHON
direct() { # NAME WHAT [ARGUMENT...]
	timeout 30 python3 "$TMP/direct.py" "$front" "$1" "$2" "${CA:-$PKI/root.crt}" "${@:3}" 2>&1 | tail -n 1
}
is "plaintext behind" "$(direct plain.db.test ask)" '8 []'
logs "the log: nothing preceded TLS" msg=connection sni=plain.db.test alpn=postgresql step=relay
is "to a server that has no direct TLS" "$(direct guarded.db.test ask)" '8 []'
like "a request to cancel as the first message within TLS" "$(direct plain.db.test cancel)" 'canceling statement'
like "TLS behind" "$(direct guarded.db.test cancel)" 'canceling statement'
like "not on another route: it may have other rules" "$(direct plain.db.test cancel guarded.db.test 1)" 'it goes on'
end_sleeps
like "an unknown name reads a sentence, too" "$(CA=$PKI/root.crt direct no.db.test ask)" "08004 unknown server name"

# --- by a forward: the client is in the clear, and need not know ---

for forward in to_server to_gateway; do
	is "$forward: psql with its defaults" "$(sql 127.0.0.1 "${!forward}" channel_binding=disable "$who")" guarded
	like "$forward: Ctrl-C" \
		"$(cancels 127.0.0.1 "${!forward}" channel_binding=disable guarded_sleeps_are)" "$canceled"
	like "$forward: sslmode=require, which no forward has" \
		"$(sql 127.0.0.1 "${!forward}" sslmode=require "$who")" 'server does not support SSL'
done

is "gatehouse run: psql with its defaults" "$("$GATEHOUSE" run --to "127.0.0.1:$direct" --sni guarded.db.test \
	--ca "$PKI/root.crt" -- psql -X -A -t -q \
	"host={host} port={port} user=alice dbname=postgres channel_binding=disable" -c "$who" 2>&1)" guarded

# --- two of us, one behind the other, with the PROXY protocol between ---

is "a chain" "$(sql chain.db.test "$front" "$verified" "$who")" plain
logs "the second knows the client" msg=connection "listener=127.0.0.1:$proxied" sni=plain.db.test preface=postgres
like "Ctrl-C through both" "$(cancels chain.db.test "$front" "$verified")" "$canceled"
logs "the second passes it on, too" msg=connection "listener=127.0.0.1:$proxied" sni=plain.db.test \
	"end=PostgreSQL: the request to cancel was passed on"

# --- a server that declines TLS is passed over, and a health check finds it ---

served=0
for _ in {1..6}; do
	[[ $(sql pool.db.test "$front" "$verified channel_binding=disable" "$who") != guarded ]] || served=$((served + 1))
done
is "six of six clients are served" "$served" 6
logs "the health check speaks PostgreSQL" "msg=server marked down" "server=$plain"
logs_not "and the other is up" "msg=server marked down" "server=$guarded"

# --- bytes ---

ends_as "bytes behind SSLRequest" bad_preface 'ended (fin|reset)$' \
	send_text '\x00\x00\x00\x08\x04\xd2\x16\x2f\x16' --half-close
like "SSLRequest in single bytes" "$(send_text '\x00\x00\x00\x08\x04\xd2\x16\x2f' --every 1 --until 1)" '^S'
like "GSSENCRequest once" "$(send_text '\x00\x00\x00\x08\x04\xd2\x16\x30\x00\x00\x00\x08\x04\xd2\x16\x2f' --until 2)" '^NS'
ends_as "and not twice" bad_preface 'ended (fin|reset)$' \
	send_text '\x00\x00\x00\x08\x04\xd2\x16\x30\x00\x00\x00\x08\x04\xd2\x16\x30' --half-close
ends_as "a length that lies" bad_preface 'ended (fin|reset)$' send_text '\x00\x00\x01\x08\x04\xd2\x16\x2f' --half-close
ends_as "a request to cancel without a key" bad_preface 'ended (fin|reset)$' \
	send_text '\x00\x00\x00\x0c\x04\xd2\x16\x2eabcd' --half-close
ends_as "half a request and silence: closed at hello_timeout" no_hello 'ended (fin|reset)$' send_text '\x00\x00\x00'
is "others are served" "$(sql plain.db.test "$front" "$verified" "$who")" plain

# --- much, and long ---

sql plain.db.test "$front" "$verified" 'create table lines (line int)' >/dev/null
seq 1000000 | PGSSLROOTCERT=$PKI/root.crt psql -X -q "host=plain.db.test hostaddr=127.0.0.1 port=$front user=alice \
	dbname=postgres sslmode=verify-full" -c '\copy lines from stdin' 2>&1
is "a COPY of a million lines" "$(sql plain.db.test "$front" "$verified" 'select count(*), sum(line) from lines')" \
	'1000000|500000500000'
is "and back" "$(sql guarded.db.test "$front" "$verified channel_binding=disable" \
	'copy (select * from generate_series(1, 1000000)) to stdout' | sha256sum)" "$(seq 1000000 | sha256sum)"
printf 'select %s as turn \\watch 0.2\n' "current_setting('cluster_name')" >"$TMP/watch.sql"
spawn watcher psql -X -A -t -q "host=plain.db.test hostaddr=127.0.0.1 port=$front user=alice dbname=postgres $verified" \
	-f "$TMP/watch.sql"
turns() { # at least so many
	(($(grep -c '^plain$' "$TMP/watcher.out") >= $1))
}
ok "\\watch begins" wait_for "$PATIENCE" turns 2
write_config "\"more.db.test\": {$site, \"backend\": \"$plain\"},"
logs "a reload" msg=reloaded
is "a new name" "$(sql more.db.test "$front" "$verified" "$who")" plain
seen=$(grep -c '^plain$' "$TMP/watcher.out")
ok "\\watch goes on over it" wait_for "$PATIENCE" turns $((seen + 3))
stop "$watcher_pid"
like "pgbench -C: a connection for each transaction" "$(PGSSLMODE=verify-full PGSSLROOTCERT=$PKI/root.crt \
	pgbench -n -C -t 20 -c 4 "host=plain.db.test hostaddr=127.0.0.1 port=$front user=alice dbname=postgres" \
	-f <(echo 'select 1;') 2>&1)" 'actually processed: 80/80'
# --- an upgrade: the old process drains, and has the connection; the new one is asked to cancel ---

PGPASSWORD=secret psql -X -q "host=plain.db.test hostaddr=127.0.0.1 port=$front user=alice dbname=postgres $verified" \
	-c 'select pg_sleep(60)' >"$TMP/cancelled" 2>&1 &
sleeper=$!
identity "$sleeper" >>"$TMP/.processes"
ok "a query runs" wait_for "$PATIENCE" sleeps_are 1
kill -USR2 "$gatehouse_pid"
logs "an upgrade" msg=upgraded
identity "$(log_value pid msg=ready)" >>"$TMP/.processes"
kill -s INT "$sleeper"
wait_for 5 is_over "$sleeper" || kill -s KILL "$sleeper"
wait "$sleeper"
ends_canceled "Ctrl-C after an upgrade" "$(cat "$TMP/cancelled")"
logs "the log: it was returned" msg=connection \
	"end=PostgreSQL: a request to cancel, returned to the process before"
logs "the log: and passed on" msg=connection route=plain.db.test preface=postgres \
	"end=PostgreSQL: the request to cancel was passed on"
ok "the old process ends" wait_for "$PATIENCE" is_over "$gatehouse_pid"
is "the new one serves" "$(sql plain.db.test "$front" "$verified" "$who")" plain
stop "$(log_value pid msg=ready)"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

warnings=$("$GATEHOUSE" check -c "$TMP/config.json" 2>&1)
like "check warns where channel binding cannot hold" "$warnings" \
	'hosts\["guarded.db.test"\].backend.starttls: .*not the certificate of "server.test"'
unlike "and where there is no TLS behind it does not" "$warnings" 'plain.db.test'
pki_cert root own '*.db.test' server.test
site='"mode": "terminate", "cert": "pki/own.crt", "key": "pki/own.key"' write_config
unlike "nor for a certificate of the server" "$("$GATEHOUSE" check -c "$TMP/config.json" 2>&1)" 'channel binding'
ok "stops" stop_gatehouse
unlike "nothing was a warning but what is" "$(grep level=warning "$TMP/gatehouse.err" | grep -v -e sni=gone -e sni=declined)" connection
done_testing
