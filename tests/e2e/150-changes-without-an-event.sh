#!/bin/bash
# A file that is mounted alone is changed by its other name, a file behind FUSE by another way: both are
# noticed, under the sandbox too, though the directory that gatehouse looks in reports nothing.
# needs: bindfs
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ $(id -u) == 0 ]] || skip_all "only root may mount"
unshare -m true 2>"$TMP/unshare.err" || skip_all "no mount namespace: $(cat "$TMP/unshare.err")"

start_echo one --greet one
start_echo two --greet two
free_port front
for name in {a,b}.test; do hello --sni "$name" >"$TMP/$name.hello"; done
mkdir "$TMP/source" "$TMP/conf" "$TMP/below" "$TMP/conf/fuse"
: >"$TMP/conf/config.json"

hosts() { # NAME ADDRESS
	echo "{\"$1\": {\"mode\": \"passthrough\", \"backend\": \"$2\"}}"
}

config() { # ADDRESS
	cat <<-CONFIG
		{"listen": "127.0.0.1:$front", "workers": 1, "include": "fuse/*.json", "hosts": $(hosts a.test "$1")}
	CONFIG
}

ask() { # NAME: which server it leads to
	rawclient --file "$TMP/$1.hello" --until 3 --raw --timeout 5 "127.0.0.1:$front" 2>/dev/null |
		head -c 3 | tr -cd '[:lower:]'
}

config "$one" >"$TMP/source/config.json"
echo "{\"hosts\": $(hosts b.test "$one")}" >"$TMP/below/b.json"

# The mounts live as long as this process, and nobody else sees them.
has_fuse=0
[[ -w /dev/fuse ]] && has_fuse=1
spawn mounts unshare -m sh -c "mount --bind $TMP/source/config.json $TMP/conf/config.json &&
	if [ $has_fuse = 1 ]; then exec bindfs -f $TMP/below $TMP/conf/fuse; else exec sleep 600; fi"
inside="nsenter -t $mounts_pid -m --"
is_mounted() { # PATTERN
	grep -qE "$1" "/proc/$mounts_pid/mountinfo"
}
wait_for "$PATIENCE" is_mounted "$TMP/conf/config.json" || bail_out "no mount" "$(cat "$TMP/mounts.err")"
if [[ $has_fuse == 1 ]] && ! wait_for "$PATIENCE" is_mounted "$TMP/conf/fuse .*fuse"; then
	bail_out "no FUSE" "$(cat "$TMP/mounts.err")"
fi

GATEHOUSE_WRAP="$inside $GATEHOUSE_WRAP" start_gatehouse "$TMP/conf/config.json" || bail_out "no gatehouse"
observe source "$TMP/source"
OBSERVE_WRAP=$inside observe seen "$TMP/conf" "$TMP/conf/fuse"

is "the beginning" "$(ask a.test)" one
config "$two" >"$TMP/source/config.json"
observed source "source/config.json CLOSE_WRITE"
logs "written by its other name" msg=reloaded changed=1
is "written by its other name: it counts" "$(ask a.test)" two
config "$one" >"$TMP/source/config.json"
has_reloaded() { # COUNT
	(($(log_count msg=reloaded took_ms) >= $1))
}
ok "and again" wait_for "$PATIENCE" has_reloaded 2

if [[ $has_fuse == 1 ]]; then
	logs "it says that it examines files" "msg=file system may change without events, files are polled" "path=$TMP/conf/fuse"
	is "behind FUSE: the beginning" "$(ask b.test)" one
	observe below "$TMP/below"
	echo "{\"hosts\": $(hosts b.test "$two")}" >"$TMP/below/b.json"
	observed below "below/b.json CLOSE_WRITE"
	ok "behind FUSE: written below" wait_for "$PATIENCE" has_reloaded 3
	is "behind FUSE: it counts" "$(ask b.test)" two
	echo "{\"hosts\": $(hosts b.test "$one")}" >"$TMP/below/next"
	mv "$TMP/below/next" "$TMP/below/b.json"
	observed below "below/b.json MOVED_TO"
	ok "behind FUSE: renamed below" wait_for "$PATIENCE" has_reloaded 4
	is "behind FUSE: it counts" "$(ask b.test)" one
else
	skip 8 "no /dev/fuse"
fi
is "no directory that gatehouse looks in has reported anything" \
	"$(grep -E 'CREATE|MODIFY|CLOSE_WRITE|MOVED_TO|ATTRIB' "$TMP/seen.out")" ''
ok "it ends well" stop_gatehouse
done_testing
