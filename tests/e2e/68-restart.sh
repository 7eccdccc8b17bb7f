#!/bin/bash
# A restart behind a socket that the starter holds, as systemd does with gatehouse.socket: connections
# that come between the two wait in its queue, and none fails.
# alone: it loads the machine
# shellcheck disable=SC2034,SC2154 # LOG is for the library; NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

count=1500 # on each kind of route
grep -qE '__(a|t)san_init' "$GATEHOUSE" && count=300
restarts=5

pki_ca root
pki_cert root site terminated.test passed.test
start_nginx plain http
start_nginx secure tls --cert site
free_port front

cat >"$TMP/config.json" <<-CONFIG
	{
		"listen": "127.0.0.1:$front",
		"hosts": {
			"terminated.test": {"mode": "terminate", "cert": "pki/site.crt",
				"key": "pki/site.key", "backend": "$plain"},
			"passed.test": {"mode": "passthrough", "backend": "$secure"}
		}
	}
CONFIG

# Stands in for systemd: holds the socket; starts the command, and again on SIGUSR1 when that which
# runs has ended by SIGTERM. Says "end STATUS" of each.
cat >"$TMP/holder.pl" <<'PERL'
use Socket;
use POSIX qw(dup2);
my ($port, @command) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
bind($s, pack_sockaddr_in($port, INADDR_LOOPBACK)) or die $!;
listen($s, 4096) or die $!;
$| = 1;
my ($child, $over);
$SIG{USR1} = sub { kill 'TERM', $child; };
$SIG{TERM} = sub { $over = 1; kill 'TERM', $child; };
until ($over) {
	$child = fork();
	if ($child == 0) {
		$SIG{USR1} = $SIG{TERM} = 'DEFAULT';
		my $high = fileno($s) == 3 ? 3 : dup2(fileno($s), 3);
		$^F = 3;
		open(my $keep, "<&=", 3);
		fcntl($keep, 2, 0); # F_SETFD
		@ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
		exec @command;
	}
	while (waitpid($child, 0) != $child) { }
	print "end $?\n";
}
PERL

LOG=$TMP/holder.err
# shellcheck disable=SC2086 # the wrap is a command with its options
spawn holder perl "$TMP/holder.pl" "$front" $GATEHOUSE_WRAP "$GATEHOUSE" -c "$TMP/config.json"
logs "it is ready" msg=ready

load() { # NAME SNI EXPECTED
	spawn "$1" tlsload --count "$count" --concurrency 4 --sni "$2" --ca "$PKI/root.crt" \
		--expect "$3" --timeout 30 "127.0.0.1:$front"
}
has_come() { # COUNT: connections since $before
	(($(log_count msg=connection) >= before + $1))
}
is_ready_again() {
	[[ $(log_count msg=ready) == "$1" ]]
}

load terminated terminated.test 'plain http'
load passed passed.test 'secure https'
during=0
for ((i = 1; i <= restarts; i++)); do
	before=$(log_count msg=connection)
	wait_for "$PATIENCE" has_come 100
	is_running "$terminated_pid" && is_running "$passed_pid" && during=$((during + 1))
	kill -USR1 "$holder_pid"
	ok "restart $i" wait_for "$PATIENCE" is_ready_again $((i + 1))
done
wait "$terminated_pid" "$passed_pid"
ok "restarts came under load" test "$during" -ge 2
note "$during of $restarts restarts during $((2 * count)) connections"
like "none to terminate failed" "$(cat "$TMP/terminated.out")" "^ok $count failed 0 "
like "none to pass failed" "$(cat "$TMP/passed.out")" "^ok $count failed 0 "
is "each ended well" "$(grep -c '^end 0$' "$TMP/holder.out")" "$restarts"
stop "$holder_pid"

if command -v systemd-socket-activate >/dev/null; then
	free_port activated_port
	sed "s/:$front/:$activated_port/" "$TMP/config.json" >"$TMP/activated.json"
	spawn activated systemd-socket-activate -l "127.0.0.1:$activated_port" --fdname=https \
		"$GATEHOUSE" -c "$TMP/activated.json"
	is_bound() { grep -q Listening "$TMP/activated.err"; }
	wait_for "$PATIENCE" is_bound
	like "systemd-socket-activate: the first connection starts it and is served" \
		"$(https https://terminated.test/ "127.0.0.1:$activated_port" --cacert "$PKI/root.crt" 2>&1)" \
		'^plain http'
	stop "$activated_pid"
	is "and it ends well" "$STATUS" 0
else
	skip 2 "no systemd-socket-activate here"
fi
done_testing
