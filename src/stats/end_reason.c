#include "stats/end_reason.h"

/* clang-format off */
static const struct end_reason_info infos[END_REASONS] = {
	/*                         name                  cause           refusal  ratelimited */
	[END_DONE]               = {"done",               CAUSE_NOBODY,   false,   false},
	[END_IDLE]               = {"idle",               CAUSE_NOBODY,   false,   false},
	[END_SLOW]               = {"slow",               CAUSE_NOBODY,   false,   false},
	[END_CLIENT_BROKE]       = {"client_broke",       CAUSE_CLIENT,   false,   false},
	[END_UPSTREAM_BROKE]     = {"upstream_broke",     CAUSE_UPSTREAM, false,   false},
	[END_CLIENT_GONE]        = {"client_gone",        CAUSE_CLIENT,   true,    true},
	[END_NO_HELLO]           = {"no_hello",           CAUSE_CLIENT,   true,    true},
	[END_NOT_TLS]            = {"not_tls",            CAUSE_CLIENT,   true,    true},
	[END_BAD_HELLO]          = {"bad_hello",          CAUSE_CLIENT,   true,    true},
	[END_BAD_PREFACE]        = {"bad_preface",        CAUSE_CLIENT,   true,    true},
	[END_NO_HOST]            = {"no_host",            CAUSE_CLIENT,   true,    true},
	[END_NO_PROTOCOL]        = {"no_protocol",        CAUSE_CLIENT,   true,    true},
	[END_LIMIT]              = {"limit",              CAUSE_OURS,     true,    true},
	[END_DRAINED]            = {"drained",            CAUSE_OURS,     true,    true},
	[END_HANDSHAKE]          = {"handshake",          CAUSE_CLIENT,   true,    true},
	[END_NOT_ADMITTED]       = {"not_admitted",       CAUSE_CLIENT,   true,    true},
	[END_DIAL]               = {"dial",               CAUSE_UPSTREAM, true,    true},
	[END_UPSTREAM_PREFACE]   = {"upstream_preface",   CAUSE_UPSTREAM, true,    true},
	[END_UPSTREAM_HANDSHAKE] = {"upstream_handshake", CAUSE_UPSTREAM, true,    true},
	[END_REVALIDATED]        = {"revalidated",        CAUSE_OURS,     false,   false},
	[END_KILLED]             = {"killed",             CAUSE_OURS,     false,   false},
	[END_STOPPED]            = {"stopped",            CAUSE_OURS,     false,   false},
	[END_NO_MEMORY]          = {"no_memory",          CAUSE_OURS,     true,    true},
};
/* clang-format on */

const struct end_reason_info *end_reason_info(enum end_reason reason)
{
	return &infos[reason];
}
