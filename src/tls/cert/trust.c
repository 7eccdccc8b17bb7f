#include "tls/cert/trust.h"

#include "tls/cert/ossl_error.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static time_t time_of(const ASN1_TIME *asn1)
{
	struct tm parts;
	return asn1 && ASN1_TIME_to_tm(asn1, &parts) == 1 ? timegm(&parts) : 0;
}

/* Takes it over, also where it fails. */
static bool keep_stamp(struct trust *trust, struct file_stamp *stamp)
{
	struct file_stamp *more =
		realloc(trust->stamps, (trust->stamp_count + 1) * sizeof *trust->stamps);
	if (!more)
		goto finish;
	trust->stamps = more;
	trust->stamps[trust->stamp_count++] = *stamp;
	return true;
finish:
	file_stamp_finish(stamp);
	return false;
}

static bool is_end_of_pem(void)
{
	unsigned long code = ERR_peek_last_error(); /* 0: there was no memory to keep an error in */
	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool add_ca(struct trust *trust, X509 *ca, struct err *err)
{
	if (X509_check_ca(ca) == 0) {
		err_set(err, "holds a certificate that is no CA's");
		return false;
	}
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(ca));
	int is_root = X509_self_signed(ca, 0); /* -1: cannot be found out */
	trust->has_root |= is_root == 1;
	if (is_root >= 0 && X509_STORE_add_cert(trust->store, ca) == 1 && name &&
		sk_X509_NAME_push(trust->names, name) > 0)
		return true;
	X509_NAME_free(name);
	err_set(err, "%s", ossl_error_take());
	return false;
}

static bool parse_cas(struct trust *trust, BIO *pem, struct err *err)
{
	int found = 0;
	X509 *ca;
	while ((ca = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL)) != NULL) {
		bool ok = add_ca(trust, ca, err);
		X509_free(ca);
		if (!ok)
			return false;
		found++;
	}
	if (found > 0 && is_end_of_pem()) {
		ERR_clear_error();
		return true;
	}
	if (found == 0)
		err_set(err, "no PEM certificate in it (%s)", ossl_error_take());
	else
		err_set(err, "certificate %d cannot be read (%s)", found + 1, ossl_error_take());
	return false;
}

static bool add_crl(struct trust *trust, X509_CRL *crl, struct err *err)
{
	time_t next = time_of(X509_CRL_get0_nextUpdate(crl));
	if (X509_STORE_add_crl(trust->store, crl) != 1) {
		err_set(err, "%s", ossl_error_take());
		return false;
	}
	struct trust_crl *more = realloc(trust->crls, (trust->crl_count + 1) * sizeof *more);
	if (!more) {
		err_no_memory(err);
		return false;
	}
	trust->crls = more;
	more[trust->crl_count++] = (struct trust_crl){
		.path = trust->stamps[trust->stamp_count - 1].path, .next_update = next};
	return true;
}

static bool parse_crls(struct trust *trust, BIO *bio, struct err *err)
{
	int found = 0;
	X509_CRL *crl;
	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		bool ok = add_crl(trust, crl, err);
		X509_CRL_free(crl);
		if (!ok)
			return false;
		found++;
	}
	if (found > 0 && is_end_of_pem()) {
		ERR_clear_error();
		return true;
	}
	if (found > 0) {
		err_set(err, "revocation list %d cannot be read (%s)", found + 1,
			ossl_error_take());
		return false;
	}
	BIO_reset(bio);
	if ((crl = d2i_X509_CRL_bio(bio, NULL)) != NULL) {
		bool ok = add_crl(trust, crl, err);
		X509_CRL_free(crl);
		ERR_clear_error();
		return ok;
	}
	err_set(err, "no CRL in it, PEM or DER (%s)", ossl_error_take());
	return false;
}

typedef bool parse_fn(struct trust *, BIO *, struct err *);

static bool load_file(struct trust *trust, const char *path, parse_fn *parse, struct err *err)
{
	struct file_stamp stamp;
	uint8_t *data;
	size_t len;
	bool ok = file_stamp_read(&stamp, path, &data, &len, err);
	if (ok) {
		BIO *bio = BIO_new_mem_buf(data, (int)len);
		ERR_clear_error();
		err_no_memory(err);
		ok = keep_stamp(trust, &stamp) && bio && parse(trust, bio, err);
		BIO_free(bio);
		free(data);
	}
	if (!ok)
		err_prefix(err, "\"%s\": ", path);
	return ok;
}

/* Names that come and go change the times of a directory. */
static bool stamp_directory(struct trust *trust, const char *path, const struct stat *st)
{
	struct file_stamp stamp = {.path = strdup(path),
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
		.settled = true};
	return stamp.path && keep_stamp(trust, &stamp);
}

/* "ca.pem", "ca.crt", "ca.cer", and the hashed names of openssl rehash, "1a2b3c4d.0". */
static int is_certificate_name(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	if (!dot || dot == entry->d_name)
		return false;
	return strcmp(dot, ".pem") == 0 || strcmp(dot, ".crt") == 0 || strcmp(dot, ".cer") == 0 ||
		(dot[1] >= '0' && dot[1] <= '9' && dot[2] == '\0');
}

static bool load_directory_entry(
	struct trust *trust, const char *directory, const char *name, struct err *err)
{
	char path[4096 + 256 + 2];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return load_file(trust, path, parse_cas, err);
}

static bool load_directory(
	struct trust *trust, const char *path, const struct stat *st, struct err *err)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_certificate_name, alphasort);
	if (count < 0) {
		err_set_errno(err, errno, NULL);
		err_prefix(err, "\"%s\": ", path);
		return false;
	}
	bool ok = count > 0;
	if (!ok)
		err_set(err, "\"%s\": no .pem, .crt or .cer file in this directory", path);
	if (ok && !stamp_directory(trust, path, st)) {
		err_set(err, "\"%s\": out of memory", path);
		ok = false;
	}
	for (int i = 0; i < count; i++) {
		ok = ok && load_directory_entry(trust, path, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	return ok;
}

static bool load_ca(struct trust *trust, const char *path, struct err *err)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return load_directory(trust, path, &st, err);
	return load_file(trust, path, parse_cas, err);
}

static bool load_all(struct trust *trust, const struct trust_files *files,
	enum trust_part *at_fault, int *index, struct err *err)
{
	*at_fault = TRUST_CA;
	for (size_t i = 0; i < files->ca_count; i++) {
		*index = (int)i;
		if (!load_ca(trust, files->ca[i], err))
			return false;
	}
	*at_fault = TRUST_CRL;
	for (size_t i = 0; i < files->crl_count; i++) {
		*index = (int)i;
		if (!load_file(trust, files->crl[i], parse_crls, err))
			return false;
	}
	return true;
}

struct trust *trust_load(
	const struct trust_files *files, enum trust_part *at_fault, int *index, struct err *err)
{
	struct trust *trust = calloc(1, sizeof *trust);
	*at_fault = TRUST_CA;
	*index = 0;
	err_no_memory(err);
	if (!trust)
		return NULL;
	trust->refs = 1;
	trust->store = X509_STORE_new();
	trust->names = sk_X509_NAME_new_null();
	if (trust->store && trust->names && load_all(trust, files, at_fault, index, err))
		return trust;
	trust_unref(trust);
	return NULL;
}

struct trust *trust_ref(struct trust *trust)
{
	atomic_fetch_add(&trust->refs, 1);
	return trust;
}

void trust_unref(struct trust *trust)
{
	if (!trust || atomic_fetch_sub(&trust->refs, 1) > 1)
		return;
	for (size_t i = 0; i < trust->stamp_count; i++)
		file_stamp_finish(&trust->stamps[i]);
	free(trust->stamps);
	free(trust->crls);
	X509_STORE_free(trust->store);
	sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
	free(trust);
}

unsigned long trust_flags(const struct trust *trust)
{
	return (trust->has_root ? 0 : X509_V_FLAG_PARTIAL_CHAIN) |
		(trust->crl_count > 0 ? TRUST_CRL_FLAGS : 0);
}

bool trust_forgives(bool refuse_expired_crl, int error, int depth)
{
	if (error == X509_V_ERR_UNABLE_TO_GET_CRL)
		return depth > 0;
	return error == X509_V_ERR_CRL_HAS_EXPIRED && !refuse_expired_crl;
}

bool trust_has_expired_crl(const struct trust *trust, time_t now)
{
	for (size_t i = 0; i < trust->crl_count; i++)
		if (trust->crls[i].next_update != 0 && trust->crls[i].next_update < now)
			return true;
	return false;
}

static bool directory_holds(const struct file_stamp *stamp, const struct stat *st)
{
	return stamp->dev == st->st_dev && stamp->ino == st->st_ino &&
		stamp->mtime.tv_sec == st->st_mtim.tv_sec &&
		stamp->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

bool trust_is_current(struct trust *trust)
{
	for (size_t i = 0; i < trust->stamp_count; i++) {
		struct file_stamp *stamp = &trust->stamps[i];
		struct stat st;
		if (stat(stamp->path, &st) < 0)
			return false;
		if (S_ISDIR(st.st_mode) ? !directory_holds(stamp, &st) : !file_stamp_holds(stamp))
			return false;
	}
	return true;
}
