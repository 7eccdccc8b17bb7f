#!/bin/bash
# The launcher ends while the new program loads: the old process continues, and the new one, when it
# comes so far, ends. What is executed is the program's own path, whatever PATH has by then.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo echo
free_port front
mkdir "$TMP/bin" "$TMP/planted"
cp "$GATEHOUSE" "$TMP/bin/gatehouse"
cat >"$TMP/config.json" <<CONFIG
{
	"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock"],
	"hosts": {"a.test": {"mode": "passthrough", "backend": "$echo"}}
}
CONFIG
GATEHOUSE=$TMP/bin/gatehouse
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# A program that takes its time before it loads.
mv "$TMP/bin/gatehouse" "$TMP/bin/good"
cat >"$TMP/bin/gatehouse" <<SCRIPT
#!/bin/bash
echo \$\$ >"$TMP/new.part" && mv "$TMP/new.part" "$TMP/new"
while [[ ! -e "$TMP/go" ]]; do sleep 0.05; done
exec "$TMP/bin/good" "\$@"
SCRIPT
chmod +x "$TMP/bin/gatehouse"
kill -USR2 "$gatehouse_pid"
ok "an upgrade" wait_for "$PATIENCE" test -s "$TMP/new"
new=$(cat "$TMP/new")
identity "$new" >>"$TMP/.processes"
launcher=$(pgrep -P "$gatehouse_pid" -x launcher)
kill -KILL "$launcher"
logs "the launcher ends" "msg=upgrade failed, the running process continues" \
	"error=the launcher has ended"
: >"$TMP/go"
ok "the new process ends" wait_for "$PATIENCE" is_over "$new"
ok "the old one does not" is_running "$gatehouse_pid"
is "one gatehouse was ready" "$(log_count msg=ready)" 1
ok "it listens" is_listening "127.0.0.1:$front"
ok "also at its unix socket" test -S "$TMP/front.sock"
ok "stops" stop_gatehouse

# Started by a name that PATH leads to.
mv "$TMP/bin/good" "$TMP/bin/gatehouse"
spawn named env "PATH=$TMP/planted:$TMP/bin:$PATH" gatehouse -c "$TMP/config.json"
LOG=$TMP/named.err
ok "started by its name alone" wait_for "$PATIENCE" has_log msg=ready
printf '#!/bin/sh\n: >%s\n' "$TMP/was-run" >"$TMP/planted/gatehouse"
chmod +x "$TMP/planted/gatehouse"
kill -USR2 "$named_pid"
logs "it upgrades" msg=upgraded
next=$(log_value new_pid msg=upgraded)
identity "$next" >>"$TMP/.processes"
not_ok "and runs nothing else" test -e "$TMP/was-run"
is "but itself" "$(readlink "/proc/$next/exe")" "$TMP/bin/gatehouse"
kill -TERM "$next"
ok "stops" wait_for "$PATIENCE" is_over "$next"
done_testing
