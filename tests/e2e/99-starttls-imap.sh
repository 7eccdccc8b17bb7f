#!/bin/bash
# IMAP's STARTTLS, in front and behind, with the real dovecot, curl and openssl s_client: TLS ends at gatehouse, or at
# dovecot, end to end. The server greets once. A client that goes on without TLS is refused in the words of IMAP; a
# server that declines is passed over. IDLE lasts as long as something is said now and then.
# needs: dovecot-imapd
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_ca inner
pki_cert root site '*.test' secure.test plain.test tls.test declined.test pool.test proxied.test
pki_cert inner dovecot dovecot.test through.test

# write_dovecot_config NAME PORT [CERT TLS-PORT PROXY-PORT]: a mailbox whose message has NAME for its text.
write_dovecot_config() {
	local dir=$TMP/$1.d owner group tls="ssl = no" users="" disable=no
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
	[[ -z ${3:-} ]] || disable=yes tls="ssl = yes
		ssl_cert = <$PKI/$3.crt
		ssl_key = <$PKI/$3.key
		imap_idle_notify_interval = 1s"
	cat >"$dir/dovecot.conf" <<-CONFIG
		protocols = imap
		listen = 127.0.0.1
		base_dir = $dir/run
		state_dir = $dir/run
		log_path = /dev/stderr
		auth_verbose = yes
		disable_plaintext_auth = $disable
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
		auth_failure_delay = 0
		service anvil {
			unix_listener anvil-auth-penalty {
				mode = 0
			}
		}
		service imap-login {
			chroot =
			inet_listener imap {
				port = $2
			}
			inet_listener imaps {
				port = ${4:-0}
				ssl = yes
			}
			inet_listener proxied {
				port = ${5:-0}
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

for service in bare guarded wrapped proxied; do
	free_port "${service}_port"
	port=${service}_port
	printf -v "$service" %s "127.0.0.1:${!port}"
done
write_dovecot_config bare "$bare_port"
write_dovecot_config guarded "$guarded_port" dovecot "$wrapped_port" "$proxied_port"
run_dovecot bare "$bare"
run_dovecot guarded "$guarded"

# fetch HOST PORT [OPTION of curl...]: the text of the message, or what curl says is wrong
fetch() {
	local host=$1 port=$2 ca=${CA:-root}
	shift 2
	curl --silent --show-error --max-time "$PATIENCE" --noproxy '*' --resolve "$host:$port:127.0.0.1" \
		--cacert "$PKI/$ca.crt" --user alice:secret "$@" "${SCHEME:-imap}://$host:$port/INBOX;MAILINDEX=1" \
		>"$TMP/fetch" 2>&1 || { cat "$TMP/fetch" && return; }
	tr -d '\r' <"$TMP/fetch" | sed '1,/^$/d'
}

# --- the test itself: both servers as they are, without gatehouse ---

is "dovecot without TLS answers" "$(fetch bare.test "$bare_port")" bare
is "dovecot with TLS answers" "$(CA=inner fetch through.test "$guarded_port" --ssl-reqd)" guarded
like "and other capabilities before TLS" "$(PORT=$guarded_port send_text 'a LOGOUT\r\n')" STARTTLS

# --- gatehouse ---

free_port front
free_port direct
free_port accepting
free_port local_port
free_port gateway_port
claim_metrics
site='"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key"'
tls='"tls": {"ca": "pki/inner.crt", "server_name": "dovecot.test"}'
inner="\"starttls\": \"imap\", $tls"
check='"health_check": {"type": "tls", "interval": "100ms", "rise": 1, "fall": 1}'
write_config() { # [HOSTS]: more of them
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [{"address": "127.0.0.1:$front", "starttls": "imap"}, "127.0.0.1:$direct",
				{"address": "127.0.0.1:$accepting", "starttls": "imap", "accept_proxy": ["127.0.0.0/8"]}],
			"hosts": { ${1:-}
				"secure.test": {$site, "backend": {"servers": ["$guarded"], $inner}},
				"plain.test": {$site, "backend": "$bare"},
				"tls.test": {$site, "backend": {"servers": ["$wrapped"], $tls}},
				"proxied.test": {$site, "backend": {"servers": ["$proxied"], "proxy_protocol": "v1", $inner}},
				"declined.test": {$site, "backend": {"servers": ["$bare"], $inner}},
				"through.test": {"mode": "passthrough",
					"backend": {"servers": ["$guarded"], "starttls": "imap"}}
			},
			"forwards": [
				{"listen": "127.0.0.1:$local_port", "ca": "pki/inner.crt", "server_name": "dovecot.test",
					"target": {"servers": ["$guarded"], "starttls": "imap"}},
				{"listen": "127.0.0.1:$gateway_port", "ca": "pki/root.crt", "server_name": "tls.test",
					"target": {"servers": ["127.0.0.1:$front"], "starttls": "imap"}}],
			"proxy": {"hello_timeout": "2s", "idle_timeout": "3s"},
			$METRICS
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# --- IDLE, in the background of all that follows ---

# start_idle NAME HOST: sets NAME_in to a descriptor for what the client says; what it hears is in $TMP/NAME.out
start_idle() {
	local fd
	mkfifo "$TMP/$1.in"
	exec {fd}<>"$TMP/$1.in"
	spawn "$1" sh -c "exec openssl s_client -quiet -starttls imap -servername $2 -connect 127.0.0.1:$front <'$TMP/$1.in'"
	printf 'a LOGIN alice secret\r\nb SELECT INBOX\r\nc IDLE\r\n' >&"$fd"
	printf -v "$1_in" %s "$fd"
}
start_idle notified secure.test
start_idle silent plain.test

# --- who requests TLS is served ---

is "STARTTLS in front, STARTTLS behind" "$(fetch secure.test "$front" --ssl-reqd)" guarded
logs "the log: what preceded TLS" msg=connection sni=secure.test preface=imap mode=terminate tls step=relay
is "STARTTLS in front, plain text behind" "$(fetch plain.test "$front" --ssl-reqd)" bare
is "STARTTLS in front, TLS from the first byte behind" "$(fetch tls.test "$front" --ssl-reqd)" guarded
is "STARTTLS in front, passed through to STARTTLS behind" "$(CA=inner fetch through.test "$front" --ssl-reqd)" guarded
is "TLS from the first byte in front, STARTTLS behind" "$(SCHEME=imaps fetch secure.test "$direct")" guarded
unlike "passed through, nothing can be passed on" "$(CA=inner SCHEME=imaps fetch through.test "$direct")" '^guarded$'
logs "the log: it does not fit" msg=connection sni=through.test reason=no_protocol
like "the server judges the password" \
	"$(fetch secure.test "$front" --ssl-reqd --user alice:wrong)" 'Login denied|Access denied'
like "a password is not asked for before TLS" "$(fetch secure.test "$front")" \
	'No known authentication|Authentication cancelled|Login denied|Access denied'
s_client() { # PORT NAME [OPTION...]: what comes back for a LOGOUT within TLS
	printf 'x LOGOUT\r\n' | timeout "$PATIENCE" openssl s_client -quiet "${@:3}" -servername "$2.test" \
		-connect "127.0.0.1:$1" 2>"$TMP/s_client" | tr -d '\r'
}
for name in secure plain tls through; do
	like "$name: openssl s_client, and no second greeting" "$(s_client "$front" "$name" -starttls imap)" \
		$'^(\\. OK [^\n]*\n)?\\* BYE Logging out\nx OK Logout completed'
done
like "TLS from the first byte: the greeting is the server's, without what it was before TLS" \
	"$(s_client "$direct" secure)" $'^\\* OK dovecot guarded\n\\* BYE'
like "an unknown name: an error within TLS" "$(s_client "$front" no -starttls imap)" '^\* BYE unknown server name'

ok "a PROXY header in front" test -n "$(PORT=$accepting send_text 'PROXY TCP4 192.0.2.7 192.0.2.2 77 143\r\na STARTTLS\r\n' \
	--half-close | grep '^a OK')"
logs "the log: from where" msg=connection client=192.0.2.7:77 preface=imap
is "a PROXY header behind" "$(fetch proxied.test "$front" --ssl-reqd)" guarded

is "a forward: its clients are greeted by the server" "$(fetch bare.test "$local_port")" guarded
like "with its greeting" "$(PORT=$local_port send_text 'x LOGOUT\r\n')" $'^\\* OK dovecot guarded\n\\* BYE'
is "a forward to a gateway" "$(fetch bare.test "$gateway_port")" guarded

# --- bytes: commands as they are on the wire ---

offer="IMAP4rev1 STARTTLS LOGINDISABLED"
greeting="^\* OK \[CAPABILITY $offer\] "$'[^\n]*\n'
ok "the metrics count it" wait_for "$PATIENCE" is_counted 'gatehouse_prefaces_total{protocol="imap"}' 1
like "a greeting comes without a byte of the client" "$(send_text '' --until 5)" '^\* OK'
answers="\* CAPABILITY $offer"$'\na OK [^\n]*\nb OK [^\n]*\nc OK [^\n]*\nended'
commands='a CAPABILITY\r\nb NOOP\r\nc STARTTLS\r\n'
like "CAPABILITY, NOOP and STARTTLS are answered" "$(send_text "$commands" --half-close)" "$greeting$answers"
like "in single bytes, too" "$(send_text "$commands" --every 1 --half-close)" "$greeting$answers"
bye=$'\\* BYE [^\n]*\n'
ends_as "a client may leave without TLS" "done" "$greeting${bye}"$'a OK [^\n]*\nended (fin|reset)$' send_text 'a LOGOUT\r\n'
ends_as "a login in the clear is refused, and the client may still leave" "done" \
	"$greeting"$'a NO \\[PRIVACYREQUIRED\\] [^\n]*\n'"${bye}"$'b OK [^\n]*\nended (fin|reset)$' \
	send_text 'a LOGIN alice secret\r\nb LOGOUT\r\n'
refused() { # DESCRIPTION TEXT ANSWER [OPTION...]
	ends_as "$1" bad_preface "$greeting$3"$'\n?ended (fin|reset)$' send_text "$2" "${@:4}"
}
refused "commands without end" "$(printf 'a NOOP\\r\\n%.0s' {1..30})" $'(a OK [^\n]*\n){9}'"$bye"
refused "bytes behind the request" 'a STARTTLS\r\nb LOGIN eve x\r\n' "$bye"
hello --sni secure.test >"$TMP/hello"
refused "even a ClientHello" 'a STARTTLS\r\n' "$bye" --file "$TMP/hello"
refused "TLS without a request for it" '' "$bye" --file "$TMP/hello"
refused "a line that does not end" "$(printf 'x%.0s' {1..2100})" "$bye"
refused "a line with a NUL" 'a NOOP\0\r\n' "$bye"

# --- a server that declines ---

like "a server that declines: the client reads why" "$(s_client "$front" declined -starttls imap)" \
	'^\* BYE no server is available'
logs "the log: it declines" msg=connection sni=declined.test reason=upstream_preface

# --- IDLE ---

has_notices() { # COUNT
	(($(grep -c '^\* OK Still here' "$TMP/notified.out") >= $1))
}
logs "IDLE without a word ends at idle_timeout" msg=connection sni=plain.test reason=idle
ok "one with notices of the server lasts longer than that" wait_for "$PATIENCE" has_notices 5
printf 'Subject: test\n\nnew\n' >"$TMP/guarded.d/home/Maildir/tmp/2.test"
mv "$TMP/guarded.d/home/Maildir/tmp/2.test" "$TMP/guarded.d/home/Maildir/new/2.test"
ok "and a new message is heard of" wait_for "$PATIENCE" grep -q '^\* 2 EXISTS' "$TMP/notified.out"
# shellcheck disable=SC2154 # of start_idle
printf 'DONE\r\nd LOGOUT\r\n' >&"$notified_in"
ok "IDLE ends by DONE" wait_for "$PATIENCE" grep -q '^c OK Idle completed' "$TMP/notified.out"

write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"$bare\", \"$guarded\"],
	\"balance\": \"round_robin\", $inner}},"
logs "a reload: a pool" msg=reloaded
served=0
for _ in {1..4}; do
	[[ $(fetch pool.test "$front" --ssl-reqd) != guarded ]] || served=$((served + 1))
done
is "one of two servers declines: four of four clients are served" "$served" 4
# Under another name, of which no connection has said yet that it declines.
write_config "\"pool.test\": {$site, \"backend\": {\"servers\": [\"localhost:$bare_port\", \"localhost:$guarded_port\"], $check, $inner}},"
logs "a health check with STARTTLS: the one that declines is down" "msg=server marked down" "server=localhost:$bare_port"
logs_not "and the other is not" "msg=server marked down" "server=localhost:$guarded_port"
ok "stops" stop_gatehouse
done_testing
