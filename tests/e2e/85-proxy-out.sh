#!/bin/bash
# The backend learns who came: HAProxy and nginx read the PROXY header back, versions 1 and 2, with
# the server name, the protocol, and what TLS says of connection and client.
# needs: haproxy
# shellcheck disable=SC2016,SC2154 # nginx has variables too; NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server '*.out.test'
pki_cert ca alice --cn 'alice of ops' --org Ops
cd "$TMP" || bail_out "no $TMP"

# --- HAProxy answers with what it was told ---

free_port told_port
free_port dual_port
cat >haproxy.cfg <<-CFG
	global
	    maxconn 100
	defaults
	    mode http
	    timeout connect 5s
	    timeout client 5s
	    timeout server 5s
	frontend told
	    bind 127.0.0.1:$told_port accept-proxy
	    http-request return status 200 content-type text/plain lf-string "src=%[src]:%[src_port] dst=%[dst]:%[dst_port] authority=%[fc_pp_authority] rcvd=%[fc_rcvd_proxy]\n"
CFG
# What it has no word for is read byte by byte, from the header itself.
spawn haproxy haproxy -db -f haproxy.cfg
wait_for "$PATIENCE" is_listening "127.0.0.1:$told_port" ||
	bail_out "haproxy does not start" "$(cat haproxy.err)"

start_nginx web http --proxy-protocol --lines \
	'location /told { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port\n"; }'
start_echo recorded --sink --record "$TMP/recorded.bytes"

free_port port
free_port port6
at=127.0.0.1:$port
host() { # NAME SERVER VERSION [MORE]
	printf '"%s.out.test": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
		"backend": {"servers": ["%s"], "proxy_protocol": "%s"} %s}' "$1" "$2" "$3" "${4:-}"
}
cat >config.json <<-JSON
	{ "listen": ["$at", "[::1]:$port6", "[::]:$dual_port"], "hosts": {
	  $(host ha1 "127.0.0.1:$told_port" v1),
	  $(host ha2 "127.0.0.1:$told_port" v2),
	  $(host ngx1 "$web" v1),
	  $(host ngx2 "$web" v2),
	  $(host raw "$recorded" v2 ', "client_auth": "optional", "ca": "pki/ca.crt", "offer_alpn": "http/1.1"'),
	  "pass.out.test": {"mode": "passthrough",
	    "backend": {"servers": ["$recorded"], "proxy_protocol": "v2"}} } }
JSON
start_gatehouse config.json || bail_out "gatehouse does not start"

client_port() { # ROUTE: of its last connection, as the log has it
	wait_for "$PATIENCE" has_log "route=$1" end
	log_value client "route=$1" | sed 's/.*://'
}
ask() { # HOST PATH [ADDRESS]
	https "https://$1.out.test$2" "${3:-$at}" --cacert "$PKI/ca.crt" "${@:4}"
}

for version in 1 2; do
	told=$(ask "ha$version" /)
	source=127.0.0.1:$(client_port "ha$version.out.test")
	[[ $version == 1 ]] && authority= || authority=ha2.out.test
	is "HAProxy, version $version" "$told" "src=$source dst=$at authority=$authority rcvd=1"
	told=$(ask "ngx$version" /told)
	is "nginx, version $version" "$told" "127.0.0.1 $(client_port "ngx$version.out.test") 127.0.0.1 $port"
done
like "IPv6, version 2" "$(ask ha2 / "[::1]:$port6")" "^src=::1:[0-9]+ dst=::1:$port6 authority=ha2.out.test"
like "IPv6, version 1" "$(ask ngx1 /told "[::1]:$port6")" "^::1 [0-9]+ ::1 $port6\$"
like "IPv4 on a dual-stack listener is IPv4" "$(ask ha1 / "127.0.0.1:$dual_port")" \
	"^src=127.0.0.1:[0-9]+ dst=127.0.0.1:$dual_port"

# --- every byte of version 2 ---

# tlv FILE TYPE: the value of that TLV in hex; those inside the SSL TLV are 20.21 and so on
tlv() {
	perl -e '
		local $/; open my $file, "<", $ARGV[0]; my $data = <$file>;
		my $at = index($data, "\r\n\r\n\0\r\nQUIT\n"); die "no header" if $at < 0;
		my ($family, $len) = unpack "x13 C n", substr $data, $at;
		my %size = (0x11, 12, 0x21, 36);
		my $tlvs = substr $data, $at + 16 + $size{$family}, $len - $size{$family};
		for my $type (split /\./, $ARGV[1]) {
			my $found;
			while (length $tlvs >= 3) {
				my ($t, $l) = unpack "C n", $tlvs;
				$found = substr $tlvs, 3, $l if $t == hex $type;
				$tlvs = substr $tlvs, 3 + $l;
			}
			defined $found or exit;
			$value = $found;
			$tlvs = substr $found, 5 if length $found >= 5;
		}
		print unpack "H*", $value;' "$1" "$2"
}
text() { # HEX
	perl -e 'print pack "H*", $ARGV[0]' "$1"
}
visit() { # HOST [OPTION...]: $TMP/recorded.bytes is what its backend was sent
	: >recorded.bytes
	printf 'after the header' | openssl s_client -connect "$at" -servername "$1.out.test" \
		-quiet -no_ign_eof "${@:2}" >/dev/null 2>&1
	wait_for "$PATIENCE" grep -qa 'after the header' recorded.bytes
}

visit raw -tls1_3 -alpn h2,http/1.1 -cert "$PKI/alice.crt" -key "$PKI/alice.key"
is "the authority" "$(text "$(tlv recorded.bytes 2)")" raw.out.test
is "the protocol" "$(text "$(tlv recorded.bytes 1)")" http/1.1
is "SSL, a certificate on the connection and in the session, verified" \
	"$(tlv recorded.bytes 20 | head -c 10)" 0700000000
is "the version" "$(text "$(tlv recorded.bytes 20.21)")" TLSv1.3
is "the cipher" "$(text "$(tlv recorded.bytes 20.23)")" TLS_AES_256_GCM_SHA384
is "the common name" "$(text "$(tlv recorded.bytes 20.22)")" 'alice of ops'
visit raw -tls1_2
is "without a certificate: SSL, nothing verified" "$(tlv recorded.bytes 20 | head -c 10)" 0100000001
is "the version" "$(text "$(tlv recorded.bytes 20.21)")" TLSv1.2
is "no common name" "$(tlv recorded.bytes 20.22)" ''
is "no protocol" "$(tlv recorded.bytes 1)" ''

: >recorded.bytes
hello --sni pass.out.test --alpn h2 >hello.bytes
rawclient --file hello.bytes --half-close "$at" >/dev/null
wait_for "$PATIENCE" has_log route=pass.out.test end
is "passed through: the authority" "$(text "$(tlv recorded.bytes 2)")" pass.out.test
is "no SSL that was not terminated" "$(tlv recorded.bytes 20)" ''
is "and then the hello, whole" "$(tail -c "$(wc -c <hello.bytes)" recorded.bytes | cmp - hello.bytes)" ''
ok "stops" stop_gatehouse

done_testing
