#!/bin/bash
# redis-cli and psql reach their servers through a forward and a gateway that asks for certificates,
# and need know nothing of it.
# needs: redis-server postgresql
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
pki_ca root
pki_cert root gateway redis.test postgres.test
pki_cert root me --eku client --cn me
for port in front redis redis_here postgres_here; do free_port "$port"; done
mkdir "$TMP/postgres"

host() { # NAME BACKEND
	echo "\"$1\": {\"mode\": \"terminate\", \"cert\": \"pki/gateway.crt\", \"key\": \"pki/gateway.key\",
		\"client_auth\": \"required\", \"ca\": \"pki/root.crt\", \"backend\": \"$2\"}"
}

forward() { # NAME PORT
	echo "{\"listen\": \"127.0.0.1:$2\", \"target\": \"127.0.0.1:$front\", \"server_name\": \"$1\",
		\"ca\": \"pki/root.crt\", \"cert\": \"pki/me.crt\", \"key\": \"pki/me.key\"}"
}

cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		$(host redis.test "127.0.0.1:$redis"),
		$(host postgres.test "unix:$TMP/postgres/.s.PGSQL.5432")
	},
	"forwards": [$(forward redis.test "$redis_here"), $(forward postgres.test "$postgres_here")]
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# --- redis -------------------------------------------------------------------------------------

through_redis() {
	spawn redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$TMP"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$redis" || bail_out "$(cat "$TMP/redis.out")"
	local cli=(redis-cli -p "$redis_here")
	is "redis-cli: a word" "$("${cli[@]}" ping)" PONG
	head -c 2000000 /dev/urandom | base64 -w 0 >"$TMP/value"
	"${cli[@]}" -x set key <"$TMP/value" >/dev/null
	is "redis-cli: megabytes" "$("${cli[@]}" get key | head -c -1 | sha256sum)" \
		"$(sha256sum <"$TMP/value")"
	seq 5000 | sed 's/.*/incr counter/' | "${cli[@]}" >/dev/null
	is "redis-cli: many words at once" "$("${cli[@]}" get counter)" 5000
}

if type -P redis-server redis-cli >/dev/null; then
	through_redis
else
	skip 3 "no redis"
fi

# --- postgres ----------------------------------------------------------------------------------

as_nobody=()
if [[ $(id -u) == 0 ]]; then # postgres would not run as root
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chown 65534:65534 "$TMP/postgres"
fi

through_postgres() {
	local data=$TMP/postgres/data
	"${as_nobody[@]}" initdb --auth=trust --username=me --no-sync -D "$data" \
		>"$TMP/initdb.out" 2>&1 || bail_out "$(cat "$TMP/initdb.out")"
	spawn postgres "${as_nobody[@]}" postgres -D "$data" -k "$TMP/postgres" -F -c listen_addresses=
	wait_for "$PATIENCE" pg_isready -q -h "$TMP/postgres" || bail_out "$(cat "$TMP/postgres.err")"
	local sql=(psql -X -A -t -q "host=127.0.0.1 port=$postgres_here user=me dbname=postgres")
	is "psql: a question" "$("${sql[@]}" -c 'select 6 * 7')" 42
	is "psql: many rows" \
		"$("${sql[@]}" -c 'select i, repeat(md5(i::text), 10) from generate_series(1, 5000) i' | wc -lc |
			tr -s ' ')" "$("${sql[@]}" -c "select 5000 || ' ' || sum(length(i::text) + 322)
			from generate_series(1, 5000) i" | sed 's/^/ /')"
	"${sql[@]}" -c 'create table lines (line int)' -c '\copy lines from program '\''seq 50000'\'
	is "psql: a copy upwards" "$("${sql[@]}" -c 'select count(*), sum(line) from lines')" \
		"50000|1250025000"
	kill -s INT "$postgres_pid"
	wait_for "$PATIENCE" is_over "$postgres_pid"
	logs "the gateway tells who it was" msg=connection sni=postgres.test identity=CN=me end=done
}

if type -P initdb postgres psql setpriv >/dev/null; then
	through_postgres
else
	skip 4 "no postgres"
fi

ok "it ends well" stop_gatehouse
done_testing
