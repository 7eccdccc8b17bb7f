#include "control/explain_command.h"

#include "control/answer.h"
#include "explain/explain.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool parse_source(const char *text, struct address *out, struct err *err)
{
	*out = (struct address){0};
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
		out->v4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
		out->v6.sin6_family = AF_INET6;
	else
		err_set(err, "from: expected an IP address, got \"%s\"", text);
	return out->any.sa_family != AF_UNSPEC;
}

static void explain_to(struct strbuf *text, const struct routes *routes,
	const struct explain_input *input, const struct explain_facts *facts, bool is_json)
{
	struct out out;
	out_begin(&out, text, is_json);
	explain_offer(&out, input);
	explain_route(&out, routes, input, facts);
	out_end(&out);
}

/* For scripts the explanation is an object in the answer, for people a text. */
static void answer_explained(struct control_call *call, const struct strbuf *text, bool is_json)
{
	struct answer answer;
	answer_begin(&answer);
	if (is_json)
		json_out_raw(&answer.json, "explained", text);
	else
		json_out_text(&answer.json, "text", text->at);
	answer_send(call, &answer);
}

void command_explain(const struct routes *routes, bool is_drained, struct control_call *call,
	const struct request *request)
{
	const char *from = request_text(request, "from"), *sni = request_text(request, "sni");
	const char *plaintext = request_text(request, "plaintext");
	bool is_json = request_flag(request, "json");
	struct explain_input *input = calloc(1, sizeof *input);
	struct explain_facts facts = {.is_drained = is_drained};
	struct address source;
	struct err err = {.text = "out of memory"};
	struct strbuf text = {0};
	if (input &&
		explain_input_make(input, sni ? sni : "", request_text(request, "alpn"), &err) &&
		(!plaintext || explain_input_plaintext(input, plaintext, &err)) &&
		(!from || parse_source(from, &source, &err)) &&
		explain_set_starttls(&facts, request_text(request, "starttls"), &err) &&
		explain_set_listen(&facts, routes, request_text(request, "listen"), &err)) {
		facts.source = from ? &source : NULL;
		explain_to(&text, routes, input, &facts, is_json);
	}
	free(input);
	if (text.len > 0 && !text.failed)
		answer_explained(call, &text, is_json);
	else
		answer_refuse(call, err.text);
	strbuf_finish(&text);
}
