#include "tls/tls_fault.h"

#include "tls/tls_stream.h"

#include <stdio.h>

static enum tls_fault fault_of_certificate(const struct tls_stream *tls)
{
	switch (SSL_get_verify_result(tls->conn.ssl)) {
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return TLS_FAULT_PIN;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAULT_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_FAULT_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_FAULT_NOT_YET;
	case X509_V_ERR_CERT_REVOKED:
		return TLS_FAULT_REVOKED;
	default:
		return TLS_FAULT_UNTRUSTED;
	}
}

static enum tls_fault fault_of_reason(const struct tls_stream *tls)
{
	switch (tls->reason) {
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
		return tls->is_secured ? TLS_FAULT_OTHER : TLS_FAULT_NOT_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
		return TLS_FAULT_VERSION;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return TLS_FAULT_CLOSED;
	default:
		return TLS_FAULT_OTHER;
	}
}

static enum tls_fault fault_of(const struct tls_stream *tls)
{
	if (!tls->is_secured && SSL_get_verify_result(tls->conn.ssl) != X509_V_OK)
		return fault_of_certificate(tls);
	if (tls->reason > SSL_AD_REASON_OFFSET && tls->reason < SSL_AD_REASON_OFFSET + 256)
		return TLS_FAULT_ALERT;
	if (tls->reason)
		return fault_of_reason(tls);
	if (tls->io.error)
		return TLS_FAULT_NETWORK;
	return tls->io.eof ? TLS_FAULT_CLOSED : TLS_FAULT_OTHER;
}

void tls_stream_failure(const struct stream *stream, struct tls_failure *out)
{
	const struct tls_stream *tls = tls_stream_of(stream);
	*out = (struct tls_failure){
		.fault = fault_of(tls), .secured = tls->is_secured, .asked = tls->conn.is_asked};
	if (out->fault == TLS_FAULT_ALERT)
		out->alert = (unsigned)(tls->reason - SSL_AD_REASON_OFFSET);
	if (out->alert == SSL_AD_PROTOCOL_VERSION)
		out->fault = TLS_FAULT_VERSION;
}

void tls_alert_text(unsigned alert, char out[TLS_ALERT_TEXT_MAX])
{
	const char *text = SSL_alert_desc_string_long((int)alert);
	if (alert == SSL_AD_CERTIFICATE_REQUIRED)
		text = "certificate required"; /* OpenSSL 3.0 has no words for these two */
	else if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
		text = "no application protocol";
	if (strcmp(text, "unknown") == 0)
		snprintf(out, TLS_ALERT_TEXT_MAX, "alert %u", alert);
	else
		snprintf(out, TLS_ALERT_TEXT_MAX, "%s", text);
}
