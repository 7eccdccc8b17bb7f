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

static const char *target(const struct gateway *gateway)
{
	return gateway->settings->target;
}

void diagnose_dial(
	const struct gateway *gateway, const struct connector *connector, struct err *out)
{
	const char *advice = "";
	if (connector->is_unresolved)
		advice = "; check the name, or the name servers of this machine";
	else if (connector->error == ECONNREFUSED)
		advice = "; is the gateway running there, and is it this port?";
	else if (connector->error == ENETUNREACH || connector->error == EHOSTUNREACH)
		advice = "; is this machine online, and does it have a route there?";
	else if (connector->error == ENOENT)
		advice = "; there is no such socket";
	err_set(out, "%s: %s%s", target(gateway), connector->why, advice);
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
			"%s: connected, but the TLS handshake was not done within %s; is it a TLS "
			"port?",
			target(gateway), limit);
	else if (tried[0])
		err_set(out,
			"%s: no answer from %s within %s; is it down, or does a firewall drop it?",
			target(gateway), tried, limit);
	else
		err_set(out, "%s: the name server did not answer within %s", target(gateway),
			limit);
}

/* The certificate that was shown: "me.crt (CN=alice)". */
static void write_shown(const struct gateway *gateway, char *out, size_t size)
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

static void advise_without_certificate(
	const struct gateway *gateway, const char *said, struct err *out)
{
	err_set(out,
		"%s: refused by the gateway: %s; it asks for a client certificate: name one with "
		"--cert and --key",
		target(gateway), said);
}

static const char *advice_on_shown(const struct gateway *gateway, unsigned alert)
{
	time_t now = time(NULL);
	switch (alert) {
	case ALERT_CERTIFICATE_EXPIRED:
		return now > gateway->credential->not_after
			? "get a new one"
			: "it is good by the clock of this machine; are both clocks right?";
	case ALERT_UNKNOWN_CA:
		return "it does not trust who issued it";
	case ALERT_CERTIFICATE_REVOKED:
		return "get a new one";
	case ALERT_BAD_CERTIFICATE:
	case ALERT_UNSUPPORTED_CERTIFICATE:
	case ALERT_CERTIFICATE_UNKNOWN:
		return "it is not good for a client there";
	default:
		return "its rules do not admit this one";
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
	const struct gateway *gateway, unsigned alert, const char *said, struct err *out)
{
	char shown[sizeof out->text / 2], expiry[64];
	if (!gateway->credential) {
		advise_without_certificate(gateway, said, out);
		return;
	}
	write_shown(gateway, shown, sizeof shown);
	write_expiry(gateway, alert, expiry);
	err_set(out, "%s: refused by the gateway: %s; it was shown %s%s: %s", target(gateway), said,
		shown, expiry, advice_on_shown(gateway, alert));
}

static void write_offered(const struct gateway *gateway, char *out, size_t size)
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
	write_offered(gateway, offered, sizeof offered);
	if (offered[0])
		err_set(out,
			"%s: refused by the gateway: \"%s\" there does not speak %s; give another "
			"protocol with --alpn, or the right name with --sni",
			target(gateway), gateway->settings->name, offered);
	else
		err_set(out,
			"%s: refused by the gateway: \"%s\" there is only to be had by protocol; "
			"give it with --alpn",
			target(gateway), gateway->settings->name);
}

/* A refusal of the certificate: where one was asked for, a handshake failure is one too. */
static bool is_refusal(const struct tls_failure *failure)
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
	char said[TLS_ALERT_TEXT_MAX];
	tls_alert_text(failure->alert, said);
	if (failure->alert == ALERT_UNRECOGNIZED_NAME)
		err_set(out,
			"%s: no host \"%s\" behind the gateway; check the name, or give the right "
			"one with --sni",
			target(gateway), gateway->settings->name);
	else if (failure->alert == ALERT_NO_APPLICATION_PROTOCOL)
		diagnose_protocol(gateway, out);
	else if (is_refusal(failure))
		diagnose_refusal(gateway, failure->alert, said, out);
	else
		err_set(out, "%s: the gateway ended it with the TLS alert \"%s\"", target(gateway),
			said);
}

/* An end without reasons: what it means depends on when it came. */
static void diagnose_end(const struct gateway *gateway, const struct stream *stream,
	const struct tls_failure *failure, bool heard, struct err *out)
{
	if (!failure->secured)
		err_set(out,
			"%s: %s in the TLS handshake; is it a TLS port, and is \"%s\" behind it?",
			target(gateway),
			failure->fault == TLS_FAULT_CLOSED ? "closed" : stream->error,
			gateway->settings->name);
	else if (!heard && failure->asked)
		err_set(out,
			"%s: the gateway ended it without a word (%s); it asked for a client "
			"certificate: perhaps it refuses %s",
			target(gateway), stream->error,
			gateway->credential ? "the one it was shown" : "who shows none");
	else
		err_set(out,
			"%s: the connection broke: %s; the network, or a time limit of the gateway",
			target(gateway), stream->error);
}

static const char *advice_on_certificate(const struct gateway *gateway, enum tls_fault fault)
{
	bool has_ca = gateway->trust != NULL;
	switch (fault) {
	case TLS_FAULT_UNTRUSTED:
		return has_ca ? "no CA of --ca issued it" : "name the CA that issued it with --ca";
	case TLS_FAULT_NAME:
		return "ask for one of them with --sni, or there is no such host behind the gateway";
	case TLS_FAULT_EXPIRED:
		return "whoever runs the gateway must renew it";
	case TLS_FAULT_NOT_YET:
		return "is the clock of this machine right?";
	case TLS_FAULT_PIN:
		return "if the gateway has a new one, give that to --pin";
	case TLS_FAULT_REVOKED:
		return "whoever runs the gateway must replace it";
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
		err_set(out, "%s: what answers there is not TLS; is it the right port?",
			target(gateway));
		return;
	case TLS_FAULT_VERSION:
		err_set(out, "%s: the gateway speaks no TLS version from %s on; see --min-version",
			target(gateway),
			gateway->settings->config.min_version == 0x0304 ? "TLS1.3" : "TLS1.2");
		return;
	case TLS_FAULT_OTHER:
		err_set(out, "%s: the connection broke: %s", target(gateway), stream->error);
		return;
	case TLS_FAULT_UNTRUSTED:
	case TLS_FAULT_NAME:
	case TLS_FAULT_EXPIRED:
	case TLS_FAULT_NOT_YET:
	case TLS_FAULT_PIN:
	case TLS_FAULT_REVOKED:
		break;
	}
	err_set(out, "%s: %s; %s", target(gateway), stream->error,
		advice_on_certificate(gateway, failure.fault));
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
		target(gateway), gateway->settings->name);
}
