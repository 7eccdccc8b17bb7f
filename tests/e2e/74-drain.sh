#!/bin/bash
# A host, a server, or all are drained: no new connections, and those that live go on.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site a.test b.test
start_echo one
start_echo two
free_port front
free_port admin

write_config() { # LINE
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": "127.0.0.1:$front", "workers": 2, $1
			"hosts": {
				"a.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
					"backend": {"servers": ["$one", "$two"], "balance": "round_robin"}},
				"b.test": {"mode": "passthrough", "backend": "$two"}
			},
			"health": {"enabled": true, "listen": "127.0.0.1:$admin"},
			"control": {"socket": "$TMP/control.sock"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

ctl() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@" 2>&1
}

visit() { # NAME: what came back, and how it ended
	talk --tls --sni "$1" "127.0.0.1:$front" exchange=10 close_notify fin wait 2>/dev/null |
		sed -n 's/^received \([0-9]*\) .*/\1/p; /alert/s/.*/alert/p' | tr '\n' ' '
}

ready() {
	curl -s --max-time "$PATIENCE" -o /dev/null -w '%{http_code}' "http://127.0.0.1:$admin/readyz"
}

write_config ''
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
hello --sni b.test >"$TMP/hello"

# --- a server ---

for _ in 1 2 3 4; do visit a.test >/dev/null; done
ok "both servers have some" wait_for "$PATIENCE" has_accepted one 2
ok "of four" wait_for "$PATIENCE" has_accepted two 2
spawn live talk --tls --sni a.test "127.0.0.1:$front" exchange=10 "file=$TMP/go" exchange=10 \
	close_notify fin wait
connected() {
	[[ $(ctl sessions --json | grep -o '"step":"relay"' | wc -l) == 1 ]]
}
ok "one is there" wait_for "$PATIENCE" connected
on=$(ctl sessions --json | grep -o '"upstream":"[^"]*"' | cut -d'"' -f4)
like "its server is drained" "$(ctl drain "$on")" $'matched: [12]\ndrained: '"$on"
name=one other=two
[[ $on == "$one" ]] || name=two other=one
had=$(accepts "$name") others=$(accepts "$other")
for _ in 1 2 3 4; do visit a.test >/dev/null; done
ok "the other has all new ones" wait_for "$PATIENCE" has_accepted "$other" $((others + 4))
is "it has none" "$(accepts "$name")" "$had"
write_config '"proxy": {"dial_timeout": "3s"},'
logs "a reload" msg=reloaded
visit a.test >/dev/null
is "does not change that" "$(accepts "$name")" "$had"
touch "$TMP/go"
wait "$live_pid"
like "the one that lived went on" "$(cat "$TMP/live.out")" 'received 20 '
like "it is back" "$(ctl undrain "$on")" 'drained: -'
for _ in 1 2; do visit a.test >/dev/null; done
ok "and has connections" wait_for "$PATIENCE" has_accepted "$name" $((had + 1))

# The only server of a backend.
ctl drain "$two" >/dev/null
talk --hello "$TMP/hello" "127.0.0.1:$front" recv=1 >"$TMP/out" 2>&1
like "a backend of one that is drained" "$(log_value end route=b.test)" 'no server left'
is "it is ready nevertheless" "$(ready)" 200
ctl undrain "$two" >/dev/null

# --- a host ---

rm -f "$TMP/go"
spawn live talk --tls --sni a.test "127.0.0.1:$front" exchange=10 "file=$TMP/go" exchange=10 \
	close_notify fin wait
ok "one is there" wait_for "$PATIENCE" connected
like "its host is drained" "$(ctl drain a.test)" 'drained: a.test'
is "new ones get an alert" "$(visit a.test)" '0 alert '
logs "and a line" msg=connection route=a.test end=drained
like "explain says so, beside the route" "$(ctl explain --sni a.test)" \
	'host: a.test.*why: drained.answer: alert internal_error'
like "the other host is not" "$(talk --hello "$TMP/hello" "127.0.0.1:$front" exchange=10 fin wait)" 'received'
touch "$TMP/go"
wait "$live_pid"
like "the one that lived went on" "$(cat "$TMP/live.out")" 'received 20 '
ctl undrain a.test >/dev/null
is "it is back" "$(visit a.test)" '10 '
like "what there is not" "$(ctl drain c.test)" 'no host and no server of that name'
like "what is not drained" "$(ctl undrain a.test)" 'nothing of that name is drained'

# --- all ---

like "all" "$(ctl drain all)" 'drained: all'
is "not ready" "$(ready)" 503
is "an alert for everybody" "$(visit a.test)" '0 alert '
like "explain knows" "$(ctl explain --sni b.test)" 'why: drained'
ctl drain a.test >/dev/null
like "and everything is back" "$(ctl undrain all)" 'drained: -'
unlike "for explain too" "$(ctl explain --sni b.test)" drained
is "ready" "$(ready)" 200
is "as before" "$(visit a.test)" '10 '
ok "gatehouse ends well" stop_gatehouse
done_testing
