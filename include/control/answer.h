/* Answers on the control socket: one line, a JSON object with "ok", and "error" where that is false. */
#ifndef GATEHOUSE_CONTROL_ANSWER_H
#define GATEHOUSE_CONTROL_ANSWER_H

#include "base/json_out.h"
#include "control/control.h"

/* Begun, it gets members through `json`; sent, it is the end of the call. */
struct answer {
	struct strbuf text;
	struct json_out json;
};

void answer_begin(struct answer *answer);
void answer_begin_refusal(struct answer *answer, const char *error);
void answer_send(struct control_call *call, struct answer *answer);

/* A refusal without more. */
void answer_refuse(struct control_call *call, const char *error);

#endif
