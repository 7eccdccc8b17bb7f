# bash completion for gatehouse(8)

_gatehouse_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_gatehouse_words() { # WORDS CURRENT
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# What the running gatehouse knows, where we may ask: hosts, servers.
_gatehouse_names() { # FIELD SUBCOMMAND [SOCKET...]
	local field=$1
	shift
	gatehouse ctl "${@:2}" --json "$1" 2>/dev/null |
		grep -o "\"$field\":\"[^\"]*\"" | cut -d'"' -f4 | sort -u
}

_gatehouse_ctl() {
	local current=$1 previous=$2 at=('') command='' i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket) at=(-s "${COMP_WORDS[i + 1]}") && i=$((i + 1)) ;;
		-*) ;;
		*) [[ -n $command ]] || command=${COMP_WORDS[i]} ;;
		esac
	done
	[[ -n ${at[0]} ]] || at=()
	case $previous in
	-s | --socket) _gatehouse_files "$current" && return ;;
	--route) _gatehouse_words "$(_gatehouse_names route routes "${at[@]}")" "$current" && return ;;
	log-level) _gatehouse_words "error warn info debug" "$current" && return ;;
	drain | undrain)
		_gatehouse_words "all $(_gatehouse_names route routes "${at[@]}") \
			$(_gatehouse_names server servers "${at[@]}")" "$current"
		return
		;;
	esac
	case $command in
	'') _gatehouse_words "status sessions kill routes servers certs explain reload upgrade drain undrain
		log-level --socket --json --help" "$current" ;;
	sessions) _gatehouse_words "--route --cn --from --id --limit --json" "$current" ;;
	kill) _gatehouse_words "--route --cn --from --id --all --json" "$current" ;;
	routes) _gatehouse_words "--route --limit --json" "$current" ;;
	explain) _gatehouse_words "--sni --alpn --from --json" "$current" ;;
	*) _gatehouse_words "--json" "$current" ;;
	esac
}

_gatehouse() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	if [[ ${COMP_WORDS[1]} == ctl && $COMP_CWORD -gt 1 ]]; then
		_gatehouse_ctl "$current" "$previous"
		return
	fi
	case $previous in
	-c | --config | --hello | --cert | --key | --ca)
		_gatehouse_files "$current"
		return
		;;
	esac
	if ((COMP_CWORD == 1)); then
		_gatehouse_words "serve check explain connect ctl -c --config --version --help" "$current"
		return
	fi
	case ${COMP_WORDS[1]} in
	serve | check) _gatehouse_words "-c --config --help" "$current" ;;
	explain) _gatehouse_words "-c --config --sni --alpn --hello --cert --from --json --help" "$current" ;;
	connect) _gatehouse_words "$(gatehouse connect --help 2>/dev/null | grep -o -- '--[a-z-]*' | sort -u)" "$current" ;;
	esac
}

complete -F _gatehouse gatehouse
