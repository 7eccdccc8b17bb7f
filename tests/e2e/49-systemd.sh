#!/bin/bash
# What systemd is told, and the sockets that it passes.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo --greet hi
hello --sni a.test >"$TMP/hello"
free_port front

config() { # LISTEN [ADDRESS]
	echo "{\"listen\": $1, \"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": \"${2:-$echo}\"}}}"
}

served() { # ADDRESS
	[[ $(rawclient --file "$TMP/hello" --until 2 --raw "$1" 2>/dev/null | head -c 2) == hi ]]
}

# Stands in for systemd: takes datagrams, prints each as one line.
cat >"$TMP/listener.pl" <<'PERL'
use Socket;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($s, pack_sockaddr_un($ARGV[0])) or die $!;
$| = 1;
print "listening\n";
while (defined recv($s, my $text, 4096, 0)) { $text =~ s/\n/ /g; print "$text\n"; }
PERL
spawn systemd perl "$TMP/listener.pl" "$TMP/notify"
wait_for "$PATIENCE" grep -q listening "$TMP/systemd.out" || bail_out "$(cat "$TMP/systemd.err")"

tells() { # DESCRIPTION REGEX [SECONDS]
	if wait_for "${3:-$PATIENCE}" grep -qE -- "$2" "$TMP/systemd.out"; then
		pass "$1"
	else
		fail "$1" "$(cat "$TMP/systemd.out")"
	fi
}

config "\"127.0.0.1:$front\"" >"$TMP/config.json"
GATEHOUSE_WRAP="env NOTIFY_SOCKET=$TMP/notify WATCHDOG_USEC=600000 $GATEHOUSE_WRAP" \
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
tells "it is ready, and says what it serves" '^READY=1 STATUS=.*1 host'
spawn held talk --hello "$TMP/hello" --timeout 60 "127.0.0.1:$front" recv=2 "file=$TMP/go" fin wait
tells "it gives signs of life, with counts" '^WATCHDOG=1 STATUS=1 connection'
signs() { grep -c '^WATCHDOG=1' "$TMP/systemd.out"; }
before=$(signs)
has_signs() { (($(signs) >= before + 3)); }
ok "again and again" wait_for "$PATIENCE" has_signs

kill -HUP "$gatehouse_pid"
tells "a reload, and since when" '^RELOADING=1 MONOTONIC_USEC=[0-9]+'
ready_again() { [[ $(grep -c '^READY=1' "$TMP/systemd.out") -ge $1 ]]; }
ok "and its end" wait_for "$PATIENCE" ready_again 2
echo '{' >"$TMP/config.json"
kill -HUP "$gatehouse_pid"
ok "the end of one that is refused, too" wait_for "$PATIENCE" ready_again 3

# A worker that hangs is no life: the whole process stands still here.
kill -STOP "$gatehouse_pid"
wait_for 1 false # what was under way arrives
before=$(signs)
wait_for 1 false
is "no sign of life from one that hangs" "$(signs)" "$before"
kill -CONT "$gatehouse_pid"
kill -TERM "$gatehouse_pid"
tells "it stops, and waits for whom" '^STOPPING=1 STATUS=draining 1 connection'
: >"$TMP/go"
ok "it ends" wait_for "$PATIENCE" is_over "$gatehouse_pid"

# Of another process: not ours.
config "\"127.0.0.1:$front\"" >"$TMP/config.json"
GATEHOUSE_WRAP="env WATCHDOG_USEC=100000 WATCHDOG_PID=1 NOTIFY_SOCKET=$TMP/notify $GATEHOUSE_WRAP" \
	start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
before=$(signs)
wait_for 1 false
is "another's watchdog is not served" "$(signs)" "$before"
ok "it ends well" stop_gatehouse

# --- socket activation ---

# Stands in for systemd: two sockets, with names, as descriptors 3 and 4.
cat >"$TMP/activate.pl" <<'PERL'
use Socket; use POSIX ();
my ($port, $path, @command) = @ARGV;
my @sockets;
for my $fd (10, 11) {
	my $tcp = $fd == 10;
	socket(my $s, $tcp ? PF_INET : PF_UNIX, SOCK_STREAM, 0) or die $!;
	setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
	bind($s, $tcp ? sockaddr_in($port, INADDR_LOOPBACK) : pack_sockaddr_un($path)) or die $!;
	listen($s, 100) or die $!;
	POSIX::dup2(fileno($s), $fd);
	push @sockets, $s;
}
POSIX::dup2(10, 3); POSIX::dup2(11, 4);
POSIX::close($_) for 10, 11;
if ($ENV{SHUT} && !fork) { # a starter that shuts what it passed
	for (1 .. 1000) {
		last if -e $ENV{SHUT};
		select(undef, undef, undef, .02);
	}
	shutdown($sockets[0], 2);
	exit;
}
$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 2; $ENV{LISTEN_FDNAMES} = "front:side";
exec @command or die $!;
PERL
activated="perl $TMP/activate.pl $front $TMP/side.sock"

config '["fd:front", "fd:side"]' >"$TMP/config.json"
GATEHOUSE_WRAP="$activated $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
ok "a passed socket, by its name" served "127.0.0.1:$front"
ok "the other, a unix socket" served "unix:$TMP/side.sock"
start_echo next --greet hi
config '["fd:front", "fd:side"]' "$next" >"$TMP/config.json"
logs "a reload" msg=reloaded changed=1
ok "a passed socket stays over a reload" served "127.0.0.1:$front"
ok "and leads elsewhere" has_accepted next 1
ok "it ends well" stop_gatehouse
ok "another's socket file is left alone" test -S "$TMP/side.sock"
rm -f "$TMP/side.sock"

config "[\"127.0.0.1:$front\", \"unix:$TMP/side.sock\"]" >"$TMP/config.json"
GATEHOUSE_WRAP="$activated $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
ok "a passed socket, by its address" served "127.0.0.1:$front"
ok "the other, by its path" served "unix:$TMP/side.sock"
ok "it ends well" stop_gatehouse
rm -f "$TMP/side.sock"

config '["fd:front", "fd:side"]' >"$TMP/config.json"
SHUT=$TMP/shut GATEHOUSE_WRAP="$activated $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" ||
	bail_out "no gatehouse"
ok "both passed sockets serve" served "127.0.0.1:$front"
: >"$TMP/shut"
logs "one that its starter shuts is told of" level=error \
	"msg=fd:front: another process has shut down this socket"
processor_ticks() {
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$gatehouse_pid/stat")"
	echo $((fields[11] + fields[12]))
}
before=$(processor_ticks)
wait_for 1 false # what is measured is this time
ok "and costs no processor time" test $(($(processor_ticks) - before)) -lt 20
ok "the other one serves on" served "unix:$TMP/side.sock"
ok "it ends well" stop_gatehouse
rm -f "$TMP/side.sock"

config '"fd:back"' >"$TMP/config.json"
spawn nameless "$GATEHOUSE" -c "$TMP/config.json"
wait "$nameless_pid"
is "a socket that nobody passed: no start" "$?" 1
like "and it says so" "$(cat "$TMP/nameless.err")" 'fd:back.*no socket named "back" was passed'
done_testing
