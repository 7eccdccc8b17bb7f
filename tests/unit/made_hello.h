/* ClientHellos as OpenSSL sends them, if wanted in smaller records. */
#ifndef GATEHOUSE_UNIT_MADE_HELLO_H
#define GATEHOUSE_UNIT_MADE_HELLO_H

#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MADE_HELLO_MAX (32 * 1024)

struct made_hello {
	size_t len;
	uint8_t data[MADE_HELLO_MAX];
};

/* `sni` NULL: none. `alpn`: in wire form, "\x02h2"; NULL: none. */
static inline struct made_hello made_hello(const char *sni, const char *alpn, int max_version)
{
	struct made_hello hello;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	SSL_CTX_set_max_proto_version(context, max_version);
	SSL *ssl = SSL_new(context);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	if (sni)
		SSL_set_tlsext_host_name(ssl, sni);
	if (alpn)
		SSL_set_alpn_protos(ssl, (const uint8_t *)alpn, (unsigned)strlen(alpn));
	SSL_connect(ssl);
	hello.len = (size_t)BIO_get_mem_data(out, &data);
	if (hello.len == 0 || hello.len > MADE_HELLO_MAX)
		abort();
	memcpy(hello.data, data, hello.len);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return hello;
}

/* The same message in records of so many bytes; it comes in one. */
static inline struct made_hello made_hello_split(const struct made_hello *hello, size_t record)
{
	struct made_hello split = {0};
	for (size_t at = 5; at < hello->len; at += record) {
		size_t len = hello->len - at < record ? hello->len - at : record;
		uint8_t header[] = {22, 3, 1, (uint8_t)(len >> 8), (uint8_t)len};
		if (split.len + sizeof header + len > MADE_HELLO_MAX)
			abort();
		memcpy(split.data + split.len, header, sizeof header);
		memcpy(split.data + split.len + sizeof header, hello->data + at, len);
		split.len += sizeof header + len;
	}
	return split;
}

#endif
