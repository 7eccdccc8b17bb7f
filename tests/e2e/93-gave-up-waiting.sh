#!/bin/bash
# Under overload: clients that gave up while they waited in the kernel's queue cost no handshake, and
# those behind them are served.
# needs: perl
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

count=400
pki_ca root
pki_cert root site site.test
start_nginx web http
hello --sni site.test >"$TMP/hello"
free_port front
config() { # FIELDS of "proxy"
	cat >"$TMP/config.json" <<-CONFIG
	{
		"listen": "127.0.0.1:$front",
		"workers": 1,
		"hosts": {
			"site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
				"backend": "$web"}
		},
		"proxy": {$1}
	}
	CONFIG
}

config ''
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# Each says its hello and goes, with a FIN, while the first one is there and says nothing.
crowd() { # COUNT
	perl -MIO::Socket::INET -e '
		my ($port, $count, $file) = @ARGV;
		my $first = IO::Socket::INET->new("127.0.0.1:$port") or die $!;
		open(my $in, "<:raw", $file) or die $!;
		local $/;
		my $hello = <$in>;
		for (1 .. $count) {
			my $s = IO::Socket::INET->new("127.0.0.1:$port") or die $!;
			syswrite($s, $hello) == length $hello or die $!;
			close $s;
		}' "$front" "$1" "$TMP/hello"
}

# Lines for themselves, and the summary of those that were too many for that.
ended_with() { # REASON
	local lines more
	lines=$(log_count msg=connection "end=$1")
	more=$(log_value count msg="suppressed repeats" "end=$1")
	echo $((lines + ${more:-0}))
}

kill -STOP "$gatehouse_pid"
ok "$count clients come, and give up while nobody serves them" crowd "$count"
https https://site.test/ "127.0.0.1:$front" --cacert "$PKI/root.crt" >"$TMP/answer" 2>&1 &
good=$!
kill -CONT "$gatehouse_pid"
wait $good
is "one that comes behind them is served" "$?" 0
stop_gatehouse
is "the daemon ends as it should" "$STATUS" 0
gave_up=$(ended_with "client closed before its handshake")
note "$gave_up of $count without a handshake"
ok "nearly all that gave up cost no handshake" test "$gave_up" -ge $((count * 3 / 4))

# Where max_connections pauses accepting they wait as well.
config '"max_connections": 1'
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
ok "50 clients come to the one place there is, which is taken, and give up" crowd 50
ok "there is place for another then" https https://site.test/ "127.0.0.1:$front" \
	--cacert "$PKI/root.crt" --output /dev/null
stop_gatehouse
gave_up=$(ended_with "client closed before its handshake")
note "$gave_up of 50 without a handshake"
ok "nearly all that gave up cost no handshake" test "$gave_up" -ge 40

done_testing
