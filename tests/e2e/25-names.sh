#!/bin/bash
# Which host a name gets: letters' case and one trailing dot do not matter, an exact name is before a
# wildcard, the longest wildcard before shorter ones, "*" last; and a client without a name gets "*".
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca root
pki_cert root site site.test '*.site.test'
free_port front

hosts=()
# host NAME BACKEND: both as "NAME" in terminate mode and, under passed.NAME, in passthrough mode
host() {
	start_echo "$2" --greet "$2"
	hosts+=("\"$1\": {\"mode\": \"terminate\", \"cert\": \"pki/site.crt\",
		\"key\": \"pki/site.key\", \"backend\": \"${!2}\"}")
}
host site.test apex
host Exact.Site.TEST exact
host '*.site.test' wild
host '*.deep.site.test' deeper
host 'dotted.test.' dotted
host 'xn--bcher-kva.test' punycode
host '*' any
start_echo passed --greet passed
hosts+=("\"passed.site.test\": {\"mode\": \"passthrough\", \"backend\": \"$passed\"}")

(IFS=, && echo "{\"listen\": \"127.0.0.1:$front\", \"hosts\": {${hosts[*]}}}") >"$TMP/config.json"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

# reaches NAME BACKEND DESCRIPTION: what the backend says first comes through
reaches() {
	local sni=(-servername "$1")
	[[ -n $1 ]] || sni=(-noservername)
	# The backend goes on listening: the word that it greets with ends the wait.
	spawn client openssl s_client -connect "127.0.0.1:$front" "${sni[@]}" -ign_eof -quiet
	wait_for "$PATIENCE" test -s "$TMP/client.out"
	stop "$client_pid"
	is "$3" "$(cat "$TMP/client.out")" "$2"
}

reaches site.test apex "a name"
reaches SITE.test apex "in upper case"
reaches site.test. apex "with a dot behind it"
reaches exact.site.test exact "an exact name before a wildcard, written otherwise in the file"
reaches EXACT.site.TEST. exact "and asked for otherwise"
reaches other.site.test wild "a wildcard"
reaches a.b.c.site.test wild "of any depth"
reaches Other.Site.Test. wild "in any case"
reaches x.deep.site.test deeper "the longest wildcard first"
reaches a.b.deep.site.test deeper "at any depth too"
reaches deep.site.test wild "what a wildcard hangs on is not under it"
reaches below.exact.site.test wild "nor is what is below an exact name that name's"
reaches dotted.test dotted "a name with a dot in the file"
reaches xn--bcher-kva.test punycode "an internationalised name"
reaches notsite.test any "another name that ends alike"
reaches test any "one label"
reaches under_score.test any "a name that no host may have"
reaches '*.site.test' wild "a star asked for is a label like any other"
reaches '' any "no name"
reaches 127.0.0.1 any "an IPv4 address, which counts as none"
reaches 2001:db8::1 any "an IPv6 address"
printf 'ping\n' | socat -t 1 - "OPENSSL:127.0.0.1:$front,verify=0" >"$TMP/socat.out" 2>&1
like "socat's own server name for an address" "$(cat "$TMP/socat.out")" ^any

# Passed through as they are: the hello comes back behind the greeting, its name as it was asked.
for name in passed.site.test PASSED.Site.Test passed.site.test.; do
	like "passed through: $name" "$(hello --sni "$name" |
		rawclient --file - --half-close --raw "127.0.0.1:$front" 2>/dev/null | tr -d '\0')" \
		"^passed.*$name"
done
logs "the log has the canonical name" msg=connection sni=passed.site.test route=passed.site.test
is "and no other" "$(log_lines msg=connection sni | grep -cE 'sni=[^ ]*([A-Z]|\. )')" 0
logs "a client without a name has none in the log" msg=connection 'route=*' end
is "nor has one that names an address" "$(log_lines msg=connection 'route=*' | grep -vc sni=)" 4
ok "gatehouse ends well" stop_gatehouse
done_testing
