/* Giving up root for the configured user, once what only root may do is done. */
#ifndef GATEHOUSE_SANDBOX_USER_H
#define GATEHOUSE_SANDBOX_USER_H

#include "base/err.h"

#include <stdbool.h>

/* Nothing to do, and true, for NULL and for a process that is not root's. */
bool user_become(const char *user, struct err *err);

#endif
