#!/bin/bash
# /etc/hosts and its neighbours as links to outside of /etc: the sandbox lets them be read. One that cannot be
# read is a warning.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ $(id -u) == 0 ]] || skip_all "only root may mount"
unshare -m true 2>"$TMP/unshare.err" || skip_all "no mount namespace: $(cat "$TMP/unshare.err")"
elsewhere=$(mktemp -d /var/tmp/gatehouse-names.XXXXXX) # nowhere near the configuration
chmod 755 "$elsewhere"
echo "127.0.0.1 linked.test" >"$elsewhere/hosts"

# An /etc that is a copy, but for the link.
cat >"$TMP/own-etc" <<-SH
	#!/bin/sh
	mkdir -p $elsewhere/etc && cp -a /etc/. $elsewhere/etc/ && ln -sfn \$HOSTS $elsewhere/etc/hosts &&
		mount --bind $elsewhere/etc /etc || exit 1
	exec "\$@"
SH
chmod 755 "$TMP/own-etc"
GATEHOUSE_WRAP="unshare -m $TMP/own-etc $GATEHOUSE_WRAP"

start_echo back
free_port front
hello --sni a.test >"$TMP/hello"
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front", "workers": 1,
	"hosts": {"a.test": {"mode": "passthrough", "backend": "linked.test:${back##*:}"}}
}
CONFIG
HOSTS=$elsewhere/hosts start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
like "a name in the linked file" \
	"$(talk --hello "$TMP/hello" --skip "$(wc -c <"$TMP/hello")" --timeout 10 "127.0.0.1:$front" \
		exchange=1000 fin wait 2>&1)" 'received 1000 '
unlike "nothing is missing" "$(cat "$LOG")" 'cannot be read'
ok "it ends well" stop_gatehouse

# A loop of links cannot be read, by anyone. The sandbox says so; a sanitizer's build has none.
ln -s loop "$elsewhere/loop"
HOSTS=$elsewhere/loop start_gatehouse --as loop "$TMP/config.json" || bail_out "no gatehouse"
LOG=$TMP/loop.err
[[ -n ${GATEHOUSE_SANITIZER:-} ]] ||
	like "one that cannot be read is a warning" "$(cat "$LOG")" 'level=warning.*/etc/hosts cannot be read'
ok "it ends well" stop_gatehouse --as loop
rm -rf "$elsewhere"
done_testing
