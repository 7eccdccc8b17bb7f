/* The inside of app/admin, shared by the files that answer control requests. */
#ifndef GATEHOUSE_CONTROL_ADMIN_INSIDE_H
#define GATEHOUSE_CONTROL_ADMIN_INSIDE_H

#include "admin/http.h"
#include "admin/state.h"
#include "base/json_out.h"
#include "control/admin.h"
#include "control/control.h"
#include "control/request.h"
#include "daemon/serve.h"

/* What the administrator has drained: kept over reloads, until it is undrained. */
struct drained {
	struct drained *next;
	bool is_server;
	char name[];
};

struct session_query;

struct admin {
	struct gatehouse *gatehouse;
	struct state *state;
	struct published_state told;
	struct http *servers[2], *opened[2]; /* opened: for the configuration that is to come */
	struct control *control, *opened_control;
	struct drained *drained;
	ev_timer tick;
	/* A caller who waits for a reload, and how many loads may end before it is his. */
	struct control_call *reloading;
	unsigned loads_before;
	struct control_call *upgrading; /* one who waits for an upgrade */
	ev_async query_done;
	_Atomic(struct session_query *) finished; /* answers ready to be given */
};

/* The state anew, after anything in them has changed. */
void admin_tell(struct admin *admin);

/* admin_control.c: one request; and the answers that many share. */
control_request_fn admin_on_request;
void admin_refuse(struct control_call *call, const char *error);
struct answer {
	struct strbuf text;
	struct json_out json;
};
void answer_begin(struct answer *answer); /* {"ok":true */
void answer_give(struct control_call *call, struct answer *answer);

/* A caller of "reload" hears of a load that has ended. */
void admin_tell_reload(struct admin *admin, const struct routes *before, const struct routes *after,
	const struct findings *findings);

/* A caller of "upgrade" hears who serves now, or (`error`) why it is still this process. */
void admin_tell_upgrade(struct admin *admin, pid_t pid, const char *error);

/* admin_drain.c */
void admin_drain(struct admin *admin, struct control_call *call, const struct request *request);
void admin_undrain(struct admin *admin, struct control_call *call, const struct request *request);
void drained_apply(struct admin *admin, struct routes *routes);
void drained_text(const struct admin *admin, char *out, size_t size);
void drained_free(struct admin *admin);

/* admin_sessions.c */
void admin_sessions(struct admin *admin, struct control_call *call, const struct request *request);
void admin_kill(struct admin *admin, struct control_call *call, const struct request *request);
void sessions_init(struct admin *admin);
void sessions_finish(struct admin *admin);

#endif
