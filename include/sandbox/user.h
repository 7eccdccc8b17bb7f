/* Giving up root for the configured user, once what only root may do is done. */
#ifndef GATEHOUSE_SANDBOX_USER_H
#define GATEHOUSE_SANDBOX_USER_H

#include "base/err.h"

#include <stdbool.h>

/* Nothing to do, and true, for NULL and for a process that is not root's. */
bool user_become(const char *user, struct err *err);

/* Has the process any, of its user, its file or its starter? */
bool user_has_capabilities(void);

/*
 * Of this thread, and of those that it starts: all capabilities but CAP_NET_BIND_SERVICE, where that is
 * there. Root is then the owner of root's files, and nothing else. False with `err`.
 */
bool user_drop_capabilities(struct err *err);

/*
 * While the process is still root: files that this thread creates until user_files_end belong to
 * that user, and it has that user's rights to files. Nothing to do, and true, as above.
 */
bool user_files_begin(const char *user, struct err *err);
void user_files_end(void);

#endif
