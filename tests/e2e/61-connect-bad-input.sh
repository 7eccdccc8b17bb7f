#!/bin/bash
# Whatever goes wrong, connect says so in one line that tells what to do, and its status is 1.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: openssl perl
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME=
mkdir -p "$HOME"
cd "$TMP" || exit 1

pki_ca root
pki_ca clients
pki_ca strangers
pki_cert root site app.test '*.wild.test'
pki_cert root old --expired app.test
pki_cert root future --notyet app.test
pki_cert clients alice
pki_cert clients bob
pki_cert clients late --expired
pki_cert clients gone
pki_crl clients gone
pki_cert strangers eve
start_echo echo
free_port front
free_port other
free_port nowhere
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {
		"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$echo",
			"alpn": {"ssh": {"backend": "$echo", "client_auth": "required",
				"ca": "pki/clients.crt", "crl": "pki/clients.crl",
				"acl": {"allow_cn": ["alice", "late", "gone"]}}}},
		"only.wild.test": {"alpn": {"ssh": {"mode": "terminate", "cert": "pki/site.crt",
			"key": "pki/site.key", "backend": "$echo"}}}
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# Sets LINE (all of stderr) and STATUS; what came is in the file out.
connect() { # ARGUMENT...
	# shellcheck disable=SC2086 # the wrap is a command with its options
	timeout -k 5 30 $GATEHOUSE_WRAP "$GATEHOUSE" connect --ca pki/root.crt "$@" \
		>"$TMP/out" 2>"$TMP/line" <&"${INPUT:-0}"
	STATUS=$?
	LINE=$(cat "$TMP/line")
}

fails() { # DESCRIPTION LINE: the last one failed, and said just this
	is "$1" "$STATUS $LINE" "1 gatehouse connect: $2"
}

# Somebody who has something to say and waits for the answer, as ssh does.
mkfifo "$TMP/waiting"
exec {INPUT}<>"$TMP/waiting"
gw=127.0.0.1:$front

# --- getting there ---

connect nowhere.invalid
fails "unknown host" "nowhere.invalid: no such name; check the name, or the name servers of this machine"
connect "127.0.0.1:$nowhere"
fails "gateway down" "127.0.0.1:$nowhere: connection refused; is the gateway running, and is the port right?"
connect -6 127.0.0.1
fails "no address of that family" \
	"127.0.0.1: it has no IPv6 address; check the name, or the name servers of this machine"

# A listener whose queue is full: SYNs are dropped, as by a firewall.
spawn deaf perl -e 'use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET,
	SO_REUSEADDR, 1); bind($s, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die; listen($s, 0);
	my @full; for (1..3) { socket(my $c, PF_INET, SOCK_STREAM, 0); use Fcntl;
	fcntl($c, F_SETFL, O_NONBLOCK); connect($c, sockaddr_in($ARGV[0], INADDR_LOOPBACK));
	push @full, $c } $| = 1; print "full\n"; sleep 300' "$other"
wait_for "$PATIENCE" grep -q full "$TMP/deaf.out"
connect --connect-timeout 300ms "127.0.0.1:$other"
fails "gateway that does not answer" "127.0.0.1:$other: no answer from 127.0.0.1:$other within 300 ms; is it down, or does a firewall drop it?"
stop "$deaf_pid"

# A name server that is silent.
if [[ $(id -u) == 0 ]] && unshare -m true 2>/dev/null; then
	echo 'nameserver 127.0.0.2' >"$TMP/resolv.conf"
	spawn silent perl -e 'use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0);
		bind($s, sockaddr_in(53, inet_aton("127.0.0.2"))) or die; $| = 1; print "bound\n"; sleep 300'
	if wait_for 5 grep -q bound "$TMP/silent.out"; then
		# shellcheck disable=SC2016 # the inner shell expands it
		LINE=$(unshare -m sh -c 'mount --bind "$1" /etc/resolv.conf && exec "$2" connect \
			--connect-timeout 300ms gw.example.org' - "$TMP/resolv.conf" "$GATEHOUSE" 2>&1)
		STATUS=$?
		fails "silent name server" "gw.example.org: the name server did not answer within 300 ms"
	else
		skip 1 "port 53 is taken"
	fi
	stop "$silent_pid"
else
	skip 1 "only root can have another resolv.conf"
fi

# --- who answers there ---

server() { # WORD... : one connection's TLS server; options in OPTIONS
	# shellcheck disable=SC2086 # words
	spawn server talk --listen ${OPTIONS:-} "127.0.0.1:$other" "$@"
	wait_for "$PATIENCE" grep -q listening "$TMP/server.out" || bail_out "$(cat "$TMP/server.err")"
}
over() { stop "$server_pid" KILL; }
plain=127.0.0.1:$other

OPTIONS='' server garbage=100 wait
connect "$plain"
fails "gateway that is not TLS" "$plain: the answer is not TLS; is it the right port?"
over
OPTIONS='' server wait
connect --connect-timeout 300ms "$plain"
fails "gateway that hangs in the handshake" "$plain: connected, but the TLS handshake did not finish within 300 ms; is it a TLS port?"
over
OPTIONS='' server fin
connect --sni app.test "$plain"
fails "gateway that closes at once" "$plain: closed during the TLS handshake; is it a TLS port, and does the gateway know \"app.test\"?"
over
OPTIONS="--tls --cert pki/site.crt --key pki/site.key --max TLS1.2" server wait
connect --sni app.test "$plain"
fails "no common version" "$plain: the gateway does not support TLS1.3 or later; see --min-version"
over

connect --sni nobody.test "$gw"
fails "name mismatch" "$gw: server certificate: not for \"nobody.test\"; its names: app.test, *.wild.test; give one of them with --sni; or the gateway has no such host"
"$GATEHOUSE" connect --ca pki/clients.crt --sni app.test "$gw" 2>line <&"$INPUT"
STATUS=$? LINE=$(cat line)
fails "wrong CA" "$gw: server certificate: unable to get local issuer certificate; no CA of --ca issued it"
"$GATEHOUSE" connect --sni app.test "$gw" 2>line <&"$INPUT"
STATUS=$? LINE=$(cat line)
fails "no CA" "$gw: server certificate: unable to get local issuer certificate; give the CA that issued it with --ca"
connect --pin "$(printf '0%.0s' {1..64})" --sni app.test "$gw"
like "wrong pin" "$STATUS $LINE" "^1 gatehouse connect: $gw: server certificate: not the pinned one; its SHA-256 is [0-9a-f]{64}, its key's [0-9a-f]{64}; if the gateway has a new certificate, give its SHA-256 with --pin$"

date_of() { # NAME startdate|enddate
	date -u -d "$(openssl x509 -in "$PKI/$1.crt" -noout "-$2" | sed 's/.*=//')" +%Y-%m-%dT%H:%M:%SZ
}
OPTIONS="--tls --cert pki/old.crt --key pki/old.key" server wait
connect --sni app.test "$plain"
fails "gateway's certificate expired" "$plain: server certificate: expired at $(date_of old enddate); the operator of the gateway must renew it"
over
OPTIONS="--tls --cert pki/future.crt --key pki/future.key" server wait
connect --sni app.test "$plain"
fails "gateway's certificate is of the future" "$plain: server certificate: not valid before $(date_of future startdate); is the clock of this machine right?"
over

# --- what it leads to ---

connect --sni two.wild.test --alpn ssh "$gw"
fails "no such host, for a client of another protocol" "$gw: no host \"two.wild.test\" behind the gateway; check the name, or give the right one with --sni"
printf 'SSH-2.0-OpenSSH_9.2\r\n' >banner
cat banner >&"$INPUT"
connect --sni two.wild.test "$gw"
fails "no such host, said in HTTP" "$gw: no host \"two.wild.test\" behind the gateway: it answered \"421 Misdirected Request\"; check the name, or give the right one with --sni"
like "the answer is on stdout like any other" "$(cat out)" '^HTTP/1.1 421 '
connect --sni only.wild.test --alpn postgresql,h2 "$gw"
fails "no such protocol" "$gw: refused by the gateway: \"only.wild.test\" does not support \"postgresql\", \"h2\"; give another protocol with --alpn, or the right name with --sni"
connect --sni only.wild.test "$gw"
fails "only by protocol" "$gw: refused by the gateway: \"only.wild.test\" requires an application protocol; give one with --alpn"

# --- who we are: in TLS 1.3 a refusal comes when the handshake seems done, and is told all the same ---

ssh=(--sni app.test --alpn ssh "$gw")
with() { # NAME [OPTION...]
	local name=$1
	shift
	connect --cert "pki/$name.crt" --key "pki/$name.key" "$@" "${ssh[@]}"
}
connect "${ssh[@]}"
fails "no certificate where one is required" "$gw: refused by the gateway: certificate required; it requests a client certificate: give one with --cert and --key"
INPUT=0 connect "${ssh[@]}" <banner
fails "the same when there is something to send" "$gw: refused by the gateway: certificate required; it requests a client certificate: give one with --cert and --key"
with eve
fails "unknown CA" "$gw: refused by the gateway: unknown CA; client certificate pki/eve.crt (CN=eve): the gateway does not trust its issuer"
with late
fails "expired client certificate" "$gw: refused by the gateway: certificate expired; client certificate pki/late.crt (CN=late), which expired at $(date_of late enddate): renew it"
with gone
fails "revoked" "$gw: refused by the gateway: certificate revoked; client certificate pki/gone.crt (CN=gone): get a new one"
with bob
fails "refused by the ACL" "$gw: refused by the gateway: handshake failure; client certificate pki/bob.crt (CN=bob): the rules of the gateway do not admit it"
head -c 30000000 /dev/zero >zeros
exec {keep}<zeros
INPUT=$keep with bob
fails "refused while much is being sent" "$gw: refused by the gateway: handshake failure; client certificate pki/bob.crt (CN=bob): the rules of the gateway do not admit it"

# --- keys ---

connect --cert pki/alice.crt --key pki/bob.key "${ssh[@]}"
fails "a key that does not match" "pki/bob.key: is the key of another certificate than pki/alice.crt"
connect --cert pki/alice.crt --key nothing.key "${ssh[@]}"
fails "a key that is not there" "nothing.key: no such file"
connect --cert pki/alice.crt --key pki "${ssh[@]}"
fails "a key that is a directory" "pki: is a directory, expected a file"
if [[ $(id -u) == 0 ]]; then
	cp pki/alice.key closed.key
	chmod 600 closed.key
	chmod 644 pki/*.crt
	LINE=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$GATEHOUSE" connect \
		--ca pki/root.crt --cert pki/alice.crt --key closed.key "${ssh[@]}" 2>&1 </dev/null)
	STATUS=$?
	if [[ $LINE == *"exec"* ]]; then skip 1 "nobody may not run $GATEHOUSE"; else
		fails "a key that may not be read" "closed.key: Permission denied"
	fi
else
	skip 1 "only root can become another user"
fi
connect --cert pki/alice.crt "${ssh[@]}"
fails "no key" "pki/alice.crt: there is no private key in it; name its file with --key"
connect --key pki/alice.key "${ssh[@]}"
fails "no certificate" "pki/alice.key: there is no certificate in it"
printf -- '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n' >bad.key
connect --cert pki/alice.crt --key bad.key "${ssh[@]}"
like "a key that is broken" "$STATUS $LINE" '^1 gatehouse connect: bad.key: its private key cannot be read \('
pki_openssl pkcs12 -export -in pki/alice.crt -inkey pki/alice.key -passout pass:secret -out alice.p12
chmod 600 alice.p12
LINE=$(setsid -w "$GATEHOUSE" connect --ca pki/root.crt --cert alice.p12 "${ssh[@]}" 2>&1 </dev/null)
STATUS=$?
fails "a key that asks for a passphrase, and no terminal" "alice.p12: is encrypted, and there is no terminal to read its passphrase from; give a file with --passphrase-file"
echo wrong >passphrase
connect --cert alice.p12 --passphrase-file passphrase "${ssh[@]}"
like "the wrong passphrase" "$STATUS $LINE" '^1 gatehouse connect: alice.p12: the passphrase does not open it \('
connect --cert alice.p12 --passphrase-file nothing "${ssh[@]}"
fails "no passphrase file" "alice.p12: passphrase file \"nothing\": No such file or directory"
connect --ca nothing.pem "${ssh[@]}"
fails "no CA file" "--ca: \"nothing.pem\": no such file"

# --- on the way ---

OPTIONS="--tls --cert pki/site.crt --key pki/site.key" server send=1000 garbage=200 wait
connect --sni app.test "$plain"
like "garbage mid-stream" "$STATUS $LINE" "^1 gatehouse connect: $plain: connection lost: "
is "what came before was delivered" "$(wc -c <out)" 1000
over
OPTIONS="--tls --cert pki/site.crt --key pki/site.key" server send=1000 fin
connect --sni app.test "$plain"
fails "an end without close_notify" "$plain: connection lost: closed without close_notify; a failure of the network, or a timeout of the gateway"
over
OPTIONS="--tls --cert pki/site.crt --key pki/site.key" server send=1000 reset
connect --sni app.test "$plain"
fails "a reset" "$plain: connection lost: reset by peer; a failure of the network, or a timeout of the gateway"
over

# --- our own ends ---

INPUT=0 connect --sni app.test "$gw" </dev/null
is "stdin closed at once is no failure" "$STATUS $LINE" "0 "
LINE=$("$GATEHOUSE" connect --ca pki/root.crt --sni app.test "$gw" 2>&1 >&- </dev/null)
STATUS=$?
fails "stdout that is not open" "standard output is not open"
{
	"$GATEHOUSE" connect --ca pki/root.crt --sni app.test "$gw" 2>line </dev/zero
	echo "$?" >status
} | head -c 100000 >/dev/null
STATUS=$(cat status) LINE=$(cat line)
fails "stdout that nobody reads any more" "standard output: closed by its reader"
{
	"$GATEHOUSE" connect --ca pki/root.crt --sni app.test "$gw" 2>line <&"$INPUT"
	echo "$?" >status
} | true
STATUS=$(cat status) LINE=$(cat line)
fails "the same, noticed while nothing is to be written" "standard output: closed by its reader"
if [[ -c /dev/full ]]; then
	"$GATEHOUSE" connect --ca pki/root.crt --sni app.test "$gw" 2>line >/dev/full < <(echo x)
	STATUS=$? LINE=$(cat line)
	fails "stdout that is full" "standard output: No space left on device"
else
	skip 1 "no /dev/full"
fi

ok "gatehouse ends well" stop_gatehouse
done_testing
