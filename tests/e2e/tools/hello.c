/* Prints a ClientHello as OpenSSL makes it, if wanted in smaller TLS records. */
#include "tool.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_HEADER 5
#define PAD_EXTENSION 0xfafa /* a GREASE value of RFC 8701: every server must ignore it */
#define CHUNK_MAX     16384

static const char help[] =
	"usage: hello [options] > FILE\n"
	"  --sni NAME       the server name (default: none)\n"
	"  --alpn A,B       the protocols to offer\n"
	"  --min VERSION    TLS1.0 TLS1.1 TLS1.2 TLS1.3\n"
	"  --max VERSION\n"
	"  --groups LIST    as for SSL_CTX_set1_groups_list(3)\n"
	"  --pad N          an extension of N bytes (at most 65000) that no server knows\n"
	"  --record K       split into TLS records of K bytes each\n";

struct wish {
	const char *sni, *alpn, *groups;
	int min, max;
	uint8_t *pad;
	size_t pad_len, record;
};

static int version(const char *text)
{
	static const char *const names[] = {"TLS1.0", "TLS1.1", "TLS1.2", "TLS1.3"};
	for (int i = 0; i < 4; i++)
		if (strcmp(text, names[i]) == 0)
			return TLS1_VERSION + i;
	die("expected TLS1.0, TLS1.1, TLS1.2 or TLS1.3, got \"%s\"", text);
}

static int add_pad(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
	size_t *len, X509 *cert, size_t chain_index, int *alert, void *arg)
{
	const struct wish *wish = arg;
	(void)ssl, (void)type, (void)context, (void)cert, (void)chain_index, (void)alert;
	*out = wish->pad;
	*len = wish->pad_len;
	return 1;
}

static void set_alpn(SSL *ssl, const char *list)
{
	unsigned char wire[1024];
	size_t used = 0;
	while (*list) {
		size_t len = strcspn(list, ",");
		if (len == 0 || len > 255 || used + 1 + len > sizeof wire)
			die("--alpn: an id has 1 to 255 bytes");
		wire[used++] = (unsigned char)len;
		memcpy(wire + used, list, len);
		used += len;
		list += len + (list[len] == ',');
	}
	SSL_set_alpn_protos(ssl, wire, (unsigned)used);
}

static SSL_CTX *make_context(struct wish *wish)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(context, 0); /* else nothing below TLS 1.2 */
	SSL_CTX_set_min_proto_version(context, wish->min);
	SSL_CTX_set_max_proto_version(context, wish->max);
	if (wish->groups && !SSL_CTX_set1_groups_list(context, wish->groups))
		die("--groups: OpenSSL does not know \"%s\"", wish->groups);
	if (wish->pad_len > 0)
		SSL_CTX_add_custom_ext(context, PAD_EXTENSION, SSL_EXT_CLIENT_HELLO, add_pad, NULL,
			wish, NULL, NULL);
	return context;
}

/* The handshake message alone, taken out of its records. */
static size_t unwrap(uint8_t *data, size_t len)
{
	size_t out = 0;
	for (size_t at = 0; at + RECORD_HEADER <= len;) {
		size_t size = (size_t)data[at + 3] << 8 | data[at + 4];
		memmove(data + out, data + at + RECORD_HEADER, size);
		out += size;
		at += RECORD_HEADER + size;
	}
	return out;
}

static void print_records(uint8_t *data, size_t len, size_t record)
{
	len = unwrap(data, len);
	for (size_t at = 0; at < len; at += record) {
		size_t size = len - at < record ? len - at : record;
		uint8_t header[RECORD_HEADER] = {0x16, 3, 1, (uint8_t)(size >> 8), (uint8_t)size};
		fwrite(header, 1, sizeof header, stdout);
		fwrite(data + at, 1, size, stdout);
	}
}

static void print_hello(struct wish *wish)
{
	SSL_CTX *context = make_context(wish);
	SSL *ssl = SSL_new(context);
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	if (wish->sni)
		SSL_set_tlsext_host_name(ssl, wish->sni);
	if (wish->alpn)
		set_alpn(ssl, wish->alpn);
	SSL_connect(ssl);
	long len = BIO_get_mem_data(out, &data);
	if (len <= 0)
		die("no hello: %s", ERR_reason_error_string(ERR_get_error()));
	if (wish->record > 0)
		print_records((uint8_t *)data, (size_t)len, wish->record);
	else
		fwrite(data, 1, (size_t)len, stdout);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

enum { SNI = 256, ALPN, MIN, MAX, GROUPS, PAD, RECORD };

static const struct option options[] = {
	{"sni", required_argument, NULL, SNI},
	{"alpn", required_argument, NULL, ALPN},
	{"min", required_argument, NULL, MIN},
	{"max", required_argument, NULL, MAX},
	{"groups", required_argument, NULL, GROUPS},
	{"pad", required_argument, NULL, PAD},
	{"record", required_argument, NULL, RECORD},
	{"help", no_argument, NULL, 'h'},
	{0},
};

int main(int argc, char **argv)
{
	struct wish wish = {0};
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (option) {
		case SNI:
			wish.sni = optarg;
			break;
		case ALPN:
			wish.alpn = optarg;
			break;
		case MIN:
			wish.min = version(optarg);
			break;
		case MAX:
			wish.max = version(optarg);
			break;
		case GROUPS:
			wish.groups = optarg;
			break;
		case PAD:
			wish.pad_len = (size_t)number(optarg, 1, 65000);
			break;
		case RECORD:
			wish.record = (size_t)number(optarg, 1, CHUNK_MAX);
			break;
		default:
			show_help(help, option);
		}
	}
	if (optind != argc)
		show_help(help, '?');
	wish.pad = calloc(1, wish.pad_len + 1);
	print_hello(&wish);
	free(wish.pad);
	return fflush(stdout) == 0 ? 0 : 1;
}
