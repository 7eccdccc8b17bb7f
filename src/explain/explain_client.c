#include "explain/explain.h"

#include "base/date.h"
#include "route/inspect.h"
#include "tls/inspect.h"

#include <time.h>

static bool print_name(void *owner, const struct server_name *name)
{
	out_bytes(owner, NULL, span_of(name->text, name->len));
	return false;
}

static const char *state_of(const struct credential *credential)
{
	time_t now = time(NULL);
	if (now < credential->not_before)
		return "not yet valid";
	return now > credential->not_after ? "expired" : "valid";
}

static void explain_certificate(struct out *out, const struct credential *credential)
{
	char date[DATE_SIZE];
	out_object(out, NULL);
	out_text(out, "file", credential->cert_stamp.path);
	out_list(out, "names");
	credential_each_name(credential, print_name, out);
	out_close(out);
	out_text(out, "key_type", credential_key_type(credential));
	date_write(credential->not_after, date);
	out_text(out, "expires", date);
	out_text(out, "state", state_of(credential));
	out_close(out);
}

void explain_certificates(struct out *out, const struct tls_context *context)
{
	out_list(out, "certificates");
	for (size_t i = 0; i < context->policy.credential_count; i++)
		explain_certificate(out, context->policy.credentials[i]);
	out_close(out);
}

/* Both verification and rule are printed, even where one of them suffices for a refusal. */
static void print_certificate(struct out *out, const struct route *route,
	const struct client_facts *facts, const struct admission *admission)
{
	char text[IDENTITY_TEXT_MAX], rule[512];
	identity_text(facts->identity, text);
	out_text(out, "certificate", text);
	if (route->tls->policy.verify == TLS_VERIFY_NONE)
		return;
	out_flag(out, "verified", !facts->verify_error);
	out_text(out, "verify_error", facts->verify_error);
	if (!route->acl)
		return;
	const struct acl_verdict *acl = &admission->acl;
	snprintf(rule, sizeof rule, "%s %s", acl->field ? acl->field : "",
		acl->rule ? acl->rule : "");
	out_text(out, "rule", acl->rule ? rule : NULL);
}

static void print_client(
	struct out *out, const struct route *route, const struct client_certificate *shown)
{
	struct client_facts facts = {0};
	struct admission admission;
	if (shown)
		facts.identity = client_certificate_identity(shown);
	if (shown && route->tls->policy.verify != TLS_VERIFY_NONE)
		facts.verify_error = client_certificate_verify(shown, route->tls);
	route_admit(route, &facts, &admission);
	out_object(out, "client");
	if (shown)
		print_certificate(out, route, &facts, &admission);
	else
		out_text(out, "certificate", NULL);
	out_flag(out, "admitted", admission.is_admitted);
	out_text(out, "why", admission.why);
	out_close(out);
}

static void print_trust(struct out *out, const struct trust *trust)
{
	out_list(out, "trusted_files");
	for (size_t i = 0; i < trust->stamp_count; i++)
		out_text(out, NULL, trust->stamps[i].path);
	out_close(out);
}

void explain_client(struct out *out, const struct route *route, const struct explain_facts *facts)
{
	char rules[ACL_TEXT_MAX];
	out_text(out, "client_auth", route_client_auth_name(route));
	if (route->tls->policy.trust)
		print_trust(out, route->tls->policy.trust);
	if (route->acl) {
		acl_text(route->acl, rules);
		out_text(out, "acl", rules);
	}
	if (facts->certificate || route->tls->policy.verify != TLS_VERIFY_NONE)
		print_client(out, route, facts->certificate);
}

void explain_unseen(struct out *out, const struct client_certificate *shown)
{
	char text[IDENTITY_TEXT_MAX];
	identity_text(client_certificate_identity(shown), text);
	out_object(out, "client");
	out_text(out, "certificate", text);
	out_text(out, "why", "passthrough: the backend verifies certificates");
	out_close(out);
}
