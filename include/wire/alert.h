/* A TLS alert in the clear, as one who has not begun a handshake sends it (RFC 8446 section 6). */
#ifndef GATEHOUSE_WIRE_ALERT_H
#define GATEHOUSE_WIRE_ALERT_H

#include <stdint.h>

enum alert {
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_ILLEGAL_PARAMETER = 47,
	ALERT_DECODE_ERROR = 50,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_UNRECOGNIZED_NAME = 112,
	ALERT_NO_APPLICATION_PROTOCOL = 120,
};

/* Writes a fatal alert record, ready to send. */
#define ALERT_SIZE 7
void alert_encode(enum alert alert, uint8_t out[ALERT_SIZE]);
const char *alert_name(enum alert alert);

#endif
