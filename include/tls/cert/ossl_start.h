/*
 * OpenSSL at the start of a process that serves. It loads algorithms when they are first used: one that there is no
 * memory for at that moment is missing for as long as the process lives, and without memory for its very first
 * steps OpenSSL 3.0 crashes. So all are loaded at the start, which fails if there is not the memory for them.
 */
#ifndef GATEHOUSE_TLS_CERT_OSSL_START_H
#define GATEHOUSE_TLS_CERT_OSSL_START_H

#include <stdbool.h>

/* Before any other use of OpenSSL, once. False: no memory. */
bool ossl_start(void);

#endif
