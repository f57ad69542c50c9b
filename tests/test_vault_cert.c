/* storaged/vault_cert.c: users who come with a certificate, certd played here. */
#include "vault_rig.h"

#include <sys/wait.h>

#include "cert_make.h"

static struct made_ca root, other;
static struct ident carol;
static const uint8_t s1[32] = "one";

/* A vault that knows the authority root, and the test's end of certd's link. */
struct crig {
	struct rig	 r;
	struct chan	*certd;
};

static void
say_ca(struct crig *c, const struct made_ca *ca)
{
	struct m_tv_ca m = { .none_ = 0 };
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(ca->key, &der);

	assert_true(n > 0);
	m.spki = bytes_of(der, (size_t)n);
	assert_int_equal(chan_send(c->certd, MSG_tv_ca, &m, -1), 0);
	OPENSSL_free(der);
}

static void
hello(struct crig *c, uint32_t generation)
{
	struct m_tv_hello m = { .generation = generation };
	struct msg got;

	assert_int_equal(chan_send(c->certd, MSG_tv_hello, &m, -1), 0);
	expect(&c->r, c->certd, MSG_vt_welcome, &got);
	assert_int_equal(got.u.vt_welcome.generation, generation);
}

static void
crig_new(struct crig *c)
{
	struct vault *v;
	int fd[2];

	rig_new(&c->r);
	v = c->r.v;
	assert_int_equal(chan_pair(fd, true), 0);
	c->certd = chan_new(NULL, fd[1], CH_VAULT_CERT, END_B, VAULT_CERT_UP, 0,
	    NULL, NULL, NULL);
	v->certd = chan_new(v->loop, fd[0], CH_VAULT_CERT, END_A,
	    VAULT_CERT_NEW, 0, vault_on_certd, vault_certd_lost, v);
	v->has_client_ca = true;
	say_ca(c, &root);
	hello(c, 1);
	user_new(&c->r, "alice", &alice);
	user_new(&c->r, "bob", &bob);
}

static void
crig_free(struct crig *c)
{
	chan_free(c->r.v->certd);
	chan_free(c->certd);
	rig_stop(&c->r, true);
	rig_free(&c->r);
}

/* A certificate of carol's key. */
static struct buf
certificate(const struct made_ca *ca, const char *san, EVP_PKEY *key)
{
	struct buf der = BUF_INIT(MADE_MAX);
	struct made_spec s = { .name = "carol", .key = key, .san = san,
	    .eku = "clientAuth" };
	X509 *x = made_cert(&s, ca);

	made_der(&der, x);
	X509_free(x);
	return der;
}

/* carol asks to come in with a certificate, signing that one or another. */
static void
ask_with(struct crig *c, struct pair *p, struct bytes cert, struct bytes signs)
{
	struct m_xv_auth a = { .suite = HS_SUITE_BEST, .cert = cert,
	    .spki = buf_bytes(&carol.sign_spki),
	    .wrap_spki = buf_bytes(&carol.wrap_spki) };
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t h[32], wh[32], ch[32];

	pair_new(&c->r, p);
	nonce(&c->r, p->n, s1);
	sha256(h, a.spki);
	sha256(wh, a.wrap_spki);
	sha256(ch, signs);
	hs_tbs_client(&tbs, a.suite, a.random_c, s1, a.th_sf, h, wh, host_hash,
	    ch);
	assert_int_equal(rsa_pss_sign(&sig, carol.sign, buf_bytes(&tbs)), 0);
	a.sig = buf_bytes(&sig);
	assert_int_equal(chan_send(p->kex, MSG_xv_auth, &a, -1), 0);
	buf_free(&tbs);
	buf_free(&sig);
}

/* certd is asked about this certificate; the question's id. */
static uint64_t
asked(struct crig *c, struct bytes cert)
{
	struct msg m;

	expect(&c->r, c->certd, MSG_vt_check, &m);
	assert_true(bytes_eq(m.u.vt_check.cert, cert));
	assert_true(bytes_eq(m.u.vt_check.spki, buf_bytes(&carol.sign_spki)));
	return m.u.vt_check.id;
}

static void
answer(struct crig *c, uint64_t id, enum cert_verdict v, const char *user)
{
	struct m_tv_verdict m = { .id = id, .verdict = (uint8_t)v,
	    .not_after = wall_us() / 1000000 + DAY, .user = bytes_str(user),
	    .detail = bytes_str("issued by \"CN=root\", serial 01") };

	assert_int_equal(chan_send(c->certd, MSG_tv_verdict, &m, -1), 0);
}

static void
refused(struct crig *c, struct pair *p, const char *reason)
{
	struct msg m;

	expect(&c->r, p->kex, MSG_vx_refuse, &m);
	expect_eof(&c->r, p->sess);
	if (strstr(logged, reason) == NULL)
		fail_msg("\"%s\" is not in the log: %s", reason, logged);
	pair_close(p);
	logged[0] = '\0';
}

static void
not_asked(struct crig *c)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(c->certd, &m, 0, &why), -1);
	assert_string_equal(why, "timed out");
}

/* A live session of carol's, as alice. */
static void
come_in(struct crig *c, struct pair *p, struct bytes cert)
{
	struct msg m;

	ask_with(c, p, cert, cert);
	answer(c, asked(c, cert), CERT_OK, "alice");
	expect(&c->r, p->kex, MSG_vx_grant, &m);
	expect(&c->r, p->sess, MSG_vs_user, &m);
	assert_true(bytes_eq(m.u.vs_user.user, bytes_str("alice")));
	chan_set_state(p->sess, SESS_VAULT_LIVE);
	chan_free(p->kex);
	p->kex = NULL;
}

static void
test_good(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);
	struct crig c;
	struct pair p;

	(void)state;
	crig_new(&c);
	come_in(&c, &p, buf_bytes(&cert));
	assert_non_null(strstr(logged, "auth.certificate|alice|"));
	assert_non_null(strstr(logged, "auth.accept|alice|"));
	pair_close(&p);
	buf_free(&cert);
	crig_free(&c);
}

/* What no authority signed for this key never reaches certd. */
static void
test_before_certd(void **state)
{
	struct buf good = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);
	struct buf foreign = certificate(&other, "URI:cloister:user:alice",
	    carol.sign);
	struct buf key = certificate(&root, "URI:cloister:user:alice",
	    alice.sign);
	struct bytes none = { NULL, 0 }, junk = bytes_str("0000");
	struct crig c;
	struct pair p;

	(void)state;
	crig_new(&c);
	ask_with(&c, &p, buf_bytes(&foreign), buf_bytes(&foreign));
	refused(&c, &p, "not signed by an authority");
	ask_with(&c, &p, buf_bytes(&key), buf_bytes(&key));
	refused(&c, &p, "for another key");
	ask_with(&c, &p, junk, junk);
	refused(&c, &p, "not a certificate");
	/* The user signs which certificate it is, or that it is none. */
	ask_with(&c, &p, buf_bytes(&good), none);
	refused(&c, &p, "bad signature");
	ask_with(&c, &p, none, buf_bytes(&good));
	refused(&c, &p, "unknown key");
	c.r.v->has_client_ca = false;
	ask_with(&c, &p, buf_bytes(&good), buf_bytes(&good));
	refused(&c, &p, "no client_ca");
	c.r.v->has_client_ca = true;
	c.r.v->certd_up = false;
	ask_with(&c, &p, buf_bytes(&good), buf_bytes(&good));
	refused(&c, &p, "certd is not there");
	not_asked(&c);
	buf_free(&good);
	buf_free(&foreign);
	buf_free(&key);
	crig_free(&c);
}

static void
test_verdicts(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice,"
	    "URI:cloister:user:dave", carol.sign);
	struct crig c;
	struct pair p;
	uint64_t id;

	(void)state;
	crig_new(&c);
	for (int v = CERT_OK + 1; v < CERT_NVERDICTS; v++) {
		ask_with(&c, &p, buf_bytes(&cert), buf_bytes(&cert));
		answer(&c, asked(&c, buf_bytes(&cert)), (enum cert_verdict)v,
		    "alice");
		refused(&c, &p, cert_what((unsigned)v));
	}
	ask_with(&c, &p, buf_bytes(&cert), buf_bytes(&cert));
	answer(&c, asked(&c, buf_bytes(&cert)), CERT_OK, "dave");
	refused(&c, &p, "user is not known here");
	/* Gone before the answer. */
	ask_with(&c, &p, buf_bytes(&cert), buf_bytes(&cert));
	id = asked(&c, buf_bytes(&cert));
	pair_close(&p);
	for (int i = 0; i < 20; i++)
		pump(&c.r);
	answer(&c, id, CERT_OK, "alice");
	for (int i = 0; i < 20; i++)
		pump(&c.r);
	assert_null(strstr(logged, "auth.accept"));
	buf_free(&cert);
	crig_free(&c);
}

/* In a child: what ends the vault, here where certd's link is none of a role's. */
static void
dies(void (*act)(struct crig *, struct bytes), struct bytes cert)
{
	struct crig c;
	pid_t pid;
	int status;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		crig_new(&c);
		act(&c, cert);
		for (int i = 0; i < 200; i++)
			pump(&c.r);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}

static void
names_another(struct crig *c, struct bytes cert)
{
	struct pair p;

	ask_with(c, &p, cert, cert);
	answer(c, asked(c, cert), CERT_OK, "bob");
	/* Exit 0, which is wrong here, if bob's session begins. */
	for (int i = 0; i < 200; i++) {
		pump(&c->r);
		if (strstr(logged, "auth.accept") != NULL)
			_exit(0);
	}
}

static void
names_nobody(struct crig *c, struct bytes cert)
{
	struct pair p;

	ask_with(c, &p, cert, cert);
	answer(c, asked(c, cert), CERT_OK, "");
}

static void
unasked(struct crig *c, struct bytes cert)
{
	(void)cert;
	answer(c, 77, CERT_OK, "alice");
}

static void
late_ca(struct crig *c, struct bytes cert)
{
	(void)cert;
	say_ca(c, &other);
}

static void
old_generation(struct crig *c, struct bytes cert)
{
	struct m_tv_hello m = { .generation = 1 };

	(void)cert;
	assert_int_equal(chan_send(c->certd, MSG_tv_hello, &m, -1), 0);
}

static void
test_hostile_certd(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);

	(void)state;
	dies(names_another, buf_bytes(&cert));
	dies(names_nobody, buf_bytes(&cert));
	dies(unasked, buf_bytes(&cert));
	dies(late_ca, buf_bytes(&cert));
	dies(old_generation, buf_bytes(&cert));
	buf_free(&cert);
}

static void
ended(struct crig *c, struct pair *p, const char *why)
{
	expect_eof(&c->r, p->sess);
	if (strstr(logged, why) == NULL)
		fail_msg("\"%s\" is not in the log: %s", why, logged);
	pair_close(p);
}

/* Another certd has read newer lists: it is asked about who is there. */
static void
test_again(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);
	struct bytes b = buf_bytes(&cert);
	struct crig c;
	struct m_sv_models q = { .req = 1 };
	struct pair p, plain;
	struct msg m;
	uint64_t id;

	(void)state;
	crig_new(&c);
	login(&c.r, &plain, &bob, "bob");
	come_in(&c, &p, b);
	hello(&c, 2);
	answer(&c, asked(&c, b), CERT_OK, "alice");
	for (int i = 0; i < 20; i++)
		pump(&c.r);
	not_asked(&c);
	/* Of an answer that never comes, another certd is asked, twice. */
	hello(&c, 3);
	(void)asked(&c, b);
	hello(&c, 4);
	(void)asked(&c, b);
	hello(&c, 5);
	id = asked(&c, b);
	not_asked(&c);
	answer(&c, id, CERT_REVOKED, "");
	ended(&c, &p, "was revoked");
	/* The one without a certificate was not asked about, and goes on. */
	assert_int_equal(chan_send(plain.sess, MSG_sv_models, &q, -1), 0);
	expect(&c.r, plain.sess, MSG_vs_model, &m);
	pair_close(&plain);
	buf_free(&cert);
	crig_free(&c);
}

static void
test_crashes(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);
	struct bytes b = buf_bytes(&cert);
	struct crig c;
	struct pair p, q;

	(void)state;
	crig_new(&c);
	come_in(&c, &p, b);
	ask_with(&c, &q, b, b);
	(void)asked(&c, b);
	hello(&c, 2);
	(void)asked(&c, b);
	(void)asked(&c, b);
	hello(&c, 3);
	(void)asked(&c, b);
	(void)asked(&c, b);
	/* Three times it ended: the newcomer is refused, then the session. */
	hello(&c, 4);
	refused(&c, &q, "certd ends when it looks");
	(void)asked(&c, b);
	hello(&c, 5);
	ended(&c, &p, "certd ends when it looks");
	buf_free(&cert);
	crig_free(&c);
}

/* The certificate's end is the session's. */
static void
test_end(void **state)
{
	struct buf cert = certificate(&root, "URI:cloister:user:alice",
	    carol.sign);
	struct bytes b = buf_bytes(&cert);
	struct m_tv_verdict v = { .verdict = CERT_OK,
	    .not_after = wall_us() / 1000000 + 1,
	    .user = bytes_str("alice"), .detail = bytes_str("x") };
	struct crig c;
	struct pair p;
	struct msg m;

	(void)state;
	crig_new(&c);
	ask_with(&c, &p, b, b);
	v.id = asked(&c, b);
	assert_int_equal(chan_send(c.certd, MSG_tv_verdict, &v, -1), 0);
	expect(&c.r, p.kex, MSG_vx_grant, &m);
	expect(&c.r, p.sess, MSG_vs_user, &m);
	ended(&c, &p, "has expired");
	buf_free(&cert);
	crig_free(&c);
}

static int
group_setup(void **state)
{
	if (keys(state) != 0)
		return -1;
	ident_new(&carol);
	root = made_authority("root", made_ec(), NULL);
	other = made_authority("root", made_ec(), NULL);
	return 0;
}

static int
group_teardown(void **state)
{
	made_ca_free(&root);
	made_ca_free(&other);
	EVP_PKEY_free(carol.sign);
	EVP_PKEY_free(carol.wrap);
	buf_free(&carol.sign_spki);
	buf_free(&carol.wrap_spki);
	return keys_free(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_before_certd),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_hostile_certd),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_crashes),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
