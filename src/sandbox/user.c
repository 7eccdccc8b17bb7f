#include "sandbox/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

bool user_become(const char *user, struct err *err)
{
	struct passwd *entry;
	if (!user || geteuid() != 0)
		return true;
	errno = 0;
	entry = getpwnam(user);
	if (!entry)
		err_set(err, "no user \"%s\"", user);
	else if (initgroups(user, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
		setuid(entry->pw_uid) < 0)
		err_set(err, "cannot become \"%s\": %s", user, strerror(errno));
	else
		return true;
	return false;
}
