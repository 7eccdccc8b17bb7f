#include "tls/cert/key_prompt.h"

#include "tls/cert/ossl_error.h"

#include <string.h>

int key_prompt_ask(char *out, int size, int writing, void *owner)
{
	struct key_prompt *prompt = owner;
	(void)writing;
	prompt->is_asked = true;
	if (prompt->ask(prompt->owner, prompt->what, out, (size_t)size, &prompt->err))
		return (int)strlen(out);
	prompt->has_failed = true;
	return -1;
}

void key_prompt_explain(const struct key_prompt *prompt, struct err *err)
{
	const char *reason = ossl_error_take();
	if (prompt->has_failed)
		*err = prompt->err;
	else if (prompt->is_asked)
		err_set(err, "the passphrase does not open it (%s)", reason);
	else
		err_set(err, "its private key cannot be read (%s)", reason);
}
