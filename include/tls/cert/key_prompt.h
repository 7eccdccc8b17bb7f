/*
 * The question for a passphrase while OpenSSL opens a private key: it is asked when it is needed, and
 * what became of it explains why a key did not open.
 */
#ifndef GATEHOUSE_TLS_CERT_KEY_PROMPT_H
#define GATEHOUSE_TLS_CERT_KEY_PROMPT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The passphrase, or PIN, of `what`, with a NUL; false with `err` when there is none to be had. */
typedef bool passphrase_fn(void *owner, const char *what, char *out, size_t size, struct err *err);

struct key_prompt {
	passphrase_fn *ask;
	void *owner;
	const char *what; /* the file or token, as the question names it */
	bool is_asked, has_failed;
	struct err err; /* why it failed */
};

/* OpenSSL's pem_password_cb; `prompt` is a struct key_prompt. */
int key_prompt_ask(char *out, int size, int writing, void *prompt);

/* Why a key did not open, from the prompt and OpenSSL's errors, which it clears. */
void key_prompt_explain(const struct key_prompt *prompt, struct err *err);

#endif
