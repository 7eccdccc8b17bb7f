#include "explain/explain.h"

#include "config/config_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Up to the end, or to `size` bytes. -1: see errno. */
static ssize_t read_up_to(int fd, uint8_t *out, size_t size)
{
	size_t len = 0;
	while (len < size) {
		ssize_t n = read(fd, out + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

bool explain_input_read(struct explain_input *input, const char *path, struct err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read_up_to(fd, input->wire, sizeof input->wire);
	if (len < 0)
		err_set(err, "%s: %s", is_stdin ? "standard input" : path, strerror(errno));
	if (fd >= 0 && !is_stdin)
		close(fd);
	if (len < 0)
		return false;
	struct span wire = span_of(input->wire, (size_t)len);
	input->verdict = client_hello_parse(wire, input->joined, &input->hello);
	if (input->verdict == HELLO_NOT_TLS)
		input->plaintext = plaintext_look(wire);
	return true;
}

bool explain_input_plaintext(struct explain_input *input, const char *word, struct err *err)
{
	bool is_http = strcmp(word, "http") == 0;
	input->verdict = HELLO_NOT_TLS;
	input->plaintext = is_http ? PLAINTEXT_HTTP : PLAINTEXT_SSH;
	if (is_http || strcmp(word, "ssh") == 0)
		return true;
	err_set(err, "plaintext: expected \"http\" or \"ssh\", got \"%s\"", word);
	return false;
}

/* One id of the list, as it would be on the wire, behind its length. */
static bool add_id(struct explain_input *input, size_t *used, const char *text, size_t len)
{
	char copy[ALPN_TEXT_MAX];
	uint8_t id[255];
	size_t id_len;
	if (len >= sizeof copy || *used + 1 + sizeof id > sizeof input->wire)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!alpn_decode(copy, id, &id_len))
		return false;
	input->wire[(*used)++] = (uint8_t)id_len;
	memcpy(input->wire + *used, id, id_len);
	*used += id_len;
	return true;
}

bool explain_input_make(
	struct explain_input *input, const char *sni, const char *alpn, struct err *err)
{
	size_t used = 0;
	input->verdict = HELLO_WHOLE;
	input->hello = (struct client_hello){.version_min = 0x0303, .version_max = 0x0304};
	if (*sni) {
		struct client_hello *hello = &input->hello;
		hello->sni_error = server_name_parse_sni(span_of_string(sni), &hello->sni);
		hello->sni_is_address = !hello->sni_error && hello->sni.len == 0;
	}
	while (alpn) {
		size_t len = strcspn(alpn, ",");
		if (!add_id(input, &used, alpn, len)) {
			err_set(err,
				"--alpn: expected protocols of 1 to 255 bytes such as "
				"\"h2,http/1.1\", got \"%.*s\"",
				(int)len, alpn);
			return false;
		}
		alpn = alpn[len] == ',' ? alpn + len + 1 : NULL;
	}
	input->hello.alpn = span_of(input->wire, used);
	return true;
}

static void print_name(struct out *out, const struct client_hello *hello)
{
	if (hello->sni.len > 0)
		out_bytes(out, "sni", span_of(hello->sni.text, hello->sni.len));
	else
		out_text(out, "sni", NULL);
	if (hello->sni_is_address)
		out_text(out, "sni_note", "an IP address is not a server name, and counts as none");
}

static void print_alpn(struct out *out, const struct client_hello *hello)
{
	char text[ALPN_TEXT_MAX];
	struct span list = hello->alpn, id;
	out_list(out, "alpn");
	while (alpn_next(&list, &id)) {
		alpn_text(id, text, sizeof text);
		out_text(out, NULL, text);
	}
	out_close(out);
}

void explain_hello(struct out *out, const struct explain_input *input)
{
	const struct client_hello *hello = &input->hello;
	out_flag(out, "complete", input->verdict == HELLO_WHOLE);
	print_name(out, hello);
	out_text(out, "sni_error", hello->sni_error);
	print_alpn(out, hello);
	if (hello->alpn_error)
		out_text(out, "alpn_error", hello->alpn_error);
	out_text(out, "error", hello->error);
}

void explain_offer(struct out *out, const struct explain_input *input)
{
	print_name(out, &input->hello);
	print_alpn(out, &input->hello);
}
