#!/bin/bash
# Whatever way a file is changed in, the change is noticed and told, new connections use it, and
# those begun before it keep what they began with. An observer beside gatehouse (inotifywait) shows that
# each change is the one that is meant.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo one --greet one
start_echo two --greet two
for name in {a,b,c,k,m,n,gone}.test; do hello --sni "$name" >"$TMP/$name.hello"; done
pki_ca root
pki_cert root site site.test
pki_cert root other other.test
free_port front
free_port second

mkdir -p "$TMP/hosts.d" "$TMP/mounted/..1" "$TMP/mounted/..2"
included() { # ADDRESS NAME...: a file
	echo "{\"hosts\": $(passed "$@")}"
}

passed() { # ADDRESS NAME...: an object of hosts
	local address=$1 name text=''
	shift
	for name; do text+="${text:+, }\"$name\": {\"mode\": \"passthrough\", \"backend\": \"$address\"}"; done
	echo "{$text}"
}

config() { # HOSTS [LISTEN]
	cat <<-CONFIG
		{
			"listen": ${2:-"\"127.0.0.1:$front\""},
			"include": ["hosts.d/*.json", "mounted/hosts.json"],
			"hosts": ${1%\}},
				"site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
					"backend": "$one"},
				"other.test": {"mode": "terminate", "cert": "link.crt", "key": "link.key",
					"backend": "$one"}
			}
		}
	CONFIG
}

config "$(passed "$one" a.test)" >"$TMP/config.json"
included "$one" b.test >"$TMP/hosts.d/b.json"
included "$one" k.test >"$TMP/mounted/..1/hosts.json"
included "$two" k.test >"$TMP/mounted/..2/hosts.json"
ln -s ..1 "$TMP/mounted/..data"
ln -s ..data/hosts.json "$TMP/mounted/hosts.json"
ln -s pki/other.crt "$TMP/link.crt"
ln -s pki/other.key "$TMP/link.key"
observe files "$TMP" "$TMP/hosts.d" "$TMP/mounted" "$PKI"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# "one" or "two": which server a name leads to.
ask() { # NAME [PORT]
	rawclient --file "$TMP/$1.hello" --until 3 --raw --timeout 5 "127.0.0.1:${2:-$front}" \
		2>/dev/null | head -c 3 | tr -cd '[:lower:]'
}

reloads=0
reloaded() { # DESCRIPTION PAIR...: once, and with these pairs
	local description=$1
	shift
	reloads=$((reloads + 1))
	if wait_for "$PATIENCE" has_reloaded; then
		is "$description: one reload" "$(log_count msg=reloaded took_ms)" "$reloads"
		log_lines msg=reloaded took_ms | tail -n 1 | grep -qF -- "$*" ||
			fail "$description: $*" "$(log_lines msg=reloaded)"
	else
		fail "$description: a reload" "$(tail -n 5 "$LOG")"
	fi
}

has_reloaded() {
	(($(log_count msg=reloaded took_ms) >= reloads))
}

listening_sockets() { # PORT: their inodes
	awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && index($2, port) { print $10 }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null | sort
}

serial() { # NAME: of the certificate that it is served with
	openssl s_client -connect "127.0.0.1:$front" -servername "$1" </dev/null 2>/dev/null |
		openssl x509 -noout -serial
}

is "the beginning" "$(ask a.test) $(ask b.test) $(ask k.test)" "one one one"
sockets=$(listening_sockets "$front")
isnt "it listens" "$sockets" ''

# Two connections that were there before it all; they end last.
spawn passing talk --hello "$TMP/a.test.hello" --skip 3 --timeout 100 "127.0.0.1:$front" \
	recv="$(wc -c <"$TMP/a.test.hello")" exchange=10 say=begun "file=$TMP/go" exchange=1000 fin wait
spawn secured talk --tls --sni site.test --skip 3 --timeout 100 "127.0.0.1:$front" \
	exchange=10 say=begun "file=$TMP/go" exchange=1000 close_notify fin wait
ok "a connection passes through" wait_for "$PATIENCE" grep -q begun "$TMP/passing.out"
ok "a connection is secured" wait_for "$PATIENCE" grep -q begun "$TMP/secured.out"

# --- the configuration itself ---

config "$(passed "$two" a.test)" >"$TMP/next"
cp "$TMP/next" "$TMP/config.json"
observed files "^$TMP/config.json MODIFY"
observed files "^$TMP/config.json CLOSE_WRITE"
reloaded "cp over it" added=0 removed=0 changed=1
is "cp over it: it leads elsewhere" "$(ask a.test)" two
logs "cp over it: what changed is told" "msg=route changed" route=a.test

config "$(passed "$two" a.test c.test)" >"$TMP/next"
mv "$TMP/next" "$TMP/config.json"
observed files "^$TMP/next MOVED_FROM"
observed files "^$TMP/config.json MOVED_TO"
reloaded "renamed over it" added=1 removed=0 changed=0
is "renamed over it: the new name" "$(ask c.test)" two
logs "renamed over it: what is new is told" "msg=route added" route=c.test

rm "$TMP/config.json"
observed files "^$TMP/config.json DELETE"
logs "deleted: that is refused" "msg=reload refused, the running configuration stays"
is "deleted: what runs runs on" "$(ask c.test)" two
config "$(passed "$one" a.test)" >"$TMP/config.json"
observed files "^$TMP/config.json CREATE"
reloaded "made again" added=0 removed=1 changed=1
is "made again: it counts" "$(ask a.test)" one
logs "made again: what is gone is told" "msg=route removed" route=c.test

for i in {1..30}; do
	config "$(passed "$two" a.test "burst$i.test")" >"$TMP/config.json"
	wait_for 0 false
done
writes() { # of the configuration, since it was made again
	grep -c "^$TMP/config.json CLOSE_WRITE" "$TMP/files.out"
}
has_written() { # COUNT
	(($(writes) >= $1))
}
ok "the kernel reports: 30 writes more" wait_for "$PATIENCE" has_written 32
# shellcheck disable=SC2034 # lib.sh's
observed_lines[files]=$(wc -l <"$TMP/files.out")
reloaded "a burst of writes" added=1 removed=0 changed=1

# --- files that it includes ---

included "$two" b.test >"$TMP/hosts.d/b.json"
observed files "^$TMP/hosts.d/b.json CLOSE_WRITE"
reloaded "an included file" added=0 removed=0 changed=1
is "an included file: it counts" "$(ask b.test)" two

included "$two" m.test >"$TMP/hosts.d/m.json"
observed files "^$TMP/hosts.d/m.json CREATE"
reloaded "a new file that the pattern matches" added=1 removed=0 changed=0
is "a new file that the pattern matches: it counts" "$(ask m.test)" two

rm "$TMP/hosts.d/m.json"
observed files "^$TMP/hosts.d/m.json DELETE"
reloaded "an included file that goes" added=0 removed=1 changed=0
unlike "an included file that goes: its name too" "$(ask m.test)" two

mkdir "$TMP/hosts.new"
included "$one" b.test n.test >"$TMP/hosts.new/all.json"
mv "$TMP/hosts.d" "$TMP/hosts.old"
mv "$TMP/hosts.new" "$TMP/hosts.d"
observed files "^$TMP/hosts.d MOVED_FROM,ISDIR"
observed files "^$TMP/hosts.d MOVED_TO,ISDIR"
observe new "$TMP/hosts.d"
reloaded "the whole directory exchanged" added=1 removed=0 changed=1
is "the whole directory exchanged: it counts" "$(ask b.test) $(ask n.test)" "one one"
included "$two" n.test >"$TMP/hosts.d/all.json"
observed new "^$TMP/hosts.d/all.json CLOSE_WRITE"
reloaded "a file in the new directory" added=0 removed=1 changed=1

ln -s ..2 "$TMP/mounted/..next"
mv -T "$TMP/mounted/..next" "$TMP/mounted/..data"
observed files "^$TMP/mounted/..data MOVED_TO"
reloaded "Kubernetes' change of a symbolic link" added=0 removed=0 changed=1
is "Kubernetes' change of a symbolic link: it counts" "$(ask k.test)" two

# --- certificates ---

before=$(serial site.test)
old_other=$(serial other.test)
pki_cert root renewed site.test
cp "$PKI/renewed.key" "$PKI/site.key"
cp "$PKI/renewed.crt" "$PKI/site.crt"
observed files "^$PKI/site.key CLOSE_WRITE"
observed files "^$PKI/site.crt CLOSE_WRITE"
reloaded "a certificate renewed in place" changed=0 certificates_read=1 certificates_renewed=1
is "a certificate renewed in place: it is served" "$(serial site.test)" \
	"$(openssl x509 -noout -serial -in "$PKI/renewed.crt")"
isnt "a certificate renewed in place: it is another" "$(serial site.test)" "$before"

pki_cert root another other.test
ln -sf pki/another.key "$TMP/link.key"
ln -sf pki/another.crt "$TMP/link.crt"
observed files "^$TMP/link.crt (CREATE|MOVED_TO)"
reloaded "links to another pair" changed=0 certificates_read=1 certificates_renewed=1
isnt "links to another pair: it is served" "$(serial other.test)" "$old_other"

# --- listeners ---

config "$(passed "$two" a.test)" "[\"127.0.0.1:$front\", \"127.0.0.1:$second\"]" >"$TMP/config.json"
observed files "^$TMP/config.json CLOSE_WRITE"
reloaded "a listener more" removed=1
is "a listener more: it listens" "$(ask a.test "$second")" two
spawn by_second talk --hello "$TMP/a.test.hello" --skip 3 --timeout 100 "127.0.0.1:$second" \
	recv="$(wc -c <"$TMP/a.test.hello")" say=begun "file=$TMP/go" exchange=1000 fin wait
wait_for "$PATIENCE" grep -q begun "$TMP/by_second.out"
config "$(passed "$two" a.test)" >"$TMP/config.json"
reloads=$((reloads + 1))
is_refused() { # PORT
	! is_listening "127.0.0.1:$1"
}
ok "a listener less: it is closed" wait_for "$PATIENCE" is_refused "$second"
is "the listener that stayed was never closed" "$(listening_sockets "$front")" "$sockets"
logs "a listener more: the line says so" msg=reloaded listeners_opened=1 listeners_closed=0 settings_changed=false
logs "a listener less: the line says so" msg=reloaded listeners_opened=0 listeners_closed=1 settings_changed=false

# --- SIGHUP, and nothing ---

kill -HUP "$gatehouse_pid"
logs "SIGHUP without a change" "msg=reloaded: nothing had changed"
touch "$TMP/config.json"
observed files "^$TMP/config.json ATTRIB"
is_told_twice() {
	(($(log_count "msg=reloaded: nothing had changed") >= 2))
}
ok "a file touched is no change" wait_for "$PATIENCE" is_told_twice

# --- those that were there before ---

: >"$TMP/go"
wait "$passing_pid" "$secured_pid" "$by_second_pid"
size=$(wc -c <"$TMP/a.test.hello")
like "the first connection went on on its old way" "$(cat "$TMP/passing.out")" \
	"received $((size + 1010)) .*saw fin"
like "so did the secured one" "$(cat "$TMP/secured.out")" "received 1010 .*saw close_notify"
like "so did the one whose listener is gone" "$(cat "$TMP/by_second.out")" \
	"received $((size + 1000)) .*saw fin"
ok "it ends well" stop_gatehouse
done_testing
