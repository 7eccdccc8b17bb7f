/* A name server that knows what a file says at the moment it is asked. */
#include "tool.h"

#include <arpa/inet.h>

static const char help[] =
	"usage: dnsd --zone FILE ADDRESS\n"
	"Answers questions over UDP from the lines of FILE, read anew for each:\n"
	"  NAME TTL ADDRESS     an IPv4 or IPv6 address; several lines for several\n"
	"  NAME TTL none        the name is there, and has no address\n"
	"  NAME TTL silent      is not answered\n"
	"Any other name does not exist. Prints \"listening\", and NAME for each question of type A.\n";

enum { TYPE_A = 1, TYPE_AAAA = 28, HEADER = 12, RECORD = 12, MESSAGE_MOST = 1400 };

struct answer {
	uint8_t bytes[MESSAGE_MOST];
	size_t len;
	unsigned count;
	bool is_known, is_silent;
};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The name of the question as text; 0, or where its type begins. */
static size_t read_name(const uint8_t *message, size_t len, char *out, size_t size)
{
	size_t at = HEADER, used = 0;
	while (at < len && message[at] != 0) {
		size_t label = message[at];
		if (label > 63 || at + 1 + label >= len || used + label + 2 > size)
			return 0;
		memcpy(out + used, message + at + 1, label);
		used += label;
		out[used++] = '.';
		at += 1 + label;
	}
	out[used ? used - 1 : 0] = '\0';
	return at + 5 <= len ? at + 1 : 0;
}

static void add_record(struct answer *answer, unsigned type, unsigned ttl, const char *text)
{
	uint8_t address[16];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	size_t size = family == AF_INET ? 4 : 16;
	if (type != (family == AF_INET ? TYPE_A : TYPE_AAAA) ||
		inet_pton(family, text, address) != 1 || answer->len + RECORD + size > MESSAGE_MOST)
		return;
	uint8_t *at = answer->bytes + answer->len;
	put16(at, 0xc000 | HEADER); /* the name of the question */
	put16(at + 2, type);
	put16(at + 4, 1);
	put16(at + 6, ttl >> 16);
	put16(at + 8, ttl);
	put16(at + 10, (unsigned)size);
	memcpy(at + RECORD, address, size);
	answer->len += RECORD + size;
	answer->count++;
}

static void look_up(struct answer *answer, const char *zone, const char *name, unsigned type)
{
	char line[512], known[256], value[64];
	unsigned ttl;
	FILE *file = fopen(zone, "re");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%255s %u %63s", known, &ttl, value) != 3 ||
			strcasecmp(known, name) != 0)
			continue;
		answer->is_known = true;
		answer->is_silent |= strcmp(value, "silent") == 0;
		add_record(answer, type, ttl, value);
	}
	if (file)
		fclose(file);
}

static void serve(int fd, const char *zone)
{
	struct sockaddr_storage from;
	socklen_t from_len = sizeof from;
	struct answer answer = {.len = 0};
	char name[256];
	ssize_t n = recvfrom(fd, answer.bytes, 512, 0, (struct sockaddr *)&from, &from_len);
	size_t at = n > HEADER ? read_name(answer.bytes, (size_t)n, name, sizeof name) : 0;
	if (at == 0)
		return;
	unsigned type = (unsigned)answer.bytes[at] << 8 | answer.bytes[at + 1];
	answer.len = at + 4;
	look_up(&answer, zone, name, type);
	if (type == TYPE_A)
		puts(name);
	fflush(stdout);
	if (answer.is_silent)
		return;
	put16(answer.bytes + 2, answer.is_known ? 0x8580 : 0x8583); /* authoritative; NXDOMAIN */
	put16(answer.bytes + 4, 1);
	put16(answer.bytes + 6, answer.count);
	put16(answer.bytes + 8, 0);
	put16(answer.bytes + 10, 0);
	sendto(fd, answer.bytes, answer.len, 0, (struct sockaddr *)&from, from_len);
}

int main(int argc, char **argv)
{
	enum { ZONE = 256 };
	static const struct option options[] = {
		{"zone", required_argument, NULL, ZONE}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *zone = NULL;
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (option != ZONE)
			show_help(help, option);
		zone = optarg;
	}
	if (argc - optind != 1 || !zone)
		show_help(help, '?');
	struct endpoint at = parse_endpoint(argv[optind]);
	int fd = socket(at.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, &at.any, at.len) < 0)
		die("%s: %s", argv[optind], strerror(errno));
	puts("listening");
	fflush(stdout);
	for (;;)
		serve(fd, zone);
}
