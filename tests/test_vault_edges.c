/*
 * Each check of the vault's dispatchers, at its edge: what `make mutants'
 * found that nothing else looks at.
 */
#include "vault_rig.h"

#include <sys/wait.h>

static const uint8_t s1[32] = "one";

/* One attempt that must be refused for this reason. */
static void
refused(struct rig *r, struct pair *p, const char *reason)
{
	struct msg m;

	expect(r, p->kex, MSG_vx_refuse, &m);
	expect_eof(r, p->sess);
	if (strstr(logged, reason) == NULL)
		fail_msg("not \"%s\" but: %s", reason, logged);
	logged[0] = '\0';
	pair_close(p);
}

static void
attempt(struct rig *r, const struct ident *id, const char *reason)
{
	struct pair p;

	pair_new(r, &p);
	nonce(r, p.n, s1);
	ask(&p, id, &id->wrap_spki, s1);
	refused(r, &p, reason);
}

/* Alice's record, genuinely sealed again, after `change'. */
static void
reseal(struct rig *r, void (*change)(struct rig *, struct rec_enrolled *))
{
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	struct rec_enrolled k;
	struct rec_key key;
	uint8_t fp[REC_FP];
	uint64_t version;
	struct row *row;

	rsa_fingerprint(fp, buf_bytes(&alice.sign_spki));
	key = rec_key_key(&r->v->keys->bundle, fp);
	pthread_mutex_lock(&r->store->lock);
	assert_non_null(row = row_find(r->store, rec_bytes(&key)));
	assert_int_equal(rec_open_enrolled(&k, &version, &r->v->keys->bundle,
	    rec_bytes(&key), bytes_of(row->value, row->value_n)), 0);
	change(r, &k);
	assert_int_equal(rec_seal_enrolled(&val, &r->v->keys->bundle,
	    rec_bytes(&key), version, &k), 0);
	row_put(r->store, rec_bytes(&key), buf_bytes(&val));
	pthread_mutex_unlock(&r->store->lock);
	buf_free(&val);
}

static void
revoked(struct rig *r, struct rec_enrolled *k)
{
	(void)r;
	k->state = REC_KEY_REVOKED;
}

static void
no_owner(struct rig *r, struct rec_enrolled *k)
{
	(void)r;
	k->uid[0] ^= 1;
}

static void
bobs_key(struct rig *r, struct rec_enrolled *k)
{
	(void)r;
	memcpy(k->sign.p, bob.sign_spki.p, bob.sign_spki.n);
	k->sign.n = (uint16_t)bob.sign_spki.n;
}

/* Reasons that test_vault_bad does not have. */
static void
why_not(void **state)
{
	struct m_xv_auth junk = { .suite = 1, .spki = bytes_str("no key"),
	    .wrap_spki = bytes_str("none"), .sig = bytes_str("none") };
	void (*const changes[])(struct rig *, struct rec_enrolled *) = {
		revoked, no_owner, bobs_key
	};
	static const char *const reasons[] = {
		"key revoked", "record does not fit", "record does not fit"
	};
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	ask_suite(&p, &alice, &alice.wrap_spki, s1, 9, 9);
	refused(&r, &p, "auth.refuse|alice|reason=\"suite not allowed");
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	assert_int_equal(chan_send(p.kex, MSG_xv_auth, &junk, -1), 0);
	refused(&r, &p, "auth.refuse||reason=\"unknown key");
	r.v->stopping = true;
	attempt(&r, &alice, "auth.refuse|alice|reason=\"stopping");
	r.v->stopping = false;
	for (size_t i = 0; i < 3; i++) {
		reseal(&r, changes[i]);
		attempt(&r, &alice, reasons[i]);
		rig_stop(&r, true);
		rig_free(&r);
		two_users(&r, conv);
	}
	rig_stop(&r, true);
	rig_free(&r);
}

/* Workers that are gone while the record of their key is read. */
static void
asked_and_gone(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	logged[0] = '\0';
	for (int both = 0; both < 2; both++) {
		pthread_mutex_lock(&r.store->lock);
		pair_new(&r, &p);
		nonce(&r, p.n, s1);
		ask(&p, &alice, &alice.wrap_spki, s1);
		for (int i = 0; i < 10; i++)
			pump(&r);
		chan_free(p.kex);
		p.kex = NULL;
		if (both)
			pair_close(&p);
		for (int i = 0; i < 10; i++)
			pump(&r);
		pthread_mutex_unlock(&r.store->lock);
		for (int i = 0; i < 20; i++)
			pump(&r);
		assert_null(strstr(logged, "auth."));
		if (!both)
			pair_close(&p);
	}
	rig_stop(&r, true);
	rig_free(&r);
}

/* What a link may not say ends this process: tried in a child of it. */
static void
deadly(struct rig *r, struct chan *c, enum msg_type type, const void *body)
{
	int status;
	pid_t pid;

	/* Nothing is left that the child would take from the epoll set. */
	for (int i = 0; i < 10; i++)
		pump(r);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)chan_send(c, type, body, -1);
		for (int i = 0; i < 20; i++)
			pump(r);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("%s: status %#x", msg_desc(type)->name,
		    (unsigned)status);
}

/* An llmproxy reports what it was granted, and nothing else. */
static void
usage_without_a_grant(void **state)
{
	struct m_lv_usage u = { .id = 1, .req = 2, .finish = 1,
	    .prompt_tokens = 3, .model = bytes_str("small") };
	struct m_lv_ask q = { .id = 1, .model = bytes_str("small") };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	login(&r, &p, &alice, "alice");
	u.n = q.n = p.n;
	deadly(&r, r.llm, MSG_lv_usage, &u);
	deadly(&r, r.llm, MSG_lv_ask, &q);
	q.n = p.n + 1000;
	deadly(&r, r.llm, MSG_lv_ask, &q);
	assert_int_equal(r.v->answers, 0);
	open_model(&r, &p, "", 0);
	q.n = p.n;
	assert_int_equal(chan_send(r.llm, MSG_lv_ask, &q, -1), 0);
	expect(&r, r.llm, MSG_vl_may, &m);
	assert_int_equal(m.u.vl_may.code, 0);
	deadly(&r, r.llm, MSG_lv_ask, &q);
	u.n++;
	deadly(&r, r.llm, MSG_lv_usage, &u);
	u.n--;
	assert_int_equal(chan_send(r.llm, MSG_lv_usage, &u, -1), 0);
	for (int i = 0; i < 20; i++)
		pump(&r);
	deadly(&r, r.llm, MSG_lv_usage, &u);
	assert_int_equal(r.v->answers, 1);
	assert_int_equal(r.v->prompt_tokens, 3);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static void
links_that_lie(void **state)
{
	struct m_zv_hello hello = { .generation = 2 };
	struct m_zv_client client = { .n = 4711, .source = bytes_str("x") };
	struct m_kv_nonce again = { .n = 4711 };
	struct m_zv_want want = { .n = 1 };
	struct pair p, gone;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	/* A worker that nobody knows: it is gone. */
	assert_int_equal(chan_send(r.keyd, MSG_kv_nonce, &again, -1), 0);
	assert_int_equal(chan_send(r.zygote, MSG_zv_client, &client, -1), 0);
	/* A second nonce; one when the handshake is over is only late. */
	pair_new(&r, &p);
	nonce(&r, p.n, s1);
	again.n = p.n;
	for (int i = 0; i < 5; i++)
		pump(&r);
	deadly(&r, r.keyd, MSG_kv_nonce, &again);
	pair_new(&r, &gone);
	chan_free(gone.kex);
	gone.kex = NULL;
	for (int i = 0; i < 5; i++)
		pump(&r);
	again.n = gone.n;
	assert_int_equal(chan_send(r.keyd, MSG_kv_nonce, &again, -1), 0);
	for (int i = 0; i < 5; i++)
		pump(&r);
	assert_false(worker_find(r.v, gone.n)->have_nonce);
	pair_close(&gone);
	/* Numbers and generations rise. */
	want.n = p.n;
	deadly(&r, r.zygote, MSG_zv_want, &want);
	want.n = (uint64_t)1 << 32 | 99;
	deadly(&r, r.zygote, MSG_zv_want, &want);
	assert_int_equal(chan_send(r.zygote, MSG_zv_hello, &hello, -1), 0);
	expect(&r, r.zygote, MSG_vz_welcome, &m);
	assert_int_equal(m.u.vz_welcome.generation, 2);
	deadly(&r, r.zygote, MSG_zv_hello, &hello);
	/* A predecessor that still asks gets nothing; the successor does. */
	want.n = p.n + 100;
	assert_int_equal(chan_send(r.zygote, MSG_zv_want, &want, -1), 0);
	want.n = (uint64_t)2 << 32 | 1;
	assert_int_equal(chan_send(r.zygote, MSG_zv_want, &want, -1), 0);
	expect(&r, r.zygote, MSG_vz_kex_chan, &m);
	assert_true(m.u.vz_kex_chan.n == want.n);
	close(m.fd);
	expect(&r, r.zygote, MSG_vz_sess_chan, &m);
	close(m.fd);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

static int
lines_with(const char *text)
{
	int n = 0;

	for (const char *p = logged; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

/* A worker may write so many lines into the log, and no more. */
static void
lines_are_counted(void **state)
{
	struct m_sv_log line = { .text = bytes_str("chatter") };
	struct m_xv_log early = { .text = bytes_str("prattle") };
	struct m_sv_violation v = { .text = bytes_str("slander") };
	struct m_xv_violation xv = { .text = bytes_str("calumny") };
	struct m_sv_ready ready = { .session_id = "id" };
	uint8_t conv[16], none[16] = { 1 };
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	for (int i = 0; i < 5; i++) {
		logged[0] = '\0';
		if (i == 1 || i == 4)
			pair_new(&r, &p);
		else
			login(&r, &p, &alice, "alice");
		for (int k = 0; k <= VAULT_LOGS_MAX; k++) {
			if (i == 0)
				assert_int_equal(chan_send(p.sess, MSG_sv_log,
				    &line, -1), 0);
			else if (i == 1)
				assert_int_equal(chan_send(p.kex, MSG_xv_log,
				    &early, -1), 0);
			else if (i == 4)
				assert_int_equal(chan_send(p.kex,
				    MSG_xv_violation, &xv, -1), 0);
			else if (i == 2)
				assert_int_equal(chan_send(p.sess,
				    MSG_sv_violation, &v, -1), 0);
			else
				read_send(&p, 1, none, 0, 0);
		}
		for (int k = 0; k < 20; k++)
			pump(&r);
		assert_int_equal(lines_with(i == 0 ? "chatter" : i == 1 ?
		    "prattle" : i == 2 ? "violation|alice|reported by the "
		    "session worker: slander" : i == 3 ? "storage.denied" :
		    "violation||reported by the kex worker: calumny"),
		    VAULT_LOGS_MAX);
		pair_close(&p);
	}
	/* Ready once. */
	login(&r, &p, &alice, "alice");
	assert_int_equal(chan_send(p.sess, MSG_sv_ready, &ready, -1), 0);
	(void)put_text(&r, &p, conv, 1, "more");
	assert_int_equal(chan_send(p.sess, MSG_sv_ready, &ready, -1), 0);
	expect_eof(&r, p.sess);
	assert_non_null(strstr(logged, "ready twice"));
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* What an sv_put may say, at the edges. */
static void
puts_at_the_edge(void **state)
{
	struct m_sv_put put = { .req = 1, .kind = 1, .len = 4,
	    .model = bytes_str("small") };
	struct m_sv_data d = { .req = 1 };
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	d.data = bytes_str("text");
	put.finish = FINISH_FILTER;
	assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
	assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
	expect(&r, p.sess, MSG_vs_stored, &m);
	put.finish = FINISH_FILTER + 1;
	assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
	assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
	expect_error(&r, &p, 1, ERR_BAD);
	put.finish = 0;
	/* An empty answer is one; so many texts at once may be. */
	memcpy(put.conv, conv, 16);
	put.kind = 2;
	put.len = 0;
	assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
	expect(&r, p.sess, MSG_vs_stored, &m);
	put.len = 4;
	for (put.req = 0; put.req < VAULT_PUTS_MAX; put.req++)
		assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
	for (d.req = 0; d.req < VAULT_PUTS_MAX; d.req++) {
		assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
		expect(&r, p.sess, MSG_vs_stored, &m);
	}
	/* One number twice; a part without anything in it. */
	for (int i = 0; i < 2; i++) {
		logged[0] = '\0';
		put.req = d.req = 1;
		assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
		if (i == 0)
			assert_int_equal(chan_send(p.sess, MSG_sv_put, &put,
			    -1), 0);
		else {
			d.data = bytes_of(NULL, 0);
			assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1),
			    0);
		}
		expect_eof(&r, p.sess);
		assert_non_null(strstr(logged, "violation|alice|"));
		pair_close(&p);
		login(&r, &p, &alice, "alice");
	}
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* A title is the first 60 characters, not bytes, of the first line. */
static void
long_titles(void **state)
{
	struct m_sv_list l = { .req = 4, .limit = 1 };
	char text[80 * 3 + 1] = "";
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	for (int i = 0; i < 80; i++)
		(void)strlcat(text, "\xe2\x82\xac", sizeof(text));
	memset(conv, 0, sizeof(conv));
	(void)put_text(&r, &p, conv, 1, text);
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	expect(&r, p.sess, MSG_vs_conv, &m);
	assert_int_equal(m.u.vs_conv.title.n, 60 * 3);
	expect(&r, p.sess, MSG_vs_done, &m);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* The disk is full when nobody waits for the answer any more. */
static void
fails_for_nobody(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	pthread_mutex_lock(&r.store->lock);
	put_send(&p, 1, conv, 1, bytes_str("lost"));
	put_send(&p, 2, zero_conv, 1, bytes_str("lost"));
	for (int i = 0; i < 10; i++)
		pump(&r);
	pair_close(&p);
	for (int i = 0; i < 10; i++)
		pump(&r);
	r.store->next_write = KV_FULL;
	pthread_mutex_unlock(&r.store->lock);
	for (int i = 0; i < 50; i++)
		pump(&r);
	assert_int_equal(r.v->nconvs, 1);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Reads, lists and models that are too many; pages that are too long. */
static void
bounded_answers(void **state)
{
	struct m_sv_open_model om = { .req = 2 };
	struct m_sv_list l = { .req = 4 };
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	login(&r, &p, &alice, "alice");
	pthread_mutex_lock(&r.store->lock);	/* nothing is ever done */
	for (uint32_t i = 0; i <= VAULT_READS_MAX; i++)
		read_send(&p, i, conv, 0, 0);
	expect_error(&r, &p, VAULT_READS_MAX, ERR_BUSY);
	for (uint32_t i = VAULT_READS_MAX; i < VAULT_REQS_MAX; i++)
		assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	l.req = 99;
	assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
	expect_error(&r, &p, 99, ERR_BUSY);
	pthread_mutex_unlock(&r.store->lock);
	pair_close(&p);
	while (any_worker(&r))
		pump(&r);
	/* A page has at most so many messages, whatever is asked for. */
	login(&r, &p, &alice, "alice");
	for (int i = 3; i <= VAULT_READ_MAX + 2; i++)
		(void)put_text(&r, &p, conv, 1, "text");
	read_send(&p, 1, conv, 2, VAULT_READ_MAX + 1);
	for (int i = 2; i <= VAULT_READ_MAX + 1; i++)
		expect_text(&r, &p, (uint64_t)i, i == 2 ? 2 : 1,
		    bytes_str(i == 2 ? "answer" : "text"));
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_true(get_be64(m.u.vs_done.token.p) == VAULT_READ_MAX + 2);
	read_send(&p, 1, conv, VAULT_READ_MAX + 2, VAULT_READ_MAX);
	expect_text(&r, &p, VAULT_READ_MAX + 2, 1, bytes_str("text"));
	expect(&r, p.sess, MSG_vs_done, &m);
	assert_int_equal(m.u.vs_done.token.n, 0);
	read_send(&p, 1, conv, VAULT_READ_MAX + 3, 1);
	expect(&r, p.sess, MSG_vs_done, &m);
	/* So many models a minute. */
	for (int i = 0; i < 2; i++)	/* two sessions have ended */
		expect(&r, r.llm, MSG_vl_revoke, &m);
	for (int i = 0; i < VAULT_GRANTS_MAX; i++)
		open_model(&r, &p, "", 0);
	assert_int_equal(chan_send(p.sess, MSG_sv_open_model, &om, -1), 0);
	expect_error(&r, &p, 2, ERR_OVERLOADED);
	r.v->nllm = 0;		/* a model of a provider that is not there */
	assert_int_equal(chan_send(p.sess, MSG_sv_open_model, &om, -1), 0);
	expect_error(&r, &p, 2, ERR_NO_MODEL);
	r.v->nllm = 1;
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
}

/* Rows that the engine invents or exchanges in a list. */
static void
strange_lists(void **state)
{
	struct m_sv_list l = { .req = 4 };
	uint8_t conv[16];
	struct row *row;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	for (int i = 0; i < 3; i++) {
		two_users(&r, conv);
		pthread_mutex_lock(&r.store->lock);
		row = row_kind(r.store, REC_LIST, 0);
		if (i == 0)		/* of a conversation that is not there */
			row->key[row->key_n - 1] ^= 1;
		else if (i == 1)	/* of another time */
			row->key[row->key_n - REC_ID - 1] ^= 1;
		else			/* of another version */
			row->value[7] ^= 1;
		pthread_mutex_unlock(&r.store->lock);
		login(&r, &p, &alice, "alice");
		logged[0] = '\0';
		assert_int_equal(chan_send(p.sess, MSG_sv_list, &l, -1), 0);
		expect_conv(&r, &p, conv, true);
		expect(&r, p.sess, MSG_vs_done, &m);
		assert_non_null(strstr(logged, i == 0 ? "does not exist" :
		    i == 1 ? "an old entry" : "not the newest"));
		if (i < 2)
			assert_non_null(strstr(logged, "list is missing"));
		pair_close(&p);
		rig_stop(&r, true);
		rig_free(&r);
	}
}

/* One change at a time, and not without end many administrators. */
static void
administrators(void **state)
{
	struct m_av_user_add u = { .name = bytes_str("carol") };
	struct m_av_key_add k = { .user = bytes_str("bob"),
	    .wrap_spki = buf_bytes(&alice.wrap_spki) };
	struct chan *c[VAULT_ADMINS_MAX + 1];
	uint8_t conv[16], big[1024] = { 0 };
	struct rig r;
	struct msg m;

	(void)state;
	two_users(&r, conv);
	for (int i = 0; i <= VAULT_ADMINS_MAX; i++)
		c[i] = admin_open(&r);
	expect_eof(&r, c[VAULT_ADMINS_MAX]);
	pthread_mutex_lock(&r.store->lock);
	assert_int_equal(chan_send(c[0], MSG_av_user_add, &u, -1), 0);
	for (int i = 0; i < 10; i++)
		pump(&r);
	u.name = bytes_str("dave");
	assert_int_equal(chan_send(c[1], MSG_av_user_add, &u, -1), 0);
	expect(&r, c[1], MSG_va_error, &m);
	assert_non_null(memmem(m.u.va_error.text.p, m.u.va_error.text.n,
	    "another change", 14));
	/* Whoever asked need not wait. */
	chan_free(c[0]);
	c[0] = NULL;
	for (int i = 0; i < 10; i++)
		pump(&r);
	pthread_mutex_unlock(&r.store->lock);
	for (int i = 0; i < WAIT_TRIES && r.v->nusers < 3; i++)
		pump(&r);
	assert_int_equal(r.v->nusers, 3);
	r.v->stopping = true;
	assert_int_equal(chan_send(c[1], MSG_av_user_add, &u, -1), 0);
	expect(&r, c[1], MSG_va_error, &m);
	r.v->stopping = false;
	/* A name as long as may be; no signing key; one that is no key. */
	u.name = bytes_str("abcdefghijklmnopqrstuvwxyz_.-012");
	assert_int_equal(chan_send(c[1], MSG_av_user_add, &u, -1), 0);
	expect(&r, c[1], MSG_va_done, &m);
	assert_int_equal(chan_send(c[1], MSG_av_key_add, &k, -1), 0);
	expect(&r, c[1], MSG_va_error, &m);
	k.sign_spki = bytes_of(big, sizeof(big));
	assert_int_equal(chan_send(c[1], MSG_av_key_add, &k, -1), 0);
	expect(&r, c[1], MSG_va_error, &m);
	/* A message key is of the signing kind too. */
	k.sign_spki = buf_bytes(&alice.sign_spki);
	k.msg_spki = buf_bytes(&alice.wrap_spki);
	assert_int_equal(chan_send(c[1], MSG_av_key_add, &k, -1), 0);
	expect(&r, c[1], MSG_va_error, &m);
	assert_null(memmem(m.u.va_error.text.p, m.u.va_error.text.n,
	    "already", 7));
	/* Bytes that are no command. */
	logged[0] = '\0';
	assert_int_equal(write(chan_fd(c[1]), "\xff\xff", 2), 2);
	expect_eof(&r, c[1]);
	assert_non_null(strstr(logged, "violation||cloisterctl of uid 1000"));
	for (int i = 0; i <= VAULT_ADMINS_MAX; i++)
		chan_free(c[i]);
	rig_stop(&r, true);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_not),
		cmocka_unit_test(asked_and_gone),
		cmocka_unit_test(links_that_lie),
		cmocka_unit_test(usage_without_a_grant),
		cmocka_unit_test(lines_are_counted),
		cmocka_unit_test(puts_at_the_edge),
		cmocka_unit_test(long_titles),
		cmocka_unit_test(fails_for_nobody),
		cmocka_unit_test(bounded_answers),
		cmocka_unit_test(strange_lists),
		cmocka_unit_test(administrators),
	};

	return cmocka_run_group_tests_name("vault_edges", tests, keys,
	    keys_free);
}
