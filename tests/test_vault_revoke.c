/* Disabled users, revoked keys, ended sessions. */
#include "vault_rig.h"

static const uint8_t s1[32] = "one";

static void
text_has(struct bytes text, const char *what)
{
	if (memmem(text.p, text.n, what, strlen(what)) == NULL)
		fail_msg("\"%s\" is not in \"%.*s\"", what, (int)text.n,
		    (const char *)text.p);
}

/* Ask and get the last answer, which must have this text. */
static void
command(struct rig *r, struct chan *c, enum msg_type type, const void *body,
    bool ok, const char *text)
{
	struct msg m;

	assert_int_equal(chan_send(c, type, body, -1), 0);
	expect(r, c, ok ? MSG_va_done : MSG_va_error, &m);
	text_has(ok ? m.u.va_done.text : m.u.va_error.text, text);
}

static void
set_state(struct rig *r, struct chan *c, const char *name, uint8_t state,
    bool ok, const char *text)
{
	struct m_av_user_state m = { .state = state, .name = bytes_str(name) };

	command(r, c, MSG_av_user_state, &m, ok, text);
}

static void
key_revoke(struct rig *r, struct chan *c, const char *user, const char *key,
    bool ok, const char *text)
{
	struct m_av_key_revoke m = { .user = bytes_str(user),
	    .key = bytes_str(key) };

	command(r, c, MSG_av_key_revoke, &m, ok, text);
}

static void
session_kill(struct rig *r, struct chan *c, const char *which, bool ok,
    const char *text)
{
	struct m_av_session_kill m = { .which = bytes_str(which) };

	command(r, c, MSG_av_session_kill, &m, ok, text);
}

/* N's channel is closed, its models are told, and soon the monitor is. */
static void
ended(struct rig *r, struct pair *p, int others)
{
	struct msg m;

	expect_eof(r, p->sess);
	do
		expect(r, r->llm, MSG_vl_revoke, &m);
	while (m.u.vl_revoke.n != p->n);
	/* With several at once the order does not matter. */
	do
		expect(r, r->ctl, MSG_ctl_revoke, &m);
	while (m.u.ctl_revoke.n != p->n && --others >= 0);
	assert_true(m.u.ctl_revoke.n == p->n);
	pair_close(p);
}

static void
refused(struct rig *r, const struct ident *id, const char *reason)
{
	struct pair p;
	struct msg m;

	pair_new(r, &p);
	nonce(r, p.n, s1);
	ask(&p, id, &id->wrap_spki, s1);
	expect(r, p.kex, MSG_vx_refuse, &m);
	if (strstr(logged, reason) == NULL)
		fail_msg("not \"%s\" but: %s", reason, logged);
	logged[0] = '\0';
	pair_close(&p);
}

/* Still live: it is answered. */
static void
lives(struct rig *r, struct pair *p)
{
	struct m_sv_list l = { .req = 9 };
	struct msg m;

	assert_int_equal(chan_send(p->sess, MSG_sv_list, &l, -1), 0);
	do {
		const char *why;

		while (chan_recv(p->sess, &m, 0, &why) != 0)
			pump(r);
	} while (m.type != MSG_vs_done);
}

/* The one key of a user, by key list: its id in hexadecimal. */
static void
key_id(struct rig *r, struct chan *c, const char *user, uint8_t state,
    char hex[17])
{
	struct m_av_key_list l = { .user = bytes_str(user) };
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_key_list, &l, -1), 0);
	expect(r, c, MSG_va_key, &m);
	assert_int_equal(m.u.va_key.state, state);
	assert_true(bytes_eq(m.u.va_key.label, bytes_str("laptop")));
	hex_encode(hex, m.u.va_key.keyid, 8);
	expect(r, c, MSG_va_done, &m);
}

static void
users(void **state)
{
	uint8_t conv[16];
	struct pair a, a2, b;
	struct chan *c;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	login(&r, &a, &alice, "alice");
	login(&r, &a2, &alice, "alice");
	login(&r, &b, &bob, "bob");
	set_state(&r, c, "alice", 3, false, "no such state");
	set_state(&r, c, "alice", 0, false, "no such state");
	set_state(&r, c, "carol", 2, false, "no user carol");
	set_state(&r, c, "alice", 1, true, "enabled already");
	lives(&r, &a);
	/* What is not durable has not happened. */
	r.store->next_write = KV_FULL;
	set_state(&r, c, "alice", 2, false, "disk is full");
	lives(&r, &a);
	set_state(&r, c, "alice", 2, true, "2 sessions ended");
	assert_non_null(strstr(logged, "admin.user.disable|alice|uid=1000"));
	assert_non_null(strstr(logged, "session.revoke|alice|reason=\"its user was"));
	expect_eof(&r, a2.sess);
	pair_close(&a2);
	ended(&r, &a, 1);
	lives(&r, &b);
	refused(&r, &alice, "user disabled");
	set_state(&r, c, "alice", 2, true, "disabled already");
	/* It lasts, and the sum of all records is right. */
	chan_free(c);
	pair_close(&b);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	refused(&r, &alice, "user disabled");
	c = admin_open(&r);
	set_state(&r, c, "alice", 1, true, "alice enabled");
	login(&r, &a, &alice, "alice");
	lives(&r, &a);
	chan_free(c);
	pair_close(&a);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &a, &alice, "alice");
	pair_close(&a);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
a_key(void **state)
{
	char hex[17], fp[RSA_FP_TEXT];
	struct m_av_key_add again = { .user = bytes_str("alice"),
	    .sign_spki = buf_bytes(&alice.sign_spki),
	    .wrap_spki = buf_bytes(&alice.wrap_spki) };
	uint8_t conv[16], hash[32];
	struct pair a, b;
	struct chan *c;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	login(&r, &a, &alice, "alice");
	login(&r, &b, &bob, "bob");
	key_id(&r, c, "alice", REC_KEY_ACTIVE, hex);
	key_revoke(&r, c, "carol", hex, false, "no user carol");
	key_revoke(&r, c, "bob", hex, false, "bob has no key");
	key_revoke(&r, c, "alice", "", false, "has no key");
	hex[15] ^= 1;
	key_revoke(&r, c, "alice", hex, false, "has no key");
	hex[15] ^= 1;
	r.store->next_write = KV_FULL;
	key_revoke(&r, c, "alice", hex, false, "disk is full");
	lives(&r, &a);
	key_revoke(&r, c, "alice", hex, true, "1 session ended");
	assert_non_null(strstr(logged, "admin.key.revoke|alice|key=\"SHA256:"));
	ended(&r, &a, 0);
	lives(&r, &b);
	refused(&r, &alice, "key revoked");
	rsa_fingerprint(hash, buf_bytes(&alice.sign_spki));
	rsa_fingerprint_text(fp, hash);
	key_revoke(&r, c, "alice", fp, false, "revoked already");
	key_id(&r, c, "alice", REC_KEY_REVOKED, hex);
	command(&r, c, MSG_av_key_add, &again, false, "was revoked");
	chan_free(c);
	pair_close(&b);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	refused(&r, &alice, "key revoked");
	c = admin_open(&r);
	key_id(&r, c, "alice", REC_KEY_REVOKED, hex);
	/* By its fingerprint, which takes no other's. */
	rsa_fingerprint(hash, buf_bytes(&bob.sign_spki));
	rsa_fingerprint_text(fp, hash);
	key_revoke(&r, c, "alice", fp, false, "has no key");
	key_revoke(&r, c, "bob", fp, true, "0 sessions ended");
	chan_free(c);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Records that an engine put back, dropped or changed. */
static void
an_engine_that_lies(void **state)
{
	struct m_av_key_list l = { .user = bytes_str("alice") };
	char hex[17];
	uint8_t conv[16];
	struct store *old;
	struct chan *c;
	struct row *row;
	struct rig r;

	(void)state;
	for (int i = 0; i < 5; i++) {
		two_users(&r, conv);
		c = admin_open(&r);
		key_id(&r, c, "alice", REC_KEY_ACTIVE, hex);
		old = store_copy(r.store);
		if (i < 2)
			key_revoke(&r, c, "alice", hex, true, "revoked");
		else if (i == 2)
			set_state(&r, c, "alice", 2, true, "disabled");
		logged[0] = '\0';
		pthread_mutex_lock(&r.store->lock);
		if (i == 4)
			for (size_t k = 0; k < 2; k++) {
				row = row_kind(r.store, 'k', 0);
				row_del(r.store, bytes_of(row->key, row->key_n));
			}
		for (size_t n = 0; i < 4 && n < old->n; n++) {
			row = &old->row[n];
			if (row->key[0] == "kKUK"[i]) {
				if (i == 3)
					row->value[row->value_n - 1] ^= 1;
				row_put(r.store, bytes_of(row->key, row->key_n),
				    bytes_of(row->value, row->value_n));
			}
		}
		pthread_mutex_unlock(&r.store->lock);
		switch (i) {
		case 0:		/* the old k record */
			command(&r, c, MSG_av_key_list, &l, false,
			    "does not verify");
			break;
		case 1:		/* the old K record: it lets nobody in */
			refused(&r, &alice, "storage.tamper");
			break;
		case 2:		/* the old U record */
			set_state(&r, c, "alice", 1, false, "storage failed");
			assert_non_null(strstr(logged, "storage.tamper|alice"));
			break;
		case 3:		/* a changed K record */
			key_revoke(&r, c, "alice", hex, false, "storage failed");
			assert_non_null(strstr(logged, "storage.tamper|alice"));
			break;
		default:	/* no k record */
			command(&r, c, MSG_av_key_list, &l, false,
			    "does not verify");
			break;
		}
		/* The turn is given back. */
		if (i != 4)
			set_state(&r, c, "bob", 2, true, "bob disabled");
		chan_free(c);
		store_free(old);
		rig_stop(&r, true);
		rig_free(&r);
	}
}

static void
sessions(void **state)
{
	struct m_sv_ready ready = { .session_id = { 0xab, 0xcd } };
	uint8_t conv[16];
	struct pair a, a2, b;
	char text[32];
	struct chan *c;
	struct rig r;
	struct msg m;
	unsigned seen = 0;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	login(&r, &a, &alice, "alice");
	login(&r, &a2, &alice, "alice");
	login(&r, &b, &bob, "bob");
	assert_int_equal(chan_send(b.sess, MSG_sv_ready, &ready, -1), 0);
	lives(&r, &b);
	assert_int_equal(chan_send(c, MSG_av_session_list, NULL, -1), 0);
	for (int i = 0; i < 3; i++) {
		expect(&r, c, MSG_va_session, &m);
		assert_true(bytes_eq(m.u.va_session.source,
		    bytes_str("127.0.0.1")));
		assert_true(bytes_eq(m.u.va_session.label,
		    bytes_str("laptop")));
		assert_int_equal(m.u.va_session.suite, HS_SUITE_BEST);
		assert_int_equal(m.u.va_session.session_id[1],
		    m.u.va_session.n == b.n ? 0xcd : 0);
		assert_true(bytes_eq(m.u.va_session.user,
		    bytes_str(m.u.va_session.n == b.n ? "bob" : "alice")));
		seen |= 1u << (m.u.va_session.n - a.n);
	}
	assert_int_equal(seen, 7);
	expect(&r, c, MSG_va_done, &m);
	session_kill(&r, c, "", false, "no user");
	session_kill(&r, c, "99", false, "no session 99");
	session_kill(&r, c, "99999999999999999999999", false, "no user");
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)a.n);
	session_kill(&r, c, text, true, "1 session ended");
	assert_non_null(strstr(logged, "admin.session.kill|alice|uid=1000"));
	ended(&r, &a, 0);
	session_kill(&r, c, text, false, "no session");
	lives(&r, &a2);
	lives(&r, &b);
	session_kill(&r, c, "alice", true, "1 session ended");
	ended(&r, &a2, 0);
	session_kill(&r, c, "alice", true, "0 sessions ended");
	lives(&r, &b);
	/* One whose handshake is not finished yet ends too. */
	pair_close(&b);
	pair_new(&r, &b);
	nonce(&r, b.n, s1);
	ask(&b, &bob, &bob.wrap_spki, s1);
	expect(&r, b.kex, MSG_vx_grant, &m);
	expect(&r, b.sess, MSG_vs_user, &m);
	session_kill(&r, c, "bob", true, "1 session ended");
	ended(&r, &b, 0);
	chan_free(c);
	/* A vault that stops forgets whom it was to have killed. */
	login(&r, &a, &alice, "alice");
	c = admin_open(&r);
	session_kill(&r, c, "alice", true, "1 session ended");
	pair_close(&a);
	chan_free(c);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Two who change the same: one at a time, and whoever left is not missed. */
static void
in_turn(void **state)
{
	struct m_av_user_state u = { .state = 2, .name = bytes_str("bob") };
	char hex[17];
	uint8_t conv[16];
	struct chan *c, *d;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	d = admin_open(&r);
	key_id(&r, c, "alice", REC_KEY_ACTIVE, hex);
	pthread_mutex_lock(&r.store->lock);
	assert_int_equal(chan_send(c, MSG_av_user_state, &u, -1), 0);
	for (int i = 0; i < 10; i++)
		pump(&r);
	key_revoke(&r, d, "alice", hex, false, "another change");
	set_state(&r, d, "alice", 2, false, "another change");
	chan_free(c);
	for (int i = 0; i < 10; i++)
		pump(&r);
	pthread_mutex_unlock(&r.store->lock);
	for (int i = 0; i < WAIT_TRIES && r.v->changing; i++)
		pump(&r);
	refused(&r, &bob, "user disabled");
	/* The same for a revocation. */
	c = admin_open(&r);
	pthread_mutex_lock(&r.store->lock);
	{
		struct m_av_key_revoke m = { .user = bytes_str("alice"),
		    .key = bytes_str(hex) };

		assert_int_equal(chan_send(c, MSG_av_key_revoke, &m, -1), 0);
	}
	for (int i = 0; i < 10; i++)
		pump(&r);
	set_state(&r, d, "alice", 2, false, "another change");
	chan_free(c);
	pthread_mutex_unlock(&r.store->lock);
	for (int i = 0; i < WAIT_TRIES && r.v->changing; i++)
		pump(&r);
	refused(&r, &alice, "key revoked");
	chan_free(d);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users),
		cmocka_unit_test(a_key),
		cmocka_unit_test(an_engine_that_lies),
		cmocka_unit_test(sessions),
		cmocka_unit_test(in_turn),
	};

	return cmocka_run_group_tests_name("vault_revoke", tests, keys,
	    keys_free);
}
