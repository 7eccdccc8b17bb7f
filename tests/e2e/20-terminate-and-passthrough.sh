#!/bin/bash
# curl reaches a real nginx by both kinds of route, in HTTP/1.1 and HTTP/2, and 100 MB up and down
# arrive as they were.
# needs: nginx curl
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

MEGABYTES=100

pki_ca root
pki_cert root front terminated.test
pki_cert root back passed.test
free_port front
free_port h2c
upload='dav_methods PUT; client_max_body_size 200m;'
start_nginx plain http --lines "listen 127.0.0.1:$h2c http2; $upload"
start_nginx secure h2 --cert back --lines "$upload"

cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front",
	"workers": 2,
	"hosts": {
		"terminated.test": {"mode": "terminate", "cert": "pki/front.crt", "key": "pki/front.key",
			"backend": "$plain", "alpn": {"h2": {"backend": "127.0.0.1:$h2c"}}},
		"passed.test": {"mode": "passthrough", "backend": "$secure"}
	}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"

get() { # NAME PATH [options of curl]
	local name=$1 path=$2
	shift 2
	https "https://$name$path" "127.0.0.1:$front" --cacert "$PKI/root.crt" "$@"
}

# --- one page by each way ---

is "HTTP/1.1, terminated" "$(get terminated.test / --http1.1)" "plain http HTTP/1.1  127.0.0.1"
is "HTTP/2, terminated, to a backend that speaks h2c" "$(get terminated.test / --http2)" \
	"plain http HTTP/2.0  127.0.0.1"
is "HTTP/1.1, passed through" "$(get passed.test / --http1.1)" \
	"secure https HTTP/1.1 passed.test 127.0.0.1"
is "HTTP/2, passed through" "$(get passed.test / --http2)" \
	"secure https HTTP/2.0 passed.test 127.0.0.1"
is "several requests on one connection" \
	"$(get terminated.test / --http1.1 -w '%{num_connects}' "https://terminated.test/" | tr '\n' ' ')" \
	"plain http HTTP/1.1  127.0.0.1 1plain http HTTP/1.1  127.0.0.1 0"

logs "the log tells of a terminated connection" msg=connection sni=terminated.test alpn=h2 \
	route=terminated.test mode=terminate tls=TLSv1.3 "upstream=127.0.0.1:$h2c"
logs "and of one passed through" msg=connection sni=passed.test route=passed.test \
	mode=passthrough "upstream=$secure" end=done
is "which was not decrypted" "$(log_count mode=passthrough tls)" 0

# --- 100 MB ---

digest() {
	sha256sum | cut -d' ' -f1
}

openssl enc -aes-128-ctr -nosalt -pass pass:gatehouse -in /dev/zero 2>/dev/null |
	head -c $((MEGABYTES * 1000 * 1000)) >"$TMP/large"
expected=$(digest <"$TMP/large")

for name in terminated passed; do
	case $name in
	terminated) files=$TMP/plain.d/files ;;
	passed) files=$TMP/secure.d/files ;;
	esac
	ln "$TMP/large" "$files/down"
	for http in 1.1 2; do
		is "$name, HTTP/$http: $MEGABYTES MB down" \
			"$(get $name.test /files/down --http$http --max-time 120 | digest)" "$expected"
		get $name.test /files/up --http$http --max-time 120 -o "$TMP/answer" \
			--upload-file "$TMP/large"
		is "$name, HTTP/$http: $MEGABYTES MB up" "$(digest <"$files/up")" "$expected"
		rm -f "$files/up"
	done
done

has_large() { # ROUTE up|down: connections of that route that carried it all
	log_lines msg=connection "route=$1" |
		awk -v key=" $2=" -v most=$((MEGABYTES * 1000 * 1000)) '
			{ at = index($0, key); if (at && substr($0, at + length(key)) + 0 >= most) found = 1 }
			END { exit !found }'
}
for name in terminated.test passed.test; do
	ok "$name: bytes up are counted" wait_for "$PATIENCE" has_large "$name" up
	ok "$name: bytes down are counted" wait_for "$PATIENCE" has_large "$name" down
done

ok "gatehouse ends well" stop_gatehouse
done_testing
