# shellcheck shell=bash disable=SC2034 # some variables are for the scripts that source this
#
# What the end-to-end tests share. A test begins with
#
#     #!/bin/bash
#     . "${0%/*}/lib.sh"
#     plan 3
#
# runs under prove(1), works in "$TMP", and leaves nothing behind: every process that was started
# with the functions below is ended by its process id, every port given back. Nothing sleeps for
# luck: wait_for polls for a condition and gives up at a deadline.
#
#     GATEHOUSE       the binary (default: build/gatehouse)
#     GATEHOUSE_WRAP  a command to start it under, like "valgrind --error-exitcode=99"
#     TOOLS           where the test tools are (default: tools/ beside the binary)
#     KEEP            when set, $TMP is kept and named
#
# Names of results come first: `free_port admin` sets $admin.

set -u
LC_ALL=C
export LC_ALL

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
GATEHOUSE=${GATEHOUSE:-$ROOT/build/gatehouse}
[[ $GATEHOUSE == /* ]] || GATEHOUSE=$PWD/$GATEHOUSE
GATEHOUSE_WRAP=${GATEHOUSE_WRAP:-}
TOOLS=${TOOLS:-${GATEHOUSE%/*}/tools}
[[ $TOOLS == /* ]] || TOOLS=$PWD/$TOOLS
TMP=$(mktemp -d "${TMPDIR:-/tmp}/gatehouse-e2e.XXXXXX")
chmod 755 "$TMP" # for servers that change their user
PKI=$TMP/pki
CLAIMS=${TMPDIR:-/tmp}/gatehouse-e2e-ports.$(id -u)
PATH=$TOOLS:$PATH:/usr/sbin:/sbin

# How long a server may take to start or stop; valgrind takes its time.
PATIENCE=15
[[ -z $GATEHOUSE_WRAP ]] || PATIENCE=90

# --- TAP ---------------------------------------------------------------------------------------

tests_run=0
tests_failed=0

plan() { # COUNT
	echo "1..$1"
}

done_testing() { # instead of a plan, at the end
	echo "1..$tests_run"
}

skip_all() { # WHY
	echo "1..0 # SKIP $*"
	exit 0
}

bail_out() { # WHY: this test cannot go on
	diag "$@"
	exit 1
}

diag() { # TEXT...
	printf '%s\n' "$*" | sed 's/^/# /' >&2
}

note() { # TEXT...
	printf '%s\n' "$*" | sed 's/^/# /'
}

pass() { # DESCRIPTION
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1"
}

fail() { # DESCRIPTION [DETAIL...]
	tests_run=$((tests_run + 1))
	tests_failed=$((tests_failed + 1))
	echo "not ok $tests_run - $1"
	diag "failed: $1 (${0##*/}:$(caller_line))"
	shift
	local detail
	for detail; do
		diag "$detail"
	done
}

caller_line() { # the line of the test itself, whichever helper it called
	local i
	for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
		[[ ${BASH_SOURCE[i]} == "${BASH_SOURCE[0]}" ]] && continue
		echo "${BASH_LINENO[i - 1]}"
		return
	done
}

skip() { # COUNT WHY
	local i
	for ((i = 0; i < $1; i++)); do
		tests_run=$((tests_run + 1))
		echo "ok $tests_run # SKIP $2"
	done
}

ok() { # DESCRIPTION COMMAND...: the command succeeds
	local description=$1
	shift
	if "$@"; then pass "$description"; else fail "$description" "status $? of: $*"; fi
}

not_ok() { # DESCRIPTION COMMAND...: the command fails
	local description=$1
	shift
	if "$@"; then fail "$description" "succeeded: $*"; else pass "$description"; fi
}

is() { # DESCRIPTION GOT WANTED
	if [[ $2 == "$3" ]]; then pass "$1"; else fail "$1" "     got: $2" "expected: $3"; fi
}

isnt() { # DESCRIPTION GOT UNWANTED
	if [[ $2 != "$3" ]]; then pass "$1"; else fail "$1" "got: $2"; fi
}

like() { # DESCRIPTION TEXT REGEX
	if [[ $2 =~ $3 ]]; then pass "$1"; else fail "$1" "          got: $2" "does not match: $3"; fi
}

unlike() { # DESCRIPTION TEXT REGEX
	if [[ ! $2 =~ $3 ]]; then pass "$1"; else fail "$1" "    got: $2" "matches: $3"; fi
}

# --- waiting, processes, ports -----------------------------------------------------------------

wait_for() { # SECONDS COMMAND...: until the command succeeds; its output is not shown
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		((${EPOCHREALTIME/./} < deadline)) || return 1
		sleep 0.02
	done
}

monotonic_ms() { # of a clock that nobody sets
	local up
	read -r up _ </proc/uptime
	echo $((10#${up/./} * 10))
}

is_running() { # PID: and no zombie
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	stat=${stat##*) }
	[[ $stat != Z* ]]
}

is_over() { # PID
	! is_running "$1"
}

identity() { # PID: with the time of its start, so that a number used again is another
	local fields
	{ read -r -a fields <<<"$(sed 's/.*) //' "/proc/$1/stat")"; } 2>/dev/null
	echo "$1 ${fields[19]:-gone}"
}

spawn() { # NAME COMMAND...: in the background; sets NAME_pid; output in $TMP/NAME.out and .err
	local name=$1
	shift
	# Now, and not when it is its turn: nobody is to see what another of that name said.
	: >"$TMP/$name.out"
	: >"$TMP/$name.err"
	"$@" >"$TMP/$name.out" 2>"$TMP/$name.err" </dev/null &
	printf -v "${name}_pid" %s "$!"
	identity "$!" >>"$TMP/.processes"
}

stop() { # PID [SIGNAL]: and wait for its end; sets STATUS
	kill -s "${2:-TERM}" "$1" 2>/dev/null
	wait_for "$PATIENCE" is_over "$1" || kill -s KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	STATUS=$?
}

signal_all() { # SIGNAL: to what was started here and still runs
	local process
	while read -r process; do
		[[ $(identity "${process% *}") != "$process" ]] || kill -s "$1" "${process% *}"
	done <"$TMP/.processes"
}

all_over() {
	local process
	while read -r process; do
		is_over "${process% *}" || [[ $(identity "${process% *}") != "$process" ]] || return 1
	done <"$TMP/.processes"
}

clean_up() {
	local status=$? claim
	trap - EXIT INT TERM HUP
	if [[ -f $TMP/.processes ]]; then
		signal_all TERM
		wait_for 5 all_over || signal_all KILL
	fi 2>/dev/null
	if [[ -f $TMP/.claims ]]; then
		while read -r claim; do rm -f "$CLAIMS/$claim"; done <"$TMP/.claims"
	fi
	if [[ -n ${KEEP:-} ]]; then diag "kept: $TMP"; else rm -rf "$TMP"; fi
	((tests_failed == 0)) || status=1
	exit "$status"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

free_port() { # NAME: a port of 127.0.0.1 that is ours until the test ends
	local claimed
	claimed=$(freeport "$CLAIMS" "$$") || bail_out "no free port; are the tools built (make tools)?"
	echo "$claimed" >>"$TMP/.claims"
	printf -v "$1" %s "$claimed"
}

is_listening() { # HOST:PORT
	(exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null
}

# --- files, as the kernel reports them -----------------------------------------------------------

declare -A observed_lines # of each observer: how many have been looked at

# Events of files from now on, by inotifywait: of those in $TMP not what tests and servers print there.
# Under $OBSERVE_WRAP, where gatehouse sees another tree.
observe() { # NAME PATH...
	local name=$1
	shift
	observed_lines[$name]=0
	# shellcheck disable=SC2086 # the wrap is a command with its options
	spawn "$name" ${OBSERVE_WRAP:-} inotifywait -m --exclude '\.(out|err)$' --format '%w%f %e' "$@"
	wait_for "$PATIENCE" grep -q 'Watches established' "$TMP/$name.err" ||
		bail_out "inotifywait" "$(cat "$TMP/$name.err")"
}

has_observed() { # NAME REGEX: after what was observed before; sets $observed_at
	observed_at=$(tail -n "+$((observed_lines[$1] + 1))" "$TMP/$1.out" | grep -nE -m 1 -- "$2")
	observed_at=${observed_at%%:*}
	[[ -n $observed_at ]]
}

observed() { # NAME "FILE EVENT[,EVENT...]": such an event, now or soon; a regular expression
	if wait_for "$PATIENCE" has_observed "$1" "$2"; then
		pass "the kernel reports: $2"
		observed_lines[$1]=$((observed_lines[$1] + observed_at))
	else
		fail "the kernel reports: $2" "$(tail -n 20 "$TMP/$1.out")"
	fi
}

# --- certificates ------------------------------------------------------------------------------
# All keys are EC P-256. $PKI/NAME.crt (behind it the intermediates), $PKI/NAME.key, $PKI/NAME.crl.

pki_prepare() { # CA
	mkdir -p "$PKI/$1.d"
	: >"$PKI/$1.d/index.txt"
	cat >"$PKI/$1.d/conf" <<-CONF
		[ca]
		default_ca = this
		[this]
		database = $PKI/$1.d/index.txt
		crlnumber = $PKI/$1.d/crlnumber
		new_certs_dir = $PKI/$1.d
		certificate = $PKI/$1.own.crt
		private_key = $PKI/$1.key
		default_md = sha256
		policy = any
		unique_subject = no
		rand_serial = yes
		[any]
		organizationName = optional
		organizationalUnitName = optional
		commonName = optional
	CONF
	echo 01 >"$PKI/$1.d/crlnumber"
}

pki_openssl() { # ARGUMENT...: quiet unless it fails
	openssl "$@" >"$PKI/.out" 2>&1 || bail_out "openssl $*" "$(cat "$PKI/.out")"
}

pki_request() { # NAME SUBJECT [KEY-OPTION...]: $PKI/NAME.key and .csr
	local name=$1 subject=$2
	shift 2
	(($#)) || set -- -newkey ec -pkeyopt ec_paramgen_curve:P-256
	pki_openssl req -new -batch -nodes "$@" -config /dev/null -subj "$subject" \
		-keyout "$PKI/$name.key" -out "$PKI/$name.csr"
}

pki_sign() { # CA NAME FROM TO EXTENSIONS [-selfsign]; the times as YYYYMMDDHHMMSSZ
	printf '%s\n' "$5" >"$PKI/$2.ext"
	pki_openssl ca ${6:+"$6"} -batch -notext -config "$PKI/$1.d/conf" -startdate "$3" -enddate "$4" \
		-in "$PKI/$2.csr" -extfile "$PKI/$2.ext" -out "$PKI/$2.own.crt"
}

pki_ca() { # NAME [ISSUER]: made once; with an issuer an intermediate
	local name=$1 issuer=${2:-}
	local extensions="basicConstraints = critical, CA:true
		keyUsage = critical, keyCertSign, cRLSign"
	[[ ! -f $PKI/$name.crt ]] || return 0
	pki_prepare "$name"
	pki_request "$name" "/CN=$name"
	if [[ -z $issuer ]]; then
		pki_sign "$name" "$name" "$(pki_time -9days)" "$(pki_time +30days)" "$extensions" -selfsign
		cp "$PKI/$name.own.crt" "$PKI/$name.crt"
	else
		pki_sign "$issuer" "$name" "$(pki_time -1day)" "$(pki_time +30days)" "$extensions"
		cat "$PKI/$name.own.crt" "$PKI/$issuer.crt" >"$PKI/$name.crt"
	fi
	echo "$issuer" >"$PKI/$name.issuer"
}

pki_time() { # WHEN, as for date(1)
	date -u -d "$1" +%Y%m%d%H%M%SZ
}

pki_san() { # NAME: as in a subjectAltName
	case $1 in
	*://*) echo "URI:$1" ;;
	*:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) echo "IP:$1" ;;
	*@*) echo "email:$1" ;;
	*) echo "DNS:$1" ;;
	esac
}

# pki_cert CA NAME [options] SAN...: DNS names, addresses, URIs (spiffe://...), mail addresses.
#   --expired --notyet  --days N  --eku server|client|both|none (both)  --cn CN --org O --ou OU
#   --uri URI  --rsa
pki_cert() {
	local ca=$1 name=$2 from=-1day to=+30days eku=both subject='' sans=() key=() extensions cn=$2
	shift 2
	while (($#)); do
		case $1 in
		--expired) from=-3days to=-1day ;;
		--notyet) from=+1day to=+3days ;;
		--days) to="+$2days" && shift ;;
		--eku) eku=$2 && shift ;;
		--cn) cn=$2 && shift ;;
		--org) subject+="/O=$2" && shift ;;
		--ou) subject+="/OU=$2" && shift ;;
		--uri) sans+=("URI:$2") && shift ;;
		--rsa) key=(-newkey rsa:2048) ;;
		*) sans+=("$(pki_san "$1")") ;;
		esac
		shift
	done
	extensions="basicConstraints = CA:false"
	case $eku in
	server) extensions+=$'\n'"extendedKeyUsage = serverAuth" ;;
	client) extensions+=$'\n'"extendedKeyUsage = clientAuth" ;;
	both) extensions+=$'\n'"extendedKeyUsage = serverAuth, clientAuth" ;;
	esac
	if ((${#sans[@]})); then
		extensions+=$'\n'"subjectAltName = $(IFS=, && echo "${sans[*]}")"
	fi
	pki_request "$name" "$subject${cn:+/CN=$cn}" "${key[@]}"
	pki_sign "$ca" "$name" "$(pki_time "$from")" "$(pki_time "$to")" "$extensions"
	# A server sends its intermediates, but not the root.
	if [[ -n $(cat "$PKI/$ca.issuer") ]]; then
		cat "$PKI/$name.own.crt" "$PKI/$ca.own.crt" >"$PKI/$name.crt"
	else
		cp "$PKI/$name.own.crt" "$PKI/$name.crt"
	fi
}

pki_crl() { # CA [--expired] NAME...: revokes these too and writes $PKI/CA.crl
	local ca=$1 dates=(-crldays 30) name
	shift
	if [[ ${1:-} == --expired ]]; then
		dates=(-crl_lastupdate "$(pki_time -3days)" -crl_nextupdate "$(pki_time -1day)")
		shift
	fi
	for name; do
		pki_openssl ca -config "$PKI/$ca.d/conf" -revoke "$PKI/$name.own.crt"
	done
	pki_openssl ca -config "$PKI/$ca.d/conf" -gencrl "${dates[@]}" -out "$PKI/$ca.crl"
}

# --- backends ----------------------------------------------------------------------------------

# start_echo NAME [options of echod]: sets NAME to its address and NAME_pid. --unix: on a socket.
start_echo() {
	local name=$1 at=127.0.0.1:0 port
	shift
	if [[ ${1:-} == --unix ]]; then
		at=unix:$TMP/$name.sock
		shift
	else
		free_port port
		at=127.0.0.1:$port
	fi
	spawn "$name" echod --count "$TMP/$name.count" "$@" "$at"
	wait_for "$PATIENCE" grep -q '^listening' "$TMP/$name.out" ||
		bail_out "echod $name did not start" "$(cat "$TMP/$name.err")"
	printf -v "$name" %s "$at"
}

# start_blackhole NAME: sets NAME to the address of a server that never answers, and NAME_pid. Its queue
# is full and it never accepts: Linux neither completes a connection to it nor refuses it.
start_blackhole() {
	local port
	free_port port
	# shellcheck disable=SC2016 # of perl
	spawn "$1" perl -MSocket -e '
		my $at = sockaddr_in($ARGV[0], INADDR_LOOPBACK);
		socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
		bind($s, $at) && listen($s, 0) or die $!;
		my @held;
		for (1..8) {
			socket(my $c, PF_INET, SOCK_STREAM | 2048, 0);
			connect($c, $at); push @held, $c;
		}
		$| = 1; print "full\n"; sleep 600' "$port"
	wait_for "$PATIENCE" grep -q full "$TMP/$1.out" || bail_out "$(cat "$TMP/$1.err")"
	printf -v "$1" %s "127.0.0.1:$port"
}

accepts() { # NAME: how many connections that echo server has had
	cat "$TMP/$1.count" 2>/dev/null || echo 0
}

has_accepted() { # NAME COUNT: for wait_for, because a connection may be queued for a while
	[[ $(accepts "$1") == "$2" ]]
}

# start_nginx NAME http|tls|h2 [options]: sets NAME to its address and NAME_pid.
#   --cert NAME of the PKI   --client-ca FILE   --proxy-protocol   --lines TEXT for the server{}
# It answers "NAME SCHEME PROTOCOL SNI ADDRESS"; only /files/ is served from $TMP/NAME.d/files.
start_nginx() {
	local name=$1 kind=$2 cert='' listen_more='' more='' port dir=$TMP/$1.d
	shift 2
	while (($#)); do
		case $1 in
		--cert) cert=$2 && shift ;;
		--client-ca) more+="ssl_client_certificate $2; ssl_verify_client on; " && shift ;;
		--proxy-protocol) listen_more+=' proxy_protocol' ;;
		--lines) more+=$2 && shift ;;
		*) bail_out "start_nginx: what is $1?" ;;
		esac
		shift
	done
	case $kind in
	tls) listen_more+=' ssl' ;;
	h2) listen_more+=' ssl http2' ;;
	esac
	[[ $kind == http ]] || more+="ssl_certificate $PKI/$cert.crt; ssl_certificate_key $PKI/$cert.key;"
	free_port port
	write_nginx_config "$dir" "$name" "127.0.0.1:$port$listen_more" "$more"
	spawn "$name" nginx -p "$dir" -c "$dir/nginx.conf" -e stderr
	wait_for "$PATIENCE" is_listening "127.0.0.1:$port" ||
		bail_out "nginx $name did not start" "$(cat "$TMP/$name.err")"
	printf -v "$name" %s "127.0.0.1:$port"
}

write_nginx_config() { # DIRECTORY NAME LISTEN LINES
	local user='' address="\$remote_addr"
	mkdir -p "$1/files" "$1/temp"
	[[ $(id -u) != 0 ]] || user='user root;'
	[[ $3 != *proxy_protocol* ]] || address="\$proxy_protocol_addr"
	cat >"$1/nginx.conf" <<-CONF
		daemon off;
		worker_processes 1;
		$user
		pid $1/nginx.pid;
		error_log stderr notice;
		events { worker_connections 4096; }
		http {
			access_log $1/access.log;
			client_body_temp_path $1/temp/body;
			proxy_temp_path $1/temp/proxy;
			fastcgi_temp_path $1/temp/fastcgi;
			uwsgi_temp_path $1/temp/uwsgi;
			scgi_temp_path $1/temp/scgi;
			default_type text/plain;
			server {
				listen $3;
				$4
				location / {
					return 200 "$2 \$scheme \$server_protocol \$ssl_server_name $address\n";
				}
				location /files/ { root $1; }
			}
		}
	CONF
}

# --- clients -----------------------------------------------------------------------------------

# https URL ADDRESS [options of curl]: asks ADDRESS (host:port) whatever the host of URL is.
https() {
	local url=$1 address=$2
	shift 2
	curl --silent --show-error --max-time "$PATIENCE" --noproxy '*' \
		--connect-to "::$address" "$@" "$url"
}

# --- gatehouse ---------------------------------------------------------------------------------

# start_gatehouse [--as NAME] CONFIG [ARGUMENT...]: sets NAME_pid and LOG; fails, and shows the log,
# if it ends before it is ready. NAME is "gatehouse"; a second one at a time needs another.
start_gatehouse() {
	local name=gatehouse config
	if [[ $1 == --as ]]; then
		name=$2
		shift 2
	fi
	config=$1
	shift
	LOG=$TMP/$name.err
	# shellcheck disable=SC2086 # the wrap is a command with its options
	spawn "$name" $GATEHOUSE_WRAP "$GATEHOUSE" -c "$config" "$@"
	local pid=${name}_pid
	wait_for "$PATIENCE" has_settled "${!pid}"
	has_log msg=ready && return 0
	diag "$name -c $config is not ready:" "$(cat "$LOG")"
	return 1
}

has_settled() { # PID
	has_log msg=ready || is_over "$1"
}

# Sets STATUS; fails unless it ended with 0 and no sanitizer complained.
stop_gatehouse() { # [--as NAME] [SIGNAL]
	local name=gatehouse
	if [[ ${1:-} == --as ]]; then
		name=$2
		shift 2
	fi
	local pid=${name}_pid log=$TMP/$name.err
	stop "${!pid}" "${1:-TERM}"
	if grep -E 'Sanitizer|runtime error:' "$log" >"$TMP/.complaints"; then
		diag "$(cat "$TMP/.complaints")"
		return 1
	fi
	[[ $STATUS == 0 ]] || diag "$name ended with $STATUS:" "$(tail -n 20 "$log")"
	return "$STATUS"
}

# Of the log in $LOG, in the text format: the lines that hold all the given pairs. A pair is
# KEY=VALUE, or KEY alone for any value; quotes around a value in the log do not matter.
log_lines() { # [PAIR...]
	WANTED=$(printf '%s\n' "$@") awk '
		BEGIN { count = split(ENVIRON["WANTED"], pair, "\n") }
		{
			line = " " $0 " "
			found = 1
			for (i = 1; i <= count && found; i++) {
				if (pair[i] == "")
					continue
				at = index(pair[i], "=")
				key = at ? substr(pair[i], 1, at - 1) : pair[i]
				value = substr(pair[i], at + 1)
				if (!at)
					found = index(line, " " key "=")
				else
					found = index(line, " " key "=" value " ") ||
						index(line, " " key "=\"" value "\" ")
			}
			if (found)
				print
		}' "$LOG"
}

log_count() { # [PAIR...]
	log_lines "$@" | wc -l
}

has_log() { # [PAIR...]
	[[ -f $LOG && -n $(log_lines "$@") ]]
}

log_value() { # NAME [PAIR...]: the value of that key in the last line that holds the pairs
	local named=$1
	shift
	log_lines "$named" "$@" | tail -n 1 |
		sed -nE 's/.* '"$named"'=("((\\.|[^"\\])*)"|([^ ]*)).*/\2\4/p'
}

logs() { # DESCRIPTION PAIR...: such a line comes, now or soon; for the access log and all else
	local description=$1
	shift
	if wait_for "$PATIENCE" has_log "$@"; then
		pass "$description"
	else
		fail "$description" "no line has: $*" "$(tail -n 20 "$LOG")"
	fi
}

logs_not() { # DESCRIPTION PAIR...: no such line so far
	local description=$1
	shift
	if has_log "$@"; then fail "$description" "$(log_lines "$@")"; else pass "$description"; fi
}

# --- metrics -----------------------------------------------------------------------------------

# Sets admin, a port, and METRICS, the member of the configuration that serves metrics there.
claim_metrics() {
	free_port admin
	# shellcheck disable=SC2154 # free_port has set it
	METRICS="\"metrics\": {\"enabled\": true, \"listen\": \"127.0.0.1:$admin\"}"
}

scrape() {
	curl -sf --max-time "$PATIENCE" "http://127.0.0.1:$admin/metrics" >"$TMP/metrics"
}

metric() { # NAME-WITH-LABELS: its value, as of the last scrape
	WANTED=$1 awk '$1 == ENVIRON["WANTED"] { print $2; exit }' "$TMP/metrics"
}

is_counted() { # NAME-WITH-LABELS AT-LEAST: now
	local value
	scrape && value=$(metric "$1") && ((${value:-0} >= $2))
}

# --- bytes in the clear, to $front or $PORT; what comes back, and how it ended ------------------

send_hex() { # HEX [OPTION of rawclient...]: prints "received HEX ended fin ..."
	rawclient --hex "$1" --timeout 8 "${@:2}" "127.0.0.1:${PORT:-$front}" 2>&1 | tr '\n' ' '
}

send_text() { # TEXT, as for printf %b [OPTION of rawclient...]: prints the lines of the answer, "ended fin"
	printf %b "$1" >"$TMP/.bytes"
	rawclient --raw --file "$TMP/.bytes" --timeout 8 "${@:2}" "127.0.0.1:${PORT:-$front}" 2>"$TMP/.ended" |
		tr -d '\r\0'
	grep -o 'ended [a-z]*' "$TMP/.ended"
}

# ends_as DESCRIPTION REASON REGEX COMMAND...: what the command prints, and one more connection ended
# for that reason
ends_as() {
	local before series="gatehouse_connections_ended_total{reason=\"$2\"}"
	scrape
	before=$(metric "$series")
	like "$1" "$("${@:4}")" "$3"
	ok "$1: it counts as $2" wait_for "$PATIENCE" is_counted "$series" $((${before:-0} + 1))
}
