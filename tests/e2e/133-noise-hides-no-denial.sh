#!/bin/bash
# Names that anonymous clients make up do not hide, in the log, that the ACL denied a client.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_cert ca server strict.test
pki_cert ca eve --cn eve
start_echo echo
free_port port
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$port", "workers": 1,
	"hosts": {"strict.test": {"mode": "terminate", "cert": "pki/server.crt",
		"key": "pki/server.key", "backend": "$echo", "client_auth": "required",
		"ca": "pki/ca.crt", "acl": {"allow_cn": ["alice"]}}}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "gatehouse does not start"

for ((i = 0; i < 40; i++)); do
	hello --sni "made-up-$i.test" >"$TMP/hello"
	timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat '$TMP/hello' >&3" 2>/dev/null
done
noise() { [[ $(log_count msg=connection) -ge 36 ]]; }
ok "noise of more names than the log tells apart" wait_for "$PATIENCE" noise
openssl s_client -connect "127.0.0.1:$port" -servername strict.test -cert "$PKI/eve.crt" \
	-key "$PKI/eve.key" </dev/null >"$TMP/eve.out" 2>&1
logs "a denial among it" reason=not_admitted identity=CN=eve
ok "stops" stop_gatehouse
done_testing
