#!/bin/bash
# What is not TLS on a TLS port: https, http and ssh on one port, with the real clients and servers; the redirect, what
# is refused, silence, PROXY headers in and out, what the administrator sees, slow clients, requests at every split.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: openssh-server openssh-client curl nginx jq openssl
. "${0%/*}/lib.sh"

for program in sshd ssh curl nginx jq; do
	command -v "$program" >/dev/null || skip_all "no $program here"
done

# --- servers ---

mkdir -m 700 "$TMP/ssh"
free_port sshd_port
ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/user"
cp "$TMP/ssh/user.pub" "$TMP/ssh/authorized"
cat >"$TMP/ssh/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$sshd_port
HostKey $TMP/ssh/host
AuthorizedKeysFile $TMP/ssh/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 50
CONFIG
[[ $(id -u) != 0 ]] || mkdir -p /run/sshd
spawn sshd "$(command -v sshd)" -D -e -f "$TMP/ssh/sshd_config"
wait_for "$PATIENCE" is_listening "127.0.0.1:$sshd_port" || skip_all "sshd does not start here"
echo "loopback $(cut -d' ' -f1-2 "$TMP/ssh/host.pub")" >"$TMP/ssh/known"

pki_ca root
pki_cert root site site.test
start_nginx web http
start_nginx proxied http --proxy-protocol
start_nginx secure tls --cert site
for name in front closed backend redirect silent mixed behind sealed; do
	free_port "$name"
done
claim_metrics
write_config() { # SSH-BACKEND
	cat >"$TMP/config.json" <<-CONFIG
		{
			"listen": [
				{"address": "127.0.0.1:$front", "plaintext": {"http": "$web", "ssh": "$1"}},
				"127.0.0.1:$closed",
				{"address": "127.0.0.1:$backend", "plaintext": {
					"http": {"servers": ["$proxied"], "proxy_protocol": "v2"}}},
				{"address": "127.0.0.1:$redirect", "plaintext": {"http": "redirect"}},
				{"address": "127.0.0.1:$silent", "plaintext": {"http": "redirect", "ssh": "$1", "ssh_silence": "500ms"}},
				{"address": "127.0.0.1:$mixed", "starttls": ["postgres", "ldap"],
					"plaintext": {"http": "redirect", "ssh": "$1", "ssh_silence": "500ms"}},
				{"address": "127.0.0.1:$behind", "accept_proxy": ["127.0.0.0/8"],
					"plaintext": {"http": {"servers": ["$proxied"], "proxy_protocol": "v1"},
						"ssh": "$1", "ssh_silence": "500ms"}},
				{"address": "127.0.0.1:$sealed", "default_host": "site.test", "plaintext": {
					"http": {"servers": ["127.0.0.1:1", "$secure"], "health_check": {"interval": "200ms", "fall": 1},
						"tls": {"ca": "pki/root.crt", "server_name": "site.test"}}}}
			],
			"hosts": {"site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key", "backend": "$web"}},
			"proxy": {"hello_timeout": "2s"},
			"control": {"socket": "control.sock"},
			$METRICS
		}
	CONFIG
}
write_config "127.0.0.1:$sshd_port"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
ctl() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@" 2>&1
}

# --- one port ---

by_ssh() { # PORT COMMAND
	timeout -k 5 30 ssh -F none -p "$1" -i "$TMP/ssh/user" -o IdentitiesOnly=yes -o HostKeyAlias=loopback \
		-o UserKnownHostsFile="$TMP/ssh/known" -o StrictHostKeyChecking=yes -o LogLevel=ERROR \
		"$(id -un)@127.0.0.1" "$2" 2>&1
}
by_http() { # PORT PATH [OPTION of curl...]
	curl --silent --show-error --max-time "$PATIENCE" --noproxy '*' "${@:3}" "http://127.0.0.1:$1$2"
}
by_https() { # PORT
	https https://site.test/ "127.0.0.1:$1" --cacert "$PKI/root.crt" | cut -d' ' -f1-2
}
is "https" "$(by_https "$front")" "web http"
is "http" "$(by_http "$front" / | cut -d' ' -f1-3)" "web http HTTP/1.1"
by_ssh "$sshd_port" true >/dev/null || skip_all "this account cannot log in by ssh"
is "ssh" "$(by_ssh "$front" 'echo in')" in
is "HTTP/1.0" "$(by_http "$front" / --http1.0 | cut -d' ' -f1-3)" "web http HTTP/1.0"
logs "ssh in the log" msg=connection "route=ssh@127.0.0.1:$front" mode=plaintext "upstream=127.0.0.1:$sshd_port" reason=done
logs "http in the log" msg=connection "route=http@127.0.0.1:$front" mode=plaintext "upstream=$web" reason=done
logs_not "nothing is refused" msg=connection reason=not_tls
# The server may answer before it has the whole body, and curl stops then.
like "a request with a body of a megabyte" "$(head -c 1000000 /dev/zero |
	by_http "$front" /files/x --data-binary @- -o /dev/null -w '%{http_code} %{size_upload}')" '^(405|404|403) [0-9]+$'

# --- the redirect ---

location() { # CURL-ARGUMENT...: code and Location
	by_http "$redirect" "$@" -o "$TMP/page" -w '%{http_code} %{redirect_url}'
}
is "a redirect" "$(location /a/b?c=d%20e)" "308 https://127.0.0.1:$redirect/a/b?c=d%20e"
like "says so" "$(cat "$TMP/page")" '^308 Permanent Redirect: .*https'
is "the name is kept, port 80 is not" "$(location / -H 'Host: site.test:80')" '308 https://site.test/'
is "no port" "$(location /x -H 'Host: Site.test')" '308 https://Site.test/x'
is "HEAD" "$(location / -I -H 'Host: site.test')" '308 https://site.test/'
is "POST" "$(location /form -d a=b -H 'Host: site.test')" '308 https://site.test/form'
is "ACME's path as any other" "$(location /.well-known/acme-challenge/x -H 'Host: site.test')" \
	'308 https://site.test/.well-known/acme-challenge/x'
is "by way of a proxy" "$(curl -s -o /dev/null -w '%{http_code} %{redirect_url}' --noproxy '' \
	-x "http://127.0.0.1:$redirect" http://site.test:8080/p)" '308 https://site.test:8080/p'
is "followed" "$(curl -sL --max-time "$PATIENCE" --noproxy '*' --cacert "$PKI/root.crt" \
	--connect-to "::127.0.0.1:$redirect" http://site.test/ | cut -d' ' -f1-2)" "web http"
logs "in the log" msg=connection "route=http@127.0.0.1:$redirect" mode=redirect reason=done step=drain_input "end=redirected to https"
is "https beside it" "$(by_https "$redirect")" "web http"

PORT=$redirect
refused() { # CODE BYTES
	ends_as "$1: ${2:0:60}" not_tls "^HTTP/1.1 $1 .*ended fin" send_text "$2"
}
refused 400 'GET / HTTP/1.1\r\n\r\n'
refused 400 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'
refused 400 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n'
refused 400 'GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n'
refused 400 'GET / HTTP/1.1\nHost: a\n\n'
refused 400 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n'
refused 400 'GET /a\x0bb HTTP/1.1\r\nHost: a\r\n\r\n'
refused 505 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'
refused 414 "GET /$(printf %08200d 0) HTTP/1.1\r\nHost: a\r\n\r\n"
refused 431 "GET / HTTP/1.1\r\nHost: a\r\nX: $(printf %016400d 0)\r\n\r\n"
closed() { # DESCRIPTION BYTES: as what is not TLS
	ends_as "$1" not_tls '^ended (reset|fin)$' send_text "$2"
}
closed "the preface of HTTP/2" 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
closed "SMTP" 'EHLO site.test\r\n'
closed "ssh where it is not configured" 'SSH-2.0-x\r\n'
closed "a NUL" '\0'
PORT=$closed
closed "http where it is not configured" 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
PORT=$redirect
request='GET /split HTTP/1.1\r\nHost: site.test\r\n\r\n'
size=$(printf %b "$request" | wc -c)
bad=0
for ((cut = 1; cut < size; cut++)); do
	[[ $(send_text "$request" --split "$cut") == *'Location: https://site.test/split'* ]] || bad=$((bad + 1))
done
is "a request at every split" "$bad" 0

# --- silence ---

is "ssh that speaks first" "$(by_ssh "$silent" 'echo in')" in
like "a client that waits for the banner" "$(timeout 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$silent; head -n 1 <&3")" '^SSH-2.0-OpenSSH'
is "https there" "$(by_https "$silent")" "web http"
is "http there" "$(by_http "$silent" /x -o /dev/null -w '%{http_code}')" 308
like "and where clients may ask for TLS" "$(timeout 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$mixed; head -n 1 <&3")" '^SSH-2.0-OpenSSH'
is "ssh there" "$(by_ssh "$mixed" 'echo in')" in
is "http there" "$(by_http "$mixed" /x -o /dev/null -w '%{http_code}')" 308
is "https there" "$(by_https "$mixed")" "web http"
PORT=$mixed
like "a request for TLS there" "$(send_hex 0000000804d2162f --half-close)" '^received 53 ' # S
PORT=$front
ends_as "elsewhere silence ends as before" no_hello '^ended' send_text ''

# --- PROXY headers ---

is "a PROXY header to the backend" "$(by_http "$backend" / | cut -d' ' -f1,2,5)" "proxied http 127.0.0.1"
PORT=$behind
like "and one from a proxy" "$(send_text 'PROXY TCP4 203.0.113.9 198.51.100.7 1234 80\r\nGET / HTTP/1.0\r\n\r\n')" \
	'proxied http HTTP/1.0  203.0.113.9'
like "silence behind a header" "$(timeout 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$behind; echo -e 'PROXY UNKNOWN\r' >&3; head -n 1 <&3")" '^SSH-2.0-OpenSSH'
logs "it counts in the log" msg=connection client=203.0.113.9:1234 "route=http@127.0.0.1:$behind"

# --- TLS to the server, of which one is down ---

is "http in, https out" "$(by_http "$sealed" / | cut -d' ' -f1-2,4)" "secure https site.test"
logs "the server that is down" "msg=server marked down" server=127.0.0.1:1
is "a host by default beside it" "$(curl -sk --max-time "$PATIENCE" "https://127.0.0.1:$sealed/" | cut -d' ' -f1-2)" "web http"

# --- the administrator ---

is "routes" "$(ctl routes --route "http@127.0.0.1:$redirect" --json | jq -c '.routes[0] | [.route, .mode, .backend, .active]')" \
	"[\"http@127.0.0.1:$redirect\",\"redirect\",null,0]"
scrape
like "metrics" "$(grep "ssh@127.0.0.1:$front" "$TMP/metrics")" 'gatehouse_route_connections'
is_open() {
	[[ $(ctl sessions --json --route "ssh@127.0.0.1:$front" | jq '.sessions | length') == 1 ]]
}
exec 4<>"/dev/tcp/127.0.0.1/$front"
printf 'SSH-2.0-raw\r\n' >&4
ok "sessions" wait_for "$PATIENCE" is_open
like "drain" "$(ctl drain "ssh@127.0.0.1:$front")" '.'
PORT=$front
ends_as "a drained route" drained '^ended' send_text 'SSH-2.0-x\r\n'
is "no other is drained" "$(by_http "$front" / | cut -d' ' -f1-2)" "web http"
ctl undrain "ssh@127.0.0.1:$front" >/dev/null
is "undrained" "$(by_ssh "$front" 'echo in')" in
like "explain of the running one" "$(ctl explain --listen "127.0.0.1:$redirect" --plaintext http)" \
	"host: http@127.0.0.1:$redirect.*mode: redirect.*answer: 308 Permanent Redirect to https"
explain() {
	"$GATEHOUSE" explain -c "$TMP/config.json" --json "$@" | jq -c "[.route.host, .route.mode, .why]"
}
is "explain" "$(explain --listen "127.0.0.1:$front" --plaintext ssh)" "[\"ssh@127.0.0.1:$front\",\"plaintext\",null]"
is "of bytes" "$(printf 'GET / HTTP/1.1\r\n' | explain --listen "127.0.0.1:$front" --hello -)" \
	"[\"http@127.0.0.1:$front\",\"plaintext\",null]"
is "where there is none" "$(explain --listen "127.0.0.1:$closed" --plaintext ssh)" '[null,null,"not TLS"]'
write_config "127.0.0.1:1"
like "a reload with another server" "$(ctl reload)" 'settings'
PORT=$front
ends_as "which does not answer" dial '^ended reset' send_text 'SSH-2.0-x\r\n'
printf 'more\r\n' >&4
ok "a session from before goes on" is_open
one_configuration() {
	scrape && [[ $(metric gatehouse_snapshots) == 1 ]]
}
ok "it keeps its route, and no old configuration" wait_for "$PATIENCE" one_configuration
is "that session is known as what it is" \
	"$(ctl sessions --json --route "ssh@127.0.0.1:$front" | jq -r '.sessions[].mode')" plaintext
exec 4>&-

check() {
	echo "$1" >"$TMP/check.json"
	(cd "$TMP" && "$GATEHOUSE" check -c check.json 2>&1)
}
like "check names the place" "$(check '{"listen": [
	{"address": ":1",
	 "plaintext": {"http": "redirect",
	 	"ssh": {"servers": ["a:1"], "tls": {"ca": "none.pem"}}}}]}')" \
	'check.json:4: listen\[0\].plaintext.ssh.tls.ca: .*none.pem'
like "silence needs time" "$(check '{"listen": {"address": ":1", "plaintext": {"ssh": "a:1", "ssh_silence": "10s"}}}')" \
	'check.json:1: listen.plaintext.ssh_silence: expected less than "proxy.hello_timeout"'

ok "it ends well" stop_gatehouse
done_testing
