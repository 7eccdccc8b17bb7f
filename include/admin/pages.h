/*
 * What the health listener answers: whether the process lives, whether it should be sent
 * connections, how long its certificates last, and the page that shows all of it to a person.
 */
#ifndef GATEHOUSE_ADMIN_PAGES_H
#define GATEHOUSE_ADMIN_PAGES_H

#include "admin/state.h"
#include "base/json_out.h"

/* Each writes its body and returns the HTTP status. */
unsigned page_healthz(struct state *state, struct strbuf *out);
unsigned page_readyz(struct state *state, struct strbuf *out);
unsigned page_certz(struct state *state, struct strbuf *out);
unsigned page_status_json(struct state *state, struct strbuf *out);
unsigned page_status(struct state *state, struct strbuf *out);
unsigned page_metrics(struct state *state, struct strbuf *out);

/* Parts of answers that the control socket gives as well; into an open object. */
void page_write_process(
	struct state *state, const struct published_state *published, struct json_out *out);
void page_write_reload(const struct reload_facts *reload, struct json_out *out);
void page_write_certificates(const struct routes *routes, size_t max, struct json_out *out);
void page_write_servers(const struct routes *routes, size_t max, struct json_out *out);

#endif
