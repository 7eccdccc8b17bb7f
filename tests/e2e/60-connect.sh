#!/bin/bash
# connect joins stdin and stdout to a TLS connection: every byte, both ends, whatever they are.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: openssl socat perl util-linux
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME=
mkdir -p "$HOME"

pki_ca root
pki_ca clients
pki_cert root site app.test '*.wild.test' 127.0.0.1
pki_cert clients alice --org ops
start_echo echo
start_echo half --half-close-test
start_echo greeter --greet 'hello '
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$echo",
			"alpn": {
				"half": {"backend": "$half"},
				"mtls": {"backend": "$greeter", "client_auth": "required", "ca": "pki/clients.crt"}
			}},
		"127.0.0.1": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$echo"}
	}
}
CONFIG
sed -i '/"127.0.0.1": {/,/"backend"/d; s/^\t\t\t}},$/\t\t\t}}/' "$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

gw() { # ARGUMENT...: connect to it as app.test
	timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" connect --ca "$PKI/root.crt" --sni app.test "$@" \
		"127.0.0.1:$front"
}

# --- bytes ---

is "bytes come back" "$(echo hello | gw 2>&1)" hello
echo hello | gw >/dev/null
is "a clean end is 0" "$?" 0
is "half-close: the answer comes after our end" "$(printf 12345 | gw --alpn half)" 'got 5 bytes'
is "stdin at its end from the beginning" "$(gw --alpn half </dev/null 2>&1; echo $?)" $'got 0 bytes\n0'
is "stdin that is not open" "$(gw --alpn half <&- 2>&1; echo $?)" $'got 0 bytes\n0'

head -c 20000000 /dev/urandom >"$TMP/blob"
sum=$(sha256sum <"$TMP/blob")
is "20 MB through pipes" "$(cat "$TMP/blob" | gw | sha256sum)" "$sum"
gw <"$TMP/blob" >"$TMP/copy"
is "20 MB from a file to a file" "$(sha256sum <"$TMP/copy")" "$sum"
is "20 MB to a slow reader" "$(gw <"$TMP/blob" | { sleep 0.3; sha256sum; })" "$sum"

# One socket pair for both, as some programs run their helpers.
cat >"$TMP/pair" <<SCRIPT
#!/bin/bash
exec timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" connect --ca "$PKI/root.crt" --sni app.test \
	"127.0.0.1:$front"
SCRIPT
chmod 755 "$TMP/pair"
is "20 MB through a socket pair" \
	"$(socat -t 30 - "EXEC:$TMP/pair" <"$TMP/blob" | sha256sum)" "$sum"

# A terminal: what the shell has there stays blocking, and the end of the other side ends it all.
is "a terminal" "$({ printf 'hi\n'; printf '\004'; } |
	socat -t 30 - "EXEC:$TMP/pair,pty,setsid,ctty,echo=0" | tr -d '\r')" hi
mkfifo "$TMP/fifo"
exec 7<>"$TMP/fifo"
before=$(accepts echo)
"$GATEHOUSE" connect --ca "$PKI/root.crt" --sni app.test "127.0.0.1:$front" <&7 >/dev/null 2>&1 &
connect=$!
identity "$connect" >>"$TMP/.processes"
wait_for "$PATIENCE" has_accepted echo $((before + 1))
flags=$(sed -n 's/^flags:[^0-9]*//p' "/proc/$$/fdinfo/7")
is "a pipe that others have too stays blocking" $((8#$flags & 8#4000)) 0
kill -HUP "$connect"
wait "$connect" 2>/dev/null
is "SIGHUP ends it, as it ends others" "$?" 129
exec 7>&-
logs "with a proper end to the connection" msg=connection end=done up=0 down=0

# --- who are we ---

is "a client certificate in two files" \
	"$(echo x | gw --alpn mtls --cert "$PKI/alice.crt" --key "$PKI/alice.key")" 'hello x'
cat "$PKI/alice.crt" "$PKI/alice.key" >"$TMP/both.pem"
chmod 600 "$TMP/both.pem"
is "in one" "$(echo x | gw --alpn mtls --cert "$TMP/both.pem" 2>&1)" 'hello x'
is "or by its key's name" "$(echo x | gw --alpn mtls --key "$TMP/both.pem" 2>&1)" 'hello x'
chmod 644 "$TMP/both.pem"
is "a key that others can read" "$(echo x | gw --alpn mtls --cert "$TMP/both.pem" 2>&1 >/dev/null)" \
	"gatehouse connect: warning: $TMP/both.pem: mode 0644 lets other users read this key; run chmod 600"

pki_openssl pkcs12 -export -in "$PKI/alice.crt" -inkey "$PKI/alice.key" -passout pass:secret \
	-out "$TMP/alice.p12"
chmod 600 "$TMP/alice.p12"
echo secret >"$TMP/passphrase"
is "PKCS#12 with a passphrase from a file" \
	"$(echo x | gw --alpn mtls --cert "$TMP/alice.p12" --passphrase-file "$TMP/passphrase" 2>&1)" 'hello x'
pki_openssl pkcs12 -export -in "$PKI/alice.crt" -inkey "$PKI/alice.key" -passout pass: \
	-out "$TMP/open.p12"
chmod 600 "$TMP/open.p12"
is "PKCS#12 without one" "$(echo x | gw --alpn mtls --key "$TMP/open.p12" 2>&1)" 'hello x'
pki_openssl ec -in "$PKI/alice.key" -aes128 -passout pass:secret -out "$TMP/alice.enc"
chmod 600 "$TMP/alice.enc"
is "an encrypted PEM key" "$(echo x | gw --alpn mtls --cert "$PKI/alice.crt" --key "$TMP/alice.enc" \
	--passphrase-file "$TMP/passphrase" 2>&1)" 'hello x'
cat >"$TMP/ask" <<SCRIPT
#!/bin/bash
exec timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" connect --ca "$PKI/root.crt" --sni app.test --alpn mtls \
	--cert "$PKI/alice.crt" --key "$TMP/alice.enc" "127.0.0.1:$front" </dev/null
SCRIPT
chmod 755 "$TMP/ask"
mkfifo "$TMP/typed"
exec 8<>"$TMP/typed"
socat -t 30 - "EXEC:$TMP/ask,pty,setsid,ctty" <&8 >"$TMP/screen" 2>/dev/null &
terminal=$!
identity "$terminal" >>"$TMP/.processes"
wait_for "$PATIENCE" grep -q Passphrase "$TMP/screen"
echo secret >&8
wait_for "$PATIENCE" grep -q hello "$TMP/screen"
exec 8>&-
is "a passphrase asked at the terminal, which does not show it" "$(tr -d '\r' <"$TMP/screen")" \
	"Passphrase for $TMP/alice.enc: "$'\n''hello '
stop "$terminal"

# --- whom do we believe ---

certificate=$(openssl x509 -in "$PKI/site.crt" -noout -fingerprint -sha256 | sed 's/.*=//')
key=$(openssl x509 -in "$PKI/site.crt" -noout -pubkey | openssl pkey -pubin -outform DER |
	openssl dgst -sha256 -binary | base64)
pinned() { echo x | timeout 60 "$GATEHOUSE" connect --sni app.test "$@" "127.0.0.1:$front" 2>&1; }
is "a pinned certificate" "$(pinned --pin "$certificate")" x
is "a pinned key" "$(pinned --pin "sha256//$key")" x
is "one of two pins" "$(pinned --pin "${certificate//[0-9]/0}" --pin "SHA256:${certificate//:/}")" x
is "a pin and a CA" "$(pinned --pin "$certificate" --ca "$PKI/root.crt")" x
like "a pin does not do without the CA that was asked for" \
	"$(pinned --pin "$certificate" --ca "$PKI/clients.crt")" 'no CA of --ca issued it$'
mkdir "$TMP/cas"
cp "$PKI/root.crt" "$TMP/cas/root.pem"
is "a directory of CAs" "$(pinned --ca "$TMP/cas")" x
is "one of two CAs" "$(pinned --ca "$PKI/clients.crt" --ca "$PKI/root.crt")" x

# --- the way there ---

mkfifo "$TMP/silent"
exec 9<>"$TMP/silent"
# What the kernel has running for the connection of such a connect: 00 nothing, 02 keepalive.
timer_of() { # ARGUMENT...
	local before pid port
	before=$(accepts echo)
	"$GATEHOUSE" connect --ca "$PKI/root.crt" --sni app.test "$@" "127.0.0.1:$front" \
		<&9 >/dev/null 2>&1 &
	pid=$!
	identity "$pid" >>"$TMP/.processes"
	wait_for "$PATIENCE" has_accepted echo $((before + 1))
	printf -v port %04X "$front"
	awk -v to="0100007F:$port" '$3 == to && $4 == "01" { print substr($6, 1, 2) }' /proc/net/tcp
	kill "$pid"
	wait "$pid" 2>/dev/null
}
is "TCP keepalive is on" "$(timer_of)" 02
is "as it is told" "$(timer_of --keepalive 5s)" 02
is "or off" "$(timer_of --keepalive 0)" 00
exec 9>&-

# A name with two addresses, of which one drops all that comes: whichever is tried first, the other
# one answers soon.
if [[ $(id -u) == 0 ]] && unshare -m true 2>/dev/null; then
	printf '127.0.0.2 two.test\n127.0.0.3 two.test\n' >"$TMP/hosts"
	free_port two
	pki_cert root two two.test
	reaches() { # DEAF LIVE
		spawn deaf perl -e 'use Socket; use Fcntl; socket(my $s, PF_INET, SOCK_STREAM, 0);
			my $at = sockaddr_in($ARGV[1], inet_aton($ARGV[0])); setsockopt($s, SOL_SOCKET,
			SO_REUSEADDR, 1); bind($s, $at) or die; listen($s, 0); my @full; for (1..3) {
			socket(my $c, PF_INET, SOCK_STREAM, 0); fcntl($c, F_SETFL, O_NONBLOCK);
			connect($c, $at); push @full, $c } $| = 1; print "full\n"; sleep 300' "$1" "$two"
		wait_for "$PATIENCE" grep -q full "$TMP/deaf.out"
		spawn live talk --listen --tls --cert "$PKI/two.crt" --key "$PKI/two.key" "$2:$two" send=3 wait
		wait_for "$PATIENCE" grep -q listening "$TMP/live.out"
		# shellcheck disable=SC2016 # the inner shell expands it
		unshare -m sh -c 'mount --bind "$1" /etc/hosts && exec "$2" connect -v --connect-timeout 5s \
			--ca "$3" "two.test:$4"' - "$TMP/hosts" "$GATEHOUSE" "$PKI/root.crt" "$two" \
			</dev/null 2>"$TMP/two.err" | wc -c
		stop "$deaf_pid"
		stop "$live_pid" KILL 2>/dev/null
	}
	is "one of two addresses answers" "$(reaches 127.0.0.2 127.0.0.3)" 3
	like "and it is that one" "$(cat "$TMP/two.err")" "connected to 127.0.0.3:$two"
	is "or the other" "$(reaches 127.0.0.3 127.0.0.2)" 3
	like "and it is that one" "$(cat "$TMP/two.err")" "connected to 127.0.0.2:$two"
else
	skip 4 "only root can have another /etc/hosts"
fi

# --- what it tells ---

verbose=$(echo x | gw -v --alpn half 2>&1 >/dev/null)
like "-v tells of the connection" "$verbose" "connected to 127.0.0.1:$front"
like "-v tells of TLS" "$verbose" 'TLSv1.3, TLS_[A-Z0-9_]*, protocol half'
like "-v tells of the bytes" "$verbose" '2 bytes sent, 12 received'

is "no argument is a usage error" "$("$GATEHOUSE" connect >/dev/null 2>&1; echo $?)" 2
is "an option that there is not, too" "$("$GATEHOUSE" connect --what app.test >/dev/null 2>&1; echo $?)" 2
is "a value that is none, too" "$("$GATEHOUSE" connect --keepalive ten app.test 2>&1 | head -n 1)" \
	'gatehouse connect: --keepalive: expected a duration such as "10s", got "ten"'
is "--help is 0" "$("$GATEHOUSE" connect --help >/dev/null; echo $?)" 0

ok "it ends well" stop_gatehouse
done_testing
