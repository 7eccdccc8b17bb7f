#include "explain/explain.h"

#include "base/date.h"
#include "route/acl.h"
#include "tls/inspect.h"

#include <time.h>

static bool tell_name(void *owner, const struct server_name *name)
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
	credential_each_name(credential, tell_name, out);
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

/* What became of this client's certificate. */
struct verdict {
	const char *verify_error; /* NULL: it is good */
	struct acl_verdict acl;
	bool is_admitted;
	const char *why;
};

static struct verdict judge_nobody(const struct route *route)
{
	struct verdict verdict = {.is_admitted = true, .why = "no certificate is needed"};
	switch (route->tls->policy.verify) {
	case TLS_VERIFY_NONE:
		verdict.why = "no certificate is asked for";
		break;
	case TLS_VERIFY_REQUIRED:
		verdict.is_admitted = false;
		verdict.why = "no client certificate";
		break;
	case TLS_VERIFY_OPTIONAL:
		break;
	}
	return verdict;
}

static struct verdict judge(const struct route *route, const struct client_certificate *shown)
{
	if (!shown || route->tls->policy.verify == TLS_VERIFY_NONE)
		return judge_nobody(route);
	struct verdict verdict = {.is_admitted = true, .why = "every verified certificate is"};
	verdict.verify_error = client_certificate_verify(shown, route->tls);
	if (route->acl) {
		const struct identity *identity = client_certificate_identity(shown);
		verdict.is_admitted = acl_check(route->acl, identity, &verdict.acl);
		verdict.why = verdict.acl.why;
	}
	if (verdict.verify_error) {
		verdict.is_admitted = false;
		verdict.why = "the certificate is not trusted";
	}
	return verdict;
}

/* Rule and verification are told both, even where one of them suffices to be refused. */
static void tell_certificate(struct out *out, const struct route *route,
	const struct client_certificate *shown, const struct verdict *verdict)
{
	char text[IDENTITY_TEXT_MAX], rule[512];
	identity_text(client_certificate_identity(shown), text);
	out_text(out, "certificate", text);
	if (route->tls->policy.verify == TLS_VERIFY_NONE)
		return;
	out_flag(out, "verified", !verdict->verify_error);
	out_text(out, "verify_error", verdict->verify_error);
	if (!route->acl)
		return;
	snprintf(rule, sizeof rule, "%s %s", verdict->acl.field ? verdict->acl.field : "",
		verdict->acl.rule ? verdict->acl.rule : "");
	out_text(out, "rule", verdict->acl.rule ? rule : NULL);
}

static void tell_client(
	struct out *out, const struct route *route, const struct client_certificate *shown)
{
	struct verdict verdict = judge(route, shown);
	out_object(out, "client");
	if (shown)
		tell_certificate(out, route, shown, &verdict);
	else
		out_text(out, "certificate", NULL);
	out_flag(out, "admitted", verdict.is_admitted);
	out_text(out, "why", verdict.why);
	out_close(out);
}

static void tell_trust(struct out *out, const struct trust *trust)
{
	out_list(out, "trusted_files");
	for (size_t i = 0; i < trust->stamp_count; i++)
		out_text(out, NULL, trust->stamps[i].path);
	out_close(out);
}

void explain_client(struct out *out, const struct route *route, const struct asker *asker)
{
	static const char *const words[] = {[TLS_VERIFY_NONE] = "none",
		[TLS_VERIFY_OPTIONAL] = "optional",
		[TLS_VERIFY_REQUIRED] = "required"};
	char rules[ACL_TEXT_MAX];
	out_text(out, "client_auth", words[route->tls->policy.verify]);
	if (route->tls->policy.trust)
		tell_trust(out, route->tls->policy.trust);
	if (route->acl) {
		acl_text(route->acl, rules);
		out_text(out, "acl", rules);
	}
	if (asker->certificate || route->tls->policy.verify != TLS_VERIFY_NONE)
		tell_client(out, route, asker->certificate);
}

void explain_unseen(struct out *out, const struct client_certificate *shown)
{
	char text[IDENTITY_TEXT_MAX];
	identity_text(client_certificate_identity(shown), text);
	out_object(out, "client");
	out_text(out, "certificate", text);
	out_text(out, "why", "passed through: certificates are the backend's to judge");
	out_close(out);
}
