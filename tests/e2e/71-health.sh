#!/bin/bash
# Whether it lives, whether it should be sent connections, how long its certificates last; and what
# becomes of those who ask slowly, too much, too often, or the wrong thing.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

export RUNTIME_DIRECTORY=$TMP # where, as under its unit, it may make sockets later on

pki_ca root
pki_cert root good app.test --days 40
pki_cert root old old.test --expired
start_echo back
free_port front
free_port admin
free_port other

write_config() { # HEALTH METRICS [CERTIFICATE...]: the admin listeners' addresses, "" for none
	local name hosts='' more=''
	[[ -z $1 ]] || more+="\"health\": {\"enabled\": true, \"listen\": \"$1\", \"hosts\": [\"Scrape.example\"]},"
	[[ -z $2 ]] || more+="\"metrics\": {\"enabled\": true, \"listen\": \"$2\"},"
	shift 2
	for name in "${@:-good}"; do
		hosts+="${hosts:+,} \"$name.test\": {\"mode\": \"terminate\", \"cert\": \"pki/$name.crt\",
			\"key\": \"pki/$name.key\", \"backend\": \"$back\"}"
	done
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "workers": 1,
			"hosts": {$hosts},
			$more
			"proxy": {"drain_timeout": "20s"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

ask() { # PATH [OPTION...]: the status, and the body in $TMP/body
	local path=$1
	shift
	curl -s --max-time "$PATIENCE" -o "$TMP/body" -w '%{http_code}' "$@" \
		"http://127.0.0.1:$admin$path"
}

answers() { # STATUS PATH
	[[ $(ask "$2") == "$1" ]]
}

write_config "127.0.0.1:$admin" "127.0.0.1:$admin"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

is "it lives" "$(ask /healthz) $(cat "$TMP/body")" '200 {"status":"alive"}'
is "it is ready" "$(ask /readyz) $(cat "$TMP/body")" \
	'200 {"status":"ready","problems":[],"warnings":[]}'
is "certificates" "$(ask /certz)" 200
like "with the days that are left" "$(cat "$TMP/body")" '^\{"days_left":(39|40),"not_after":"20'
like "names, and files" "$(cat "$TMP/body")" \
	'"file":"[^"]*/pki/good.crt","names":\["app.test"\],"key_type":"ECDSA"'
is "metrics on the same address" "$(ask /metrics)" 200
is "the page" "$(ask /)" 200
is "it asks nobody else" "$(grep -cE '(src|href)="?(https?:)?//' "$TMP/body")" 0
is "its data" "$(ask /status.json)" 200
# shellcheck disable=SC2016 # of perl
ok "which is JSON" perl -MJSON::PP -0777 -ne 'decode_json($_)' "$TMP/body"

host_status() { # HOST
	curl -s --max-time 5 -o "$TMP/body" -w '%{http_code}' -H "Host: $1" "http://127.0.0.1:$admin/healthz"
}
is "a name that anybody may register" "$(host_status attacker.example)" 421
like "and why" "$(cat "$TMP/body")" 'Host header must be an IP address'
is "localhost" "$(host_status "localhost:$admin")" 200
is "the machine's name" "$(host_status "$(hostname)")" 200
is "a name of \"hosts\"" "$(host_status "scrape.EXAMPLE.:$admin")" 200
is "HEAD" "$(curl -sI --max-time 5 "http://127.0.0.1:$admin/healthz" | head -n 1)" $'HTTP/1.1 200 OK\r'
is "one connection for two questions" \
	"$(curl -s --max-time 5 -w '%{num_connects} ' -o /dev/null "http://127.0.0.1:$admin/healthz" \
		-o /dev/null "http://127.0.0.1:$admin/readyz")" '1 0 '
is "no such page" "$(ask /nothing) $(cat "$TMP/body")" '404 {"error":"no such page"}'
is "nor with dots" "$(ask /../healthz --path-as-is)" 404
is "POST" "$(ask /healthz -d x) $(cat "$TMP/body")" '405 {"error":"expected GET or HEAD"}'
is "a large POST" "$(head -c 5000000 /dev/zero | ask /healthz --data-binary @- -H 'Expect:')" 405
is "a large head" "$(ask /healthz -H "X: $(head -c 20000 /dev/zero | tr '\0' x)")" 431
like "no HTTP at all" "$(rawclient --text $'\x16\x03\x01 hello\r\n\r\n' --raw "127.0.0.1:$admin" 2>/dev/null | head -n 1)" \
	'^(HTTP/1.[01] 400.*|)$'

# Half a request, and nothing more: for each of 200 connections.
# shellcheck disable=SC2016 # of perl
spawn slow env "AT=127.0.0.1:$admin" perl -MIO::Socket::INET -e '
	$| = 1;
	for (1..200) {
		my $s = IO::Socket::INET->new(PeerAddr => $ENV{AT}) or last;
		print $s "GET /healthz HTTP/1.1\r\nHost:";
		push @all, $s;
	}
	print "held\n"; sleep 300'
wait_for "$PATIENCE" grep -q held "$TMP/slow.out"
ok "200 who say half a request keep nobody out" wait_for "$PATIENCE" answers 200 /healthz
is "routes notice nothing" \
	"$(talk --tls --sni good.test "127.0.0.1:$front" exchange=1000 close_notify fin wait | sed -n 's/^received \([0-9]*\) .*/\1/p')" 1000
stop "$slow_pid"

# Listeners come, move and go with the configuration.
write_config "127.0.0.1:$other" "unix:$TMP/metrics.sock"
logs "a reload" msg=reloaded
is "the old address is closed" "$(ask /healthz)" 000
is "health has moved" "$(curl -s --max-time 5 "http://127.0.0.1:$other/healthz")" '{"status":"alive"}'
like "metrics are on a unix socket" \
	"$(curl -s --max-time 5 --unix-socket "$TMP/metrics.sock" http://x/metrics)" gatehouse_connections_total
is "and there alone" "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$other/metrics")" 404
write_config "127.0.0.1:${back##*:}" ""
logs "an address that is taken refuses the reload" msg=configuration level=error
like "and says why" "$(log_value error msg=configuration)" 'health.listen: .*address in use'
is "what was there stays" "$(curl -s --max-time 5 "http://127.0.0.1:$other/healthz")" '{"status":"alive"}'
like "and tells of it" "$(curl -s --max-time 5 "http://127.0.0.1:$other/readyz")" 'the last reload was refused'
ok "metrics too" curl -sf --max-time 5 -o /dev/null --unix-socket "$TMP/metrics.sock" http://x/metrics
write_config "" ""
ok "without any" wait_for "$PATIENCE" has_log msg=reloaded hosts=1 changed=0 settings_changed=true
ok "nobody listens" wait_for "$PATIENCE" test ! -e "$TMP/metrics.sock"
not_ok "nor there" is_listening "127.0.0.1:$other"

# Readiness.
write_config "127.0.0.1:$admin" "" old good
ok "one of two certificates has expired: ready" wait_for "$PATIENCE" answers 200 /readyz
wait_for "$PATIENCE" grep -q old.crt "$TMP/body"
answers 200 /readyz
like "and told" "$(cat "$TMP/body")" '"warnings":\["certificate [^"]*/pki/old.crt has expired"\]'
write_config "127.0.0.1:$admin" "" old
ok "the only one has: not ready" wait_for "$PATIENCE" answers 503 /readyz
is "why" "$(sed 's/.*"problems"/"problems"/; s/,"warnings.*//' "$TMP/body")" \
	'"problems":["no certificate is valid now"]'
is "yet alive" "$(ask /healthz)" 200
write_config "127.0.0.1:$admin" "" good
ok "renewed: ready" wait_for "$PATIENCE" answers 200 /readyz
spawn long talk --tls --sni good.test "127.0.0.1:$front" exchange=10 recv=1
ok "a long one" wait_for "$PATIENCE" has_accepted back 2
kill "$gatehouse_pid"
ok "draining: not ready" wait_for "$PATIENCE" answers 503 /readyz
like "why" "$(cat "$TMP/body")" 'draining: the process is about to end'
stop "$long_pid"
ok "gatehouse ends well" stop_gatehouse

# At the start.
write_config "127.0.0.1:${back##*:}" ""
"$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/err"
is "an address that is taken: no start" "$?" 1
like "and says why" "$(tail -n 1 "$TMP/err")" 'config.json:[0-9]+: health.listen: ".*": address in use'
done_testing
