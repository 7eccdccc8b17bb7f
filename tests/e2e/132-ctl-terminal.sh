#!/bin/bash
# What gatehouse ctl prints holds no control character and none that changes the direction of text,
# neither in tables nor in errors, whoever it comes from.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# shellcheck disable=SC2016 # of perl
spawn server perl -MIO::Socket::UNIX -e '
	my $all = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 5) or die $!;
	while (my $call = $all->accept) {
		my $line = <$call>;
		my $text = "a\\u001b[2J\\u009b2J\\u202eb";
		print $call $line =~ /"sessions"/
			? "{\"ok\":true,\"sessions\":[{\"id\":1,\"sni\":\"$text\"}],\"note\":\"$text\"}\n"
			: "{\"ok\":false,\"error\":\"$text\"}\n";
	}' "$TMP/socket"
ok "a server" wait_for "$PATIENCE" test -S "$TMP/socket"
ctl() { "$GATEHOUSE" ctl -s "$TMP/socket" "$@" 2>&1; }
escaped='a\x1b[2J\u009b2J\u202eb'
is "an error" "$(ctl status | head -n 1)" "gatehouse ctl: $escaped"
is "a cell of a table" "$(ctl sessions | sed -n 2p)" "1   $escaped"
is "a value" "$(ctl sessions | sed -n 3p)" "note: $escaped"
done_testing
