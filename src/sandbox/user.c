#include "sandbox/user.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct passwd *find_user(const char *user, struct err *err)
{
	const struct passwd *entry = getpwnam(user);
	if (!entry)
		err_set(err, "no user \"%s\"", user);
	return entry;
}

bool user_become(const char *user, struct err *err)
{
	const struct passwd *entry;
	if (!user || geteuid() != 0)
		return true;
	if (!(entry = find_user(user, err)))
		return false;
	if (initgroups(user, entry->pw_gid) == 0 && setgid(entry->pw_gid) == 0 &&
		setuid(entry->pw_uid) == 0)
		return true;
	err_set(err, "cannot become \"%s\": %s", user, strerror(errno));
	return false;
}

bool user_has_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	return syscall(SYS_capget, &header, data) < 0 || data[0].permitted || data[1].permitted;
}

bool user_drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	if (syscall(SYS_capget, &header, data) < 0) {
		err_set(err, "%s", strerror(errno));
		return false;
	}
	uint32_t kept = data[0].permitted & (1U << CAP_NET_BIND_SERVICE);
	memset(data, 0, sizeof data);
	data[0].permitted = data[0].effective = kept;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* none before Linux 4.3 */
	if (syscall(SYS_capset, &header, data) == 0)
		return true;
	err_set(err, "%s", strerror(errno));
	return false;
}

/* setfsuid(2) reports no error; a call that changes nothing returns what is in effect. */
static bool set_file_ids(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return (gid_t)setfsgid((gid_t)-1) == gid && (uid_t)setfsuid((uid_t)-1) == uid;
}

bool user_files_begin(const char *user, struct err *err)
{
	const struct passwd *entry;
	if (!user || geteuid() != 0)
		return true;
	if (!(entry = find_user(user, err)))
		return false;
	if (set_file_ids(entry->pw_uid, entry->pw_gid))
		return true;
	err_set(err, "cannot create files as \"%s\"", user);
	user_files_end();
	return false;
}

void user_files_end(void)
{
	if (geteuid() != 0)
		return;
	set_file_ids(geteuid(), getegid());
}
