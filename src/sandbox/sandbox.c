#include "sandbox/sandbox.h"

#include "base/log.h"
#include "sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

static bool forbid_dumps(void)
{
	struct rlimit none = {0, 0};
	bool limited = setrlimit(RLIMIT_CORE, &none) == 0;
	/* A dump into a pipe (systemd-coredump) minds this alone. */
	return prctl(PR_SET_DUMPABLE, 0) == 0 && limited;
}

static const char *on_or_off(bool is_on)
{
	return is_on ? "on" : "off";
}

/* Names would resolve to nothing, or to something else, and nothing would say why. */
static void warn_of_hidden_names(void)
{
	const char *path;
	for (size_t i = 0; (path = sandbox_name_file(i)); i++) {
		int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		else if (errno != ENOENT)
			log_warning("%s cannot be read: %s: names may not resolve as it says", path,
				strerror(errno));
	}
}

static bool drop_capabilities(void)
{
	struct err err;
	bool dropped = user_drop_capabilities(&err);
	if (!dropped)
		log_warning("sandbox: capabilities stay: %s", err.text);
	if (geteuid() == 0)
		log_warning("running as root, without \"user\": only CAP_NET_BIND_SERVICE is kept, "
			    "but files of root can be read");
	return dropped;
}

static bool sandbox_restrict(const struct config *config, const struct path_set *paths)
{
	struct err no_files, no_calls;
	struct log_line line;
	char landlock[16] = "off";
	bool no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	bool no_dumps = forbid_dumps();
	bool no_capabilities = drop_capabilities();
	int version = sandbox_limit_files(config, paths, &no_files);
	bool calls = sandbox_limit_calls(&no_calls);
	if (version > 0)
		snprintf(landlock, sizeof landlock, "abi%d", version);
	else
		log_warning("sandbox: no limit on files: %s", no_files.text);
	if (!calls)
		log_warning("sandbox: no limit on system calls: %s", no_calls.text);
	warn_of_hidden_names();
	log_begin(&line, LOG_INFO_LEVEL, "sandbox");
	log_text(&line, "seccomp", on_or_off(calls));
	log_text(&line, "landlock", landlock);
	log_text(&line, "no_new_privileges", on_or_off(no_new_privileges));
	log_text(&line, "core_dumps", on_or_off(!no_dumps));
	log_text(&line, "capabilities", on_or_off(!no_capabilities));
	log_end(&line);
	return calls;
}

bool sandbox_enter(const struct config *config, const struct path_set *paths)
{
	/*
	 * A sanitizer looks at other threads, and writes its report, by ways that
	 * we would close.
	 */
	const char *why = !config->sandbox ? "\"sandbox\": false"
		: IS_SANITIZED             ? "built with a sanitizer"
					   : NULL;
	if (!why)
		return sandbox_restrict(config, paths);
	struct log_line line;
	log_begin(&line, LOG_INFO_LEVEL, "sandbox");
	log_text(&line, "seccomp", "off");
	log_text(&line, "landlock", "off");
	log_text(&line, "reason", why);
	log_end(&line);
	return false;
}

void sandbox_enter_worker(void)
{
	struct err err;
	if (!sandbox_limit_worker_calls(&err))
		log_warning("sandbox: no filter of its own for a worker: %s", err.text);
}

/* access(2) looks at modes, which Landlock does not change; open(2) is what it forbids. */
static bool is_hidden(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int error = errno;
	if (fd >= 0)
		close(fd);
	return fd < 0 && error == EACCES && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
}

bool sandbox_hides(const char *path)
{
	char directory[PATH_MAX];
	if (access(path, F_OK) == 0 || strlen(path) >= sizeof directory)
		return is_hidden(path);
	strcpy(directory, path);
	return is_hidden(dirname(directory));
}
