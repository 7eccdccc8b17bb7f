#include "explain/explain.h"

#include "base/printable.h"
#include "cli/commands.h"
#include "cli/offline.h"
#include "net/address.h"
#include "tls/inspect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"usage: gatehouse explain -c FILE --sni NAME [options]\n"
	"       gatehouse explain [-c FILE] --hello FILE [options]\n"
	"       gatehouse explain -c FILE --listen ADDRESS --plaintext http|ssh [options]\n"
	"\n"
	"Prints which route a client gets and why: host, protocol, mode, certificates, whether the\n"
	"client's certificate is admitted, backend. The decision is the one that a running gatehouse\n"
	"takes; no connection is made.\n"
	"\n"
	"  -c, --config FILE    the configuration\n"
	"      --sni NAME       the server name the client sends; \"\": it sends none\n"
	"      --alpn A,B       the protocols it offers, in its order\n"
	"      --hello FILE     its ClientHello instead, raw bytes; \"-\": standard input.\n"
	"                       Prints one JSON object with what it holds, with -c also the route\n"
	"      --plaintext NAME it speaks \"http\" or \"ssh\" and no TLS\n"
	"      --cert FILE      the certificate it shows (PEM), with intermediates behind it\n"
	"      --from ADDRESS   the IP address it comes from\n"
	"      --listen ADDRESS the listener it connects to, as in the configuration\n"
	"      --starttls NAME  the STARTTLS it begins with; \"\": none\n"
	"      --json           one JSON object on one line\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 explained, whatever the answer; 1 a file cannot be read; 2 usage.\n";

struct question {
	const char *config, *sni, *alpn, *hello, *cert, *from, *listen, *plaintext, *starttls;
	bool is_json;
};

static void on_finding(struct report *report, enum severity severity, const char *text)
{
	(void)report;
	if (severity == SEVERITY_ERROR)
		fprintf(stderr, "%s\n", text);
}

/* An address alone, or with a port as the log writes it. */
static bool parse_source(const char *text, struct address *out, struct err *err)
{
	struct endpoint endpoint;
	*out = (struct address){0};
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1)
		out->v4.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1)
		out->v6.sin6_family = AF_INET6;
	else if (!endpoint_parse(text, &endpoint, err) || endpoint.is_unix || !endpoint.host[0] ||
		!address_of_endpoint(&endpoint, out)) {
		err_set(err, "--from: expected an IP address, got \"%s\"", text);
		return false;
	}
	return true;
}

static void write_explanation(struct strbuf *text, const struct question *question,
	const struct explain_input *input, const struct routes *routes,
	const struct explain_facts *facts)
{
	bool is_json = question->is_json || question->hello;
	struct out out;
	out_begin(&out, text, is_json);
	if (question->hello)
		explain_hello(&out, input);
	else if (!question->plaintext)
		explain_offer(&out, input);
	if (routes)
		explain_route(&out, routes, input, facts);
	out_end(&out);
	if (is_json)
		strbuf_append(text, "\n", 1);
}

static int print_text(const struct strbuf *text)
{
	if (text->failed) {
		fprintf(stderr, "gatehouse explain: out of memory\n");
		return 1;
	}
	fputs(text->at, stdout);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "gatehouse explain: standard output: %s\n", strerror(errno));
	return 1;
}

static int explain_with(const struct question *question, const struct explain_input *input,
	struct explain_facts *facts)
{
	struct report report = {.on_finding = on_finding};
	struct offline offline = {0};
	struct strbuf text = {0};
	struct err err;
	int status = 1;
	if (question->config && !offline_open(&offline, question->config, &report)) {
		offline_close(&offline);
		return 1;
	}
	if (explain_set_listen(facts, offline.routes, question->listen, &err)) {
		write_explanation(&text, question, input, offline.routes, facts);
		status = print_text(&text);
	} else {
		print_diagnostic("gatehouse explain", err.text);
	}
	strbuf_finish(&text);
	offline_close(&offline);
	return status;
}

static bool input_get(const struct question *question, struct explain_input *input, struct err *err)
{
	if (question->plaintext)
		return explain_input_plaintext(input, question->plaintext, err);
	return question->hello ? explain_input_read(input, question->hello, err)
			       : explain_input_make(input, question->sni, question->alpn, err);
}

static int explain_question(const struct question *question)
{
	struct explain_input *input = calloc(1, sizeof *input);
	struct client_certificate *certificate = NULL;
	struct address source;
	struct explain_facts facts = {0};
	struct err err = {.text = "out of memory"};
	int status = 1;
	if (!input || !input_get(question, input, &err))
		goto fail;
	if (question->from && !parse_source(question->from, &source, &err))
		goto fail;
	if (!explain_set_starttls(&facts, question->starttls, &err))
		goto fail;
	if (question->cert && !(certificate = client_certificate_read(question->cert, &err)))
		goto fail;
	facts.certificate = certificate;
	facts.source = question->from ? &source : NULL;
	status = explain_with(question, input, &facts);
	goto done;
fail:
	print_diagnostic("gatehouse explain", err.text);
done:
	client_certificate_free(certificate);
	free(input);
	return status;
}

enum {
	OPTION_SNI = 256,
	OPTION_ALPN,
	OPTION_HELLO,
	OPTION_CERT,
	OPTION_FROM,
	OPTION_LISTEN,
	OPTION_PLAINTEXT,
	OPTION_STARTTLS,
	OPTION_JSON
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"sni", required_argument, NULL, OPTION_SNI},
	{"alpn", required_argument, NULL, OPTION_ALPN},
	{"hello", required_argument, NULL, OPTION_HELLO},
	{"cert", required_argument, NULL, OPTION_CERT},
	{"from", required_argument, NULL, OPTION_FROM},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"plaintext", required_argument, NULL, OPTION_PLAINTEXT},
	{"starttls", required_argument, NULL, OPTION_STARTTLS},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static bool take_option(struct question *question, int option)
{
	switch (option) {
	case 'c':
		question->config = optarg;
		return true;
	case OPTION_SNI:
		question->sni = optarg;
		return true;
	case OPTION_ALPN:
		question->alpn = optarg;
		return true;
	case OPTION_HELLO:
		question->hello = optarg;
		return true;
	case OPTION_CERT:
		question->cert = optarg;
		return true;
	case OPTION_FROM:
		question->from = optarg;
		return true;
	case OPTION_LISTEN:
		question->listen = optarg;
		return true;
	case OPTION_PLAINTEXT:
		question->plaintext = optarg;
		return true;
	case OPTION_STARTTLS:
		question->starttls = optarg;
		return true;
	case OPTION_JSON:
		return question->is_json = true;
	default:
		return false;
	}
}

/* NULL, or what is wrong with the options taken together. */
static const char *usage_error(const struct question *question, bool has_more)
{
	if (has_more)
		return "expected nothing behind the options";
	if (question->plaintext && (question->hello || question->sni || question->alpn))
		return "--plaintext is a client that sends no ClientHello";
	if (question->plaintext && (!question->config || !question->listen))
		return "--plaintext needs -c FILE and --listen ADDRESS";
	if (!question->hello && !question->config)
		return "expected -c FILE with --sni NAME, or --hello FILE";
	if (!question->hello && !question->sni && !question->plaintext)
		return "expected --sni NAME (\"\" for a client that sends none) or --hello FILE";
	if (question->hello && (question->sni || question->alpn))
		return "--hello already says what --sni and --alpn would";
	if (!question->config &&
		(question->cert || question->from || question->listen || question->starttls))
		return "--cert, --from, --listen and --starttls need -c FILE";
	return NULL;
}

int explain_main(int argc, char **argv)
{
	struct question question = {0};
	argv[0] = (char *)"gatehouse explain"; /* what getopt's messages begin with */
	for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (!take_option(&question, option)) {
			fputs(help, stderr);
			return 2;
		}
	}
	const char *wrong = usage_error(&question, optind != argc);
	if (!wrong)
		return explain_question(&question);
	fprintf(stderr, "gatehouse explain: %s\n\n%s", wrong, help);
	return 2;
}
