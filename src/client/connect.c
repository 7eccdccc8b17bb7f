#include "client/connect.h"

#include "base/printable.h"
#include "base/standard_fds.h"
#include "client/diagnose.h"
#include "client/gateway_link.h"
#include "client/stdio_stream.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char program[] = "gatehouse connect";

static const char help[] =
	"usage: gatehouse connect [options] GATEWAY[:PORT]\n"
	"\n"
	"Joins standard input and output to a TLS connection with GATEWAY (default port: 443): an ssh\n"
	"ProxyCommand, or a transport for any program that communicates through a pair of pipes.\n"
	"\n";

static const char help_end[] =
	"\n"
	"Exit status: 0 after a clean end in both directions, 1 after a failure (one line on stderr\n"
	"says why), 2 usage. Manual: gatehouse-connect(1), gatehouse-client.json(5).\n";

#define SIGNALS 3

/*
 * A client that goes closes both our output and our input, in either order, and may send SIGHUP: ssh
 * does all three, one after the other, while the gateway may still send. That is no error. A client
 * that has closed the output alone, after all these ticks, is one.
 */
#define LEAVING_TICK_SECONDS 0.2
#define LEAVING_TICKS_MAX    10

struct connection {
	struct gateway gateway;
	struct loop_ctx ctx;
	struct resolver *resolver;
	struct stdio_stream stdio;
	struct link *link;
	ev_signal signals[SIGNALS];
	ev_timer leaving; /* active from when the output has no reader */
	int leaving_ticks;
	int status, signal; /* the signal that ends us; 0: none */
	bool stopped;
};

/* The first reason counts. */
static void connection_stop(struct connection *connection, const char *why)
{
	if (connection->stopped)
		return;
	if (why)
		print_diagnostic(program, why);
	connection->status = why != NULL;
	connection->stopped = true;
	ev_break(connection->ctx.loop, EVBREAK_ALL);
}

/* It has closed both ends, and the gateway has all that it wrote. */
static bool has_client_left(const struct connection *connection)
{
	return ev_is_active(&connection->leaving) &&
		stdio_stream_input_is_exhausted(&connection->stdio) &&
		link_has_delivered(connection->link);
}

/* A client that has left expects nothing more, and how the connection ends then is no failure, unless
 * the gateway has refused what it was sent. */
static void on_link_ended(void *owner, const char *why)
{
	struct connection *connection = owner;
	if (why && has_client_left(connection) && !link_is_refused(connection->link))
		why = NULL;
	connection_stop(connection, why);
}

/* The reader may act on the end of the output at once, and end us: the message goes first. */
static void on_output_ending(void *owner)
{
	struct connection *connection = owner;
	const struct stdio_stream *stdio = &connection->stdio;
	struct err err;
	if (stdio->bytes_lost == 0)
		ev_timer_stop(connection->ctx.loop, &connection->leaving);
	if (!is_misdirected(stdio->head, stdio->head_len))
		return;
	diagnose_misdirection(&connection->gateway, &err);
	connection_stop(connection, err.text);
}

static void on_reader_gone(void *owner)
{
	struct connection *connection = owner;
	ev_timer_start(connection->ctx.loop, &connection->leaving);
}

static void on_leaving_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct connection *connection = timer->data;
	(void)loop, (void)events;
	bool is_late = ++connection->leaving_ticks >= LEAVING_TICKS_MAX;
	if (has_client_left(connection)) {
		link_flush_input(connection->link);
		connection_stop(connection, NULL);
	} else if (is_late && !stdio_stream_input_is_closed(&connection->stdio)) {
		link_flush_input(connection->link);
		connection_stop(connection, "standard output: closed by its reader");
	} /* else its writer may still close the input, or what it wrote is still being sent */
}

/* ssh ends its ProxyCommand with SIGHUP: what it wrote last is still sent, with a proper end. */
static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct connection *connection = signal->data;
	(void)loop, (void)events;
	link_flush_input(connection->link);
	connection->signal = signal->signum;
	connection_stop(connection, NULL);
}

static void watch_events(struct connection *connection)
{
	static const int numbers[SIGNALS] = {SIGHUP, SIGINT, SIGTERM};
	ev_timer_init(
		&connection->leaving, on_leaving_tick, LEAVING_TICK_SECONDS, LEAVING_TICK_SECONDS);
	connection->leaving.data = connection;
	stdio_stream_watch(&connection->stdio,
		&(struct stdio_events){on_reader_gone, on_output_ending, connection});
	for (int i = 0; i < SIGNALS; i++) {
		ev_signal_init(&connection->signals[i], on_signal, numbers[i]);
		connection->signals[i].data = connection;
		ev_signal_start(connection->ctx.loop, &connection->signals[i]);
	}
}

static bool start_link(struct connection *connection, struct err *err)
{
	struct link_setup setup = {.gateway = &connection->gateway,
		.ctx = &connection->ctx,
		.resolver = connection->resolver,
		.client = &connection->stdio.stream,
		.on_ended = on_link_ended,
		.owner = connection};
	connection->link = link_start(&setup, err);
	return connection->link != NULL;
}

static int connection_run(struct connection *connection, struct ev_loop *loop, struct err *err)
{
	if (!loop_ctx_init(&connection->ctx, loop, err))
		return 1;
	stdio_stream_init(&connection->stdio, loop, STDIN_FILENO, STDOUT_FILENO);
	connection->resolver = resolver_create(loop, NULL, err);
	connection->status = 1;
	if (connection->resolver && start_link(connection, err)) {
		err->text[0] = '\0';
		watch_events(connection);
		ev_run(loop, 0);
	}
	link_destroy(connection->link);
	stream_destroy(&connection->stdio.stream);
	resolver_destroy(connection->resolver);
	loop_ctx_finish(&connection->ctx);
	return connection->status;
}

static int connect_to(const struct client_settings *settings)
{
	struct connection connection = {0};
	struct err err = {.text = ""};
	struct ev_loop *loop = loop_ctx_loop_create(&err);
	int status = 1;
	if (loop && gateway_open(&connection.gateway, settings, &err)) {
		status = connection_run(&connection, loop, &err);
		gateway_close(&connection.gateway);
	}
	if (err.text[0])
		print_diagnostic(program, err.text);
	if (loop)
		ev_loop_destroy(loop);
	if (connection.signal) {
		signal(connection.signal, SIG_DFL);
		raise(connection.signal);
	}
	return status;
}

/* Without an input there is nothing to wait for; without an output there is nothing to do. */
static bool open_descriptors(void)
{
	bool has_output = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	standard_fds_open();
	if (!has_output)
		fprintf(stderr, "%s: standard output is not open\n", program);
	return has_output;
}

static const struct option options[] = {
	CLIENT_LONG_OPTIONS,
	{"help", no_argument, NULL, 'h'},
	{0},
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

static int connect_with_arguments(struct client_flags *flags, int argc, char **argv)
{
	struct client_settings settings;
	struct endpoint endpoint;
	struct err err;
	for (int option; (option = getopt_long(
				  argc, argv, CLIENT_SHORT_OPTIONS "h", options, NULL)) != -1;) {
		if (option == 'h') {
			print_help(stdout);
			return 0;
		}
		if (!client_flags_take(flags, option, optarg, &err))
			return print_usage(err.text);
	}
	if (optind + 1 != argc)
		return print_usage("expected one GATEWAY or GATEWAY:PORT after the options");
	if (!endpoint_parse_near(argv[optind], CLIENT_PORT, &endpoint, &err))
		return print_usage(err.text);
	if (!open_descriptors() || !client_settings_make(&settings, flags, argv[optind]))
		return 1;
	return connect_to(&settings);
}

int connect_main(int argc, char **argv)
{
	struct client_flags flags;
	argv[0] = (char *)(uintptr_t)program; /* the prefix of getopt's messages */
	signal(SIGPIPE, SIG_IGN);
	client_flags_init(&flags, program);
	int status = connect_with_arguments(&flags, argc, argv);
	client_flags_finish(&flags);
	return status;
}
