/*
 * certd: the process that takes X.509 certificates apart, and holds nothing.
 * cloisterd starts it without an argument, for the certificates of users that the
 * vault sends it; `cloister' starts it with -c, for a server's; `cloisterd -t'
 * with -t, to look at the configured files.
 *
 *	verify.c	authorities, revocation lists, and a verdict
 *	certd_server.c	the vault's questions
 *	certd_client.c	the client's one question
 *	certd_test.c	the files of the configuration
 */
#ifndef CERTD_CERTD_H
#define CERTD_CERTD_H

#include <time.h>

#include "certs.h"
#include "chan.h"

#define AUTHORITY_FILE_MAX	(1u << 20)	/* bytes of CA files */
#define CRL_FILE_MAX		(16u << 20)	/* and of CRL files */
#define AUTHORITIES_MAX		64
#define CRLS_MAX		64
#define AUTHORITY_SPKI_MAX	1024		/* bytes of an authority's key */
#define VERIFY_DETAIL		256		/* bytes, with NUL */
#define VERIFY_USER		65

/* ---- verify.c ------------------------------------------------------------ */

/* Authorities that are trusted, with their revocation lists. */
struct authorities;

/*
 * Read them from the text of files: certificates in PEM; lists in PEM, or one in
 * DER.  Each certificate must be an authority's (basicConstraints) with a key that
 * is strong enough.  An empty ca makes none, that verify nothing; has_crl asks for
 * at least one list, and then for one of every authority in a chain.  NULL with
 * err (errlen bytes).
 */
struct authorities *authorities_new(struct bytes ca, struct bytes crl,
    bool has_crl, char *err, size_t errlen);
void authorities_free(struct authorities *a);
size_t authorities_count(const struct authorities *a);
/* The SPKI of the i-th authority, appended to out; 0 or -1. */
int authority_spki(const struct authorities *a, size_t i, struct buf *out);

struct verdict {
	enum cert_verdict verdict;
	uint64_t	 not_before;	/* of the first certificate, seconds */
	uint64_t	 not_after;	/* since the epoch; 0: unknown */
	/* Who issued it and its serial number: printable ASCII. */
	char		 detail[VERIFY_DETAIL];
	char		 user[VERIFY_USER];	/* verify_user() alone */
};

/*
 * A server's chain for the name (or, numeric, the address) that was connected to.
 * Good is: a chain to an authority within its time, keys and signatures of 128
 * bits of strength, no certificate of it revoked, and the first one is no
 * authority's, is for exactly the key in spki, has the name in its subject
 * alternative name (no wildcard, never the common name), the extended key usage
 * serverAuth and no key usage without digitalSignature.
 */
void verify_server(struct verdict *v, const struct authorities *a,
    const struct certs *chain, struct bytes spki, const char *host,
    bool numeric, time_t now);
/*
 * A user's certificate, issued by one of the authorities itself: the same with
 * clientAuth, and with exactly one URI of the form CERT_USER_URI NAME in place
 * of a name, which is left in v->user.
 */
void verify_user(struct verdict *v, const struct authorities *a,
    struct bytes cert, struct bytes spki, time_t now);

/*
 * What is wrong with the administrator's own server certificate, or NULL: it has
 * to be for the key in spki and for servers, with a name.  Time and chain are for
 * the clients to judge; *soon says that it ends within two weeks, or has ended.
 */
const char *leaf_wrong(struct bytes cert, struct bytes spki, time_t now,
    bool *soon);

/* ---- certd_server.c ------------------------------------------------------- */

struct certd {
	struct authorities *authorities;
	struct chan	*vault;		/* VAULT_CERT, END_B */
	uint32_t	 generation;
};

/*
 * Tell the vault that this process is there, and, the first one of a service, the
 * keys of the authorities; before any stranger's byte.
 */
void certd_hello(struct certd *d);
/* A message of the vault. */
void certd_on_vault(struct certd *d, const struct msg *m);

/* ---- the other programs --------------------------------------------------- */

__attribute__((noreturn)) void certd_client_main(int argc, char **argv);
__attribute__((noreturn)) void certd_test_main(int argc, char **argv);

/* Answer a client's question, as certd_client_main() does. */
void certd_answer(const struct authorities *a, struct chan *c,
    const struct m_ct_check *q);

#endif
