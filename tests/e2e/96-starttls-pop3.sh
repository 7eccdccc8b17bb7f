#!/bin/bash
# POP3's STLS, in front and behind, with the real dovecot, curl and openssl s_client: TLS ends at gatehouse, or at
# dovecot, end to end. The server greets once. A client that goes on without TLS is refused in the words of POP3;
# a server that declines is passed over.
# needs: dovecot-pop3d
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_ca inner
pki_cert root site '*.test' secure.test strict.test declined.test busy.test pool.test tls.test proxied.test
pki_cert inner dovecot dovecot.test through.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client

# write_dovecot_config NAME PORT CERT PROXY-PORT: a mailbox whose message has NAME for its text.
write_dovecot_config() {
	local dir=$TMP/$1.d owner group tls="ssl = no" users=''
	owner=$(id -un)
	group=$(id -gn)
	mkdir -p "$dir/home/Maildir/"{cur,new,tmp}
	printf 'Subject: test\n\n%s\n' "$1" >"$dir/home/Maildir/new/1.test"
	# A mailbox is not root's, and only root has servers that change their user.
	if [[ $(id -u) == 0 ]]; then
		owner=nobody group=$(id -gn nobody)
		chown -R "$owner:$group" "$dir/home"
	else
		users="default_internal_user = $owner
			default_internal_group = $group
			default_login_user = $owner
			service anvil {
				chroot =
			}"
	fi
	[[ -z ${3:-} ]] || tls="ssl = yes
		ssl_cert = <$PKI/$3.crt
		ssl_key = <$PKI/$3.key"
	cat >"$dir/dovecot.conf" <<-CONFIG
		protocols = pop3
		listen = 127.0.0.1
		base_dir = $dir/run
		state_dir = $dir/run
		log_path = /dev/stderr
		auth_verbose = yes
		disable_plaintext_auth = no
		haproxy_trusted_networks = 127.0.0.0/8
		login_greeting = dovecot $1
		mail_location = maildir:~/Maildir
		$tls
		$users
		passdb {
			driver = static
			args = password=secret
		}
		userdb {
			driver = static
			args = uid=$owner gid=$group home=$dir/home
		}
		service pop3-login {
			chroot =
			inet_listener pop3 {
				port = $2
			}
			inet_listener pop3s {
				port = 0
			}
			inet_listener proxied {
				port = $4
				haproxy = yes
			}
		}
	CONFIG
}

run_dovecot() { # NAME ADDRESS
	spawn "$1" dovecot -F -c "$TMP/$1.d/dovecot.conf"
	wait_for "$PATIENCE" is_listening "$2" ||
		bail_out "dovecot $1 did not start" "$(tail -n 20 "$TMP/$1.err")"
}

start_dovecot() { # NAME [CERT]: sets NAME to its address, proxied, and NAME_pid
	local port proxied_port
	free_port port
	free_port proxied_port
	write_dovecot_config "$1" "$port" "${2:-}" "$proxied_port"
	run_dovecot "$1" "127.0.0.1:$port"
	printf -v "$1" %s "127.0.0.1:$port"
	proxied=127.0.0.1:$proxied_port
}

# fetch HOST PORT [OPTION of curl...]: the text of the message, or what curl says is wrong
fetch() {
	local host=$1 port=$2 ca=${CA:-root}
	shift 2
	curl --silent --show-error --max-time "$PATIENCE" --noproxy '*' --resolve "$host:$port:127.0.0.1" \
		--cacert "$PKI/$ca.crt" --user alice:secret "$@" "${SCHEME:-pop3}://$host:$port/1" \
		>"$TMP/fetch" 2>&1 || { cat "$TMP/fetch" && return; }
	tr -d '\r' <"$TMP/fetch" | sed '1,/^$/d'
}

start_dovecot bare          # dovecot without TLS
start_dovecot guarded dovecot
free_port busy_port
busy=127.0.0.1:$busy_port
spawn busy perl -MIO::Socket::INET -e '
	$| = 1;
	my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[0], Listen => 9, ReuseAddr => 1) or die;
	while (my $client = $listener->accept) {
		print $client "-ERR too many connections\r\n";
		print "heard $_" while <$client>;
	}' "$busy"
wait_for "$PATIENCE" is_listening "$busy" || bail_out "no busy server"

# --- the test itself: both servers as they are, without gatehouse ---

is "dovecot without TLS answers" "$(fetch bare.test "${bare##*:}")" bare
like "dovecot without TLS has no STLS" "$(fetch bare.test "${bare##*:}" --ssl-reqd)" 'STLS not supported'
is "dovecot with TLS answers" "$(CA=inner fetch through.test "${guarded##*:}" --ssl-reqd)" guarded

# --- gatehouse ---

free_port front
free_port direct
free_port accepting
free_port local_port
free_port gateway_port
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "dovecot.test"}'
inner="\"starttls\": \"pop3\", $tls"
check='"health_check": {"type": "tls", "interval": "100ms", "rise": 1, "fall": 1}'
write_config() { # [HOSTS]: more of them
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "pop3"}, "127.0.0.1:$direct",
				{"address": "127.0.0.1:$accepting", "starttls": "pop3", "accept_proxy": ["127.0.0.0/8"]}],
			"hosts": { ${1:-}
				"secure.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"strict.test": {$site, "client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["alice"]},
					"backend": {"servers": ["$guarded"], $inner}},
				"declined.test": {$site, "backend": {"servers": ["$bare"], $inner}},
				"busy.test": {$site, "backend": {"servers": ["$busy"], $inner}},
				"through.test": {"mode": "passthrough",
					"backend": {"servers": ["$guarded"], "starttls": "pop3"}},
				"proxied.test": {$site, "backend": {"servers": ["$proxied"], "proxy_protocol": "v2", $inner}},
				"tls.test": {$site, "backend": "$bare"}
			},
			"forwards": [
				{"listen": "127.0.0.1:$local_port", "ca": "pki/inner.crt", "server_name": "dovecot.test",
					"target": {"servers": ["$guarded"], "starttls": "pop3"}},
				{"listen": "127.0.0.1:$gateway_port", "ca": "pki/root.crt", "server_name": "tls.test",
					"target": {"servers": ["127.0.0.1:$front"], "starttls": "pop3"}}],
			"proxy": {"hello_timeout": "2s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# --- who requests TLS is served ---

is "STLS in front, STLS behind" "$(fetch secure.test "$front" --ssl-reqd)" guarded
logs "the log: what preceded TLS" msg=connection sni=secure.test route=secure.test preface=pop3 \
	mode=terminate tls step=relay
is "STLS in front, passed through to STLS behind" \
	"$(CA=inner fetch through.test "$front" --ssl-reqd)" guarded
logs "the log: passed through" msg=connection sni=through.test preface=pop3 mode=passthrough step=relay
like "the certificate is dovecot's own: our CA is not its issuer" \
	"$(fetch through.test "$front" --ssl-reqd)" 'SSL certificate problem'
like "the server judges the password" \
	"$(fetch secure.test "$front" --ssl-reqd --user alice:wrong)" 'Login denied|Access denied'
is "a client certificate" "$(fetch strict.test "$front" --ssl-reqd \
	--cert "$PKI/alice.crt" --key "$PKI/alice.key")" guarded
logs "the log: who it was" msg=connection sni=strict.test identity=CN=alice step=relay
unlike "one that no rule admits" "$(fetch strict.test "$front" --ssl-reqd \
	--cert "$PKI/mallory.crt" --key "$PKI/mallory.key")" guarded
logs "the log: no rule" msg=connection sni=strict.test reason=not_admitted
unlike "an unknown name" "$(fetch no.example "$front" --ssl-reqd --insecure)" '^(bare|guarded)$'
logs "the log: an unknown name" msg=connection sni=no.example preface=pop3 reason=no_host
like "a password is not asked for before TLS" "$(fetch secure.test "$front")" \
	'No known authentication|Authentication cancelled|Login denied|Access denied'
is "a client that uses TLS if it is offered" "$(fetch secure.test "$front" --ssl)" guarded

# What a server says within TLS begins with the answer to the first command: no second greeting.
s_client() { # NAME TEXT: what comes back within TLS
	printf %b "$2" | timeout "$PATIENCE" openssl s_client -quiet -starttls pop3 -servername "$1" \
		-connect "127.0.0.1:$front" 2>"$TMP/s_client" | tr -d '\r'
}
for name in secure through; do
	answer=$(s_client "$name.test" 'CAPA\r\nQUIT\r\n')
	like "$name: openssl s_client" "$answer" $'^\\+OK\nCAPA\n.*\nUSER\n.*\n\\.\n\\+OK Logging out$'
	unlike "$name: the greeting comes once" "$answer" "dovecot guarded"
done

# --- bytes: commands as they are on the wire (RFC 1939, RFC 2595) ---

ok "the metrics count it" wait_for "$PATIENCE" is_counted 'gatehouse_prefaces_total{protocol="pop3"}' 1

like "a greeting comes without a byte of the client" "$(send_text '' --until 5)" '^\+OK [^<]'
capa=$'\\+OK [^\n]*\nSTLS\n\\.\n'
like "CAPA has STLS, NOOP is answered, STLS is granted" "$(send_text 'CAPA\r\nnoop\r\nSTLS\r\n' --half-close)" \
	$'^\\+OK [^\n]*\n'"$capa"$'\\+OK\n\\+OK [^\n]*TLS[^\n]*\nended'
like "in single bytes, too" "$(send_text 'CAPA\r\nnoop\r\nSTLS\r\n' --every 1 --half-close)" \
	$'^\\+OK [^\n]*\n'"$capa"$'\\+OK\n\\+OK [^\n]*TLS[^\n]*\nended'
like "the greeting comes behind a PROXY header" \
	"$(PORT=$accepting send_text 'PROXY TCP4 192.0.2.1 192.0.2.2 1 110\r\nNOOP\r\nSTLS\r\n' --half-close)" \
	$'^\\+OK [^\n]*\n\\+OK\n\\+OK [^\n]*TLS[^\n]*\nended'
logs "the log: from where" msg=connection client=192.0.2.1:1 preface=pop3
like "and not before" "$(PORT=$accepting send_text '')" '^ended'
greeting=$'^\\+OK [^\n]*\n'
bye=$'\\+OK [^\n]*\nended (fin|reset)$'
ends_as "a client may leave without TLS" "done" "$greeting$bye" send_text 'QUIT\r\n'
logs "the log: it left in order" msg=connection level=info reason=done \
	"end=POP3: the client left without TLS"
ends_as "a login in the clear is refused, and the client may still leave" "done" \
	"$greeting"$'-ERR [^\n]*STLS[^\n]*\n-ERR [^\n]*\n-ERR [^\n]*\n'"$bye" \
	send_text 'USER alice\r\nPASS secret\r\nAUTH PLAIN\r\nQUIT\r\n'
scrape
is "neither is an error" "$(metric 'gatehouse_connections_ended_total{reason="bad_preface"}')" 0

refused() { # DESCRIPTION TEXT ANSWER [OPTION...]
	ends_as "$1" bad_preface "$greeting$3"$'\n?ended (fin|reset)$' send_text "$2" "${@:4}"
}
refused "commands without end" "$(printf 'NOOP\\r\\n%.0s' {1..30})" $'(\\+OK\n){9}-ERR [^\n]*'

# Bytes behind the request could be an attacker's, injected into the session of the client.
refused "bytes behind the request" 'STLS\r\nUSER eve\r\n' $'-ERR [^\n]*'
hello --sni secure.test >"$TMP/hello"
refused "even a ClientHello" 'STLS\r\n' $'-ERR [^\n]*' --file "$TMP/hello"
refused "TLS without a request for it" '' $'-ERR [^\n]*' --file "$TMP/hello"
refused "a line that does not end" "$(printf 'x%.0s' {1..600})" $'-ERR [^\n]*'
like "half a request and silence: closed at hello_timeout" "$(send_text ST)" 'ended (fin|reset)'
is "others are served" "$(fetch secure.test "$front" --ssl-reqd)" guarded

# --- the client is greeted once, whichever end has the greeting before TLS ---

is "TLS from the first byte to a backend whose greeting precedes TLS" \
	"$(SCHEME=pop3s fetch secure.test "$direct")" guarded
greeted=$(printf 'QUIT\r\n' | timeout "$PATIENCE" openssl s_client -quiet -servername secure.test \
	-connect "127.0.0.1:$direct" 2>"$TMP/s_client" | tr -d '\r')
like "the greeting is the server's own" "$greeted" $'^\\+OK dovecot guarded[^\n]*\n\\+OK'
is "STLS to a backend that greets a second time" "$(fetch tls.test "$front" --ssl-reqd)" bare
like "the second greeting is taken away" "$(s_client tls.test 'QUIT\r\n')" $'^\\+OK Logging out$'
unlike "passed through, nothing can be taken away: TLS from the first byte to STLS behind" \
	"$(CA=inner SCHEME=pop3s fetch through.test "$direct")" '^guarded$'
logs "the log: it does not fit" msg=connection sni=through.test reason=no_protocol
is "TLS from the first byte to that backend" "$(SCHEME=pop3s fetch tls.test "$direct")" bare

is "a PROXY header behind" "$(fetch proxied.test "$front" --ssl-reqd)" guarded
logs "the log: to where" msg=connection sni=proxied.test "upstream=$proxied" step=relay
is "a forward: its clients are greeted by the server" "$(fetch bare.test "$local_port")" guarded
like "with its greeting" "$(PORT=$local_port send_text 'QUIT\r\n')" $'^\\+OK dovecot guarded[^\n]*\n\\+OK'
is "a forward to a gateway" "$(fetch bare.test "$gateway_port")" bare

findings() { # LISTEN BACKEND [FORWARDS]
	echo "{\"listen\": $1, \"hosts\": {\"a.test\": {\"mode\": \"passthrough\", \"backend\": $2}}${3:+,
		\"forwards\": $3}}" >"$TMP/check.json"
	"$GATEHOUSE" check -c "$TMP/check.json" 2>&1
}
pop3_listener='{"address": ":110", "starttls": "pop3"}'
pop3_backend='{"servers": ["a:110"], "starttls": "pop3"}'
like "check: both" "$(findings "$pop3_listener" "$pop3_backend")" ': 1 host'
like "check: a listener for no backend" "$(findings "$pop3_listener" '"a:110"')" \
	'check.json:1: listen.starttls: no host has a backend with "starttls": "pop3"'
like "check: a backend for no listener" "$(findings '":995"' "$pop3_backend")" \
	'the backend of "a:110" has "starttls": "pop3", and no listener has it'

# --- a server that declines ---

logins() { # how many that server has had
	grep -c 'pop3-login: .*user=<alice>' "$TMP/bare.err"
}
before=$(logins)
unlike "a server that declines: no message" "$(fetch declined.test "$front" --ssl-reqd)" '^(bare|guarded)$'
logs "the log: it declines" msg=connection sni=declined.test reason=upstream_preface
is "and has heard nothing of the client's" "$(logins)" "$before"
unlike "a server that greets with an error: no message" \
	"$(fetch busy.test "$front" --ssl-reqd)" '^(bare|guarded)$'
logs "the log: its greeting" msg=connection sni=busy.test reason=upstream_preface
is "it has heard nothing at all" "$(cat "$TMP/busy.out")" ''

# The next one serves. Health checks speak STLS too: they find which one it is.
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"],
	\"balance\": \"round_robin\", $inner}},"
logs "a reload: a pool" msg=reloaded
served=0
for _ in {1..6}; do
	[[ $(fetch pool.test "$front" --ssl-reqd) != guarded ]] || served=$((served + 1))
done
is "one of two servers declines: six of six clients are served" "$served" 6
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"], $check, $inner}},"
logs "a health check with STLS: the one that declines is down" "msg=server marked down" "server=$bare"
logs_not "and the other is not" "msg=server marked down" "server=$guarded"
stop "$guarded_pid"
logs "until it is" "msg=server marked down" "server=$guarded"
run_dovecot guarded "$guarded"
logs "and it comes back" "msg=server marked up" "server=$guarded"
is "and serves" "$(fetch pool.test "$front" --ssl-reqd)" guarded
ok "stops" stop_gatehouse
done_testing
