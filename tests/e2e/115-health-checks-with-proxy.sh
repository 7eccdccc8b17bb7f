#!/bin/bash
# A health check with TLS sends the PROXY header that the server expects, of either version, as sessions do.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site checked.test plain.test
start_nginx first tls --cert site --proxy-protocol
start_nginx second tls --cert site --proxy-protocol
start_nginx without tls --cert site --proxy-protocol
free_port front

host() { # NAME SERVER MORE
	cat <<-HOST
		"$1": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": {"servers": ["$2"], $3 "tls": {"ca": "pki/root.crt", "server_name": "checked.test"},
				"health_check": {"type": "tls", "interval": "50ms", "timeout": "5s", "rise": 1, "fall": 3}}}
	HOST
}
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front", "workers": 1,
	"hosts": {
		$(host v1.test "$first" '"proxy_protocol": "v1",'),
		$(host v2.test "$second" '"proxy_protocol": "v2",'),
		$(host none.test "$without" '')
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
logs "the checks are there: without a header the server is down" "msg=server marked down" "server=$without"
wait_for 1 false # twenty checks more
logs_not "with version 1 it is up" "msg=server marked down" "server=$first"
logs_not "with version 2 it is up" "msg=server marked down" "server=$second"
like "a session with version 1" "$(https https://v1.test/ "127.0.0.1:$front" -k 2>&1)" '^first https .*127.0.0.1'
like "a session with version 2" "$(https https://v2.test/ "127.0.0.1:$front" -k 2>&1)" '^second https .*127.0.0.1'
ok "it ends well" stop_gatehouse
done_testing
