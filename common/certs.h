/*
 * What is said about X.509 certificates outside of certd, which alone takes them
 * apart: files of them, how they travel, and certd's verdicts.
 */
#ifndef COMMON_CERTS_H
#define COMMON_CERTS_H

#include "bytes.h"

#define CERTS_MAX	4	/* certificates of a chain, the owner's first */
#define CLIENT_CAS_MAX	8	/* authorities in client_ca */
#define CERT_MAX	2560	/* bytes of one, DER */
#define CERT_USER_MAX	2048	/* bytes of a client's */
#define CERTS_FILE_MAX	65536	/* bytes of a file with a chain, PEM */
/* A chain as it travels between processes: n times v16(certificate). */
#define CERTS_WIRE_MAX	(CERTS_MAX * (2 + CERT_MAX))

/*
 * The user of a client's certificate is the rest of the one URI in its subject
 * alternative name that begins with this.
 */
#define CERT_USER_URI	"cloister:user:"

struct certs {
	struct buf	wire;		/* as it travels */
	struct bytes	cert[CERTS_MAX];	/* in wire */
	size_t		n;
};

/*
 * Take the certificates out of PEM text (RFC 7468; what is between the blocks is
 * passed over), DER in c.  Nothing is looked at inside of a certificate but that
 * it is one DER SEQUENCE of its whole length.  0 with *c, to be freed by
 * certs_free(), or -1 with nothing to free and *why.  An empty text has none and
 * is no error.
 */
int certs_pem(struct certs *c, struct bytes text, const char **why);
/* The same from how it travels. */
int certs_wire(struct certs *c, struct bytes wire, const char **why);
void certs_free(struct certs *c);
/*
 * Whether the certificate holds this key's SPKI somewhere.  Enough for a file of
 * the administrator's that may have been left over from another key; what may be
 * believed of a stranger's certificate is for certd to say.
 */
bool cert_holds(struct bytes cert, struct bytes spki);

/*
 * What certd found.  X(NAME, what is wrong, what to do about a server's, what to
 * do about a user's).
 */
#define CERT_VERDICTS(X)						\
	X(CERT_OK, "the certificate is good", "", "")			\
	X(CERT_NONE, "no certificate was shown",			\
	    "the server's administrator sets `certificate', or you pin the "\
	    "server's key (trust = pinned)", "")			\
	X(CERT_MALFORMED, "the certificate cannot be read",		\
	    "the server's administrator makes a new one from `cloisterctl "\
	    "csr'", "make a new one from `cloister csr'")		\
	X(CERT_EXPIRED, "the certificate has expired",			\
	    "ask the server's administrator to renew it; check this "	\
	    "machine's clock", "have it renewed")			\
	X(CERT_EARLY, "the certificate is not valid yet",		\
	    "check this machine's clock", "check the server's clock")	\
	X(CERT_CA_EXPIRED, "the certificate of the authority is not valid "\
	    "at this time", "get the authority's present certificate for "\
	    "ca_file; check this machine's clock",			\
	    "put the authority's present certificate into client_ca")	\
	X(CERT_NAME, "the certificate is for another name",		\
	    "connect by a name that the certificate has, or ask the server's "\
	    "administrator for one with this name", "")			\
	X(CERT_USAGE, "the certificate is not made for this use",	\
	    "the server's needs the extended key usage serverAuth, and no "\
	    "key usage without digitalSignature",			\
	    "a user's needs the extended key usage clientAuth, and no key "\
	    "usage without digitalSignature")				\
	X(CERT_UNKNOWN_CA, "the certificate is of an authority that is not "\
	    "trusted", "if you trust its issuer, put the issuer's "	\
	    "certificate into ca_file", "have it signed by an authority "\
	    "in client_ca")						\
	X(CERT_SIGNATURE, "the certificate is not signed by the authority "\
	    "that it names", "somebody may be listening; compare the "	\
	    "authority's certificate with its owner's", "have it made anew")\
	X(CERT_REVOKED, "the certificate was revoked by its authority",	\
	    "somebody may have stolen the server's key: ask its "	\
	    "administrator", "the authority says why")			\
	X(CERT_NO_CRL, "there is no revocation list of the authority",	\
	    "put the list of each authority of the chain into crl_file",\
	    "put the authority's list into client_crl")			\
	X(CERT_CRL_OLD, "the revocation list of the authority is too old "\
	    "(or of the future)", "get a new list for crl_file; check this "\
	    "machine's clock", "get a new list for client_crl")		\
	X(CERT_WEAK, "a key or signature of the certificate's chain is too "\
	    "weak", "RSA of 3072 bits, P-256 and SHA-256 are the least; the "\
	    "authority has to use better ones", "RSA of 3072 bits, P-256 "\
	    "and SHA-256 are the least")				\
	X(CERT_KEY, "the certificate is for another key",		\
	    "the server's administrator has to use the certificate of its "\
	    "host key", "use the certificate of this key")		\
	X(CERT_USER, "the certificate names no user",			\
	    "", "it needs exactly one URI:" CERT_USER_URI "NAME as subject "\
	    "alternative name")						\
	X(CERT_CHAIN, "the chain of certificates is not acceptable",	\
	    "the server's administrator puts its certificate and those "\
	    "between it and the authority into `certificate', in this "	\
	    "order", "it must be issued by an authority in client_ca itself")

enum cert_verdict {
#define CERT_VERDICT_ENUM(name, what, server, user) name,
	CERT_VERDICTS(CERT_VERDICT_ENUM)
#undef CERT_VERDICT_ENUM
	CERT_NVERDICTS
};

/* What is wrong, as a clause; for a value that is none, too. */
const char *cert_what(unsigned verdict);
/* What to do next about a server's certificate, or a user's. */
const char *cert_next_server(unsigned verdict);
const char *cert_next_user(unsigned verdict);

#endif
