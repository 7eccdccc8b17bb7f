/* An answer of the control socket for people: pairs as lines, lists of objects as tables. */
#ifndef GATEHOUSE_CLI_CTL_PRINT_H
#define GATEHOUSE_CLI_CTL_PRINT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

struct ctl_answer {
	bool ok;
	char *error; /* NULL: none; to be freed */
};

/* False with `err`: it is not an answer, or there is no memory. */
bool ctl_answer_parse(const char *line, size_t len, struct ctl_answer *out, struct err *err);

/* False: no memory, a part may have been printed. */
bool ctl_print(FILE *file, const char *line, size_t len);

#endif
