#!/bin/bash
# OpenSSH through connect, behind a terminating route that requires a certificate: logins, files,
# jumps, forwarded ports, git, long silences; HTTPS under the same name; and by way of two gatehouses.
# first: it takes long
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
# needs: openssh-server openssh-client git curl procps
. "${0%/*}/lib.sh"

for program in sshd ssh scp ssh-keygen git curl; do
	command -v "$program" >/dev/null || skip_all "no $program here"
done
export HOME=$TMP/home XDG_CONFIG_HOME=
mkdir -p -m 700 "$HOME" "$TMP/ssh"
me=$(id -un)

# --- an sshd of our own; ssh takes the home of the account, so every file is named ---

free_port sshd_port
ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$TMP/ssh/user"
cp "$TMP/ssh/user.pub" "$TMP/ssh/authorized"
chmod 600 "$TMP/ssh"/*
cat >"$TMP/ssh/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$sshd_port
HostKey $TMP/ssh/host
AuthorizedKeysFile $TMP/ssh/authorized
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 50
Subsystem sftp internal-sftp
CONFIG
[[ $(id -u) != 0 ]] || mkdir -p -m 755 /run/sshd
spawn sshd "$(command -v sshd)" -D -e -f "$TMP/ssh/sshd_config"
wait_for "$PATIENCE" is_listening "127.0.0.1:$sshd_port" || {
	diag "$(cat "$TMP/sshd.err")"
	skip_all "sshd does not start here"
}

pki_ca root
pki_ca ops
pki_cert root site site.test
pki_cert ops alice
pki_cert ops mallory
start_nginx web http
free_port front
free_port impatient
free_port outer

route() { # IDLE-TIMEOUT PORT
	cat <<-CONFIG
	{
		"listen": "127.0.0.1:$2",
		"proxy": {"idle_timeout": "$1"},
		"hosts": {"site.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": "$web",
			"alpn": {"ssh": {"backend": "127.0.0.1:$sshd_port", "client_auth": "required",
				"ca": "pki/ops.crt", "acl": {"allow_cn": ["alice"]}}}}}
	}
	CONFIG
}
route 1h "$front" >"$TMP/front.json"
route 2s "$impatient" >"$TMP/impatient.json"
cat >"$TMP/outer.json" <<CONFIG
{"listen": "127.0.0.1:$outer",
	"hosts": {"*.test": {"mode": "passthrough", "backend": "127.0.0.1:$front"}}}
CONFIG
start_gatehouse --as inner "$TMP/front.json" || bail_out "no gatehouse"
start_gatehouse --as impatient "$TMP/impatient.json" || bail_out "no gatehouse"
start_gatehouse --as outer "$TMP/outer.json" || bail_out "no gatehouse"

# What a user's two files are: settings that know the gateway, and an ssh_config that knows nothing.
mkdir -p "$HOME/.config/gatehouse"
cat >"$HOME/.config/gatehouse/client.json" <<CONFIG
{
	"defaults": {"ca": "$PKI/root.crt", "cert": "$PKI/alice.crt", "key": "$PKI/alice.key", "alpn": "ssh"},
	"gateways": {
		"site.test": {"gateway": "127.0.0.1:$front"},
		"impatient": {"gateway": "127.0.0.1:$impatient", "sni": "site.test", "keepalive": "1s"},
		"twice": {"gateway": "127.0.0.1:$outer", "sni": "site.test"}
	}
}
CONFIG
cat >"$TMP/ssh/config" <<CONFIG
Host *
	User $me
	IdentityFile $TMP/ssh/user
	IdentitiesOnly yes
	UserKnownHostsFile $TMP/ssh/known
	StrictHostKeyChecking yes
	HostKeyAlias loopback
	LogLevel ERROR
	ServerAliveInterval 0
Host site.test impatient twice patient
	ProxyCommand $GATEHOUSE connect %h
Host behind
	HostName 127.0.0.1
	Port $sshd_port
	ProxyJump site.test
CONFIG
echo "loopback $(cut -d' ' -f1-2 "$TMP/ssh/host.pub")" >"$TMP/ssh/known"
through() { # ssh's arguments
	timeout -k 5 120 ssh -F "$TMP/ssh/config" "$@"
}
copy() { # scp's arguments
	timeout -k 5 120 scp -q -F "$TMP/ssh/config" "$@"
}

timeout 60 ssh -F "$TMP/ssh/config" -p "$sshd_port" 127.0.0.1 true 2>"$TMP/direct.err" ||
	skip_all "this account cannot log in by ssh: $(head -n 1 "$TMP/direct.err")"

# --- a login ---

is "a login with the flags in ProxyCommand" "$(timeout -k 5 60 ssh -F "$TMP/ssh/config" -o \
	"ProxyCommand=$GATEHOUSE connect --sni site.test --alpn ssh --ca $PKI/root.crt --cert $PKI/alice.crt --key $PKI/alice.key 127.0.0.1:$front" \
	anything 'echo in; whoami' 2>&1)" "in"$'\n'"$me"
is "a login with the settings" "$(through site.test 'echo in' 2>&1)" in
is "its exit status comes through" "$(through site.test 'exit 7'; echo $?)" 7
is "what is said on stderr is not mixed up" "$(through site.test 'echo no >&2; echo yes' 2>/dev/null)" yes
LOG=$TMP/inner.err
logs "the gateway knows who it was, and that all ended well" \
	msg=connection alpn=ssh identity=CN=alice end=done
is "no session ended in another way" "$(log_lines msg=connection | grep -vc 'end=done$')" 0

said=$(timeout 60 ssh -F "$TMP/ssh/config" -o "ProxyCommand=$GATEHOUSE connect --cert $PKI/mallory.crt --key $PKI/mallory.key %h" site.test true 2>&1)
is "whoever is not admitted is told so before ssh says it is closed" "$(head -n 1 <<<"$said")" \
	"gatehouse connect: site.test: refused by the gateway: handshake failure; client certificate $PKI/mallory.crt (CN=mallory): the rules of the gateway do not admit it"

# --- the same name for the web ---

is "the same name serves HTTPS" "$(https https://site.test/ "127.0.0.1:$front" --cacert "$PKI/root.crt" |
	cut -d' ' -f1-2)" "web http"

# --- files ---

size=100000000
[[ -z ${QUICK:-} && -z $GATEHOUSE_WRAP && -z ${GATEHOUSE_SANITIZER:-} ]] || size=10000000
head -c "$size" /dev/urandom >"$TMP/blob"
sum=$(sha256sum <"$TMP/blob")
copies() { # DESCRIPTION HOST
	rm -f "$TMP/there" "$TMP/back"
	copy "$TMP/blob" "$2:$TMP/there"
	is "$1: scp of $size bytes there" "$(sha256sum <"$TMP/there")" "$sum"
	copy "$2:$TMP/there" "$TMP/back"
	is "$1: and back" "$(sha256sum <"$TMP/back")" "$sum"
}
copies "one gatehouse" site.test
copies "a gatehouse behind a gatehouse" twice
is "a login through two" "$(through twice 'echo in' 2>&1)" in
LOG=$TMP/outer.err
logs "the outer one passes it through" msg=connection mode=passthrough sni=site.test alpn_offered=ssh end=done

# --- jumps and ports ---

is "ssh -J" "$(through -J site.test -p "$sshd_port" 127.0.0.1 'echo jumped' 2>&1)" jumped
is "a ProxyJump of the configuration" "$(through behind 'echo jumped' 2>&1)" jumped
free_port local
spawn forwarding ssh -F "$TMP/ssh/config" -N -L "127.0.0.1:$local:$web" site.test
wait_for "$PATIENCE" is_listening "127.0.0.1:$local"
is "a forwarded port" "$(curl -s --max-time 20 "http://127.0.0.1:$local/" | cut -d' ' -f1-2)" "web http"
free_port remote
spawn backwards ssh -F "$TMP/ssh/config" -N -R "127.0.0.1:$remote:$web" site.test
wait_for "$PATIENCE" is_listening "127.0.0.1:$remote"
is "a port forwarded the other way" \
	"$(curl -s --max-time 20 "http://127.0.0.1:$remote/" | cut -d' ' -f1-2)" "web http"
stop "$forwarding_pid"
stop "$backwards_pid"
nobody_left() {
	! pgrep -f "^$GATEHOUSE connect site.test"
}
ok "no connect stays behind" wait_for "$PATIENCE" nobody_left

# --- git ---

repository=$TMP/repository.git
export GIT_SSH_COMMAND="ssh -F $TMP/ssh/config" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@test GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@test
git init -q --bare "$repository"
git init -q -b main "$TMP/work"
head -c 3000000 /dev/urandom >"$TMP/work/file"
git -C "$TMP/work" add file
git -C "$TMP/work" commit -q -m one
ok "git push" git -C "$TMP/work" push -q "ssh://site.test$repository" main
ok "git clone" git clone -q -b main "ssh://site.test$repository" "$TMP/cloned"
ok "the same file" cmp "$TMP/work/file" "$TMP/cloned/file"

# --- silence ---
# The gateway's idle_timeout is 2 s. TCP keepalive says nothing that would count; ssh's own does.

slept() { # [OPTION...]: of ssh
	through "$@" impatient 'sleep 5; echo awake' 2>&1
}
said=$(slept)
like "a silent session is ended by the gateway, whatever TCP's keepalive" "$said" \
	'gatehouse connect: impatient: connection lost: .*; a failure of the network, or a timeout of the gateway'
is "ServerAliveInterval keeps it" "$(slept -o ServerAliveInterval=1)" awake
LOG=$TMP/impatient.err
logs "the gateway says why" msg=connection alpn=ssh "end=idle timeout"

ok "the outer one ends well" stop_gatehouse --as outer
ok "the impatient one ends well" stop_gatehouse --as impatient
ok "the inner one ends well" stop_gatehouse --as inner
done_testing
