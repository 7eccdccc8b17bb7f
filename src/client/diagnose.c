#include "client/diagnose.h"

#include "base/date.h"
#include "tls/cert/client_key.h"
#include "tls/cert/identity.h"
#include "tls/tls_fault.h"
#include "wire/alert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { /* RFC 8446 section 6.2, as far as they mean something to a client */
	ALERT_BAD_CERTIFICATE = 42,
	ALERT_UNSUPPORTED_CERTIFICATE = 43,
	ALERT_CERTIFICATE_REVOKED = 44,
	ALERT_CERTIFICATE_EXPIRED = 45,
	ALERT_CERTIFICATE_UNKNOWN = 46,
	ALERT_UNKNOWN_CA = 48,
	ALERT_ACCESS_DENIED = 49,
	ALERT_CERTIFICATE_REQUIRED = 116,
};

static const char *gateway_target(const struct gateway *gateway)
{
	return gateway->settings->target;
}

void diagnose_dial(
	const struct gateway *gateway, const struct connector *connector, struct err *out)
{
	const char *hint = "";
	if (connector->is_unresolved)
		hint = "; check the name, or the name servers of this machine";
	else if (connector->error == ECONNREFUSED)
		hint = "; is the gateway running, and is the port right?";
	else if (connector->error == ENETUNREACH || connector->error == EHOSTUNREACH)
		hint = "; is this machine online, with a route to that address?";
	else if (connector->error == ENOENT)
		hint = "; the socket does not exist";
	err_set(out, "%s: %s%s", gateway_target(gateway), connector->why, hint);
}

static void write_seconds(uint64_t ms, char out[32])
{
	if (ms % 1000)
		snprintf(out, 32, "%llu ms", (unsigned long long)ms);
	else
		snprintf(out, 32, "%llu s", (unsigned long long)ms / 1000);
}

void diagnose_timeout(
	const struct gateway *gateway, const struct connector *connector, struct err *out)
{
	char limit[32], tried[CONNECTOR_TRIED_MAX];
	write_seconds(gateway->settings->config.connect_timeout_ms, limit);
	if (!connector_tried(connector, tried))
		err_set(out,
			"%s: connected, but the TLS handshake did not finish within %s; is it a "
			"TLS port?",
			gateway_target(gateway), limit);
	else if (tried[0])
		err_set(out,
			"%s: no answer from %s within %s; is it down, or does a firewall drop it?",
			gateway_target(gateway), tried, limit);
	else
		err_set(out, "%s: the name server did not answer within %s",
			gateway_target(gateway), limit);
}

/* The client certificate: "me.crt (CN=alice)". */
static void write_credential(const struct gateway *gateway, char *out, size_t size)
{
	const struct client_config *config = &gateway->settings->config;
	struct identity *identity = identity_of(gateway->credential->leaf);
	char who[IDENTITY_TEXT_MAX] = "?", source[240];
	if (identity)
		identity_text(identity, who);
	identity_free(identity);
	client_key_text(config->cert ? config->cert : config->key, source, sizeof source);
	snprintf(out, size, "%s (%s)", source, who);
}

static void diagnose_no_certificate(
	const struct gateway *gateway, const char *alert_text, struct err *out)
{
	err_set(out,
		"%s: refused by the gateway: %s; it requests a client certificate: give one with "
		"--cert and --key",
		gateway_target(gateway), alert_text);
}

static const char *refusal_hint(const struct gateway *gateway, unsigned alert)
{
	time_t now = time(NULL);
	switch (alert) {
	case ALERT_CERTIFICATE_EXPIRED:
		return now > gateway->credential->not_after
			? "renew it"
			: "it is valid by the clock of this machine; are both clocks right?";
	case ALERT_UNKNOWN_CA:
		return "the gateway does not trust its issuer";
	case ALERT_CERTIFICATE_REVOKED:
		return "get a new one";
	case ALERT_BAD_CERTIFICATE:
	case ALERT_UNSUPPORTED_CERTIFICATE:
	case ALERT_CERTIFICATE_UNKNOWN:
		return "the gateway does not accept it as a client certificate";
	default:
		return "the rules of the gateway do not admit it";
	}
}

static void write_expiry(const struct gateway *gateway, unsigned alert, char out[64])
{
	char date[DATE_SIZE];
	time_t when = gateway->credential->not_after;
	out[0] = '\0';
	if (alert != ALERT_CERTIFICATE_EXPIRED)
		return;
	date_write(when, date);
	snprintf(out, 64, ", which %s at %s", when < time(NULL) ? "expired" : "expires", date);
}

static void diagnose_refusal(
	const struct gateway *gateway, unsigned alert, const char *alert_text, struct err *out)
{
	char shown[sizeof out->text / 2], expiry[64];
	if (!gateway->credential) {
		diagnose_no_certificate(gateway, alert_text, out);
		return;
	}
	write_credential(gateway, shown, sizeof shown);
	write_expiry(gateway, alert, expiry);
	err_set(out, "%s: refused by the gateway: %s; client certificate %s%s: %s",
		gateway_target(gateway), alert_text, shown, expiry, refusal_hint(gateway, alert));
}

static void write_protocols(const struct gateway *gateway, char *out, size_t size)
{
	const struct strings *ids = &gateway->settings->config.alpn;
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < ids->count && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s\"%s\"", i ? ", " : "", ids->items[i]);
		used += n < 0 ? 0 : (size_t)n;
	}
	for (char *c = out; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void diagnose_protocol(const struct gateway *gateway, struct err *out)
{
	char offered[160];
	write_protocols(gateway, offered, sizeof offered);
	if (offered[0])
		err_set(out,
			"%s: refused by the gateway: \"%s\" does not support %s; give another protocol "
			"with --alpn, or the right name with --sni",
			gateway_target(gateway), gateway->settings->name, offered);
	else
		err_set(out,
			"%s: refused by the gateway: \"%s\" requires an application protocol; give one "
			"with --alpn",
			gateway_target(gateway), gateway->settings->name);
}

/* Does the gateway refuse the client? If it requested a certificate, a handshake failure means that too. */
static bool is_client_refused(const struct tls_failure *failure)
{
	switch (failure->alert) {
	case ALERT_BAD_CERTIFICATE:
	case ALERT_UNSUPPORTED_CERTIFICATE:
	case ALERT_CERTIFICATE_REVOKED:
	case ALERT_CERTIFICATE_EXPIRED:
	case ALERT_CERTIFICATE_UNKNOWN:
	case ALERT_UNKNOWN_CA:
	case ALERT_ACCESS_DENIED:
	case ALERT_CERTIFICATE_REQUIRED:
		return true;
	default:
		return failure->alert == ALERT_HANDSHAKE_FAILURE && failure->asked;
	}
}

static void diagnose_alert(
	const struct gateway *gateway, const struct tls_failure *failure, struct err *out)
{
	char alert_text[TLS_ALERT_TEXT_MAX];
	tls_alert_text(failure->alert, alert_text);
	if (failure->alert == ALERT_UNRECOGNIZED_NAME)
		err_set(out,
			"%s: no host \"%s\" behind the gateway; check the name, or give the right "
			"one with --sni",
			gateway_target(gateway), gateway->settings->name);
	else if (failure->alert == ALERT_NO_APPLICATION_PROTOCOL)
		diagnose_protocol(gateway, out);
	else if (is_client_refused(failure))
		diagnose_refusal(gateway, failure->alert, alert_text, out);
	else
		err_set(out, "%s: the gateway ended the connection with the TLS alert \"%s\"",
			gateway_target(gateway), alert_text);
}

/* An end without an alert: its meaning depends on when it came. */
static void diagnose_end(const struct gateway *gateway, const struct stream *stream,
	const struct tls_failure *failure, bool heard, struct err *out)
{
	if (!failure->secured)
		err_set(out,
			"%s: %s during the TLS handshake; is it a TLS port, and does the gateway know "
			"\"%s\"?",
			gateway_target(gateway),
			failure->fault == TLS_FAULT_CLOSED ? "closed" : stream->error,
			gateway->settings->name);
	else if (!heard && failure->asked)
		err_set(out,
			"%s: the gateway closed the connection without an alert (%s); it requested a "
			"client certificate, and may have refused %s, or cannot reach its server",
			gateway_target(gateway), stream->error,
			gateway->credential ? "the one it got" : "a client without one");
	else
		err_set(out,
			"%s: connection lost: %s; a failure of the network, or a timeout of the gateway",
			gateway_target(gateway), stream->error);
}

static const char *certificate_hint(const struct gateway *gateway, enum tls_fault fault)
{
	bool has_ca = gateway->trust != NULL;
	switch (fault) {
	case TLS_FAULT_UNTRUSTED:
		return has_ca ? "no CA of --ca issued it" : "give the CA that issued it with --ca";
	case TLS_FAULT_NAME:
		return "give one of them with --sni; or the gateway has no such host";
	case TLS_FAULT_EXPIRED:
		return "the operator of the gateway must renew it";
	case TLS_FAULT_NOT_YET:
		return "is the clock of this machine right?";
	case TLS_FAULT_PIN:
		return "if the gateway has a new certificate, give its SHA-256 with --pin";
	case TLS_FAULT_REVOKED:
		return "the operator of the gateway must replace it";
	case TLS_FAULT_OTHER:
	case TLS_FAULT_NETWORK:
	case TLS_FAULT_CLOSED:
	case TLS_FAULT_NOT_TLS:
	case TLS_FAULT_VERSION:
	case TLS_FAULT_ALERT:
		break;
	}
	return "";
}

void diagnose_tls(
	const struct gateway *gateway, const struct stream *stream, bool heard, struct err *out)
{
	struct tls_failure failure;
	tls_stream_failure(stream, &failure);
	switch (failure.fault) {
	case TLS_FAULT_ALERT:
		diagnose_alert(gateway, &failure, out);
		return;
	case TLS_FAULT_NETWORK:
	case TLS_FAULT_CLOSED:
		diagnose_end(gateway, stream, &failure, heard, out);
		return;
	case TLS_FAULT_NOT_TLS:
		err_set(out, "%s: the answer is not TLS; is it the right port?",
			gateway_target(gateway));
		return;
	case TLS_FAULT_VERSION:
		err_set(out, "%s: the gateway does not support %s or later; see --min-version",
			gateway_target(gateway),
			gateway->settings->config.min_version == 0x0304 ? "TLS1.3" : "TLS1.2");
		return;
	case TLS_FAULT_OTHER:
		err_set(out, "%s: connection lost: %s", gateway_target(gateway), stream->error);
		return;
	case TLS_FAULT_UNTRUSTED:
	case TLS_FAULT_NAME:
	case TLS_FAULT_EXPIRED:
	case TLS_FAULT_NOT_YET:
	case TLS_FAULT_PIN:
	case TLS_FAULT_REVOKED:
		break;
	}
	err_set(out, "%s: %s; %s", gateway_target(gateway), stream->error,
		certificate_hint(gateway, failure.fault));
}

bool is_misdirected(const uint8_t *head, size_t len)
{
	static const char begins[] = "HTTP/1.1 421 ";
	return len >= sizeof begins - 1 && memcmp(head, begins, sizeof begins - 1) == 0;
}

void diagnose_misdirection(const struct gateway *gateway, struct err *out)
{
	err_set(out,
		"%s: no host \"%s\" behind the gateway: it answered \"421 Misdirected Request\"; "
		"check the name, or give the right one with --sni",
		gateway_target(gateway), gateway->settings->name);
}
