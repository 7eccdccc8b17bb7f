#!/bin/bash
# LDAP's StartTLS, in front and behind, with the real slapd and ldapsearch: TLS ends at gatehouse, or at
# slapd, end to end. A client that goes on without TLS is refused in the words of LDAP; a server that
# declines is passed over.
# needs: slapd ldap-utils libnss-wrapper
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# ldapsearch sends a server name only if it is not "localhost"; these are names of this test alone.
cat >"$TMP/hosts" <<-HOSTS
	127.0.0.1 local.test proxied.test tls.test plain.test secure.test through.test strict.test declined.test pool.test no.test
HOSTS

pki_ca root
pki_ca inner
pki_cert root site '*.test' proxied.test tls.test plain.test secure.test strict.test declined.test pool.test
pki_cert inner slapd slapd.test through.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client

# start_slapd NAME [CERT]: sets NAME to its address and NAME_pid, urls, proxied (the address for PROXY headers) and
# wrapped (for TLS from the first byte). Its entry dc=test says o: NAME.
start_slapd() {
	local port proxied_port tls_port dir=$TMP/$1.d
	free_port port
	free_port proxied_port
	free_port tls_port
	mkdir -p "$dir/data"
	cat >"$dir/slapd.conf" <<-CONFIG
		include /etc/ldap/schema/core.schema
		modulepath /usr/lib/ldap
		moduleload back_mdb
		${2:+TLSCertificateFile $PKI/$2.crt}
		${2:+TLSCertificateKeyFile $PKI/$2.key}
		database mdb
		suffix dc=test
		rootdn cn=admin,dc=test
		rootpw secret
		directory $dir/data
		maxsize 10485760
	CONFIG
	slapadd -f "$dir/slapd.conf" <<-LDIF || bail_out "slapadd $1"
		dn: dc=test
		objectClass: dcObject
		objectClass: organization
		dc: test
		o: $1
	LDIF
	urls="ldap://127.0.0.1:$port pldap://127.0.0.1:$proxied_port"
	[[ -z ${2:-} ]] || urls+=" ldaps://127.0.0.1:$tls_port"
	spawn "$1" slapd -d stats -f "$dir/slapd.conf" -h "$urls"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$port" ||
		bail_out "slapd $1 did not start" "$(tail -n 20 "$TMP/$1.err")"
	printf -v "$1" %s "127.0.0.1:$port"
	proxied=127.0.0.1:$proxied_port wrapped=127.0.0.1:$tls_port
}

# search URI OPTION...: the value of o, or what ldapsearch says is wrong
search() {
	local uri=$1 ca=${CA:-root}
	shift
	LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=$TMP/hosts LDAPTLS_CACERT=$PKI/$ca.crt \
		timeout "$PATIENCE" ldapsearch -x -LLL -H "$uri" -o nettimeout=10 "$@" \
		-b dc=test -s base o >"$TMP/search" 2>&1
	sed -n 's/^o: //p' "$TMP/search" | grep . || grep . "$TMP/search"
}

start_slapd bare         # slapd without TLS
start_slapd guarded slapd

# --- the test itself: both servers as they are, without gatehouse ---

is "slapd without TLS answers" "$(search "ldap://$bare")" bare
is "slapd with TLS answers" "$(CA=inner search "ldap://through.test:${guarded##*:}" -ZZ)" guarded
like "slapd without TLS declines StartTLS" "$(search "ldap://plain.test:${bare##*:}" -ZZ)" \
	'ldap_start_tls: Protocol error'

# --- gatehouse ---

free_port front
free_port direct
free_port accepting
free_port local_port
free_port gateway_port
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "slapd.test"}'
inner="\"starttls\": \"ldap\", $tls"
check='"health_check": {"type": "tls", "interval": "100ms", "rise": 1, "fall": 1}'
write_config() { # [HOSTS]: more of them
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "ldap"}, "127.0.0.1:$direct",
				{"address": "127.0.0.1:$accepting", "starttls": "ldap", "accept_proxy": ["127.0.0.0/8"]}],
			"hosts": { ${1:-}
				"plain.test": {$site, "backend": "$bare"},
				"secure.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"strict.test": {$site, "client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["alice"]},
					"backend": {"servers": ["$guarded"], $inner}},
				"declined.test": {$site, "backend": {"servers": ["$bare"], $inner}},
				"proxied.test": {$site, "backend": {"servers": ["$proxied"], "proxy_protocol": "v2", $inner}},
				"tls.test": {$site, "backend": {"servers": ["$wrapped"], $tls}},
				"through.test": {"mode": "passthrough",
					"backend": {"servers": ["$guarded"], "starttls": "ldap"}}
			},
			"forwards": [
				{"listen": "127.0.0.1:$local_port", "ca": "pki/inner.crt", "server_name": "slapd.test",
					"target": {"servers": ["$guarded"], "starttls": "ldap"}},
				{"listen": "127.0.0.1:$gateway_port", "ca": "pki/root.crt", "server_name": "tls.test",
					"target": {"servers": ["127.0.0.1:$front"], "starttls": "ldap"}}],
			"proxy": {"hello_timeout": "2s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
uri() { # HOST
	echo "ldap://$1:$front"
}

# --- who requests TLS is served ---

is "StartTLS in front, a plain server behind" "$(search "$(uri plain.test)" -ZZ)" bare
logs "the log: what preceded TLS" msg=connection sni=plain.test route=plain.test preface=ldap \
	mode=terminate tls reason=done
is "StartTLS in front, StartTLS behind" "$(search "$(uri secure.test)" -ZZ)" guarded
is "StartTLS in front, passed through to StartTLS behind" \
	"$(CA=inner search "$(uri through.test)" -ZZ)" guarded
logs "the log: passed through" msg=connection sni=through.test preface=ldap mode=passthrough reason=done
like "the certificate is slapd's own: our CA is not its issuer" \
	"$(search "$(uri through.test)" -ZZ)" 'ldap_start_tls: Connect error'
is "TLS from the first byte in front, StartTLS behind" \
	"$(search "ldaps://secure.test:$direct")" guarded
is "StartTLS in front, TLS from the first byte behind" "$(search "$(uri tls.test)" -ZZ)" guarded
is "a PROXY header behind" "$(search "$(uri proxied.test)" -ZZ)" guarded
logs "the log: to where" msg=connection sni=proxied.test "upstream=$proxied" reason=done
is "a forward" "$(search "ldap://local.test:$local_port")" guarded
is "a forward to a gateway" "$(search "ldap://local.test:$gateway_port")" guarded
is "a simple bind under TLS" \
	"$(search "$(uri secure.test)" -ZZ -D cn=admin,dc=test -w secret)" guarded
like "the server judges the password" \
	"$(search "$(uri secure.test)" -ZZ -D cn=admin,dc=test -w wrong)" 'Invalid credentials \(49\)'
is "a client certificate" "$(LDAPTLS_CERT=$PKI/alice.crt LDAPTLS_KEY=$PKI/alice.key \
	search "$(uri strict.test)" -ZZ)" guarded
logs "the log: who it was" msg=connection sni=strict.test identity=CN=alice reason=done
unlike "one that no rule admits" "$(LDAPTLS_CERT=$PKI/mallory.crt LDAPTLS_KEY=$PKI/mallory.key \
	search "$(uri strict.test)" -ZZ)" guarded
logs "the log: no rule" msg=connection sni=strict.test reason=not_admitted
unlike "an unknown name" "$(search "$(uri no.test)" -ZZ)" '^(bare|guarded)$'
logs "the log: an unknown name" msg=connection sni=no.test preface=ldap reason=no_host
ok "the metrics count it" wait_for "$PATIENCE" is_counted 'gatehouse_prefaces_total{protocol="ldap"}' 1

# --- bytes: requests as they are on the wire (RFC 4511) ---

oid=312e332e362e312e342e312e313436362e3230303337 # 1.3.6.1.4.1.1466.20037
start_tls="301d 020101 7718 8016 $oid"
like "a PROXY header in front" "$(PORT=$accepting send_hex \
	"$(printf 'PROXY TCP4 192.0.2.7 192.0.2.2 77 389\r\n' | od -An -v -tx1 | tr -d ' \n')$start_tls" --half-close)" 'received 30'
logs "the log: from where" msg=connection client=192.0.2.7:77 preface=ldap
bind='300c 020101 6007 020103 0400 8000'

# An ExtendedResponse of the same message ID, resultCode success (0).
like "StartTLS is accepted" "$(send_hex "$start_tls" --until 14)" '^received 30..02010178..0a0100'
like "whatever the message ID" "$(send_hex "301e 02020123 7718 8016 $oid" --until 15)" \
	'^received 30..0202012378..0a0100'
like "and in single bytes" "$(send_hex "$start_tls" --every 1 --until 14)" '^received 30..02010178..0a0100'

# A Notice of Disconnection, resultCode confidentialityRequired (13).
refused() { # DESCRIPTION HEX
	ends_as "$1" bad_preface '^received 30..02010078..0a010d[0-9a-f]* ended (fin|reset)' send_hex "$2"
}
refused "a bind in the clear" "$bind"
like "ldapsearch without -ZZ gets no entry" "$(search "$(uri plain.test)" -D cn=admin,dc=test -w secret)" \
	"Confidentiality required|Can't contact LDAP server|Server is unavailable"

# Bytes behind the request could be an attacker's, injected into the session of the client.
refused "bytes behind the request" "$start_tls $bind"
hello --sni plain.test >"$TMP/hello"
refused "even a ClientHello" "$start_tls $(od -An -v -tx1 "$TMP/hello" | tr -d '\n')"

# Another extended request; messages that are none: too long, without content, of indefinite length.
for bytes in '300a 020101 7705 8003 312e33' '3084ffffffff' '3000' '3080 020101'; do
	refused "no request for TLS: $bytes" "$bytes"
done
like "no LDAP at all" "$(send_hex '474554202f20485454502f312e300d0a0d0a')" 'ended (fin|reset)'
like "half a request and silence: closed at hello_timeout" "$(send_hex "${start_tls:0:16}")" 'ended (fin|reset)'
is "others are served" "$(search "$(uri plain.test)" -ZZ)" bare

# --- a server that declines ---

heard() { # how many operations that server has had, besides StartTLS
	grep -cE ' op=[0-9]+ (BIND|SRCH) ' "$TMP/bare.err"
}
before=$(heard)
unlike "a server that declines: no entry" "$(search "$(uri declined.test)" -ZZ)" '^(bare|guarded)$'
logs "the log: it declines" msg=connection sni=declined.test reason=upstream_preface
is "and has heard nothing of the client's" "$(heard)" "$before"

# The next one serves. Health checks speak StartTLS too: they find which one it is.
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"],
	\"balance\": \"round_robin\", $inner}},"
logs "a reload: a pool" msg=reloaded
served=0
for _ in {1..6}; do [[ $(search "$(uri pool.test)" -ZZ) != guarded ]] || served=$((served + 1)); done
is "one of two servers declines: six of six clients are served" "$served" 6
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"], $check, $inner}},"
logs "a health check with StartTLS: the one that declines is down" "msg=server marked down" "server=$bare"
logs_not "and the other is not" "msg=server marked down" "server=$guarded"
stop "$guarded_pid"
logs "until it is" "msg=server marked down" "server=$guarded"
spawn guarded slapd -d stats -f "$TMP/guarded.d/slapd.conf" -h "$urls"
logs "and it comes back" "msg=server marked up" "server=$guarded"
is "and serves" "$(search "$(uri pool.test)" -ZZ)" guarded
ok "stops" stop_gatehouse
done_testing
