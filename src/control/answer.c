#include "control/answer.h"

static void answer_open(struct answer *answer, bool is_ok)
{
	*answer = (struct answer){.json.text = &answer->text};
	json_out_object(&answer->json, NULL);
	json_out_flag(&answer->json, "ok", is_ok);
}

void answer_begin(struct answer *answer)
{
	answer_open(answer, true);
}

void answer_begin_refusal(struct answer *answer, const char *error)
{
	answer_open(answer, false);
	json_out_text(&answer->json, "error", error);
}

void answer_send(struct control_call *call, struct answer *answer)
{
	json_out_close(&answer->json);
	strbuf_printf(&answer->text, "\n");
	control_answer(call, &answer->text);
}

void answer_refuse(struct control_call *call, const char *error)
{
	struct answer answer;
	answer_begin_refusal(&answer, error);
	answer_send(call, &answer);
}
