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
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
