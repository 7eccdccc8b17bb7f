#include "load_options.h"

#include "sockets.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage_text[] =
	"usage: load --to PORT [options]\n"
	"  --connections N    in all (1)\n"
	"  --flows N          at a time (64)\n"
	"  --gap-us N         wait before each thing that the client does of itself (0)\n"
	"  --rate N           new connections a second, by the clock (as fast as flows allow)\n"
	"  --send BYTES       of a round, first sent by us (0)\n"
	"  --receive BYTES    of a round, then answered by the backend (1)\n"
	"  --rounds N         on each connection (1)\n"
	"  --hold silent|idle keep all connections open: before their hello, or after a round\n"
	"  --name PATTERN     server name, each # a digit (app.bench.test)\n"
	"  --names N          how many different names (1)\n"
	"  --first ssh|http   no hello, but what such a client begins with\n"
	"  --tls 1.2|1.3      the proxy terminates TLS (it passes a hello through)\n"
	"  --rsa              the server's key is RSA, not ECDSA P-256\n"
	"  --resume           resume the session of one first connection, which is not counted\n"
	"  --cert F --key F   client certificate\n";

static const struct option names[] = {
	{"to", required_argument, NULL, 't'},
	{"connections", required_argument, NULL, 'c'},
	{"flows", required_argument, NULL, 'f'},
	{"gap-us", required_argument, NULL, 'g'},
	{"rate", required_argument, NULL, 'r'},
	{"send", required_argument, NULL, 's'},
	{"receive", required_argument, NULL, 'a'},
	{"rounds", required_argument, NULL, 'n'},
	{"hold", required_argument, NULL, 'h'},
	{"name", required_argument, NULL, 'p'},
	{"names", required_argument, NULL, 'm'},
	{"first", required_argument, NULL, 'F'},
	{"tls", required_argument, NULL, 'T'},
	{"rsa", no_argument, NULL, 'A'},
	{"resume", no_argument, NULL, 'R'},
	{"cert", required_argument, NULL, 'C'},
	{"key", required_argument, NULL, 'K'},
	{NULL, 0, NULL, 0},
};

_Noreturn static void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static uint64_t number_from(const char *text)
{
	char *end = NULL;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0')
		usage();
	return value;
}

static uint32_t count_from(const char *text)
{
	uint64_t value = number_from(text);

	if (value == 0 || value > UINT32_MAX)
		usage();
	return (uint32_t)value;
}

static enum park park_from(const char *text)
{
	if (strcmp(text, "silent") == 0)
		return PARK_SILENT;
	if (strcmp(text, "idle") == 0)
		return PARK_AFTER_ROUND;
	usage();
}

static const char *first_from(const char *text)
{
	if (strcmp(text, "ssh") == 0)
		return FIRST_SSH;
	if (strcmp(text, "http") == 0)
		return FIRST_HTTP;
	usage();
}

static enum client_tls_version version_from(const char *text)
{
	if (strcmp(text, "1.2") == 0)
		return CLIENT_TLS_1_2;
	if (strcmp(text, "1.3") == 0)
		return CLIENT_TLS_1_3;
	usage();
}

static void take_option(struct load_options *options, int option, const char *value)
{
	switch (option) {
	case 't':
		options->port = port_from(value);
		return;
	case 'c':
		options->connections = count_from(value);
		return;
	case 'f':
		options->flows = count_from(value);
		return;
	case 'g':
		options->gap_us = count_from(value);
		return;
	case 'r':
		options->rate = (double)count_from(value);
		return;
	case 's':
		options->command.sends = number_from(value);
		return;
	case 'a':
		options->command.receives = number_from(value);
		return;
	case 'n':
		options->command.rounds = count_from(value);
		return;
	case 'h':
		options->park = park_from(value);
		return;
	case 'p':
		options->name_pattern = value;
		return;
	case 'm':
		options->names = count_from(value);
		return;
	case 'F':
		options->first = first_from(value);
		return;
	case 'T':
		options->is_tls = true;
		options->tls.version = version_from(value);
		return;
	case 'A':
		options->tls.is_rsa = true;
		return;
	case 'R':
		options->tls.is_resuming = true;
		return;
	case 'C':
		options->tls.certificate = value;
		return;
	case 'K':
		options->tls.key = value;
		return;
	default:
		usage();
	}
}

struct load_options load_options_parse(int argc, char **argv)
{
	struct load_options options = {.connections = 1,
		.flows = 64,
		.names = 1,
		.command = {.receives = 1, .rounds = 1},
		.name_pattern = "app.bench.test"};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		take_option(&options, option, optarg);
	bool is_pair = !options.tls.certificate == !options.tls.key;
	if (optind != argc || options.port == 0 || options.command.receives == 0 || !is_pair)
		usage();
	if (options.park == PARK_AFTER_ROUND) {
		options.command.sends = 1;
		options.command.rounds = 2; /* the second shows that it still works */
	}
	options.tls.name_pattern = options.name_pattern;
	return options;
}
