#include "wire/alert.h"
#include <string.h>

void alert_encode(enum alert alert, uint8_t out[ALERT_SIZE])
{
	/*
	 * Record type alert, legacy version TLS 1.2 (RFC 8446 section 5.1), length
	 * 2, level fatal.
	 */
	const uint8_t record[ALERT_SIZE] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, (uint8_t)alert};
	memcpy(out, record, sizeof(record));
}

const char *alert_name(enum alert alert)
{
	switch (alert) {
	case ALERT_HANDSHAKE_FAILURE:
		return "handshake_failure";
	case ALERT_ILLEGAL_PARAMETER:
		return "illegal_parameter";
	case ALERT_DECODE_ERROR:
		return "decode_error";
	case ALERT_INTERNAL_ERROR:
		return "internal_error";
	case ALERT_UNRECOGNIZED_NAME:
		return "unrecognized_name";
	case ALERT_NO_APPLICATION_PROTOCOL:
		return "no_application_protocol";
	}
	return "unknown";
}
