#!/bin/bash
# Every kind of rule admits whom it names and nobody else; revocation lists count at each level that
# has one; files that cannot be used fail the load, and nothing stands in for them.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca ops
pki_ca inter ca
pki_ca sibling ca
pki_cert ca server '*.acl.test'
pki_cert ca alice --cn alice --org Ops --ou Night --uri spiffe://test/ns/prod/sa/web \
	alice.clients.test alice@Mail.Test
pki_cert ca bob --cn bob --org Dev --ou Day --uri spiffe://test/ns/dev/sa/web \
	deep.bob.clients.test bob@mail.test
pki_cert inter carol --cn carol
pki_cert sibling dave --cn dave
pki_cert ops olga --cn olga

# The names of alice as a common name, an organization or an address at the wrong place.
pki_cert ca mallory --cn alice.clients.test --org alice --ou alice --uri spiffe://test/ns/prod
pki_cert ca climber --cn climber --uri spiffe://test/ns/prod/../dev

fingerprint() { # NAME: of the certificate
	openssl x509 -in "$PKI/$1.own.crt" -noout -fingerprint -sha256 | sed 's/.*=//'
}
key_fingerprint() { # NAME
	openssl x509 -in "$PKI/$1.own.crt" -noout -pubkey | openssl pkey -pubin -outform DER |
		openssl dgst -sha256 | sed 's/.* //'
}

start_echo echo
cd "$TMP" || bail_out "no $TMP"
free_port port
at=127.0.0.1:$port

host() { # NAME ACL [MORE]: asks for a certificate of "ca"
	printf '"%s.acl.test": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
		"backend": "%s", "client_auth": "required", "ca": "pki/ca.crt", "acl": {%s} %s}' \
		"$1" "$echo" "$2" "${3:-}"
}
config() { # HOST...: as written by host
	local IFS=,
	echo "{\"listen\": \"$at\", \"hosts\": {$*}}"
}
knock() { # HOST CLIENT [OPTION of tlsload...]
	local host=$1 client=$2
	shift 2
	if tlsload --count 1 --concurrency 1 --sni "$host.acl.test" --cert "$PKI/$client.crt" \
		--key "$PKI/$client.key" --request hello --expect hello --half-close "$@" "$at" \
		>"$TMP/knock.out"; then
		echo in
	else
		echo out
	fi
}
admits() { # HOST WHOM...: those of the four, and no others
	local host=$1 client got=
	shift
	for client in alice bob mallory climber; do
		[[ $(knock "$host" "$client") != in ]] || got+="$client "
	done
	is "$host admits ${*:-nobody}" "$got" "${*:+$* }"
}

# --- rules ---

config "$(host cn '"allow_cn": "alice"')" \
	"$(host org '"allow_org": ["Ops"]')" \
	"$(host ou '"allow_ou": ["Day", "Evening"]')" \
	"$(host dns '"allow_dns": "alice.clients.test"')" \
	"$(host dnswild '"allow_dns": "*.clients.test"')" \
	"$(host uri '"allow_uri": "spiffe://test/ns/dev/sa/web"')" \
	"$(host uribelow '"allow_uri": "spiffe://test/ns/prod/*"')" \
	"$(host uricase '"allow_uri": "SPIFFE://test/ns/prod/*"')" \
	"$(host email '"allow_email": "alice@mail.test"')" \
	"$(host emailcase '"allow_email": "Alice@mail.test"')" \
	"$(host print "\"allow_fingerprint\": \"SHA256:$(fingerprint bob)\"")" \
	"$(host keyprint "\"allow_fingerprint\": \"$(key_fingerprint bob)\"")" \
	"$(host any '"allow_cn": "alice", "allow_ou": "Day"')" \
	"$(host all '')" \
	"$(host nobody '"allow_cn": ["Alice", "alic", "alice "]')" \
	"$(host entries '"allow_cn": "alice"' ', "alpn": {
		"ssh": {"ca": "pki/ops.crt", "acl": {"allow_cn": "olga"}}, "h2": {"client_auth": "none"}}')" \
	>config.json
start_gatehouse config.json || bail_out "gatehouse does not start"
admits cn alice
admits org alice
admits ou bob
admits dns alice
admits dnswild alice
admits uri bob
admits uribelow alice
admits uricase
admits email alice
admits emailcase
admits print bob
admits keyprint bob
admits any alice bob
admits all alice bob mallory climber
admits nobody
logs "whom a rule names is told" route=uribelow.acl.test \
	'identity=O=Ops,OU=Night,CN=alice,URI=spiffe://test/ns/prod/sa/web,DNS=alice.clients.test,email=alice@Mail.Test' \
	end=done

# --- each protocol of a host has its own ---

is "ssh: olga of another CA" "$(knock entries olga --alpn ssh)" in
is "ssh: not alice" "$(knock entries alice --alpn ssh)" out
is "no protocol: not olga" "$(knock entries olga)" out
is "no protocol: alice" "$(knock entries alice)" in
is "h2: anybody" "$(knock entries olga --alpn h2)" in
ok "stops" stop_gatehouse

# --- revocation lists ---

pki_crl ca
pki_crl inter
pki_crl ops
openssl crl -in "$PKI/ca.crl" -outform DER -out "$PKI/ca.der.crl"
cp "$PKI/sibling.own.crt" "$PKI/sibling-ca.own.crt"
config "$(host root '' ', "crl": "pki/ca.der.crl"')" \
	"$(host both '' ', "crl": ["pki/ca.crl", "pki/inter.crl"]')" \
	"$(host leaf '' ', "crl": "pki/inter.crl"')" >config.json
start_gatehouse config.json || bail_out "gatehouse does not start"
is "the root's list alone: its own client" "$(knock root alice)" in
is "but none of an intermediate without a list" "$(knock root carol)" out
logs "the log says what is missing" route=root.acl.test identity=CN=carol \
	'end=handshake: client certificate: unable to get certificate CRL'
is "both lists: the root's client" "$(knock both alice)" in
is "and the intermediate's" "$(knock both carol)" in
is "the intermediate's list alone: its client" "$(knock leaf carol)" in
is "but none of the root" "$(knock leaf alice)" out

pki_crl ca sibling-ca
pki_crl sibling
config "$(host both '' ', "crl": ["pki/ca.crl", "pki/sibling.crl"]')" >config.json
ok "a reload" wait_for 5 has_log msg=reloaded
is "below an intermediate that was revoked" "$(knock both dave)" out
is "beside it" "$(knock both alice)" in
ok "stops" stop_gatehouse

# --- lists that have expired ---

pki_crl ca --expired bob
config "$(host warn '' ', "crl": "pki/ca.crl"')" \
	"$(host refuse '' ', "crl": "pki/ca.crl", "expired_crl": "refuse"')" >config.json
like "check warns" "$("$GATEHOUSE" check -c config.json 2>&1)" \
	'crl: a certificate revocation list has expired: clients are refused'
start_gatehouse config.json || bail_out "gatehouse does not start"
logs "an error in the log" level=error "file=$TMP/pki/ca.crl" clients=refused
logs "for each use" level=error "file=$TMP/pki/ca.crl" 'clients=checked against it all the same'
is "it is used all the same" "$(knock warn alice)" in
is "also against whom it names" "$(knock warn bob)" out
logs "who is told to be revoked" route=warn.acl.test identity \
	'end=handshake: client certificate: certificate revoked'
is "or refuses" "$(knock refuse alice)" out
logs "and says so" route=refuse.acl.test 'end=handshake: client certificate: CRL has expired'
ok "stops" stop_gatehouse

# One that expires while gatehouse runs.
pki_openssl ca -config "$PKI/ca.d/conf" -gencrl -crlsec 3 -out "$PKI/ca.crl"
config "$(host soon '' ', "crl": "pki/ca.crl", "expired_crl": "refuse"')" >config.json
start_gatehouse config.json || bail_out "gatehouse does not start"
is "good for two seconds more" "$(knock soon alice)" in
logs "then an error in the log, with no reload" level=error \
	'msg=certificate revocation list has expired' "file=$TMP/pki/ca.crl"
is "and a refusal" "$(knock soon alice)" out
ok "stops" stop_gatehouse

# --- which CAs ---

mkdir cas
cp "$PKI/ca.crt" cas/one.pem
cp "$PKI/ops.crt" cas/two.crt
config "$(host directory '' ', "ca": "cas"' | sed 's/"ca": "pki\/ca.crt", //')" \
	"$(host list '' ', "ca": ["pki/ops.crt", "pki/ca.crt"]' | sed 's/"ca": "pki\/ca.crt", //')" \
	"$(host inter '' ', "ca": "pki/inter.own.crt"' | sed 's/"ca": "pki\/ca.crt", //')" >config.json
start_gatehouse config.json || bail_out "gatehouse does not start"
is "a directory of CAs" "$(knock directory alice) $(knock directory olga)" "in in"
is "a list of files" "$(knock list alice) $(knock list olga)" "in in"
is "an intermediate alone" "$(knock inter carol) $(knock inter alice) $(knock inter dave)" "in out out"

fails() { # DESCRIPTION HOST... -- PATTERN of what check says
	local description=$1 pattern=${*: -1}
	config "${@:2:$#-2}" >broken.json
	like "$description" "$("$GATEHOUSE" check -c broken.json 2>&1)" "$pattern"
}
other_ca() { # CA: a host with that
	host broken '' ", \"ca\": $1" | sed 's/"ca": "pki\/ca.crt", //'
}
echo garbage >garbage.pem
: >empty.pem
mkdir nothing
fails "no such CA" "$(other_ca '"none.pem"')" '\.ca: ".*none.pem": no such file'
fails "an empty one" "$(other_ca '"empty.pem"')" '\.ca: ".*empty.pem": '
fails "garbage" "$(other_ca '["pki/ca.crt", "garbage.pem"]')" '\.ca\[1\]: ".*garbage.pem": no PEM cert'
fails "an empty directory" "$(other_ca '"nothing"')" '\.ca: ".*nothing": no .pem'
fails "a certificate that is no CA's" "$(other_ca '"pki/alice.crt"')" \
	'\.ca: ".*alice.crt": holds a certificate that is no CA'
fails "no such list" "$(host broken '' ', "crl": "none.crl"')" '\.crl: ".*none.crl": no such file'
fails "no list in it" "$(host broken '' ', "crl": "garbage.pem"')" '\.crl: ".*garbage.pem": no CRL'
{ cat pki/ca.crl && echo "-----BEGIN X509 CRL-----" && echo half; } >half.crl
fails "a second list that is none" "$(host broken '' ', "crl": "half.crl"')" \
	'\.crl: ".*half.crl": revocation list 2 cannot be read'
fails "rules that can mean nothing, each where it stands" \
	"$(host broken '"allow_uri": ["spiffe://a/b", "spiffe://*"], "allow_email": "here"')" \
	'acl.allow_uri\[1\]: "spiffe://\*" .*acl.allow_email: "here" is not an email'
fails "two hosts of a name" "$(host twin '')" "$(host Twin '')" \
	'\["Twin.acl.test"\]: there is a host of this name already, at broken.json:1'

# What cannot be loaded does not take the place of what runs.
cp config.json good.json
config "$(other_ca '"none.pem"')" >config.json
logs "a reload without its CA is refused" level=error 'msg=reload refused, the running configuration stays'
is "and what ran goes on" "$(knock directory alice) $(knock inter alice)" "in out"
ok "stops" stop_gatehouse

done_testing
