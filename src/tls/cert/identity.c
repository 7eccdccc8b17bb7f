#include "tls/cert/identity.h"

#include "base/utf8.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VALUE_SHOWN 96 /* bytes of a value's escaped text */

/* The certificate is walked twice: to see how much there is (`out` is NULL), and to copy it. */
struct collector {
	struct identity *out;
	uint8_t *free;
	size_t count, bytes;
	size_t count_max, bytes_max; /* what there is room for */
};

/* Without memory a value may be longer than it was before: its text is not converted. */
static bool has_room(const struct collector *to, size_t len)
{
	return to->count < to->count_max && to->bytes <= to->bytes_max &&
		len <= to->bytes_max - to->bytes;
}

static void collect_value(
	struct collector *to, enum identity_kind kind, const void *data, size_t len, bool is_valid)
{
	if (to->out && has_room(to, len)) {
		if (len > 0)
			memcpy(to->free, data, len);
		to->out->values[to->count] = (struct identity_value){
			.text = span_of(to->free, len), .kind = kind, .is_valid = is_valid};
		to->free += len;
	}
	to->count++;
	to->bytes += len;
}

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 0x80)
			return false;
	return true;
}

static bool is_whole(struct span text)
{
	return text.len > 0 && memchr(text.data, 0, text.len) == NULL;
}

/*
 * The string types of a DirectoryString, and those that certificates use in its place. OpenSSL
 * would read the one-byte types as Latin-1, which of these only T61String is by custom.
 */
static bool is_text(const ASN1_STRING *string, struct span raw)
{
	switch (ASN1_STRING_type(string)) {
	case V_ASN1_UTF8STRING:
	case V_ASN1_BMPSTRING:
	case V_ASN1_UNIVERSALSTRING:
	case V_ASN1_T61STRING:
		return true;
	case V_ASN1_PRINTABLESTRING:
	case V_ASN1_IA5STRING:
	case V_ASN1_NUMERICSTRING:
	case V_ASN1_VISIBLESTRING:
		return is_ascii(raw);
	default:
		return false;
	}
}

static struct span span_of_asn1(const ASN1_STRING *string)
{
	return span_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
}

static void collect_subject_value(
	struct collector *to, enum identity_kind kind, const ASN1_STRING *string)
{
	struct span raw = span_of_asn1(string);
	unsigned char *text = NULL;
	int len = is_text(string, raw) ? ASN1_STRING_to_UTF8(&text, string) : -1;
	if (len < 0)
		collect_value(to, kind, raw.data, raw.len, false);
	else
		collect_value(to, kind, text, (size_t)len, is_whole(span_of(text, (size_t)len)));
	OPENSSL_free(text);
}

static void collect_subject(struct collector *to, const X509_NAME *subject)
{
	for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
		const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
		switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))) {
		case NID_commonName:
			collect_subject_value(to, IDENTITY_CN, value);
			break;
		case NID_organizationName:
			collect_subject_value(to, IDENTITY_ORG, value);
			break;
		case NID_organizationalUnitName:
			collect_subject_value(to, IDENTITY_OU, value);
			break;
		default:
			break;
		}
	}
}

static void collect_san(struct collector *to, enum identity_kind kind, const ASN1_STRING *string)
{
	struct span raw = span_of_asn1(string);
	collect_value(to, kind, raw.data, raw.len, is_whole(raw) && is_ascii(raw));
}

static void collect_sans(struct collector *to, const GENERAL_NAMES *sans)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
		if (san->type == GEN_DNS)
			collect_san(to, IDENTITY_DNS, san->d.dNSName);
		else if (san->type == GEN_URI)
			collect_san(to, IDENTITY_URI, san->d.uniformResourceIdentifier);
		else if (san->type == GEN_EMAIL)
			collect_san(to, IDENTITY_EMAIL, san->d.rfc822Name);
	}
}

static bool take_fingerprints(struct identity *identity, const X509 *certificate)
{
	return X509_digest(certificate, EVP_sha256(), identity->certificate, NULL) &&
		ASN1_item_digest(ASN1_ITEM_rptr(X509_PUBKEY), EVP_sha256(),
			X509_get_X509_PUBKEY(certificate), identity->key, NULL);
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm parts;
	return ASN1_TIME_to_tm(time, &parts) ? (int64_t)timegm(&parts) : 0;
}

static struct identity *identity_collect(const X509 *certificate, const GENERAL_NAMES *sans)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	struct collector all = {0};
	collect_subject(&all, subject);
	collect_sans(&all, sans);
	size_t table = sizeof(struct identity) + all.count * sizeof(struct identity_value);
	struct identity *identity = calloc(1, table + all.bytes);
	if (!identity)
		return NULL;
	struct collector to = {.out = identity,
		.free = (uint8_t *)identity + table,
		.count_max = all.count,
		.bytes_max = all.bytes};
	collect_subject(&to, subject);
	collect_sans(&to, sans);
	identity->count = to.count;
	identity->not_after = seconds_of(X509_get0_notAfter(certificate));
	if (to.count == all.count && to.bytes == all.bytes &&
		take_fingerprints(identity, certificate))
		return identity;
	identity_free(identity);
	return NULL;
}

/*
 * A SAN extension that does not parse, or stands there twice, is as none;
 * verification refuses it. So is one without the memory for it: rules admit what they find.
 */
struct identity *identity_of(const struct x509_st *certificate)
{
	ERR_set_mark();
	GENERAL_NAMES *sans = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	struct identity *identity = identity_collect(certificate, sans);
	GENERAL_NAMES_free(sans);
	ERR_pop_to_mark();
	return identity;
}

void identity_free(struct identity *identity)
{
	free(identity);
}

struct span identity_first(const struct identity *identity, enum identity_kind kind)
{
	for (size_t i = 0; i < identity->count; i++)
		if (identity->values[i].kind == kind && identity->values[i].is_valid)
			return identity->values[i].text;
	return span_of("", 0);
}

/* Text for the log. */

struct text {
	char *out;
	size_t len;
};

static const char dots[] = "...";

/* All or nothing; there is always room left for the dots and the NUL. */
static bool text_put(struct text *text, const char *bytes, size_t len)
{
	if (text->len + len + sizeof dots > IDENTITY_TEXT_MAX)
		return false;
	memcpy(text->out + text->len, bytes, len);
	text->len += len;
	return true;
}

/* How many bytes of `rest` stand for one character of text; 0: the first byte is none. */
static size_t shown_length(struct span rest, bool is_valid)
{
	uint32_t point;
	size_t len = is_valid || rest.data[0] < 0x80 ? utf8_decode(rest, &point) : 0;
	return len > 0 && !utf8_is_control(point) ? len : 0;
}

/* One character as it is, or one byte escaped. Moves `rest`; returns the length of what it wrote. */
static size_t escape_next(struct span *rest, bool is_valid, char out[8])
{
	const uint8_t *at = rest->data;
	size_t len = shown_length(*rest, is_valid), used = 0;
	*rest = span_of(at + (len ? len : 1), rest->len - (len ? len : 1));
	if (len == 0)
		return (size_t)snprintf(out, 8, "\\x%02x", *at);
	if (*at == ',' || *at == '\\')
		out[used++] = '\\';
	memcpy(out + used, at, len);
	return used + len;
}

static bool text_put_value(struct text *text, const struct identity_value *value)
{
	size_t limit = text->len + VALUE_SHOWN;
	for (struct span rest = value->text; rest.len > 0;) {
		char piece[8];
		size_t len = escape_next(&rest, value->is_valid, piece);
		if (text->len + len > limit)
			return text_put(text, dots, sizeof dots - 1);
		if (!text_put(text, piece, len))
			return false;
	}
	return true;
}

static bool text_put_named_value(struct text *text, const struct identity_value *value)
{
	static const char *const names[] = {[IDENTITY_CN] = "CN=",
		[IDENTITY_ORG] = "O=",
		[IDENTITY_OU] = "OU=",
		[IDENTITY_DNS] = "DNS=",
		[IDENTITY_URI] = "URI=",
		[IDENTITY_EMAIL] = "email="};
	const char *name = names[value->kind];
	return (text->len == 0 || text_put(text, ",", 1)) && text_put(text, name, strlen(name)) &&
		text_put_value(text, value);
}

void identity_text(const struct identity *identity, char out[IDENTITY_TEXT_MAX])
{
	struct text text = {.out = out};
	bool is_whole_text = true;
	for (size_t i = 0; i < identity->count && is_whole_text; i++)
		is_whole_text = text_put_named_value(&text, &identity->values[i]);
	if (identity->count == 0) {
		char hex[FINGERPRINT_HEX_SIZE];
		fingerprint_hex(identity->certificate, hex);
		text_put(&text, "SHA256=", 7);
		text_put(&text, hex, sizeof hex - 1);
	}
	memcpy(out + text.len, is_whole_text ? "" : dots, is_whole_text ? 1 : sizeof dots);
}

void fingerprint_hex(const uint8_t fingerprint[FINGERPRINT_SIZE], char out[FINGERPRINT_HEX_SIZE])
{
	for (size_t i = 0; i < FINGERPRINT_SIZE; i++) {
		out[2 * i] = "0123456789abcdef"[fingerprint[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[fingerprint[i] & 15];
	}
	out[2 * FINGERPRINT_SIZE] = '\0';
}
