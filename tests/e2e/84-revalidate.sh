#!/bin/bash
# "revalidate": a session that a certificate admitted is closed when it would not be admitted any
# more: by a reload that narrows the rules, the CA or the list of revoked ones, or by its last day.
# Without the setting it lives on.
# threads: reloads while sessions live
# first: it waits for a certificate to expire
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

pki_ca ca
pki_ca other
pki_cert ca server strict.test lax.test other.strict.test x.wild.test y.wild.test
for name in alice bob carol dora; do pki_cert ca $name --cn $name; done
pki_request eve /CN=eve
pki_crl ca
start_echo echo
cd "$TMP" || bail_out "no $TMP"
free_port port
at=127.0.0.1:$port

# What a host asks for, by its settings; the rules are those of all hosts.
host() { # NAME REVALIDATE ACL CA
	printf '"%s": {"mode": "terminate", "cert": "pki/server.crt", "key": "pki/server.key",
		"backend": "%s", "client_auth": "required", "ca": "pki/%s.crt", "crl": "pki/%s.crl",
		"revalidate": %s, "acl": %s}' "$1" "$echo" "$4" "$4" "$2" "$3"
}
configure() { # HOST...
	local IFS=,
	echo "{\"listen\": \"$at\", \"proxy\": {\"drain_timeout\": \"100ms\"}, \"hosts\": {$*}}" >next.json
	mv next.json config.json
}
reloads=0
reloaded() { # and every session was judged
	reloads=$((reloads + 1))
	wait_for "$PATIENCE" has_reloaded
}
has_reloaded() {
	[[ $(log_count msg=reloaded) == "$reloads" ]]
}

sessions=0
begin() { # NAME CLIENT HOST [ADDRESS]: a session that waits for the server's end
	spawn "$1" openssl s_client -connect "${4:-$at}" -servername "$3" -cert "$PKI/$2.crt" \
		-key "$PKI/$2.key" -ign_eof
	sessions=$((sessions + 1))
	[[ -n ${4:-} ]] || wait_for "$PATIENCE" has_accepted echo "$sessions" ||
		bail_out "$1: no session" "$(cat "$TMP/$1.out")"
}
closed() { # DESCRIPTION PID WHY [PAIR...]
	local description=$1 pid=$2 why=$3
	shift 3
	ok "$description: closed" wait_for 5 is_over "$pid"
	logs "$description: the log says why" "end=revalidate: $why" "$@"
}
alive() { # DESCRIPTION PID...: also after the others were judged
	local description=$1 pid
	shift
	for pid; do
		if is_over "$pid"; then fail "$description" "$(tail -n 5 "$LOG")"; return; fi
	done
	pass "$description"
}

everybody='{"allow_cn": ["alice", "bob", "carol", "dora", "eve"]}'
configure "$(host strict.test true "$everybody" ca)" "$(host lax.test false "$everybody" ca)" \
	"$(host '*.wild.test' true "$everybody" ca)"
pki_crl other
start_gatehouse config.json || bail_out "gatehouse does not start"
for name in alice bob carol dora; do
	begin "strict_$name" $name strict.test
	begin "lax_$name" $name lax.test
done
begin wild alice x.wild.test

# --- the rules ---

most='{"allow_cn": ["bob", "carol", "dora", "eve"]}'
configure "$(host strict.test true "$most" ca)" "$(host lax.test false "$most" ca)" \
	"$(host '*.wild.test' true "$everybody" ca)"
reloaded || bail_out "no reload"
closed "the rules leave alice out" "$strict_alice_pid" "no rule admits this certificate" \
	route=strict.test identity=CN=alice
alive "others stay, and so do all without the setting" "$strict_bob_pid" "$strict_carol_pid" \
	"$strict_dora_pid" "$lax_alice_pid" "$lax_bob_pid" "$wild_pid"

# A new host comes between a name and the wildcard that it was served by.
configure "$(host strict.test true "$most" ca)" "$(host lax.test false "$most" ca)" \
	"$(host '*.wild.test' true "$everybody" ca)" "$(host x.wild.test true "$most" ca)"
reloaded || bail_out "no reload"
closed "a closer host leaves alice out" "$wild_pid" "no rule admits this certificate" \
	'route=*.wild.test'

# --- the list of revoked ones ---

pki_crl ca bob
reloaded || bail_out "no reload"
closed "bob is revoked" "$strict_bob_pid" "certificate revoked" route=strict.test identity=CN=bob
alive "without the setting that is no matter" "$strict_carol_pid" "$lax_bob_pid"

# --- the CA ---

configure "$(host strict.test true "$most" other)" "$(host lax.test false "$most" other)"
reloaded || bail_out "no reload"
closed "carol's CA is no more" "$strict_carol_pid" "unable to get local issuer certificate" \
	route=strict.test identity=CN=carol
closed "and dora's" "$strict_dora_pid" "unable to get local issuer certificate"
alive "without the setting that is no matter" "$lax_carol_pid" "$lax_dora_pid" "$lax_alice_pid"

# --- a handshake that was under way ---

configure "$(host strict.test true "$everybody" ca)" "$(host lax.test false "$everybody" ca)"
reloaded || bail_out "no reload"
free_port slow_port
free_port slow_lax_port
for host in strict lax; do
	[[ $host == strict ]] && slow=127.0.0.1:$slow_port || slow=127.0.0.1:$slow_lax_port
	spawn "stall_$host" stall --until "$TMP/go" "$slow" "$at"
	wait_for 5 grep -q listening "$TMP/stall_$host.out"
	begin "slow_$host" alice $host.test "$slow"
	ok "$host: in the middle of its handshake" wait_for 5 grep -q stalled "$TMP/stall_$host.out"
done
configure "$(host strict.test true "$most" ca)" "$(host lax.test false "$most" ca)"
reloaded || bail_out "no reload"
: >go
closed "a handshake from before the reload" "$slow_strict_pid" "no rule admits this certificate"
ok "and without the setting" wait_for 5 has_accepted echo "$sessions"
alive "it is served" "$slow_lax_pid"

# --- the last day ---

pki_sign ca eve "$(pki_time -1day)" "$(pki_time +5seconds)" "basicConstraints = CA:false"
cp "$PKI/eve.own.crt" "$PKI/eve.crt"
begin strict_eve eve strict.test
begin lax_eve eve lax.test
alive "eve's last seconds" "$strict_eve_pid"
closed "her certificate expires" "$strict_eve_pid" "the client's certificate has expired" \
	route=strict.test identity=CN=eve
alive "without the setting that is no matter" "$lax_eve_pid"

# Set by a reload, it is for those who are in already.
begin late carol lax.test
configure "$(host strict.test true "$most" ca)" "$(host lax.test true "$most" ca)"
reloaded || bail_out "no reload"
closed "set by a reload: eve" "$lax_eve_pid" "certificate has expired" route=lax.test
closed "alice" "$lax_alice_pid" "no rule admits this certificate" route=lax.test
closed "bob" "$lax_bob_pid" "certificate revoked" route=lax.test
alive "whoever is still good stays" "$late_pid" "$lax_carol_pid" "$lax_dora_pid"

configure "$(host strict.test true "$most" ca)"
reloaded || bail_out "no reload"
closed "a route that is gone" "$late_pid" "the route is gone" route=lax.test
ok "stops" stop_gatehouse

done_testing
