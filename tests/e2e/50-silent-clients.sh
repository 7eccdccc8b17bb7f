#!/bin/bash
# 9,000 clients that never finish their hello cost next to no processor and little memory, and
# nobody else notices them.
# plain: it measures memory and processor time
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

# In its sandbox only root sees its descriptors, which are looked at here.
observable=$([[ $(id -u) == 0 ]] && echo true || echo false)

count=9000
[[ -z ${QUICK:-} && -z $GATEHOUSE_WRAP ]] || count=900
(($(ulimit -Hn) >= count + 1000)) || [[ $(id -u) == 0 ]] || skip_all "needs $((count + 1000)) descriptors"

pki_ca root
pki_cert root site terminated.test
start_nginx web http
start_echo echo --greet hi
hello --sni passed.test >"$TMP/hello"
free_port front
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"sandbox": $observable,
	"workers": 2,
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$web"},
		"passed.test": {"mode": "passthrough", "backend": "$echo"}
	},
	"proxy": {"hello_timeout": "120s"}
}
CONFIG
limit=
(($(ulimit -Hn) >= 20000)) || limit="prlimit --nofile=20000:20000"
GATEHOUSE_WRAP="$limit $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

ticks() { # of the processor, that it has used so far
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$gatehouse_pid/stat")"
	echo $((fields[11] + fields[12]))
}

memory() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$gatehouse_pid/status"
}

sockets() {
	find "/proc/$gatehouse_pid/fd" -lname 'socket:*' | wc -l
}

has_sockets() { # COUNT: or more
	(($(sockets) >= $1))
}

serves() {
	tlsload --count 20 --sni terminated.test --ca "$PKI/root.crt" --expect 'web http' \
		"127.0.0.1:$front" >"$TMP/load.out" &&
		rawclient --file "$TMP/hello" --until 2 "127.0.0.1:$front" >/dev/null
}

idle=$(sockets)
ok "it serves" serves
before=$(memory)
spawn silent holdmany --count "$count" --file "$TMP/hello" --first 100 --hold 120 "127.0.0.1:$front"
ok "$count clients say half a hello" wait_for 60 grep -q "^holding $count failed 0" "$TMP/silent.out"
ok "it has them all" wait_for "$PATIENCE" has_sockets $((idle + count))
after=$(memory)
note "resident memory for each: $(((after - before) * 1024 / count)) bytes ($before to $after KiB)"
if ! grep -qE '__(a|t)san_init' "$GATEHOUSE" && [[ -z $GATEHOUSE_WRAP ]]; then
	ok "less than 2 KiB each" test $((after - before)) -lt $((2 * count))
fi

began=$(ticks)
wait_for 2 false
used=$(($(ticks) - began))
note "CPU in two seconds: $used ticks of $(getconf CLK_TCK) a second"
ok "they cost no processor" test "$used" -le $(($(getconf CLK_TCK) / 10))
ok "others are served" serves
like "all of them" "$(cat "$TMP/load.out")" '^ok 20 failed 0 '

stop "$silent_pid"
is "none was sent away" "$(tail -n 1 "$TMP/silent.out")" "closed 0"
gone() { (($(sockets) <= idle)); }
ok "they leave" wait_for "$PATIENCE" gone
logs "the log tells the first of them" msg=connection "end=client closed within ClientHello"
ok "and not each" test "$(log_count msg=connection "end=client closed within ClientHello")" -le 20
ok "it ends well" stop_gatehouse
total=$(sed -n 's/.*msg="suppressed repeats" end="client closed within ClientHello" count=\([0-9]*\).*/\1/p' \
	"$LOG" | paste -sd+)
told=$(log_count msg=connection "end=client closed within ClientHello")
is "but their number" "$((${total:-0} + told))" "$count"
done_testing
