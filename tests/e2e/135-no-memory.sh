#!/bin/bash
# An allocation that fails ends no process that serves: each flow is run while one of its allocations fails,
# and afterwards the process serves what it served before. At start it serves, or says why in one line and
# ends with 1. NOMEM_POINTS is how many allocations of a flow fail, evenly spread (0: each of them, which takes an
# hour); NOMEM_COUNT how many in a row; NOMEM_FLOWS names some of the flows.
# needs: python3 binutils
# first: it takes long
# plain: the library that lets allocations fail and a sanitizer's each have to be loaded first
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ -z $GATEHOUSE_WRAP ]] || skip_all "it has a wrap of its own"
POINTS=${NOMEM_POINTS:-6}

cd "$TMP" || bail_out "no $TMP"
export GATEHOUSE TOOLS
pki_ca root
for i in 0 1; do
	pki_cert root site$i terminated.test strict.test behind.test pop.test more.test
	cat "$PKI/site$i.crt" "$PKI/site$i.key" >"$PKI/site$i.pem"
done
chmod 600 "$PKI"/site?.pem
cp -p "$PKI/site0.pem" "$PKI/site.pem"
pki_cert root behind behind.test
pki_cert root alice --cn alice --eku client
pki_crl root
start_echo echo
free_port front
free_port pop3
free_port admin
free_port forward
free_port proxied
free_port behind
free_port pop3_behind
for name in passed name unresolved; do hello --sni $name.test >$name.hello; done
export PORTS="{\"front\": $front, \"pop3\": $pop3, \"admin\": $admin, \"forward\": $forward, \"proxied\": $proxied,
	\"behind\": $behind,
	\"pop3_behind\": $pop3_behind}"

# gatehouse asks a name server of its own, if that can be.
export WRAP=''
named=localhost
if [[ $(id -u) == 0 ]] && unshare -m true 2>unshare.err; then
	dns=127.54.$((front / 256)).$((front % 256))
	echo "nameserver $dns" >resolv.conf
	printf 'echo.test 0 127.0.0.1\n' >zone
	printf '%s\n' '#!/bin/sh' "mount --bind $TMP/resolv.conf /etc/resolv.conf && exec \"\$@\"" >own-names
	chmod 755 own-names
	spawn dns dnsd --zone zone "$dns:53"
	wait_for 5 grep -q listening dns.out || bail_out "no name server" "$(cat dns.err)"
	WRAP="unshare -m $TMP/own-names"
	named=echo.test
fi

site='"mode": "terminate", "cert": "pki/site.pem", "key": "pki/site.pem"'
write_config() { # NAME [HOSTS [LISTENERS]]: more of them
	cat >"$1" <<-CONFIG
		{
			"listen": [${3:-} "127.0.0.1:$front", {"address": "127.0.0.1:$pop3", "starttls": "pop3"},
				{"address": "127.0.0.1:$proxied", "accept_proxy": ["127.0.0.0/8"]}],
			"forwards": [{"listen": "127.0.0.1:$forward", "target": "127.0.0.1:$behind",
				"ca": "pki/root.crt", "server_name": "behind.test"}],
			"workers": 2,
			"hosts": { ${2:-}
				"passed.test": {"mode": "passthrough", "backend": "$echo"},
				"name.test": {"mode": "passthrough", "backend": "$named:${echo##*:}"},
				"unresolved.test": {"mode": "passthrough", "backend": "none.test:1"},
				"terminated.test": {$site, "backend": {"servers": ["$echo", "$echo"]},
					"alpn": {"h2": {"backend": "$echo"}}},
				"strict.test": {$site, "backend": "$echo", "client_auth": "required",
					"ca": "pki/root.crt", "crl": "pki/root.crl", "revalidate": true,
					"acl": {"allow_cn": ["alice"]}},
				"behind.test": {$site, "backend": {"servers": ["127.0.0.1:$behind"],
					"tls": {"ca": "pki/root.crt", "server_name": "behind.test"}}},
				"pop.test": {$site, "backend": {"servers": ["127.0.0.1:$pop3_behind"],
					"starttls": "pop3", "tls": {"ca": "pki/root.crt", "server_name": "behind.test"}}},
				"*.wild.test": {"mode": "passthrough", "backend": "$echo"}
			},
			"proxy": {"hello_timeout": "5s", "dial_timeout": "3s", "drain_timeout": "200ms"},
			"health": {"enabled": true, "listen": "127.0.0.1:$admin"},
			"metrics": {"enabled": true, "listen": "127.0.0.1:$admin"},
			"control": {"socket": "$TMP/control.sock"}
		}
	CONFIG
}
write_config config0.json
write_config config1.json "\"more.test\": {$site, \"backend\": \"$echo\", \"client_auth\": \"optional\",
	\"ca\": \"pki/root.crt\", \"crl\": \"pki/root.crl\"}," "\"unix:$TMP/more.sock\", "
nomem nomem off
write_config invalid.json "\"wrong.test\": {\"mode\": \"terminate\", \"cert\": \"none\", \"key\": \"none\", \"backend\": \"$echo\"},"

# shellcheck disable=SC2086 # several words
"$ROOT/tests/e2e/tools/nomem-sweep" --own --points "$POINTS" --count "${NOMEM_COUNT:-1}" ${NOMEM_FLOWS:-} >sweep.out 2>sweep.err
is "the sweep ends without a fault" $? 0
is "and has nothing to complain of" "$(cat sweep.err)" ""
note "$(cat sweep.out)"
flows=$(grep ' allocations, ' sweep.out | cut -d: -f1 | sort -u | wc -l)
ok "each flow has been swept ($flows)" test "$flows" -ge "$([[ -n ${NOMEM_FLOWS:-} ]] && echo 1 || echo 28)"
done_testing
