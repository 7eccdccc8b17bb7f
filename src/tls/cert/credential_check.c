#include "tls/cert/credential_check.h"

#include "base/date.h"
#include "tls/cert/ossl_error.h"

#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXPIRES_SOON_SECONDS (14 * 24 * 3600)
#define ENDS_TOGETHER        (24 * 3600) /* or nearly: issued on the same day, for as long */
#define TEXT_MAX             512
#define NAME_TEXT_MAX        160

struct checking {
	const struct credential *credential;
	time_t now;
	credential_finding_fn *on_finding;
	void *owner;
};

__attribute__((format(printf, 3, 4))) static void checking_report(
	const struct checking *checking, enum credential_part part, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	checking->on_finding(checking->owner, part, text);
}

/* "CN=Example R3,O=Example": printable, whatever the certificate has. */
static void name_text(const X509_NAME *name, char out[NAME_TEXT_MAX])
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(bio, &text);
	snprintf(out, NAME_TEXT_MAX, "%.*s", (int)len, len > 0 ? text : "");
	BIO_free(bio);
}

/* The certificate itself. */

static void check_leaf_dates(const struct checking *checking)
{
	const X509 *leaf = checking->credential->leaf;
	time_t from = credential_time(X509_get0_notBefore(leaf));
	time_t until = credential_time(X509_get0_notAfter(leaf)), now = checking->now;
	char date[DATE_SIZE];
	date_write(now < from ? from : until, date);
	if (now < from)
		checking_report(
			checking, CREDENTIAL_CERT, "the certificate is not valid before %s", date);
	else if (now > until)
		checking_report(checking, CREDENTIAL_CERT, "the certificate expired at %s", date);
	else if (now > until - EXPIRES_SOON_SECONDS)
		checking_report(checking, CREDENTIAL_CERT, "the certificate expires at %s", date);
}

/* Its chain. Certificates are counted as they stand in the file: the first one is number 1. */

static void check_intermediate_dates(const struct checking *checking, X509 *issuer, int number)
{
	char name[NAME_TEXT_MAX], from_date[DATE_SIZE], until_date[DATE_SIZE];
	time_t from = credential_time(X509_get0_notBefore(issuer));
	time_t until = credential_time(X509_get0_notAfter(issuer)), now = checking->now;
	time_t leaf_until = credential_time(X509_get0_notAfter(checking->credential->leaf));
	name_text(X509_get_subject_name(issuer), name);
	date_write(from, from_date);
	date_write(until, until_date);
	if (now < from)
		checking_report(checking, CREDENTIAL_CERT,
			"certificate %d of the file, %s, is not valid before %s", number, name,
			from_date);
	else if (now > until)
		checking_report(checking, CREDENTIAL_CERT,
			"certificate %d of the file, %s, expired at %s", number, name, until_date);
	else if (until + ENDS_TOGETHER < leaf_until)
		checking_report(checking, CREDENTIAL_CERT,
			"certificate %d of the file, %s, expires before the certificate itself, at %s",
			number, name, until_date);
}

/* RFC 5280 section 4.2.1.1. Not by OpenSSL's cache of extensions, which a lazy certificate has not. */
static bool has_key_of(const X509 *subject, X509 *issuer)
{
	const ASN1_OCTET_STRING *key = X509_get0_subject_key_id(issuer);
	AUTHORITY_KEYID *wanted =
		X509_get_ext_d2i(subject, NID_authority_key_identifier, NULL, NULL);
	bool same =
		!key || !wanted || !wanted->keyid || ASN1_OCTET_STRING_cmp(key, wanted->keyid) == 0;
	AUTHORITY_KEYID_free(wanted);
	return same;
}

static bool check_link(
	const struct checking *checking, const X509 *subject, X509 *issuer, int number)
{
	char wanted[NAME_TEXT_MAX], name[NAME_TEXT_MAX];
	name_text(X509_get_issuer_name(subject), wanted);
	name_text(X509_get_subject_name(issuer), name);
	if (X509_NAME_cmp(X509_get_issuer_name(subject), X509_get_subject_name(issuer)) != 0)
		checking_report(checking, CREDENTIAL_CERT,
			"the issuer of certificate %d, %s, is not certificate %d of the file, which "
			"is %s",
			number - 1, wanted, number, name);
	else if (!has_key_of(subject, issuer))
		checking_report(checking, CREDENTIAL_CERT,
			"certificate %d of the file, %s, has another key than the issuer of "
			"certificate %d",
			number, name, number - 1);
	else
		return true;
	return false;
}

static bool has_issuer_url(const X509 *leaf)
{
	AUTHORITY_INFO_ACCESS *list = X509_get_ext_d2i(leaf, NID_info_access, NULL, NULL);
	bool found = false;
	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(list); i++) {
		const ACCESS_DESCRIPTION *at = sk_ACCESS_DESCRIPTION_value(list, i);
		found |= OBJ_obj2nid(at->method) == NID_ad_ca_issuers;
	}
	AUTHORITY_INFO_ACCESS_free(list);
	return found;
}

/*
 * A private CA may well issue from its root, which is not sent. One that says where its certificate
 * is to be had expects that somebody lacks it.
 */
static void check_missing(const struct checking *checking)
{
	const X509 *leaf = checking->credential->leaf;
	const X509_NAME *issuer = X509_get_issuer_name(leaf);
	char name[NAME_TEXT_MAX];
	if (X509_NAME_cmp(issuer, X509_get_subject_name(leaf)) == 0 || !has_issuer_url(leaf))
		return;
	name_text(issuer, name);
	checking_report(checking, CREDENTIAL_CERT,
		"no intermediate certificate follows in the file: clients that do not know the "
		"issuer, %s, refuse the certificate",
		name);
}

static void check_chain(const struct checking *checking)
{
	const struct credential *credential = checking->credential;
	const X509 *subject = credential->leaf;
	bool leads_up = true;
	if (sk_X509_num(credential->chain) <= 0)
		check_missing(checking);
	for (int i = 0; i < sk_X509_num(credential->chain); i++) {
		X509 *issuer = sk_X509_value(credential->chain, i);
		leads_up = leads_up && check_link(checking, subject, issuer, i + 2);
		if (!credential_is_root(issuer))
			check_intermediate_dates(checking, issuer, i + 2);
		subject = issuer;
	}
}

/* The key. */

/* Whether all users can enter the directories in which the file stands. */
static bool is_open_to_all(const char *path)
{
	char *real = realpath(path, NULL);
	bool is_open = real != NULL;
	for (char *slash; is_open && (slash = strrchr(real, '/')) != NULL && slash != real;) {
		struct stat st;
		*slash = '\0';
		is_open = stat(real, &st) == 0 && st.st_mode & S_IXOTH;
	}
	free(real);
	return is_open;
}

/* The owner and the group may be whoever the administrator chose; all others are not meant. */
static void check_key_mode(const struct checking *checking)
{
	const struct file_stamp *stamp = &checking->credential->key_stamp;
	if (!stamp->path || !(stamp->mode & (S_IROTH | S_IWOTH)) || !is_open_to_all(stamp->path))
		return;
	checking_report(checking, CREDENTIAL_KEY,
		"\"%s\": mode %04o lets other users %s this key; run chmod 600", stamp->path,
		(unsigned)stamp->mode, stamp->mode & S_IROTH ? "read" : "write");
}

void credential_check(const struct credential *credential, time_t now,
	credential_finding_fn *on_finding, void *owner)
{
	struct checking checking = {credential, now, on_finding, owner};
	check_leaf_dates(&checking);
	check_chain(&checking);
	check_key_mode(&checking);
	ossl_error_clear();
}
