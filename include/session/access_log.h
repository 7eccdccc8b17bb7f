/* The one line of each connection, written at its end (DESIGN: what the log tells at 3 a.m.). */
#ifndef GATEHOUSE_SESSION_ACCESS_LOG_H
#define GATEHOUSE_SESSION_ACCESS_LOG_H

#include "session/session.h"

void access_log(const struct session *session, const char *why);

#endif
