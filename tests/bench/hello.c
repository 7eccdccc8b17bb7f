#include "hello.h"

#include "names.h"
#include "sockets.h"

#include <openssl/ssl.h>

static size_t first_flight(const char *name, unsigned char *to, size_t room)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context ? SSL_new(context) : NULL;
	BIO *sent = BIO_new(BIO_s_mem());

	if (!ssl || !sent || !SSL_set_tlsext_host_name(ssl, name))
		die("cannot make a ClientHello");
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), sent);
	SSL_connect(ssl);
	int length = BIO_read(sent, to, (int)room);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return length > 0 ? (size_t)length : 0;
}

void hello_capture(struct hello *hello, const char *name_pattern, const struct command *command)
{
	unsigned char name[NAME_MAX_LENGTH + 1] = {0};

	name_write(name_pattern, 0, name);
	hello->name_pattern = name_pattern;
	hello->length = first_flight((const char *)name, hello->bytes, HELLO_MAX);
	const unsigned char *found =
		memmem(hello->bytes, hello->length, name, strlen((const char *)name));
	if (!found || hello->bytes[0] != TLS_HANDSHAKE_RECORD)
		die("no server name in the captured ClientHello");
	hello->name_offset = (size_t)(found - hello->bytes);
	command_encode(command, hello->bytes + HELLO_RANDOM_OFFSET);
}

void hello_in_the_clear(struct hello *hello, const char *first, const struct command *command)
{
	size_t length = strlen(first);

	*hello = (struct hello){.length = length + COMMAND_SIZE};
	memcpy(hello->bytes, first, length);
	command_encode(command, hello->bytes + length);
}

void hello_copy(const struct hello *hello, uint32_t number, unsigned char *to)
{
	memcpy(to, hello->bytes, hello->length);
	if (hello->name_offset > 0)
		name_write(hello->name_pattern, number, to + hello->name_offset);
}
