/* OpenSSL's error queue in words (per thread, and sticky: cleared before a call, read after it). */
#ifndef GATEHOUSE_TLS_TLS_ERROR_H
#define GATEHOUSE_TLS_TLS_ERROR_H

#include <stddef.h>

/* The reason of the newest error, "unknown" when there is none; empties the queue. */
const char *tls_error_take(void);

#endif
