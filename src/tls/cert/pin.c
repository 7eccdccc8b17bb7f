#include "tls/cert/pin.h"

#include <openssl/evp.h>
#include <strings.h>

#define BASE64_LEN 44 /* of 32 bytes, with one "=" */

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool parse_hex(const char *text, uint8_t out[FINGERPRINT_SIZE])
{
	for (size_t i = 0; i < FINGERPRINT_SIZE; i++) {
		if (i > 0 && *text == ':')
			text++;
		int high = digit_of(text[0]), low = high < 0 ? -1 : digit_of(text[1]);
		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == '\0';
}

static bool parse_base64(const char *text, uint8_t out[FINGERPRINT_SIZE])
{
	uint8_t bytes[BASE64_LEN];
	if (strlen(text) != BASE64_LEN || text[BASE64_LEN - 1] != '=')
		return false;
	if (EVP_DecodeBlock(bytes, (const uint8_t *)text, BASE64_LEN) != FINGERPRINT_SIZE + 1)
		return false;
	memcpy(out, bytes, FINGERPRINT_SIZE);
	return true;
}

bool pins_add(struct pins *pins, const char *text, struct err *err)
{
	if (pins->count == PINS_MAX) {
		err_set(err, "expected at most %d pins", PINS_MAX);
		return false;
	}
	uint8_t *out = pins->sha256[pins->count];
	bool ok;
	if (strncmp(text, "sha256//", 8) == 0)
		ok = parse_base64(text + 8, out);
	else
		ok = parse_hex(strncasecmp(text, "sha256:", 7) == 0 ? text + 7 : text, out);
	if (ok)
		pins->count++;
	else
		err_set(err,
			"expected a SHA-256 as 64 hexadecimal digits or \"sha256//\" and base64, "
			"got \"%s\"",
			text);
	return ok;
}

bool pins_match(const struct pins *pins, const struct identity *identity)
{
	for (size_t i = 0; i < pins->count; i++)
		if (memcmp(pins->sha256[i], identity->certificate, FINGERPRINT_SIZE) == 0 ||
			memcmp(pins->sha256[i], identity->key, FINGERPRINT_SIZE) == 0)
			return true;
	return false;
}
