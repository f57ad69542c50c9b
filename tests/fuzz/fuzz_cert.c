/*
 * Certificates: files of them, as they travel, who signed one, what certd makes of
 * a server's chain and of a user's, and files of authorities and revocation lists.
 */
#include "fuzz.h"

#include "cert_make.h"
#include "certd.h"
#include "certsig.h"

static struct made_ca root;
static EVP_PKEY *key;
static struct buf spki = BUF_INIT(AUTHORITY_SPKI_MAX);
static struct buf root_pem = BUF_INIT(65536), crl = BUF_INIT(65536);
static struct buf user = BUF_INIT(MADE_MAX), host = BUF_INIT(MADE_MAX);
static struct authorities *trust[2];	/* without and with a list */

static void
make(struct buf *der, const char *san, const char *eku)
{
	struct made_spec s = { .name = "x", .key = key, .san = san, .eku = eku,
	    .ku = "critical,digitalSignature" };
	X509 *x = made_cert(&s, &root);

	made_der(der, x);
	X509_free(x);
}

static void
fuzz_setup(void)
{
	struct bytes none = { NULL, 0 };
	uint8_t *der = NULL;
	char err[256];
	int n;

	root = made_authority("root", made_ec(), NULL);
	key = made_ec();
	need((n = i2d_PUBKEY(key, &der)) > 0);
	buf_put(&spki, der, (size_t)n);
	OPENSSL_free(der);
	made_pem(&root_pem, root.cert);
	made_crl(&crl, &root, 99, -DAY, DAY);
	make(&user, "URI:cloister:user:alice", "clientAuth");
	make(&host, "DNS:server.example,IP:192.0.2.1", "serverAuth");
	trust[0] = authorities_new(buf_bytes(&root_pem), none, false, err,
	    sizeof(err));
	trust[1] = authorities_new(buf_bytes(&root_pem), buf_bytes(&crl), true,
	    err, sizeof(err));
	need(trust[0] != NULL && trust[1] != NULL);
}

static void
fuzz_seeds(void)
{
	struct buf b = BUF_INIT(65536), der = BUF_INIT(MADE_MAX);
	X509_CRL *list;
	BIO *in = BIO_new_mem_buf(crl.p, (int)crl.n);
	uint8_t *p = NULL;
	int n;

	fuzz_seed("\0", 1, buf_bytes(&root_pem));
	buf_v16(&b, buf_bytes(&host));
	made_der(&der, root.cert);
	fuzz_seed("\1", 1, buf_bytes(&b));
	fuzz_seed("\4", 1, buf_bytes(&b));
	buf_v16(&b, buf_bytes(&der));
	fuzz_seed("\1", 1, buf_bytes(&b));
	fuzz_seed("\4", 1, buf_bytes(&b));
	fuzz_seed("\2", 1, buf_bytes(&user));
	fuzz_seed("\3", 1, buf_bytes(&user));
	fuzz_seed("\3", 1, buf_bytes(&host));
	fuzz_seed("\5", 1, buf_bytes(&root_pem));
	fuzz_seed("\6", 1, buf_bytes(&crl));
	need((list = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL);
	need((n = i2d_X509_CRL(list, &p)) > 0);
	fuzz_seed("\6", 1, bytes_of(p, (size_t)n));
	fuzz_seed("\7", 1, buf_bytes(&der));
	OPENSSL_free(p);
	X509_CRL_free(list);
	BIO_free(in);
	buf_free(&b);
	buf_free(&der);
}

/* A parsed chain travels as it is. */
static void
check_chain(struct certs *c)
{
	struct certs again;
	const char *why;
	size_t n = 0;

	need(c->n <= CERTS_MAX);
	for (size_t i = 0; i < c->n; i++) {
		need(c->cert[i].n >= 4 && c->cert[i].n <= CERT_MAX);
		n += 2 + c->cert[i].n;
	}
	need(n == c->wire.n);
	need(certs_wire(&again, buf_bytes(&c->wire), &why) == 0);
	need(again.n == c->n);
	certs_free(&again);
	certs_free(c);
}

static void
check_verdict(const struct verdict *v, bool is_user)
{
	need(v->verdict < CERT_NVERDICTS);
	need(memchr(v->detail, '\0', sizeof(v->detail)) != NULL);
	for (const char *p = v->detail; *p != '\0'; p++)
		need(*p >= 0x20 && *p <= 0x7e);
	need(memchr(v->user, '\0', sizeof(v->user)) != NULL);
	need((v->user[0] != '\0') == (is_user && v->verdict == CERT_OK));
	for (const char *p = v->user; *p != '\0'; p++)
		need(*p > 0x20 && *p <= 0x7e);
}

static void
sig(struct bytes in)
{
	struct certsig s;

	if (certsig_parse(&s, in) == -1)
		return;
	need(s.tbs.p > in.p && s.tbs.n > 0 && s.alg.n > 0 && s.sig.n > 0);
	need(s.sig.p + s.sig.n == in.p + in.n);
	(void)certsig_by(&s, root.key);
	(void)certsig_has_uri(&s, "cloister:user:alice");
}

static void
authorities(struct bytes ca, struct bytes lists, bool has_crl)
{
	struct buf b = BUF_INIT(AUTHORITY_SPKI_MAX);
	struct authorities *a;
	char err[256] = "";

	a = authorities_new(ca, lists, has_crl, err, sizeof(err));
	need((a == NULL) == (err[0] != '\0'));
	for (size_t i = 0; a != NULL && i < authorities_count(a); i++) {
		(void)authority_spki(a, i, &b);
		buf_reset(&b);
	}
	authorities_free(a);
	buf_free(&b);
}

/* The input as the DER in a PEM block. */
static void
authority_pem(struct bytes in)
{
	uint8_t line[100];
	struct buf b = BUF_INIT(65536);
	struct bytes none = { NULL, 0 };

	buf_str(&b, "-----BEGIN CERTIFICATE-----\n");
	for (size_t at = 0; at < in.n; at += 48) {
		int n = EVP_EncodeBlock(line, in.p + at,
		    in.n - at < 48 ? (int)(in.n - at) : 48);

		buf_put(&b, line, (size_t)n);
		buf_u8(&b, '\n');
	}
	buf_str(&b, "-----END CERTIFICATE-----\n");
	if (!b.err)
		authorities(buf_bytes(&b), none, false);
	buf_free(&b);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 8;
	struct bytes body = { in.p, in.n }, none = { NULL, 0 };
	struct verdict v;
	struct certs c;
	const char *why;
	bool soon;

	switch (mode) {
	case 0:
		if (certs_pem(&c, body, &why) == 0)
			check_chain(&c);
		break;
	case 1:
		if (certs_wire(&c, body, &why) == 0)
			check_chain(&c);
		break;
	case 2:
		sig(body);
		break;
	case 3:
		for (int i = 0; i < 2; i++) {
			verify_user(&v, trust[i], body, buf_bytes(&spki),
			    time(NULL));
			check_verdict(&v, true);
		}
		(void)leaf_wrong(body, buf_bytes(&spki), time(NULL), &soon);
		break;
	case 4:
		if (certs_wire(&c, body, &why) == -1)
			break;
		for (int i = 0; i < 2; i++) {
			verify_server(&v, trust[i], &c, buf_bytes(&spki),
			    i == 0 ? "server.example" : "192.0.2.1", i == 1,
			    time(NULL));
			check_verdict(&v, false);
		}
		certs_free(&c);
		break;
	case 5:
		authorities(body, none, false);
		break;
	case 6:
		authorities(buf_bytes(&root_pem), body, true);
		break;
	default:
		authority_pem(body);
		break;
	}
}
