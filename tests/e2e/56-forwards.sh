#!/bin/bash
# A forward takes plain connections, by TCP or a unix socket, to a TLS server that it checks and to
# which it shows its own certificate, name and protocol. What goes wrong on the way is told in the
# log, with the forward's address and the reason in words.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# --- who is who --------------------------------------------------------------------------------

pki_ca root
pki_ca stranger
pki_cert root gateway gw.test db.test 127.0.0.1
pki_cert root late --expired late.test
pki_cert root alice --eku client --cn alice
pki_cert root old --eku client --cn old --expired
start_echo backend --greet "hello "
start_nginx web tls --cert gateway
free_port front
free_port listen

cat >"$TMP/gateway.json" <<CONFIG
{
	"listen": ["127.0.0.1:$front", "unix:$TMP/front.sock"],
	"hosts": {
		"gw.test": {"mode": "terminate", "cert": "pki/gateway.crt", "key": "pki/gateway.key",
			"client_auth": "required", "ca": "pki/root.crt", "backend": "$backend",
			"acl": {"allow_cn": ["alice", "old"]},
			"alpn": {"echo/2": {"backend": "$backend"}}},
		"db.test": {"mode": "terminate", "cert": "pki/gateway.crt", "key": "pki/gateway.key",
			"backend": "$backend"},
		"late.test": {"mode": "terminate", "cert": "pki/late.crt", "key": "pki/late.key",
			"backend": "$backend"}
	}
}
CONFIG
start_gatehouse --as gateway "$TMP/gateway.json" || bail_out "no gateway"

free_port nobody
spawn mute echod --sink 127.0.0.1:0
spawn plain echod --greet "220 not TLS, sorry" 127.0.0.1:0
wait_for "$PATIENCE" grep -q '^listening' "$TMP/mute.out" || bail_out "no mute server"
wait_for "$PATIENCE" grep -q '^listening' "$TMP/plain.out" || bail_out "no plain server"
mute=$(sed -n 's/^listening //p' "$TMP/mute.out")
plain=$(sed -n 's/^listening //p' "$TMP/plain.out")
free_port noise
free_port noisy

# forward NAME TARGET [FIELDS]: a line of "forwards" on $TMP/NAME.sock
forward() {
	echo "{\"listen\": \"unix:$TMP/$1.sock\", \"target\": $2${3:+, $3}}"
}

ME='"cert": "pki/alice.crt", "key": "pki/alice.key"'
GW='"server_name": "gw.test", "ca": "pki/root.crt"'

config() { # [MORE-FORWARDS]
	cat <<-CONFIG
		{
			"proxy": {"handshake_timeout": "500ms", "dial_timeout": "5s"},
			"forwards": [
				{"listen": "127.0.0.1:$listen", "target": "127.0.0.1:$front", $GW, $ME, "alpn": ["echo/1", "echo/2"]},
				$(forward unix "\"unix:$TMP/front.sock\"" "$GW, $ME"),
				$(forward web "\"$web\"" "$GW"),
				$(forward address "\"$web\"" '"ca": "pki/root.crt"'),
				$(forward several "[\"127.0.0.1:$nobody\", \"$plain\", \"127.0.0.1:$front\"]" "$GW, $ME"),
				$(forward either "[\"$mute\", \"127.0.0.1:$front\"]" "$GW, $ME"),
				$(forward few "\"127.0.0.1:$front\"" "$GW, $ME, \"max_connections\": 2"),
				$(forward nocert "\"127.0.0.1:$front\"" "$GW"),
				$(forward oldcert "\"127.0.0.1:$front\"" "$GW, \"cert\": \"pki/old.crt\", \"key\": \"pki/old.key\""),
				$(forward wrongca "\"127.0.0.1:$front\"" "\"server_name\": \"gw.test\", \"ca\": \"pki/stranger.crt\", $ME"),
				$(forward wrongname "\"$web\"" '"server_name": "other.test", "ca": "pki/root.crt"'),
				$(forward late "\"127.0.0.1:$front\"" '"server_name": "late.test", "ca": "pki/root.crt"'),
				$(forward down "\"127.0.0.1:$nobody\"" "$GW"),
				$(forward plain "\"$plain\"" "$GW"),
				$(forward mute "\"$mute\"" "$GW"),
				{"listen": "127.0.0.1:$noisy", "target": "127.0.0.1:$noise", $GW}${1:+, $1}
			]
		}
	CONFIG
}

config >"$TMP/client.json"
start_gatehouse --as client "$TMP/client.json" || bail_out "no client"

# --- it goes through ---------------------------------------------------------------------------

say() { # ADDRESS TEXT: what comes back
	rawclient --text "$2" --half-close --raw --timeout "$PATIENCE" "$1" 2>"$TMP/report"
}

last() { # NAME [LISTENER]: of the last line of a connection
	log_value "$1" msg=connection ${2:+"listener=$2"}
}

is "a connection by TCP" "$(say "127.0.0.1:$listen" friend)" "hello friend"
LOG=$TMP/gateway.err
logs "the gateway hears the name, the protocol, and who it is" \
	msg=connection sni=gw.test alpn=echo/2 identity=CN=alice end=done
LOG=$TMP/client.err
logs "the forward's line" msg=connection "listener=127.0.0.1:$listen" mode=forward alpn=echo/2 \
	tls=TLSv1.3 cipher "upstream=127.0.0.1:$front" up=6 down=12 handshake_ms dial_ms end=done

is "from a unix socket to a unix socket" "$(say "unix:$TMP/unix.sock" friend)" "hello friend"
is "curl by a unix socket" "$(curl -s --unix-socket "$TMP/web.sock" http://any/)" \
	"web https HTTP/1.1 gw.test 127.0.0.1"
is "an address is checked as one, and is no server name" \
	"$(curl -s --unix-socket "$TMP/address.sock" http://any/)" "web https HTTP/1.1  127.0.0.1"

head -c 3000000 /dev/urandom >"$TMP/data"
rawclient --file "$TMP/data" --half-close --raw --timeout 60 "127.0.0.1:$listen" \
	>"$TMP/back" 2>/dev/null
is "megabytes come back as they went" "$(tail -c +7 "$TMP/back" | sha256sum)" \
	"$(sha256sum <"$TMP/data")"

# Whichever is chosen first, everybody gets through.
for i in 1 2 3 4; do say "unix:$TMP/several.sock" "$i"; done >"$TMP/several"
is "a target that is down, or speaks no TLS: the next is tried" "$(cat "$TMP/several")" \
	"hello 1hello 2hello 3hello 4"
for i in 1 2 3 4; do say "unix:$TMP/either.sock" "$i"; done >"$TMP/either"
is "a target that hangs: the next is tried" "$(cat "$TMP/either")" "hello 1hello 2hello 3hello 4"

# --- it does not, and the log says why ---------------------------------------------------------

fails() { # DESCRIPTION NAME REASON: an extended regular expression
	local got
	got=$(say "unix:$TMP/$2.sock" anything)
	is "$1: nothing comes back" "$got" ""
	wait_for "$PATIENCE" has_log msg=connection "listener=unix:$TMP/$2.sock"
	like "$1: the log says so" "$(last end "unix:$TMP/$2.sock")" "$3"
	is "$1: as a warning" "$(log_value level msg=connection "listener=unix:$TMP/$2.sock")" warning
}

fails "no certificate where one is asked for" nocert \
	"^upstream: peer sent: .*certificate required"
fails "a certificate of ours that has expired" oldcert \
	"^upstream: peer sent: .*certificate expired"
fails "a server of another CA" wrongca \
	"^upstream 127.0.0.1:$front: handshake: server certificate: unable to get (local )?issuer"
fails "a server of another name" wrongname \
	'^upstream .*: server certificate: not for ..other.test..; its names: gw.test, db.test, 127.0.0.1$'
fails "a server's certificate that has expired" late \
	'^upstream .*: server certificate: expired at 2[0-9-]*T[0-9:]*Z$'
fails "a gateway that is down" down "^upstream 127.0.0.1:$nobody: connection refused$"
fails "a gateway that speaks no TLS" plain "^upstream $plain: handshake: .*wrong version number"
fails "a gateway that says nothing" mute "^upstream $mute: handshake: timeout$"

spawn noise talk --listen --tls --cert "$PKI/gateway.crt" --key "$PKI/gateway.key" \
	"127.0.0.1:$noise" send=1000 recv=5 garbage=300 wait
wait_for "$PATIENCE" grep -q listening "$TMP/noise.out" || bail_out "$(cat "$TMP/noise.err")"
rawclient --text 12345 --raw --timeout "$PATIENCE" "127.0.0.1:$noisy" >"$TMP/noise.got" 2>/dev/null
is "garbage in mid-stream: what came before arrives, and then a reset" \
	"$? $(wc -c <"$TMP/noise.got")" "3 1000"
logs "garbage in mid-stream: the log says so" msg=connection "listener=127.0.0.1:$noisy" \
	"end=upstream: wrong version number"

# A server that wants to begin anew, and then neither reads nor answers, while we have much to say.
processor_ticks() { # PID: that it has used so far, in user and kernel
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$1/stat")"
	echo $((fields[11] + fields[12]))
}
rm -f "$TMP/go"
spawn noise talk --listen --tls --max TLS1.2 --cert "$PKI/gateway.crt" --key "$PKI/gateway.key" \
	"127.0.0.1:$noise" recv=5 send=5 renegotiate "say=asked" "file=$TMP/go"
wait_for "$PATIENCE" grep -q listening "$TMP/noise.out" || bail_out "$(cat "$TMP/noise.err")"
spawn talker talk "127.0.0.1:$noisy" exchange=5 send=200000 say=said "file=$TMP/go"
wait_for "$PATIENCE" grep -q asked "$TMP/noise.out" || bail_out "no handshake"
wait_for "$PATIENCE" grep -q said "$TMP/talker.out" || bail_out "nothing was said"
before=$(processor_ticks "$client_pid")
wait_for 1 false # what is measured is this time
ok "a server that asks for a renegotiation: no processor time" \
	test $(($(processor_ticks "$client_pid") - before)) -lt 20
: >"$TMP/go"
wait "$noise_pid" "$talker_pid"

# --- limits ------------------------------------------------------------------------------------

served=$(accepts backend)
spawn first rawclient --hold 60 --half-close "unix:$TMP/few.sock"
spawn second rawclient --hold 60 --half-close "unix:$TMP/few.sock"
ok "two are let in" wait_for "$PATIENCE" has_accepted backend "$((served + 2))"
is "one too many gets nothing" "$(say "unix:$TMP/few.sock" third)" ""
logs "one too many: the log says so" msg=connection "listener=unix:$TMP/few.sock" \
	"end=max_connections of the forward reached"
config '{"listen": "unix:'"$TMP"'/none.sock", "target": "127.0.0.1:1", "server_name": "x"}' >"$TMP/client.json"
logs "a reload" msg=reloaded
is "after a reload those that are there still count" "$(say "unix:$TMP/few.sock" third)" ""
stop "$first_pid"
wait_for "$PATIENCE" has_log msg=connection "listener=unix:$TMP/few.sock" step=relay
is "when one has gone another may come" "$(say "unix:$TMP/few.sock" third)" "hello third"
stop "$second_pid"

# --- reload ------------------------------------------------------------------------------------

reloads=1
reload() { # MORE-FORWARDS
	config "$1" >"$TMP/client.json"
	reloads=$((reloads + 1))
	wait_for "$PATIENCE" has_reloaded || diag "no reload" "$(tail -n 3 "$LOG")"
}
has_reloaded() {
	(($(log_count msg=reloaded took_ms) >= reloads))
}

free_port more
MORE="{\"listen\": \"127.0.0.1:$more\", \"target\": \"127.0.0.1:$front\", $GW, $ME}"
served=$(accepts backend)
spawn stays rawclient --hold 60 --half-close "127.0.0.1:$listen"
wait_for "$PATIENCE" has_accepted backend "$((served + 1))" || bail_out "no connection"
not_ok "a forward that is not there yet" is_listening "127.0.0.1:$more"
reload "$MORE"
is "a forward that comes with a reload" "$(say "127.0.0.1:$more" new)" "hello new"
logs "the log tells of it" "msg=listener opened" "listener=127.0.0.1:$more"
is "the others are as they were" "$(say "127.0.0.1:$listen" old)" "hello old"
reload ""
not_listening() { ! is_listening "127.0.0.1:$more"; }
ok "a forward that goes with a reload" wait_for "$PATIENCE" not_listening
logs "the log tells of that" "msg=listener closed" "listener=127.0.0.1:$more"
reload "$MORE"
reload ""
reload "$MORE"
is "it comes and goes as fast as one can edit" "$(say "127.0.0.1:$more" again)" "hello again"
ok "a connection outlives all of that" is_running "$stays_pid"
stop "$stays_pid"

pki_cert root bob --eku client --cn bob
sed "s,pki/alice.key,pki/bob.key," "$TMP/client.json" >"$TMP/mixed.json"
"$GATEHOUSE" check -c "$TMP/mixed.json" >"$TMP/check.out" 2>&1
is "the key of another certificate: check fails" "$?" 1
like "the key of another certificate: where and why" "$(cat "$TMP/check.out")" \
	"mixed.json:4: forwards\[0\].key: \"$PKI/bob.key\": is the key of another certificate than"
cp "$TMP/mixed.json" "$TMP/client.json"
logs "the key of another certificate: a reload keeps what runs" \
	"msg=reload refused, the running configuration stays"
is "and it runs" "$(say "127.0.0.1:$listen" still)" "hello still"

ok "the client ends well" stop_gatehouse --as client
ok "the gateway ends well" stop_gatehouse --as gateway
done_testing
