/*
 * The pages of the health listener: whether the process is alive, whether it is ready for
 * connections, how long its certificates are valid, and the status page for people.
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
