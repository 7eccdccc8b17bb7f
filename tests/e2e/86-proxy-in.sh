#!/bin/bash
# A PROXY header in front of the hello, versions 1 and 2, from trusted networks alone: whatever its
# segmentation, the address inside is the source from then on. What is malformed, truncated or a lie is
# closed with the reason in the log, and no backend hears of it.
# needs: haproxy
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server in.test
start_echo echo
start_echo told --sink --record "$TMP/told.bytes"
start_echo untouched
cd "$TMP" || bail_out "no $TMP"
free_port port
free_port port_of_v1
free_port port_of_v2
free_port port_of_ssl
free_port port_of_check
at=127.0.0.1:$port
cat >config.json <<-JSON
	{ "listen": [ { "address": "$at", "accept_proxy": ["127.0.0.0/24", "::1/128"] },
	              { "address": "unix:$TMP/front.sock", "accept_proxy": ["10.0.0.0/8"] } ],
	  "proxy": { "hello_timeout": "2s" },
	  "hosts": {
	    "in.test": { "mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
	                 "backend": "$echo" },
	    "pass.test": { "mode": "passthrough", "backend": "$echo" },
	    "told.test": { "mode": "passthrough",
	                   "backend": { "servers": ["$told"], "proxy_protocol": "v1" } },
	    "bad.test": { "mode": "passthrough", "backend": "$untouched" } } }
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

# --- from HAProxy ---

quietly() { # COMMAND...: what it prints is no test's result
	"$@" >"$TMP/quietly.out"
}

cat >haproxy.cfg <<-CFG
	global
	    maxconn 100
	defaults
	    mode tcp
	    timeout connect 5s
	    timeout client 5s
	    timeout server 5s
	listen v1
	    bind 127.0.0.1:$port_of_v1
	    server gatehouse $at send-proxy
	listen v2
	    bind 127.0.0.1:$port_of_v2
	    server gatehouse $at send-proxy-v2 proxy-v2-options unique-id,crc32c
	    unique-id-format %{+X}o%ci:%cp_%Ts_%rt
	listen ssl
	    bind 127.0.0.1:$port_of_ssl ssl crt $TMP/haproxy.pem
	    server gatehouse $at send-proxy-v2-ssl-cn ssl verify none sni str(in.test)
CFG
cat pki/server.crt pki/server.key >haproxy.pem
spawn haproxy haproxy -db -f haproxy.cfg
wait_for "$PATIENCE" is_listening "127.0.0.1:$port_of_ssl" ||
	bail_out "haproxy does not start" "$(cat haproxy.err)"

for kind in v1 v2 ssl; do
	through=port_of_$kind
	ok "HAProxy, $kind" quietly tlsload --count 10 --concurrency 2 --sni in.test --request hello \
		--expect hello --half-close "127.0.0.1:${!through}"
done
# HAProxy itself is at 127.0.0.1; its client at 127.0.0.9.
printf hello | openssl s_client -connect "127.0.0.1:$port_of_v2" -bind 127.0.0.9:0 -servername in.test \
	-quiet -no_ign_eof >/dev/null 2>&1
ok "its client's address is the source" wait_for 5 grep -q ' client=127.0.0.9:' "$LOG"

# --- segmentation ---

hello --sni pass.test >hello.bytes
size=$(wc -c <hello.bytes)
printf 'PROXY TCP4 192.0.2.77 198.51.100.1 4711 443\r\n' >v1.bytes
printf 'PROXY TCP6 2001:db8::77 2001:db8::1 4712 443\r\n' >v1six.bytes
signature='0d0a0d0a000d0a515549540a'
bytes() { # HEX: to standard output
	perl -e 'print pack "H*", $ARGV[0] =~ s/\s//gr' "$1"
}
# PROXY, TCP over IPv4; 12 bytes of addresses; an authority, a unique id, a NOOP
bytes "$signature 21 11 0020 c0000278 c6336401 1268 01bb 02 0007 612e74657374 78 05 0004 01020304 04 0000" \
	>v2.bytes
bytes "$signature 21 21 0024 20010db8000000000000000000000079 20010db8000000000000000000000001 1269 01bb" \
	>v2six.bytes
bytes "$signature 20 00 0000" >v2local.bytes
printf 'PROXY UNKNOWN\r\n' >v1unknown.bytes

echoes() { # HEADER [OPTION...]: does the hello come back?
	local got
	got=$(rawclient --file "$1.bytes" --file hello.bytes --delay-us 300 --until "$size" --raw "${@:2}" \
		"$at" 2>/dev/null | cmp - hello.bytes 2>&1)
	[[ -z $got ]]
}
count_source() { # ADDRESS
	log_count "client=$1" end=done
}
at_every_split() { # HEADER SOURCE
	local split len failed=()
	len=$(wc -c <"$1.bytes")
	for ((split = 1; split <= len + 6; split++)); do
		echoes "$1" --split "$split" || failed+=("$split")
	done
	is "$1: split anywhere" "${failed[*]}" ''
	ok "$1: byte for byte" echoes "$1" --every 1 --delay-us 100
	ok "$1: in one piece" echoes "$1"
	ok "$1: its address is the source, each time" wait_for 5 is_count "$2" $((len + 8))
}
is_count() { # SOURCE COUNT
	[[ $(count_source "$1") == "$2" ]]
}
at_every_split v1 192.0.2.77:4711
at_every_split v2 192.0.2.120:4712
echoes v1six && echoes v2six
ok "IPv6 in version 1" wait_for 5 has_log 'client=[2001:db8::77]:4712'
ok "and in version 2" wait_for 5 has_log 'client=[2001:db8::79]:4713'

before=$(grep -c ' client=127.0.0.1:' "$LOG")
ok "LOCAL" echoes v2local
ok "UNKNOWN" echoes v1unknown
has_two_more() {
	[[ $(grep -c ' client=127.0.0.1:' "$LOG") == $((before + 2)) ]]
}
ok "stand for the connection itself" wait_for 5 has_two_more

# --- passed on ---

hello --sni told.test >hello.told
rawclient --file v1.bytes --file hello.told --half-close "$at" >/dev/null
is "the backend is told both addresses" "$(head -c 44 told.bytes)" "$(head -c 44 v1.bytes)"
: >told.bytes
rawclient --file v2six.bytes --file hello.told --half-close "unix:$TMP/front.sock" >/dev/null
wait_for 5 test -s told.bytes
is "behind a unix socket too, where everybody is trusted" "$(head -n 1 told.bytes | tr -d '\r')" \
	'PROXY TCP6 2001:db8::79 2001:db8::1 4713 443'

# --- what is none, or wrong ---

hello --sni bad.test >hello.bad
closed() { # DESCRIPTION WHY OPTION of rawclient...
	local description=$1 why=$2 got
	shift 2
	got=$(rawclient "$@" "$at" | sed -n 's/^ended //p')
	like "$description: closed" "$got" '^(fin|reset)$'
	logs "$description: the log says why" "end=$why"
}
closed "no header" "PROXY header: it is missing" --file hello.bad
closed "something else" "PROXY header: it is missing" --text 'GET / HTTP/1.1'
closed "nearly one" "PROXY header: it is missing" --text 'PROXX TCP4'
closed "107 bytes without CRLF" "PROXY header: the line is longer than 107 bytes" \
	--text "PROXY UNKNOWN $(printf '%093d' 0)" --file hello.bad
closed "another protocol" "PROXY header: the protocol is none of TCP4, TCP6 and UNKNOWN" \
	--text $'PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n' --file hello.bad
for line in 'TCP4 1.2.3.4 1.2.3.4 1 65536' 'TCP4 1.2.3 1.2.3.4 1 2' 'TCP6 1.2.3.4 1.2.3.4 1 2' \
	'TCP4 1.2.3.4 1.2.3.4  1 2' 'TCP4 1.2.3.4 1.2.3.4 1 2 ' 'TCP4 01.2.3.4 1.2.3.4 1 2' 'TCP4'; do
	got=$(rawclient --text "PROXY $line"$'\r\n' --file hello.bad "$at" | sed -n 's/^ended //p')
	like "\"$line\": closed" "$got" '^(fin|reset)$'
done
closed "version 3" "PROXY header: the version is not 2" \
	--hex "$signature 31 11 000c c0000278 c6336401 1268 01bb" --file hello.bad
closed "an unknown command" "PROXY header: the command is neither LOCAL nor PROXY" \
	--hex "$signature 22 11 000c c0000278 c6336401 1268 01bb" --file hello.bad
closed "an unknown family" "PROXY header: the address family or transport is unknown" \
	--hex "$signature 21 41 000c c0000278 c6336401 1268 01bb" --file hello.bad
closed "too short for its addresses" "PROXY header: the header is too short for the addresses of its family" \
	--hex "$signature 21 21 000c c0000278 c6336401 1268 01bb" --file hello.bad
closed "a TLV past its end" "PROXY header: a TLV is longer than the header" \
	--hex "$signature 21 11 0011 c0000278 c6336401 1268 01bb 02 0003 6161" --file hello.bad
closed "half a TLV" "PROXY header: a TLV is longer than the header" \
	--hex "$signature 21 11 000e c0000278 c6336401 1268 01bb 02 00" --file hello.bad
closed "a sum that is not right" "PROXY header: the CRC32C is wrong" \
	--hex "$signature 21 11 0013 c0000278 c6336401 1268 01bb 03 0004 00000000" --file hello.bad
closed "cut off by a FIN" "client closed within ClientHello" \
	--hex "$signature 21 11 00ff c0000278" --half-close
closed "a length that swallows the hello" "hello timeout" \
	--hex "$signature 21 11 ffff c0000278 c6336401 1268 01bb" --file hello.bad --timeout 5

# The listener's own networks: a header from another is no header.
like "from a network that is not trusted: closed" "$(bytes "$(od -An -tx1 v1.bytes hello.bad |
	tr -d ' \n')" | perl -MIO::Socket::INET -e '
		my $peer = IO::Socket::INET->new(PeerAddr => $ARGV[0], LocalAddr => "127.0.1.1") or die;
		local $/; print $peer <STDIN>; $peer->flush; my $got = <$peer>; print "closed\n";' "$at")" \
	'closed'
logs "for it is no TLS" end=not\ TLS
ok "and its source is no other" wait_for 5 grep -q 'client=127.0.1.1:.*end="not TLS"' "$LOG"

is "no backend heard of any of these" "$(accepts untouched)" 0
ok "stops" stop_gatehouse

done_testing
