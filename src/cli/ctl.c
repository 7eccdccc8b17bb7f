#include "cli/commands.h"

#include "base/err.h"
#include "base/json_out.h"
#include "cli/ctl_print.h"

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
	"  status                 what it does, and how the last reload went\n"
	"  sessions [FILTER]      who is connected: to what, since when, how much, at which step\n"
	"  kill FILTER            closes connections; needs a filter, or --all\n"
	"  routes [--route HOST]  the live table, with what each route has carried\n"
	"  servers                backend servers: up or down, connections\n"
	"  certs                  certificates, those that expire first in front\n"
	"  explain --sni NAME [--alpn A,B] [--from ADDRESS]\n"
	"                         which route the live table gives such a client, and why\n"
	"  reload                 loads the configuration now; tells the verdict and the difference\n"
	"  upgrade                the program that is at its path now takes over; tells the verdict\n"
	"  drain NAME             no new connections for a HOST, or none to a SERVER (HOST:PORT,\n"
	"                         unix:/path), or none at all (\"all\"); live ones go on\n"
	"  undrain NAME           takes that back; \"all\": everything that is drained\n"
	"  log-level LEVEL        error, warn, info or debug, until the configuration changes\n"
	"\n"
	"FILTER, all of which must fit:\n"
	"      --route HOST       of this route, as the configuration names it\n"
	"      --cn NAME          whose client certificate has this common name\n"
	"      --from ADDRESS     from this address or network (10.0.0.0/8)\n"
	"      --id NUMBER        this one, as `sessions` numbers it\n"
	"\n"
	"  -s, --socket PATH      of the control socket (" SOCKET_DEFAULT ")\n"
	"      --json             the answer as one line of JSON\n"
	"      --limit NUMBER     sessions, routes: tell at most so many (1000)\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 done; 1 it could not be done, or nobody answers; 2 usage.\n";

/* Commands with one word behind them, and what the request calls it. */
static const struct {
	const char *command, *member;
} with_word[] = {{"drain", "name"}, {"undrain", "name"}, {"log-level", "level"}};

static const char *const commands[] = {"status", "sessions", "kill", "routes", "servers", "certs",
	"explain", "reload", "upgrade", "drain", "undrain", "log-level"};

struct ask {
	const char *socket, *command, *word;
	struct strbuf members; /* of the request, from options; written by member_out */
	struct json_out member_out;
	bool is_json;
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
			? " (does gatehouse run, with \"control\" in its configuration?)"
			: errno == EACCES ? " (only root and gatehouse's own user may ask)"
					  : "");
	return false;
}

/* One who is refused before he has said his line gets the reason all the same. */
static bool say(int fd, const struct strbuf *request)
{
	size_t done = 0;
	while (done < request->len) {
		ssize_t n = send(fd, request->at + done, request->len - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool hear(int fd, struct strbuf *answer, struct err *err)
{
	char buffer[16384];
	ssize_t n;
	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			strbuf_append(answer, buffer, (size_t)n);
		if (answer->len > 0 && answer->at[answer->len - 1] == '\n')
			return true;
	}
	err_set(err, "%s", n < 0 ? strerror(errno) : "gatehouse hung up without an answer");
	return false;
}

static void write_request(const struct ask *ask, struct strbuf *request)
{
	struct json_out out = {.text = request};
	json_out_object(&out, NULL);
	json_out_text(&out, "command", ask->command);
	json_out_raw(&out, NULL, &ask->members);
	if (ask->word)
		json_out_text(&out, member_of_word(ask->command), ask->word);
	if (ask->is_json && strcmp(ask->command, "explain") == 0)
		json_out_flag(&out, "json", true);
	json_out_close(&out);
	strbuf_printf(request, "\n");
}

static bool converse(const struct ask *ask, struct strbuf *answer, struct err *err)
{
	struct strbuf request = {0};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect_to(fd, ask->socket, err);
	if (fd < 0)
		err_set(err, "%s", strerror(errno));
	if (ok) {
		write_request(ask, &request);
		say(fd, &request);
		ok = hear(fd, answer, err);
	}
	if (fd >= 0)
		close(fd);
	strbuf_finish(&request);
	return ok;
}

static int tell(const struct ask *ask, const struct strbuf *answer)
{
	struct ctl_answer parsed;
	struct err err;
	if (!ctl_answer_parse(answer->at, answer->len - 1, &parsed, &err)) {
		fprintf(stderr, "gatehouse ctl: %s\n", err.text);
		return 1;
	}
	if (parsed.error)
		fprintf(stderr, "gatehouse ctl: %s\n", parsed.error);
	if (ask->is_json)
		fputs(answer->at, stdout);
	else
		ctl_print(stdout, answer->at, answer->len - 1);
	free(parsed.error);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "gatehouse ctl: standard output: %s\n", strerror(errno));
		return 1;
	}
	return parsed.ok ? 0 : 1;
}

static int run(const struct ask *ask)
{
	struct strbuf answer = {0};
	struct err err;
	int status = 1;
	if (converse(ask, &answer, &err))
		status = tell(ask, &answer);
	else
		fprintf(stderr, "gatehouse ctl: %s\n", err.text);
	strbuf_finish(&answer);
	return status;
}

static bool take_option(struct ask *ask, int option, int index)
{
	switch (option) {
	case 's':
		ask->socket = optarg;
		return true;
	case 'j':
		return ask->is_json = true;
	case 'a':
		json_out_text(&ask->member_out, "all", "true");
		return true;
	case 'm':
		json_out_text(&ask->member_out, options[index].name, optarg);
		return true;
	default:
		return false;
	}
}

/* NULL, or what is wrong. */
static const char *take_words(struct ask *ask, int argc, char **argv)
{
	if (optind == argc)
		return "expected a command";
	ask->command = argv[optind++];
	if (!is_known(ask->command)) {
		snprintf(ask->wrong, sizeof ask->wrong, "no command \"%.80s\"", ask->command);
		return ask->wrong;
	}
	if (member_of_word(ask->command)) {
		if (optind == argc)
			return "expected one more word behind this command";
		ask->word = argv[optind++];
	}
	return optind == argc ? NULL : "expected nothing more behind the command";
}

int ctl_main(int argc, char **argv)
{
	struct ask ask = {.socket = SOCKET_DEFAULT, .member_out.text = &ask.members};
	int index = 0, status = 2;
	argv[0] = (char *)"gatehouse ctl"; /* what getopt's messages begin with */
	for (int option; (option = getopt_long(argc, argv, "s:h", options, &index)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			strbuf_finish(&ask.members);
			return 0;
		}
		if (!take_option(&ask, option, index)) {
			fputs(help, stderr);
			strbuf_finish(&ask.members);
			return 2;
		}
	}
	const char *wrong = take_words(&ask, argc, argv);
	if (wrong)
		fprintf(stderr, "gatehouse ctl: %s; `gatehouse ctl --help` tells more\n", wrong);
	else
		status = run(&ask);
	strbuf_finish(&ask.members);
	return status;
}
