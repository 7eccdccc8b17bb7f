#!/bin/bash
# The Debian package: it builds, has what it should have, installs, starts by its unit's command line,
# and purges. It is installed in a throw-away layer over this machine's files, which are not touched.
# needs: debhelper dpkg-dev build-essential fakeroot
# first: it compiles everything
# plain: a package is the same, whatever gatehouse was built with
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

[[ $(id -u) == 0 ]] || skip_all "installing takes root"
command -v dh >/dev/null || skip_all "no debhelper"
mkdir "$TMP/layer" "$TMP/root"
# Makes the throw-away machine and runs a script there; where that cannot be, it fails.
# shellcheck disable=SC2016 # the inner shell's variables
inside() { # SCRIPT
	unshare --mount --propagation private sh -ec '
		mount -t tmpfs layer "$1/layer"
		mkdir "$1/layer/upper" "$1/layer/work"
		mount -t overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" root "$1/root"
		mount --rbind /dev "$1/root/dev"
		mount -t proc proc "$1/root/proc"
		mkdir -p "$1/root/$1"
		mount --bind "$1" "$1/root/$1"
		exec chroot "$1/root" bash -uc "$2"' sh "$TMP" "$1"
}
inside true 2>"$TMP/inside.err" || skip_all "no layers here: $(tail -n 1 "$TMP/inside.err")"

# Other tests run beside this one, and their deadlines go first.
nice make -C "$ROOT" BUILD="$TMP/build" deb >"$TMP/deb.out" 2>&1
is "it builds" $? 0
deb=$(ls "$TMP"/build/deb/gatehouse_*.deb 2>/dev/null)
[[ -f $deb ]] || bail_out "no package" "$(tail -n 30 "$TMP/deb.out")"
is "its version is the program's" "$(dpkg-deb -f "$deb" Version)" \
	"$("$GATEHOUSE" --version | sed 's/gatehouse //')"
dpkg-deb -c "$deb" | awk '{ print $6 }' >"$TMP/contents"
for file in ./usr/bin/gatehouse ./lib/systemd/system/gatehouse.service \
	./lib/systemd/system/gatehouse.socket ./usr/lib/sysusers.d/gatehouse.conf \
	./usr/lib/tmpfiles.d/gatehouse.conf ./usr/share/man/man8/gatehouse.8.gz ./etc/gatehouse/ \
	./usr/share/bash-completion/completions/gatehouse; do
	ok "it has $file" grep -qx "$file" "$TMP/contents"
done
if command -v lintian >/dev/null; then
	is "lintian finds no error" "$(lintian "$deb" 2>&1 | grep '^E:')" ''
else
	skip 1 "no lintian here"
fi

start_echo echo --greet hi
hello --sni a.test >"$TMP/hello"
free_port front
echo "{\"listen\": \"127.0.0.1:$front\", \"hosts\": {\"a.test\": {\"mode\": \"passthrough\",
	\"backend\": \"$echo\"}}}" >"$TMP/config.json"

# What a unit does: its command line, as its user. Then the package is upgraded, and purged.
# shellcheck disable=SC2016
inside '
	cd '"$TMP"'
	say() { echo "$1 $2"; }
	dpkg -i '"$deb"' >dpkg.out 2>&1; say installed $?
	say user "$(getent passwd gatehouse | cut -d: -f1,7)"
	say directory "$(stat -c "%a %U:%G" /etc/gatehouse)"
	cp config.json /etc/gatehouse/config.json
	line=$(sed -n "s/^ExecStart=//p" /lib/systemd/system/gatehouse.service)
	say line "$line"
	setpriv --reuid=gatehouse --regid=gatehouse --init-groups $line 2>unit.err & pid=$!
	for ((i = 0; i < 500; i++)); do grep -q msg=ready unit.err && break; sleep 0.02; done
	say served "$(rawclient --file hello --until 2 --raw 127.0.0.1:'"$front"' 2>/dev/null | head -c 2)"
	say runs_as "$(ps -o user= -p $pid)"
	kill $pid; wait $pid; say ended $?
	dpkg -i '"$deb"' >>dpkg.out 2>&1; say upgraded $?
	say kept "$(cmp config.json /etc/gatehouse/config.json && echo yes)"
	dpkg -r gatehouse >>dpkg.out 2>&1; say removed $?
	say kept_still "$(cmp config.json /etc/gatehouse/config.json && echo yes)"
	rm /etc/gatehouse/config.json
	dpkg -P gatehouse >>dpkg.out 2>&1; say purged $?
	say left "$(find / -xdev -path "'"$TMP"'" -prune -o \( -name "gatehouse*" -path "/etc/*" -o \
		-path "/lib/systemd/system/gatehouse*" -o -path /usr/bin/gatehouse \) -print | xargs)"
	say status "$(dpkg-query -W -f "\${db:Status-Status}" gatehouse 2>/dev/null)"
' >"$TMP/inside.out" 2>"$TMP/inside.err"
said() { # WHAT
	sed -n "s/^$1 //p" "$TMP/inside.out"
}
is "it installs" "$(said installed)" 0
like "it makes its user" "$(said user)" '^gatehouse:.*nologin'
is "it makes its directory" "$(said directory)" '750 root:gatehouse'
is "the unit runs" "$(said line)" '/usr/bin/gatehouse -c /etc/gatehouse/config.json'
is "that starts and serves" "$(said served)" hi
is "as its user" "$(said runs_as)" gatehouse
is "and ends" "$(said ended)" 0
is "it upgrades" "$(said upgraded)" 0
is "the configuration stays" "$(said kept)" yes
is "it can be removed" "$(said removed)" 0
is "the configuration stays" "$(said kept_still)" yes
is "it can be purged" "$(said purged)" 0
is "nothing is left of it" "$(said left)" ''
is "nor does dpkg know it" "$(said status)" ''
((tests_failed == 0)) || diag "$(cat "$TMP/inside.out" "$TMP/inside.err" "$TMP/dpkg.out" "$TMP/unit.err" 2>&1)"
if command -v systemd-analyze >/dev/null; then
	like "systemd finds nothing wrong with the unit's exposure" \
		"$(systemd-analyze security --offline=true "$ROOT/conf/gatehouse.service" 2>&1 | tail -n 1)" \
		'level for gatehouse.service: (0\.[0-9]|1\.[0-5]) '
else
	skip 1 "no systemd-analyze here"
fi
done_testing
