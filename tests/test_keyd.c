/* The server's keyd: what workers, zygote and vault may ask, in which order. */
#include "checkpoint.h"
#include "keyd_fixture.h"

#include <sys/socket.h>

#include <unistd.h>

#define GEN(g, i)	((uint64_t)(g) << 32 | (i))

/* ---- the server ---------------------------------------------------------- */

struct rig {
	struct keyd_server	 s;
	struct chan		*vault;		/* the peers' ends, blocking */
	struct chan		*zygote;
	const char		*why;		/* of the zygote's last message */
};

static uint64_t fake_ms;
static int spins;

static uint64_t
fake_clock(void)
{
	return fake_ms;
}

static void
on_zygote(struct chan *c, struct msg *m, void *arg)
{
	struct rig *r = arg;

	(void)c;
	r->why = keyd_server_zygote(&r->s, m);
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	struct rig *r = arg;

	(void)c;
	r->why = keyd_server_vault(&r->s, m);
}

static void
on_idle(void *arg)
{
	if (++spins == 2)
		loop_stop(arg);
}

/* Handle what has been sent: one round of the loop. */
static void
spin(struct rig *r)
{
	spins = 0;
	loop_set_idle(r->s.loop, on_idle, r->s.loop);
	loop_run(r->s.loop);
}

static void
rig_up(struct rig *r)
{
	int v[2], z[2];

	memset(r, 0, sizeof(*r));
	fake_ms = 5000;
	last_audit[0] = '\0';
	keyd_server_init(&r->s, loop_new(), keys[KEYD_SIGN]);
	r->s.now_ms = fake_clock;
	assert_int_equal(chan_pair(v, true), 0);
	assert_int_equal(chan_pair(z, true), 0);
	r->s.vault = chan_new(r->s.loop, v[0], CH_KEYD_VAULT, END_A,
	    KEYD_VAULT_UP, 0, on_vault, NULL, r);
	r->s.zygote = chan_new(r->s.loop, z[0], CH_KEYD_ZYG, END_A,
	    KEYD_ZYG_UP, 0, on_zygote, NULL, r);
	r->vault = chan_new(NULL, v[1], CH_KEYD_VAULT, END_B, KEYD_VAULT_WAIT,
	    0, NULL, NULL, NULL);
	r->zygote = chan_new(NULL, z[1], CH_KEYD_ZYG, END_B, KEYD_ZYG_UP,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	keyd_server_hello(&r->s);
	(void)want(r->vault, MSG_kv_identity);
	chan_set_state(r->vault, KEYD_VAULT_UP);
}

static void
rig_down(struct rig *r)
{
	assert_int_equal(r->s.live, 0);
	chan_free(r->vault);
	chan_free(r->zygote);
	chan_free(r->s.vault);
	chan_free(r->s.zygote);
	keyd_receipt_free(&r->s);
	loop_free(r->s.loop);
	buf_free(&r->s.spki);
}

static void
hello(struct rig *r, uint32_t generation)
{
	struct m_zk_hello h = { .generation = generation };

	assert_int_equal(chan_send(r->zygote, MSG_zk_hello, &h, -1), 0);
	spin(r);
}

static void
ask_for(struct rig *r, uint64_t n)
{
	struct m_zk_want w = { .n = n };

	assert_int_equal(chan_send(r->zygote, MSG_zk_want, &w, -1), 0);
	spin(r);
}

/* A worker's end of a fresh channel for n. */
static struct chan *
worker(struct rig *r, uint64_t n)
{
	struct msg m;

	ask_for(r, n);
	assert_null(r->why);
	m = want(r->zygote, MSG_kz_chan);
	assert_int_equal(m.u.kz_chan.n, n);
	return chan_new(NULL, m.fd, CH_KEX_KEYD, END_A, KEX_KEYD_NEW, 0, NULL,
	    NULL, NULL);
}

static void
close_worker(struct rig *r, struct chan *c)
{
	unsigned live = r->s.live;

	chan_free(c);
	spin(r);
	assert_int_equal(r->s.live, live - 1);
}

/* Open, and check that vault and worker get the same nonce. */
static void
open_worker(struct rig *r, struct chan *c, uint64_t n, uint8_t random_s[32])
{
	struct msg v, w;

	assert_int_equal(chan_send(c, MSG_xk_open, NULL, -1), 0);
	spin(r);
	chan_set_state(c, KEX_KEYD_OPENED);
	w = want(c, MSG_kx_nonce);
	memcpy(random_s, w.u.kx_nonce.random_s, 32);
	v = want(r->vault, MSG_kv_nonce);
	assert_int_equal(v.u.kv_nonce.n, n);
	assert_memory_equal(v.u.kv_nonce.random_s, random_s, 32);
}

static void
ask_sign(struct rig *r, struct chan *c, uint8_t suite)
{
	struct m_xk_sign q = { .suite = suite };

	memset(q.th_sh, 0x42, sizeof(q.th_sh));
	assert_int_equal(chan_send(c, MSG_xk_sign, &q, -1), 0);
	spin(r);
	chan_set_state(c, KEX_KEYD_SIGNED);
}

/* The violation was named, and the channel is gone; frees the worker's end. */
static void
thrown_out(struct rig *r, struct chan *c, uint64_t n)
{
	assert_true(ended(c));
	assert_non_null(strstr(last_audit, "violation keyd channel: "));
	assert_int_equal(last_audit_session, n);
	assert_int_equal(r->s.live, 0);
	last_audit[0] = '\0';
	chan_free(c);
}

static void
test_welcome(void **state)
{
	struct bytes spki;
	uint8_t hash[HASH_LEN];
	struct rig r;
	struct msg m;

	(void)state;
	rig_up(&r);
	keyd_server_hello(&r.s);
	chan_set_state(r.vault, KEYD_VAULT_WAIT);
	m = want(r.vault, MSG_kv_identity);
	hello(&r, 3);
	assert_null(r.why);
	spki = want(r.zygote, MSG_kz_welcome).u.kz_welcome.spki;
	sha256(hash, spki);
	assert_memory_equal(hash, m.u.kv_identity.spki_hash, HASH_LEN);
	rig_down(&r);
}

/* One worker's signature, with this suite in the signed bytes. */
static void
sign_once(uint8_t suite)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	uint8_t random_s[32], random_2[32], th[32];
	struct chan *c, *d;
	struct rig r;
	struct msg m;

	rig_up(&r);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	c = worker(&r, GEN(1, 1));
	d = worker(&r, GEN(1, 2));
	open_worker(&r, c, GEN(1, 1), random_s);
	open_worker(&r, d, GEN(1, 2), random_2);
	assert_memory_not_equal(random_s, random_2, 32);
	close_worker(&r, d);
	fake_ms += KEYD_SIGN_MS;	/* just in time */
	ask_sign(&r, c, suite);
	/* The vault counts it. */
	assert_int_equal(want(r.vault, MSG_kv_signed).u.kv_signed.n, GEN(1, 1));
	m = want(c, MSG_kx_sig);
	memset(th, 0x42, sizeof(th));
	hs_tbs_server(&tbs, suite, random_s, th, r.s.spki_hash,
	    bytes_of(NULL, 0));
	assert_int_equal(rsa_pss_verify(keys[KEYD_SIGN], m.u.kx_sig.sig,
	    buf_bytes(&tbs)), 0);
	tbs.p[tbs.n - 1] ^= 1;
	assert_int_equal(rsa_pss_verify(keys[KEYD_SIGN], m.u.kx_sig.sig,
	    buf_bytes(&tbs)), -1);
	buf_free(&tbs);
	ask_sign(&r, c, suite);
	thrown_out(&r, c, GEN(1, 1));
	want_silence(r.vault);
	rig_down(&r);
}

static void
test_sign_once(void **state)
{
	(void)state;
	for (uint8_t suite = HS_SUITE_X25519; suite <= HS_SUITE_BEST; suite++)
		sign_once(suite);
}

/* ---- receipts ---------------------------------------------------------------- */

static struct m_vk_receipt
receipt_question(uint64_t n, uint64_t number)
{
	struct m_vk_receipt q = { .id = 100 * n + number, .n = n,
	    .number = number, .question = 2 * number - 1, .finish = 1,
	    .model = bytes_str("m") };

	memset(q.session_id, (int)n, sizeof(q.session_id));
	memset(q.client, 2, sizeof(q.client));
	memset(q.conv, 3, sizeof(q.conv));
	memset(q.signature, 4, sizeof(q.signature));
	memset(q.sent, 5, sizeof(q.sent));
	memset(q.response, 6, sizeof(q.response));
	return q;
}

static void
ask_receipt(struct rig *r, const struct m_vk_receipt *q)
{
	assert_int_equal(chan_send(r->vault, MSG_vk_receipt, q, -1), 0);
}

/* Until the tree is signed. */
static void
spin_tree(struct rig *r)
{
	do
		spin(r);
	while (r->s.npending > 0);
}

/* The answer is a receipt for q, its leaf follows prev; leaf is set. */
static void
take_receipt(struct rig *r, const struct m_vk_receipt *q,
    const uint8_t prev[HASH_LEN], uint8_t leaf[HASH_LEN], struct buf *sig)
{
	struct proof_receipt p;
	struct msg m = want(r->vault, MSG_kv_receipt);

	assert_true(m.u.kv_receipt.id == q->id);
	assert_int_equal(proof_receipt_decode(&p, m.u.kv_receipt.receipt), 0);
	assert_int_equal(proof_receipt_verify(&p), 0);
	assert_memory_equal(p.server, r->s.spki_hash, HASH_LEN);
	assert_memory_equal(p.session_id, q->session_id, HASH_LEN);
	assert_memory_equal(p.client, q->client, HASH_LEN);
	assert_memory_equal(p.conv, q->conv, PROOF_CONV);
	assert_memory_equal(p.signature, q->signature, HASH_LEN);
	assert_memory_equal(p.sent, q->sent, HASH_LEN);
	assert_memory_equal(p.response, q->response, HASH_LEN);
	assert_true(p.number == q->number && p.question == q->question);
	assert_true(bytes_eq(p.model, q->model));
	assert_int_equal(p.finish, q->finish);
	assert_memory_equal(p.previous, prev, HASH_LEN);
	proof_receipt_leaf(leaf, &p);
	buf_reset(sig);
	buf_put(sig, p.sig.p, p.sig.n);
	/* Nothing of it is another's. */
	p.response[0] ^= 1;
	assert_int_equal(proof_receipt_verify(&p), -1);
	p.response[0] ^= 1;
	p.finish++;
	assert_int_equal(proof_receipt_verify(&p), -1);
}

static void
test_receipts(void **state)
{
	static const uint8_t zeros[HASH_LEN];
	struct buf one = BUF_INIT(RSA_OUT_MAX), two = BUF_INIT(RSA_OUT_MAX);
	uint8_t a[HASH_LEN], b[HASH_LEN];
	struct m_vk_over over = { .n = GEN(1, 1) };
	struct m_vk_receipt q[4];
	struct rig r;

	(void)state;
	rig_up(&r);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	close_worker(&r, worker(&r, GEN(1, 1)));
	close_worker(&r, worker(&r, GEN(1, 2)));
	/* Three at once share a signature; a fourth comes later. */
	q[0] = receipt_question(GEN(1, 1), 1);
	q[1] = receipt_question(GEN(1, 2), 1);
	q[2] = receipt_question(GEN(1, 1), 2);
	q[2].finish = 4;
	for (int i = 0; i < 3; i++)
		ask_receipt(&r, &q[i]);
	spin_tree(&r);
	assert_null(r.why);
	take_receipt(&r, &q[0], zeros, a, &one);
	take_receipt(&r, &q[1], zeros, b, &two);
	assert_true(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
	take_receipt(&r, &q[2], a, b, &two);
	assert_true(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
	q[3] = receipt_question(GEN(1, 1), 3);
	ask_receipt(&r, &q[3]);
	spin_tree(&r);
	take_receipt(&r, &q[3], b, a, &two);
	assert_false(bytes_eq(buf_bytes(&one), buf_bytes(&two)));
	/* A session that is over is forgotten. */
	assert_int_equal(r.s.nreceipts, 2);
	assert_int_equal(chan_send(r.vault, MSG_vk_over, &over, -1), 0);
	spin_tree(&r);
	assert_int_equal(r.s.nreceipts, 1);
	rig_down(&r);
	buf_free(&one);
	buf_free(&two);
}

/* What keyd does not sign, whoever asks. */
static void
test_no_receipt(void **state)
{
	struct m_vk_receipt q;
	struct rig r;

	(void)state;
	for (int how = 0; how < 8; how++) {
		rig_up(&r);
		hello(&r, 1);
		(void)want(r.zygote, MSG_kz_welcome);
		close_worker(&r, worker(&r, GEN(1, 1)));
		q = receipt_question(GEN(1, 1), 1);
		ask_receipt(&r, &q);
		spin_tree(&r);
		assert_null(r.why);
		q.number = 2;
		switch (how) {
		case 0:			/* the same again */
			q.number = 1;
			break;
		case 1:			/* one left out */
			q.number = 3;
			break;
		case 2:			/* no such session */
			q.n = GEN(1, 2);
			q.number = 1;
			break;
		case 3:
			q.n = 0;
			q.number = 1;
			break;
		case 4:			/* another name for it */
			q.session_id[9] ^= 1;
			break;
		case 5:			/* no end */
			q.finish = 0;
			break;
		case 6:
			q.finish = 8;
			break;
		default:
			q.question = 0;
		}
		ask_receipt(&r, &q);
		spin_tree(&r);
		assert_non_null(r.why);
		(void)want(r.vault, MSG_kv_receipt);
		want_silence(r.vault);
		rig_down(&r);
	}
}

/* As many as a tree takes, and more. */
static void
test_full_tree(void **state)
{
	static const uint8_t zeros[HASH_LEN];
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t leaf[HASH_LEN], prev[HASH_LEN];
	struct m_vk_receipt q;
	struct rig r;

	(void)state;
	rig_up(&r);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	close_worker(&r, worker(&r, GEN(1, 1)));
	for (uint64_t i = 1; i <= (1 << PROOF_DEPTH) + 5; i++) {
		q = receipt_question(GEN(1, 1), i);
		ask_receipt(&r, &q);
		spin_tree(&r);
	}
	memcpy(prev, zeros, sizeof(prev));
	for (uint64_t i = 1; i <= (1 << PROOF_DEPTH) + 5; i++) {
		q = receipt_question(GEN(1, 1), i);
		take_receipt(&r, &q, prev, leaf, &sig);
		memcpy(prev, leaf, sizeof(prev));
	}
	rig_down(&r);
	buf_free(&sig);
}

static void
test_worker_violations(void **state)
{
	static const uint8_t suites[] = { 0, HS_SUITE_BEST + 1, 255 };
	uint8_t random_s[32], i = 1;
	struct chan *c;
	struct rig r;

	(void)state;
	rig_up(&r);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	/* to sign before opening */
	c = worker(&r, GEN(1, i));
	ask_sign(&r, c, HS_SUITE_X25519);
	thrown_out(&r, c, GEN(1, i++));
	/* to open twice */
	c = worker(&r, GEN(1, i));
	open_worker(&r, c, GEN(1, i), random_s);
	assert_int_equal(chan_send(c, MSG_xk_open, NULL, -1), 0);
	spin(&r);
	thrown_out(&r, c, GEN(1, i++));
	want_silence(r.vault);
	/* a suite that it does not have */
	for (size_t k = 0; k < sizeof(suites); k++, i++) {
		c = worker(&r, GEN(1, i));
		open_worker(&r, c, GEN(1, i), random_s);
		ask_sign(&r, c, suites[k]);
		thrown_out(&r, c, GEN(1, i));
	}
	/* too late */
	c = worker(&r, GEN(1, i));
	open_worker(&r, c, GEN(1, i), random_s);
	fake_ms += KEYD_SIGN_MS + 1;
	ask_sign(&r, c, HS_SUITE_X25519);
	thrown_out(&r, c, GEN(1, i++));
	/* bytes that are no message */
	c = worker(&r, GEN(1, i));
	assert_int_equal(send(chan_fd(c), "\7\3", 2, 0), 2);
	spin(&r);
	thrown_out(&r, c, GEN(1, i));
	rig_down(&r);
}

static void
test_numbers_increase(void **state)
{
	uint8_t random_s[32];
	struct chan *c, *d;
	struct rig r;

	(void)state;
	rig_up(&r);
	ask_for(&r, GEN(1, 1));		/* before any hello */
	assert_non_null(r.why);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	c = worker(&r, GEN(1, 5));
	ask_for(&r, GEN(1, 5));
	assert_non_null(r.why);
	ask_for(&r, GEN(1, 4));
	assert_non_null(r.why);
	ask_for(&r, GEN(2, 1));		/* not its own generation */
	assert_non_null(r.why);
	hello(&r, 1);
	assert_non_null(r.why);
	want_silence(r.zygote);
	/* Its successor: old channels go on, old wants are not answered. */
	hello(&r, 2);
	(void)want(r.zygote, MSG_kz_welcome);
	ask_for(&r, GEN(1, 6));
	assert_null(r.why);
	want_silence(r.zygote);
	d = worker(&r, GEN(2, 1));
	open_worker(&r, c, GEN(1, 5), random_s);
	ask_sign(&r, c, HS_SUITE_X25519);
	(void)want(c, MSG_kx_sig);
	close_worker(&r, c);
	close_worker(&r, d);
	rig_down(&r);
}

static void
test_workers_bounded(void **state)
{
	struct rig r;

	(void)state;
	rig_up(&r);
	hello(&r, 1);
	(void)want(r.zygote, MSG_kz_welcome);
	r.s.live = KEYD_WORKERS;
	ask_for(&r, GEN(1, 1));
	assert_null(r.why);
	want_silence(r.zygote);
	assert_int_equal(r.s.live, KEYD_WORKERS);
	r.s.live = 0;
	close_worker(&r, worker(&r, GEN(1, 2)));
	rig_down(&r);
}

/* ---- boot ---------------------------------------------------------------- */

struct boot_rig {
	struct keyd_boot b;
	struct chan	*vault;
	struct chan	*chan;
};

static void
boot_up(struct boot_rig *r, bool init)
{
	int fd[2];

	assert_int_equal(chan_pair(fd, false), 0);
	r->vault = chan_new(NULL, fd[0], CH_BOOT, END_A, BOOT_WAIT, 0, NULL,
	    NULL, NULL);
	r->chan = chan_new(NULL, fd[1], CH_BOOT, END_B, BOOT_ASK, 0, NULL,
	    NULL, NULL);
	keyd_boot_init(&r->b, ref(keys[KEYD_WRAP]), init);
}

static void
boot_down(struct boot_rig *r)
{
	keyd_boot_end(&r->b);
	chan_free(r->vault);
	chan_free(r->chan);
}

static const char *
boot_ask(struct boot_rig *r, enum msg_type type, const void *body)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_send(r->vault, type, body, -1), 0);
	assert_int_equal(chan_recv(r->chan, &m, 0, &why), 0);
	return keyd_boot_request(&r->b, r->chan, &m);
}

static void
wrap_share(struct buf *ct, uint8_t generation, const uint8_t share[32])
{
	char text[] = "cl1 storage share\0\0\0\0";
	uint8_t label[HASH_LEN];

	text[sizeof(text) - 2] = (char)generation;
	sha256(label, bytes_of(text, sizeof(text) - 1));
	assert_int_equal(rsa_oaep_encrypt(ct, keys[KEYD_WRAP], label, share),
	    0);
}

static void
boot_unwrap(struct boot_rig *r, uint32_t generation, struct bytes ct,
    uint8_t share[32])
{
	struct m_boot_unwrap q = { .key_generation = generation,
	    .wrapped = ct };

	assert_null(boot_ask(r, MSG_boot_unwrap, &q));
	memcpy(share, want(r->vault, MSG_boot_share).u.boot_share.share, 32);
}

static void
test_boot_unwrap(void **state)
{
	struct buf ct = BUF_INIT(RSA_OUT_MAX);
	struct m_boot_unwrap q = { .key_generation = 7 };
	uint8_t share[32], got[32];
	struct boot_rig r;

	(void)state;
	memset(share, 0x5a, sizeof(share));
	wrap_share(&ct, 7, share);
	boot_up(&r, false);
	assert_null(boot_ask(&r, MSG_boot_wrap, NULL));
	(void)want(r.vault, MSG_boot_wrap_key);
	boot_unwrap(&r, 7, buf_bytes(&ct), got);
	assert_memory_equal(got, share, 32);
	assert_non_null(r.b.wrap);
	/* The label of another generation opens nothing. */
	boot_unwrap(&r, 8, buf_bytes(&ct), got);
	assert_memory_not_equal(got, share, 32);
	/* Two were the last, and the key is gone. */
	assert_null(r.b.wrap);
	q.wrapped = buf_bytes(&ct);
	assert_non_null(boot_ask(&r, MSG_boot_unwrap, &q));
	assert_null(boot_ask(&r, MSG_boot_done, NULL));
	want_silence(r.vault);
	boot_down(&r);
	buf_free(&ct);
}

static void
test_boot_garbage(void **state)
{
	struct buf ct = BUF_INIT(RSA_OUT_MAX);
	uint8_t share[32], a[32], b[32], zero[32] = { 0 };
	struct boot_rig r;

	(void)state;
	memset(share, 0x5a, sizeof(share));
	wrap_share(&ct, 1, share);
	ct.p[100] ^= 4;
	boot_up(&r, false);
	boot_unwrap(&r, 1, buf_bytes(&ct), a);
	boot_unwrap(&r, 1, buf_bytes(&ct), b);
	assert_memory_equal(a, b, 32);	/* the same, as a real share would be */
	assert_memory_not_equal(a, share, 32);
	assert_memory_not_equal(a, zero, 32);
	boot_down(&r);
	boot_up(&r, false);		/* another secret */
	boot_unwrap(&r, 1, buf_bytes(&ct), b);
	assert_memory_not_equal(a, b, 32);
	boot_unwrap(&r, 1, bytes_of("short", 5), b);
	assert_memory_not_equal(zero, b, 32);
	boot_down(&r);
	buf_free(&ct);
}

static void
test_boot_done(void **state)
{
	struct m_boot_unwrap q = { .wrapped = bytes_of("x", 1) };
	struct boot_rig r;

	(void)state;
	boot_up(&r, false);
	assert_null(boot_ask(&r, MSG_boot_done, NULL));
	assert_null(r.b.wrap);
	assert_non_null(boot_ask(&r, MSG_boot_unwrap, &q));
	boot_down(&r);
}

static void
test_boot_init(void **state)
{
	struct m_boot_unwrap q = { .wrapped = bytes_of("x", 1) };
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	struct boot_rig r;
	struct msg m;

	(void)state;
	assert_int_equal(rsa_spki_encode(&spki, keys[KEYD_WRAP]), 0);
	boot_up(&r, true);
	assert_non_null(boot_ask(&r, MSG_boot_unwrap, &q));
	assert_null(boot_ask(&r, MSG_boot_wrap, NULL));
	m = want(r.vault, MSG_boot_wrap_key);
	assert_true(bytes_eq(m.u.boot_wrap_key.spki, buf_bytes(&spki)));
	assert_null(boot_ask(&r, MSG_boot_done, NULL));
	assert_null(r.b.wrap);
	boot_down(&r);
	buf_free(&spki);
}

/* ---- the audit log's checkpoints ----------------------------------------- */

static uint64_t fake_us;

static uint64_t
fake_wall(void)
{
	return fake_us;
}

struct audit_rig {
	struct keyd_server	 s;
	struct keyd_audit	 a;
	struct chan		*keyd, *logger;
	struct checkpoint	 got;
};

static const char *
ask_checkpoint(struct audit_rig *r, uint64_t seq, uint8_t fill,
    enum msg_type answer)
{
	struct m_lk_checkpoint q = { .seq = seq };
	struct msg m;
	const char *why;

	memset(q.hash, fill, sizeof(q.hash));
	assert_int_equal(chan_send(r->logger, MSG_lk_checkpoint, &q, -1), 0);
	assert_int_equal(chan_recv(r->keyd, &m, 1000, &why), 0);
	if ((why = keyd_audit_request(&r->a, r->keyd, &m)) != NULL)
		return why;
	m = want(r->logger, answer);
	if (answer == MSG_kl_later) {
		assert_int_equal(m.u.kl_later.seq, seq);
		return NULL;
	}
	assert_int_equal(m.u.kl_signed.seq, seq);
	r->got = (struct checkpoint){ .seq = seq,
	    .time_us = m.u.kl_signed.time_us, .sig_n = m.u.kl_signed.sig.n };
	memcpy(r->got.hash, q.hash, sizeof(r->got.hash));
	memcpy(r->got.key, m.u.kl_signed.key, sizeof(r->got.key));
	memcpy(r->got.sig, m.u.kl_signed.sig.p, r->got.sig_n);
	return NULL;
}

/*
 * Whatever the logger asks, it gets signatures of keyd's own bytes alone: lines
 * in rising order, at rising times, and not too many.
 */
static void
test_checkpoints(void **state)
{
	struct audit_rig r = { 0 };
	struct checkpoint bad;
	uint64_t first_us;
	int fd[2];

	(void)state;
	fake_ms = 5000;
	fake_us = 1000000;
	keyd_server_init(&r.s, NULL, keys[KEYD_SIGN]);
	r.s.now_ms = fake_clock;
	keyd_audit_init(&r.a, &r.s);
	r.a.wall_us = fake_wall;
	assert_int_equal(chan_pair(fd, false), 0);
	r.logger = chan_new(NULL, fd[0], CH_LOGGER_KEYD, END_A, LOGGER_KEYD_UP,
	    0, NULL, NULL, NULL);
	r.keyd = chan_new(NULL, fd[1], CH_LOGGER_KEYD, END_B, LOGGER_KEYD_UP, 0,
	    NULL, NULL, NULL);
	assert_null(ask_checkpoint(&r, 7, 1, MSG_kl_signed));
	assert_int_equal(checkpoint_verify(&r.got, keys[KEYD_SIGN]), 0);
	assert_int_equal(checkpoint_verify(&r.got, keys[KEYD_MESSAGE]), -1);
	first_us = r.got.time_us;
	assert_int_equal(first_us, fake_us);
	for (int i = 0; i < 4; i++) {
		bad = r.got;
		*(i == 0 ? bad.hash : i == 1 ? bad.key : i == 2 ? bad.sig :
		    (uint8_t *)&bad.seq) ^= 1;
		assert_int_equal(checkpoint_verify(&bad, keys[KEYD_SIGN]), -1);
	}
	/* The clock goes back: signed times do not. */
	fake_us = 5;
	assert_null(ask_checkpoint(&r, 8, 2, MSG_kl_signed));
	assert_int_equal(r.got.time_us, first_us + 1);
	/* The allowance is used up, and a refusal signs nothing. */
	for (uint64_t i = 0; i < KEYD_CP_BURST - 2; i++)
		assert_null(ask_checkpoint(&r, 9 + i, 3, MSG_kl_signed));
	assert_null(ask_checkpoint(&r, 100, 4, MSG_kl_later));
	fake_ms += KEYD_CP_MS - 1;
	assert_null(ask_checkpoint(&r, 100, 4, MSG_kl_later));
	fake_ms += 1;
	assert_null(ask_checkpoint(&r, 100, 4, MSG_kl_signed));
	assert_null(ask_checkpoint(&r, 101, 4, MSG_kl_later));
	fake_ms += 3600000;
	for (uint64_t i = 0; i < KEYD_CP_BURST; i++)
		assert_null(ask_checkpoint(&r, 101 + i, 5, MSG_kl_signed));
	assert_null(ask_checkpoint(&r, 200, 5, MSG_kl_later));
	/* No line twice, with this hash or another, and none before. */
	fake_ms += 3600000;
	assert_non_null(ask_checkpoint(&r, 100 + KEYD_CP_BURST, 5,
	    MSG_kl_signed));
	assert_non_null(ask_checkpoint(&r, 7, 9, MSG_kl_signed));
	assert_non_null(ask_checkpoint(&r, 0, 9, MSG_kl_signed));
	/* After the last number there is none. */
	assert_null(ask_checkpoint(&r, UINT64_MAX, 9, MSG_kl_signed));
	assert_non_null(ask_checkpoint(&r, UINT64_MAX, 8, MSG_kl_signed));
	chan_free(r.logger);
	chan_free(r.keyd);
	buf_free(&r.s.spki);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_sign_once),
		cmocka_unit_test(test_receipts),
		cmocka_unit_test(test_no_receipt),
		cmocka_unit_test(test_full_tree),
		cmocka_unit_test(test_worker_violations),
		cmocka_unit_test(test_numbers_increase),
		cmocka_unit_test(test_workers_bounded),
		cmocka_unit_test(test_checkpoints),
		cmocka_unit_test(test_boot_unwrap),
		cmocka_unit_test(test_boot_garbage),
		cmocka_unit_test(test_boot_done),
		cmocka_unit_test(test_boot_init),
	};

	(void)alarm(300);	/* a test that hangs fails */
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
