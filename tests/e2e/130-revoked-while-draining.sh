#!/bin/bash
# A process that drains, after an upgrade or SIGTERM, follows the configuration for its sessions:
# "revalidate" and `gatehouse ctl kill` reach them as long as they live.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server strict.test
for name in alice bob carol dora; do pki_cert ca $name --cn $name; done
pki_crl ca
start_echo echo
cd "$TMP" || bail_out "no $TMP"
free_port port
cat >config.json <<CONFIG
{
	"listen": "127.0.0.1:$port", "workers": 2,
	"hosts": {"strict.test": {"mode": "terminate", "cert": "pki/server.crt",
		"key": "pki/server.key", "backend": "$echo", "client_auth": "required",
		"ca": "pki/ca.crt", "crl": "pki/ca.crl", "revalidate": true}},
	"control": {"socket": "$TMP/control.sock"},
	"proxy": {"drain_timeout": "120s"}
}
CONFIG

sessions=0
begin() { # CLIENT: a session that waits for the server's end
	spawn "$1" openssl s_client -connect "127.0.0.1:$port" -servername strict.test \
		-cert "$PKI/$1.crt" -key "$PKI/$1.key" -ign_eof
	sessions=$((sessions + 1))
	wait_for "$PATIENCE" has_accepted echo "$sessions" || bail_out "$1: no session"
}
ctl() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@" 2>&1
}
has_upgraded() { [[ $(log_count msg=upgraded) == 1 && $(log_count msg=ready) == 2 ]]; }

start_gatehouse config.json || bail_out "gatehouse does not start"
for name in alice bob carol; do begin $name; done
kill -USR2 "$gatehouse_pid"
ok "an upgrade" wait_for "$PATIENCE" has_upgraded
new=$(log_value pid msg=ready)
identity "$new" >>"$TMP/.processes"
ok "the old process drains" is_running "$gatehouse_pid"
begin dora

pki_crl ca alice
ok "alice is revoked: her session in the old process is closed" wait_for 5 is_over "$alice_pid"
logs "the log says why" "end=revalidate: certificate revoked" identity=CN=alice
ok "others stay" is_running "$bob_pid"

is "a socket of the old process" "$(stat -c %a "$TMP/control.sock.$gatehouse_pid")" 600
all=$(ctl sessions)
like "its sessions are listed" "$all" "draining process, socket .*control.sock.$gatehouse_pid:.*CN=bob"
like "and those of the new one" "$all" "CN=dora.*draining process"
like "each process answers with a line of JSON" "$(ctl --json sessions | wc -l)" '^2$'
like "kill reaches it" "$(ctl kill --cn bob)" 'killed: 0.*killed: 1'
ok "bob's session is closed" wait_for 5 is_over "$bob_pid"
like "an id is one process's own" "$(ctl kill --id 999999)" '^killed: 0$'
ok "carol stays" is_running "$carol_pid"
ok "and dora" is_running "$dora_pid"

pki_crl ca carol
ok "carol is revoked" wait_for 5 is_over "$carol_pid"
ok "the old process ends with its last session" wait_for "$PATIENCE" is_over "$gatehouse_pid"
not_ok "its socket is gone" test -e "$TMP/control.sock.$gatehouse_pid"

kill -TERM "$new"
logs "SIGTERM: draining" msg=draining connections=1
ok "dora stays" is_running "$dora_pid"
pki_crl ca dora
ok "dora is revoked while the process drains" wait_for 5 is_over "$dora_pid"
ok "which ends it" wait_for "$PATIENCE" is_over "$new"
not_ok "no complaint" grep -hE 'Sanitizer|runtime error:' "$LOG"
done_testing
