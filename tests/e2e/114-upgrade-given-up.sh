#!/bin/bash
# The launcher dies while the new program loads: the old process continues, and the new one ends, however late it
# is ready. The program is what is at its path, never another in PATH.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo back
free_port front
hello --sni a.test >"$TMP/hello"
cat >"$TMP/config.json" <<CONFIG
{
	"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock"], "workers": 1,
	"hosts": {"a.test": {"mode": "passthrough", "backend": "$back"}},
	"control": {"socket": "$TMP/control.sock"}
}
CONFIG
echoes() { # ADDRESS
	talk --hello "$TMP/hello" --skip "$(wc -c <"$TMP/hello")" --timeout 10 "$1" exchange=1000 fin wait 2>&1 |
		grep -q 'received 1000 '
}

# A program of the same name, earlier in PATH, and the real one by its name alone.
mkdir "$TMP/bin" "$TMP/evil"
cp "$GATEHOUSE" "$TMP/bin/gatehouse"
printf '#!/bin/sh\ntouch %s/evil/ran\nexit 1\n' "$TMP" >"$TMP/evil/gatehouse"
cat >"$TMP/by-name" <<SH
#!/bin/bash
export PATH=$TMP/evil:$TMP/bin:\$PATH
shift
exec -a gatehouse $TMP/bin/gatehouse "\$@"
SH
chmod 755 "$TMP/evil/gatehouse" "$TMP/by-name"
GATEHOUSE_WRAP="$TMP/by-name $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
serving=$(log_value pid msg=ready)
launcher=$(pgrep -P "$serving" launcher)

# The new program waits before it is one, and until then its launcher is killed.
cat >"$TMP/slow" <<SH
#!/bin/bash
echo "\$\$" >$TMP/new.pid
while [[ ! -e $TMP/go ]]; do sleep 0.05; done
export LISTEN_PID=\$\$
exec $TMP/real "\$@"
SH
mv "$TMP/bin/gatehouse" "$TMP/real"
chmod 755 "$TMP/slow"
mv "$TMP/slow" "$TMP/bin/gatehouse"
kill -USR2 "$serving"
ok "the new program starts" wait_for "$PATIENCE" test -s "$TMP/new.pid"
new=$(<"$TMP/new.pid")
identity "$new" >>"$TMP/.processes"
not_ok "not that which is first in PATH" test -e "$TMP/evil/ran"
kill -KILL "$launcher"
logs "the old process knows" "msg=upgrade failed, the running process continues" \
	"error=the launcher has ended"
: >"$TMP/go"
ok "the new one ends" wait_for "$PATIENCE" is_over "$new"
ok "the old one serves" echoes "127.0.0.1:$front"
ok "by its unix socket too" echoes "unix:$TMP/front.sock"
like "and answers" "$("$TMP/real" ctl -s "$TMP/control.sock" status)" "$serving"
ok "it ends well" stop_gatehouse
done_testing
