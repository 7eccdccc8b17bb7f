#!/bin/bash
# The control socket belongs to the configured user and has mode 0600 from its first moment: it is
# created as that user, and no mode or owner is ever changed by path.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"
[[ $(id -u) == 0 ]] || skip_all "only root can become another user"

start_echo echo
free_port front
mkdir "$TMP/theirs" "$TMP/ours"
chown nobody "$TMP/theirs"
config() { # DIRECTORY
	cat >"$TMP/config.json" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "user": "nobody",
			"hosts": {"a.test": {"mode": "passthrough", "backend": "$echo"}},
			"control": {"socket": "$TMP/$1/control.sock"}
		}
	CONFIG
}

config theirs
umask 000
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
is "owner, group and mode" "$(stat -c '%U %G %a' "$TMP/theirs/control.sock")" \
	"nobody $(id -gn nobody) 600"
like "it answers" "$("$GATEHOUSE" ctl -s "$TMP/theirs/control.sock" status 2>&1)" 'hosts: 1'
ok "stops" stop_gatehouse
not_ok "and removes it" test -e "$TMP/theirs/control.sock"

# What is not the user's to write in stays so: root's rights are not lent to it.
config ours
"$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/err"
is "a directory that the user may not write in: no start" "$?" 1
like "and why" "$(cat "$TMP/err")" 'control.socket: .*no right to make a socket there'
is "nothing is left there" "$(ls "$TMP/ours")" ""

# A file that was put in the place of the socket is not touched.
mkdir "$TMP/swapped"
chown nobody "$TMP/swapped"
echo secret >"$TMP/secret"
chmod 600 "$TMP/secret"
ln -s "$TMP/secret" "$TMP/swapped/control.sock"
config swapped
"$GATEHOUSE" -c "$TMP/config.json" 2>"$TMP/err"
is "a link: no start" "$?" 1
is "what it leads to is root's" "$(stat -c '%U %a' "$TMP/secret")" "root 600"

if grep -qE '__(a|t)san_init' "$GATEHOUSE"; then
	skip 1 "a sanitizer has calls of its own"
else
	is "the program has no call that changes owner or mode by path" "$(nm -D --undefined-only \
		"$GATEHOUSE" | grep -wE '(l?chown|chmod|fchownat|fchmodat)(@.*)?')" ""
fi
done_testing
