/*
 * What the health listener answers: whether the process lives, whether it should be sent
 * connections, how long its certificates last, and the page that shows all of it to a person.
 */
#ifndef GATEHOUSE_ADMIN_PAGES_H
#define GATEHOUSE_ADMIN_PAGES_H

#include "admin/facts.h"
#include "base/strbuf.h"

/* Each writes its body and returns the HTTP status. */
unsigned page_healthz(struct facts *facts, struct text *out);
unsigned page_readyz(struct facts *facts, struct text *out);
unsigned page_certz(struct facts *facts, struct text *out);
unsigned page_status_json(struct facts *facts, struct text *out);
unsigned page_status(struct facts *facts, struct text *out);
unsigned page_metrics(struct facts *facts, struct text *out);

/* Parts of answers that the control socket gives as well; into an open object. */
void tell_process(struct facts *facts, const struct facts_told *told, struct text *out);
void tell_reload(const struct reload_facts *reload, struct text *out);
void tell_certificates(const struct routes *routes, size_t most, struct text *out);
void tell_servers(const struct routes *routes, size_t most, struct text *out);

#endif
