/*
 * Who the vault lets enrol and by what: workers and clients are played by the
 * test, the hasher is the real one on the real link.
 */
#include "vault_rig.h"

#include <sys/wait.h>

#include "hasher.h"

#define PW	"correct horse battery 9"
#define NEW	"another horse battery 7"

static struct ident carol, dave;	/* keys that nobody knows */
static struct hasher hasher;
static struct chan *hasher_end;
static unsigned asked;			/* requests that reached the hasher */
static const struct bytes none = { NULL, 0 };

/* ---- the hasher ------------------------------------------------------------ */

static void
hasher_up(struct rig *r, uint32_t generation)
{
	struct msg m;

	hasher_free(&hasher);
	hasher_init(&hasher, generation);
	hasher_hello(&hasher, hasher_end);
	expect(r, hasher_end, MSG_vh_welcome, &m);
	assert_null(hasher_request(&hasher, hasher_end, &m));
	expect(r, r->keyd, MSG_vk_seal, &m);
	assert_memory_equal(m.u.vk_seal.seal, hasher.seal, 32);
}

/* A vault with a hasher, where strangers may enrol and delays are long. */
static void
begin(struct rig *r)
{
	struct vault *v = r->v;

	v->hasher = link_up(r, CH_HASHER_VAULT, END_B, HASHER_VAULT_UP,
	    HASHER_VAULT_UP, vault_on_hasher, v, &hasher_end);
	chan_set_state(r->keyd, KEYD_VAULT_UP);
	v->enrolment = true;
	v->password_delay_s = 300;
	v->argon2_memory_kib = 1024;
	v->argon2_passes = 1;
	asked = 0;
	hasher_up(r, 1);
}

static void
new(struct rig *r)
{
	rig_new(r);
	begin(r);
	user_new(r, "alice", &alice);
}

static void
stop(struct rig *r, bool clean)
{
	for (int i = 0; i < WAIT_TRIES && any_worker(r); i++)
		pump(r);
	chan_free(r->v->hasher);
	chan_free(hasher_end);
	rig_stop(r, clean);
}

static void
end(struct rig *r)
{
	stop(r, true);
	rig_free(r);
}

/* The hasher does its next request; the result that it gives. */
static void
hash(struct rig *r)
{
	struct msg m;

	expect(r, hasher_end, MSG_vh_hash, &m);
	assert_null(hasher_request(&hasher, hasher_end, &m));
	asked++;
}

/* ---- sessions that are not let in --------------------------------------------- */

static void
bind_of(struct rig *r, const struct pair *p, const struct ident *id,
    uint8_t bind[32])
{
	uint8_t random_c[32], random_s[32], th[32], h[32], wh[32], ch[32];

	(void)r;
	memset(random_c, 7, 32);
	memset(th, 8, 32);
	memset(random_s, (int)p->n, 32);
	sha256(h, buf_bytes(&id->sign_spki));
	sha256(wh, buf_bytes(&id->wrap_spki));
	sha256(ch, none);
	hs_login_bind(bind, HS_SUITE_BEST, random_c, random_s, th, h, wh,
	    host_hash, ch);
}

/* Shake hands from a source; what the vault answers the kex worker. */
static enum msg_type
arrive(struct rig *r, struct pair *p, const struct ident *id,
    const char *source)
{
	struct m_zv_client client = { .source = bytes_str(source) };
	uint8_t random_s[32];
	const char *why;
	struct msg m;
	int rv = -1;

	pair_new(r, p);
	client.n = p->n;
	assert_int_equal(chan_send(r->zygote, MSG_zv_client, &client, -1), 0);
	memset(random_s, (int)p->n, sizeof(random_s));
	nonce(r, p->n, random_s);
	ask(p, id, &id->wrap_spki, random_s);
	for (int i = 0; i < WAIT_TRIES && rv == -1; i++) {
		rv = chan_recv(p->kex, &m, 0, &why);
		if (rv == -1)
			pump(r);
	}
	assert_int_equal(rv, 0);
	return m.type;
}

/* One that may enrol. */
static void
stranger(struct rig *r, struct pair *p, const struct ident *id,
    const char *source)
{
	struct msg m;

	assert_int_equal(arrive(r, p, id, source), MSG_vx_grant);
	expect(r, p->sess, MSG_vs_gate, &m);
	assert_int_equal(m.u.vs_gate.kind, GATE_ENROL);
	assert_true(m.u.vs_gate.n == p->n);
	assert_int_equal(m.u.vs_gate.user.n, 0);
	chan_set_state(p->sess, SESS_VAULT_ENROL);
}

/* Seal as the client with this key does in this session. */
static void
seal(struct rig *r, const struct pair *p, const struct ident *id,
    enum password_use use, const char *user, const char *pw, const char *fresh,
    uint8_t exported[32], uint8_t sealed[PASSWORD_SEALED])
{
	uint8_t bind[32], what[32], info[PASSWORD_INFO];

	bind_of(r, p, id, bind);
	memset(exported, 5, 32);
	password_what(what, bytes_str(user), use == PASSWORD_ENROL ?
	    bytes_str("laptop") : none, none);
	password_info(info, use, bind, exported, what);
	assert_int_equal(password_seal(sealed, hasher.seal, info,
	    bytes_str(pw), bytes_str(fresh)), 0);
}

static struct m_sv_login
login_of(struct rig *r, const struct pair *p, const struct ident *id,
    const char *user, const char *pw)
{
	struct m_sv_login m = { .req = 1, .user = bytes_str(user),
	    .label = bytes_str("laptop") };

	seal(r, p, id, PASSWORD_ENROL, user, pw, "", m.exported, m.sealed);
	return m;
}

static void
send_login(struct pair *p, const struct m_sv_login *m)
{
	assert_int_equal(chan_send(p->sess, MSG_sv_login, m, -1), 0);
}

/* Try a password from a new session; the code of the error, or 0. */
static unsigned
try_password(struct rig *r, const struct ident *id, const char *source,
    const char *user, const char *pw)
{
	unsigned before = asked, code = 0;
	struct m_sv_login q;
	struct pair p;
	const char *why;
	struct msg m;
	int rv = -1;

	stranger(r, &p, id, source);
	q = login_of(r, &p, id, user, pw);
	send_login(&p, &q);
	for (int i = 0; i < WAIT_TRIES && rv == -1; i++) {
		if (chan_recv(hasher_end, &m, 0, &why) == 0) {
			assert_null(hasher_request(&hasher, hasher_end, &m));
			asked++;
		}
		rv = chan_recv(p.sess, &m, 0, &why);
		if (rv == -1)
			pump(r);
	}
	assert_int_equal(rv, 0);
	if (m.type == MSG_vs_error)
		code = m.u.vs_error.code;
	else
		assert_int_equal(m.type, MSG_vs_enrolled);
	assert_int_equal(asked, code == ERR_WAIT ? before : before + 1);
	pair_close(&p);
	return code;
}

/* By cloisterctl. */
static void
set_password(struct rig *r, const char *user, const char *pw)
{
	static const uint8_t zeros[32];
	struct m_av_seal ask_seal = { .user = bytes_str(user) };
	struct m_av_passwd q = { .user = bytes_str(user) };
	uint8_t info[PASSWORD_INFO], what[32];
	struct chan *c = admin_open(r);
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_seal, &ask_seal, -1), 0);
	expect(r, c, MSG_va_seal, &m);
	password_what(what, q.user, none, none);
	password_info(info, PASSWORD_ADMIN, m.u.va_seal.nonce, zeros, what);
	assert_int_equal(password_seal(q.sealed, m.u.va_seal.seal, info, none,
	    bytes_str(pw)), 0);
	expect(r, c, MSG_va_done, &m);
	assert_int_equal(chan_send(c, MSG_av_passwd, &q, -1), 0);
	hash(r);
	expect(r, c, MSG_va_done, &m);
	/* The nonce was for one. */
	assert_int_equal(chan_send(c, MSG_av_passwd, &q, -1), 0);
	expect(r, c, MSG_va_error, &m);
	chan_free(c);
}

/* ---- passwords ------------------------------------------------------------------ */

static void
enrols(void **state)
{
	struct rig r;
	struct pair p;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "alice", PW), 0);
	login(&r, &p, &carol, "alice");
	pair_close(&p);
	/* What was enrolled is there after a restart. */
	stop(&r, false);
	assert_int_equal(rig_start(&r, false), 0);
	begin(&r);
	login(&r, &p, &carol, "alice");
	pair_close(&p);
	end(&r);
}

/*
 * What a worker saw of a password is worth nothing elsewhere: not in another
 * session, for another key, name, label or message key, not for another use.
 */
static void
bound(void **state)
{
	struct m_sv_password factor = { .req = 1 };
	struct m_sv_login q, bad;
	struct pair p, other;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	user_new(&r, "bob", &bob);
	set_password(&r, "bob", PW);
	stranger(&r, &p, &carol, "10.0.0.1");
	q = login_of(&r, &p, &carol, "alice", PW);
	pair_close(&p);
	/* Another session of the same key, then of another one. */
	stranger(&r, &other, &carol, "10.0.0.2");
	send_login(&other, &q);
	hash(&r);
	expect_error(&r, &other, 1, ERR_BAD);
	pair_close(&other);
	stranger(&r, &other, &dave, "10.0.0.3");
	send_login(&other, &q);
	hash(&r);
	expect_error(&r, &other, 1, ERR_BAD);
	pair_close(&other);
	/* The same session, something else asked for. */
	for (int i = 0; i < 4; i++) {
		stranger(&r, &p, &carol, "10.0.1.1");
		bad = login_of(&r, &p, &carol, "alice", PW);
		switch (i) {
		case 0:
			bad.user = bytes_str("bob");
			break;
		case 1:
			bad.label = bytes_str("lapt0p");
			break;
		case 2:
			bad.msg_spki = buf_bytes(&alice.sign_spki);
			break;
		default:
			bad.exported[0] ^= 1;
		}
		r.v->password_delay_s = 0;
		send_login(&p, &bad);
		hash(&r);
		expect_error(&r, &p, 1, ERR_BAD);
		pair_close(&p);
	}
	/* As a second factor. */
	r.v->policy = REC_POLICY_KEY_PASSWORD;
	assert_int_equal(arrive(&r, &p, &alice, "10.0.2.1"), MSG_vx_grant);
	expect(&r, p.sess, MSG_vs_gate, &m);
	chan_set_state(p.sess, SESS_VAULT_FACTOR);
	seal(&r, &p, &alice, PASSWORD_CHANGE, "alice", PW, NEW, factor.exported,
	    factor.sealed);
	assert_int_equal(chan_send(p.sess, MSG_sv_password, &factor, -1), 0);
	hash(&r);
	expect_error(&r, &p, 1, ERR_BAD);
	pair_close(&p);
	r.v->policy = REC_POLICY_KEY;
	assert_null(strstr(logged, "auth.enrol"));
	end(&r);
}

/* A user, none, one without a password: one request each, of the same shape. */
static void
same_cost(void **state)
{
	static const char *const names[] = { "alice", "nobody", "bob" };
	uint8_t salt[3][16];
	struct m_sv_login q;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	user_new(&r, "bob", &bob);
	set_password(&r, "alice", PW);
	for (int i = 0; i < 3; i++) {
		stranger(&r, &p, &carol, "10.0.0.1");
		q = login_of(&r, &p, &carol, names[i], "wrong horse battery");
		send_login(&p, &q);
		expect(&r, hasher_end, MSG_vh_hash, &m);
		assert_int_equal(m.u.vh_hash.memory_kib, 1024);
		assert_int_equal(m.u.vh_hash.passes, 1);
		memcpy(salt[i], m.u.vh_hash.salt, 16);
		assert_null(hasher_request(&hasher, hasher_end, &m));
		expect_error(&r, &p, 1, ERR_PASSWORD);
		pair_close(&p);
	}
	assert_memory_not_equal(salt[0], salt[1], 16);
	assert_memory_not_equal(salt[1], salt[2], 16);
	/* The salt of nobody is always the same. */
	r.v->password_delay_s = 0;
	stranger(&r, &p, &carol, "10.0.0.2");
	q = login_of(&r, &p, &carol, "nobody", "wrong horse battery");
	send_login(&p, &q);
	expect(&r, hasher_end, MSG_vh_hash, &m);
	assert_memory_equal(salt[1], m.u.vh_hash.salt, 16);
	assert_null(hasher_request(&hasher, hasher_end, &m));
	expect_error(&r, &p, 1, ERR_PASSWORD);
	pair_close(&p);
	end(&r);
}

/* ---- backoff ---------------------------------------------------------------------- */

static void
by_source(void **state)
{
	struct rig r;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	for (int i = 0; i < 4; i++)
		assert_int_equal(try_password(&r, &carol, "10.0.0.1:1",
		    "alice", "wrong horse"), ERR_PASSWORD);
	/* Now the source waits, whatever it says, whoever it names. */
	assert_int_equal(try_password(&r, &carol, "10.0.0.1:2", "alice", PW),
	    ERR_WAIT);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1:3", "nobody", PW),
	    ERR_WAIT);
	/* A restart forgets nothing. */
	stop(&r, false);
	assert_int_equal(rig_start(&r, false), 0);
	begin(&r);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1:4", "alice", PW),
	    ERR_WAIT);
	/* Another source does not; of IPv6 a /64 is one. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(try_password(&r, &carol, "[2001:db8::1]:5",
		    "nobody", "wrong horse"), ERR_PASSWORD);
	assert_int_equal(try_password(&r, &carol, "[2001:db8::2]:5", "alice",
	    PW), ERR_WAIT);
	assert_int_equal(try_password(&r, &carol, "[2001:db8:0:1::1]:5",
	    "alice", PW), 0);
	end(&r);
}

/* Strangers cannot keep a user out from where she was let in. */
static void
by_name(void **state)
{
	char source[32];
	struct rig r;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "alice", PW), 0);
	for (int i = 0; i < 11; i++) {
		(void)snprintf(source, sizeof(source), "10.1.0.%d", i);
		assert_int_equal(try_password(&r, &dave, source, "alice",
		    "wrong horse"), ERR_PASSWORD);
	}
	assert_int_equal(try_password(&r, &dave, "10.1.0.99", "alice", PW),
	    ERR_WAIT);
	/* Names that are no users' wait, too. */
	for (int i = 0; i < 11; i++) {
		(void)snprintf(source, sizeof(source), "10.2.0.%d", i);
		assert_int_equal(try_password(&r, &dave, source, "nobody",
		    "wrong horse"), ERR_PASSWORD);
	}
	assert_int_equal(try_password(&r, &dave, "10.2.0.99", "nobody", PW),
	    ERR_WAIT);
	assert_int_equal(try_password(&r, &dave, "10.0.0.1", "alice", PW), 0);
	end(&r);
}

/* A failure that was put back to an older count is noticed at start. */
static void
rolled_back(void **state)
{
	uint8_t key[64], value[4096];
	struct row *row;
	size_t nk, nv;
	struct rig r;

	(void)state;
	new(&r);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "nobody", "x"),
	    ERR_PASSWORD);
	row = row_kind(r.store, REC_BACKOFF, 0);
	assert_non_null(row);
	memcpy(key, row->key, nk = row->key_n);
	memcpy(value, row->value, nv = row->value_n);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "nobody", "x"),
	    ERR_PASSWORD);
	stop(&r, true);
	row_put(r.store, bytes_of(key, nk), bytes_of(value, nv));
	assert_int_equal(rig_start(&r, false), -1);
	begin(&r);
	stop(&r, false);
	rig_free(&r);
}

/* One source has one attempt checked at a time, one session three in all. */
static void
one_at_a_time(void **state)
{
	struct m_sv_login q;
	struct pair p, other;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	stranger(&r, &p, &carol, "10.0.0.1:1");
	stranger(&r, &other, &dave, "10.0.0.1:2");
	q = login_of(&r, &p, &carol, "alice", "wrong horse");
	send_login(&p, &q);
	expect(&r, hasher_end, MSG_vh_hash, &m);
	/* In the same session, and in another one of that source. */
	send_login(&p, &q);
	expect_error(&r, &p, 1, ERR_BUSY);
	q = login_of(&r, &other, &dave, "alice", "wrong horse");
	send_login(&other, &q);
	expect_error(&r, &other, 1, ERR_BUSY);
	pair_close(&other);
	assert_null(hasher_request(&hasher, hasher_end, &m));
	expect_error(&r, &p, 1, ERR_PASSWORD);
	for (int i = 0; i < 2; i++) {
		q = login_of(&r, &p, &carol, "alice", "wrong horse");
		send_login(&p, &q);
		hash(&r);
		expect_error(&r, &p, 1, ERR_PASSWORD);
	}
	expect_eof(&r, p.sess);
	pair_close(&p);
	end(&r);
}

/* ---- gates ------------------------------------------------------------------------- */

/* Unknown, revoked, disabled: the same; and few of one source. */
static void
alike(void **state)
{
	struct m_av_user_state off = { .state = REC_USER_DISABLED,
	    .name = bytes_str("bob") };
	struct m_av_key_revoke revoke = { .user = bytes_str("alice") };
	struct pair p[5];
	char fp[RSA_FP_TEXT];
	uint8_t h[32];
	struct chan *c;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	user_new(&r, "bob", &bob);
	c = admin_open(&r);
	assert_int_equal(chan_send(c, MSG_av_user_state, &off, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	rsa_fingerprint(h, buf_bytes(&alice.sign_spki));
	rsa_fingerprint_text(fp, h);
	revoke.key = bytes_str(fp);
	assert_int_equal(chan_send(c, MSG_av_key_revoke, &revoke, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	chan_free(c);
	stranger(&r, &p[0], &carol, "10.0.0.1");
	stranger(&r, &p[1], &alice, "10.0.0.1");
	stranger(&r, &p[2], &bob, "10.0.0.1");
	stranger(&r, &p[3], &carol, "10.0.0.1");
	assert_int_equal(arrive(&r, &p[4], &carol, "10.0.0.1"), MSG_vx_refuse);
	pair_close(&p[4]);
	pair_close(&p[3]);
	for (int i = 0; i < 50; i++)
		pump(&r);
	stranger(&r, &p[4], &carol, "10.0.0.1");
	for (int i = 0; i < 5; i++)
		if (i != 3)
			pair_close(&p[i]);
	/* A signature that is wrong enrols nothing. */
	pair_new(&r, &p[0]);
	memset(h, 1, sizeof(h));
	nonce(&r, p[0].n, h);
	h[0] = 2;
	ask(&p[0], &carol, &carol.wrap_spki, h);
	expect(&r, p[0].kex, MSG_vx_refuse, &m);
	pair_close(&p[0]);
	/* With enrolment off, all of them are refused. */
	r.v->enrolment = false;
	assert_int_equal(arrive(&r, &p[0], &carol, "10.0.0.9"), MSG_vx_refuse);
	pair_close(&p[0]);
	end(&r);
}

/* Anything else that a worker asks in such a session ends it. */
static void
nothing_else(void **state)
{
	struct m_sv_list list = { .req = 1 };
	struct m_sv_password factor = { .req = 1 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	stranger(&r, &p, &carol, "10.0.0.1");
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &list, -1), 0);
	expect(&r, r.ctl, MSG_ctl_revoke, &m);
	assert_true(m.u.ctl_revoke.n == p.n);
	pair_close(&p);
	stranger(&r, &p, &carol, "10.0.0.1");
	assert_int_equal(chan_send(p.sess, MSG_sv_password, &factor, -1), 0);
	expect(&r, r.ctl, MSG_ctl_revoke, &m);
	pair_close(&p);
	r.v->policy = REC_POLICY_KEY_PASSWORD;
	assert_int_equal(arrive(&r, &p, &alice, "10.0.0.1"), MSG_vx_grant);
	expect(&r, p.sess, MSG_vs_gate, &m);
	assert_int_equal(m.u.vs_gate.kind, GATE_FACTOR);
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &list, -1), 0);
	expect(&r, r.ctl, MSG_ctl_revoke, &m);
	pair_close(&p);
	end(&r);
}

/* The second factor lets in; a change of the password from there. */
static void
factor_and_change(void **state)
{
	struct m_sv_password q = { .req = 1 };
	struct m_sv_passwd change = { .req = 2 };
	struct m_sv_list list = { .req = 3 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	r.v->policy = REC_POLICY_KEY_PASSWORD;
	assert_int_equal(arrive(&r, &p, &alice, "10.0.0.1"), MSG_vx_grant);
	expect(&r, p.sess, MSG_vs_gate, &m);
	chan_set_state(p.sess, SESS_VAULT_FACTOR);
	seal(&r, &p, &alice, PASSWORD_FACTOR, "alice", "wrong horse", "",
	    q.exported, q.sealed);
	assert_int_equal(chan_send(p.sess, MSG_sv_password, &q, -1), 0);
	hash(&r);
	expect_error(&r, &p, 1, ERR_PASSWORD);
	seal(&r, &p, &alice, PASSWORD_FACTOR, "alice", PW, "", q.exported,
	    q.sealed);
	assert_int_equal(chan_send(p.sess, MSG_sv_password, &q, -1), 0);
	hash(&r);
	expect(&r, p.sess, MSG_vs_user, &m);
	chan_set_state(p.sess, SESS_VAULT_LIVE);
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &list, -1), 0);
	expect(&r, p.sess, MSG_vs_done, &m);
	seal(&r, &p, &alice, PASSWORD_CHANGE, "alice", PW, "short",
	    change.exported, change.sealed);
	assert_int_equal(chan_send(p.sess, MSG_sv_passwd, &change, -1), 0);
	hash(&r);
	hash(&r);
	expect_error(&r, &p, 2, ERR_WEAK);
	seal(&r, &p, &alice, PASSWORD_CHANGE, "alice", PW, NEW,
	    change.exported, change.sealed);
	assert_int_equal(chan_send(p.sess, MSG_sv_passwd, &change, -1), 0);
	hash(&r);
	hash(&r);
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "alice", PW),
	    ERR_PASSWORD);
	assert_int_equal(try_password(&r, &carol, "10.0.0.1", "alice", NEW),
	    0);
	end(&r);
}

/* ---- invites ----------------------------------------------------------------------- */

static void
invite(struct rig *r, const char *user, uint32_t seconds,
    uint8_t code[INVITE_CODE])
{
	struct m_av_invite q = { .user = bytes_str(user), .seconds = seconds };
	struct chan *c = admin_open(r);
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_invite, &q, -1), 0);
	expect(r, c, MSG_va_invite, &m);
	memcpy(code, m.u.va_invite.code, INVITE_CODE);
	assert_memory_equal(m.u.va_invite.host_hash, host_hash, 32);
	expect(r, c, MSG_va_done, &m);
	chan_free(c);
}

static struct m_sv_invite
proof_of(struct rig *r, const struct pair *p, const struct ident *id,
    const uint8_t code[INVITE_CODE])
{
	struct m_sv_invite q = { .req = 1, .label = bytes_str("laptop") };
	uint8_t bind[32], what[32];

	memcpy(q.id, code, INVITE_ID);
	bind_of(r, p, id, bind);
	password_what(what, none, q.label, none);
	invite_proof(q.proof, code + INVITE_ID, bind, what);
	return q;
}

static void
invites(void **state)
{
	uint8_t code[INVITE_CODE];
	struct m_sv_invite q, stolen;
	struct pair p, thief;
	struct store *before;
	struct row *row;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	r.v->password_delay_s = 0;
	invite(&r, "alice", 3600, code);
	stranger(&r, &p, &carol, "10.0.0.1");
	q = proof_of(&r, &p, &carol, code);
	/* What a worker saw is no proof for another key, label or id. */
	stranger(&r, &thief, &dave, "10.0.0.2");
	stolen = q;
	assert_int_equal(chan_send(thief.sess, MSG_sv_invite, &stolen, -1), 0);
	expect_error(&r, &thief, 1, ERR_INVITE);
	stolen.label = bytes_str("another");
	assert_int_equal(chan_send(thief.sess, MSG_sv_invite, &stolen, -1), 0);
	expect_error(&r, &thief, 1, ERR_INVITE);
	pair_close(&thief);
	before = store_copy(r.store);
	assert_int_equal(chan_send(p.sess, MSG_sv_invite, &q, -1), 0);
	expect(&r, p.sess, MSG_vs_enrolled, &m);
	assert_true(bytes_eq(m.u.vs_enrolled.user, bytes_str("alice")));
	pair_close(&p);
	login(&r, &p, &carol, "alice");
	pair_close(&p);
	/* Once. */
	stranger(&r, &p, &dave, "10.0.0.1");
	q = proof_of(&r, &p, &dave, code);
	assert_int_equal(chan_send(p.sess, MSG_sv_invite, &q, -1), 0);
	expect_error(&r, &p, 1, ERR_INVITE);
	pair_close(&p);
	/* In time: it is removed from the store by the next one. */
	invite(&r, "alice", 1, code);
	LIST_FIRST(&r.v->invites)->expires_us = 1;
	stranger(&r, &p, &dave, "10.0.0.1");
	q = proof_of(&r, &p, &dave, code);
	assert_int_equal(chan_send(p.sess, MSG_sv_invite, &q, -1), 0);
	expect_error(&r, &p, 1, ERR_INVITE);
	pair_close(&p);
	invite(&r, "alice", 3600, code);
	assert_null(row_kind(r.store, REC_INVITE, 1));
	/* A used one that was put back is noticed at start. */
	stop(&r, true);
	row = row_kind(before, REC_INVITE, 0);
	assert_non_null(row);
	row_put(r.store, bytes_of(row->key, row->key_n),
	    bytes_of(row->value, row->value_n));
	assert_int_equal(rig_start(&r, false), -1);
	begin(&r);
	stop(&r, false);
	store_free(before);
	rig_free(&r);
}

/* ---- the hasher -------------------------------------------------------------------- */

/* Its successor has another key: who waits is told to try again. */
static void
hasher_restarts(void **state)
{
	struct m_sv_login q;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	new(&r);
	set_password(&r, "alice", PW);
	stranger(&r, &p, &carol, "10.0.0.1");
	q = login_of(&r, &p, &carol, "alice", PW);
	send_login(&p, &q);
	expect(&r, hasher_end, MSG_vh_hash, &m);
	hasher_up(&r, 2);
	expect_error(&r, &p, 1, ERR_OVERLOADED);
	/* What was sealed to the old key does not open. */
	send_login(&p, &q);
	hash(&r);
	expect_error(&r, &p, 1, ERR_BAD);
	q = login_of(&r, &p, &carol, "alice", PW);
	send_login(&p, &q);
	hash(&r);
	expect(&r, p.sess, MSG_vs_enrolled, &m);
	pair_close(&p);
	end(&r);
}

/* Answers that nobody asked for end the link: here, where it has no number, us. */
static void
hostile_hasher(void **state)
{
	struct m_sv_login q;
	struct pair p;
	struct rig r;
	struct msg m, bad;
	int status;
	pid_t pid;

	(void)state;
	new(&r);
	stranger(&r, &p, &carol, "10.0.0.1");
	q = login_of(&r, &p, &carol, "nobody", PW);
	send_login(&p, &q);
	expect(&r, hasher_end, MSG_vh_hash, &m);
	for (int i = 0; i < 5; i++) {
		memset(&bad, 0, sizeof(bad));
		bad.type = MSG_hv_hash;
		bad.u.hv_hash.id = m.u.vh_hash.id;
		switch (i) {
		case 0:
			bad.u.hv_hash.id++;	/* not asked */
			break;
		case 1:
			bad.u.hv_hash.result = HASHED_GONE;	/* ours */
			break;
		case 2:
			bad.u.hv_hash.result = 255;
			break;
		case 3:		/* weak, and no new password was asked for */
			bad.u.hv_hash.result = HASHED_WEAK + PASSWORD_SHORT;
			break;
		default:
			bad.type = MSG_hv_hello;	/* not a later one */
			bad.u.hv_hello.generation = 1;
		}
		if ((pid = fork()) == 0) {
			log_set_sink(NULL);
			(void)close(STDERR_FILENO);
			vault_on_hasher(r.v->hasher, &bad, r.v);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
	}
	assert_null(hasher_request(&hasher, hasher_end, &m));
	expect_error(&r, &p, 1, ERR_PASSWORD);
	pair_close(&p);
	end(&r);
}

static int
setup(void **state)
{
	ident_new(&carol);
	ident_new(&dave);
	return keys(state);
}

static int
teardown(void **state)
{
	struct ident *id[] = { &carol, &dave };

	hasher_free(&hasher);
	for (int i = 0; i < 2; i++) {
		EVP_PKEY_free(id[i]->sign);
		EVP_PKEY_free(id[i]->wrap);
		buf_free(&id[i]->sign_spki);
		buf_free(&id[i]->wrap_spki);
	}
	return keys_free(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enrols),
		cmocka_unit_test(bound),
		cmocka_unit_test(same_cost),
		cmocka_unit_test(by_source),
		cmocka_unit_test(by_name),
		cmocka_unit_test(rolled_back),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(alike),
		cmocka_unit_test(nothing_else),
		cmocka_unit_test(factor_and_change),
		cmocka_unit_test(invites),
		cmocka_unit_test(hasher_restarts),
		cmocka_unit_test(hostile_hasher),
	};

	return cmocka_run_group_tests_name("vault login", tests, setup,
	    teardown);
}
