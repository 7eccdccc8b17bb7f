#include "session/steps/steps.h"

const struct step router_steps[] = {
	{"admit_source", step_admit_source, NULL},
	{"sniff", step_sniff, NULL},
	{"choose_route", step_choose_route, NULL},
	{"handshake_client", step_handshake_client, cancel_handshake_client},
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream},
	{"relay", step_relay, NULL},
	{0},
};

/* In place of the last two, where the protocol is known and its conversation goes on behind TLS. */
const struct step joined_steps[] = {
	{"first_message", step_first_message, NULL},
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream},
	{"join", step_join, NULL},
	{"relay", step_relay, NULL},
	{0},
};

const struct step forward_steps[] = {
	{"admit_source", step_admit_source, NULL},
	{"acquire_slot", step_acquire_slot, NULL},
	{"connect_upstream", step_connect_upstream, cancel_connect_upstream},
	{"relay", step_relay, NULL},
	{0},
};

/* What the router does after a protocol's own request for TLS. */
static enum step_result step_to_sniff(struct session *session)
{
	return session_jump(session, &router_steps[1]);
}

static const struct step preface_steps[] = {
	{"admit_source", step_admit_source, NULL},
	{"preface", step_preface, NULL},
	{"sniff", step_to_sniff, NULL},
	{0},
};

/* A client that says nothing may be one of ssh. */
static enum step_result step_behind_silence(struct session *session)
{
	bool has_preface = session->listener_config->prefaces != NULL;
	return session_jump(session, has_preface ? &preface_steps[1] : &router_steps[1]);
}

static const struct step silence_steps[] = {
	{"admit_source", step_admit_source, NULL},
	{"await_bytes", step_await_bytes, NULL},
	{"sniff", step_behind_silence, NULL},
	{0},
};

const struct step plaintext_steps[] = {
	{"plaintext", step_plaintext, NULL},
	{0},
};

static enum step_result step_behind_proxy(struct session *session)
{
	return session_jump(session, steps_for(session->listener_config, session->route, false));
}

/* The PROXY header before everything: it says who the source is, which limits count by. */
static const struct step proxied_steps[] = {
	{"preface", step_proxy_header, NULL},
	{"admit_source", step_behind_proxy, NULL},
	{0},
};

const struct step misdirected_steps[] = {
	{"handshake_client", step_handshake_client, cancel_handshake_client},
	{"answer_421", step_answer_421, NULL},
	{0},
};

const struct step refusal_steps[] = {
	{"handshake_client", step_handshake_client, cancel_handshake_client},
	{"say_refusal", step_say_refusal, NULL},
	{0},
};

const struct step linger_steps[] = {
	{"send_close", step_send_close, NULL},
	{"drain_input", step_drain_input, NULL},
	{0},
};

const struct step *steps_for(
	const struct listener_config *listener, const struct route *forward, bool is_proxied)
{
	if (is_proxied)
		return proxied_steps;
	if (forward)
		return forward_steps;
	if (listener && listener->plaintext && listener->plaintext->ssh_silence_ms > 0)
		return silence_steps;
	return listener && listener->prefaces ? preface_steps : router_steps;
}
