#!/bin/bash
# The status page in a real browser: it fills itself with what happens, and asks nobody else. With
# SHOTS=DIRECTORY its pictures are kept there.
# plain: it is about the page in a browser
# shellcheck disable=SC2154 # NAME and NAME_pid are set by the functions that are given NAME
. "${0%/*}/lib.sh"

browser=$(command -v chromium || command -v chromium-browser) ||
	skip_all "there is no chromium here"

pki_ca root
pki_cert root site app.test
pki_cert root soon soon.test --days 5
start_echo back
free_port front
free_port admin
cat >"$TMP/config.json" <<CONFIG
{
	"listen": "127.0.0.1:$front", "workers": 1,
	"hosts": {
		"app.test": {"mode": "terminate", "cert": "pki/site.crt", "key": "pki/site.key",
			"backend": ["$back", "127.0.0.1:1"]},
		"soon.test": {"mode": "terminate", "cert": "pki/soon.crt", "key": "pki/soon.key",
			"backend": {"servers": ["127.0.0.1:1"], "health_check":
				{"interval": "100ms", "fall": 1}}}
	},
	"health": {"enabled": true, "listen": "127.0.0.1:$admin"}
}
CONFIG
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
spawn live talk --tls --sni app.test "127.0.0.1:$front" exchange=300000 recv=1
# What a stranger says stays text.
talk --tls --sni 'nosuch.test' "127.0.0.1:$front" fin wait >/dev/null 2>&1
carried() {
	curl -s "http://127.0.0.1:$admin/status.json" |
		grep -Eq '"history":.*\[[0-9]+,1,2,300000,.*"reason":"no_host"'
}
ok "something has happened" wait_for "$PATIENCE" carried
logs "a server marked down" 'msg=server marked down'

browse() { # OPTION...
	timeout 60 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars \
		--user-data-dir="$TMP/browser" --virtual-time-budget=5000 "$@" \
		"http://127.0.0.1:$admin/" 2>"$TMP/browser.err"
}

browse --dump-dom >"$TMP/dom"
page=$(sed '/<script>/,/<\/script>/d' "$TMP/dom" | tr '\n' ' ')
like "the state" "$page" '<span id="state" class="pill good">serving</span>'
like "connections" "$page" '<b id="active">1</b>'
like "a plot of them" "$page" 'id="plot-active".*aria-label="Open connections over the last five minutes; now 1".*<path d="M'
like "a route and its traffic" "$page" '<td class="name">app.test<div class="bar" style="width: 100%;"></div>.*293 KiB'
like "a server that is up" "$page" "$back</td><td class=\"\"><span class=\"pill good\">up</span>"
like "one that is down" "$page" '127.0.0.1:1</td><td class=""><span class="pill bad">down</span>'
like "certificates" "$page" 'soon.test<div>.*<span class="pill warn">[45] days</span>'
like "a refusal and why" "$page" 'for nosuch.test.*no host</span>.*unknown server name'
like "the configuration" "$page" "<dd>$TMP/config.json</dd>"
unlike "it does not complain" "$page" 'id="lost"[^>]*style="display: block'
unlike "nor does the browser" "$(cat "$TMP/browser.err")" '(CONSOLE|Refused to).*(error|Error|violates)'

# Wide, dark, and as narrow as a browser gets: nothing may stick out at the side.
pictures=${SHOTS:-$TMP}
browse --window-size=1280,1400 --screenshot="$pictures/light.png" >/dev/null
browse --window-size=1280,1400 --blink-settings=preferredColorScheme=0 \
	--screenshot="$pictures/dark.png" >/dev/null
browse --window-size=400,2400 --screenshot="$pictures/phone.png" >/dev/null
for picture in light dark phone; do
	ok "a picture: $picture" test "$(wc -c <"$pictures/$picture.png")" -gt 20000
done
not_ok "dark is not light" cmp -s "$pictures/light.png" "$pictures/dark.png"
stop "$live_pid"
ok "gatehouse ends well" stop_gatehouse
done_testing
