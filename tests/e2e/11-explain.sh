#!/bin/bash
# `gatehouse explain` tells which route a client gets, what it is shown, whether it is admitted, and
# where it goes: as the daemon would decide.
. "${0%/*}/lib.sh"

pki_ca root
pki_ca clients
pki_ca inter clients
pki_cert root app app.test www.app.test
pki_cert root rsa --rsa app.test
pki_cert root wild '*.wild.test'
pki_cert clients alice --cn alice --org Ops spiffe://test/alice
pki_cert clients carol --cn carol
pki_cert inter bob --cn bob
pki_cert clients old --cn alice --expired
pki_cert clients early --cn alice --notyet
pki_cert clients server --cn alice --eku server
pki_cert clients lost --cn alice
pki_cert root stranger --cn alice
pki_crl clients lost

cd "$TMP" || bail_out "no $TMP"
cat >config.json <<-'JSON'
	{ "listen": ":443", "hosts": {
	  "app.test": {
	    "mode": "terminate", "cert": ["pki/app.crt", "pki/rsa.crt"], "key": ["pki/app.key", "pki/rsa.key"],
	    "backend": { "servers": ["a.test:1", "b.test:2", { "address": "c.test:3", "backup": true }],
	                 "balance": "source", "proxy_protocol": "v2" },
	    "offer_alpn": ["h2", "http/1.1"],
	    "alpn": {
	      "ssh": { "backend": "127.0.0.1:22", "client_auth": "required", "ca": "pki/clients.crt",
	               "crl": "pki/clients.crl", "acl": { "allow_cn": ["alice", "bob"] } },
	      "any": { "client_auth": "optional", "ca": "pki/clients.crt" },
	      "acme-tls/1": { "mode": "passthrough", "backend": "127.0.0.1:10443" } } },
	  "*.wild.test": { "mode": "terminate", "cert": "pki/wild.crt", "key": "pki/wild.key",
	                   "backend": "127.0.0.1:80", "min_version": "TLS1.3" },
	  "*.deep.wild.test": { "mode": "passthrough", "backend": "unix:/run/deep.sock" } } }
JSON
cat >star.json <<-'JSON'
	{ "listen": ":443", "hosts": { "*": { "mode": "passthrough", "backend": "127.0.0.1:80" } } }
JSON
cat >only.json <<-'JSON'
	{ "listen": ":443", "hosts": { "x.test": { "mode": "passthrough", "backend": "127.0.0.1:80" } } }
JSON

cat >mail.json <<-'JSON'
	{ "listen": { "address": ":110", "starttls": "pop3" }, "hosts": { "mail.test": {
	  "mode": "passthrough", "backend": { "servers": ["127.0.0.1:1110"], "starttls": "pop3" } } } }
JSON

explain() { # sets STATUS, OUT and ERR
	# shellcheck disable=SC2086 # the wrap is a command with its options
	$GATEHOUSE_WRAP "$GATEHOUSE" explain "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out")
	ERR=$(cat "$TMP/err")
}

told() { # DESCRIPTION JQ-FILTER EXPECTED ARGUMENT...: of the JSON, compact
	local description=$1 filter=$2 expected=$3
	shift 3
	explain -c config.json --json "$@"
	is "$description" "$(jq -c "$filter" "$TMP/out" 2>&1)" "$expected"
}

# --- the route ---

explain -c config.json --sni WWW.Wild.test. --from 192.0.2.1
is "explained" "$STATUS" 0
is "nothing to complain of" "$ERR" ''
is "for people" "$(sed 's/at \?20.*//; s/expires: .*/expires: DATE/; s/ \/.*pki/ PKI/' <<<"$OUT")" \
	'sni: www.wild.test
alpn: none
route:
  host: *.wild.test
  match: wildcard
  alpn: none
  why: the longest wildcard that the name is below; it has no "alpn" entries
  mode: terminate
  negotiated alpn: none
  min version: TLS1.3
  certificates:
    - file: PKI/wild.crt
      names: *.wild.test
      key type: ECDSA
      expires: DATE
      state: valid
  client auth: none
  backend:
    servers: 127.0.0.1:80
    proxy protocol: none'

route='.route | [.host, .match, .alpn, .mode, .negotiated_alpn]'
told "an exact name" "$route" '["app.test","exact",null,"terminate",null]' --sni app.test
told "a protocol of its own" "$route" '["app.test","exact","ssh","terminate","ssh"]' \
	--sni app.test --alpn foo,ssh,any
told "the client's order" "$route" '["app.test","exact","any","terminate","any"]' \
	--sni app.test --alpn any,ssh
told "a protocol that is passed through" "$route" \
	'["app.test","exact","acme-tls/1","passthrough",null]' --sni app.test --alpn acme-tls/1
told "what is offered" "$route" '["app.test","exact",null,"terminate","h2"]' \
	--sni app.test --alpn http/1.1,h2
told "a deeper wildcard" "$route" '["*.deep.wild.test","wildcard",null,"passthrough",null]' \
	--sni a.b.deep.wild.test
told "a pattern as a name" "$route" '["*.wild.test","wildcard",null,"terminate",null]' \
	--sni '*.wild.test'
told "an id that is not text" '.alpn' '["h%00%25","x"]' --sni app.test --alpn 'h%00%25,x'
told "both certificates" '[.route.certificates[] | [.key_type, .state] + .names]' \
	'[["ECDSA","valid","app.test","www.app.test"],["RSA","valid","app.test"]]' --sni app.test
told "when they expire" '.route.certificates[0].expires | fromdate - now | . > 86400 * 29' true \
	--sni app.test
explain -c star.json --sni any.test --json
is "the catch-all" "$(jq -r '.route.match' out)" catch-all
explain -c star.json --sni '' --json
is "for a client that names nobody" "$(jq -c '[.sni, .route.why]' out)" \
	'[null,"the client sends no name; it has no \"alpn\" entries"]'

# --- no route ---

told "an unknown name" '[.route, .why, .answer, .closest_host]' \
	'[null,"unknown server name","421 Misdirected Request, under the certificate of another host","*.wild.test"]' \
	--sni wild.test
told "and the certificate it sees" '.certificates[0].names' '["*.wild.test"]' --sni wild.test
is "is explained all the same" "$STATUS" 0
explain -c only.json --sni y.test --json
is "no certificate at all" "$(jq -c '[.route, .answer]' out)" '[null,"alert unrecognized_name"]'
told "no common protocol" '[.route, .why, .answer, .protocols]' \
	'[null,"no common application protocol","alert no_application_protocol",["ssh","any","acme-tls/1","h2","http/1.1"]]' \
	--sni app.test --alpn foo
told "an address counts as no name" '[.sni, .sni_note]' \
	'[null,"an IP address is not a server name, and counts as none"]' --sni 192.0.2.1
told "an empty label" '.why' '"server name has an empty label"' --sni a..test
told "a control byte" '.why' '"server name holds a control byte"' --sni $'a\tb'

# --- the client's certificate ---

client='.route.client | [.verified, .verify_error, .rule, .admitted]'
told "nobody is asked" '.route | [.client_auth, .client]' '["none",null]' --sni app.test
told "none where one is required" '.route | [.client_auth, .client.admitted, .client.why]' \
	'["required",false,"no client certificate"]' --sni app.test --alpn ssh
told "none where it is optional" '.route | [.client_auth, .client.admitted]' '["optional",true]' \
	--sni app.test --alpn any
told "one on the list" "$client" '[true,null,"allow_cn alice",true]' \
	--sni app.test --alpn ssh --cert pki/alice.crt
told "who it is" '.route.client.certificate' '"O=Ops,CN=alice,URI=spiffe://test/alice"' \
	--sni app.test --alpn ssh --cert pki/alice.crt
told "with an intermediate" "$client" '[true,null,null,true]' \
	--sni app.test --alpn any --cert pki/bob.crt
told "one that lacks it" "$client" '[false,"unable to get local issuer certificate",null,false]' \
	--sni app.test --alpn any --cert pki/bob.own.crt
told "one whose issuer has no list of revoked ones" "$client" \
	'[false,"unable to get certificate CRL","allow_cn bob",false]' \
	--sni app.test --alpn ssh --cert pki/bob.crt
told "one not on the list" "$client" '[true,null,null,false]' \
	--sni app.test --alpn ssh --cert pki/carol.crt
told "without a list" "$client" '[true,null,null,true]' \
	--sni app.test --alpn any --cert pki/carol.crt
told "an expired one" "$client" '[false,"certificate has expired","allow_cn alice",false]' \
	--sni app.test --alpn ssh --cert pki/old.crt
told "one from the future" "$client" '[false,"certificate is not yet valid","allow_cn alice",false]' \
	--sni app.test --alpn ssh --cert pki/early.crt
told "one for servers" "$client" '[false,"unsuitable certificate purpose","allow_cn alice",false]' \
	--sni app.test --alpn ssh --cert pki/server.crt
told "a revoked one" "$client" '[false,"certificate revoked","allow_cn alice",false]' \
	--sni app.test --alpn ssh --cert pki/lost.crt
told "which only that list knows" "$client" '[true,null,null,true]' \
	--sni app.test --alpn any --cert pki/lost.crt
told "one of another CA" "$client" \
	'[false,"unable to get local issuer certificate","allow_cn alice",false]' \
	--sni app.test --alpn ssh --cert pki/stranger.crt
told "files to trust" '.route.trusted_files | map(sub(".*/"; ""))' '["clients.crt","clients.crl"]' \
	--sni app.test --alpn ssh
told "rules" .route.acl '"allow_cn alice, allow_cn bob"' --sni app.test --alpn ssh
told "passed through, others judge" '.route.client.admitted' null \
	--sni app.test --alpn acme-tls/1 --cert pki/alice.crt

# --- the backend ---

told "servers" '.route.backend | [.servers, .backups, .balance, .proxy_protocol]' \
	'[["a.test:1","b.test:2"],["c.test:3"],"source","v2"]' --sni app.test
told "no order without a source" .route.backend.order_for_source null --sni app.test
told "with one: all, backups last" '.route.backend.order_for_source | [length, .[2]]' \
	'[3,"c.test:3"]' --sni app.test --from 192.0.2.1
order=$(jq -c .route.backend.order_for_source out)
told "the same again, from another port" .route.backend.order_for_source "$order" \
	--sni app.test --from 192.0.2.1:999
told "and v4-mapped" .route.backend.order_for_source "$order" \
	--sni app.test --from ::ffff:192.0.2.1
orders=$(for i in {1..20}; do
	explain -c config.json --sni app.test --json --from "2001:db8::$i"
	jq -c .route.backend.order_for_source out
done | sort -u | wc -l)
is "sources are spread" "$orders" 2

# --- STARTTLS ---

mail() { # DESCRIPTION JQ-FILTER EXPECTED ARGUMENT...
	explain -c mail.json --json --sni mail.test "${@:4}"
	is "$1" "$(jq -c "$2" "$TMP/out" 2>&1)" "$3"
}
mail "of a backend" .route.backend.starttls '"pop3"'
mail "the same in front fits" .why null --starttls pop3
mail "none in front does not" '[.why, .answer]' \
	'["the greeting of the listener is not that of the backend","alert no_application_protocol"]' --starttls ''
mail "another in front does not" .route null --starttls ldap
mail "no page for a mail client" .answer '"alert unrecognized_name"' \
	--sni other.test --starttls pop3

# --- on a listener ---

cat >listen.json <<CONFIG
{
	"listen": [":1", {"address": ":2", "host": "app.test"}, {"address": ":3", "default_host": "app.test"},
		{"address": ":4", "hosts": ["app.test", "mail.test"]}, {"address": ":5", "starttls": "pop3"},
		{"address": ":6", "starttls": ["ldap", "postgres"]}],
	"forwards": [{"listen": "127.0.0.1:7", "target": "a.test:1"}],
	"hosts": {
		"app.test": {"mode": "passthrough", "backend": "127.0.0.1:1", "alpn": {"x": {"backend": "127.0.0.1:1"}}},
		"own.test": {"mode": "terminate", "cert": "pki/app.crt", "key": "pki/app.key", "backend": "127.0.0.1:1"},
		"mail.test": {"mode": "passthrough", "backend": {"servers": ["127.0.0.1:1"], "starttls": "pop3"}}
	}
}
CONFIG
on() { # ADDRESS SNI JQ-FILTER EXPECTED ARGUMENT...
	explain -c listen.json --json --listen "$1" --sni "$2" "${@:5}"
	is "on $1, a client that sends \"$2\" ${*:5}" "$(jq -c "$3" "$TMP/out" 2>&1)$ERR" "$4"
}
on :1 own.test .route.host '"own.test"'
on :1 '' .why '"unknown server name (the client sends none, and there is no \"*\")"'
on :2 own.test '[.route.host, .route.why]' \
	'["app.test","the \"host\" of the listener; the client offers no protocol"]'
on :2 no.test .route.host '"app.test"'
on :3 '' '[.route.host, .route.why]' \
	'["app.test","the \"default_host\" of the listener; no protocol offered has an \"alpn\" entry there"]' --alpn h2
on :3 own.test '[.route.host, .route.why]' \
	'["own.test","the host of exactly this name; it has no \"alpn\" entries"]'
on :4 app.test .route.host '"app.test"'
on :4 own.test '[.route, .closest_host]' '[null,null]'
on :1 mail.test .why '"the greeting of the listener is not that of the backend"'
on :5 mail.test .route.host '"mail.test"'
on :5 app.test .why '"the greeting of the listener is not that of the backend"'
on :6 app.test .route.host '"app.test"' --starttls postgres

# --- what cannot be explained ---

for listen in ':8' '127.0.0.1:7'; do
	on "$listen" a.test . \
		"gatehouse explain: listen: expected an address of \"listen\" as it stands there, got \"$listen\""
done
on :6 a.test . 'gatehouse explain: starttls: the listener :6 has no "pop3"' --starttls pop3
for arguments in "-c none.json --sni a.test" "-c config.json --sni a.test --cert none.crt" \
	"-c config.json --sni a.test --cert config.json" "-c config.json --sni a.test --from here" \
	"-c config.json --sni a.test --alpn a,,b" "-c config.json --sni a.test --alpn %2" \
	"-c config.json --sni a.test --starttls ftp"; do
	# shellcheck disable=SC2086
	explain $arguments
	is "not $arguments" "$STATUS $OUT" '1 '
	like "and why" "$ERR" '(none.json|none.crt|config.json|--from|--alpn|starttls): |": '
done
for arguments in "" "-c config.json" "--sni a.test" "-c config.json --sni a.test more" "--colour" \
	"-c config.json --sni a.test --hello x" "--hello x --cert y" "--hello x --starttls pop3" "--hello x --listen :1"; do
	# shellcheck disable=SC2086
	explain $arguments
	is "usage: explain $arguments" "$STATUS $OUT" '2 '
done
explain --help
is "help" "$STATUS" 0
like "on standard output" "$OUT" '^usage: gatehouse explain -c FILE --sni NAME'

done_testing
