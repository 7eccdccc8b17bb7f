#include "base/printable.h"
#include "base/standard_fds.h"
#include "cli/commands.h"
#include "control/admin.h"
#include "daemon/daemon.h"
#include "tls/cert/ossl_start.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"usage: gatehouse [serve] -c FILE\n"
	"\n"
	"  -c, --config FILE   the configuration, gatehouse.json(5)\n"
	"  -h, --help          this help\n"
	"\n"
	"Runs in the foreground. SIGHUP reloads, SIGTERM drains and ends, a second one ends now.\n"
	"SIGUSR2 upgrades: the program that is at its path now takes over.\n";

static const char *config_option(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *path = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			exit(0);
		}
		if (option != 'c')
			return NULL;
		path = optarg;
	}
	return optind == argc ? path : NULL;
}

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	if (severity == SEVERITY_ERROR)
		daemon_report_failure(report->owner, text);
	fputs(severity == SEVERITY_WARNING ? "warning: " : "", stderr);
	print_escaped(stderr, text);
	fputs("\n", stderr);
}

static bool serve(struct daemon *daemon, struct err *err)
{
	struct report report = {.on_finding = on_finding, .owner = daemon};
	err->text[0] = '\0'; /* findings are printed as they come */
	if (!daemon_load(daemon, &report))
		return false;
	if (!daemon_start(daemon, err))
		return false;
	daemon_run(daemon);
	return true;
}

static bool serve_administered(const char *path, struct err *err)
{
	err_no_memory(err);
	struct daemon *daemon = ossl_start() ? daemon_create(path, err) : NULL;
	if (!daemon)
		return false;
	struct admin *admin = admin_create(daemon, err);
	bool ok = admin && serve(daemon, err);
	admin_destroy(admin);
	daemon_destroy(daemon);
	return ok;
}

int serve_main(int argc, char **argv)
{
	const char *path = config_option(argc, argv);
	struct err err;
	if (!path) {
		fputs(help, stderr);
		return 2;
	}
	standard_fds_open();
	if (serve_administered(path, &err))
		return 0;
	if (err.text[0]) /* findings are printed already */
		print_diagnostic("gatehouse", err.text);
	return 1;
}
