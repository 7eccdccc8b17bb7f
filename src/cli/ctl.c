#include "cli/commands.h"

#include "base/err.h"
#include "base/json_out.h"
#include "base/printable.h"
#include "cli/ctl_print.h"
#include "cli/draining.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_DEFAULT "/run/gatehouse/control.sock"

static const char help[] =
	"usage: gatehouse ctl [-s SOCKET] [--json] COMMAND\n"
	"\n"
	"Talks to a running gatehouse whose configuration has \"control\": {\"socket\": ...}.\n"
	"\n"
	"  status                 its state and numbers, and the outcome of the last reload\n"
	"  sessions [FILTER]      the open connections: client, route, duration, bytes, step\n"
	"  kill FILTER            closes connections; needs a filter, or --all\n"
	"  routes [--route HOST]  the live table, with what each route has carried\n"
	"  servers                backend servers: up or down, connections\n"
	"  certs                  certificates, by date of expiry\n"
	"  explain --sni NAME [--alpn A,B] [--from ADDRESS] [--listen ADDRESS]\n"
	"          [--starttls NAME] [--plaintext http|ssh]\n"
	"                         which route the live table gives such a client, and why\n"
	"  reload                 loads the configuration now; prints the outcome and the changes\n"
	"  upgrade                starts the program that is now at its path, which takes over\n"
	"  drain NAME             no new connections for a HOST, or none to a SERVER (HOST:PORT,\n"
	"                         unix:/path), or none at all (\"all\"); open ones continue\n"
	"  undrain NAME           undoes that; \"all\": everything that is drained\n"
	"  log-level LEVEL        error, warn, info or debug, until the configuration changes\n"
	"\n"
	"FILTER, all of which must match:\n"
	"      --route HOST       of this route, as the configuration names it\n"
	"      --cn NAME          whose client certificate has this common name\n"
	"      --from ADDRESS     from this address or network (10.0.0.0/8)\n"
	"      --id NUMBER        this one, as `sessions` numbers it\n"
	"\n"
	"  -s, --socket PATH      of the control socket (" SOCKET_DEFAULT ")\n"
	"      --json             the answer as one line of JSON\n"
	"      --limit NUMBER     sessions, routes: print at most so many (1000)\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 done; 1 failed, or no process answers; 2 usage.\n";

/* Commands with one word behind them, and what the request calls it. */
static const struct {
	const char *command, *member;
} with_word[] = {{"drain", "name"}, {"undrain", "name"}, {"log-level", "level"}};

static const char *const commands[] = {"status", "sessions", "kill", "routes", "servers", "certs",
	"explain", "reload", "upgrade", "drain", "undrain", "log-level"};

struct ctl_call {
	const char *socket, *command, *word;
	struct strbuf members; /* of the request, from options; written by member_out */
	struct json_out member_out;
	bool is_json, has_id;
	char wrong[128]; /* usage */
};

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"json", no_argument, NULL, 'j'},
	{"all", no_argument, NULL, 'a'},
	{"route", required_argument, NULL, 'm'},
	{"cn", required_argument, NULL, 'm'},
	{"from", required_argument, NULL, 'm'},
	{"id", required_argument, NULL, 'm'},
	{"limit", required_argument, NULL, 'm'},
	{"sni", required_argument, NULL, 'm'},
	{"alpn", required_argument, NULL, 'm'},
	{"listen", required_argument, NULL, 'm'},
	{"plaintext", required_argument, NULL, 'm'},
	{"starttls", required_argument, NULL, 'm'},
	{0},
};

static const char *member_of_word(const char *command)
{
	for (size_t i = 0; i < sizeof with_word / sizeof *with_word; i++)
		if (strcmp(command, with_word[i].command) == 0)
			return with_word[i].member;
	return NULL;
}

static bool is_known(const char *command)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(command, commands[i]) == 0)
			return true;
	return false;
}

static bool connect_to(int fd, const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path) {
		err_set(err, "\"%s\": a socket's path has at most %zu bytes", path,
			sizeof address.sun_path - 1);
		return false;
	}
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return true;
	err_set(err, "%s: %s%s", path, strerror(errno),
		errno == ENOENT || errno == ECONNREFUSED
			? " (is gatehouse running, with \"control\" in its configuration?)"
			: errno == EACCES ? " (only root and the user of gatehouse may connect)"
					  : "");
	return false;
}

/* A failure is no error yet: a server that refuses may have sent its reason already. */
static void send_request(int fd, const struct strbuf *request)
{
	size_t done = 0;
	while (done < request->len) {
		ssize_t n = send(fd, request->at + done, request->len - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return;
		done += n > 0 ? (size_t)n : 0;
	}
}

static bool receive_answer(int fd, struct strbuf *answer, struct err *err)
{
	char buffer[16384];
	ssize_t n;
	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			strbuf_append(answer, buffer, (size_t)n);
		if (answer->failed)
			return false;
		if (answer->len > 0 && answer->at[answer->len - 1] == '\n')
			return true;
	}
	err_set(err, "%s",
		n < 0 ? strerror(errno) : "gatehouse closed the connection without an answer");
	return false;
}

static void write_request(const struct ctl_call *call, struct strbuf *request)
{
	struct json_out out = {.text = request};
	json_out_object(&out, NULL);
	json_out_text(&out, "command", call->command);
	json_out_raw(&out, NULL, &call->members);
	if (call->word)
		json_out_text(&out, member_of_word(call->command), call->word);
	if (call->is_json && strcmp(call->command, "explain") == 0)
		json_out_flag(&out, "json", true);
	json_out_close(&out);
	strbuf_printf(request, "\n");
}

static bool request_answer(const struct ctl_call *call, struct strbuf *answer, struct err *err)
{
	struct strbuf request = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect_to(fd, call->socket, err);
	if (fd < 0)
		err_set(err, "%s", strerror(errno));
	if (ok) {
		write_request(call, &request);
		send_request(fd, &request);
		ok = !request.failed && receive_answer(fd, answer, err);
		if (request.failed || answer->failed)
			err_set(err, "out of memory");
	}
	if (fd >= 0)
		close(fd);
	strbuf_finish(&request);
	return ok;
}

static int print_answer(const struct ctl_call *call, const struct strbuf *answer)
{
	struct ctl_answer parsed;
	struct err err;
	bool is_whole = true;
	if (!ctl_answer_parse(answer->at, answer->len - 1, &parsed, &err)) {
		print_diagnostic("gatehouse ctl", err.text);
		return 1;
	}
	if (parsed.error)
		print_diagnostic("gatehouse ctl", parsed.error);
	if (call->is_json)
		fputs(answer->at, stdout);
	else
		is_whole = ctl_print(stdout, answer->at, answer->len - 1);
	free(parsed.error);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "gatehouse ctl: standard output: %s\n", strerror(errno));
		return 1;
	}
	if (!is_whole)
		fprintf(stderr, "gatehouse ctl: out of memory\n");
	return parsed.ok && is_whole ? 0 : 1;
}

static int run_on_socket(const struct ctl_call *call)
{
	struct strbuf answer = {0};
	struct err err;
	int status = 1;
	if (request_answer(call, &answer, &err))
		status = print_answer(call, &answer);
	else
		print_diagnostic("gatehouse ctl", err.text);
	strbuf_finish(&answer);
	return status;
}

/* An id is one process's own: such a request goes to that process alone. */
static bool concerns_draining(const struct ctl_call *call)
{
	return !call->has_id &&
		(strcmp(call->command, "sessions") == 0 || strcmp(call->command, "kill") == 0);
}

static bool has_listener(const char *path)
{
	struct err err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect_to(fd, path, &err);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Those that an upgrade has replaced have sessions too, until they end. */
static int run_command(struct ctl_call *call)
{
	const char *socket = call->socket;
	struct path_set others = {0};
	if (concerns_draining(call))
		draining_find(socket, &others);
	int status = run_on_socket(call);
	for (size_t i = 0; i < others.count; i++) {
		if (!has_listener(others.paths[i]))
			continue; /* it has ended */
		call->socket = others.paths[i];
		if (!call->is_json)
			printf("draining process, socket %s:\n", call->socket);
		status |= run_on_socket(call);
	}
	path_set_finish(&others);
	return status;
}

static bool take_option(struct ctl_call *call, int option, int index)
{
	switch (option) {
	case 's':
		call->socket = optarg;
		return true;
	case 'j':
		return call->is_json = true;
	case 'a':
		json_out_text(&call->member_out, "all", "true");
		return true;
	case 'm':
		call->has_id |= strcmp(options[index].name, "id") == 0;
		json_out_text(&call->member_out, options[index].name, optarg);
		return true;
	default:
		return false;
	}
}

/* NULL, or what is wrong. */
static const char *take_words(struct ctl_call *call, int argc, char **argv)
{
	if (optind == argc)
		return "expected a command";
	call->command = argv[optind++];
	if (!is_known(call->command)) {
		snprintf(call->wrong, sizeof call->wrong, "no command \"%.80s\"", call->command);
		return call->wrong;
	}
	if (member_of_word(call->command)) {
		if (optind == argc)
			return "expected one more word behind this command";
		call->word = argv[optind++];
	}
	return optind == argc ? NULL : "expected nothing more behind the command";
}

int ctl_main(int argc, char **argv)
{
	struct ctl_call call = {.socket = SOCKET_DEFAULT, .member_out.text = &call.members};
	int index = 0, status = 2;
	argv[0] = (char *)"gatehouse ctl"; /* what getopt's messages begin with */
	for (int option; (option = getopt_long(argc, argv, "s:h", options, &index)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			strbuf_finish(&call.members);
			return 0;
		}
		if (!take_option(&call, option, index)) {
			fputs(help, stderr);
			strbuf_finish(&call.members);
			return 2;
		}
	}
	const char *wrong = take_words(&call, argc, argv);
	if (wrong)
		fprintf(stderr, "gatehouse ctl: %s; see `gatehouse ctl --help`\n", wrong);
	else
		status = run_command(&call);
	strbuf_finish(&call.members);
	return status;
}
