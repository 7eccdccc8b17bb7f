#include "tls/cert/ossl_error.h"

#include <openssl/err.h>
#include <string.h>

const char *ossl_error_take(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = "unknown error";
	if (code && ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	else if (code && ERR_reason_error_string(code))
		reason = ERR_reason_error_string(code);
	ERR_clear_error();
	return reason;
}
