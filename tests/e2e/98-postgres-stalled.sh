#!/bin/bash
# Thousands of PostgreSQL clients that stop at each point of the conversation cost no processor time, count in the
# limits, and end at their time; a hundred thousand requests to cancel with made-up keys reach no server; others are
# served all the while.
# plain: it measures processor time
# needs: python3
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

observable=$([[ $(id -u) == 0 ]] && echo true || echo false)
count=1000
((${#GATEHOUSE_WRAP} == 0)) || count=200
(($(ulimit -Hn) >= 20 * count)) || skip_all "needs $((20 * count)) descriptors"

pki_ca root
pki_cert root site db.test
start_echo echo
free_port front
claim_metrics
cat >"$TMP/config.json" <<CONFIG
{
	"listen": {"address": "127.0.0.1:$front", "starttls": "postgres", "default_host": "db.test"},
	"sandbox": $observable,
	"workers": 2,
	"hosts": {"db.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key", "backend": "$echo"}},
	"proxy": {"hello_timeout": "300s", "handshake_timeout": "300s", "max_connections": $((5 * count + 100))},
	$METRICS
}
CONFIG
GATEHOUSE_WRAP="prlimit --nofile=$((20 * count)):$((20 * count)) $GATEHOUSE_WRAP" start_gatehouse "$TMP/config.json" ||
	bail_out "no gatehouse"

# Stops at: nothing sent, half a request, the answer S, half a ClientHello, half a startup within TLS.
cat >"$TMP/stall.py" <<'PYTHON'
import resource, socket, ssl, sys

port, count, handshakes = map(int, sys.argv[1:4])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context = ssl._create_unverified_context()
request = bytes.fromhex("0000000804d2162f")
held = []

def connect():
    client = socket.create_connection(("127.0.0.1", port))
    held.append(client)
    return client

def ask():
    client = connect()
    client.sendall(request)
    assert client.recv(1) == b"S"
    return client

for _ in range(count):
    connect()
    connect().sendall(request[:5])
    ask()
    ask().sendall(b"\x16\x03\x01\x02\x00\x01\x00")
for _ in range(handshakes):
    tls = context.wrap_socket(ask())
    tls.sendall(b"\0\0\0")
    held.append(tls)
print("stalled", flush=True)
sys.stdin.read()
PYTHON
mkfifo "$TMP/hold"
spawn stall prlimit --nofile=$((6 * count)) sh -c "exec python3 '$TMP/stall.py' $front $count 300 <'$TMP/hold'"
exec 4>"$TMP/hold"
ok "$((4 * count + 300)) clients stop at five points" wait_for 60 grep -q stalled "$TMP/stall.out"

ticks() { # of the processor, that it has used so far
	local fields
	read -r -a fields <<<"$(sed 's/.*) //' "/proc/$gatehouse_pid/stat")"
	echo $((fields[11] + fields[12]))
}

# sleeps, which costs nothing if nothing happens; the once-a-second work of two workers is allowed for
before=$(ticks)
sleep 2
used=$(($(ticks) - before))
ok "two seconds of them cost $used of 200 ticks" test "$used" -le 10
scrape
is "they count" "$(metric gatehouse_active_connections)" $((4 * count + 300))
is "and no server has heard of them" "$(accepts echo)" 0

# --- keys that nobody has ---

cat >"$TMP/flood.py" <<'PYTHON'
import os, socket, struct, sys

port, count = map(int, sys.argv[1:3])
closed = 0
for _ in range(count):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(struct.pack("!II", 16, 80877102) + os.urandom(8))
    client.shutdown(socket.SHUT_WR)
    closed += client.recv(16) == b""
    client.close()
print(closed)
PYTHON
flood=$((10 * count)) # of each of two
python3 "$TMP/flood.py" "$front" $flood >"$TMP/flood" &
flooding=$!
is "made-up keys get nothing" "$(python3 "$TMP/flood.py" "$front" $flood)" $flood
wait "$flooding"
is "from either" "$(cat "$TMP/flood")" $flood
is "no server has heard of them either" "$(accepts echo)" 0
starts() { # a client that is served: its startup comes back from the echo server
	printf '\0\0\0\10\0\3\0\0' | timeout "$PATIENCE" openssl s_client -quiet -starttls postgres -servername db.test \
		-connect "127.0.0.1:$front" 2>/dev/null | head -c 8 | od -An -tx1 | tr -d ' \n'
}
is "others are served" "$(starts)" 0000000800030000
exec 4>&-
ok "the clients leave" wait_for "$PATIENCE" is_over "$stall_pid"
none_active() {
	scrape
	[[ $(metric gatehouse_active_connections) == 0 ]]
}
ok "and nothing of them stays" wait_for "$PATIENCE" none_active
ok "stops" stop_gatehouse
done_testing
