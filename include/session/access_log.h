/* The one line of each connection, written at its end. */
#ifndef GATEHOUSE_SESSION_ACCESS_LOG_H
#define GATEHOUSE_SESSION_ACCESS_LOG_H

#include "session/session.h"

void access_log(const struct session *session, enum end_reason reason, const char *words);

#endif
