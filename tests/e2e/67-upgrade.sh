#!/bin/bash
# SIGUSR2: the program that is at the path now takes over. No connection of a steady stream on both
# kinds of route fails, none that stands is cut, whatever the number of workers before and after; and
# where the new one fails to start the old one goes on.
# alone: it loads the machine
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

count=1500 # on each kind of route, for each of the upgrades under load
grep -qE '__(a|t)san_init' "$GATEHOUSE" && count=1000

pki_ca root
pki_cert root site terminated.test passed.test
start_nginx plain http
start_nginx secure tls --cert site
start_echo echo
hello --sni streamed.test >"$TMP/hello"
hello_size=$(wc -c <"$TMP/hello")
free_port front
free_port held
free_port other
free_port health

# Its own copy of the program, so that there is one to exchange.
mkdir "$TMP/bin"
cp "$GATEHOUSE" "$TMP/bin/gatehouse"
GATEHOUSE=$TMP/bin/gatehouse

config() { # WORKERS [MORE]
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock", "fd:held"],
			"workers": $1,
			"hosts": {
				"terminated.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$plain"},
				"echoed.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$echo"},
				"streamed.test": {"mode": "passthrough", "backend": "$echo"},
				"passed.test": {"mode": "passthrough", "backend": "$secure"}
			},
			${2:-}
			"health": {"enabled": true, "listen": "127.0.0.1:$health"},
			"metrics": {"enabled": true, "listen": "unix:$TMP/metrics.sock"},
			"control": {"socket": "$TMP/control.sock"},
			"proxy": {"drain_timeout": "120s"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

# A starter that passes one socket by name, as systemd does. Those upgraded to come out of it too.
cat >"$TMP/starter.pl" <<'PERL'
use Socket;
use POSIX qw(dup2);
my ($port, @command) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die $!;
listen($s, 4096) or die $!;
dup2(fileno($s), 9) and dup2(9, 3) or die $!;
$^F = 9;
open(my $keep, "<&=", 3);
@ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 1, "held");
exec @command;
PERL

# Stands in for systemd: takes datagrams, prints each as one line.
cat >"$TMP/systemd.pl" <<'PERL'
use Socket;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($s, pack_sockaddr_un($ARGV[0])) or die $!;
$| = 1;
print "listening\n";
while (defined recv($s, my $text, 4096, 0)) { $text =~ s/\n/ /g; print "$text\n"; }
PERL

serving() { # the process that was ready last
	log_value pid msg=ready
}

# Each that was upgraded to is a process to be ended with this test.
upgrade() { # DESCRIPTION [COMMAND...]: by SIGUSR2, or by the command
	local before description=$1
	before=$(serving)
	shift
	if (($#)); then "$@"; else kill -USR2 "$before"; fi
	is_upgraded() { [[ $(serving) != "$before" && -n $(log_lines msg=upgraded "new_pid=$(serving)") ]]; }
	ok "$description" wait_for "$PATIENCE" is_upgraded
	identity "$(serving)" >>"$TMP/.processes"
}

spawn systemd perl "$TMP/systemd.pl" "$TMP/notify"
wait_for "$PATIENCE" grep -q listening "$TMP/systemd.out" || bail_out "$(cat "$TMP/systemd.err")"
config 2
GATEHOUSE_WRAP="env NOTIFY_SOCKET=$TMP/notify WATCHDOG_USEC=3000000 perl $TMP/starter.pl $held" \
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
first=$(serving)
is "it is the process that was started" "$first" "$gatehouse_pid"

spawn passed_stream talk --hello "$TMP/hello" --skip "$hello_size" --timeout 120 \
	"127.0.0.1:$front" exchange=1000 say=begun "file=$TMP/go" exchange=3000000 fin wait
spawn secured_stream talk --tls --sni echoed.test --timeout 120 "127.0.0.1:$front" \
	exchange=1000 say=begun "file=$TMP/go" exchange=3000000 close_notify fin wait
spawn unix_stream talk --tls --sni echoed.test --timeout 120 "unix:$TMP/front.sock" \
	exchange=1000 say=begun "file=$TMP/go" exchange=3000 close_notify fin wait
have_begun() { grep -q begun "$TMP/passed_stream.out" && grep -q begun "$TMP/secured_stream.out" &&
	grep -q begun "$TMP/unix_stream.out"; }
ok "long streams stand" wait_for "$PATIENCE" have_begun

load() { # NAME SNI EXPECTED PORT
	spawn "$1" tlsload --count "$count" --concurrency 4 --sni "$2" --ca "$PKI/root.crt" \
		--expect "$3" "127.0.0.1:$4"
}

has_come() { # COUNT: connections since $before
	(($(log_count msg=connection) >= before + $1))
}

ctl() { # COMMAND...
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@" >"$TMP/ctl.out" 2>&1
}

# Under load, with fewer workers, with more, and with as many.
round=0
for workers in 1 3 3; do
	round=$((round + 1))
	load terminated terminated.test 'plain http' "$front"
	load passed passed.test 'secure https' "$front"
	load lent passed.test 'secure https' "$held"
	begun=$EPOCHREALTIME
	config "$workers"
	before=$(log_count msg=connection)
	ok "upgrade $round: connections come" wait_for "$PATIENCE" has_come 100
	if ((round == 2)); then
		upgrade "upgrade $round, to $workers workers, by ctl" ctl upgrade
	else
		upgrade "upgrade $round, to $workers workers"
	fi
	during=0
	is_running "$terminated_pid" && is_running "$passed_pid" && during=1
	wait "$terminated_pid" "$passed_pid" "$lent_pid"
	note "3 x $count connections in $(awk "BEGIN { print $EPOCHREALTIME - $begun }") s," \
		"upgraded while they came: $during"
	is "upgrade $round came under load" "$during" 1
	like "upgrade $round: none to terminate failed" "$(cat "$TMP/terminated.out")" \
		"^ok $count failed 0 "
	like "upgrade $round: none to pass failed" "$(cat "$TMP/passed.out")" "^ok $count failed 0 "
	like "upgrade $round: none by a lent socket failed" "$(cat "$TMP/lent.out")" \
		"^ok $count failed 0 "
done

like "ctl upgrade told who serves" "$(cat "$TMP/ctl.out")" '^new.pid: [0-9]+$'
ctl status
like "ctl asks the one that serves" "$(cat "$TMP/ctl.out")" "pid: $(serving)"
is "so do those who ask for its health" "$(curl -s -o "$TMP/healthz" -w '%{http_code}' \
	"http://127.0.0.1:$health/readyz")" 200
like "and for metrics" "$(curl -s --unix-socket "$TMP/metrics.sock" http://any/metrics)" \
	'gatehouse_'
ok "the first still has its streams" is_running "$first"
wakes() { # of the first one's workers
	grep -l '^worker-' "/proc/$first/task"/*/comm | sed 's/comm$/status/' |
		xargs awk '/^voluntary_ctxt_switches/ { sum += $2 } END { print sum }'
}
before=$(wakes)
tlsload --count 300 --concurrency 4 --sni terminated.test --ca "$PKI/root.crt" "127.0.0.1:$front" \
	>"$TMP/later.out"
after=$(wakes)
note "the first one's workers woke $((after - before)) times while the last served 300 connections"
ok "and is not woken by what comes to the last" test $((after - before)) -lt 60
has_mainpid() { grep -q "^MAINPID=$(serving)" "$TMP/systemd.out"; }
ok "systemd was told each time" wait_for "$PATIENCE" has_mainpid
like "first whom to listen to, then that it is ready" \
	"$(grep -oE '^(READY|MAINPID|STOPPING)' "$TMP/systemd.out" | xargs)" \
	'^(READY )+(MAINPID (READY ?)+){3}$'
signs() { grep -c '^WATCHDOG=1' "$TMP/systemd.out"; }
before=$(signs)
has_signs() { (($(signs) > before + 1)); }
ok "the watchdog hears of the new one" wait_for "$PATIENCE" has_signs
ok "the unix socket is there" test -S "$TMP/front.sock"
: >"$TMP/go"
wait "$passed_stream_pid" "$secured_stream_pid" "$unix_stream_pid"
like "the stream that passes went on to its end" "$(cat "$TMP/passed_stream.out")" \
	"received $((hello_size + 3001000)) |received 3001000 .*saw fin"
like "the secured stream went on to its end" "$(cat "$TMP/secured_stream.out")" \
	'received 3001000 .*saw close_notify'
like "so did that by the unix socket" "$(cat "$TMP/unix_stream.out")" \
	'received 4000 .*saw close_notify'
ok "then the first ends" wait_for "$PATIENCE" is_over "$first"
wait "$gatehouse_pid"
is "with 0" "$?" 0
ok "and leaves the unix socket to the others" test -S "$TMP/front.sock"

# What fails to start. A stream stands meanwhile.
now=$(serving)
rm "$TMP/go"
spawn stream talk --tls --sni echoed.test --timeout 120 "127.0.0.1:$front" \
	exchange=1000 say=begun "file=$TMP/go" exchange=3000 close_notify fin wait
ok "a stream stands" wait_for "$PATIENCE" grep -q begun "$TMP/stream.out"

fails() { # DESCRIPTION ERROR: an upgrade does, and the log tells why
	local before
	before=$(log_count "msg=upgrade failed, the running process continues")
	kill -USR2 "$now"
	has_failed() { (($(log_count "msg=upgrade failed, the running process continues") > before)); }
	ok "$1: it fails" wait_for "$PATIENCE" has_failed
	like "$1: the log tells why" \
		"$(log_value error "msg=upgrade failed, the running process continues")" "$2"
	like "$1: the old one serves" "$(https "https://terminated.test/" "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" 2>&1)" '^plain http'
	is "$1: it is the same" "$(serving)" "$now"
}

config 3 '"brokken": 1,'
fails "a configuration that is wrong" 'config.json:[0-9]+: brokken: unknown key'
config 3 '"forwards": [{"listen": "unix:/nowhere/at/all", "target": "a.test:443"}],'
fails "an address that cannot be had" '.'
config 3
mv "$TMP/bin/gatehouse" "$TMP/bin/good"
GATEHOUSE=$TMP/bin/good
not_ok "ctl upgrade with no program fails" ctl upgrade
GATEHOUSE=$TMP/bin/gatehouse
like "ctl upgrade tells why" "$(cat "$TMP/ctl.out")" 'upgrade failed.*No such file'
mv "$TMP/bin/good" "$TMP/bin/gatehouse"
cp "$TMP/bin/gatehouse" "$TMP/bin/good"

exchange() { # the program, as packages do it
	chmod 755 "$TMP/bin/new"
	mv "$TMP/bin/new" "$TMP/bin/gatehouse"
}
printf '#!/bin/sh\nexit 3\n' >"$TMP/bin/new"
exchange
fails "a program that ends" 'it ended with status 3'
printf '#!/bin/sh\nkill -SEGV $$\n' >"$TMP/bin/new"
exchange
fails "a program that crashes" 'it was ended by signal 11'
echo 'no program' >"$TMP/bin/new"
exchange
fails "a file that is no program" '.'
rm "$TMP/bin/gatehouse"
fails "no file" 'cannot run .*: No such file or directory'

# One that never gets ready: another upgrade is refused, and SIGTERM ends both.
printf '#!/bin/sh\necho $$ >%s\nexec sleep 600\n' "$TMP/hung" >"$TMP/bin/new"
exchange
kill -USR2 "$now"
ok "one that hangs" wait_for "$PATIENCE" test -s "$TMP/hung"
identity "$(cat "$TMP/hung")" >>"$TMP/.processes"
kill -USR2 "$now"
logs "is not joined by another" "msg=no upgrade: one is under way"
like "the old one serves meanwhile" "$(https "https://terminated.test/" "127.0.0.1:$front" \
	--cacert "$PKI/root.crt" 2>&1)" '^plain http'
: >"$TMP/go"
wait "$stream_pid"
like "its stream went on to its end" "$(cat "$TMP/stream.out")" 'received 4000 .*saw close_notify'
kill -TERM "$now"
ok "SIGTERM ends the old one" wait_for "$PATIENCE" is_over "$now"
ok "and the one that hangs" wait_for "$PATIENCE" is_over "$(cat "$TMP/hung")"
not_ok "nothing is left of the unix socket" test -e "$TMP/front.sock"

# What the new configuration no longer wants is let go, and what is new is opened.
rm "$TMP/bin/gatehouse"
mv "$TMP/bin/good" "$TMP/bin/gatehouse"
echo "{\"listen\": [\"127.0.0.1:$front\", \"unix:$TMP/front.sock\"]," \
	"\"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"$echo\"}}}" >"$TMP/small.json"
start_gatehouse --as second "$TMP/small.json" || bail_out "no second gatehouse"
sed -i "s|\"127.0.0.1:$front\", \"unix:$TMP/front.sock\"|\"127.0.0.1:$other\"|" "$TMP/small.json"
upgrade "upgrade to another address"
ok "the new one listens there" is_listening "127.0.0.1:$other"
is_refused() { ! is_listening "127.0.0.1:$front"; }
ok "and nobody where it was" wait_for "$PATIENCE" is_refused
not_ok "nor at the unix socket" test -e "$TMP/front.sock"
ok "the one before has ended" wait_for "$PATIENCE" is_over "$second_pid"
last=$(serving)
kill -TERM "$last"
ok "the end" wait_for "$PATIENCE" is_over "$last"
not_ok "no complaint" grep -hE 'Sanitizer|runtime error:' "$TMP/gatehouse.err" "$TMP/second.err"
done_testing
