#include "tls/tls_policy.h"

#include <openssl/x509_vfy.h>

bool tls_policy_forgives(const struct tls_policy *policy, int error, int depth)
{
	if (error == X509_V_ERR_UNABLE_TO_GET_CRL)
		return depth > 0;
	return error == X509_V_ERR_CRL_HAS_EXPIRED && !policy->refuse_expired_crl;
}
