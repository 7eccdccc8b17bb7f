#!/bin/bash
# A reload that was refused for a reason that passes is tried again by itself: an address that another
# socket has, a lack of descriptors. One that is wrong in its files is not.
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

start_echo back
free_port front
free_port taken
spawn taker echod "127.0.0.1:$taken"
wait_for "$PATIENCE" is_listening "127.0.0.1:$taken"

config() { # [LISTEN [MORE]]
	cat >"$TMP/next" <<-CONFIG
		{
			"listen": ["127.0.0.1:$front"${1:-}], "workers": 1,
			"control": {"socket": "control.sock"},
			"hosts": {"a.test": {"mode": "passthrough", "backend": "$back"}}${2:-}
		}
	CONFIG
	mv "$TMP/next" "$TMP/config.json"
}

ctl() {
	"$GATEHOUSE" ctl -s "$TMP/control.sock" "$@"
}

failed() { # so far
	ctl --json status | jq .reload.failed
}

has_failed() { # COUNT: or more often
	(($(failed) >= $1))
}

has_reloaded() { # COUNT
	(($(log_count msg=reloaded took_ms) >= $1))
}

refused() { # COUNT [PAIR...]: or more often
	local count=$1
	shift
	(($(refusals "$@") >= count))
}

is_closed() {
	! is_listening "127.0.0.1:$taken"
}

refusals() { # in the log
	log_count "msg=reload refused, the running configuration stays" "$@"
}

config
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

config ", \"127.0.0.1:$taken\""
logs "an address in use: it is tried again" "msg=reload refused, the running configuration stays" \
	"retrying=until it succeeds"
like "ctl says so" "$(ctl reload 2>&1)" 'retrying'
before=$(failed)
ok "it is refused again" wait_for "$PATIENCE" has_failed $((before + 1))
is "the log has it once for each that had a cause" "$(refusals)" 2
stop "$taker_pid"
ok "once the address is free, it succeeds" wait_for "$PATIENCE" has_reloaded 1
ok "it listens" is_listening "127.0.0.1:$taken"
is "nothing is planned any more" "$(ctl --json status | jq .reload.retry_seconds)" 0

# Not one descriptor more.
limits=$(prlimit --pid "$gatehouse_pid" --nofile --output SOFT,HARD --noheadings --raw)
prlimit --pid "$gatehouse_pid" --nofile="3:${limits#* }"
config
ok "no descriptors: refused" wait_for "$PATIENCE" refused 3 retrying
like "no descriptors: the reason" "$(log_lines level=error msg=configuration | tail -n 1)" \
	'Too many open files'
prlimit --pid "$gatehouse_pid" --nofile="${limits/ /:}"
ok "with descriptors it succeeds" wait_for "$PATIENCE" has_reloaded 2
ok "the removed address is closed" wait_for "$PATIENCE" is_closed

# What is wrong in a file stays wrong.
config '' ', "colour": "red"'
ok "a wrong file: refused" wait_for "$PATIENCE" refused 4
is "a wrong file: not tried again" "$(refusals retrying)" 3
is "a wrong file: nothing is planned" "$(ctl --json status | jq .reload.retry_seconds)" 0
ok "it ends well" stop_gatehouse
done_testing
