#!/bin/bash
# openssl s_client requests TLS in each protocol that "starttls" has a word for, and gets the certificate of the host.
# shellcheck disable=SC2154 # free_port has set them
. "${0%/*}/lib.sh"

words=(imap ldap mysql pop3 postgres smtp xmpp)
pki_ca root
pki_cert root site a.test
free_port closed
listeners='' hosts=''
for word in "${words[@]}"; do
	free_port "$word"
	listeners+="${listeners:+, }{\"address\": \"127.0.0.1:${!word}\", \"starttls\": \"$word\", \"hosts\": [\"$word.test\"]}"
	hosts+="${hosts:+, }\"$word.test\": {\"mode\": \"terminate\", \"cert\": \"pki/$word.crt\", \"key\": \"pki/$word.key\",
		\"backend\": {\"servers\": [\"127.0.0.1:$closed\"], \"starttls\": \"$word\",
			\"tls\": {\"ca\": \"pki/root.crt\", \"server_name\": \"a.test\"}}}"
	pki_cert root "$word" "$word.test"
done
echo "{\"listen\": [$listeners], \"hosts\": {$hosts}}" >"$TMP/config.json"

like "these are all words" "$(echo '{"listen": {"address": ":1", "starttls": "none"}}' >"$TMP/none.json"
	"$GATEHOUSE" check -c "$TMP/none.json" 2>&1)" "expected one of $(printf '"%s", ' "${words[@]}")got"
start_gatehouse "$TMP/config.json" || bail_out "no gatehouse"
for word in "${words[@]}"; do
	timeout "$PATIENCE" openssl s_client -starttls "$word" -xmpphost "$word.test" -servername "$word.test" \
		-verify_hostname "$word.test" -CAfile "$PKI/root.crt" -connect "127.0.0.1:${!word}" </dev/null 2>&1 | tr -d '\0' >"$TMP/$word.out"
	like "$word: openssl s_client gets the certificate" "$(cat "$TMP/$word.out")" "subject=CN = $word"
	like "$word: and verifies it" "$(cat "$TMP/$word.out")" 'Verify return code: 0 \(ok\)'
	logs "$word: the log has it" msg=connection "preface=$word" "sni=$word.test" tls=TLSv1.3
done
ok "stops" stop_gatehouse
done_testing
