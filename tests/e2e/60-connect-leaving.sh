#!/bin/bash
# However a client of connect leaves, as ssh does when it goes first, that is no error: only a client
# that reads no more and yet stays is one.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: openssl perl
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME=
mkdir -p "$HOME"
cd "$TMP" || exit 1

pki_ca root
pki_ca clients
pki_cert root site app.test
start_echo echo
start_echo source --source 2000000000
free_port front
free_port other
cat >config.json <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
		"backend": "$echo",
		"alpn": {"source": {"backend": "$source"},
			"mtls": {"backend": "$echo", "client_auth": "required", "ca": "pki/clients.crt"}}}}
}
CONFIG
start_gatehouse config.json || bail_out "no gatehouse"

# A client of connect, by two pipes or a socket pair. Words: say=BYTES, hear=BYTES, sleep=MS,
# in (closes connect's input), out (stops reading its output), both (as a socket pair ends), hup.
# Prints the exit status, or SIG and the signal, and what connect says on stderr.
cat >client.pl <<'PERL'
use Socket;
my ($pair, $words, @command) = @ARGV;
my ($r, $w, $their_in, $their_out, $said, $says);
if ($pair eq 'pair') {
	socketpair($r, $their_in, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
	open($w, '>&', $r);
	open($their_out, '>&', $their_in);
} else {
	pipe($their_in, $w) or die;
	pipe($r, $their_out) or die;
}
pipe($said, $says) or die;
$SIG{PIPE} = 'IGNORE';
my $pid = fork // die;
if (!$pid) {
	open(STDIN, '<&', $their_in);
	open(STDOUT, '>&', $their_out);
	open(STDERR, '>&', $says);
	close $_ for $r, $w, $said, $their_in, $their_out, $says;
	exec @command;
}
close $_ for $their_in, $their_out, $says;
for (split ' ', $words) {
	my ($word, $value) = split '=';
	if ($word eq 'say') {
		my $left = $value;
		while ($left > 0) { $left -= syswrite($w, 'x' x $left) // last }
	}
	if ($word eq 'hear') {
		my $left = $value;
		while ($left > 0) { $left -= sysread($r, my $data, $left) || last }
	}
	select(undef, undef, undef, $value / 1000) if $word eq 'sleep';
	close $w if $word eq 'in' || $word eq 'both';
	close $r if $word eq 'out' || $word eq 'both';
	kill 'HUP', $pid if $word eq 'hup';
}
my $text = join '', <$said>;
chomp $text;
waitpid $pid, 0;
print $? & 127 ? 'SIG' . ($? & 127) : $? >> 8, $text eq '' ? '' : " $text", "\n";
PERL

leave() { # pipes|pair WORDS CONNECT-ARGUMENT...
	local kind=$1 words=$2
	shift 2
	# shellcheck disable=SC2086 # the wrap is a command with its options
	timeout -k 5 60 perl client.pl "$kind" "$words" $GATEHOUSE_WRAP "$GATEHOUSE" connect \
		--ca pki/root.crt --sni app.test "$@"
}

# --- in every order, with data on its way ---

rounds=10
[[ -z ${QUICK:-} && -z $GATEHOUSE_WRAP && -z ${GATEHOUSE_SANITIZER:-} ]] || rounds=2
many() { # WORDS PROTOCOL KIND: the outcomes of many at once, each once
	local i pids=()
	for ((i = 0; i < rounds; i++)); do
		leave "$3" "$1" --alpn "$2" "127.0.0.1:$front" >"$TMP/outcome.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	sort -u "$TMP"/outcome.*
}
for ending in "out in" "out sleep=1 in" "out sleep=30 in" "out sleep=500 in" "in out" "in sleep=1 out" \
	"in sleep=30 out"; do
	is "quiet talk, then: $ending" "$(many "say=6 hear=6 $ending" echo pipes)" 0
	is "echo on its way, then: $ending" "$(many "say=6 hear=6 say=60000 $ending" echo pipes)" 0
	is "endless bytes, then: $ending" "$(many "hear=100000 $ending" source pipes)" 0
done
for ending in "out in hup" "out hup sleep=30 in" "hup sleep=30 out in" "in sleep=1 out sleep=30 hup"; do
	like "by a signal too: $ending" "$(many "hear=100000 $ending" source pipes)" $'^(0\nSIG1|SIG1|0)$'
done
is "a socket pair, echo on its way" "$(many "say=6 hear=6 say=60000 both" echo pair)" 0
is "a socket pair, endless bytes" "$(many "hear=100000 both" source pair)" 0

# --- what a client wrote before it left arrives ---

spawn server talk --listen --tls --cert pki/site.crt --key pki/site.key --rcvbuf 4096 --timeout 30 \
	"127.0.0.1:$other" send=1 "file=$TMP/go" wait close_notify
wait_for "$PATIENCE" grep -q listening server.out || bail_out "$(cat server.err)"
leave pipes "hear=1 say=3000000 out in" --verbose "127.0.0.1:$other" >outcome &
leaving=$!
wait_for 4 is_over "$leaving"
not_ok "while the gateway reads nothing, connect stays" is_over "$leaving"
: >go
wait "$leaving" "$server_pid"
like "then it ends well" "$(cat outcome)" '^0 '
like "and all has arrived" "$(cat server.out)" 'received 3000000 '
like "with its end" "$(cat server.out)" 'saw close_notify'

spawn server talk --listen --tls --cert pki/site.crt --key pki/site.key "127.0.0.1:$other" send=1 recv=6 \
	sleep=50 reset
wait_for "$PATIENCE" grep -q listening server.out || bail_out "$(cat server.err)"
is "a connection that breaks then does not matter" \
	"$(leave pipes "hear=1 say=6 out in" "127.0.0.1:$other")" 0

# --- what is an error ---

gone="standard output: closed by its reader"
is "whoever stays, and reads no more" "$(leave pipes "out sleep=3000 in" "127.0.0.1:$front")" \
	"1 gatehouse connect: $gone"
is "the same with bytes that are lost" \
	"$(leave pipes "hear=10 out sleep=3000 in" --alpn source "127.0.0.1:$front")" "1 gatehouse connect: $gone"
like "a refusal, although the client has left" \
	"$(leave pipes "out in" --alpn mtls "127.0.0.1:$front")" '^1 .*certificate required'

ok "it ends well" stop_gatehouse
done_testing
