/*
 * Certificate requests (RFC 2986), offline: `keyd --csr NAME...' for the server's
 * host key, `keyd --csr --user NAME' for a user's signing key.  The private key
 * file is standard input, the request goes to standard output.  A keyd that serves
 * signs nothing of the kind: what it signs begins with 64 spaces, a request with a
 * SEQUENCE.
 */
#include "keyd.h"

#include <sys/prctl.h>

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs.h"
#include "log.h"
#include "role.h"

#define NAMES_MAX	32

__attribute__((noreturn)) static void
usage(void)
{
	fatalx("usage: keyd --csr NAME-OR-ADDRESS... <host.key\n"
	    "       keyd --csr --user NAME <private-key-file");
}

/* A name of the subject alternative name; taken over by the list. */
static void
add_name(GENERAL_NAMES *names, int type, const void *p, size_t n)
{
	ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() :
	    ASN1_IA5STRING_new();
	GENERAL_NAME *g = GENERAL_NAME_new();

	if (s == NULL || g == NULL || ASN1_STRING_set(s, p, (int)n) != 1)
		fatalx("no memory");
	GENERAL_NAME_set0_value(g, type, s);
	if (sk_GENERAL_NAME_push(names, g) <= 0)
		fatalx("no memory");
}

/* A host's name, as DNS has it (RFC 1123, 2.1), without a wildcard. */
static bool
host_ok(const char *s)
{
	char last = '.';

	for (; *s != '\0'; last = *s++) {
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", *s) ==
		    NULL)
			return false;
		if (last == '.' && (*s == '.' || *s == '-'))
			return false;
	}
	return last != '.' && last != '-';
}

static int
take_host(GENERAL_NAMES *names, const char *name)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, name, &a4) == 1)
		add_name(names, GEN_IPADD, &a4, sizeof(a4));
	else if (inet_pton(AF_INET6, name, &a6) == 1)
		add_name(names, GEN_IPADD, &a6, sizeof(a6));
	else if (strlen(name) <= 253 && host_ok(name))
		add_name(names, GEN_DNS, name, strlen(name));
	else
		return -1;
	return 0;
}

/* [a-z_][a-z0-9_.-]{0,31}, as the vault has users. */
static int
take_user(GENERAL_NAMES *names, const char *name)
{
	char uri[sizeof(CERT_USER_URI) + 32];
	size_t n = strlen(name);

	if (n < 1 || n > 32 || strchr("0123456789.-", *name) != NULL ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != n)
		return -1;
	(void)snprintf(uri, sizeof(uri), "%s%s", CERT_USER_URI, name);
	add_name(names, GEN_URI, uri, strlen(uri));
	return 0;
}

/* An extension of the request; value is d2i's structure. */
static void
add_extension(STACK_OF(X509_EXTENSION) **exts, int nid, void *value, int crit)
{
	if (X509V3_add1_i2d(exts, nid, value, crit, X509V3_ADD_DEFAULT) != 1)
		fatalx("an extension cannot be made");
}

static void
add_extensions(X509_REQ *req, GENERAL_NAMES *names, bool user)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	EXTENDED_KEY_USAGE *eku = EXTENDED_KEY_USAGE_new();
	ASN1_BIT_STRING *ku = ASN1_BIT_STRING_new();

	if (eku == NULL || ku == NULL ||
	    ASN1_BIT_STRING_set_bit(ku, 0, 1) != 1 ||	/* digitalSignature */
	    sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(user ? NID_client_auth :
	    NID_server_auth)) <= 0)
		fatalx("no memory");
	add_extension(&exts, NID_key_usage, ku, 1);
	add_extension(&exts, NID_ext_key_usage, eku, 0);
	add_extension(&exts, NID_subject_alt_name, names, 0);
	if (X509_REQ_add_extensions(req, exts) != 1)
		fatalx("the request's extensions cannot be made");
	EXTENDED_KEY_USAGE_free(eku);
	ASN1_BIT_STRING_free(ku);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
}

static X509_REQ *
make(EVP_PKEY *key, GENERAL_NAMES *names, bool user,
    const char *subject)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	/* The common name is for people alone; 64 characters at most. */
	if (req == NULL || name == NULL || ctx == NULL ||
	    X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
	    (const unsigned char *)subject, (int)strnlen(subject, 64), -1,
	    0) != 1 || X509_REQ_set_subject_name(req, name) != 1 ||
	    X509_REQ_set_pubkey(req, key) != 1)
		fatalx("the request cannot be made");
	add_extensions(req, names, user);
	if (EVP_DigestSignInit(ctx, &pctx, sha256_md(), NULL, key) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, HASH_LEN) != 1 ||
	    X509_REQ_sign_ctx(req, ctx) <= 0)
		fatalx("the key does not sign the request");
	X509_NAME_free(name);
	EVP_MD_CTX_free(ctx);
	return req;
}

/* The signing key out of the file on standard input. */
static EVP_PKEY *
read_key(bool user)
{
	struct buf file = BUF_INIT(KEYD_FILE_MAX);
	EVP_PKEY *key[KEYD_KEYS] = { NULL };

	if (user) {
		keyd_load_keys(STDIN_FILENO, key);
		EVP_PKEY_free(key[KEYD_WRAP]);
		EVP_PKEY_free(key[KEYD_MESSAGE]);
		return key[KEYD_SIGN];
	}
	if (read_all(STDIN_FILENO, &file) == -1)
		fatalx("the private key file cannot be read");
	if (rsa_private_decode(&key[0], buf_bytes(&file), RSA_USE_SIGN, 0,
	    NULL) != 0)
		fatalx("not a host key (keys/host.key)");
	buf_free(&file);
	return key[0];
}

static void
write_request(const X509_REQ *req)
{
	BIO *out = BIO_new_fp(stdout, BIO_NOCLOSE);

	if (out == NULL || PEM_write_bio_X509_REQ(out, req) != 1 ||
	    BIO_flush(out) != 1 || fflush(stdout) != 0)
		fatal("the request cannot be written");
	BIO_free(out);
}

__attribute__((noreturn)) void
keyd_csr_main(int argc, char **argv)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool user;
	int i = 2;
	X509_REQ *req;
	EVP_PKEY *key;

	log_set_name("keyd");
	user = argc > 2 && strcmp(argv[2], "--user") == 0;
	if (user)
		i++;
	if (names == NULL || i >= argc || argc - i > NAMES_MAX ||
	    (user && argc != i + 1))
		usage();
	for (int n = i; n < argc; n++)
		if ((user ? take_user(names, argv[n]) :
		    take_host(names, argv[n])) == -1)
			fatalx("%s: not %s", argv[n], user ? "a user's name" :
			    "a host's name (lower case) or address");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
	key = read_key(user);
	req = make(key, names, user, argv[i]);
	EVP_PKEY_free(key);
	write_request(req);
	X509_REQ_free(req);
	GENERAL_NAMES_free(names);
	_exit(0);
}
