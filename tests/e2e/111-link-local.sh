#!/bin/bash
# Link-local addresses with their interface, as listener and as backend: at the start, and inside the sandbox
# in a reload. An interface that is missing is named.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME

# In a network namespace, where the loopback interface has a link-local address.
if [[ ${OWN_NETWORK:-} != 1 ]] && unshare -n ip -6 addr add fe80::1/64 dev lo 2>/dev/null; then
	OWN_NETWORK=1 exec unshare -n "$0"
fi
. "${0%/*}/lib.sh"
[[ ${OWN_NETWORK:-} == 1 ]] || skip_all "no network namespace with IPv6"
ip link set lo up && ip -6 addr add fe80::1/64 dev lo nodad || skip_all "no link-local address"

free_port front
free_port second
free_port port
spawn back echod "[::]:$port"
wait_for "$PATIENCE" grep -q '^listening' "$TMP/back.out" || bail_out "no echod"
hello --sni a.test >"$TMP/a.hello"
hello --sni b.test >"$TMP/b.hello"

config() { # LISTEN BACKEND_OF_B
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": [$1], "workers": 1,
			"hosts": {
				"a.test": {"mode": "passthrough", "backend": "[fe80::1%lo]:$port"},
				"b.test": {"mode": "passthrough", "backend": "$2"}
			}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}
echoed() { # HOST ADDRESS
	talk --hello "$TMP/$1.hello" --skip "$(wc -c <"$TMP/$1.hello")" --timeout 10 "$2" \
		exchange=1000 fin wait 2>&1
}

config "\"[fe80::1%lo]:$front\"" "127.0.0.1:$port"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
[[ -n ${GATEHOUSE_SANITIZER:-} ]] || logs "in the sandbox" msg=sandbox seccomp=on
like "a listener and a backend" "$(echoed a "[fe80::1%lo]:$front")" 'received 1000 '
logs "the log has the address with its interface" msg=connection sni=a.test \
	"listener=[fe80::1%lo]:$front" "upstream=[fe80::1%lo]:$port"

config "\"[fe80::1%lo]:$front\", \"[fe80::1%lo]:$second\"" "[fe80::1%lo]:$port"
reloaded() { [[ $(log_count msg=reloaded) -ge $1 ]]; }
ok "a reload has one more" wait_for "$PATIENCE" reloaded 1
like "a new listener and a new backend" "$(echoed b "[fe80::1%lo]:$second")" 'received 1000 '

config "\"[fe80::1%lo]:$front\"" "[fe80::1%nosuch0]:$port"
ok "a backend on an interface that is missing is no error of a reload" wait_for "$PATIENCE" reloaded 2
echoed b "[fe80::1%lo]:$front" >/dev/null
logs "the connection says which" msg=connection sni=b.test end
like "by its name" "$(log_value end msg=connection sni=b.test)" 'no interface .*nosuch0'

config "\"[fe80::1%lo]:$front\", \"[fe80::1%nosuch0]:$second\"" "127.0.0.1:$port"
refused() { grep -q 'this machine has no interface .*nosuch0' "$LOG"; }
ok "a listener on one refuses the reload" wait_for "$PATIENCE" refused
like "check says it" "$("$GATEHOUSE" check -c "$TMP/config.json" 2>&1)" \
	'no interface .*nosuch0'
ok "it ends well" stop_gatehouse
done_testing
