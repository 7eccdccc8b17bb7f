/* Sends given bytes in given segments and tells what came back and how the connection ended. */
#include "tool.h"

#include <ctype.h>

static const char help[] =
	"usage: rawclient [options] ADDRESS\n"
	"ADDRESS is HOST:PORT or unix:PATH.\n"
	"  --hex HEX        send these bytes (spaces are allowed)\n"
	"  --text TEXT      send these bytes\n"
	"  --file FILE      send what is in FILE; - is standard input\n"
	"                   (several of these add up)\n"
	"  --first N        send only the first N bytes of it all\n"
	"  --split N        a segment ends at offset N\n"
	"  --every K        segments of K bytes\n"
	"  --delay-us N     between segments (default 1000)\n"
	"  --hold SECONDS   stay silent that long before --half-close or --reset\n"
	"  --half-close     send a FIN behind the bytes\n"
	"  --reset          send a reset behind the bytes and leave\n"
	"  --raw            the answer goes to standard output as it is, the report to stderr\n"
	"  --until N        leave once N bytes have come\n"
	"  --timeout S      wait at most S seconds for the peer to end (default 10)\n"
	"Prints \"received HEX\", \"ended fin|reset|timeout|left\" and \"after_ms N\", the time from\n"
	"the end of the sending. Exit status: 0 fin or left, 3 reset, 4 timeout, 1 not connected.\n";

enum ending { STILL_OPEN, ENDED_FIN, ENDED_RESET, ENDED_TIMEOUT, ENDED_LEFT };

static const struct {
	const char *name;
	int status;
} endings[] = {
	[STILL_OPEN] = {"open", 1},
	[ENDED_FIN] = {"fin", 0},
	[ENDED_RESET] = {"reset", 3},
	[ENDED_TIMEOUT] = {"timeout", 4},
	[ENDED_LEFT] = {"left", 0},
};

struct client {
	uint8_t *data, *received;
	size_t len, received_len, split, every, until;
	long delay_us;
	double hold, timeout;
	bool half_close, reset, raw;
	int fd;
};

static void add_bytes(struct client *client, const void *data, size_t len)
{
	client->data = realloc(client->data, client->len + len + 1);
	if (!client->data)
		die("out of memory");
	memcpy(client->data + client->len, data, len);
	client->len += len;
}

static void add_hex(struct client *client, const char *text)
{
	unsigned byte;
	for (int used; *(text += strspn(text, " \n")); text += used) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
			sscanf(text, "%2x%n", &byte, &used) != 1)
			die("not hex: \"%s\"", text);
		add_bytes(client, &(uint8_t){(uint8_t)byte}, 1);
	}
}

static void add_file(struct client *client, const char *path)
{
	size_t len;
	uint8_t *data = read_file(path, &len);
	add_bytes(client, data, len);
	free(data);
}

static size_t segment_end(const struct client *client, size_t start)
{
	size_t end = client->len;
	if (client->split > start && client->split < end)
		end = client->split;
	if (client->every > 0 && client->every < end - start)
		end = start + client->every;
	return end;
}

static bool send_segments(const struct client *client)
{
	for (size_t start = 0, end; start < client->len; start = end) {
		end = segment_end(client, start);
		if (!send_all(client->fd, client->data + start, end - start))
			return false;
		if (end < client->len)
			sleep_us(client->delay_us);
	}
	return true;
}

static enum ending keep_bytes(struct client *client, const uint8_t *bytes, ssize_t n)
{
	if (n == 0)
		return ENDED_FIN;
	if (n < 0)
		return errno == EINTR ? STILL_OPEN : ENDED_RESET;
	client->received = realloc(client->received, client->received_len + (size_t)n);
	if (!client->received)
		die("out of memory");
	memcpy(client->received + client->received_len, bytes, (size_t)n);
	client->received_len += (size_t)n;
	bool is_enough = client->until > 0 && client->received_len >= client->until;
	return is_enough ? ENDED_LEFT : STILL_OPEN;
}

static enum ending receive(struct client *client, double seconds)
{
	uint64_t deadline = now_us() + (uint64_t)(seconds * 1e6);
	struct pollfd ready = {.fd = client->fd, .events = POLLIN};
	enum ending ending = STILL_OPEN;
	uint8_t bytes[65536];
	while (ending == STILL_OPEN) {
		uint64_t now = now_us();
		int wait_ms = now < deadline ? (int)((deadline - now + 999) / 1000) : 0;
		if (poll(&ready, 1, wait_ms) == 0)
			return ENDED_TIMEOUT;
		ending = keep_bytes(client, bytes, recv(client->fd, bytes, sizeof bytes, 0));
	}
	return ending;
}

static enum ending converse(struct client *client)
{
	/* What the peer said before it went away is still to be read; of a reset the kernel tells once. */
	bool was_sent = send_segments(client);
	bool was_reset = !was_sent && errno == ECONNRESET;
	if (was_sent && client->hold > 0) {
		enum ending ending = receive(client, client->hold);
		if (ending != ENDED_TIMEOUT)
			return ending;
	}
	if (client->reset) {
		reset_on_close(client->fd);
		return ENDED_LEFT;
	}
	if (client->half_close)
		shutdown(client->fd, SHUT_WR);
	enum ending ending = receive(client, client->timeout);
	return ending == ENDED_FIN && was_reset ? ENDED_RESET : ending;
}

static void report(const struct client *client, enum ending ending, uint64_t after_us)
{
	FILE *out = client->raw ? stderr : stdout;
	if (client->raw) {
		fwrite(client->received, 1, client->received_len, stdout);
	} else {
		fputs("received ", out);
		for (size_t i = 0; i < client->received_len; i++)
			fprintf(out, "%02x", client->received[i]);
		fputc('\n', out);
	}
	fprintf(out, "ended %s\nafter_ms %llu\n", endings[ending].name,
		(unsigned long long)after_us / 1000);
}

enum {
	HEX = 256,
	TEXT,
	FROM_FILE,
	FIRST,
	SPLIT,
	EVERY,
	DELAY,
	HOLD,
	HALF_CLOSE,
	RESET,
	RAW,
	UNTIL,
	TIMEOUT
};

static const struct option options[] = {
	{"hex", required_argument, NULL, HEX},
	{"text", required_argument, NULL, TEXT},
	{"file", required_argument, NULL, FROM_FILE},
	{"first", required_argument, NULL, FIRST},
	{"split", required_argument, NULL, SPLIT},
	{"every", required_argument, NULL, EVERY},
	{"delay-us", required_argument, NULL, DELAY},
	{"hold", required_argument, NULL, HOLD},
	{"half-close", no_argument, NULL, HALF_CLOSE},
	{"reset", no_argument, NULL, RESET},
	{"raw", no_argument, NULL, RAW},
	{"until", required_argument, NULL, UNTIL},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void parse(struct client *client, int argc, char **argv)
{
	size_t first = SIZE_MAX;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case HEX:
			add_hex(client, optarg);
			break;
		case TEXT:
			add_bytes(client, optarg, strlen(optarg));
			break;
		case FROM_FILE:
			add_file(client, optarg);
			break;
		case FIRST:
			first = (size_t)number(optarg, 0, LONG_MAX);
			break;
		case SPLIT:
			client->split = (size_t)number(optarg, 0, LONG_MAX);
			break;
		case EVERY:
			client->every = (size_t)number(optarg, 1, LONG_MAX);
			break;
		case DELAY:
			client->delay_us = number(optarg, 0, 60000000);
			break;
		case HOLD:
			client->hold = atof(optarg);
			break;
		case HALF_CLOSE:
			client->half_close = true;
			break;
		case RESET:
			client->reset = true;
			break;
		case RAW:
			client->raw = true;
			break;
		case UNTIL:
			client->until = (size_t)number(optarg, 1, LONG_MAX);
			break;
		case TIMEOUT:
			client->timeout = atof(optarg);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind + 1 != argc)
		show_help(help, '?');
	if (first < client->len)
		client->len = first;
}

int main(int argc, char **argv)
{
	struct client client = {.delay_us = 1000, .timeout = 10};
	parse(&client, argc, argv);
	struct endpoint peer = parse_endpoint(argv[optind]);
	client.fd = connect_to(&peer);
	if (client.fd < 0)
		die("%s: %s", argv[optind], strerror(errno));
	uint64_t begun = now_us();
	enum ending ending = converse(&client);
	close(client.fd);
	report(&client, ending, now_us() - begun);
	free(client.data);
	free(client.received);
	return endings[ending].status;
}
