#!/bin/bash
# A change that is not sound changes nothing: what ran runs on, and the log says which file, which
# line and which field; mending it is enough, nothing needs to be told.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo one --greet one
start_echo two --greet two
hello --sni a.test >"$TMP/hello"
pki_ca root
pki_cert root site site.test
pki_cert root wrong site.test
free_port front
free_port taken
spawn taker echod "127.0.0.1:$taken"
wait_for "$PATIENCE" is_listening "127.0.0.1:$taken"

config() { # ADDRESS [MORE-FIELDS]
	cat <<-CONFIG
		{
			"listen": ["127.0.0.1:$front"],
			"include": "more.d/*.json",
			"hosts": {
				"a.test": {"mode": "passthrough", "backend": "$1"},
				"site.test": {
					"mode": "terminate",
					"cert": "pki/site.crt",
					"key": "pki/site.key",
					"backend": "$1"
				}
			}${2:-}
		}
	CONFIG
}

mkdir "$TMP/more.d"
config "$one" >"$TMP/config.json"
observe files "$TMP" "$TMP/more.d" "$PKI"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

ask() {
	rawclient --file "$TMP/hello" --until 3 --raw --timeout 5 "127.0.0.1:$front" 2>/dev/null |
		head -c 3 | tr -cd '[:lower:]'
}

fingerprint() {
	openssl s_client -connect "127.0.0.1:$front" -servername site.test </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint
}

served=$(fingerprint)
refusals=0
running=one
has_refused() {
	(($(log_count "msg=reload refused, the running configuration stays") >= refusals))
}

# After a change of a file: the refusal, its reason, and that all is as before.
refuses() { # DESCRIPTION REASON [FILE]: an extended regular expression; what was written
	observed files "^$TMP/${3:-config.json} CLOSE_WRITE"
	refusals=$((refusals + 1))
	if ! wait_for "$PATIENCE" has_refused; then
		fail "$1: refused" "$(tail -n 5 "$LOG")"
		return
	fi
	like "$1: the log says where and why" "$(log_lines level=error msg=configuration | tail -n 1)" "$2"
	is "$1: what ran runs on" "$(ask) $(fingerprint)" "$running $served"
}

reloads=0
has_reloaded() {
	(($(log_count msg=reloaded took_ms) >= reloads))
}

# The sound configuration with the other server: that it counts shows that all is well again.
mend() { # DESCRIPTION
	if [[ $running == one ]]; then running=two; else running=one; fi
	config "${!running}" >"$TMP/config.json"
	observed files "^$TMP/config.json CLOSE_WRITE"
	reloads=$((reloads + 1))
	ok "$1: mending it is enough" wait_for "$PATIENCE" has_reloaded
	is "$1: and then it counts" "$(ask)" "$running"
}

config "$two" | head -n -1 >"$TMP/config.json"
refuses "cut short" "$TMP/config.json:13: expected"
mend "cut short"

config "$two" ', "colour": "red"' >"$TMP/config.json"
refuses "a field that does not exist" "config.json:12: colour: unknown key"
mend "a field that does not exist"

config "not an address" >"$TMP/config.json"
refuses "a value that is none" 'config.json:[0-9]*: hosts\[\\"[a-z.]*\\"\].backend: expected'
mend "a value that is none"

config "$two" | sed 's,pki/site.crt,pki/none.crt,' >"$TMP/config.json"
refuses "no certificate" 'config.json:8: hosts\[\\"site.test\\"\].cert: .*none.crt.*: no such file'
mend "no certificate"

config "$two" | sed 's,pki/site.key,pki/wrong.key,' >"$TMP/config.json"
refuses "the key of another" 'config.json:9: hosts\[\\"site.test\\"\].key: .*key of another certificate'
mend "the key of another"

echo '{"hosts": {"b.test": {"mode": "passthrough"}}}' >"$TMP/more.d/b.json"
refuses "an included file" 'more.d/b.json:1: hosts\[\\"b.test\\"\].*backend' more.d/b.json
rm "$TMP/more.d/b.json"
observed files "^$TMP/more.d/b.json DELETE"
logs "an included file that is gone again is no change" "msg=reloaded: nothing had changed"
mend "an included file"

config "$two" | sed "s/\"listen\": \[/&\"127.0.0.1:$taken\", /" >"$TMP/config.json"
refuses "an address in use" "config.json:2: .*127.0.0.1:$taken.*address in use"
mend "an address in use"

# The certificate alone: its file is watched though the configuration did not load.
cp "$PKI/site.crt" "$TMP/site.crt"
head -c 100 "$TMP/site.crt" >"$PKI/site.crt"
refuses "half a certificate" 'config.json:8: hosts\[\\"site.test\\"\].cert: .*site.crt' pki/site.crt
pki_cert root renewed site.test
cp "$PKI/renewed.key" "$PKI/site.key"
cp "$PKI/renewed.crt" "$PKI/site.crt"
observed files "^$PKI/site.crt CLOSE_WRITE"
reloads=$((reloads + 1))
ok "half a certificate: mending it is enough" wait_for "$PATIENCE" has_reloaded
is "half a certificate: the new one is served" "$(fingerprint)" \
	"$(openssl x509 -noout -fingerprint -in "$PKI/renewed.crt")"
served=$(fingerprint)

# A key that comes before its certificate does.
pki_cert root last site.test
cp "$PKI/last.key" "$PKI/site.key"
refuses "a key before its certificate" 'config.json:9: .*key of another certificate' pki/site.key
cp "$PKI/last.crt" "$PKI/site.crt"
observed files "^$PKI/site.crt CLOSE_WRITE"
reloads=$((reloads + 1))
ok "a key before its certificate: then it comes" wait_for "$PATIENCE" has_reloaded

# All of them are told, not only the first.
served=$(fingerprint)
errors=$(log_count level=error msg=configuration)
config "$two" ', "colour": "red", "shape": "round"' | sed 's,pki/site.crt,pki/none.crt,' \
	>"$TMP/config.json"
refuses "three at once" shape
is "three at once: each is told" "$(($(log_count level=error msg=configuration) - errors))" 3

ok "it ends well" stop_gatehouse
done_testing
