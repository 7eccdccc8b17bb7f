#!/bin/bash
# XMPP's STARTTLS, in front and behind, with the real prosody and logins by SASL PLAIN through openssl s_client: TLS
# ends at gatehouse, or at prosody, end to end. A client that goes on without TLS is refused in the words of XMPP; a
# server that declines is passed over.
# needs: prosody
# shellcheck disable=SC2154,SC2094 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

names=(secure.test plain.test tls.test through.test declined.test pool.test prosody.test)
pki_ca root
pki_ca inner
pki_cert root site "${names[@]}"
pki_cert inner prosody prosody.test through.test

as_nobody=()
if [[ $(id -u) == 0 ]]; then # prosody would not run as root
	as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi

# start_prosody NAME PORT [TLS-PORT]: with alice in every domain; without a TLS-PORT it has no TLS. Sets NAME_pid.
start_prosody() {
	local dir=$TMP/$1.d name tls='modules_disabled = { "s2s", "tls" }
		c2s_require_encryption = false
		allow_unencrypted_plain_auth = true'
	[[ -z ${3:-} ]] || tls="modules_disabled = { \"s2s\" }
		c2s_require_encryption = true
		c2s_direct_tls_ports = { $3 }
		ssl = { certificate = \"$dir/prosody.crt\", key = \"$dir/prosody.key\" }"
	mkdir -p "$dir"
	cp "$PKI/prosody.crt" "$PKI/prosody.key" "$dir"
	cat >"$dir/prosody.cfg.lua" <<-CONFIG
		data_path = "$dir/data"
		certificates = "$dir"
		modules_enabled = { "roster", "saslauth", "tls", "disco" }
		authentication = "internal_plain"
		interfaces = { "127.0.0.1" }
		c2s_ports = { $2 }
		s2s_ports = { }
		http_ports = { }
		log = { info = "*console" }
		$tls
	CONFIG
	for name in "${names[@]}"; do
		echo "VirtualHost \"$name\"" >>"$dir/prosody.cfg.lua"
		mkdir -p "$dir/data/${name/./%2e}/accounts"
		echo 'return { ["password"] = "secret"; };' >"$dir/data/${name/./%2e}/accounts/alice.dat"
	done
	[[ $(id -u) != 0 ]] || chown -R 65534:65534 "$dir"
	spawn "$1" "${as_nobody[@]}" prosody -F --config "$dir/prosody.cfg.lua"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$2" || bail_out "prosody $1 did not start" "$(cat "$TMP/$1.out")"
}

for service in bare guarded wrapped; do
	free_port "${service}_port"
	port=${service}_port
	printf -v "$service" %s "127.0.0.1:${!port}"
done
start_prosody bare "$bare_port"
start_prosody guarded "$guarded_port" "$wrapped_port"

stream() { # NAME
	echo "<?xml version='1.0'?><stream:stream to='$1' version='1.0' xmlns='jabber:client'" \
		"xmlns:stream='http://etherx.jabber.org/streams'>"
}

login_text() { # NAME [PASSWORD]: a login, and what follows it
	stream "$1"
	printf "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>" \
		"$(printf '\0alice\0%s' "${2:-secret}" | base64)"
}

bind_text() { # NAME
	stream "$1"
	echo "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>here</resource></bind></iq>"
	echo "</stream:stream>"
}

# login NAME PORT [OPTION of s_client...]: within TLS; who one is then, or all that came back
login() {
	local name=$1 port=$2
	shift 2
	: >"$TMP/login"
	{
		login_text "$name" "${PASSWORD:-secret}"
		wait_for "$PATIENCE" grep -qE '<success|<failure|error' "$TMP/login"
		bind_text "$name"
	} | timeout "$PATIENCE" openssl s_client -quiet \
		-verify_return_error -CAfile "$PKI/${CA:-root}.crt" -verify_hostname "${VERIFY:-$name}" -servername "$name" \
		-connect "127.0.0.1:$port" "$@" >"$TMP/login" 2>&1
	grep -oE '<jid>[^<]*' "$TMP/login" || cat "$TMP/login"
}

starttls() { # NAME [PORT]
	login "$1" "${2:-$front}" -starttls xmpp -xmpphost "$1"
}

# --- the test itself: the server as it is, without gatehouse ---

is "prosody with TLS answers" "$(CA=inner starttls through.test "$guarded_port")" '<jid>alice@through.test/here'
is "prosody with TLS from the first byte" "$(CA=inner login through.test "$wrapped_port")" '<jid>alice@through.test/here'

# --- gatehouse ---

free_port front
free_port direct
free_port accepting
free_port local_port
free_port gateway_port
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "prosody.test"}'
inner="\"starttls\": \"xmpp\", $tls"
check='"health_check": {"type": "tls", "interval": "100ms", "rise": 1, "fall": 1}'
write_config() { # [HOSTS]: more of them
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "xmpp"}, "127.0.0.1:$direct",
				{"address": "127.0.0.1:$accepting", "starttls": ["ldap", "xmpp"],
					"accept_proxy": ["127.0.0.0/8"]}],
			"hosts": { ${1:-}
				"secure.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"plain.test": {$site, "backend": "$bare"},
				"tls.test": {$site, "backend": {"servers": ["$wrapped"], $tls}},
				"declined.test": {$site, "backend": {"servers": ["$bare"], $inner}},
				"through.test": {"mode": "passthrough",
					"backend": {"servers": ["$guarded"], "starttls": "xmpp"}}
			},
			"forwards": [
				{"listen": "127.0.0.1:$local_port", "ca": "pki/inner.crt", "server_name": "prosody.test",
					"target": {"servers": ["$guarded"], "starttls": "xmpp"}},
				{"listen": "127.0.0.1:$gateway_port", "ca": "pki/root.crt", "server_name": "tls.test",
					"target": {"servers": ["127.0.0.1:$front"], "starttls": "xmpp"}}],
			"proxy": {"hello_timeout": "2s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# --- who requests TLS is served ---

is "STARTTLS in front, STARTTLS behind" "$(starttls secure.test)" '<jid>alice@secure.test/here'
logs "the log: what preceded TLS" msg=connection sni=secure.test preface=xmpp mode=terminate tls step=relay \
	"upstream=$guarded"
is "STARTTLS in front, plain text behind" "$(starttls plain.test)" '<jid>alice@plain.test/here'
logs "the log: to it" msg=connection sni=plain.test step=relay "upstream=$bare"
is "STARTTLS in front, TLS from the first byte behind" "$(starttls tls.test)" '<jid>alice@tls.test/here'
is "STARTTLS in front, passed through to STARTTLS behind" "$(CA=inner starttls through.test)" \
	'<jid>alice@through.test/here'
is "TLS from the first byte in front, STARTTLS behind" "$(login secure.test "$direct")" '<jid>alice@secure.test/here'
is "with the ALPN id of the protocol" "$(login secure.test "$direct" -alpn xmpp-client)" '<jid>alice@secure.test/here'
is "TLS from the first byte, passed through to STARTTLS behind" "$(CA=inner login through.test "$direct")" \
	'<jid>alice@through.test/here'
like "the server judges the password" "$(PASSWORD=wrong starttls secure.test)" '<not-authorized/>'
like "an unknown name: an error within TLS" "$(VERIFY=secure.test starttls no.test)" '<stream:error><host-unknown '

answer=$(PORT=$accepting send_text "PROXY TCP4 192.0.2.7 192.0.2.2 77 5222\r\n$(stream secure.test)\
<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" --half-close)
like "a PROXY header in front, and two protocols on one listener" "$answer" '<proceed [^<]*/>'
logs "the log: from where" msg=connection client=192.0.2.7:77 preface=xmpp

# forwarded NAME PORT: whether a login in the clear succeeds there
forwarded() {
	local fd tag
	exec {fd}<>"/dev/tcp/127.0.0.1/$2"
	login_text "$1" >&"$fd"
	while IFS= read -r -t "$PATIENCE" -d '>' tag <&"$fd"; do
		[[ $tag != *'<success '* && $tag != *'<failure '* ]] || break
	done
	exec {fd}>&-
	[[ $tag == *'<success '* ]]
}
ok "a forward" forwarded prosody.test "$local_port"
ok "a forward to a gateway" forwarded tls.test "$gateway_port"

# --- bytes: what is said before TLS (RFC 6120) ---

open=$(stream secure.test)
request="<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
features="^<\?xml version='1.0'\?><stream:stream [^>]* from='secure.test'><stream:features><starttls [^>]*><required/></starttls></stream:features>"
proceed="<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
ok "the metrics count it" wait_for "$PATIENCE" is_counted 'gatehouse_prefaces_total{protocol="xmpp"}' 1
like "STARTTLS is all that is offered" "$(send_text "$open$request" --half-close)" "$features$proceed"
like "in single bytes, too" "$(send_text "$open$request" --every 1 --half-close)" "$features$proceed"
ends_as "a client may leave without TLS" "done" "$features</stream:stream>"$'\n?ended (fin|reset)$' \
	send_text "$open</stream:stream>"
refused() { # DESCRIPTION TEXT ANSWER [OPTION...]
	ends_as "$1" bad_preface "$3.*"$'\n?ended (fin|reset)$' send_text "$2" "${@:4}"
}
violation='<stream:error><policy-violation '
refused "a login in the clear" "$(login_text secure.test)" "$features$violation"
refused "bytes behind the request" "$open$request<iq/>" "$features$violation"
hello --sni secure.test >"$TMP/hello"
refused "even a ClientHello" "$open$request" "$features$violation" --file "$TMP/hello"
refused "streams of servers" "<stream:stream xmlns='jabber:server'>" '<stream:error><invalid-namespace '
refused "no stream" "<iq/>" '<stream:error><bad-format '
refused "a tag that does not end" "<$(printf 'x%.0s' {1..4200})" "$violation"
refused "a NUL" '<a\0>' "$violation"
is "TLS from the first byte is no error where the client speaks first" "$(login secure.test "$front")" \
	'<jid>alice@secure.test/here'

# --- a server that declines ---

like "a server that declines: the client reads why" "$(starttls declined.test)" '<stream:error><remote-connection-failed '
logs "the log: it declines" msg=connection sni=declined.test reason=upstream_preface
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"], $inner}},"
logs "a reload: a pool" msg=reloaded
is "the next one serves" "$(starttls pool.test)" '<jid>alice@pool.test/here'
# Under another name, of which no connection has said yet that it declines.
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"localhost:$bare_port\", \"localhost:$guarded_port\"], $check, $inner}},"
logs "a health check with STARTTLS: the one that declines is down" "msg=server marked down" "server=localhost:$bare_port"
logs_not "and the other is not" "msg=server marked down" "server=localhost:$guarded_port"
ok "stops" stop_gatehouse
done_testing
