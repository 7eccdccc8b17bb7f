#include "base/date.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/offline.h"
#include "net/address.h"
#include "route/inspect.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_OF_DAY 86400

static const char help[] =
	"usage: gatehouse check -c FILE\n"
	"\n"
	"Validates everything that a start would load: the configuration and what it includes,\n"
	"certificates, keys, CAs and CRLs. Every finding goes to stderr with its file and line;\n"
	"warnings begin with \"warning: \". No address is bound and no connection made.\n"
	"\n"
	"  -c, --config FILE   the configuration\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 valid (a summary on stdout), 1 there were errors, 2 usage.\n";

/* Each finding once: the protocols of a host inherit its mistakes. */
struct findings {
	struct path_set seen;
	unsigned errors, warnings;
};

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	struct findings *findings = report->owner;
	size_t before = findings->seen.count;
	if (path_set_add(&findings->seen, text) && findings->seen.count == before)
		return;
	bool is_warning = severity == SEVERITY_WARNING;
	findings->warnings += is_warning;
	findings->errors += !is_warning;
	fputs(is_warning ? "warning: " : "", stderr);
	print_escaped(stderr, text);
	fputs("\n", stderr);
}

/* The directory may well be made before the start, by systemd for one: no error. */
static void check_socket_path(struct report *report, const char *where, const char *path)
{
	char directory[sizeof((struct endpoint *)0)->host];
	const char *slash = strrchr(path, '/');
	struct stat st;
	if (!slash || slash == path || (size_t)(slash - path) >= sizeof directory)
		return;
	snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
	if (stat(directory, &st) != 0)
		report_warning(report, "%s: \"%s\": %s", where, directory, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		report_error(report, "%s: \"%s\" is not a directory", where, directory);
}

static void check_address(struct report *report, const char *where, const char *text)
{
	struct endpoint endpoint;
	struct address address;
	struct err err;
	if (strncmp(text, "fd:", 3) == 0)
		return; /* only a process that systemd starts has it */
	if (!endpoint_parse(text, &endpoint, &err))
		report_error(report, "%s: %s", where, err.text);
	else if (endpoint.is_unix)
		check_socket_path(report, where, endpoint.host);
	else if (!address_of_endpoint(&endpoint, &address))
		report_error(report, "%s: \"%s\": this machine has no interface \"%s\"", where,
			text, endpoint_zone(&endpoint));
}

/* Only root changes its user. */
static void check_user(struct report *report, const char *path, const char *user)
{
	if (getpwnam(user))
		return;
	if (geteuid() == 0)
		report_error(report, "%s: user: no user \"%s\" here", path, user);
	else
		report_warning(report, "%s: user: no user \"%s\" here", path, user);
}

/* What a start needs beyond a snapshot, as far as it shows without binding anything. */
static void check_start(struct report *report, const char *path, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++)
		check_address(report, config->listeners[i].where, config->listeners[i].address);
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct forward_config *forward = &config->forwards[i];
		for (size_t j = 0; j < forward->listener_count; j++)
			check_address(
				report, forward->listeners[j].where, forward->listeners[j].address);
	}
	if (config->health.enabled)
		check_address(report, config->health.where, config->health.listen);
	if (config->metrics.enabled)
		check_address(report, config->metrics.where, config->metrics.listen);
	if (config->user)
		check_user(report, path, config->user);
}

static const char *plural_suffix(size_t count)
{
	return count == 1 ? "" : "s";
}

static void print_expiry(const struct credential *credential)
{
	char date[DATE_SIZE];
	time_t now = time(NULL), when = credential->not_after;
	date_write(when, date);
	if (when < now)
		printf("; \"%s\" expired at %s", credential->cert_stamp.path, date);
	else
		printf("; the first to expire is \"%s\" at %s, in %lld days",
			credential->cert_stamp.path, date,
			(long long)(when - now) / SECONDS_OF_DAY);
}

static void print_summary(const char *path, const struct routes *routes, unsigned warnings)
{
	struct routes_summary summary = routes_summary(routes);
	const struct credential *first = routes_first_to_expire(routes);
	printf("%s: %zu host%s, %u certificate%s", path, summary.hosts,
		plural_suffix(summary.hosts), summary.tls.credentials,
		plural_suffix(summary.tls.credentials));
	if (warnings > 0)
		printf(", %u warning%s", warnings, plural_suffix(warnings));
	if (first)
		print_expiry(first);
	putchar('\n');
}

static void print_failure(const char *path, const struct findings *findings)
{
	fprintf(stderr, "%s: %u error%s", path, findings->errors, plural_suffix(findings->errors));
	if (findings->warnings > 0)
		fprintf(stderr, ", %u warning%s", findings->warnings,
			plural_suffix(findings->warnings));
	fputc('\n', stderr);
}

static int check_file(const char *path)
{
	struct findings findings = {0};
	struct report report = {.on_finding = on_finding, .owner = &findings};
	struct offline offline = {0};
	if (offline_open(&offline, path, &report))
		check_start(&report, path, routes_config(offline.routes));
	if (findings.errors > 0)
		print_failure(path, &findings);
	else
		print_summary(path, offline.routes, findings.warnings);
	offline_close(&offline);
	path_set_finish(&findings.seen);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "gatehouse check: standard output: %s\n", strerror(errno));
		return 1;
	}
	return findings.errors > 0;
}

int check_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = NULL;
	argv[0] = (char *)"gatehouse check"; /* what getopt's messages begin with */
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (option != 'c') {
			fputs(help, stderr);
			return 2;
		}
		path = optarg;
	}
	if (path && optind == argc)
		return check_file(path);
	fprintf(stderr, "gatehouse check: %s\n\n%s",
		path ? "expected nothing behind the options" : "expected -c FILE", help);
	return 2;
}
