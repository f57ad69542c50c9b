/* The vault against hostile workers and a hostile engine. */
#include "vault_rig.h"

/* One attempt that must be refused for this reason. */
static void
refused(struct rig *r, struct pair *p, const char *reason)
{
	struct msg m;

	expect(r, p->kex, MSG_vx_refuse, &m);
	expect_eof(r, p->sess);
	assert_non_null(strstr(logged, reason));
	logged[0] = '\0';
	pair_close(p);
}

static void
who_does_not_come_in(void **state)
{
	static const uint8_t s1[32] = "one", s2[32] = "two";
	struct ident eve;
	uint8_t conv[16];
	struct pair p, live[3];
	struct rig r;

	(void)state;
	two_users(&r, conv);
	/* An unknown signing key, with a known wrap key. */
	ident_new(&eve);
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &eve, &eve.wrap_spki, s1);
	refused(&r, &p, "auth.refuse||reason=\"unknown key\" source=\"127.0.0.1");
	/* Another's wrap key. */
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &alice, &bob.wrap_spki, s1);
	refused(&r, &p, "auth.refuse|alice|reason=\"another wrap key");
	/* A signature over another nonce: an old handshake. */
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &alice, &alice.wrap_spki, s2);
	refused(&r, &p, "auth.refuse|alice|reason=\"bad signature");
	/* Another suite than the signed one, and one that there is not. */
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask_suite(&p, &alice, &alice.wrap_spki, s1, 2, 1);
	refused(&r, &p, "auth.refuse|alice|reason=\"bad signature");
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask_suite(&p, &alice, &alice.wrap_spki, s1, HS_SUITE_BEST + 1,
	    HS_SUITE_BEST + 1);
	refused(&r, &p, "auth.refuse|alice|reason=\"suite not allowed");
	/* A suite below the server's policy. */
	r.v->lowest_suite = HS_SUITE_HYBRID;
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask_suite(&p, &alice, &alice.wrap_spki, s1, 1, 1);
	refused(&r, &p, "auth.refuse|alice|reason=\"suite not allowed");
	r.v->lowest_suite = 0;
	/* No nonce from keyd, whatever the worker says it was. */
	pair_new(&r, &p);
	ask(&p, &alice, &alice.wrap_spki, (const uint8_t[32]){ 0 });
	refused(&r, &p, "auth.refuse|alice|reason=\"no nonce");
	/* More sessions than allowed. */
	for (int i = 0; i < 3; i++)
		login(&r, &live[i], &alice, "alice");
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &alice, &alice.wrap_spki, s1);
	refused(&r, &p, "auth.refuse|alice|reason=\"too many sessions");
	/* Another user is not concerned, and one that ends makes room. */
	login(&r, &p, &bob, "bob");
	pair_close(&p);
	pair_close(&live[0]);
	while (r.v->nlive > 2)
		pump(&r);
	login(&r, &live[0], &alice, "alice");
	for (int i = 0; i < 3; i++)
		pair_close(&live[i]);
	/* A disabled user, a revoked key. */
	user_by_name(r.v, "bob")->state = REC_USER_DISABLED;
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &bob, &bob.wrap_spki, s1);
	refused(&r, &p, "auth.refuse|bob|reason=\"user disabled");
	rig_stop(&r, true);
	rig_free(&r);
	EVP_PKEY_free(eve.sign);
	EVP_PKEY_free(eve.wrap);
	buf_free(&eve.sign_spki);
	buf_free(&eve.wrap_spki);
}

/* The engine gives an older state of an enrolled key's record, or none. */
static void
old_key_records(void **state)
{
	static const uint8_t s1[32] = "one";
	uint8_t conv[16];
	struct enrolled *e;
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	LIST_FOREACH(e, &r.v->enrolled, link)
		e->version = 2;		/* as after a revocation */
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask(&p, &alice, &alice.wrap_spki, s1);
	refused(&r, &p, "storage.tamper");
	rig_stop(&r, true);
	rig_free(&r);
}

/* keyd's word may come after its worker has gone: nobody did anything wrong. */
static void
nonce_for_a_worker_that_left(void **state)
{
	static const uint8_t s1[32] = "one";
	uint8_t conv[16];
	struct pair p, q;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	pair_new(&r, &p);
	chan_free(p.kex);
	while (worker_find(r.v, p.n)->kex != NULL)
		pump(&r);
	nonce(&r, p.n, s1);
	login(&r, &q, &bob, "bob");
	assert_null(strstr(logged, "violation|"));
	chan_free(p.sess);
	pair_close(&q);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
anothers_conversation(void **state)
{
	uint8_t conv[16], none[16] = { 1 };
	struct m_sv_withdraw wd = { .last = 1 };
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &bob, "bob");
	/* The same answer for one that is another's and one that is not. */
	read_send(&p, 1, conv, 0, 0);
	expect_error(&r, &p, 1, ERR_NO_CONV);
	assert_non_null(strstr(logged, "storage.denied|bob|conversation="));
	read_send(&p, 2, none, 0, 0);
	expect_error(&r, &p, 2, ERR_NO_CONV);
	put_send(&p, 3, conv, 2, bytes_str("forged"));
	expect_error(&r, &p, 3, ERR_NO_CONV);
	/* An answer cannot begin a conversation; no empty question, bad text. */
	put_send(&p, 4, zero_conv, 2, bytes_str("forged"));
	expect_error(&r, &p, 4, ERR_BAD);
	put_send(&p, 5, zero_conv, 1, bytes_str(""));
	expect_error(&r, &p, 5, ERR_BAD);
	put_send(&p, 6, zero_conv, 1, bytes_str("\xff\xfe"));
	expect_error(&r, &p, 6, ERR_BAD);
	put_send(&p, 7, zero_conv, 1, bytes_of("a\0b", 3));
	expect_error(&r, &p, 7, ERR_BAD);
	put_send(&p, 8, zero_conv, 4, bytes_str("withdrawn"));
	expect_error(&r, &p, 8, ERR_BAD);
	wd.req = 10;
	memcpy(wd.conv, conv, 16);
	assert_int_equal(chan_send(p.sess, MSG_sv_withdraw, &wd, -1), 0);
	expect_error(&r, &p, 10, ERR_NO_CONV);
	/* A question to a model that is not there is not stored. */
	r.v->nmodels = 0;
	put_send(&p, 9, zero_conv, 1, bytes_str("question"));
	expect_error(&r, &p, 9, ERR_NO_MODEL);
	put_send(&p, 9, zero_conv, 3, bytes_str("system"));
	expect_error(&r, &p, 9, ERR_NO_MODEL);
	assert_int_equal(r.v->nconvs, 1);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* More requests than a session may have are refused, and do no harm. */
static void
too_many_requests(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	pthread_mutex_lock(&r.store->lock);	/* nothing is ever done */
	for (uint32_t i = 0; i < VAULT_REQS_MAX; i++)
		put_send(&p, i, zero_conv, 1, bytes_str("text"));
	put_send(&p, 99, zero_conv, 1, bytes_str("text"));
	expect_error(&r, &p, 99, ERR_BUSY);
	read_send(&p, 100, conv, 0, 0);
	expect_error(&r, &p, 100, ERR_BUSY);
	pthread_mutex_unlock(&r.store->lock);
	for (uint32_t i = 0; i < VAULT_REQS_MAX; i++)
		expect(&r, p.sess, MSG_vs_stored, &m);
	put_send(&p, 99, zero_conv, 1, bytes_str("text"));
	expect(&r, p.sess, MSG_vs_stored, &m);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* What must end a session at once: each by its own worker. */
static void
violations(void **state)
{
	struct m_sv_put put = { .req = 1, .kind = 1, .len = 4 };
	struct m_sv_data d = { .req = 1, .data = bytes_str("12345") };
	struct m_sv_models models = { .req = 1 };
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	for (int i = 0; i < 6; i++) {
		logged[0] = '\0';
		if (i < 5)
			login(&r, &p, &alice, "alice");
		else
			pair_new(&r, &p);
		switch (i) {
		case 0:		/* data of no message */
			assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1),
			    0);
			break;
		case 1:		/* more data than announced */
			put.len = 4;
			assert_int_equal(chan_send(p.sess, MSG_sv_put, &put,
			    -1), 0);
			assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1),
			    0);
			break;
		case 2:		/* a text that is too long */
			put.len = ENTRY_TEXT_MAX + 1;
			assert_int_equal(chan_send(p.sess, MSG_sv_put, &put,
			    -1), 0);
			break;
		case 3:		/* too many texts at once */
			put.len = 4;
			for (put.req = 0; put.req < 5; put.req++)
				assert_int_equal(chan_send(p.sess, MSG_sv_put,
				    &put, -1), 0);
			break;
		case 4:		/* bytes that are no message */
			assert_int_equal(write(chan_fd(p.sess), "\xff\xff", 2),
			    2);
			break;
		case 5:		/* before it is live */
			assert_int_equal(chan_send(p.sess, MSG_sv_models,
			    &models, -1), 0);
			break;
		}
		expect_eof(&r, p.sess);
		assert_non_null(strstr(logged, "violation|"));
		expect(&r, r.ctl, MSG_ctl_revoke, &m);
		assert_true(m.u.ctl_revoke.n == p.n);
		pair_close(&p);
	}
	assert_int_equal(r.v->nlive, 0);
	rig_stop(&r, true);
	rig_free(&r);
}

/* The row of a kind that belongs to a conversation. */
static void
flip_conv(struct rig *r, uint8_t kind, const uint8_t conv[16])
{
	pthread_mutex_lock(&r->store->lock);
	for (size_t i = 0; i < r->store->n; i++) {
		struct row *row = &r->store->row[i];

		if (row->key[0] == kind && memmem(row->key, row->key_n, conv,
		    16) != NULL)
			row->value[row->value_n - 1] ^= 1;
	}
	pthread_mutex_unlock(&r->store->lock);
}

/* Each kind of record: the conversation is refused, the other one is not. */
static void
tampered_records(void **state)
{
	struct m_sv_list l = { .req = 4 };
	static const uint8_t kinds[] = { REC_MSG, REC_DATA, REC_LIST };
	uint8_t conv[16], other[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++) {
		two_users(&r, conv);
		login(&r, &p, &alice, "alice");
		memset(other, 0, 16);
		(void)put_text(&r, &p, other, 1, "untouched");
		pair_close(&p);
		while (any_worker(&r))
			pump(&r);
		flip_conv(&r, kinds[i], conv);
		login(&r, &p, &alice, "alice");
		logged[0] = '\0';
		if (kinds[i] != REC_MSG) {
			put_send(&p, 2, conv, 1, bytes_str("more"));
			expect_error(&r, &p, 2, ERR_STORAGE);
			assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1),
			    0);
			expect_conv(&r, &p, other, false);
			expect_conv(&r, &p, conv, true);
			expect(&r, p.sess, MSG_vs_done, &m);
		}
		if (kinds[i] != REC_LIST) {
			read_send(&p, 3, conv, 0, 0);
			expect_error(&r, &p, 3, ERR_STORAGE);
		}
		assert_non_null(strstr(logged, "storage.tamper|alice|"));
		read_send(&p, 3, other, 0, 0);
		expect_text(&r, &p, 1, 1, bytes_str("untouched"));
		expect(&r, p.sess, MSG_vs_done, &m);
		(void)put_text(&r, &p, other, 2, "goes on");
		pair_close(&p);
		rig_stop(&r, true);
		rig_free(&r);
	}
}

/* A message that is missing, inside or at the end. */
static void
lost_messages(void **state)
{
	uint8_t conv[16];
	struct rec_key key;
	struct pair p;
	struct rig r;

	(void)state;
	for (uint64_t gone = 1; gone <= 2; gone++) {
		two_users(&r, conv);
		key = rec_key_msg(conv, gone, 0);
		pthread_mutex_lock(&r.store->lock);
		row_del(r.store, rec_bytes(&key));
		pthread_mutex_unlock(&r.store->lock);
		login(&r, &p, &alice, "alice");
		logged[0] = '\0';
		read_send(&p, 1, conv, 0, 0);
		expect_error(&r, &p, 1, ERR_STORAGE);
		assert_non_null(strstr(logged, "storage.tamper|alice|"));
		pair_close(&p);
		rig_stop(&r, true);
		rig_free(&r);
	}
}

/* The engine leaves a conversation out of the list. */
static void
hidden_conversation(void **state)
{
	struct m_sv_list l = { .req = 4 };
	uint8_t conv[16];
	struct row *row;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	pthread_mutex_lock(&r.store->lock);
	row = row_kind(r.store, REC_LIST, 0);
	row->key[0] = 'X';
	pthread_mutex_unlock(&r.store->lock);
	login(&r, &p, &alice, "alice");
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	expect_conv(&r, &p, conv, true);
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_non_null(strstr(logged, "its entry in the list is missing"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Two messages change places: both are genuine, and of one size. */
static void
exchanged_messages(void **state)
{
	uint8_t conv[16], *value;
	struct rec_key k1, k2;
	struct row *r1, *r2;
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	k1 = rec_key_msg(conv, 1, 0);
	k2 = rec_key_msg(conv, 2, 0);
	pthread_mutex_lock(&r.store->lock);
	r1 = row_find(r.store, rec_bytes(&k1));
	r2 = row_find(r.store, rec_bytes(&k2));
	assert_true(r1->value_n == r2->value_n);
	value = r1->value;
	r1->value = r2->value;
	r2->value = value;
	pthread_mutex_unlock(&r.store->lock);
	login(&r, &p, &alice, "alice");
	read_send(&p, 1, conv, 0, 0);
	expect_error(&r, &p, 1, ERR_STORAGE);
	assert_non_null(strstr(logged, "a message does not verify"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
administration(void **state)
{
	struct m_av_user_add u = { .name = bytes_str("alice") };
	struct m_av_key_add k = { .user = bytes_str("bob"),
	    .sign_spki = buf_bytes(&alice.sign_spki),
	    .wrap_spki = buf_bytes(&alice.wrap_spki) };
	static const char *const names[] = { "", "Alice", "1a", "-a", "a b",
	    "a/b", "abcdefghijklmnopqrstuvwxyz0123456", "\xc3\xa9" };
	struct m_ctl_role role = { .name = bytes_str("keyd"), .pid = 7 };
	struct m_ctl_status_end end;
	uint8_t conv[16];
	struct chan *c;
	struct rig r;
	struct msg m;
	int infos = 0;

	(void)state;
	two_users(&r, conv);
	c = admin_open(&r);
	assert_int_equal(chan_send(c, MSG_av_user_add, &u, -1), 0);
	expect(&r, c, MSG_va_error, &m);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		u.name = bytes_str(names[i]);
		assert_int_equal(chan_send(c, MSG_av_user_add, &u, -1), 0);
		expect(&r, c, MSG_va_error, &m);
	}
	/* An enrolled key, an unknown user, a key of the wrong use. */
	assert_int_equal(chan_send(c, MSG_av_key_add, &k, -1), 0);
	expect(&r, c, MSG_va_error, &m);
	k.user = bytes_str("eve");
	assert_int_equal(chan_send(c, MSG_av_key_add, &k, -1), 0);
	expect(&r, c, MSG_va_error, &m);
	k.user = bytes_str("bob");
	k.sign_spki = buf_bytes(&alice.wrap_spki);
	assert_int_equal(chan_send(c, MSG_av_key_add, &k, -1), 0);
	expect(&r, c, MSG_va_error, &m);
	assert_int_equal(chan_send(c, MSG_av_user_list, NULL, -1), 0);
	for (int i = 0; i < 2; i++) {
		expect(&r, c, MSG_va_user, &m);
		assert_int_equal(m.u.va_user.keys, 1);
	}
	expect(&r, c, MSG_va_done, &m);
	assert_int_equal(chan_send(c, MSG_av_status, NULL, -1), 0);
	expect(&r, r.ctl, MSG_ctl_status, &m);
	role.id = end.id = m.u.ctl_status.id;
	assert_int_equal(chan_send(r.ctl, MSG_ctl_role, &role, -1), 0);
	assert_int_equal(chan_send(r.ctl, MSG_ctl_status_end, &end, -1), 0);
	expect(&r, c, MSG_va_role, &m);
	assert_int_equal(m.u.va_role.pid, 7);
	expect(&r, c, MSG_va_upstream, &m);
	for (; infos < 10; infos++)
		expect(&r, c, MSG_va_info, &m);
	expect(&r, c, MSG_va_done, &m);
	assert_non_null(strstr(logged, "admin.user.add|alice|uid=1000"));
	assert_non_null(strstr(logged, "admin.key.add|bob|key=\"SHA256:"));
	/* A change that the disk has no room for leaves everything as it was. */
	u.name = bytes_str("carol");
	r.store->next_write = KV_FULL;
	assert_int_equal(chan_send(c, MSG_av_user_add, &u, -1), 0);
	expect(&r, c, MSG_va_error, &m);
	assert_int_equal(r.v->nusers, 2);
	assert_int_equal(chan_send(c, MSG_av_user_add, &u, -1), 0);
	expect(&r, c, MSG_va_done, &m);
	chan_free(c);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	assert_int_equal(r.v->nusers, 3);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_does_not_come_in),
		cmocka_unit_test(old_key_records),
		cmocka_unit_test(nonce_for_a_worker_that_left),
		cmocka_unit_test(anothers_conversation),
		cmocka_unit_test(too_many_requests),
		cmocka_unit_test(violations),
		cmocka_unit_test(tampered_records),
		cmocka_unit_test(lost_messages),
		cmocka_unit_test(hidden_conversation),
		cmocka_unit_test(exchanged_messages),
		cmocka_unit_test(administration),
	};

	return cmocka_run_group_tests_name("vault_bad", tests, keys, keys_free);
}
