/* The vault and messages that were signed by the client's keyd. */
#include "vault_rig.h"

static EVP_PKEY *message;
static struct buf message_spki = BUF_INIT(RSA_SPKI_MAX);

/* A proof of text for session p, spoiled where a bit of `how' says so. */
enum {
	KEY = 1, SESSION = 2, SERVER = 4, CLIENT = 8, NUMBER = 16, TEXT = 32,
	SIGNATURE = 64, LONG = 128
};

static void
make(struct buf *out, const struct rig *r, const uint8_t session_id[32],
    uint64_t number, const char *text, unsigned how)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct proof_user p = { .number = number + (how & NUMBER ? 1 : 0),
	    .time_us = 5, .spki = how & KEY ? buf_bytes(&alice.sign_spki) :
	    buf_bytes(&message_spki) };
	uint8_t digest[32];

	(void)r;
	memcpy(p.session_id, session_id, 32);
	p.session_id[0] ^= (how & SESSION) != 0;
	memcpy(p.server, host_hash, 32);
	p.server[31] ^= (how & SERVER) != 0;
	sha256(p.client, buf_bytes(how & CLIENT ? &bob.sign_spki :
	    &alice.sign_spki));
	memset(p.salt, 3, 32);
	proof_digest(digest, p.salt, bytes_str(how & TEXT ? "else" : text));
	proof_user_tbs(&tbs, &p, digest);
	assert_int_equal(rsa_pss_sign(&sig, how & KEY ? alice.sign : message,
	    buf_bytes(&tbs)), 0);
	sig.p[7] ^= (how & SIGNATURE) != 0;
	p.sig = buf_bytes(&sig);
	buf_reset(out);
	proof_user_encode(out, &p);
	if (how & LONG)
		buf_u8(out, 0);
	buf_free(&tbs);
	buf_free(&sig);
}

static void
put_signed(struct pair *p, const uint8_t conv[16], uint8_t kind,
    const char *text, struct bytes proof)
{
	struct m_sv_put m = { .req = 5, .kind = kind, .finish = kind == 2,
	    .model = bytes_str("small"), .len = (uint32_t)strlen(text),
	    .proof = proof };
	struct m_sv_data d = { .req = 5, .data = bytes_str(text) };

	memcpy(m.conv, conv, 16);
	assert_int_equal(chan_send(p->sess, MSG_sv_put, &m, -1), 0);
	assert_int_equal(chan_send(p->sess, MSG_sv_data, &d, -1), 0);
}

static void
begin(struct rig *r, struct pair *p, const uint8_t session_id[32])
{
	struct m_sv_ready ready;

	memcpy(ready.session_id, session_id, 32);
	login(r, p, &alice, "alice");
	assert_int_equal(chan_send(p->sess, MSG_sv_ready, &ready, -1), 0);
}

static void
kept_and_given_back(void **state)
{
	static const uint8_t session_id[32] = "a session";
	struct buf proof = BUF_INIT(PROOF_MAX);
	uint8_t conv[16] = { 0 };
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	rig_new(&r);
	user_with(&r, "alice", &alice, buf_bytes(&message_spki));
	begin(&r, &p, session_id);
	make(&proof, &r, session_id, 1, "question", 0);
	put_signed(&p, conv, 1, "question", buf_bytes(&proof));
	expect(&r, p.sess, MSG_vs_stored, &m);
	memcpy(conv, m.u.vs_stored.conv, 16);
	(void)put_text(&r, &p, conv, 2, "answer");
	pair_close(&p);
	/* Which key it is, is known after a start, too. */
	rig_stop(&r, true);
	assert_int_equal(rig_start(&r, false), 0);
	begin(&r, &p, session_id);
	read_send(&p, 7, conv, 1, 0);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_true(bytes_eq(m.u.vs_msg.proof, buf_bytes(&proof)));
	expect(&r, p.sess, MSG_vs_data, &m);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_int_equal(m.u.vs_msg.proof.n, 0);
	expect(&r, p.sess, MSG_vs_data, &m);
	expect(&r, p.sess, MSG_vs_done, &m);
	make(&proof, &r, session_id, 3, "and?", 0);
	put_signed(&p, conv, 1, "and?", buf_bytes(&proof));
	expect(&r, p.sess, MSG_vs_stored, &m);
	assert_true(m.u.vs_stored.number == 3);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
	buf_free(&proof);
}

/* Whatever is wrong with it, nothing is stored. */
static void
refused(void **state)
{
	static const uint8_t session_id[32] = "a session";
	struct buf proof = BUF_INIT(PROOF_MAX);
	uint8_t conv[16] = { 0 };
	struct pair p;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_with(&r, "alice", &alice, buf_bytes(&message_spki));
	begin(&r, &p, session_id);
	for (unsigned how = 1; how <= LONG; how <<= 1) {
		make(&proof, &r, session_id, 1, "text", how);
		put_signed(&p, conv, 1, "text", buf_bytes(&proof));
		expect_error(&r, &p, 5, how == LONG ? ERR_BAD : ERR_SIGNATURE);
	}
	make(&proof, &r, session_id, 1, "text", 0);
	for (size_t n = 1; n < proof.n; n += 97) {
		put_signed(&p, conv, 1, "text", bytes_of(proof.p, n));
		expect_error(&r, &p, 5, ERR_BAD);
	}
	/* An answer is not what a user signs. */
	assert_true(put_text(&r, &p, conv, 1, "question") == 1);
	make(&proof, &r, session_id, 2, "answer", 0);
	put_signed(&p, conv, 2, "answer", buf_bytes(&proof));
	expect_error(&r, &p, 5, ERR_BAD);
	/* The same signature a second time is of another place. */
	make(&proof, &r, session_id, 2, "again", 0);
	put_signed(&p, conv, 1, "again", buf_bytes(&proof));
	{
		struct msg m;

		expect(&r, p.sess, MSG_vs_stored, &m);
	}
	put_signed(&p, conv, 1, "again", buf_bytes(&proof));
	expect_error(&r, &p, 5, ERR_SIGNATURE);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
	buf_free(&proof);
}

/* Without an enrolled message key there is nothing to compare with. */
static void
no_message_key(void **state)
{
	static const uint8_t session_id[32] = "a session";
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct pair p;
	struct rig r;

	(void)state;
	rig_new(&r);
	user_new(&r, "alice", &alice);
	begin(&r, &p, session_id);
	make(&proof, &r, session_id, 1, "text", 0);
	put_signed(&p, zero_conv, 1, "text", buf_bytes(&proof));
	expect_error(&r, &p, 5, ERR_SIGNATURE);
	pair_close(&p);
	rig_stop(&r, true);
	rig_free(&r);
	buf_free(&proof);
}

/* ---- receipts ---------------------------------------------------------------- */

/* alice's session with a model, and a signed question stored under request 5. */
static void
ask_signed(struct rig *r, struct pair *p, uint8_t conv[16])
{
	static const uint8_t session_id[32] = "a session";
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct msg m;

	rig_new(r);
	chan_set_state(r->keyd, KEYD_VAULT_UP);
	user_with(r, "alice", &alice, buf_bytes(&message_spki));
	begin(r, p, session_id);
	open_model(r, p, "", 0);
	memset(conv, 0, 16);
	make(&proof, r, session_id, 1, "question", 0);
	put_signed(p, conv, 1, "question", buf_bytes(&proof));
	expect(r, p->sess, MSG_vs_stored, &m);
	memcpy(conv, m.u.vs_stored.conv, 16);
	buf_free(&proof);
}

/* The llmproxy's word on the answer to request 5. */
static void
report(struct rig *r, const struct pair *p, const char *text, uint8_t finish)
{
	static uint64_t id;
	struct m_lv_ask q = { .id = ++id, .n = p->n,
	    .model = bytes_str("small") };
	struct m_lv_usage u = { .id = id, .n = p->n, .req = 5,
	    .finish = finish, .model = bytes_str("small") };
	struct msg m;

	assert_int_equal(chan_send(r->llm, MSG_lv_ask, &q, -1), 0);
	expect(r, r->llm, MSG_vl_may, &m);
	assert_int_equal(m.u.vl_may.code, 0);
	memset(u.sent_hash, 6, sizeof(u.sent_hash));
	sha256(u.answer_hash, bytes_str(text));
	assert_int_equal(chan_send(r->llm, MSG_lv_usage, &u, -1), 0);
}

static void
answer(struct pair *p, const uint8_t conv[16], const char *text,
    uint8_t finish)
{
	struct m_sv_put m = { .req = 5, .kind = 2, .finish = finish,
	    .model = bytes_str("small"), .len = (uint32_t)strlen(text) };
	struct m_sv_data d = { .req = 5, .data = bytes_str(text) };

	memcpy(m.conv, conv, 16);
	assert_int_equal(chan_send(p->sess, MSG_sv_put, &m, -1), 0);
	assert_int_equal(chan_send(p->sess, MSG_sv_data, &d, -1), 0);
}

/* keyd's answer to what the vault asked in m: a receipt that nobody verifies. */
static void
give_receipt(struct rig *r, const struct m_vk_receipt *q, struct buf *out)
{
	struct m_kv_receipt m = { .id = q->id };
	struct proof_receipt p = { .number = q->number,
	    .question = q->question, .finish = q->finish, .time_us = 1,
	    .spki = bytes_str("key"), .sig = bytes_str("sig") };

	memcpy(p.response, q->response, HASH_LEN);
	buf_reset(out);
	proof_receipt_encode(out, &p);
	m.receipt = buf_bytes(out);
	assert_int_equal(chan_send(r->keyd, MSG_kv_receipt, &m, -1), 0);
}

static void
end(struct rig *r, struct pair *p)
{
	pair_close(p);
	rig_stop(r, true);
	rig_free(r);
}

/* Every answer to a signed question gets one, which is stored with it. */
static void
answers_get_receipts(void **state)
{
	struct buf receipt = BUF_INIT(PROOF_MAX);
	uint8_t conv[16], hash[32];
	struct m_vk_receipt q;
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	ask_signed(&r, &p, conv);
	report(&r, &p, "answer", 1);
	answer(&p, conv, "answer", 1);
	expect(&r, r.keyd, MSG_vk_receipt, &m);
	q = m.u.vk_receipt;
	assert_true(q.n == p.n && q.number == 1 && q.question == 1);
	assert_int_equal(q.finish, 1);
	assert_memory_equal(q.conv, conv, 16);
	sha256(hash, bytes_str("answer"));
	assert_memory_equal(q.response, hash, 32);
	memset(hash, 6, sizeof(hash));
	assert_memory_equal(q.sent, hash, 32);
	sha256(hash, buf_bytes(&alice.sign_spki));
	assert_memory_equal(q.client, hash, 32);
	/* Not stored, and not acknowledged, before. */
	for (int i = 0; i < 20; i++)
		pump(&r);
	assert_true(conv_find(r.v, conv)->last == 1);
	give_receipt(&r, &q, &receipt);
	expect(&r, p.sess, MSG_vs_stored, &m);
	assert_true(m.u.vs_stored.number == 2);
	read_send(&p, 7, conv, 2, 0);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_true(bytes_eq(m.u.vs_msg.proof, buf_bytes(&receipt)));
	expect(&r, p.sess, MSG_vs_data, &m);
	expect(&r, p.sess, MSG_vs_done, &m);
	/* One that nobody signed gets none; nor does a second answer. */
	assert_true(put_text(&r, &p, conv, 1, "unsigned") == 3);
	report(&r, &p, "other", 1);
	answer(&p, conv, "other", 1);
	expect(&r, p.sess, MSG_vs_stored, &m);
	pair_close(&p);
	expect(&r, r.keyd, MSG_vk_over, &m);
	assert_true(m.u.vk_over.n == q.n);
	end(&r, &p);
	buf_free(&receipt);
}

/* The session worker is gone meanwhile: the answer is stored all the same. */
static void
worker_gone(void **state)
{
	struct buf receipt = BUF_INIT(PROOF_MAX);
	struct m_vk_receipt q;
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	ask_signed(&r, &p, conv);
	report(&r, &p, "answer", 1);
	answer(&p, conv, "answer", 1);
	expect(&r, r.keyd, MSG_vk_receipt, &m);
	q = m.u.vk_receipt;
	pair_close(&p);
	expect(&r, r.keyd, MSG_vk_over, &m);
	give_receipt(&r, &q, &receipt);
	for (int i = 0; i < WAIT_TRIES && conv_find(r.v, conv)->last < 2; i++)
		pump(&r);
	assert_true(conv_find(r.v, conv)->last == 2);
	end(&r, &p);
	buf_free(&receipt);
}

/* What a session worker cut says so, whatever the model's end was. */
static void
cut_answers(void **state)
{
	static const struct { uint8_t said, put; const char *text; } cases[] = {
		{ 1, 4, "ans" }, { 1, 3, "a" }, { 4, 4, "answer" },
		{ 2, 2, "answer" }, { 5, 5, "answer" }
	};
	struct buf receipt = BUF_INIT(PROOF_MAX);
	struct m_vk_receipt q;
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_signed(&r, &p, conv);
		report(&r, &p, "answer", cases[i].said);
		answer(&p, conv, cases[i].text, cases[i].put);
		expect(&r, r.keyd, MSG_vk_receipt, &m);
		q = m.u.vk_receipt;
		assert_int_equal(q.finish, cases[i].put);
		give_receipt(&r, &q, &receipt);
		expect(&r, p.sess, MSG_vs_stored, &m);
		end(&r, &p);
	}
	buf_free(&receipt);
}

/* An answer that the llmproxy did not give: no receipt, and the session ends. */
static void
forged_answers(void **state)
{
	static const struct { uint8_t said, put; const char *text; } cases[] = {
		{ 1, 1, "forged" }, { 4, 1, "answer" }, { 3, 1, "answer" },
		{ 4, 2, "answer" }, { 1, 2, "forged" }, { 5, 6, "answer" },
		{ 1, 7, "forged" }, { 1, 0, "answer" }
	};
	uint8_t conv[16];
	struct pair p;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_signed(&r, &p, conv);
		report(&r, &p, "answer", cases[i].said);
		answer(&p, conv, cases[i].text, cases[i].put);
		for (int k = 0; k < WAIT_TRIES && strstr(logged,
		    "not the one that the llmproxy gave") == NULL; k++)
			pump(&r);
		assert_non_null(strstr(logged, "violation|"));
		assert_true(conv_find(r.v, conv)->last == 1);
		assert_true(r.v->receipt_id == 0);
		end(&r, &p);
	}
}

/* Without a word of an llmproxy there is nothing to sign. */
static void
no_report(void **state)
{
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	ask_signed(&r, &p, conv);
	answer(&p, conv, "answer", 1);
	expect(&r, p.sess, MSG_vs_stored, &m);
	read_send(&p, 7, conv, 2, 0);
	expect(&r, p.sess, MSG_vs_msg, &m);
	assert_int_equal(m.u.vs_msg.proof.n, 0);
	expect(&r, p.sess, MSG_vs_data, &m);
	end(&r, &p);
}

/* Questions that never got an answer keep no later one from its receipt. */
static void
many_without_answer(void **state)
{
	static const uint8_t session_id[32] = "a session";
	struct buf proof = BUF_INIT(PROOF_MAX), receipt = BUF_INIT(PROOF_MAX);
	struct m_vk_receipt q;
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	ask_signed(&r, &p, conv);
	for (uint64_t i = 2; i <= 2 * VAULT_REQS_MAX; i++) {
		struct m_sv_put put = { .req = (uint32_t)i + 10, .kind = 1,
		    .model = bytes_str("small"), .len = 1 };
		struct m_sv_data d = { .req = put.req, .data = bytes_str("q") };

		make(&proof, &r, session_id, i, "q", 0);
		put.proof = buf_bytes(&proof);
		memcpy(put.conv, conv, 16);
		assert_int_equal(chan_send(p.sess, MSG_sv_put, &put, -1), 0);
		assert_int_equal(chan_send(p.sess, MSG_sv_data, &d, -1), 0);
		expect(&r, p.sess, MSG_vs_stored, &m);
		assert_true(m.u.vs_stored.number == i);
	}
	make(&proof, &r, session_id, 2 * VAULT_REQS_MAX + 1, "question", 0);
	put_signed(&p, conv, 1, "question", buf_bytes(&proof));
	expect(&r, p.sess, MSG_vs_stored, &m);
	report(&r, &p, "answer", 1);
	answer(&p, conv, "answer", 1);
	expect(&r, r.keyd, MSG_vk_receipt, &m);
	q = m.u.vk_receipt;
	assert_true(q.question == 2 * VAULT_REQS_MAX + 1);
	give_receipt(&r, &q, &receipt);
	expect(&r, p.sess, MSG_vs_stored, &m);
	end(&r, &p);
	buf_free(&proof);
	buf_free(&receipt);
}

/* A conversation is deleted while keyd signs. */
static void
deleted_meanwhile(void **state)
{
	struct buf receipt = BUF_INIT(PROOF_MAX);
	struct m_sv_delete del = { .req = 9 };
	struct m_vk_receipt q;
	uint8_t conv[16];
	struct pair p;
	struct rig r;
	struct msg m;

	(void)state;
	ask_signed(&r, &p, conv);
	report(&r, &p, "answer", 1);
	answer(&p, conv, "answer", 1);
	expect(&r, r.keyd, MSG_vk_receipt, &m);
	q = m.u.vk_receipt;
	memcpy(del.conv, conv, 16);
	assert_int_equal(chan_send(p.sess, MSG_sv_delete, &del, -1), 0);
	expect(&r, p.sess, MSG_vs_deleted, &m);
	give_receipt(&r, &q, &receipt);
	expect_error(&r, &p, 5, ERR_NO_CONV);
	end(&r, &p);
	buf_free(&receipt);
}

static int
setup(void **state)
{
	if (keys(state) == -1)
		return -1;
	message = rsa_generate(RSA_USE_SIGN, 3072, 0);
	return message == NULL ? -1 : rsa_spki_encode(&message_spki, message);
}

static int
teardown(void **state)
{
	EVP_PKEY_free(message);
	buf_free(&message_spki);
	return keys_free(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_given_back),
		cmocka_unit_test(refused),
		cmocka_unit_test(no_message_key),
		cmocka_unit_test(answers_get_receipts),
		cmocka_unit_test(worker_gone),
		cmocka_unit_test(cut_answers),
		cmocka_unit_test(forged_answers),
		cmocka_unit_test(no_report),
		cmocka_unit_test(many_without_answer),
		cmocka_unit_test(deleted_meanwhile),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
