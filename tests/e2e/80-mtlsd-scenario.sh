#!/bin/bash
# The scenario of mtlsd: a client's sidecar, mutual TLS, a server's sidecar, an echo server; with its
# list of common names, its list of organizations, both and none, and client_auth required, optional
# and none.
# shellcheck disable=SC2034,SC2154 # lists are used by name; NAME and NAME_pid are set by functions
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca other
pki_cert ca server localhost
pki_cert ca frontend --cn frontend-service --org sales --eku client
pki_cert ca engineer --cn someone --org engineering --eku client
pki_cert ca both --cn frontend-service --org engineering --eku client
pki_cert ca neither --cn someone --org sales --eku client
pki_cert other stranger --cn frontend-service --org engineering --eku client

start_echo echo
cd "$TMP" || bail_out "no $TMP"

# --- every list with every way to ask ---

host() { # NAME CLIENT_AUTH ACL
	printf '"%s.test": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
		"backend": "%s", "client_auth": "%s", "ca": "pki/ca.crt", "acl": %s}' "$1" "$echo" "$2" "$3"
}

# shellcheck disable=SC2034 # used by their names
cn='{"allow_cn": ["frontend-service"]}'
org='{"allow_org": ["engineering"]}'
cn_or_org='{"allow_cn": ["frontend-service"], "allow_org": ["engineering"]}'
none='{}'
free_port matrix_port
matrix=127.0.0.1:$matrix_port
{
	echo "{\"listen\": \"$matrix\", \"hosts\": {"
	for auth in required optional; do
		for list in cn org cn_or_org none; do
			host "$list-$auth" $auth "${!list}"
			echo ,
		done
	done
	host none-none none "$none"
	echo "}}"
} >matrix.json
start_gatehouse matrix.json || bail_out "gatehouse does not start"

knock() { # HOST CLIENT: "in" or "out"; CLIENT "nobody" shows no certificate
	local shown=(--cert "$PKI/$2.crt" --key "$PKI/$2.key")
	[[ $2 != nobody ]] || shown=()
	if tlsload --count 1 --concurrency 1 --sni "$1.test" "${shown[@]}" --request hello \
		--expect hello --half-close "$matrix" >"$TMP/knock.out"; then
		echo in
	else
		echo out
	fi
}

clients="frontend engineer both neither stranger nobody"
table() { # HOST: what each client got
	local client row=
	for client in $clients; do row+="$(knock "$1" "$client") "; done
	echo "$row"
}
admitted=0
is_table() { # HOST EXPECTED
	local row
	row=$(table "$1")
	is "$1: $clients" "$row" "$2 "
	admitted=$((admitted + $(tr ' ' '\n' <<<"$row" | grep -c '^in$')))
}
is_table cn-required "in out in out out out"
is_table org-required "out in in out out out"
is_table cn_or_org-required "in in in out out out"
is_table none-required "in in in in out out"
is_table cn-optional "in out in out out out"
is_table org-optional "out in in out out out"
is_table cn_or_org-optional "in in in out out out"
is_table none-optional "in in in in out in"
is_table none-none "in in in in in in"
ok "the echo server heard of those alone who came in" wait_for 5 has_accepted echo "$admitted"

logs "a denial tells who it was and what the rules are" route=cn_or_org-required.test \
	identity=O=sales,CN=someone 'acl=allow_cn frontend-service, allow_org engineering' \
	'end=handshake: no rule admits this certificate'
logs "a wrong CA is another reason" route=cn-required.test \
	identity=O=engineering,CN=frontend-service \
	'end=handshake: client certificate: unable to get local issuer certificate'
logs "and no certificate a third" route=cn-required.test \
	'end=handshake: peer did not return a certificate'
ok "who came in is told too" has_log route=cn-required.test identity=O=sales,CN=frontend-service \
	upstream="$echo"
ok "stops" stop_gatehouse

# Rules that nobody would ask for are a mistake, and no open door.
{ echo "{\"listen\": \"$matrix\", \"hosts\": {" && host open none "$cn" && echo "}}"; } >open.json
like "rules need client certificates" "$("$GATEHOUSE" check -c open.json 2>&1)" \
	'^open.json:[0-9]+: hosts\["open.test"\].acl: has no effect without "client_auth"'

# --- end to end: caller, plain TCP, sidecar, mutual TLS, sidecar, echo ---

free_port server_port
free_port client_port
cat >server.json <<-JSON
	{ "listen": "127.0.0.1:$server_port",
	  "hosts": { "*": {
	    "mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key", "ca": "pki/ca.crt",
	    "client_auth": "required", "min_version": "TLS1.2",
	    "acl": { "allow_cn": ["frontend-service"] }, "backend": "$echo" } },
	  "proxy": { "dial_timeout": "10s", "idle_timeout": "90s", "max_connections": 1000 },
	  "logging": { "level": "info", "format": "text" } }
JSON
sidecar() { # CLIENT: client.json for its certificate
	cat >client.json <<-JSON
		{ "forwards": [ { "listen": "127.0.0.1:$client_port", "target": "127.0.0.1:$server_port",
		    "cert": "pki/$1.crt", "key": "pki/$1.key", "ca": "pki/ca.crt",
		    "server_name": "localhost", "min_version": "TLS1.2" } ],
		  "proxy": { "dial_timeout": "10s", "idle_timeout": "90s", "max_connections": 500 } }
	JSON
}
call() { # what a caller of the client's sidecar gets back
	rawclient --text 'hello mtlsd' --half-close --raw "127.0.0.1:$client_port" 2>/dev/null
}
sidecar frontend
ok "the server's sidecar starts" start_gatehouse --as server server.json
server_log=$LOG
ok "the client's sidecar starts" start_gatehouse --as client client.json
is "a call goes through both and back" "$(call)" 'hello mtlsd'
LOG=$server_log
logs "the server's log names the client" identity=O=sales,CN=frontend-service end=done
calls=()
for i in {1..20}; do
	call >"call.$i" &
	calls+=($!)
done
wait "${calls[@]}"
is "twenty at a time" "$(cat call.* | grep -o 'hello mtlsd' | wc -l)" 20

ok "the client's sidecar stops" stop_gatehouse --as client
before=$(accepts echo)
sidecar engineer
ok "another client's starts" start_gatehouse --as client client.json
is "whose caller gets nothing" "$(call)" ''
LOG=$server_log
logs "as the server does not have it on its list" identity=O=engineering,CN=someone \
	'end=handshake: no rule admits this certificate'
is "and the echo server heard nothing" "$(accepts echo)" "$before"
ok "the client's sidecar stops" stop_gatehouse --as client
ok "the server's stops" stop_gatehouse --as server

done_testing
