/* OpenSSL's error queue in words (per thread, and sticky: cleared before a call, read after it). */
#ifndef GATEHOUSE_TLS_CERT_OSSL_ERROR_H
#define GATEHOUSE_TLS_CERT_OSSL_ERROR_H

#include <openssl/err.h>

/* Before a call: an empty queue, as it nearly always is, costs next to nothing. */
static inline void ossl_error_clear(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

/* The reason of the newest error, "unknown" when there is none; empties the queue. */
const char *ossl_error_take(void);

#endif
