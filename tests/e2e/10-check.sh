#!/bin/bash
# `gatehouse check` says yes to what a start would take, and no to the rest with every error at once.
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root app app.test
pki_cert root second app.test --days 20
pki_cert root late late.test --expired

check() { # sets STATUS, OUT and ERR
	# shellcheck disable=SC2086 # the wrap is a command with its options
	$GATEHOUSE_WRAP "$GATEHOUSE" check "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out")
	ERR=$(cat "$TMP/err")
}

config() { # NAME: from standard input
	cat >"$TMP/$1"
}

cd "$TMP" || bail_out "no $TMP"

config good.json <<-'JSON'
	{
	  "listen": ["127.0.0.1:443", "[::1]:443", "fd:web"],
	  "include": "hosts.d/*.json",
	  "hosts": {
	    "app.test": {
	      "mode": "terminate", "cert": "pki/app.crt", "key": "pki/app.key",
	      "backend": "127.0.0.1:8080",
	      "alpn": { "ssh": { "backend": "127.0.0.1:22", "client_auth": "required", "ca": "pki/root.crt" } }
	    },
	    "*": { "mode": "passthrough", "backend": ["a.test:1", "b.test:2"] }
	  }
	}
JSON
check -c good.json
is "a good configuration" "$STATUS" 0
is "nothing to complain of" "$ERR" ''
like "a summary" "$OUT" \
	'^good.json: 2 hosts, 1 certificate; the first to expire is "[^"]*/pki/app.crt" at 20.*Z, in (29|30) days$'

mkdir hosts.d
cat >hosts.d/more.json <<-'JSON'
	{ "hosts": { "more.test": { "mode": "terminate", "cert": "../pki/second.crt",
	  "key": "../pki/second.key", "backend": "127.0.0.1:8080" } } }
JSON
check --config "$TMP/good.json"
is "what is included is checked too" "$STATUS" 0
like "and counted" "$OUT" ': 3 hosts, 2 certificates, 1 warning; the first .*second.crt" at .*, in (19|20) days$'
like "a certificate for another name is warned of" "$ERR" \
	'^warning: .*hosts.d/more.json:1: hosts\["more.test"\].cert: .*does not cover the name "more.test"'

echo '{ "hosts": { "more.test": { "mode": "wrong" }, "app.test": {} } }' >hosts.d/more.json
check -c good.json
is "an error in an included file" "$STATUS" 1
like "is told with that file's name" "$ERR" $'(^|\n)hosts.d/more.json:1: hosts\["more.test"\]'
is "nothing on standard output" "$OUT" ''
rm -r hosts.d

config bad.json <<-'JSON'
	{
	  "listen": "443",
	  "hosts": {
	    "app.test": {
	      "mode": "terminate", "cert": "pki/app.crt", "key": "pki/late.key",
	      "backend": "127.0.0.1"
	    },
	    "late.test": {
	      "mode": "terminate", "cert": "pki/none.crt", "key": "pki/late.key",
	      "backend": "127.0.0.1:80", "colour": "blue"
	    }
	  }
	}
JSON
check -c bad.json
is "a bad configuration" "$STATUS" 1
like "the listener's line" "$ERR" $'(^|\n)bad.json:2: listen: '
like "the backend's line" "$ERR" $'\nbad.json:6: hosts\["app.test"\].backend: '
like "the unknown key's line" "$ERR" $'\nbad.json:10: hosts\["late.test"\]'
like "the last line counts them" "$(tail -n 1 <<<"$ERR")" '^bad.json: [0-9]+ errors$'
is "as many as there are" "$(tail -n 1 <<<"$ERR" | tr -dc 0-9)" $(($(wc -l <<<"$ERR") - 1))

config files.json <<-'JSON'
	{ "listen": ":443", "hosts": {
	  "one.test": { "mode": "terminate", "cert": "pki/app.crt", "key": "pki/late.key", "backend": "a:1" },
	  "two.test": { "mode": "terminate", "cert": "pki/none.crt", "key": "pki/late.key", "backend": "a:1" },
	  "three.test": { "mode": "terminate", "cert": "pki/app.crt", "key": "pki/app.key", "backend": "a:1",
	    "client_auth": "required", "ca": "pki/app.key" },
	  "four.test": { "mode": "terminate", "cert": "pki/late.crt", "key": "pki/late.key", "backend": "a:1" } } }
JSON
check -c files.json
is "files that are wrong" "$STATUS" 1
like "a key of another certificate" "$ERR" $'(^|\n)files.json:2: hosts\["one.test"\].key: .*another certificate'
like "a file that is not there" "$ERR" $'\nfiles.json:3: hosts\["two.test"\].cert: .*pki/none.crt": no such file'
like "a CA that is none" "$ERR" $'\nfiles.json:5: hosts\["three.test"\].ca: '
like "an expired certificate is a warning" "$ERR" $'\nwarning: files.json:6: hosts\["four.test"\].cert: .*expired at'
like "warnings are counted apart" "$(tail -n 1 <<<"$ERR")" '^files.json: 3 errors, [0-9]+ warnings?$'

config heirs.json <<-'JSON'
	{ "listen": ":443", "hosts": { "app.test": {
	  "mode": "terminate", "cert": "pki/none.crt", "key": "pki/app.key", "backend": "a:1",
	  "alpn": { "h2": {}, "ssh": { "backend": "b:1" } } } } }
JSON
check -c heirs.json
is "what protocols inherit is told once" "$(tail -n +2 <<<"$ERR")" 'heirs.json: 1 error'

config start.json <<-JSON
	{ "listen": ["unix:$TMP/none/x.sock", "unix:good.json/x.sock"], "user": "no-such-user",
	  "hosts": { "*": { "mode": "passthrough", "backend": "127.0.0.1:1" } } }
JSON
check -c start.json
is "what a start needs" "$STATUS" 1
like "a user" "$ERR" $'(^|\n)(warning: )?start.json: user: no user "no-such-user" here'
like "a socket's directory that is to be made" "$ERR" \
	$'(^|\n)warning: start.json:1: listen\[0\]: ".*/none": No such file'
like "a socket's directory that is none" "$ERR" $'(^|\n)start.json:1: listen\[1\]: ".*good.json" is not a directory'

for text in '' '[' '{"listen": ":443"} more'; do
	echo "$text" >broken.json
	check -c broken.json
	is "no configuration: \"$text\"" "$STATUS" 1
	like "and why" "$ERR" $'^broken.json:.*\nbroken.json: [1-9] errors?$'
done
check -c none.json
is "a file that is not there" "$STATUS" 1
like "is named" "$ERR" '^none.json: .*No such file'

check
is "without a file: usage" "$STATUS" 2
like "which is shown" "$ERR" 'expected -c FILE.*usage: gatehouse check -c FILE'
check --colour
is "an unknown option: usage" "$STATUS" 2
check -c good.json more
is "something behind it: usage" "$STATUS" 2
check --help
is "help" "$STATUS" 0
like "on standard output" "$OUT" '^usage: gatehouse check -c FILE'
# shellcheck disable=SC2086
$GATEHOUSE_WRAP "$GATEHOUSE" check -c good.json >/dev/full 2>"$TMP/err"
is "a summary that cannot be written" "$?" 1

done_testing
