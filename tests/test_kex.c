/*
 * sessiond/kex.c: the worker in a process of its own; this test plays its
 * zygote, keyd, vault, twin and client.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hs_local.h"
#include "kex.h"
#include "record.h"
#include "role.h"

#define WAIT_MS		10000
#define CLOSE_WIRE	RECORD_WIRE(RECORD_INNER_HDR)

static uint8_t lowest_suite = HS_SUITE_X25519;	/* the worker's policy */

static struct world {
	EVP_PKEY	*host, *sign, *wrap;
	struct buf	 host_spki, sign_spki, wrap_spki;
	uint8_t		 host_hash[HASH_LEN];
} w = {
	.host_spki = BUF_INIT(RSA_SPKI_MAX), .sign_spki = BUF_INIT(RSA_SPKI_MAX),
	.wrap_spki = BUF_INIT(RSA_SPKI_MAX)
};

struct run {
	pid_t			 pid;
	struct chan		*zyg, *keyd, *vault, *twin;
	int			 sock;
	uint8_t			 random_s[HS_RANDOM];
	struct hs		 hs;
	struct record_dir	 tx, rx;
	struct hs_session	 session;
};

static int
group_setup(void **state)
{
	(void)state;
	(void)msg_desc(0);
	w.host = rsa_generate(RSA_USE_SIGN, 3072, 0);
	w.sign = rsa_generate(RSA_USE_SIGN, 3072, 0);
	w.wrap = rsa_generate(RSA_USE_WRAP, 3072, 0);
	if (w.host == NULL || w.sign == NULL || w.wrap == NULL)
		return -1;
	if (rsa_spki_encode(&w.host_spki, w.host) != 0 ||
	    rsa_spki_encode(&w.sign_spki, w.sign) != 0 ||
	    rsa_spki_encode(&w.wrap_spki, w.wrap) != 0)
		return -1;
	rsa_fingerprint(w.host_hash, buf_bytes(&w.host_spki));
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(w.host);
	EVP_PKEY_free(w.sign);
	EVP_PKEY_free(w.wrap);
	buf_free(&w.host_spki);
	buf_free(&w.sign_spki);
	buf_free(&w.wrap_spki);
	return 0;
}

static _Noreturn void
be_worker(int fd[4], uint32_t grace_s, bool first_contact)
{
	struct kex k = {
		.n = 1, .spki = buf_bytes(&w.host_spki), .grace_s = grace_s,
		.first_contact = first_contact, .lowest_suite = lowest_suite
	};

	k.zygote = chan_new(NULL, fd[0], CH_ZYG_KEX, END_B, ZYG_KEX_IDLE,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	k.keyd = chan_new(NULL, fd[1], CH_KEX_KEYD, END_A, KEX_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	k.vault = chan_new(NULL, fd[2], CH_KEX_VAULT, END_A, KEX_VAULT_NEW, 0,
	    NULL, NULL, NULL);
	k.twin = chan_new(NULL, fd[3], CH_TWIN, END_A, TWIN_WAIT, 0, NULL, NULL,
	    NULL);
	_exit(kex_run(&k));
}

/* A worker without a client yet; the client's socket is *client. */
static void
start_idle(struct run *r, uint32_t grace_s, bool first_contact, int *client)
{
	int p[4][2], child[4], sv[2];

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chan_pair(p[i], true), 0);
		child[i] = p[i][1];
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
	    0);
	assert_true((r->pid = fork()) >= 0);
	if (r->pid == 0) {
		for (int i = 0; i < 4; i++)
			close(p[i][0]);
		close(sv[0]);
		close(sv[1]);
		be_worker(child, grace_s, first_contact);
	}
	for (int i = 0; i < 4; i++)
		close(child[i]);
	r->zyg = chan_new(NULL, p[0][0], CH_ZYG_KEX, END_A, ZYG_KEX_IDLE, 0,
	    NULL, NULL, NULL);
	r->keyd = chan_new(NULL, p[1][0], CH_KEX_KEYD, END_B, KEX_KEYD_NEW, 0,
	    NULL, NULL, NULL);
	r->vault = chan_new(NULL, p[2][0], CH_KEX_VAULT, END_B, KEX_VAULT_NEW, 0,
	    NULL, NULL, NULL);
	r->twin = chan_new(NULL, p[3][0], CH_TWIN, END_B, TWIN_WAIT,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	*client = sv[1];
	r->sock = sv[0];
	hs_client_init(&r->hs, 0);
}

static void
start(struct run *r, uint32_t grace_s, bool first_contact)
{
	struct m_zx_client m = { .source = bytes_str("192.0.2.1:5") };
	int client;

	start_idle(r, grace_s, first_contact, &client);
	assert_int_equal(chan_send(r->zyg, MSG_zx_client, &m, client), 0);
	close(client);
}

/* The status that the worker exits with. */
static int
finish(struct run *r)
{
	int status;

	if (r->sock != -1)
		close(r->sock);
	chan_free(r->zyg);
	chan_free(r->keyd);
	chan_free(r->vault);
	chan_free(r->twin);
	hs_free(&r->hs);
	record_dir_free(&r->tx);
	record_dir_free(&r->rx);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
put_wire(struct run *r, const struct buf *b)
{
	assert_false(b->err);
	assert_int_equal(write_all(r->sock, b->p, b->n), 0);
}

static void
get_wire(struct run *r, uint8_t *p, size_t n)
{
	ssize_t got;

	for (; n > 0; p += got, n -= (size_t)got)
		assert_true((got = read(r->sock, p, n)) > 0);
}

static void
put_flight(struct run *r, const struct buf *flight, size_t pad)
{
	struct buf b = BUF_INIT(RECORD_MAX);

	assert_int_equal(record_seal(&r->tx, RECORD_HANDSHAKE,
	    buf_bytes(flight), pad, &b), 0);
	put_wire(r, &b);
	buf_free(&b);
}

/* The next record into rec; its type, and what is in it. */
static enum record_type
get_record(struct run *r, uint8_t rec[RECORD_MAX], struct bytes *content)
{
	enum record_type type;
	size_t total;

	get_wire(r, rec, RECORD_HDR);
	assert_int_not_equal(record_frame(bytes_of(rec, RECORD_HDR), &total),
	    -1);
	get_wire(r, rec + RECORD_HDR, total - RECORD_HDR);
	assert_int_equal(record_open(&r->rx, rec, total, &type, content), 0);
	return type;
}

/* The client has got nothing but the end of file. */
static void
expect_silence(struct run *r)
{
	uint8_t c;

	assert_int_equal(read(r->sock, &c, 1), 0);
}

/* Keyd was asked nothing. */
static void
expect_no_operation(struct run *r)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->keyd, &m, WAIT_MS, &why), 1);
}

/* The one constant refusal, and nothing behind it. */
static void
expect_close(struct run *r)
{
	uint8_t rec[RECORD_MAX], c;
	struct bytes content;
	enum record_type type;

	get_wire(r, rec, CLOSE_WIRE);
	assert_int_equal(record_open(&r->rx, rec, CLOSE_WIRE, &type, &content),
	    0);
	assert_int_equal(type, RECORD_CLOSE);
	assert_int_equal(content.n, 0);
	assert_int_equal(read(r->sock, &c, 1), 0);
}

/* Why it was refused: what the vault is told. */
static void
expect_log(struct run *r, const char *text)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->vault, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xv_log);
	assert_non_null(memmem(m.u.xv_log.text.p, m.u.xv_log.text.n, text,
	    strlen(text)));
}

static void
send_hello(struct run *r, const uint8_t *pin)
{
	struct buf b = BUF_INIT(HS_CH_LEN);
	uint8_t random_c[HS_RANDOM];

	crypto_random(random_c, sizeof(random_c));
	assert_int_equal(hs_client_make_ch(&r->hs, random_c, pin, &b), 0);
	put_wire(r, &b);
	buf_free(&b);
}

/* The vault is asked about the ticket in CH. */
static void
vault_is_shown_ch(struct run *r, struct msg *m)
{
	const char *why;

	assert_int_equal(chan_recv(r->vault, m, WAIT_MS, &why), 0);
	assert_int_equal(m->type, MSG_xv_resume);
	assert_int_equal(m->u.xv_resume.ch.n, HS_CH_LEN);
	assert_int_equal(m->u.xv_resume.ch.p[0], HS_CH);
}

static void
vault_no_ticket(struct run *r)
{
	struct msg m;

	vault_is_shown_ch(r, &m);
	chan_set_state(r->vault, KEX_VAULT_FULL);
	assert_int_equal(chan_send(r->vault, MSG_vx_no_ticket, NULL, -1), 0);
}

/* The vault finds no ticket; then keyd's part. */
static void
keyd_nonce(struct run *r)
{
	struct m_kx_nonce nonce;
	const char *why;
	struct msg m;

	vault_no_ticket(r);
	assert_int_equal(chan_recv(r->keyd, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xk_open);
	crypto_random(r->random_s, sizeof(r->random_s));
	memcpy(nonce.random_s, r->random_s, sizeof(nonce.random_s));
	assert_int_equal(chan_send(r->keyd, MSG_kx_nonce, &nonce, -1), 0);
	chan_set_state(r->keyd, KEX_KEYD_OPENED);
}

static void
keyd_sign(struct run *r)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kx_sig out = { .sig = { NULL, 0 } };
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->keyd, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xk_sign);
	hs_tbs_server(&tbs, m.u.xk_sign.suite, r->random_s, m.u.xk_sign.th_sh,
	    w.host_hash, bytes_of(NULL, 0));
	assert_int_equal(rsa_pss_sign(&sig, w.host, buf_bytes(&tbs)), 0);
	out.sig = buf_bytes(&sig);
	assert_int_equal(chan_send(r->keyd, MSG_kx_sig, &out, -1), 0);
	buf_free(&tbs);
	buf_free(&sig);
}

static void
read_sh(struct run *r)
{
	uint8_t sh[HS_SH_LEN_S2];
	size_t len;

	get_wire(r, sh, HS_MSG_HDR);
	assert_int_not_equal(len = hs_clear_len(sh, HS_SH), 0);
	get_wire(r, sh + HS_MSG_HDR, len - HS_MSG_HDR);
	assert_int_equal(hs_client_read_sh(&r->hs, bytes_of(sh, len)), 0);
	record_dir_init(&r->tx, r->hs.c_hs, RECORD_EPOCH_HS);
	record_dir_init(&r->rx, r->hs.s_hs, RECORD_EPOCH_HS);
}

/* From CH until the server has been trusted. */
static void
until_trust(struct run *r)
{
	uint8_t rec[RECORD_MAX];
	struct bytes flight;
	struct hs_sa sa;

	send_hello(r, w.host_hash);
	keyd_nonce(r);
	read_sh(r);
	keyd_sign(r);
	assert_int_equal(get_record(r, rec, &flight), RECORD_HANDSHAKE);
	assert_int_equal(hs_client_read_sa(&r->hs, flight, &sa), 0);
	assert_int_equal(hs_client_trust(&r->hs, w.host_hash), 0);
}

static void
make_ca(struct run *r, struct buf *out)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t fp[HASH_LEN], wfp[HASH_LEN];

	rsa_fingerprint(fp, buf_bytes(&w.sign_spki));
	rsa_fingerprint(wfp, buf_bytes(&w.wrap_spki));
	hs_tbs_client(&tbs, r->hs.suite, r->hs.random_c, r->hs.random_s,
	    r->hs.th_sf, fp, wfp, r->hs.server_hash, r->hs.cert_hash);
	assert_int_equal(rsa_pss_sign(&sig, w.sign, buf_bytes(&tbs)), 0);
	assert_int_equal(hs_client_make_ca(&r->hs, buf_bytes(&w.sign_spki),
	    buf_bytes(&w.wrap_spki), buf_bytes(&sig), out), 0);
	buf_free(&tbs);
	buf_free(&sig);
}

static void
send_ca(struct run *r)
{
	struct buf ca = BUF_INIT(HS_FLIGHT_MAX);

	make_ca(r, &ca);
	put_flight(r, &ca, HS_CA_PAD);
	buf_free(&ca);
}

/* The vault checks what it is given as the real one does, and answers. */
static void
vault_answer(struct run *r, enum msg_type answer)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	uint8_t fp[HASH_LEN], wfp[HASH_LEN];
	const struct m_xv_auth *a;
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->vault, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xv_auth);
	a = &m.u.xv_auth;
	rsa_fingerprint(fp, a->spki);
	rsa_fingerprint(wfp, a->wrap_spki);
	hs_tbs_client(&tbs, a->suite, a->random_c, r->random_s, a->th_sf, fp,
	    wfp, w.host_hash, hs_no_cert);
	assert_int_equal(a->cert.n, 0);
	assert_int_equal(rsa_pss_verify(w.sign, a->sig, buf_bytes(&tbs)), 0);
	assert_true(bytes_eq(a->wrap_spki, buf_bytes(&w.wrap_spki)));
	buf_free(&tbs);
	assert_int_equal(chan_send(r->vault, answer, NULL, -1), 0);
	chan_set_state(r->vault, answer == MSG_vx_grant ? KEX_VAULT_GRANTED :
	    KEX_VAULT_ASKED);
}

/* KW, then CC; with flip set CC is wrong. */
static void
confirm(struct run *r, bool flip)
{
	static const uint8_t reject[HASH_LEN];
	uint8_t rec[RECORD_MAX], label[HASH_LEN], plain[HASH_LEN];
	uint8_t wd[HASH_LEN];
	struct buf cc = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes flight, ct;

	assert_int_equal(get_record(r, rec, &flight), RECORD_HANDSHAKE);
	assert_int_equal(hs_client_read_kw(&r->hs, flight, &ct), 0);
	hs_wrap_label(label, r->hs.random_c, r->hs.random_s, r->hs.th_cf);
	rsa_oaep_decrypt(plain, w.wrap, label, ct, reject);
	hs_wrap_derive(wd, plain, r->hs.th_cf);
	assert_int_equal(hs_client_finish(&r->hs, wd), 0);
	assert_int_equal(hs_client_make_cc(&r->hs, &cc), 0);
	if (flip)
		cc.p[cc.n - 1] ^= 1;
	put_flight(r, &cc, 0);
	buf_free(&cc);
}

/* The twin has the session's keys, and the vault what a ticket is made of. */
static void
handed_over(struct run *r, uint8_t suite)
{
	struct hs_session s;
	const char *why;
	struct msg m;
	char c;

	assert_int_equal(hs_session(&r->hs, &s), 0);
	assert_int_equal(chan_recv(r->vault, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xv_resumption);
	assert_memory_equal(m.u.xv_resumption.resumption, s.resumption,
	    HASH_LEN);
	assert_int_equal(chan_recv(r->twin, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_twin_secrets);
	assert_int_equal(m.u.twin_secrets.suite, suite);
	assert_memory_equal(m.u.twin_secrets.c_ap, s.c_ap, HASH_LEN);
	assert_memory_equal(m.u.twin_secrets.s_ap, s.s_ap, HASH_LEN);
	assert_memory_equal(m.u.twin_secrets.exporter, s.exporter, HASH_LEN);
	assert_memory_equal(m.u.twin_secrets.msgmac, s.msgmac, HASH_LEN);
	assert_memory_equal(m.u.twin_secrets.session_id, s.session_id,
	    HASH_LEN);
	/* The socket that came along is the client's. */
	assert_int_equal(write_all(m.fd, "!", 1), 0);
	get_wire(r, (uint8_t *)&c, 1);
	assert_int_equal(c, '!');
	close(m.fd);
}

/* By a client that has the suites up to this one. */
static void
handshake_with(uint8_t suite)
{
	struct run r;

	start(&r, 30, false);
	hs_suites(&r.hs, HS_SUITE_X25519, suite);
	until_trust(&r);
	send_ca(&r);
	vault_answer(&r, MSG_vx_grant);
	confirm(&r, false);
	handed_over(&r, suite);
	assert_int_equal(finish(&r), 0);
}

/* Up to SF, which the client has read; keyd was asked nothing. */
static void
resume_until_sf(struct run *r, uint8_t suite, struct buf *cf)
{
	struct m_vx_resumed answer;
	struct hs_ticket t = { .suite = suite };
	uint8_t rec[RECORD_MAX];
	struct bytes flight;
	struct msg m;

	crypto_random(t.psk, sizeof(t.psk));
	crypto_random(t.id, sizeof(t.id));
	start(r, 30, false);
	hs_suites(&r->hs, HS_SUITE_X25519, suite);
	assert_int_equal(hs_client_resume(&r->hs, &t), 0);
	send_hello(r, w.host_hash);
	vault_is_shown_ch(r, &m);
	assert_int_equal(m.u.xv_resume.suite, suite);
	assert_true(hs_binder_ok(m.u.xv_resume.ch, t.psk));
	memcpy(answer.psk, t.psk, sizeof(answer.psk));
	assert_int_equal(chan_send(r->vault, MSG_vx_resumed, &answer, -1), 0);
	chan_set_state(r->vault, KEX_VAULT_GRANTED);
	read_sh(r);
	assert_int_equal(get_record(r, rec, &flight), RECORD_HANDSHAKE);
	assert_int_equal(flight.n, HS_MAC_LEN);
	assert_int_equal(hs_client_read_sf(&r->hs, flight), 0);
	assert_int_equal(hs_client_make_cf(&r->hs, cf), 0);
}

/* A ticket that the vault takes: neither key nor signature of anybody. */
static void
resumed(void **state)
{
	struct buf cf = BUF_INIT(HS_FLIGHT_MAX);
	struct run r;

	(void)state;
	for (uint8_t suite = HS_SUITE_X25519; suite <= HS_SUITE_BEST; suite++) {
		buf_reset(&cf);
		resume_until_sf(&r, suite, &cf);
		put_flight(&r, &cf, 0);
		handed_over(&r, suite);
		expect_no_operation(&r);
		assert_int_equal(finish(&r), 0);
	}
	buf_free(&cf);
}

/* Any bit of CF changed, or one byte more: the constant CLOSE, no session. */
static void
resumed_badly(void **state)
{
	struct buf cf = BUF_INIT(HS_FLIGHT_MAX);
	const char *why;
	struct run r;
	struct msg m;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		buf_reset(&cf);
		resume_until_sf(&r, HS_SUITE_X25519, &cf);
		if (i == 5)
			buf_u8(&cf, 0);
		else
			cf.p[(size_t[]){ 0, 3, 4, 20, 35 }[i]] ^= 1;
		put_flight(&r, &cf, 0);
		expect_close(&r);
		expect_log(&r, "CF: ");
		assert_int_equal(chan_recv(r.vault, &m, WAIT_MS, &why), 1);
		assert_int_equal(chan_recv(r.twin, &m, WAIT_MS, &why), 1);
		expect_no_operation(&r);
		assert_int_equal(finish(&r), 1);
	}
	buf_free(&cf);
}

/* The vault is gone, or says what makes no sense. */
static void
no_word_about_the_ticket(void **state)
{
	struct run r;
	struct msg m;

	(void)state;
	for (int i = 0; i < 2; i++) {
		start(&r, 30, false);
		send_hello(&r, w.host_hash);
		vault_is_shown_ch(&r, &m);
		if (i == 0) {
			chan_free(r.vault);
			r.vault = NULL;
		} else
			assert_int_equal(chan_send(r.vault, MSG_vx_grant, NULL,
			    -1), 0);
		expect_silence(&r);
		expect_no_operation(&r);
		assert_int_equal(finish(&r), 1);
	}
}

static void
full_handshake(void **state)
{
	(void)state;
	for (uint8_t suite = HS_SUITE_X25519; suite <= HS_SUITE_BEST; suite++)
		handshake_with(suite);
}

#if MLKEM_BUILT
/* A server that requires suite 2 is silent to who has suite 1 alone. */
static void
suite_required(void **state)
{
	struct run r;

	(void)state;
	lowest_suite = HS_SUITE_HYBRID;
	handshake_with(HS_SUITE_HYBRID);
	start(&r, 30, false);
	hs_suites(&r.hs, HS_SUITE_X25519, HS_SUITE_X25519);
	send_hello(&r, w.host_hash);
	expect_silence(&r);
	expect_no_operation(&r);
	expect_log(&r, "no common suite");
	assert_int_equal(finish(&r), 1);
	lowest_suite = HS_SUITE_X25519;
}
#endif

/* A key that is none costs a nonce, and gets silence as any bad CH does. */
static void
bad_mlkem_key(void **state)
{
	struct buf b = BUF_INIT(HS_CH_LEN);
	uint8_t random_c[HS_RANDOM] = { 0 }, share[HS_X25519] = { 9 };
	uint8_t mlkem[MLKEM_KEY];
	struct run r;

	(void)state;
	memset(mlkem, 0xff, sizeof(mlkem));
	buf_u8(&b, HS_CH);
	buf_u24(&b, HS_CH_LEN - HS_MSG_HDR);
	buf_u16(&b, HS_VERSION);
	buf_u8(&b, 2);
	buf_u8(&b, HS_SUITE_HYBRID);
	buf_u8(&b, HS_SUITE_X25519);
	buf_put(&b, random_c, sizeof(random_c));
	buf_v16(&b, bytes_of(share, sizeof(share)));
	buf_v16(&b, bytes_of(mlkem, sizeof(mlkem)));
	buf_zero(&b, HS_CH_LEN - b.n);
	hs_mac1(b.p + HS_CH_LEN - HS_MAC1, b.p, w.host_hash);
	start(&r, 30, false);
	put_wire(&r, &b);
	keyd_nonce(&r);
#if MLKEM_BUILT
	expect_silence(&r);
	expect_log(&r, "ML-KEM key");
	assert_int_equal(finish(&r), 1);
#else
	/* Who has no suite 2 does not look at it. */
	get_wire(&r, mlkem, HS_SH_LEN);
	assert_int_equal(mlkem[6], HS_SUITE_X25519);
	assert_int_equal(finish(&r), 1);
#endif
	buf_free(&b);
}

/* What follows CC belongs to the session and is not read here. */
static void
early_data_is_left(void **state)
{
	struct buf more = BUF_INIT(64);
	const char *why;
	struct run r;
	struct msg m;
	char c[5];

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	send_ca(&r);
	vault_answer(&r, MSG_vx_grant);
	confirm(&r, false);
	buf_put(&more, "first", 5);
	put_wire(&r, &more);
	assert_int_equal(chan_recv(r.twin, &m, WAIT_MS, &why), 0);
	for (size_t n = 0; n < sizeof(c);) {
		ssize_t got = recv(m.fd, c + n, sizeof(c) - n, 0);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(c, "first", 5);
	close(m.fd);
	buf_free(&more);
	assert_int_equal(finish(&r), 0);
}

static void
random_bytes(void **state)
{
	struct buf b = BUF_INIT(HS_CH_LEN);
	struct run r;

	(void)state;
	for (int with_header = 0; with_header < 2; with_header++) {
		start(&r, 30, true);
		buf_reset(&b);
		crypto_random(buf_grow(&b, HS_CH_LEN), HS_CH_LEN);
		memcpy(b.p, "GET ", 4);
		if (with_header)
			memcpy(b.p, "\1\0\7\374", 4);
		put_wire(&r, &b);
		expect_no_operation(&r);
		/* The rest of what was sent may turn the end into a reset. */
		if (with_header)
			expect_silence(&r);
		expect_log(&r, with_header ? "mac1" : "not a CH");
		assert_int_equal(finish(&r), 1);
	}
	buf_free(&b);
}

static void
wrong_mac1(void **state)
{
	uint8_t other[HASH_LEN];
	struct run r;

	(void)state;
	memcpy(other, w.host_hash, sizeof(other));
	other[0] ^= 1;
	start(&r, 30, true);
	send_hello(&r, other);
	expect_silence(&r);
	expect_no_operation(&r);
	expect_log(&r, "mac1");
	assert_int_equal(finish(&r), 1);
}

static void
first_contact(void **state)
{
	struct run r;

	(void)state;
	start(&r, 30, false);
	send_hello(&r, NULL);
	expect_silence(&r);
	expect_no_operation(&r);
	assert_int_equal(finish(&r), 1);

	start(&r, 30, true);
	send_hello(&r, NULL);
	keyd_nonce(&r);
	read_sh(&r);
	assert_int_equal(finish(&r), 1);
}

static void
slow_client(void **state)
{
	struct buf b = BUF_INIT(64);
	struct run r;

	(void)state;
	start(&r, 1, true);
	buf_put(&b, "\1\0\7\374half", 8);
	put_wire(&r, &b);
	expect_silence(&r);
	expect_log(&r, "too slow");
	assert_int_equal(finish(&r), 1);
	buf_free(&b);
}

static void
vault_refuses(void **state)
{
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	send_ca(&r);
	vault_answer(&r, MSG_vx_refuse);
	expect_close(&r);
	assert_int_equal(finish(&r), 1);
}

static void
vault_dies(void **state)
{
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	chan_free(r.vault);
	r.vault = NULL;
	send_ca(&r);
	expect_close(&r);
	assert_int_equal(finish(&r), 1);
}

static void
keyd_dies(void **state)
{
	struct run r;

	(void)state;
	start(&r, 30, false);
	send_hello(&r, w.host_hash);
	keyd_nonce(&r);
	read_sh(&r);
	chan_free(r.keyd);
	r.keyd = NULL;
	expect_close(&r);
	expect_log(&r, "keyd");
	assert_int_equal(finish(&r), 1);
}

/* One bit of the sealed CA, or of what is inside it: the same CLOSE. */
static void
damaged_ca(void **state)
{
	static const size_t inside[] = { 0, 3, 4, 6, 40, 1000 };
	struct buf ca = BUF_INIT(HS_FLIGHT_MAX), b = BUF_INIT(RECORD_MAX);
	struct run r;

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		start(&r, 30, false);
		until_trust(&r);
		buf_reset(&ca);
		buf_reset(&b);
		make_ca(&r, &ca);
		if (i < 6)
			ca.p[inside[i]] ^= 1;
		assert_int_equal(record_seal(&r.tx, RECORD_HANDSHAKE,
		    buf_bytes(&ca), HS_CA_PAD, &b), 0);
		if (i == 6)
			b.p[b.n / 2] ^= 1;
		put_wire(&r, &b);
		expect_close(&r);
		expect_log(&r, "handshake: ");
		assert_int_equal(finish(&r), 1);
	}
	buf_free(&ca);
	buf_free(&b);
}

/* The client's signing key as its wrap key: the wrong type. */
static void
wrong_wrap_key(void **state)
{
	struct buf ca = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t sig[384] = { 0 };
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	assert_int_equal(hs_client_make_ca(&r.hs, buf_bytes(&w.sign_spki),
	    buf_bytes(&w.sign_spki), bytes_of(sig, sizeof(sig)), &ca), 0);
	put_flight(&r, &ca, HS_CA_PAD);
	expect_close(&r);
	expect_log(&r, "wrap key");
	assert_int_equal(finish(&r), 1);
	buf_free(&ca);
}

/* A record that would go over the bytes allowed before authentication. */
static void
too_many_bytes(void **state)
{
	struct buf b = BUF_INIT(64);
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	buf_put(&b, "\x17\0\x3f\xfc", 4);
	put_wire(&r, &b);
	expect_close(&r);
	expect_log(&r, "too many bytes");
	assert_int_equal(finish(&r), 1);
	buf_free(&b);
}

static void
wrong_record_type(void **state)
{
	struct buf b = BUF_INIT(64);
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	assert_int_equal(record_seal(&r.tx, RECORD_DUMMY, bytes_of(NULL, 0), 0,
	    &b), 0);
	put_wire(&r, &b);
	expect_close(&r);
	assert_int_equal(finish(&r), 1);
	buf_free(&b);
}

/* Granted, but without the private key: the twin gets nothing. */
static void
wrong_cc(void **state)
{
	const char *why;
	struct run r;
	struct msg m;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	send_ca(&r);
	vault_answer(&r, MSG_vx_grant);
	confirm(&r, true);
	expect_close(&r);
	assert_int_equal(chan_recv(r.twin, &m, WAIT_MS, &why), 1);
	assert_int_equal(finish(&r), 1);
}

/* An answer that its state does not permit is no answer. */
static void
vault_says_nonsense(void **state)
{
	uint8_t junk[] = { 8, 2, 0 };
	struct run r;

	(void)state;
	start(&r, 30, false);
	until_trust(&r);
	send_ca(&r);
	assert_int_equal(send(chan_fd(r.vault), junk, sizeof(junk), 0),
	    sizeof(junk));
	expect_close(&r);
	assert_int_equal(finish(&r), 1);
}

/* What a peer did that is no client: the vault is told who and what. */
static void
expect_accusation(struct run *r, const char *text)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->vault, &m, WAIT_MS, &why), 0);
	assert_int_equal(m.type, MSG_xv_violation);
	assert_non_null(memmem(m.u.xv_violation.text.p,
	    m.u.xv_violation.text.n, text, strlen(text)));
}

static void
send_junk(struct chan *c)
{
	static const uint8_t junk[] = { 0xff, 0xff, 0 };

	assert_int_equal(send(chan_fd(c), junk, sizeof(junk), 0),
	    sizeof(junk));
}

static void
keyd_says_nonsense(void **state)
{
	const char *why;
	struct run r;
	struct msg m;

	(void)state;
	for (int at = 0; at < 2; at++) {
		start(&r, 30, false);
		send_hello(&r, w.host_hash);
		if (at == 0)
			vault_no_ticket(&r);
		else {
			keyd_nonce(&r);
			read_sh(&r);
		}
		/* Once it is asked for something. */
		assert_int_equal(chan_recv(r.keyd, &m, WAIT_MS, &why), 0);
		send_junk(r.keyd);
		if (at == 0)
			expect_silence(&r);
		else
			expect_close(&r);
		expect_accusation(&r, "keyd: unknown message");
		expect_log(&r, "keyd: no ");
		assert_int_equal(finish(&r), 1);
	}
}

/* Nobody but the zygote speaks to a worker that waits, and it in one way. */
static void
nonsense_before_a_client(void **state)
{
	int client, status;
	const char *why;
	struct run r;
	struct msg m;

	(void)state;
	for (int who = 0; who < 2; who++) {
		start_idle(&r, 30, false, &client);
		send_junk(who == 0 ? r.keyd : r.zyg);
		expect_accusation(&r, who == 0 ? "keyd: unknown message" :
		    "zygote: unknown message");
		assert_int_equal(chan_recv(r.vault, &m, WAIT_MS, &why), 1);
		close(client);
		assert_int_equal(finish(&r), 0);
	}
	/* One that is only gone is not accused. */
	start_idle(&r, 30, false, &client);
	close(client);
	chan_free(r.keyd);
	r.keyd = NULL;
	assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
	assert_int_equal(status, 0);
	assert_int_equal(chan_recv(r.vault, &m, WAIT_MS, &why), 1);
	close(r.sock);
	chan_free(r.zyg);
	chan_free(r.vault);
	chan_free(r.twin);
	hs_free(&r.hs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_handshake),
		cmocka_unit_test(resumed),
		cmocka_unit_test(resumed_badly),
		cmocka_unit_test(no_word_about_the_ticket),
#if MLKEM_BUILT
		cmocka_unit_test(suite_required),
#endif
		cmocka_unit_test(bad_mlkem_key),
		cmocka_unit_test(early_data_is_left),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(wrong_mac1),
		cmocka_unit_test(first_contact),
		cmocka_unit_test(slow_client),
		cmocka_unit_test(vault_refuses),
		cmocka_unit_test(vault_dies),
		cmocka_unit_test(keyd_dies),
		cmocka_unit_test(damaged_ca),
		cmocka_unit_test(wrong_wrap_key),
		cmocka_unit_test(too_many_bytes),
		cmocka_unit_test(wrong_record_type),
		cmocka_unit_test(wrong_cc),
		cmocka_unit_test(vault_says_nonsense),
		cmocka_unit_test(keyd_says_nonsense),
		cmocka_unit_test(nonsense_before_a_client),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
