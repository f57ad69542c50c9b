/* certd/verify.c: one verdict for each thing that can be wrong with a chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "cert_make.h"
#include "certd.h"

#define HOST	"server.example"
#define SAN	"DNS:server.example,IP:192.0.2.1,IP:2001:db8::1"
#define USER	"URI:cloister:user:alice"

static EVP_PKEY *host_key, *user_key;
static struct buf host_spki = BUF_INIT(RSA_SPKI_MAX);
static struct buf user_spki = BUF_INIT(RSA_SPKI_MAX);
static struct made_ca root, below, other, twin, weak;

static const struct made_spec good_server = { .name = "x", .san = SAN,
    .eku = "serverAuth", .ku = "critical,digitalSignature", .serial = 7 };
static const struct made_spec good_user = { .name = "x", .san = USER,
    .eku = "clientAuth", .ku = "critical,digitalSignature", .serial = 8 };

static int
setup(void **state)
{
	(void)state;
	host_key = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	user_key = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	assert_int_equal(rsa_spki_encode(&host_spki, host_key), 0);
	assert_int_equal(rsa_spki_encode(&user_spki, user_key), 0);
	root = made_authority("root", made_ec(), NULL);
	below = made_authority("below", made_ec(), &root);
	other = made_authority("other", made_ec(), NULL);
	twin = made_authority("root", made_ec(), NULL);
	weak = made_authority("weak", EVP_RSA_gen(2048), NULL);
	return 0;
}

static int
teardown(void **state)
{
	struct made_ca *ca[] = { &root, &below, &other, &twin, &weak };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		made_ca_free(ca[i]);
	EVP_PKEY_free(host_key);
	EVP_PKEY_free(user_key);
	buf_free(&host_spki);
	buf_free(&user_spki);
	return 0;
}

/* Authorities of these certificates (NULL ends), and lists, or NULL. */
static struct authorities *
trusting(X509 *a, X509 *b, const struct buf *crl)
{
	struct buf pem = BUF_INIT(65536);
	struct authorities *as;
	struct bytes none = { NULL, 0 };
	char err[256];

	if (a != NULL)
		made_pem(&pem, a);
	if (b != NULL)
		made_pem(&pem, b);
	as = authorities_new(buf_bytes(&pem), crl != NULL ? buf_bytes(crl) :
	    none, crl != NULL, err, sizeof(err));
	if (as == NULL)
		fail_msg("%s", err);
	buf_free(&pem);
	return as;
}

/* The verdict on a server's chain for a name; trust is freed. */
static enum cert_verdict
server_as(X509 *leaf, X509 *next, struct authorities *trust, const char *host,
    bool numeric)
{
	struct buf wire = BUF_INIT(CERTS_WIRE_MAX), der = BUF_INIT(MADE_MAX);
	struct verdict v;
	struct certs c;
	const char *why;

	made_der(&der, leaf);
	buf_v16(&wire, buf_bytes(&der));
	if (next != NULL) {
		buf_reset(&der);
		made_der(&der, next);
		buf_v16(&wire, buf_bytes(&der));
	}
	assert_int_equal(certs_wire(&c, buf_bytes(&wire), &why), 0);
	verify_server(&v, trust, &c, buf_bytes(&host_spki), host, numeric,
	    time(NULL));
	assert_non_null(strstr(v.detail, "serial"));
	assert_true(v.not_before > 0 && v.not_after > v.not_before);
	assert_string_equal(v.user, "");
	certs_free(&c);
	buf_free(&wire);
	buf_free(&der);
	authorities_free(trust);
	return v.verdict;
}

/* The same for one that is made from a specification. */
static enum cert_verdict
server_of(struct made_spec s, const struct made_ca *ca)
{
	enum cert_verdict v;
	X509 *x;

	if (s.key == NULL)
		s.key = host_key;
	x = made_cert(&s, ca);
	v = server_as(x, NULL, trusting(root.cert, NULL, NULL), HOST, false);
	X509_free(x);
	return v;
}

static enum cert_verdict
user_of(struct made_spec s, const struct made_ca *ca, char user[VERIFY_USER])
{
	struct authorities *trust = trusting(root.cert, NULL, NULL);
	struct buf der = BUF_INIT(MADE_MAX);
	struct verdict v;
	X509 *x;

	if (s.key == NULL)
		s.key = user_key;
	x = made_cert(&s, ca);
	made_der(&der, x);
	verify_user(&v, trust, buf_bytes(&der), buf_bytes(&user_spki),
	    time(NULL));
	if (user != NULL)
		memcpy(user, v.user, VERIFY_USER);
	X509_free(x);
	buf_free(&der);
	authorities_free(trust);
	return v.verdict;
}

static void
test_names(void **state)
{
	struct made_spec s = good_server;
	static const struct {
		const char	*host;
		bool		 numeric;
		enum cert_verdict want;
	} t[] = {
		{ "server.example", false, CERT_OK },
		{ "SERVER.example", false, CERT_OK },
		{ "other.example", false, CERT_NAME },
		{ "a.server.example", false, CERT_NAME },
		{ "example", false, CERT_NAME },
		{ "192.0.2.1", true, CERT_OK },
		{ "192.0.2.2", true, CERT_NAME },
		{ "2001:db8::1", true, CERT_OK },
		{ "2001:db8::2", true, CERT_NAME },
		{ "192.0.2.1", false, CERT_NAME },
		{ "", false, CERT_NAME },
	};
	X509 *x;

	(void)state;
	s.key = host_key;
	x = made_cert(&s, &root);
	/* An empty name would match whatever: certd_answer() refuses it. */
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]) - 1; i++)
		if (server_as(x, NULL, trusting(root.cert, NULL, NULL),
		    t[i].host, t[i].numeric) != t[i].want)
			fail_msg("%s", t[i].host);
	X509_free(x);
	s.san = "DNS:*.example";
	x = made_cert(&s, &root);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, NULL),
	    HOST, false), CERT_NAME);
	X509_free(x);
	/* A common name is none. */
	s.san = NULL;
	s.name = HOST;
	assert_int_equal(server_of(s, &root), CERT_NAME);
	s.name = "192.0.2.1";
	x = made_cert(&s, &root);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, NULL),
	    "192.0.2.1", true), CERT_NAME);
	X509_free(x);
}

static void
test_time_and_usage(void **state)
{
	struct made_spec s = good_server;

	(void)state;
	assert_int_equal(server_of(s, &root), CERT_OK);
	s.from = -20 * DAY;
	s.to = -10 * DAY;
	assert_int_equal(server_of(s, &root), CERT_EXPIRED);
	s.from = 10 * DAY;
	s.to = 20 * DAY;
	assert_int_equal(server_of(s, &root), CERT_EARLY);
	s = good_server;
	s.eku = NULL;
	assert_int_equal(server_of(s, &root), CERT_USAGE);
	s.eku = "clientAuth";
	assert_int_equal(server_of(s, &root), CERT_USAGE);
	s.eku = "clientAuth,serverAuth";
	assert_int_equal(server_of(s, &root), CERT_OK);
	s.ku = NULL;
	assert_int_equal(server_of(s, &root), CERT_OK);
	s.ku = "keyEncipherment";
	assert_int_equal(server_of(s, &root), CERT_USAGE);
	s.ku = "critical,digitalSignature,keyCertSign";
	s.bc = "critical,CA:TRUE";
	assert_int_equal(server_of(s, &root), CERT_USAGE);
}

static void
test_issuers(void **state)
{
	struct made_spec s = good_server, ca_spec = { .name = "old", .from =
	    -20 * DAY, .to = -10 * DAY, .bc = "critical,CA:TRUE",
	    .ku = "critical,keyCertSign" };
	struct made_ca old = { .key = made_ec() };
	struct made_ca self = { .key = host_key };
	X509 *x, *no_ca;

	(void)state;
	assert_int_equal(server_of(s, &other), CERT_UNKNOWN_CA);
	assert_true(server_of(s, &twin) == CERT_SIGNATURE ||
	    server_of(s, &twin) == CERT_UNKNOWN_CA);
	assert_int_equal(server_of(s, &self), CERT_UNKNOWN_CA);
	/* Of another key than the one that signed the handshake. */
	s.key = user_key;
	assert_int_equal(server_of(s, &root), CERT_KEY);
	/* A chain needs the one between. */
	s.key = host_key;
	x = made_cert(&s, &below);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, NULL),
	    HOST, false), CERT_UNKNOWN_CA);
	assert_int_equal(server_as(x, below.cert, trusting(root.cert, NULL,
	    NULL), HOST, false), CERT_OK);
	/* One below may be trusted without its root. */
	assert_int_equal(server_as(x, NULL, trusting(below.cert, NULL, NULL),
	    HOST, false), CERT_OK);
	assert_int_equal(server_as(x, NULL, trusting(other.cert, below.cert,
	    NULL), HOST, false), CERT_OK);
	X509_free(x);
	/* A server's certificate makes no authority. */
	no_ca = made_cert(&s, &root);
	self.cert = no_ca;
	x = made_cert(&s, &self);
	assert_int_not_equal(server_as(x, no_ca, trusting(root.cert, NULL,
	    NULL), HOST, false), CERT_OK);
	X509_free(x);
	X509_free(no_ca);
	/* An authority that has expired. */
	ca_spec.key = old.key;
	old.cert = made_cert(&ca_spec, &old);
	x = made_cert(&s, &old);
	assert_int_equal(server_as(x, NULL, trusting(old.cert, NULL, NULL),
	    HOST, false), CERT_CA_EXPIRED);
	X509_free(x);
	made_ca_free(&old);
	/* No authority at all. */
	x = made_cert(&s, &root);
	assert_int_equal(server_as(x, NULL, trusting(NULL, NULL, NULL), HOST,
	    false), CERT_UNKNOWN_CA);
	X509_free(x);
}

static void
test_weak(void **state)
{
	struct made_spec s = good_server;
	struct made_ca sha1 = root, mid;
	struct buf pem = BUF_INIT(8192);
	struct bytes none = { NULL, 0 };
	char err[256];
	X509 *x;

	(void)state;
	/* Not as an authority of one's own. */
	made_pem(&pem, weak.cert);
	assert_null(authorities_new(buf_bytes(&pem), none, false, err,
	    sizeof(err)));
	assert_non_null(strstr(err, "too weak"));
	buf_free(&pem);
	/* Nor below a strong one. */
	mid = made_authority("mid", EVP_RSA_gen(2048), &root);
	s.key = host_key;
	x = made_cert(&s, &mid);
	assert_int_equal(server_as(x, mid.cert, trusting(root.cert, NULL, NULL),
	    HOST, false), CERT_WEAK);
	X509_free(x);
	made_ca_free(&mid);
	sha1.md = EVP_sha1();
	assert_int_equal(server_of(s, &sha1), CERT_WEAK);
	/* A leaf of 2048 bits is not the key of any handshake. */
	s.key = EVP_RSA_gen(2048);
	assert_int_equal(server_of(s, &root), CERT_WEAK);
	EVP_PKEY_free(s.key);
}

static void
test_lists(void **state)
{
	struct made_spec s = good_server;
	struct buf crl = BUF_INIT(65536), both = BUF_INIT(65536);
	X509 *x, *y;

	(void)state;
	s.key = host_key;
	x = made_cert(&s, &root);
	y = made_cert(&s, &below);
	made_crl(&crl, &root, 0, -DAY, DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_OK);
	/* Each authority of a chain, but not the one above the trusted. */
	assert_int_equal(server_as(y, below.cert, trusting(root.cert, NULL,
	    &crl), HOST, false), CERT_NO_CRL);
	made_crl(&both, &root, 0, -DAY, DAY);
	made_crl(&both, &below, 0, -DAY, DAY);
	assert_int_equal(server_as(y, below.cert, trusting(root.cert, NULL,
	    &both), HOST, false), CERT_OK);
	buf_reset(&crl);
	made_crl(&crl, &below, 0, -DAY, DAY);
	assert_int_equal(server_as(y, NULL, trusting(below.cert, NULL, &crl),
	    HOST, false), CERT_OK);
	buf_reset(&crl);
	made_crl(&crl, &root, s.serial, -DAY, DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_REVOKED);
	/* An authority that was revoked. */
	buf_reset(&both);
	made_crl(&both, &root, 1, -DAY, DAY);
	made_crl(&both, &below, 0, -DAY, DAY);
	assert_int_equal(server_as(y, below.cert, trusting(root.cert, NULL,
	    &both), HOST, false), CERT_REVOKED);
	buf_reset(&crl);
	made_crl(&crl, &root, 0, -2 * DAY, -DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_CRL_OLD);
	buf_reset(&crl);
	made_crl(&crl, &root, 0, DAY, 2 * DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_CRL_OLD);
	buf_reset(&crl);
	made_crl(&crl, &other, 0, -DAY, DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_NO_CRL);
	/* In the name of root, by another key. */
	buf_reset(&crl);
	made_crl(&crl, &twin, 0, -DAY, DAY);
	assert_int_equal(server_as(x, NULL, trusting(root.cert, NULL, &crl),
	    HOST, false), CERT_NO_CRL);
	X509_free(x);
	X509_free(y);
	buf_free(&crl);
	buf_free(&both);
}

static void
test_files(void **state)
{
	struct buf pem = BUF_INIT(65536), crl = BUF_INIT(65536);
	struct bytes none = { NULL, 0 };
	struct authorities *a;
	struct made_spec s = good_server;
	char err[256];
	X509 *x;

	(void)state;
	s.key = host_key;
	x = made_cert(&s, &root);
	made_pem(&pem, x);
	assert_null(authorities_new(buf_bytes(&pem), none, false, err,
	    sizeof(err)));
	assert_non_null(strstr(err, "not an authority"));
	X509_free(x);
	assert_null(authorities_new(bytes_str("text"), none, false, err,
	    sizeof(err)));
	buf_reset(&pem);
	made_pem(&pem, root.cert);
	made_pem(&pem, below.cert);
	a = authorities_new(buf_bytes(&pem), none, false, err, sizeof(err));
	assert_int_equal(authorities_count(a), 2);
	assert_int_equal(authority_spki(a, 1, &crl), 0);
	authorities_free(a);
	/* Cut in the second one it is not silently the first alone. */
	assert_null(authorities_new(bytes_of(pem.p, pem.n - 60), none, false,
	    err, sizeof(err)));
	assert_null(authorities_new(buf_bytes(&pem), none, true, err,
	    sizeof(err)));
	buf_reset(&crl);
	made_crl(&crl, &root, 0, -DAY, DAY);
	assert_null(authorities_new(buf_bytes(&pem), bytes_of(crl.p,
	    crl.n - 60), true, err, sizeof(err)));
	assert_null(authorities_new(buf_bytes(&pem), bytes_str("\x30\x03xxx"),
	    true, err, sizeof(err)));
	buf_free(&pem);
	buf_free(&crl);
}

static void
test_users(void **state)
{
	struct made_spec s = good_user;
	char user[VERIFY_USER];
	static const char *const none[] = {
		NULL, "DNS:alice", "email:alice@example.org",
		"URI:cloister:user:", "URI:cloister:user", "URI:CLOISTER:user:a",
		"URI:https://cloister:user:alice/", USER ",URI:cloister:user:bob",
		USER "," USER,
		"URI:cloister:user:0123456789012345678901234567890123456789"
		"0123456789012345678901234",
	};

	(void)state;
	assert_int_equal(user_of(s, &root, user), CERT_OK);
	assert_string_equal(user, "alice");
	s.san = "email:a@example.org," USER ",DNS:x";
	assert_int_equal(user_of(s, &root, user), CERT_OK);
	assert_string_equal(user, "alice");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		s.san = none[i];
		assert_int_equal(user_of(s, &root, user), CERT_USER);
		assert_string_equal(user, "");
	}
	s = good_user;
	s.eku = "serverAuth";
	assert_int_equal(user_of(s, &root, NULL), CERT_USAGE);
	s.eku = NULL;
	assert_int_equal(user_of(s, &root, user), CERT_USAGE);
	assert_string_equal(user, "");
	s = good_user;
	s.to = -DAY;
	s.from = -2 * DAY;
	assert_int_equal(user_of(s, &root, NULL), CERT_EXPIRED);
	s = good_user;
	s.key = host_key;
	assert_int_equal(user_of(s, &root, NULL), CERT_KEY);
	s = good_user;
	assert_int_equal(user_of(s, &other, NULL), CERT_UNKNOWN_CA);
	/* No chain: who signed it has to be in the file itself. */
	assert_int_equal(user_of(s, &below, NULL), CERT_UNKNOWN_CA);
}

/* Bytes of a good one changed: never good, never anything worse than that. */
static void
test_damage(void **state)
{
	struct authorities *trust = trusting(root.cert, NULL, NULL);
	struct made_spec s = good_user;
	struct buf der = BUF_INIT(MADE_MAX);
	struct verdict v;
	X509 *x;

	(void)state;
	s.key = user_key;
	x = made_cert(&s, &root);
	made_der(&der, x);
	for (size_t i = 0; i < der.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			der.p[i] ^= (uint8_t)(1 << bit);
			verify_user(&v, trust, buf_bytes(&der),
			    buf_bytes(&user_spki), time(NULL));
			if (v.verdict == CERT_OK || v.user[0] != '\0')
				fail_msg("byte %zu, bit %d", i, bit);
			der.p[i] ^= (uint8_t)(1 << bit);
		}
	for (size_t n = 0; n < der.n; n++) {
		verify_user(&v, trust, bytes_of(der.p, n),
		    buf_bytes(&user_spki), time(NULL));
		assert_int_equal(v.verdict, CERT_MALFORMED);
	}
	buf_u8(&der, 0);
	verify_user(&v, trust, buf_bytes(&der), buf_bytes(&user_spki),
	    time(NULL));
	assert_int_equal(v.verdict, CERT_MALFORMED);
	X509_free(x);
	buf_free(&der);
	authorities_free(trust);
}

/* The administrator's own. */
static void
test_leaf(void **state)
{
	struct made_spec s = good_server;
	struct buf der = BUF_INIT(MADE_MAX);
	bool soon;
	X509 *x;

	(void)state;
	s.key = host_key;
	x = made_cert(&s, &other);
	made_der(&der, x);
	assert_null(leaf_wrong(buf_bytes(&der), buf_bytes(&host_spki),
	    time(NULL), &soon));
	assert_false(soon);
	assert_null(leaf_wrong(buf_bytes(&der), buf_bytes(&host_spki),
	    time(NULL) + 360 * DAY, &soon));
	assert_true(soon);
	assert_non_null(leaf_wrong(buf_bytes(&der), buf_bytes(&user_spki),
	    time(NULL), &soon));
	assert_non_null(leaf_wrong(bytes_of(der.p, der.n - 1),
	    buf_bytes(&host_spki), time(NULL), &soon));
	X509_free(x);
	s.san = NULL;
	x = made_cert(&s, &other);
	buf_reset(&der);
	made_der(&der, x);
	assert_non_null(leaf_wrong(buf_bytes(&der), buf_bytes(&host_spki),
	    time(NULL), &soon));
	X509_free(x);
	buf_free(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_time_and_usage),
		cmocka_unit_test(test_issuers),
		cmocka_unit_test(test_weak),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_leaf),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
