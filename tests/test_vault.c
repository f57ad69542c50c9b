/* The vault against peers that play by the rules, and some that do not. */
#include "vault_rig.h"

static void
init_makes_what_boot_accepts(void **state)
{
	struct rig r;

	(void)state;
	rig_new(&r);
	assert_int_equal(r.store->n, 2);
	assert_non_null(row_kind(r.store, 'R', 0));
	assert_non_null(row_kind(r.store, 'H', 0));
	assert_non_null(strstr(logged, "vault.start||commit=0 users=0 "));
	rig_stop(&r, true);
	/* Not twice over the same files. */
	assert_int_equal(rig_start(&r, true), -1);
	assert_non_null(strstr(r.v->why, "cannot be created"));
	rig_stop(&r, false);
	rig_free(&r);
}

static void
stores_lists_and_reads(void **state)
{
	struct m_sv_list l = { .req = 9 };
	uint8_t conv[16] = { 0 }, other[16] = { 0 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	assert_non_null(strstr(logged, "auth.accept|alice|source=\"127.0.0.1"));
	assert_non_null(strstr(logged,
	    MLKEM_BUILT ? " suite=2" : " suite=1"));
	assert_true(put_text(&r, &p, conv, 1, "\n Hello there\nsecond") == 1);
	assert_true(put_text(&r, &p, conv, 2, "Hi.") == 2);
	assert_true(put_text(&r, &p, other, 1, "another") == 1);
	/* After a restart everything is as it was. */
	pair_close(&p);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	read_send(&p, 7, conv, 1, 0);
	expect_text(&r, &p, 1, 1, bytes_str("\n Hello there\nsecond"));
	expect_text(&r, &p, 2, 2, bytes_str("Hi."));
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_int_equal(m.u.vs_done.token.n, 0);
	/* Title and count go on. */
	assert_true(put_text(&r, &p, conv, 1, "And?") == 3);
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	expect(&r, p.sess, MSG_vs_conv, &m);
	assert_memory_equal(m.u.vs_conv.conv, conv, 16);
	assert_true(m.u.vs_conv.count == 3);
	assert_true(bytes_eq(m.u.vs_conv.title, bytes_str("Hello there")));
	expect(&r, p.sess, MSG_vs_conv, &m);
	assert_memory_equal(m.u.vs_conv.conv, other, 16);
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_int_equal(m.u.vs_done.token.n, 0);
	/* Nothing readable is in the store. */
	for (size_t i = 0; i < r.store->n; i++)
		assert_null(memmem(r.store->row[i].value,
		    r.store->row[i].value_n, "Hello", 5));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
pages(void **state)
{
	struct m_sv_list l = { .req = 9, .limit = 2 };
	uint8_t conv[5][16] = { { 0 } }, token[64];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 5; i++)
		(void)put_text(&r, &p, conv[i], 1, "text");
	for (int i = 4; i >= 0; i--) {
		if ((i & 1) == 0)
			assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1),
			    0);
		expect(&r, p.sess, MSG_vs_conv, &m);
		assert_memory_equal(m.u.vs_conv.conv, conv[i], 16);
		if ((i & 1) == 1 || i == 0) {
			expect(&r, p.sess, MSG_vs_done, &m);
			memcpy(token, m.u.vs_done.token.p,
			    m.u.vs_done.token.n);
			l.token = bytes_of(token, m.u.vs_done.token.n);
			assert_int_equal(l.token.n, i == 0 ? 0 : 24);
		}
	}
	l.token = bytes_str("short");
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	expect_error(&r, &p, 9, ERR_BAD);
	for (int i = 2; i <= 5; i++)
		assert_true(put_text(&r, &p, conv[0], (uint8_t)(2 - i % 2),
		    "more") == (uint64_t)i);
	read_send(&p, 7, conv[0], 2, 3);
	for (int i = 2; i <= 4; i++)
		expect_text(&r, &p, (uint64_t)i, (uint8_t)(2 - i % 2),
		    bytes_str("more"));
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_int_equal(m.u.vs_done.token.n, 8);
	assert_true(get_be64(m.u.vs_done.token.p) == 5);
	read_send(&p, 7, conv[0], UINT64_MAX, 3);
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* A message of 1 MiB takes several parts of a batch and pages of a scan. */
static void
big_texts(void **state)
{
	uint8_t conv[16];
	struct bytes text;
	struct pair p;
	struct rig r;
	struct msg m;
	char *big;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	assert_non_null(big = malloc(ENTRY_TEXT_MAX));
	for (size_t i = 0; i < ENTRY_TEXT_MAX; i++)
		big[i] = (char)('a' + i * 31 % 26);
	text = bytes_of(big, ENTRY_TEXT_MAX);
	put_send(&p, 3, zero_conv, 1, bytes_str("short"));
	expect(&r, p.sess, MSG_vs_stored, &m);
	memcpy(conv, m.u.vs_stored.conv, 16);
	/* Three at once in one conversation, each after the other. */
	for (uint32_t i = 0; i < 3; i++) {
		struct m_sv_put put = { .req = 10 + i, .kind = 2,
		    .len = ENTRY_TEXT_MAX };
		struct m_sv_data d = { .req = 10 + i };

		memcpy(put.conv, conv, 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
		for (size_t at = 0; at < text.n; at += 32768) {
			d.data = bytes_of(big + at, 32768);
			assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1),
			    0);
			pump(&r);
		}
	}
	for (uint64_t i = 2; i <= 4; i++) {
		expect(&r, p.sess, MSG_vs_stored, &m);
		assert_true(m.u.vs_stored.number == i);
	}
	read_send(&p, 7, conv, 0, 0);
	expect_text(&r, &p, 1, 1, bytes_str("short"));
	for (uint64_t i = 2; i <= 4; i++)
		expect_text(&r, &p, i, 2, text);
	expect(&r, p.sess, MSG_vs_done, &m);
	/* More than fits one read. */
	for (int i = 0; i < 6; i++) {
		struct m_sv_put put = { .req = 10, .kind = 2,
		    .len = ENTRY_TEXT_MAX };
		struct m_sv_data d = { .req = 10 };

		memcpy(put.conv, conv, 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
		for (size_t at = 0; at < text.n; at += 32768) {
			d.data = bytes_of(big + at, 32768);
			assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1),
			    0);
			pump(&r);
		}
		expect(&r, p.sess, MSG_vs_stored, &m);
	}
	read_send(&p, 7, conv, 0, 0);
	expect_text(&r, &p, 1, 1, bytes_str("short"));
	for (uint64_t i = 2; i <= 8; i++)
		expect_text(&r, &p, i, 2, text);
	expect_error(&r, &p, 7, ERR_LIMIT);
	free(big);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Many sessions at once share batches. */
static void
writes_are_gathered(void **state)
{
	struct pair p[3];
	struct rig r;
	struct msg m;
	size_t before;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	for (int i = 0; i < 3; i++)
		login(&r, &p[i], &alice, "alice");
	before = r.store->writes;
	pthread_mutex_lock(&r.store->lock);	/* the engine is slow */
	for (int i = 0; i < 3; i++)
		for (uint32_t k = 0; k < 10; k++)
			put_send(&p[i], k, zero_conv, 1, bytes_str("text"));
	for (int i = 0; i < 20; i++)
		pump(&r);
	pthread_mutex_unlock(&r.store->lock);
	for (int i = 0; i < 3; i++)
		for (uint32_t k = 0; k < 10; k++) {
			expect(&r, p[i].sess, MSG_vs_stored, &m);
			assert_int_equal(m.u.vs_stored.req, k);
		}
	assert_true(r.store->writes - before <= 5);
	assert_int_equal(r.v->nconvs, 30);
	for (int i = 0; i < 3; i++)
		pair_close(&p[i]);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
a_full_disk_is_survived(void **state)
{
	uint8_t conv[16] = { 0 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	(void)put_text(&r, &p, conv, 1, "one");
	r.store->next_write = KV_FULL;
	put_send(&p, 1, conv, 1, bytes_str("lost"));
	expect_error(&r, &p, 1, ERR_STORAGE);
	r.store->next_write = KV_FULL;
	put_send(&p, 2, zero_conv, 1, bytes_str("lost"));
	expect_error(&r, &p, 2, ERR_STORAGE);
	r.store->next_write = KV_RETRY;
	assert_true(put_text(&r, &p, conv, 1, "two") == 2);
	assert_int_equal(r.v->nconvs, 1);
	pair_close(&p);
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	login(&r, &p, &alice, "alice");
	read_send(&p, 7, conv, 0, 0);
	expect_text(&r, &p, 1, 1, bytes_str("one"));
	expect_text(&r, &p, 2, 1, bytes_str("two"));
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* The worker dies: a text that was whole is stored, another is not. */
static void
what_a_dead_worker_left(void **state)
{
	struct m_sv_put m = { .req = 2, .kind = 1, .len = 10 };
	struct pair p;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	assert_int_equal(r.v->nlive, 1);
	assert_int_equal(chan_send(p.sess, MSG_sv_put, &m, -1), 0);
	put_send(&p, 1, zero_conv, 1, bytes_str("whole"));
	pair_close(&p);
	for (int i = 0; i < WAIT_TRIES && r.v->nconvs == 0; i++)
		pump(&r);
	for (int i = 0; i < WAIT_TRIES && any_worker(&r); i++)
		pump(&r);
	assert_int_equal(r.v->nconvs, 1);
	assert_int_equal(r.v->nlive, 0);
	assert_non_null(strstr(logged, "session.end|alice|"));
	/* Nobody is left who needs a data key. */
	for (int i = 0; i < VAULT_DKS; i++)
		assert_null(r.v->dk_owner[i]);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
models_and_grants(void **state)
{
	struct m_sv_models ms = { .req = 1 };
	struct m_sv_open_model om = { .req = 2 };
	struct m_lv_hello hello = { .generation = 4 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	assert_int_equal(chan_send(r.llm, MSG_lv_hello, &hello, -1), 0);
	expect(&r, r.llm, MSG_vl_welcome, &m);
	assert_int_equal(m.u.vl_welcome.generation, 4);
	assert_int_equal(chan_send(p.sess, MSG_sv_models, &ms, -1), 0);
	expect(&r, p.sess, MSG_vs_model, &m);
	assert_int_equal(m.u.vs_model.is_default, 1);
	expect(&r, p.sess, MSG_vs_model, &m);
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_int_equal(chan_send(p.sess, MSG_sv_open_model, &om, -1), 0);
	expect(&r, r.llm, MSG_vl_grant, &m);
	assert_true(m.u.vl_grant.n == p.n);
	assert_true(bytes_eq(m.u.vl_grant.user, bytes_str("alice")));
	assert_true(bytes_eq(m.u.vl_grant.model, bytes_str("small")));
	assert_int_equal(write(m.fd, "x", 1), 1);
	close(m.fd);
	expect(&r, p.sess, MSG_vs_open_model, &m);
	char c;
	assert_int_equal(read(m.fd, &c, 1), 1);	/* the same pair */
	close(m.fd);
	om.model = bytes_str("none");
	assert_int_equal(chan_send(p.sess, MSG_sv_open_model, &om, -1), 0);
	expect_error(&r, &p, 2, ERR_NO_MODEL);
	pair_close(&p);
	expect(&r, r.llm, MSG_vl_revoke, &m);
	assert_true(m.u.vl_revoke.n == p.n);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_makes_what_boot_accepts),
		cmocka_unit_test(stores_lists_and_reads),
		cmocka_unit_test(pages),
		cmocka_unit_test(big_texts),
		cmocka_unit_test(writes_are_gathered),
		cmocka_unit_test(a_full_disk_is_survived),
		cmocka_unit_test(what_a_dead_worker_left),
		cmocka_unit_test(models_and_grants),
	};

	return cmocka_run_group_tests_name("vault", tests, keys, keys_free);
}
