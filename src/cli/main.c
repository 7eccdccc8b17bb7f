#include "base/reserve.h"
#include "base/version.h"
#include "cli/commands.h"
#include "client/connect.h"
#include "client/run.h"

#include <ev.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"gatehouse " GATEHOUSE_VERSION " - one door for everything on port 443\n"
	"\n"
	"  gatehouse -c FILE               serve FILE (also: gatehouse serve -c FILE)\n"
	"  gatehouse check -c FILE         validate the configuration and all files that it names\n"
	"  gatehouse explain -c FILE ...   show which route a client gets, and why\n"
	"  gatehouse explain --hello FILE  show what a ClientHello contains\n"
	"  gatehouse connect GATEWAY       join standard input and output to TLS: an ssh ProxyCommand\n"
	"  gatehouse run --to GATEWAY ...  run a command with a local forward to GATEWAY\n"
	"  gatehouse ctl COMMAND           query or control a running gatehouse\n"
	"  gatehouse --version, --help; COMMAND --help\n"
	"\n"
	"Manual: gatehouse(8), gatehouse.json(5), gatehouse-connect(1).\n";

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{"serve", serve_main},
	{"check", check_main},
	{"explain", explain_main},
	{"connect", connect_main},
	{"run", run_main},
	{"ctl", ctl_main},
};

int main(int argc, char **argv)
{
	ev_set_allocator(reserve_resize);
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(help, stdout);
		return 0;
	}
	if (argc >= 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		puts("gatehouse " GATEHOUSE_VERSION);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	if (argc >= 2 && argv[1][0] == '-')
		return serve_main(argc, argv);
	if (argc >= 2)
		fprintf(stderr, "gatehouse: no command \"%s\"\n", argv[1]);
	fputs(help, stderr);
	return 2;
}
