/*
 * A certificate, either any DER or one made of the names in the input, and a question: is it that
 * DNS name, that email address? The ACL must say what OpenSSL's X509_check_host and
 * X509_check_email say, wherever the two mean the same.
 *
 * Input: a byte of flags (1: DER; 2: the question is a value of the certificate, then changed), the
 * question behind its length, then the DER, or names, each as a byte that chooses the type, a
 * length and that many bytes.
 */
#include "../unit/made_certificate.h"
#include "route/acl/acl.h"
#include "tls/cert/identity.h"
#include "wire/server_name.h"

#include <openssl/err.h>
#include <stdlib.h>

#define CHECK(claim)                                                                               \
	do {                                                                                       \
		if (!(claim))                                                                      \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NAMES_MAX = 16 };

static X509 *from_names(struct span input)
{
	static EVP_PKEY *key; /* made once; fuzzing has one thread */
	static const struct made_name types[] = {
		{0, GEN_DNS, {0}},
		{0, GEN_EMAIL, {0}},
		{0, GEN_URI, {0}},
		{NID_commonName, V_ASN1_UTF8STRING, {0}},
		{NID_commonName, V_ASN1_BMPSTRING, {0}},
		{NID_commonName, V_ASN1_PRINTABLESTRING, {0}},
		{NID_organizationName, V_ASN1_T61STRING, {0}},
		{NID_organizationalUnitName, V_ASN1_UNIVERSALSTRING, {0}},
	};
	struct made_name names[NAMES_MAX];
	size_t count = 0;
	unsigned type;
	while (count < NAMES_MAX && span_take_u8(&input, &type)) {
		names[count] = types[type % (sizeof types / sizeof types[0])];
		if (!span_take_vector8(&input, &names[count].value))
			break;
		count++;
	}
	if (!key)
		key = made_key();
	return made_certificate(key, names, count);
}

static X509 *from_der(struct span input)
{
	const unsigned char *at = input.data;
	return d2i_X509(NULL, &at, (long)input.len);
}

static void check_identity(const struct identity *identity)
{
	char text[IDENTITY_TEXT_MAX];
	identity_text(identity, text);
	CHECK(strlen(text) < sizeof text);
	for (size_t i = 0; text[i]; i++)
		CHECK((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
	for (size_t i = 0; i < identity->count; i++) {
		const struct identity_value *value = &identity->values[i];
		CHECK(!value->is_valid ||
			(value->text.len > 0 && !memchr(value->text.data, 0, value->text.len)));
	}
}

/*
 * What only one of the two knows: final dots, bytes above ASCII,
 * SmtpUTF8Mailbox, long addresses.
 */
static bool is_beyond_compare(const X509 *certificate)
{
	bool is_odd = false;
	GENERAL_NAMES *sans = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(sans); i++) {
		const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
		is_odd |= san->type == GEN_OTHERNAME;
		if (san->type != GEN_DNS && san->type != GEN_EMAIL)
			continue;
		const uint8_t *bytes = ASN1_STRING_get0_data(san->d.ia5);
		int len = ASN1_STRING_length(san->d.ia5);
		is_odd |= len > 0 && bytes[len - 1] == '.';
		for (int j = 0; j < len; j++)
			is_odd |= bytes[j] >= 0x80;
	}
	GENERAL_NAMES_free(sans);
	return is_odd;
}

static bool acl_says(const struct acl_config *config, const struct identity *identity, bool *said)
{
	struct err err;
	struct acl_verdict verdict;
	struct acl *acl = acl_create(config, &err);
	if (!acl)
		return false;
	*said = acl_check(acl, identity, &verdict);
	CHECK(*said == (verdict.rule != NULL));
	acl_free(acl);
	return true;
}

static void compare(X509 *certificate, const struct identity *identity, const char *asked)
{
	const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS;
	struct strings rules = {&asked, 1};
	struct server_name name;
	size_t len = strlen(asked);
	bool said;
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)asked[i] >= 0x80)
			return;
	if (!memchr(asked, '*', len) && !server_name_parse(span_of(asked, len), &name) &&
		acl_says(&(struct acl_config){.allow_dns = rules}, identity, &said))
		CHECK(said ==
			(X509_check_host(certificate, name.text, name.len, flags, NULL) == 1));
	if (acl_says(&(struct acl_config){.allow_email = rules}, identity, &said))
		CHECK(said == (X509_check_email(certificate, asked, len, flags) == 1));
	/* Never a crash, nor an answer without a rule. */
	acl_says(&(struct acl_config){.allow_uri = rules}, identity, &said);
	acl_says(&(struct acl_config){.allow_cn = rules}, identity, &said);
}

/* A value of the certificate, in which some bytes have changed, most of them in their case only. */
static void ask_nearly(const struct identity *identity, struct span how, char asked[256])
{
	unsigned which, at;
	if (identity->count == 0 || !span_take_u8(&how, &which))
		return;
	struct span value = identity->values[which % identity->count].text;
	size_t len = value.len < 255 ? value.len : 255;
	memcpy(asked, value.data, len);
	while (len > 0 && span_take_u8(&how, &at))
		asked[at % len] ^= at & 0x40 ? 0x01 : 0x20;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span input = span_of(data, len), question;
	unsigned kind;
	if (!span_take_u8(&input, &kind) || !span_take_vector8(&input, &question))
		return 0;
	X509 *certificate = kind & 1 ? from_der(input) : from_names(input);
	ERR_clear_error();
	struct identity *identity = certificate ? identity_of(certificate) : NULL;
	CHECK(ERR_peek_error() == 0);
	char asked[256] = "";
	if (identity && kind & 2)
		ask_nearly(identity, question, asked);
	else
		memcpy(asked, question.data, question.len);
	if (identity) {
		check_identity(identity);
		if (!is_beyond_compare(certificate))
			compare(certificate, identity, asked);
	}
	identity_free(identity);
	X509_free(certificate);
	ERR_clear_error();
	return 0;
}
