#include "client/run.h"

#include "base/standard_fds.h"
#include "client/run_arguments.h"
#include "client/run_command.h"
#include "client/run_forward.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char who[] = "gatehouse run";

static const char help[] =
	"usage: gatehouse run [options] --to GATEWAY[:PORT] [--listen ADDRESS] -- COMMAND ...\n"
	"\n"
	"Runs COMMAND with a forward to GATEWAY that lives as long as it does: a free port of\n"
	"127.0.0.1, or a unix socket if COMMAND's arguments speak of {socket}. In the arguments\n"
	"{addr}, {host}, {port} and {socket} are replaced; GATEHOUSE_ADDR, _HOST, _PORT and\n"
	"_SOCKET are in its environment. Only this user's processes may use it.\n"
	"\n"
	"      --to GATEWAY[:PORT]   where to, port 443 unless another is given\n"
	"      --listen ADDRESS      PORT, 127.0.0.1:PORT, [::1]:PORT (0: a free one), unix:PATH,\n"
	"                            or unix: for a socket in a directory of its own\n";

static const char help_end[] =
	"\n"
	"Exit status: COMMAND's, 128 and the number of the signal that ended it; 126 or 127 when\n"
	"it cannot be run; 1 when there is no forward, 2 usage. gatehouse-connect(1) tells the rest.\n";

enum { OPTION_TO = 1024, OPTION_LISTEN };

static const struct option options[] = {
	CLIENT_LONG_OPTIONS,
	{"to", required_argument, NULL, OPTION_TO},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* What was asked for. */
struct order {
	struct client_flags flags;
	const char *to, *listen; /* NULL: not given */
	char **command;
	struct address address;
};

static void print_help(FILE *file)
{
	fprintf(file, "%s%s%s", help, client_options_help, help_end);
}

static int usage(const char *what)
{
	if (*what)
		fprintf(stderr, "%s: %s\n\n", who, what);
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

/* Port 0 is none that could be connected to, but here it stands for any. */
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
			"expected an address of this machine alone, as 127.0.0.1:PORT or "
			"unix:PATH, got \"%s\"",
			text);
		return false;
	}
	if (is_any)
		set_port(out, 0);
	return true;
}

/* What the arguments speak of decides what there is to be. */
static bool choose_address(struct order *order, struct err *err)
{
	unsigned words = run_arguments_words(order->command);
	bool wants_socket = words & WORD_SOCKET, wants_port = words & (WORD_HOST | WORD_PORT);
	const char *listen = order->listen;
	if (!listen)
		listen = wants_socket ? "unix:" : "0";
	if (!parse_listen(listen, &order->address, err)) {
		err_prefix(err, "--listen: ");
		return false;
	}
	bool is_unix = order->address.any.sa_family == AF_UNIX;
	if (is_unix && wants_port)
		err_set(err,
			"COMMAND asks for {host} or {port}, which a unix socket does not have");
	else if (!is_unix && wants_socket)
		err_set(err, "COMMAND asks for {socket}, but --listen is no unix socket");
	else
		return true;
	return false;
}

static bool start(struct order *order, struct run_forward *forward, struct run_command *command,
	struct err *err)
{
	struct arena *arena = &order->flags.arena;
	const struct address *address = &forward->listener.address;
	char **argv = run_arguments_fill(arena, order->command, address);
	char **environment = run_arguments_environment(arena, address);
	if (argv && environment)
		return run_command_start(command, argv, environment, err);
	command->status = 1;
	err_set(err, "out of memory");
	return false;
}

static int run_on(
	struct order *order, struct gateway *gateway, struct ev_loop *loop, struct err *err)
{
	struct run_forward forward;
	struct run_command command;
	int status = 1;
	if (!run_forward_open(&forward, loop, gateway, &order->address, err))
		return 1;
	if (run_command_prepare(&command, loop, err)) {
		if (start(order, &forward, &command, err)) {
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

static int run(struct order *order)
{
	struct client_settings settings;
	struct gateway gateway;
	struct err err = {""};
	int status = 1;
	if (!client_settings_make(&settings, &order->flags, order->to))
		return 1;
	struct ev_loop *loop =
		loop_ctx_loop_create(&err); /* not the default one: it reaps children */
	if (loop && gateway_open(&gateway, &settings, &err)) {
		status = run_on(order, &gateway, loop, &err);
		gateway_close(&gateway);
	}
	if (err.text[0])
		fprintf(stderr, "%s: %s\n", who, err.text);
	if (loop)
		ev_loop_destroy(loop);
	return status;
}

static bool take_option(struct order *order, int option, struct err *err)
{
	switch (option) {
	case OPTION_TO:
		order->to = optarg;
		return true;
	case OPTION_LISTEN:
		order->listen = optarg;
		return true;
	default:
		return client_flags_take(&order->flags, option, optarg, err);
	}
}

static int run_with(struct order *order, int argc, char **argv)
{
	struct endpoint endpoint;
	struct err err = {""};
	for (int option; (option = getopt_long(argc, argv, "+" CLIENT_SHORT_OPTIONS "h", options,
				  NULL)) != -1;) {
		if (option == 'h') {
			print_help(stdout);
			return 0;
		}
		if (!take_option(order, option, &err))
			return usage(err.text);
	}
	order->command = argv + optind;
	if (!order->to)
		return usage("expected --to GATEWAY");
	if (!endpoint_parse_near(order->to, CLIENT_PORT, &endpoint, &err))
		return usage(err.text);
	if (!order->command[0])
		return usage("expected a COMMAND behind the options");
	if (!choose_address(order, &err))
		return usage(err.text);
	standard_fds_open();
	signal(SIGPIPE, SIG_IGN);
	return run(order);
}

int run_main(int argc, char **argv)
{
	struct order order = {0};
	argv[0] = (char *)(uintptr_t)who; /* what getopt's messages begin with */
	client_flags_init(&order.flags, who);
	int status = run_with(&order, argc, argv);
	client_flags_finish(&order.flags);
	return status;
}
