#!/bin/bash
# max_handshakes and handshake_rate: who comes too many waits, at no cost, and is served in turn; min_rate: a client
# that does not take what waits for it is reset.
# plain: it measures processor time
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site a.test
start_echo echo --greet hello
free_port front
free_port much_port
claim_metrics
cd "$TMP" || bail_out "no $TMP"
hello --sni a.test >hello.bytes
spawn much perl -MIO::Socket::INET -e '
	$SIG{PIPE} = "IGNORE";
	my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ARGV[0]", Listen => 9, ReuseAddr => 1) or die;
	while (my $client = $listener->accept) { 1 while print $client "x" x 65536 }' "$much_port"
wait_for "$PATIENCE" is_listening "127.0.0.1:$much_port" || bail_out "no server"

configure() { # LIMITS
	cat >next.json <<-JSON
		{ "workers": 1, "listen": "127.0.0.1:$front",
		  "proxy": { "handshake_timeout": "60s", "min_rate": 1000 ${1:+, $1} }, "hosts": {
		    "a.test": { "mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key", "backend": "$echo" },
		    "much.test": { "mode": "passthrough", "backend": "127.0.0.1:$much_port" } }, $METRICS }
	JSON
	mv next.json config.json
}
configure '"max_handshakes": 2'
start_gatehouse config.json || bail_out "no gatehouse"

# A client that asks for much and reads nothing; another one that has nothing to read is as idle.
hello --sni much.test >hello.much
spawn slow perl -MIO::Socket::INET -e '
	my $socket = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die;
	open(my $file, "<", $ARGV[1]) or die;
	print {$socket} <$file>;
	$socket->flush;
	$| = 1;
	print "asked\n";
	sleep 300' "$front" "$TMP/hello.much"
ok "a client that reads nothing" wait_for "$PATIENCE" grep -q asked slow.out

# --- at once ---

spawn two holdmany --count 2 --file "$TMP/hello.bytes" --hold 120 "127.0.0.1:$front"
ok "two clients stop within their handshake" wait_for "$PATIENCE" grep -q holding two.out
served() { # the greeting of the server has come
	talk --tls --sni a.test --timeout "$PATIENCE" "127.0.0.1:$front" recv=5 close_notify | grep -o 'received 5'
}
served >third &
third=$!
identity "$third" >>"$TMP/.processes"
waits() { # COUNT
	scrape
	[[ $(metric gatehouse_handshakes_waiting) == "$1" ]]
}
ok "a third one waits" wait_for "$PATIENCE" waits 1
ok "the metrics are served" waits 1
is "it has got nothing" "$(cat third)" ''
stop "$two_pid"
wait "$third"
is "and is served when there is room" "$(cat third)" "received 5"
ok "nobody waits" wait_for "$PATIENCE" waits 0

# --- in a second ---

configure '"handshake_rate": 5'
logs "a reload" msg=reloaded
started=$(monotonic_ms)
for _ in {1..15}; do served >>many & done
count_served() {
	[[ $(wc -l <many) == 15 ]]
}
ok "fifteen clients are served" wait_for "$PATIENCE" count_served
took=$(($(monotonic_ms) - started))
ok "at five a second: in $took ms" test "$took" -ge 1500

# --- who waits for too long ---

configure '"max_handshakes": 1, "handshake_timeout": "1s"' 2>/dev/null
sed -i 's/"handshake_timeout": "60s", //' config.json
ok "another reload" wait_for "$PATIENCE" eval '[[ $(log_count msg=reloaded) == 2 ]]'
spawn one holdmany --count 3 --file "$TMP/hello.bytes" --hold 120 "127.0.0.1:$front"
logs "the log: no room" msg=connection reason=limit \
	"end=no room for its handshake (max_handshakes, handshake_rate)"

# --- the least rate ---

ok "the one that reads nothing is reset" wait_for 40 has_log msg=connection sni=much.test reason=slow
logs "the log says which side" msg=connection reason=slow "end=client: slower than min_rate"
is "nobody else is" "$(log_count msg=connection reason=slow)" 1
ok "stops" stop_gatehouse
done_testing
