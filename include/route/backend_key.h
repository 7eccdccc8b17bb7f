/* Backends that are one: hosts that say the same of their backend share it. */
#ifndef GATEHOUSE_ROUTE_BACKEND_KEY_H
#define GATEHOUSE_ROUTE_BACKEND_KEY_H

#include "base/strbuf.h"
#include "config/config.h"

/* Appends all that `config` says, in a form that is equal for equal backends alone. */
void backend_key(const struct backend_config *config, struct strbuf *out);

#endif
