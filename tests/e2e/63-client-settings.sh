#!/bin/bash
# client.json: which gateway, name, protocol and certificate for which host; and its mistakes, told by
# file, line and path.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

export HOME=$TMP/home XDG_CONFIG_HOME=
settings=$HOME/.config/gatehouse/client.json
mkdir -p "${settings%/*}" "$HOME/keys"
[[ ! -e /etc/gatehouse/client.json ]] || skip_all "this machine has settings of its own in /etc"

pki_ca root
pki_ca clients
pki_cert root site '*.prod.test' one.special.test alias.test gw.test
pki_cert clients alice
pki_cert clients bob
cp "$PKI/alice.crt" "$PKI/alice.key" "$PKI/bob.crt" "$PKI/bob.key" "$HOME/keys"
cp "$PKI/root.crt" "${settings%/*}/ca.pem"
start_echo echo
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"hosts": {"*.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
		"client_auth": "optional", "ca": "pki/clients.crt", "backend": "$echo",
		"alpn": {"ssh": {"backend": "$echo"}, "db": {"backend": "$echo"}}}}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

cat >"$settings" <<CONFIG
{
	"defaults": {
		"ca": "ca.pem",
		"cert": "~/keys/alice.crt",
		"key": "~/keys/alice.key",
		"alpn": "ssh"
	},
	"gateways": {
		"*.prod.test": {"gateway": "127.0.0.1:$front"},
		"one.prod.test": {"gateway": "127.0.0.1:$front", "alpn": "db"},
		"*.prod.test.nowhere": {},
		"alias": {"gateway": "127.0.0.1:$front", "sni": "alias.test",
			"cert": "~/keys/bob.crt", "key": "~/keys/bob.key"},
		"bare": {"gateway": "127.0.0.1:$front", "sni": "gw.test", "alpn": []},
		"portless": {"gateway": "127.0.0.1", "sni": "gw.test"}
	}
}
CONFIG

# Sets LINE, OUT and STATUS.
connect() { # ARGUMENT...
	# shellcheck disable=SC2086 # the wrap is a command with its options
	OUT=$(echo x | timeout -k 5 60 $GATEHOUSE_WRAP "$GATEHOUSE" connect "$@" 2>"$TMP/line")
	STATUS=$?
	LINE=$(cat "$TMP/line")
}
LOG=$TMP/gatehouse.err
arrives() { # DESCRIPTION SNI ALPN IDENTITY: the last connect did, like this
	is "$1" "$OUT$LINE" x
	logs "$1: as $2, $3, $4" msg=connection "sni=$2" ${3:+"alpn=$3"} "identity=CN=$4" end=done
}

connect web.prod.test
arrives "a pattern" web.prod.test ssh alice
connect WEB2.Prod.Test.
arrives "the canonical form of what was typed" web2.prod.test ssh alice
connect one.prod.test
arrives "a name goes before a pattern" one.prod.test db alice
connect alias
arrives "an alias with a certificate of its own" alias.test ssh bob
connect --sni web3.prod.test --alpn db --cert "$PKI/alice.crt" --key "$PKI/alice.key" alias
arrives "flags win" web3.prod.test db alice
connect bare
arrives "an empty list takes a default back" gw.test '' alice
connect "portless:$front"
arrives "a port that was typed goes before" gw.test ssh alice
connect -v one.prod.test
like "-v tells where it is from" "$LINE" "settings: \"one.prod.test\" of $settings"

mkdir -p "$TMP/xdg/gatehouse"
cat >"$TMP/xdg/gatehouse/client.json" <<CONFIG
{"gateways": {"*": {"gateway": "127.0.0.1:$front", "sni": "gw.test", "ca": "$PKI/root.crt"}}}
CONFIG
XDG_CONFIG_HOME=$TMP/xdg connect anything
is "XDG_CONFIG_HOME is heeded, and \"*\" is for all" "$OUT$LINE" x
XDG_CONFIG_HOME=$TMP/nothing connect web.prod.test
like "without settings a name is a name" "$LINE" '^gatehouse connect: web.prod.test: no such name'

if [[ $(id -u) == 0 ]] && unshare -m true 2>/dev/null; then
	mkdir -p "$TMP/etc"
	printf '%s\n' '{"defaults": {"alpn": "db", "connect_timeout": "5s"},' \
		"\"gateways\": {\"alias\": {}, \"company\": {\"gateway\": \"127.0.0.1:$front\", \"sni\": \"gw.test\"}}}" \
		>"$TMP/etc/client.json"
	# shellcheck disable=SC2016 # the inner shell expands it
	with_etc() {
		OUT=$(echo x | unshare -m sh -c 'mount -t tmpfs none /etc/gatehouse 2>/dev/null ||
			{ mkdir -p /etc/gatehouse && mount -t tmpfs none /etc/gatehouse; }
			cp "$1" /etc/gatehouse/ && exec "$2" connect "$3"' - "$TMP/etc/client.json" "$GATEHOUSE" "$1" \
			2>"$TMP/line")
		LINE=$(cat "$TMP/line")
		rmdir /etc/gatehouse 2>/dev/null
	}
	with_etc company
	arrives "the system's gateway under the user's defaults" gw.test ssh alice
	with_etc alias
	arrives "the user's gateway goes before the system's" alias.test ssh bob
else
	skip 4 "only root can have another /etc"
fi

chmod 640 "$HOME/keys/alice.key"
connect web.prod.test
is "a key with loose permissions is warned about" "$OUT$LINE" \
	"xgatehouse connect: warning: $HOME/keys/alice.key: mode 0640 lets other users read this key; run chmod 600"
chmod 600 "$HOME/keys/alice.key"

# --- mistakes ---

wrong() { # DESCRIPTION TEXT LINE...
	local description=$1 expected=()
	printf '%s\n' "$2" >"$settings"
	shift 2
	local line
	for line; do expected+=("gatehouse connect: $settings:$line"); done
	connect web.prod.test
	is "$description" "$STATUS $LINE" "1 $(printf '%s\n' "${expected[@]}")"
}
wrong "an unknown key" '{"gateways": {"a": {"gatway": "b"}}}' \
	'1: gateways["a"].gatway: unknown key: did you mean "gateway"?'
wrong "every mistake is told" '{
	"default": {},
	"defaults": {"sni": "a", "alpn": "ssh", "alpn": "db", "keepalive": 60},
	"gateways": {
		"*.a.*": {},
		"b": {"gateway": "b:0", "min_version": "TLS1.1", "family": "v4"},
		"b": {},
		"c": {"pin": "abc", "connect_timeout": "2d", "ca": []},
		"d": 1
	}
}' '2: default: unknown key: did you mean "defaults"?' \
	'3: defaults.sni: unknown key' \
	'3: defaults.alpn: duplicate key' \
	'3: defaults.keepalive: expected a duration such as "10s", got 60' \
	'5: gateways["*.a.*"]: expected a name, "*.name" or "*": this one has a "*" that is not the whole first label' \
	'6: gateways["b"].gateway: expected a port from 1 to 65535 after ":", got "b:0"' \
	'6: gateways["b"].min_version: expected "TLS1.2" or "TLS1.3", got "TLS1.1"' \
	'6: gateways["b"].family: expected "ipv4" or "ipv6", got "v4"' \
	'7: gateways["b"]: duplicate name' \
	'8: gateways["c"].pin: expected a SHA-256 as 64 hexadecimal digits or "sha256//" and base64, got "abc"' \
	'8: gateways["c"].connect_timeout: expected a duration from "0" to "1d", got "2d"' \
	'8: gateways["c"].ca: expected at least one, got an empty list' \
	'9: gateways["d"]: expected an object, got 1'
wrong "no JSON" $'{\n"gateways": {,}}' '2: expected a name in double quotes, got ","'
wrong "something behind it" '{} {}' '1: expected the end of the file, got "{"'
wrong "not an object" '[]' '1: expected an object: { "defaults": { ... }, "gateways": { ... } }'
rm "$settings"
mkdir "$settings"
connect web.prod.test
is "not a file" "$STATUS $LINE" "1 gatehouse connect: $settings: cannot read: not a file"

ok "it ends well" stop_gatehouse
done_testing
