#!/bin/bash
# gatehouse ctl: what it tells is so, what it is told is done, and who may not ask is not answered.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site app.test mtls.test
pki_cert root alice --cn alice --org ops --eku client
start_echo back
free_port front

write_config() { # [HOST]: one more, passed through
	local more=
	(($# == 0)) || more="\"$1\": {\"mode\": \"passthrough\", \"backend\": \"$back\"},"
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "workers": 2,
			"hosts": { $more
				"app.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$back"},
				"mtls.test": {"mode": "terminate", "cert": "pki/site.crt",
					"key": "pki/site.key", "backend": "$back",
					"client_auth": "required", "ca": "pki/root.crt"}
			},
			"control": {"socket": "$TMP/control.sock"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

ctl() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@" 2>&1
}

raw() { # LINE: straight to the socket
	# shellcheck disable=SC2016 # of perl
	printf "%s\n" "$1" | perl -MIO::Socket::UNIX -e '$SIG{PIPE} = "IGNORE";
		my $s = IO::Socket::UNIX->new(Peer => shift) or die $!;
		print $s join("", <STDIN>); $s->flush; print <$s>' "$TMP/control.sock"
}

counts() { # NUMBER [FILTER...]: of sessions in the relay
	[[ $(ctl sessions --json "${@:2}" | grep -o '"step":"relay"' | wc -l) == "$1" ]]
}

write_config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
is "the socket is its user's alone" "$(stat -c %a "$TMP/control.sock")" 600

# --- who is there ---

spawn one talk --tls --sni app.test "127.0.0.1:$front" exchange=5000 recv=1
spawn two talk --tls --sni mtls.test --cert "$PKI/alice.crt" --key "$PKI/alice.key" \
	"127.0.0.1:$front" exchange=700 recv=1
ok "two are there" wait_for "$PATIENCE" counts 2
told() {
	ctl sessions --json --route mtls.test | grep -q '"up":700,"down":700'
}
ok "with their bytes, while they live" wait_for "$PATIENCE" told
like "who, to what, at which step" "$(ctl sessions --json --cn alice)" \
	'"source":"127.0.0.1:[0-9]+","listener":"127.0.0.1:'"$front"'","sni":"mtls.test","identity":"O=ops,CN=alice","route":"mtls.test","alpn":null,"mode":"terminate","upstream":"'"$back"'","since":"20.*"step":"relay"\}\],"matched":1\}$'
like "as a table" "$(ctl sessions --route app.test)" $'^id +source .*\n[0-9]+ +127.0.0.1:[0-9]+ .* app.test .* relay\nmatched: 1$'
ok "by name: nobody" counts 0 --cn bob
ok "by network" counts 2 --from 127.0.0.0/8
ok "by another" counts 0 --from 10.0.0.0/8
ok "both must fit" counts 0 --cn alice --route app.test
like "at most one" "$(ctl sessions --limit 1)" 'matched: 2$'
is "which is one" "$(ctl sessions --limit 1 | wc -l)" 3

like "status" "$(ctl status --json)" '^\{"ok":true,"version":"[0-9.]+","pid":'"$gatehouse_pid"',"state":"serving"'
counted() {
	ctl routes --json --route mtls.test | grep -q '"up":700,"down":700'
}
ok "a route's bytes, while connections live" wait_for "$PATIENCE" counted
like "routes" "$(ctl routes --route mtls.test)" $'\nmtls.test +- +terminate +required +'"$back"' +1 +1 +700 +700 +0 +no'
like "certificates" "$(ctl certs)" "$PKI/site.crt +app.test,mtls.test +ECDSA"
like "servers" "$(ctl servers)" "$back +not watched"

# --- what a client would get ---

is "explain says what the command of that name does" "$(ctl explain --sni app.test)" \
	"$("$GATEHOUSE" explain -c "$TMP/config.json" --sni app.test)"
like "on a listener" "$(ctl explain --sni no.test --listen :1)" \
	'listen: expected an address of "listen" as it stands there, got ":1"'
like "of a client that begins with STARTTLS" "$(ctl explain --sni no.test --starttls pop3)" \
	'answer: an error of POP3, after the handshake'
like "and as JSON" "$(ctl explain --sni no.test --json)" '"explained":\{"sni":"no.test".*"why":"unknown server name"'

# --- what is to be done ---

is "kill by name" "$(ctl kill --cn alice)" 'killed: 1'
wait "$two_pid"
like "it was reset" "$(cat "$TMP/two.out")" 'saw .*(reset|truncation)'
logs "and is logged" msg=connection route=mtls.test 'end=killed by the administrator'
ok "the other one lives" counts 1
is "nobody of that name is left" "$(ctl kill --cn alice)" 'killed: 0'
like "kill without a filter" "$(ctl kill)" 'kill whom\? Expected --route'
ctl kill >/dev/null
is "is a failure" "$?" 1
is "kill them all" "$(ctl kill --all)" 'killed: 1'

write_config more.test
like "reload tells the difference" "$(ctl reload)" $'added: 1\n.*\nadded +more.test$'
like "at once again: nothing" "$(ctl reload)" 'outcome: unchanged'
like "it is so" "$(ctl explain --sni more.test)" 'match: exact'
echo '{"hosts": 1}' >"$TMP/config.json"
like "a mistake" "$(ctl reload)" $'reload refused.*\nerrors:\n  '"$TMP/config.json:1: "
ctl reload >/dev/null
is "is a failure" "$?" 1
write_config

logs_not "debug is not logged" level=debug
is "log level" "$(ctl log-level warn)" 'level: warn'
talk --tls --sni nosuch.test "127.0.0.1:$front" fin wait >/dev/null 2>&1
logs_not "which holds" msg=connection sni=nosuch.test
is "and back" "$(ctl log-level info)" 'level: info'
like "no such level" "$(ctl log-level loud)" 'expected a level: error, warn, info or debug'

# --- who asks wrongly ---

"$GATEHOUSE" ctl -s "$TMP/control.sock" dance >/dev/null 2>&1
is "no such command: usage" "$?" 2
"$GATEHOUSE" ctl -s "$TMP/control.sock" drain >/dev/null 2>&1
is "a word too few: usage" "$?" 2
"$GATEHOUSE" ctl -s "$TMP/none.sock" status >/dev/null 2>"$TMP/err"
is "nobody there: failed" "$?" 1
like "and why" "$(cat "$TMP/err")" 'none.sock: No such file.*is gatehouse running'
is "help" "$("$GATEHOUSE" ctl --help | head -n 1)" 'usage: gatehouse ctl [-s SOCKET] [--json] COMMAND'
like "an unknown command" "$(raw '{"command":"dance"}')" '\{"ok":false,"error":"no command \\"dance\\""\}'
like "an unknown member" "$(raw '{"command":"status","x":1}')" '"error":"\\"x\\" is not for this command"'
like "no JSON" "$(raw 'status')" '"ok":false,"error":"expected a JSON object'
like "broken JSON" "$(raw '{"command":')" '"ok":false,"error":"not JSON'
like "too long a line" "$(raw "$(head -c 70000 /dev/zero | tr '\0' x)")" 'one line of at most 64 KiB'
# shellcheck disable=SC2016 # of perl
spawn mute perl -MIO::Socket::UNIX -e '
	$| = 1; my @all = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) } 1..16;
	print "held\n"; sleep 300' "$TMP/control.sock"
wait_for "$PATIENCE" grep -q held "$TMP/mute.out"
like "sixteen who say nothing" "$(ctl status)" 'too many calls at once'
stop "$mute_pid"
answered() {
	ctl status --json | grep -q '^{"ok":true'
}
ok "leave, and it answers" wait_for "$PATIENCE" answered

if [[ $(id -u) == 0 ]]; then
	chmod 666 "$TMP/control.sock"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	like "another user" "$("${nobody[@]}" "$GATEHOUSE" ctl -s "$TMP/control.sock" kill --all 2>&1)" \
		'only root and the user of gatehouse may connect'
	logs "is in the log" 'msg=control: user 65534 refused'
	chmod 600 "$TMP/control.sock"
	like "does not even get through" \
		"$("${nobody[@]}" "$GATEHOUSE" ctl -s "$TMP/control.sock" status 2>&1)" 'Permission denied'
else
	skip 3 "only root can become another user"
fi

ok "gatehouse ends well" stop_gatehouse
ok "the socket is gone with it" test ! -e "$TMP/control.sock"
sed "s|$TMP/control.sock|$TMP/no/such/control.sock|" "$TMP/config.json" >"$TMP/nowhere.json"
"$GATEHOUSE" -c "$TMP/nowhere.json" 2>"$TMP/err"
is "no directory for it: no start" "$?" 1
like "and why" "$(tail -n 1 "$TMP/err")" 'control.socket: "/.*/no/such/control.sock": there is no directory'
done_testing
