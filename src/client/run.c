#include "client/run.h"

#include "base/printable.h"
#include "base/standard_fds.h"
#include "client/run_arguments.h"
#include "client/run_command.h"
#include "client/run_forward.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char program[] = "gatehouse run";

static const char help[] =
	"usage: gatehouse run [options] --to GATEWAY[:PORT] [--listen ADDRESS] -- COMMAND ...\n"
	"\n"
	"Runs COMMAND with a local forward to GATEWAY that exists as long as COMMAND runs: a free\n"
	"port of 127.0.0.1, or a unix socket if COMMAND's arguments contain {socket}. {addr}, {host},\n"
	"{port} and {socket} are replaced in the arguments; GATEHOUSE_ADDR, _HOST, _PORT and _SOCKET\n"
	"are set in the environment. Only processes of this user can use the forward.\n"
	"\n"
	"      --to GATEWAY[:PORT]   the gateway (default port: 443)\n"
	"      --listen ADDRESS      PORT, 127.0.0.1:PORT, [::1]:PORT (0: a free port), unix:PATH,\n"
	"                            or unix: for a socket in a new directory\n";

static const char help_end[] =
	"\n"
	"Exit status: COMMAND's, 128 and the number of the signal that ended it; 126 or 127 when\n"
	"it cannot be run; 1 when there is no forward, 2 usage. Manual: gatehouse-connect(1).\n";

enum { OPTION_TO = 1024, OPTION_LISTEN };

static const struct option options[] = {
	CLIENT_LONG_OPTIONS,
	{"to", required_argument, NULL, OPTION_TO},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* What the command line asks for. */
struct run_request {
	struct client_flags flags;
	const char *to, *listen; /* NULL: not given */
	char **command;
	struct address address;
};

static void print_help(FILE *file)
{
	fprintf(file, "%s%s%s", help, client_options_help, help_end);
}

static int print_usage(const char *what)
{
	if (*what)
		fprintf(stderr, "%s: %s\n\n", program, what);
	print_help(stderr);
	return 2;
}

static void set_port(struct address *address, in_port_t port)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = port;
	else if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = port;
}

static bool is_loopback(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address->any.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* endpoint_parse refuses port 0, which stands for a free port here. */
static bool parse_listen(const char *text, struct address *out, struct err *err)
{
	char whole[300];
	struct endpoint endpoint;
	size_t len = strlen(text);
	bool is_number = len > 0 && strspn(text, "0123456789") == len;
	bool is_any = strcmp(text, "0") == 0 || (len > 2 && strcmp(text + len - 2, ":0") == 0);
	snprintf(whole, sizeof whole, "%s%.*s%s", is_number ? "127.0.0.1:" : "",
		(int)(is_any ? len - 1 : len), text, is_any ? "1" : "");
	*out = (struct address){.len = sizeof out->un, .un.sun_family = AF_UNIX};
	if (strcmp(text, "unix:") == 0)
		return true;
	if (!endpoint_parse(whole, &endpoint, err))
		return false;
	if (!address_of_endpoint(&endpoint, out) || !is_loopback(out)) {
		err_set(err,
			"expected a loopback address or a unix socket, such as 127.0.0.1:PORT "
			"or unix:PATH, got \"%s\"",
			text);
		return false;
	}
	if (is_any)
		set_port(out, 0);
	return true;
}

/* The words in the arguments decide which kind of forward is needed. */
static bool choose_address(struct run_request *request, struct err *err)
{
	unsigned words = run_arguments_words(request->command);
	bool wants_socket = words & WORD_SOCKET, wants_port = words & (WORD_HOST | WORD_PORT);
	const char *listen = request->listen;
	if (!listen)
		listen = wants_socket ? "unix:" : "0";
	if (!parse_listen(listen, &request->address, err)) {
		err_prefix(err, "--listen: ");
		return false;
	}
	bool is_unix = request->address.any.sa_family == AF_UNIX;
	if (is_unix && wants_port)
		err_set(err, "COMMAND contains {host} or {port}, but a unix socket has neither");
	else if (!is_unix && wants_socket)
		err_set(err, "COMMAND contains {socket}, but --listen is not a unix socket");
	else
		return true;
	return false;
}

static bool start_command(struct run_request *request, struct run_forward *forward,
	struct run_command *command, struct err *err)
{
	struct arena *arena = &request->flags.arena;
	const struct address *address = &forward->listener.address;
	char **argv = run_arguments_fill(arena, request->command, address);
	char **environment = run_arguments_environment(arena, address);
	if (argv && environment)
		return run_command_start(command, argv, environment, err);
	command->status = 1;
	err_set(err, "out of memory");
	return false;
}

static int run_on_loop(
	struct run_request *request, struct gateway *gateway, struct ev_loop *loop, struct err *err)
{
	struct run_forward forward;
	struct run_command command;
	int status = 1;
	if (!run_forward_open(&forward, loop, gateway, &request->address, err))
		return 1;
	if (run_command_prepare(&command, loop, err)) {
		if (start_command(request, &forward, &command, err)) {
			err->text[0] = '\0';
			ev_run(loop, 0);
		}
		status = command.status;
		run_command_finish(&command);
		run_forward_drain(&forward);
	}
	run_forward_close(&forward);
	return status;
}

static int run_execute(struct run_request *request)
{
	struct client_settings settings;
	struct gateway gateway;
	struct err err = {.text = ""};
	int status = 1;
	if (!client_settings_make(&settings, &request->flags, request->to))
		return 1;
	/* Not the default loop, which reaps children. */
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	if (loop && gateway_open(&gateway, &settings, &err)) {
		status = run_on_loop(request, &gateway, loop, &err);
		gateway_close(&gateway);
	}
	if (err.text[0])
		print_diagnostic(program, err.text);
	if (loop)
		ev_loop_destroy(loop);
	return status;
}

static bool parse_option(struct run_request *request, int option, struct err *err)
{
	switch (option) {
	case OPTION_TO:
		request->to = optarg;
		return true;
	case OPTION_LISTEN:
		request->listen = optarg;
		return true;
	default:
		return client_flags_take(&request->flags, option, optarg, err);
	}
}

static int run_with_arguments(struct run_request *request, int argc, char **argv)
{
	struct endpoint endpoint;
	struct err err = {.text = ""};
	for (int option; (option = getopt_long(argc, argv, "+" CLIENT_SHORT_OPTIONS "h", options,
				  NULL)) != -1;) {
		if (option == 'h') {
			print_help(stdout);
			return 0;
		}
		if (!parse_option(request, option, &err))
			return print_usage(err.text);
	}
	request->command = argv + optind;
	if (!request->to)
		return print_usage("expected --to GATEWAY");
	if (!endpoint_parse_near(request->to, CLIENT_PORT, &endpoint, &err))
		return print_usage(err.text);
	if (!request->command[0])
		return print_usage("expected a COMMAND after the options");
	if (!choose_address(request, &err))
		return print_usage(err.text);
	standard_fds_open();
	signal(SIGPIPE, SIG_IGN);
	return run_execute(request);
}

int run_main(int argc, char **argv)
{
	struct run_request request = {0};
	argv[0] = (char *)(uintptr_t)program; /* the prefix of getopt's messages */
	client_flags_init(&request.flags, program);
	int status = run_with_arguments(&request, argc, argv);
	client_flags_finish(&request.flags);
	return status;
}
