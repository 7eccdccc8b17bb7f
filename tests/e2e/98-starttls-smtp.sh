#!/bin/bash
# SMTP's STARTTLS, in front and behind, with the real postfix, swaks and openssl s_client: TLS ends at gatehouse, or
# at postfix, end to end. The server greets once, and what gatehouse says in its place is true. A client that goes on
# without TLS is refused in the words of SMTP; a server that declines is passed over.
# needs: postfix swaks libnet-ssleay-perl
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ $(id -u) == 0 ]] || skip_all "postfix runs as root"

pki_ca root
pki_ca inner
pki_cert root site '*.test' secure.test plain.test tls.test strict.test declined.test pool.test proxied.test
pki_cert inner postfix postfix.test through.test
pki_cert root alice --cn alice --eku client
pki_cert root mallory --cn mallory --eku client

# start_postfix NAME [SERVICE...]: sets NAME_pid; each service is "PORT HOSTNAME [OPTION...]" of smtpd. It keeps
# messages to box.test in $TMP/NAME.d/box, and sends all others to $front.
start_postfix() {
	local name=$1 dir=$TMP/$1.d port host options option service
	shift
	mkdir -p "$dir/etc" "$dir/queue" "$dir/data" "$dir/box"
	chown postfix "$dir/data"
	chown nobody "$dir/box"
	for service in active bounce corrupt defer deferred flush hold incoming private saved trace; do
		mkdir "$dir/queue/$service"
		chown postfix "$dir/queue/$service"
	done
	mkdir "$dir/queue/pid"
	install -d -o postfix -g postdrop -m 730 "$dir/queue/maildrop"
	install -d -o postfix -g postdrop -m 710 "$dir/queue/public"
	cat >"$dir/etc/main.cf" <<-CONFIG
		compatibility_level = 3.6
		queue_directory = $dir/queue
		data_directory = $dir/data
		maillog_file_prefixes = $dir
		maillog_file = $dir/log
		myhostname = $name.test
		mydestination =
		alias_maps =
		alias_database =
		local_recipient_maps =
		inet_protocols = ipv4
		smtpd_peername_lookup = no
		smtpd_banner = \$myhostname ESMTP
		smtpd_tls_chain_files = $PKI/postfix.key, $PKI/postfix.crt
		smtpd_tls_loglevel = 1
		mynetworks = 127.0.0.0/8, 192.0.2.0/24
		virtual_mailbox_domains = ${mailbox-}
		virtual_mailbox_base = $dir/box
		virtual_mailbox_maps = static:all/
		virtual_uid_maps = static:65534
		virtual_gid_maps = static:65534
		relayhost = [127.0.0.1]:$front
		smtp_tls_security_level = secure
		smtp_tls_secure_cert_match = secure.test
		smtp_tls_servername = secure.test
		smtp_tls_CAfile = $PKI/root.crt
		smtp_tls_loglevel = 1
	CONFIG
	cat >"$dir/etc/master.cf" <<-SERVICES
		cleanup unix n - n - 0 cleanup
		qmgr unix n - n 300 1 qmgr
		rewrite unix - - n - - trivial-rewrite
		bounce unix - - n - 0 bounce
		defer unix - - n - 0 bounce
		trace unix - - n - 0 bounce
		tlsmgr unix - - n 1000? 1 tlsmgr
		smtp unix - - n - - smtp
		virtual unix - n n - - virtual
		anvil unix - - n - 1 anvil
		scache unix - - n - 1 scache
		proxymap unix - - n - - proxymap
		postlog unix-dgram n - n - 1 postlogd
	SERVICES
	for service; do
		read -r port host options <<<"$service"
		echo "127.0.0.1:$port inet n - n - - smtpd -o myhostname=$host" >>"$dir/etc/master.cf"
		for option in $options; do echo " -o $option" >>"$dir/etc/master.cf"; done
	done
	# Its children end with its process group.
	spawn "$name" env MAIL_CONFIG="$dir/etc" setsid /usr/lib/postfix/sbin/master -c "$dir/etc" -d
	for service; do
		wait_for "$PATIENCE" is_listening "127.0.0.1:${service%% *}" ||
			bail_out "postfix $name did not start" "$(cat "$TMP/$name.err" "$dir/log")"
	done
}

# start_script NAME GREETING [ANSWER...]: a server that says these, one for each line; sets NAME to its address.
# What it hears is in $TMP/NAME.out.
start_script() {
	local port
	free_port port
	# shellcheck disable=SC2016 # of perl
	spawn "$1" perl -MIO::Socket::INET -e '
		$| = 1;
		my ($at, @script) = @ARGV;
		my $listener = IO::Socket::INET->new(LocalAddr => $at, Listen => 9, ReuseAddr => 1) or die;
		while (my $client = $listener->accept) {
			my @answers = @script;
			$client->autoflush(1);
			print $client shift @answers;
			while (<$client>) {
				print "heard $_";
				print $client shift @answers if @answers;
			}
		}' "127.0.0.1:$port" "${@:2}"
	wait_for "$PATIENCE" is_listening "127.0.0.1:$port" || bail_out "no server $1"
	printf -v "$1" %s "127.0.0.1:$port"
}

free_port front
free_port direct
free_port accepting
free_port sending
free_port local_port
free_port gateway_port
for service in bare guarded wrapped proxied; do
	free_port "${service}_port"
	port=${service}_port
	printf -v "$service" %s "127.0.0.1:${!port}"
done
mailbox=box.test start_postfix inside "$bare_port bare.test" "$guarded_port guarded.test smtpd_tls_security_level=may" \
	"$wrapped_port wrapped.test smtpd_tls_wrappermode=yes" \
	"$proxied_port proxied.test smtpd_tls_security_level=may smtpd_upstream_proxy_protocol=haproxy"
start_postfix outside "$sending outside.test"
start_script busy $'554-mx.test\r\n554 no service\r\n'
start_script short 22
start_script eager $'220 mx.test\r\n' $'250-mx.test\r\n250 STARTTLS\r\n' $'220 go\r\n250 injected\r\n'

# mail HOST PORT [OPTION of swaks...]: the conversation up to RCPT
mail() {
	timeout "$PATIENCE" swaks --server 127.0.0.1 --port "$2" --from alice@away.test --to bob@box.test --helo client.test \
		--tls-sni "$1" --tls-verify --tls-ca-path "$PKI/${CA:-root}.crt" --quit-after RCPT "${@:3}" 2>&1
}

submit() { # SUBJECT: a message for the postfix that sends
	timeout "$PATIENCE" swaks --server 127.0.0.1 --port "$sending" --from alice@away.test --to bob@box.test \
		--header "Subject: $1" >"$TMP/submit" 2>&1
}

# greeted HOST PORT [OPTION of swaks...]: who answers EHLO within TLS, and whether it takes the recipient
greeted() {
	mail "$@" >"$TMP/mail"
	if grep -q '^<~ .250 2.1.5' "$TMP/mail"; then
		sed -nE 's/^<~ .250-([a-z]+)\.test\r?$/\1/p' "$TMP/mail"
	else
		cat "$TMP/mail"
	fi
}

# --- the test itself: the server as it is, without gatehouse ---

like "postfix without TLS answers" "$(mail bare.test "$bare_port")" '250-bare.test.*250 2.1.5'
is "postfix with STARTTLS answers" "$(CA=inner greeted through.test "$guarded_port" --tls)" guarded

# --- gatehouse ---

claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "postfix.test"}'
inner="\"starttls\": \"smtp\", $tls"
check='"health_check": {"type": "tls", "interval": "100ms", "rise": 1, "fall": 1}'
write_config() { # [HOSTS]: more of them
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "smtp", "default_host": "secure.test"},
				"127.0.0.1:$direct",
				{"address": "127.0.0.1:$accepting", "starttls": "smtp", "accept_proxy": ["127.0.0.0/8"]}],
			"hosts": { ${1:-}
				"secure.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"plain.test": {$site, "backend": "$bare"},
				"tls.test": {$site, "backend": {"servers": ["$wrapped"], $tls}},
				"strict.test": {$site, "client_auth": "required", "ca": "pki/root.crt",
					"acl": {"allow_cn": ["alice"]},
					"backend": {"servers": ["$guarded"], $inner}},
				"proxied.test": {$site, "backend": {"servers": ["$proxied"], "proxy_protocol": "v2", $inner}},
				"declined.test": {$site, "backend": {"servers": ["$bare"], $inner}},
				"busy.test": {$site, "backend": {"servers": ["$busy"], $inner}},
				"short.test": {$site, "backend": {"servers": ["$short"], $inner}},
				"eager.test": {$site, "backend": {"servers": ["$eager"], $inner}},
				"through.test": {"mode": "passthrough",
					"backend": {"servers": ["$guarded"], "starttls": "smtp"}}
			},
			"forwards": [
				{"listen": "127.0.0.1:$local_port", "ca": "pki/inner.crt", "server_name": "postfix.test",
					"target": {"servers": ["$guarded"], "starttls": "smtp"}},
				{"listen": "127.0.0.1:$gateway_port", "ca": "pki/root.crt", "server_name": "tls.test",
					"target": {"servers": ["127.0.0.1:$front"], "starttls": "smtp"}}],
			"proxy": {"hello_timeout": "2s", "handshake_timeout": "2s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# --- who requests TLS is served ---

is "STARTTLS in front, STARTTLS behind" "$(greeted secure.test "$front" --tls)" guarded
logs "the log: what preceded TLS" msg=connection sni=secure.test preface=smtp mode=terminate tls step=relay
is "STARTTLS in front, plain text behind" "$(greeted plain.test "$front" --tls)" bare
is "STARTTLS in front, TLS from the first byte behind" "$(greeted tls.test "$front" --tls)" wrapped
is "STARTTLS in front, passed through to STARTTLS behind" "$(CA=inner greeted through.test "$front" --tls)" guarded
is "TLS from the first byte in front, STARTTLS behind" "$(greeted secure.test "$direct" --tlsc)" guarded
like "the greeting is the server's own" "$(cat "$TMP/mail")" '<~  220 guarded.test ESMTP'
is "TLS from the first byte, and plain text behind" "$(greeted plain.test "$direct" --tlsc)" bare
unlike "passed through, nothing can be passed on" "$(CA=inner greeted through.test "$direct" --tlsc)" '^guarded$'
logs "the log: it does not fit" msg=connection sni=through.test reason=no_protocol
is "a client certificate" "$(greeted strict.test "$front" --tls --tls-cert "$PKI/alice.crt" \
	--tls-key "$PKI/alice.key")" guarded
logs "the log: who it was" msg=connection sni=strict.test identity=CN=alice step=relay
unlike "one that no rule admits" "$(greeted strict.test "$front" --tls --tls-cert "$PKI/mallory.crt" \
	--tls-key "$PKI/mallory.key")" '^guarded$'
like "an unknown name: a temporary error within TLS" "$(mail no.test "$front" --tls)" \
	'<~\* 421 unknown server name'
is "a PROXY header, in front and behind" "$(greeted proxied.test "$accepting" --tls --proxy-version 1 --proxy-family TCP4 \
	--proxy-source 192.0.2.7 --proxy-source-port 77 --proxy-dest 192.0.2.2 --proxy-dest-port 25)" proxied
ok "postfix has the address of the client" wait_for "$PATIENCE" \
	grep -q 'connect from unknown\[192.0.2.7\]' "$TMP/inside.d/log"
for name in secure plain tls through; do
	answer=$(printf 'QUIT\r\n' | timeout "$PATIENCE" openssl s_client -quiet -starttls smtp -servername "$name.test" \
		-connect "127.0.0.1:$front" 2>"$TMP/s_client" | tr -d '\r')
	like "$name: openssl s_client, and no second greeting" "$answer" \
		$'^(250 [A-Z0-9]+\n)?221 2.0.0 Bye$'
done

like "a forward: its clients are greeted by the server" "$(mail bare.test "$local_port")" \
	'<-  220 guarded.test ESMTP.*250-guarded.test.*250 2.1.5'
like "a forward to a gateway" "$(mail bare.test "$gateway_port")" '<-  220 secure.test ESMTP.*250-wrapped.test.*250 2.1.5'

# From postfix to postfix, with the certificate verified.
ok "a message for the postfix outside" submit "through both"
ok "arrives" wait_for "$PATIENCE" grep -rq '^Subject: through both' "$TMP/inside.d/box"
like "the sender has verified gatehouse" "$(cat "$TMP/outside.d/log")" 'Verified TLS connection established to 127.0.0.1'
like "it came by TLS" "$(grep -rh -A 3 'by guarded.test' "$TMP/inside.d/box")" 'with ESMTPS'

# --- bytes: commands as they are on the wire (RFC 5321, RFC 3207) ---

greeting=$'^220 secure.test ESMTP\n'
ok "the metrics count it" wait_for "$PATIENCE" is_counted 'gatehouse_prefaces_total{protocol="smtp"}' 1
like "a greeting comes without a byte of the client" "$(send_text '' --until 5)" '^220 s'
conversation="$greeting"$'250-secure.test\n250 STARTTLS\n250 OK\n220 Ready to start TLS\nended'
like "EHLO offers STARTTLS alone" "$(send_text 'EHLO a\r\nNOOP\r\nSTARTTLS\r\n' --half-close)" "$conversation"
like "in single bytes, too" "$(send_text 'EHLO a\r\nNOOP\r\nSTARTTLS\r\n' --every 1 --half-close)" "$conversation"
ends_as "a client may leave without TLS" "done" "$greeting"$'221 Bye\nended (fin|reset)$' send_text 'QUIT\r\n'
ends_as "mail in the clear is refused, and the client may still leave" "done" \
	"$greeting"$'530 [^\n]*\n530 [^\n]*\n221 Bye\nended (fin|reset)$' \
	send_text 'MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nQUIT\r\n'
refused() { # DESCRIPTION TEXT ANSWER [OPTION...]
	ends_as "$1" bad_preface "$greeting$3"$'\n?ended (fin|reset)$' send_text "$2" "${@:4}"
}
refused "commands without end" "$(printf 'NOOP\\r\\n%.0s' {1..30})" $'(250 OK\n){9}421 [^\n]*'
# CVE-2011-0411: bytes behind the request could be an attacker's.
refused "bytes behind the request" 'EHLO a\r\nSTARTTLS\r\nRSET\r\n' $'250-[^\n]*\n250 STARTTLS\n554 [^\n]*'
hello --sni secure.test >"$TMP/hello"
refused "even a ClientHello" 'STARTTLS\r\n' $'554 [^\n]*' --file "$TMP/hello"
refused "TLS without a request for it" '' $'554 [^\n]*' --file "$TMP/hello"
refused "a line that does not end" "$(printf 'x%.0s' {1..1100})" $'554 [^\n]*'
refused "a line with a NUL" 'EHLO \0\r\n' $'554 [^\n]*'

# --- a server that declines ---

declines() { # NAME WHY
	like "$1: the client reads why" "$(mail "$1.test" "$front" --tls)" '<~\* 421 no server is available'
	logs "the log: $2" msg=connection "sni=$1.test" reason=upstream_preface
	like "$1: the log says: $2" "$(log_value end msg=connection "sni=$1.test")" "$2"
}
declines declined "the server does not offer STARTTLS"
declines busy "the server greets with an error"
is "it has heard nothing at all" "$(cat "$TMP/busy.out")" ''
declines eager "the server sends bytes before TLS"
declines short timeout

write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$busy\", \"$guarded\"], $inner}},"
logs "a reload: a pool" msg=reloaded
is "the next one serves" "$(greeted pool.test "$front" --tls)" guarded
# Under another name, of which no connection has said yet that it declines.
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"localhost:$bare_port\", \"localhost:$guarded_port\"], $check, $inner}},"
logs "a health check with STARTTLS: the one that declines is down" "msg=server marked down" "server=localhost:$bare_port"
logs_not "and the other is not" "msg=server marked down" "server=localhost:$guarded_port"
is "and serves" "$(greeted pool.test "$front" --tls)" guarded
ok "stops" stop_gatehouse

# --- check warns of plain text behind, once for each listener that leads there ---

warnings() { # MEMBER-OF-A-LISTENER...: of check, for a listener of each
	local listeners='' member
	for member; do listeners+="${listeners:+, }{\"address\": \"127.0.0.1:$((++port))\"${member:+, $member}}"; done
	cat >"$TMP/check.json" <<-CONFIG
		{"listen": [$listeners], "hosts": {
			"a.test": {$site, "backend": "mail:25"}, "b.test": {$site, "backend": "more:25"},
			"c.test": {$site, "backend": {"servers": ["c:25"], $inner}}}}
	CONFIG
	"$GATEHOUSE" check -c "$TMP/check.json" 2>&1 | grep -o 'listen.*in plain text'
}
smtp='"starttls": "smtp"'
is "check: a listener" "$(warnings "$smtp")" 'listen[0].starttls: clients reach "mail:25" in plain text'
is "check: two, and one for no such backend" "$(warnings "$smtp, \"host\": \"b.test\"" "$smtp, \"hosts\": [\"a.test\"]" \
	"$smtp, \"host\": \"c.test\"" "$smtp, \"hosts\": [\"c.test\"]" '')" \
	$'listen[0].starttls: clients reach "more:25" in plain text\nlisten[1].starttls: clients reach "mail:25" in plain text'
done_testing
