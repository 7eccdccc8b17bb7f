#include "sandbox/sandbox.h"

#include "net/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the oldest header that we build with. */
#define ACCESS_TRUNCATE  (1ULL << 14) /* version 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* version 5 */
#define SCOPE_ABSTRACT   (1ULL << 0)  /* version 6 */
#define SCOPE_SIGNAL     (1ULL << 1)

#define READ    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* What resolving a name reads, where it is there. Each may be a link to outside of /etc. */
static const char *const name_files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/host.conf", "/etc/gai.conf", "/etc/services"};

/* Where OpenSSL and what administers it have the CAs of a system; links, too. */
static const char *const ca_places[] = {"/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt",
	"/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *sandbox_name_file(size_t index)
{
	return index < COUNT(name_files) ? name_files[index] : NULL;
}

/* As of version 6; earlier ones take its beginning. */
struct rules_wanted {
	uint64_t files, network, scopes;
};

/* What is always read, where it is there. */
static const char *const always[] = {
	/* resolv.conf, hosts, nsswitch.conf; OpenSSL's settings; most certificates. The files are
	 * exchanged by renaming, so that it takes the directory. */
	"/etc",
	/* what the files in /etc/ssl/certs are links to */
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	/* memory and descriptors in use, for the metrics. Not /proc/self alone: the kernel may
	 * forget that directory and make it anew. What is others' Landlock closes by itself. */
	"/proc",
	/* where ACME clients and secret stores keep keys and certificates */
	"/run",
	"/srv",
	"/opt",
	"/var/lib",
};

static int landlock_version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static size_t attribute_size(int version)
{
	return version < 4    ? offsetof(struct rules_wanted, network)
		: version < 6 ? offsetof(struct rules_wanted, scopes)
			      : sizeof(struct rules_wanted);
}

static struct rules_wanted all_rights(int version)
{
	struct rules_wanted wanted = {.files = (1ULL << 13) - 1}; /* version 1 */
	if (version >= 2)
		wanted.files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		wanted.files |= ACCESS_TRUNCATE;
	if (version >= 5)
		wanted.files |= ACCESS_IOCTL_DEV;
	if (version >= 6)
		wanted.scopes |= SCOPE_ABSTRACT | SCOPE_SIGNAL;
	return wanted;
}

static void allow_at(int rules, int fd, uint64_t what)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = what, .parent_fd = fd};
	syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* False: there is no such directory. */
static bool allow_directory(int rules, const char *directory, uint64_t what)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	allow_at(rules, fd, what);
	close(fd);
	return true;
}

static void allow_file(int rules, const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	allow_at(rules, fd, LANDLOCK_ACCESS_FS_READ_FILE);
	close(fd);
}

/*
 * The directory, or the nearest above it that there is by now. That may not be the root, beneath
 * which everything is: then the file alone, and it can be read until it is exchanged.
 */
static void allow_around(int rules, const char *path, uint64_t what)
{
	char copy[PATH_MAX];
	const char *directory;
	if (strlen(path) >= sizeof copy)
		return;
	strcpy(copy, path);
	do
		directory = dirname(copy);
	while (strcmp(directory, "/") != 0 && strcmp(directory, ".") != 0 &&
		!allow_directory(rules, directory, what));
	if (strcmp(directory, ".") == 0)
		allow_directory(rules, directory, what);
	else if (strcmp(directory, "/") == 0 && what == READ)
		allow_file(rules, path);
}

/* A pattern's directory is written with backslashes before what is special in patterns. */
static void without_backslashes(char *path)
{
	char *to = path;
	for (const char *from = path; *from; from++) {
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	*to = '\0';
}

/* As it is named, and where links lead: /etc/letsencrypt/live is all links. */
static void allow_reading(int rules, const char *path)
{
	char plain[PATH_MAX], real[PATH_MAX];
	if (allow_directory(rules, path, READ) || strlen(path) >= sizeof plain)
		return; /* a directory of CAs */
	allow_around(rules, path, READ);
	strcpy(plain, path);
	without_backslashes(plain);
	if (strcmp(plain, path) != 0)
		allow_around(rules, plain, READ);
	if (realpath(path, real))
		allow_around(rules, real, READ);
}

static void allow_socket(int rules, const char *address)
{
	if (strncmp(address, "unix:", 5) == 0)
		allow_around(rules, address + 5, SOCKETS);
}

/* A unit's RuntimeDirectory=, of which there may be several; /run/gatehouse under ours. */
static void allow_runtime(int rules)
{
	const char *directories = getenv("RUNTIME_DIRECTORY");
	while (directories && *directories) {
		size_t len = strcspn(directories, ":");
		char one[PATH_MAX];
		snprintf(one, sizeof one, "%.*s", (int)len, directories);
		allow_directory(rules, one, SOCKETS);
		directories += len + (directories[len] == ':');
	}
}

static void allow_sockets(int rules, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		allow_socket(rules, config->listeners[i].address);
	for (size_t i = 0; i < config->forward_count; i++)
		for (size_t j = 0; j < config->forwards[i].listener_count; j++)
			allow_socket(rules, config->forwards[i].listeners[j].address);
	if (config->health.enabled)
		allow_socket(rules, config->health.listen);
	if (config->metrics.enabled)
		allow_socket(rules, config->metrics.listen);
	if (config->control_socket)
		allow_around(rules, config->control_socket, SOCKETS);
}

/* What was the gatehouse's before us and is not wanted any more is removed in the end. */
static void allow_removal(int rules)
{
	struct address left;
	for (size_t i = 0; inherited_unadopted_path(i, &left); i++)
		allow_around(rules, left.un.sun_path, LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

/*
 * What an edit may name next: certificates are often beside the configuration's directory, or where
 * the tools that renew them keep theirs.
 */
static void allow_neighbours(int rules, const char *config_path)
{
	char real[PATH_MAX];
	if (realpath(config_path, real))
		allow_around(rules, dirname(real), READ);
}

static void allow_all(int rules, const struct config *config, const struct path_set *paths)
{
	for (size_t i = 0; i < COUNT(always); i++)
		allow_directory(rules, always[i], READ);
	for (size_t i = 0; i < COUNT(name_files); i++)
		allow_reading(rules, name_files[i]);
	for (size_t i = 0; i < COUNT(ca_places); i++)
		allow_reading(rules, ca_places[i]);
	for (size_t i = 0; i < paths->count; i++)
		allow_reading(rules, paths->paths[i]);
	if (config->files.count > 0)
		allow_neighbours(rules, config->files.items[0]);
	if (getenv("SSL_CERT_DIR"))
		allow_reading(rules, getenv("SSL_CERT_DIR"));
	if (getenv("SSL_CERT_FILE"))
		allow_reading(rules, getenv("SSL_CERT_FILE"));
	allow_sockets(rules, config);
	allow_runtime(rules);
	allow_removal(rules);
}

int sandbox_limit_files(const struct config *config, const struct path_set *paths, struct err *err)
{
	int version = landlock_version();
	struct rules_wanted wanted = all_rights(version);
	int rules = version < 1
		? -1
		: (int)syscall(SYS_landlock_create_ruleset, &wanted, attribute_size(version), 0);
	if (rules < 0) {
		err_set(err, "%s",
			errno == ENOSYS || errno == EOPNOTSUPP
				? "the kernel has no Landlock, or it is off"
				: strerror(errno));
		return 0;
	}
	allow_all(rules, config, paths);
	bool ok = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	if (!ok)
		err_set(err, "%s", strerror(errno));
	close(rules);
	return ok ? version : 0;
}
