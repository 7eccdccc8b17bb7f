#!/bin/bash
# Under its sandbox gatehouse does all that it does, without one call that is refused; calls that it is
# let do and never does are told too. Files elsewhere are closed to it, and a reload that names one
# says so.
# needs: strace
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

list=$ROOT/tests/unit/data/sandbox_calls.txt
pki_ca root
pki_cert root site terminated.test passed.test named.test secured.test other.test
pki_cert root client
pki_crl root
start_nginx plain http
start_nginx secure tls --cert site
start_echo echo
start_echo local --unix
ln -s pki "$TMP/linked"
chmod 666 "$TMP/local.sock"
hello --sni streamed.test >"$TMP/hello"
free_port front
free_port later
free_port postgres
free_port forward
free_port health
head -c 20000000 /dev/zero >"$TMP/secure.d/files/much"
elsewhere=$(mktemp -d /var/tmp/gatehouse-elsewhere.XXXXXX) # nowhere near the configuration
chmod 755 "$elsewhere"
mkdir -p "$TMP/conf/hosts.d" "$TMP/run" "$TMP/trace"

user=''
if [[ $(id -u) == 0 ]]; then
	user='"user": "nobody",'
	chmod 644 "$PKI"/*.key
	# Where nobody may run it too, for the upgrade: this checkout may be in root's own directory.
	cp "$GATEHOUSE" "$TMP/gatehouse"
	GATEHOUSE=$TMP/gatehouse
	chown nobody "$TMP/run" "$TMP/trace"
fi

config() { # [MORE]: "sandbox" is what it is by default
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": ["127.0.0.1:$front", "unix:$TMP/run/front.sock",
				{"address": "127.0.0.1:$postgres", "starttls": "postgres"}${1:-}],
			"include": "hosts.d/*.json",
			"workers": 2,
			$user
			"hosts": {
				"terminated.test": {"mode": "terminate", "cert": "../linked/site.crt",
					"key": "../linked/site.key", "backend": "$plain", "client_auth": "optional",
					"ca": "../linked/root.crt", "crl": "../linked/root.crl", "revalidate": true},
				"secured.test": {"mode": "terminate", "cert": "../linked/site.crt",
					"key": "../linked/site.key", "backend": {"servers": ["$secure"],
					"tls": {"ca": "../linked/root.crt", "server_name": "secured.test"},
					"health_check": {"interval": "200ms"}}},
				"roots.test": {"mode": "terminate", "cert": "../linked/site.crt",
					"key": "../linked/site.key", "backend": {"servers": ["$secure"], "tls": {}}},
				"named.test": {"mode": "passthrough", "backend": "localhost:${secure##*:}"},
				"unknown.test": {"mode": "passthrough", "backend": "no.such.name.invalid:1"},
				"passed.test": {"mode": "passthrough", "backend": {"servers": ["$secure"],
					"balance": "source"}},
				"streamed.test": {"mode": "passthrough", "backend": "$local"},
				"gone.test": {"mode": "passthrough", "backend": "127.0.0.1:1"}
			},
			"forwards": [{"listen": "127.0.0.1:$forward", "target": "$secure",
				"server_name": "passed.test", "ca": "../linked/root.crt"}],
			"health": {"enabled": true, "listen": "127.0.0.1:$health"},
			"metrics": {"enabled": true, "listen": "127.0.0.1:$health"},
			"control": {"socket": "../run/${control:-control.sock}"},
			${more:-}
			"proxy": {"drain_timeout": "20s"}
		}
	CONFIG
	mv "$TMP/next" "$TMP/conf/config.json"
}

sanitized() {
	grep -qE '__(a|t)san_init' "$GATEHOUSE"
}

config
if sanitized; then
	start_gatehouse "$TMP/conf/config.json" || bail_out "no gatehouse"
	logs "a sanitizer's build has none, and says so" msg=sandbox seccomp=off landlock=off \
		"reason=built with a sanitizer"
	ok "it ends well" stop_gatehouse
	done_testing
	exit
fi

# With what it does traced, where that can be.
strace -qq -o /dev/null true 2>/dev/null && has_strace=1 || has_strace=0
wrap=$GATEHOUSE_WRAP
[[ $has_strace == 0 ]] || GATEHOUSE_WRAP="strace -ff -qq -s 16 -o $TMP/trace/of"
start_gatehouse "$TMP/conf/config.json" || bail_out "no gatehouse"
GATEHOUSE_WRAP=$wrap
now() { log_value pid msg=ready; }
serving=$(now)
identity "$serving" >>"$TMP/.processes"

logs "it tells what is on" msg=sandbox seccomp=on no_new_privileges=on core_dumps=off capabilities=off
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$serving/status"; }
is "it may gain no privileges" "$(status NoNewPrivs)" 1
is "its calls are filtered" "$(status Seccomp)" 2
is "it has no capabilities, but perhaps for low ports" \
	"$(printf '%x' $((16#$(status CapPrm) & ~(1 << 10))))" 0
launcher=$(pgrep -P "$serving" launcher)
is "the launcher has a filter of its own" \
	"$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$launcher/status")" 2
for task in "/proc/$serving/task"/*; do
	[[ $(<"$task/comm") == worker-* ]] || continue
	is "$(<"$task/comm") has a filter more" \
		"$(sed -n 's/^Seccomp_filters:[[:space:]]*//p' "$task/status")" \
		"$(($(status Seccomp_filters) + 1))"
done
like "it dumps no core" "$(grep 'core file' "/proc/$serving/limits")" ' 0  *0 '
[[ -z $user ]] || is "it is nobody" "$(ps -o user= -p "$serving")" nobody
landlock=$(log_value landlock msg=sandbox)

everything() { # WHEN: one of each; the PKI is linked to from where the configuration is
	like "$1: terminated" "$(https https://terminated.test/ "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" --cert "$PKI/client.crt" --key "$PKI/client.key" 2>&1)" '^plain http'
	like "$1: passed" "$(https https://passed.test/ "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" 2>&1)" '^secure https'
	is "$1: much is passed" "$(https https://passed.test/files/much "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" 2>&1 | wc -c)" 20000000
	like "$1: TLS to the backend" "$(https https://secured.test/ "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" 2>&1)" '^secure https'
	like "$1: a backend by name" "$(https https://named.test/ "127.0.0.1:$front" \
		--cacert "$PKI/root.crt" 2>&1)" '^secure https'
	like "$1: a name that nobody knows" "$(https https://nobody.test/ "127.0.0.1:$front" -k \
		-o /dev/null -w '%{http_code}' 2>&1)" '^421'
	like "$1: a forward" "$(curl -s "http://127.0.0.1:$forward/")" '^secure https'
	like "$1: by the unix socket" "$(echo | openssl s_client -unix "$TMP/run/front.sock" \
		-servername passed.test 2>&1 | grep subject)" 'passed.test|site'
	https https://unknown.test/ "127.0.0.1:$front" -k >/dev/null 2>&1
	https https://gone.test/ "127.0.0.1:$front" -k >/dev/null 2>&1
	https https://roots.test/ "127.0.0.1:$front" -k >/dev/null 2>&1
	like "$1: a backend's unix socket, and pipes" "$(talk --hello "$TMP/hello" --timeout 20 \
		"127.0.0.1:$front" exchange=5000000 fin wait 2>&1)" 'received 5000'
	like "$1: its health" "$(curl -s -o /dev/null -w '%{http_code}' \
		"http://127.0.0.1:$health/healthz")" 200
	like "$1: its metrics" "$(curl -s "http://127.0.0.1:$health/metrics")" \
		'process_resident_memory_bytes [1-9]'
	like "$1: control" "$("$GATEHOUSE" ctl -s "$TMP/run/control.sock" sessions 2>&1)" .
	ok "$1: the log tells of the backend that is gone" wait_for "$PATIENCE" has_log \
		msg=connection sni=gone.test
}
everything "at first"

reloaded() { # COUNT
	[[ $(log_count msg=reloaded) -ge $1 ]]
}
echo '{"hosts": {"other.test": {"mode": "terminate", "cert": "../../pki/site.crt",
	"key": "../../pki/site.key", "backend": "'"$plain"'"}}}' >"$TMP/conf/hosts.d/other.json"
ok "a new host is loaded" wait_for "$PATIENCE" reloaded 1
like "and served" "$(https https://other.test/ "127.0.0.1:$front" --cacert "$PKI/root.crt" 2>&1)" \
	'^plain http'
control=next.sock config ", \"127.0.0.1:$later\", \"unix:$TMP/run/later.sock\""
ok "new listeners are opened" wait_for "$PATIENCE" reloaded 2
ok "a port" is_listening "127.0.0.1:$later"
ok "a unix socket" test -S "$TMP/run/later.sock"
like "another control socket" "$("$GATEHOUSE" ctl -s "$TMP/run/next.sock" status 2>&1)" "$serving"
config
ok "and closed" wait_for "$PATIENCE" reloaded 3
is_removed() { [[ ! -e $TMP/run/later.sock ]]; }
ok "and the unix socket removed" wait_for "$PATIENCE" is_removed
pki_crl root
kill -HUP "$serving"

# What lies elsewhere. Everybody may read it, so that only the sandbox forbids it.
if [[ $landlock == off ]]; then
	skip 7 "no Landlock here"
else
	mkdir "$elsewhere/run"
	chmod 777 "$elsewhere/run"
	cp "$PKI/site.crt" "$PKI/site.key" "$elsewhere/"
	refused() { [[ $(grep -c 'reload refused' "$LOG") -ge $1 ]]; }
	cp "$TMP/conf/hosts.d/other.json" "$TMP/other.json"
	sed 's|../../pki/|'"$elsewhere"'/|g' "$TMP/other.json" >"$TMP/conf/hosts.d/next"
	mv "$TMP/conf/hosts.d/next" "$TMP/conf/hosts.d/other.json"
	ok "a key elsewhere is refused" wait_for "$PATIENCE" refused 1
	like "and the log tells that it is for the sandbox" "$(cat "$LOG")" \
		'elsewhere[^ ]*/site.key.*outside of what the sandbox lets a running process read'
	cp "$TMP/other.json" "$TMP/conf/hosts.d/other.json"
	config ", \"unix:$elsewhere/run/front.sock\""
	ok "so is a unix socket elsewhere" wait_for "$PATIENCE" refused 2
	like "and the log tells it" "$(cat "$LOG")" 'no right to make a socket there .with the sandbox'
	config
	sed 's|../../pki/|'"$elsewhere"'/|g' "$TMP/other.json" >"$TMP/conf/hosts.d/other.json"
	# A connection of the old process: it drains, and the new one returns to it what concerns it.
	exec 5<>"/dev/tcp/127.0.0.1/$front"
	ok "an upgrade makes it readable" "$GATEHOUSE" ctl -s "$TMP/run/control.sock" upgrade
	is_another() { [[ $(now) != "$serving" ]]; }
	ok "another process serves" wait_for "$PATIENCE" is_another
	PORT=$postgres send_hex 0000001004d2162e0102030461626364 --half-close >/dev/null
	like "with it" "$(https https://other.test/ "127.0.0.1:$front" --cacert "$PKI/root.crt" 2>&1)" \
		'^plain http'
	serving=$(now)
	identity "$serving" >>"$TMP/.processes"
	everything "after the upgrade"
fi
kill -TERM "$serving"
ok "it ends" wait_for "$PATIENCE" is_over "$serving"
wait "$gatehouse_pid"
is "with 0" "$?" 0

# Of each thread: what it does from the moment when the filter is there. The launcher has none.
calls() {
	local file
	for file in "$TMP/trace/of".*; do
		if grep -q '^prctl(PR_SET_NAME, "launcher"' "$file"; then
			continue
		elif grep -q '^seccomp(SECCOMP_SET_MODE_FILTER' "$file"; then
			# Its last line, behind those that ask what the kernel can do.
			tac "$file" | sed '/^seccomp(SECCOMP_SET_MODE_FILTER/Q'
		elif ! grep -q '^execve' "$file"; then
			cat "$file"
		fi
	done
}
if [[ $has_strace == 0 ]]; then
	skip 3 "no strace here"
else
	calls >"$TMP/calls"
	# MHD would name its threads by a file in /proc; a name is all that it lacks.
	refused=$(grep -E '= -1 EPERM|= -1 ENOSYS' "$TMP/calls" |
		grep -vE '^clone3|/comm", O_RDWR' | sort -u | head -n 20)
	is "no call was refused" "$refused" ''
	sed -nE 's/^([a-z_0-9]+)\(.*/\1/p' "$TMP/calls" | sort -u >"$TMP/seen"
	note "$(wc -l <"$TMP/calls") calls of $(wc -l <"$TMP/seen") kinds"
	grep -v '^#' "$list" | awk '{ print $1 }' | sort -u >"$TMP/listed"
	grep -v '^#' "$list" | awk 'NF == 1 { print $1 }' | sort -u >"$TMP/expected"
	is "every call that was seen is listed" \
		"$(comm -23 "$TMP/seen" "$TMP/listed" | grep -vE '^(clone3|\+\+\+|---)' | xargs)" ''
	if [[ $(uname -m) == x86_64 && $landlock != off ]]; then
		is "every call that is listed without a reason was seen" \
			"$(comm -13 "$TMP/seen" "$TMP/expected" | xargs)" ''
	else
		skip 1 "the list is x86-64's"
	fi
fi

# Off.
more='"sandbox": false,' config
start_gatehouse --as open "$TMP/conf/config.json" || bail_out "no gatehouse without a sandbox"
logs "without a sandbox the log tells so" msg=sandbox seccomp=off landlock=off
is "and nothing is filtered" "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$open_pid/status")" 0
ok "it ends well" stop_gatehouse --as open
rm -rf "$elsewhere"
done_testing
