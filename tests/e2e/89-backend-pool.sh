#!/bin/bash
# A pool of servers: balanced as asked, under load while servers are killed and come back, checked with
# rise and fall; a reload forgets nothing about those that stay.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

cd "$TMP" || bail_out "no $TMP"
for name in pool least source spare more; do hello --sni $name.test >hello.$name.test; done
for name in a b c; do start_echo $name --greet "$name"; done
free_port port
at=127.0.0.1:$port

configure() { # HOST-NAME:BACKEND... as JSON
	local host hosts=
	for host; do
		hosts+="${hosts:+,}\"${host%%:*}\": {\"mode\": \"passthrough\", \"backend\": ${host#*:}}"
	done
	echo "{\"listen\": \"$at\", \"workers\": 2, \"proxy\": {\"drain_timeout\": \"1s\",
		\"dial_timeout\": \"1s\"}, \"hosts\": {$hosts}}" >next.json
	mv next.json config.json
}
reloads=0
reloaded() {
	reloads=$((reloads + 1))
	wait_for "$PATIENCE" has_reloaded
}
has_reloaded() {
	[[ $(log_count msg=reloaded) == "$reloads" ]]
}
ask() { # [NAME]: which server answered
	rawclient --file "hello.${1:-pool.test}" --until 1 --raw "$at" 2>/dev/null | head -c 1
}
asks() { # COUNT [NAME]: how often each
	local i
	for ((i = 0; i < $1; i++)); do ask "${2:-}"; done | fold -w1 | sort | uniq -c |
		awk '{printf "%s%s=%s", (NR > 1) ? " " : "", $2, $1}'
}
# --- balance ---

three="\"servers\": [\"$a\", \"$b\", \"$c\"]"
spare="\"servers\": [{\"address\": \"$a\", \"backup\": true}, \"$b\"]"
configure "pool.test:{$three, \"balance\": \"round_robin\"}" \
	"least.test:{$three}" "source.test:{$three, \"balance\": \"source\"}" "spare.test:{$spare}"
start_gatehouse config.json || bail_out "gatehouse does not start"
is "round robin" "$(asks 30)" "a=10 b=10 c=10"
like "least connections, all idle: each gets some" "$(asks 30 least.test)" '^a=[0-9]+ b=[0-9]+ c=[0-9]+$'
counts() {
	echo "$(accepts a) $(accepts b) $(accepts c)"
}
before=$(counts)
spawn held holdmany --count 9 --file hello.least.test --hold 60 "$at"
has_three_more() {
	local was
	read -ra was <<<"$before"
	[[ $(counts) == "$((was[0] + 3)) $((was[1] + 3)) $((was[2] + 3))" ]]
}
ok "of nine that stay, each has three" wait_for 5 has_three_more
stop "$held_pid"
like "by source: one client, one server" "$(asks 12 source.test)" '^.=12$'
mine=$(ask source.test)
is "a backup has nothing to do" "$(asks 10 spare.test)" "b=10"

# --- one is killed ---

kill_echo() { # NAME
	local pid=${1}_pid
	stop "${!pid}" KILL 2>"$TMP/killed"
}
restart_echo() { # NAME: at its old address
	spawn "$1" echod --count "$TMP/$1.count" --greet "$1" "${!1}"
	wait_for "$PATIENCE" is_listening "${!1}"
}
kill_echo b
is "its share goes to the others, no client notices" "$(asks 20 | sed 's/=.*//')" a
like "all of it" "$(asks 20)" '^a=[0-9]+ c=[0-9]+$'
logs "the log says that it is avoided" level=warning 'msg=server marked down' "server=$b"
is "the backup steps in" "$(asks 5 spare.test)" "a=5"
unlike "and a client of that server has another one" "$(asks 12 source.test)" 'b='
restart_echo b
is_back() { # NAME
	[[ $(asks 6 "${2:-}") == *"$1="* ]]
}
ok "it comes back" wait_for 15 is_back b
logs "the log says that too" level=info 'msg=server marked up' "server=$b"
like "by source: to the server of before" "$(asks 12 source.test)" "^$mine=12\$"

# A reload keeps what is known.
kill_echo a
asks 6 >/dev/null
configure "pool.test:{$three, \"balance\": \"round_robin\"}" "more.test:{$three}"
reloaded || bail_out "no reload"
like "after a reload the dead one is still avoided" "$(asks 8 more.test)" '^b=[0-9]+ c=[0-9]+$'
restart_echo a

# --- under load ---

load() { # NAME: connections until it may stop; each has to get a greeting
	local good=0 bad=0
	until [[ -e $TMP/enough ]]; do
		if [[ -n $(ask) ]]; then good=$((good + 1)); else bad=$((bad + 1)); fi
	done
	echo "good $good bad $bad"
}
wait_for 15 is_back a
spawn load1 load
spawn load2 load
for name in a b c a; do
	kill_echo $name
	like "while $name is down, the others answer" "$(asks 10)" "^[^$name]+\$"
	restart_echo $name
	ok "$name comes back under load" wait_for 20 is_back $name
done
: >enough
wait "$load1_pid" "$load2_pid"
note "under load: $(cat load1.out) / $(cat load2.out)"
# Only what was established to a server when it was killed is lost: at most one for each client and kill.
lost=$(cat load1.out load2.out | awk '{n += $4} END {print n}')
ok "failed client connections: $lost, at most those that the killed server had" test "$lost" -le 8

# --- nothing left ---

for name in a b c; do kill_echo $name; done
is "no server at all: the client is closed" "$(ask)" ''
logs "and told in the log, by the last of them" level=warning route=pool.test 'step=connect_upstream'
for name in a b c; do restart_echo $name; done
ok "and when they are back, so is the service" wait_for 5 is_back c
ok "stops" stop_gatehouse

done_testing
