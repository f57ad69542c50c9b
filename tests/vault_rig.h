/*
 * A whole vault in a test's process: its peers are played by the test, over the
 * real channels.  The engine (vault_store.h) and keyd's boot answers run in threads,
 * because the vault waits for them at start.
 */
#ifndef TESTS_VAULT_RIG_H
#define TESTS_VAULT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../storaged/vault.h"
#include "hs.h"
#include "log.h"
#include "rsa.h"
#include "vault_store.h"

#define WAIT_TRIES	60000	/* of a millisecond */

struct rig {
	struct store	*store;
	struct role	 role;
	struct vault	*v;
	struct chan	*engine;	/* the vault's end */
	struct chan	*ctl, *keyd, *zygote, *llm;	/* the test's ends */
	pthread_t	 engine_thread;
	int		 anchor, keyfile;
	uint64_t	 n;		/* of the last worker */
};

/* A worker pair as the test plays it. */
struct pair {
	uint64_t	 n;
	struct chan	*kex, *sess;
};

/* A client's keys. */
struct ident {
	EVP_PKEY	*sign, *wrap;
	struct buf	 sign_spki, wrap_spki;
};

static EVP_PKEY *keyd_wrap;
static struct ident alice, bob;
static const uint8_t host_hash[32] = "hash of the host key";
static const uint8_t zero_conv[16];
static bool accept_rollback;		/* of the next rig_start() */
static char logged[1 << 16];	/* "event|user|text\n" each */

static inline void
keep_log(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	size_t n = strlen(logged);

	(void)level;
	(void)session;
	(void)snprintf(logged + n, sizeof(logged) - n, "%s|%s|%s\n",
	    event != NULL ? event : "", user != NULL ? user : "", text);
}

/* ---- keyd at boot --------------------------------------------------------- */

static inline void *
keyd_main(void *arg)
{
	struct chan *c = chan_new(NULL, *(int *)arg, CH_BOOT, END_B, BOOT_ASK,
	    0, NULL, NULL, NULL);
	struct m_boot_wrap_key wk;
	struct m_boot_share share;
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	uint8_t label[32], be[4];
	const uint8_t reject[32] = "reject";
	const char *why;
	struct msg m;

	while (chan_recv(c, &m, -1, &why) == 0 && m.type != MSG_boot_done) {
		if (m.type == MSG_boot_wrap) {
			(void)rsa_spki_encode(&spki, keyd_wrap);
			wk.spki = buf_bytes(&spki);
			(void)chan_send(c, MSG_boot_wrap_key, &wk, -1);
			continue;
		}
		put_be32(be, m.u.boot_unwrap.key_generation);
		sha256v(label, (struct bytes[]){ bytes_str("cl1 storage share"),
		    bytes_of(be, 4) }, 2);
		rsa_oaep_decrypt(share.share, keyd_wrap, label,
		    m.u.boot_unwrap.wrapped, reject);
		(void)chan_send(c, MSG_boot_share, &share, -1);
	}
	buf_free(&spki);
	chan_free(c);
	return NULL;
}

/* ---- the rig -------------------------------------------------------------- */

static inline void
lost(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)arg;
	fail_msg("a link ended: %s", why != NULL ? why : "end of file");
}

/* Both ends of a link: the vault's in its loop, the test's blocking. */
static inline struct chan *
link_up(struct rig *r, enum chan_kind kind, enum chan_end vault_end,
    unsigned vault_state, unsigned test_state, chan_msg_cb *cb, void *arg,
    struct chan **test)
{
	int fd[2];

	assert_int_equal(chan_pair(fd, true), 0);
	*test = chan_new(NULL, fd[1], kind, vault_end == END_A ? END_B : END_A,
	    test_state, CHAN_RECV_FD, NULL, NULL, NULL);
	return chan_new(r->role.loop, fd[0], kind, vault_end, vault_state,
	    CHAN_RECV_FD, cb, lost, arg);
}

static inline void
on_test_ctl(struct chan *c, struct msg *m, void *arg)
{
	struct rig *r = arg;

	(void)c;
	admin_on_ctl(r->v, m);
}

/* Start a vault on what store and files hold: vault_boot()'s answer. */
static inline int
rig_start(struct rig *r, bool init)
{
	int fd[2], bfd[2], rv;
	struct engine_arg *ea = malloc(sizeof(*ea));
	struct chan *boot;
	pthread_t keyd;
	struct vault *v;

	r->role.id = ROLE_VAULT;
	r->role.loop = loop_new();
	r->v = v = vault_new(&r->role, r->role.loop);
	v->accept = accept_rollback;
	assert_int_equal(chan_pair(fd, true), 0);
	ea->store = r->store;
	ea->fd = fd[1];
	assert_int_equal(pthread_create(&r->engine_thread, NULL, engine_main,
	    ea), 0);
	r->engine = chan_new(r->role.loop, fd[0], CH_VAULT_ENGINE, END_A,
	    VAULT_ENGINE_UP, 0, engine_on_msg, lost, v->engine);
	engine_attach(v->engine, r->engine);
	assert_int_equal(chan_pair(bfd, true), 0);
	assert_int_equal(pthread_create(&keyd, NULL, keyd_main, &bfd[1]), 0);
	boot = chan_new(r->role.loop, bfd[0], CH_BOOT, END_A, BOOT_ASK, 0, NULL,
	    NULL, NULL);
	rv = (init ? vault_init : vault_boot)(v, boot, r->anchor, r->keyfile);
	chan_free(boot);
	pthread_join(keyd, NULL);
	loop_set_idle(r->role.loop, commit_kick, v);
	r->role.ctl = link_up(r, CH_CTL, END_B, CTL_RUN, CTL_RUN, on_test_ctl,
	    r, &r->ctl);
	v->keyd = link_up(r, CH_KEYD_VAULT, END_B, KEYD_VAULT_WAIT, 0,
	    vault_on_keyd, v, &r->keyd);
	v->zygote = link_up(r, CH_VAULT_ZYG, END_A, VAULT_ZYG_UP, VAULT_ZYG_UP,
	    vault_on_zygote, v, &r->zygote);
	v->llm[0] = link_up(r, CH_VAULT_LLM, END_A, VAULT_LLM_UP, VAULT_LLM_UP,
	    vault_on_llm, v, &r->llm);
	v->nllm = 1;
	v->max_sessions_per_user = 3;
	v->max_prompt_bytes = 65536;
	v->models[v->nmodels++] = (struct model){
	    .is_default = true, .alias = "small", .provider_name = "local" };
	v->models[v->nmodels++] = (struct model){
	    .alias = "big", .provider_name = "local" };
	if (rv == 0) {
		struct m_kv_identity id;

		if (!init) {
			turn_resume(v);
			erase_resume(v);
		}

		memcpy(id.spki_hash, host_hash, 32);
		assert_int_equal(chan_send(r->keyd, MSG_kv_identity, &id, -1),
		    0);
	}
	return rv;
}

static inline void
pump_end(void *arg)
{
	loop_stop(arg);
}

/* Let the vault work for a millisecond. */
static inline void
pump(struct rig *r)
{
	(void)loop_timer_new(r->role.loop, 1, pump_end, r->role.loop);
	loop_run(r->role.loop);
}

static inline bool
any_worker(const struct rig *r)
{
	for (size_t i = 0; i < 1024; i++)
		if (!LIST_EMPTY(&r->v->workers[i]))
			return true;
	return r->v->nadmins > 0;
}

/* Stop it; the anchor is written if `clean`.  Its workers must be closed. */
static inline void
rig_stop(struct rig *r, bool clean)
{
	for (int i = 0; i < WAIT_TRIES && any_worker(r); i++)
		pump(r);
	assert_false(any_worker(r));
	if (clean)
		anchor_sync(r->v);
	chan_free(r->role.ctl);
	chan_free(r->v->keyd);
	chan_free(r->v->zygote);
	chan_free(r->v->llm[0]);
	chan_free(r->engine);
	pthread_join(r->engine_thread, NULL);
	chan_free(r->ctl);
	chan_free(r->keyd);
	chan_free(r->zygote);
	chan_free(r->llm);
	vault_free(r->v);
	loop_free(r->role.loop);
}

static inline void
rig_new(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	logged[0] = '\0';
	r->store = store_new();
	r->anchor = memfd_create("anchor", MFD_CLOEXEC);
	r->keyfile = memfd_create("keyfile", MFD_CLOEXEC);
	assert_true(r->anchor != -1 && r->keyfile != -1);
	assert_int_equal(rig_start(r, true), 0);
	rig_stop(r, false);
	assert_int_equal(rig_start(r, false), 0);
}

static inline void
rig_free(struct rig *r)
{
	close(r->anchor);
	close(r->keyfile);
	store_free(r->store);
}

/* Receive the next message on a test's end, which must be of this type. */
static inline void
expect(struct rig *r, struct chan *c, enum msg_type type, struct msg *m)
{
	const char *why = "";
	int rv = -1;

	for (int i = 0; i < WAIT_TRIES && rv == -1; i++) {
		rv = chan_recv(c, m, 0, &why);
		if (rv == -1 && strcmp(why, "timed out") != 0)
			break;
		if (rv == -1)
			pump(r);
	}
	if (rv != 0)
		fail_msg("%s did not come: %s", msg_desc(type)->name,
		    rv == 1 ? "end of file" : why);
	if (m->type != type)
		fail_msg("%s came in place of %s", msg_desc(m->type)->name,
		    msg_desc(type)->name);
}

/* The vault closes this channel. */
static inline void
expect_eof(struct rig *r, struct chan *c)
{
	const char *why;
	struct msg m;
	int rv = -1;

	for (int i = 0; i < WAIT_TRIES && rv != 1; i++) {
		rv = chan_recv(c, &m, 0, &why);
		assert_int_not_equal(rv, 0);
		pump(r);
	}
	assert_int_equal(rv, 1);
}

/* ---- people -------------------------------------------------------------- */

static inline void
ident_new(struct ident *id)
{
	assert_non_null(id->sign = rsa_generate(RSA_USE_SIGN, 3072, 0));
	assert_non_null(id->wrap = rsa_generate(RSA_USE_WRAP, 3072, 0));
	buf_init(&id->sign_spki, RSA_SPKI_MAX);
	buf_init(&id->wrap_spki, RSA_SPKI_MAX);
	assert_int_equal(rsa_spki_encode(&id->sign_spki, id->sign), 0);
	assert_int_equal(rsa_spki_encode(&id->wrap_spki, id->wrap), 0);
}

static inline struct chan *
admin_open(struct rig *r)
{
	struct m_ctl_admin m = { .uid = 1000, .pid = 1 };
	int fd[2];

	assert_int_equal(chan_pair(fd, true), 0);
	assert_int_equal(chan_send(r->ctl, MSG_ctl_admin, &m, fd[1]), 0);
	close(fd[1]);
	return chan_new(NULL, fd[0], CH_ADMIN, END_A, ADMIN_BUSY, 0, NULL, NULL,
	    NULL);
}

static inline void
user_with(struct rig *r, const char *name, const struct ident *id,
    struct bytes msg_spki)
{
	struct m_av_user_add u = { .name = bytes_str(name) };
	struct m_av_key_add k = { .user = bytes_str(name),
	    .label = bytes_str("laptop"), .sign_spki = buf_bytes(&id->sign_spki),
	    .wrap_spki = buf_bytes(&id->wrap_spki), .msg_spki = msg_spki };
	struct chan *c = admin_open(r);
	struct msg m;

	assert_int_equal(chan_send(c, MSG_av_user_add, &u, -1), 0);
	expect(r, c, MSG_va_done, &m);
	assert_int_equal(chan_send(c, MSG_av_key_add, &k, -1), 0);
	expect(r, c, MSG_va_done, &m);
	chan_free(c);
}

static inline void
user_new(struct rig *r, const char *name, const struct ident *id)
{
	user_with(r, name, id, bytes_of(NULL, 0));
}

/* A pair of workers, born as the zygote has it. */
static inline void
pair_new(struct rig *r, struct pair *p)
{
	struct m_zv_want want = { .n = ++r->n };
	struct m_zv_client client = { .n = r->n,
	    .source = bytes_str("127.0.0.1") };
	struct msg m;

	p->n = r->n;
	assert_int_equal(chan_send(r->zygote, MSG_zv_want, &want, -1), 0);
	expect(r, r->zygote, MSG_vz_kex_chan, &m);
	assert_true(m.u.vz_kex_chan.n == p->n);
	p->kex = chan_new(NULL, m.fd, CH_KEX_VAULT, END_A, KEX_VAULT_ASKED, 0,
	    NULL, NULL, NULL);
	expect(r, r->zygote, MSG_vz_sess_chan, &m);
	p->sess = chan_new(NULL, m.fd, CH_SESS_VAULT, END_A, SESS_VAULT_INERT,
	    CHAN_RECV_FD, NULL, NULL, NULL);
	assert_int_equal(chan_send(r->zygote, MSG_zv_client, &client, -1), 0);
}

static inline void
nonce(struct rig *r, uint64_t n, const uint8_t random_s[32])
{
	struct m_kv_nonce m = { .n = n };

	memcpy(m.random_s, random_s, 32);
	assert_int_equal(chan_send(r->keyd, MSG_kv_nonce, &m, -1), 0);
}

/*
 * Ask for admission with id's keys, signing random_s and a suite, which need
 * not be the one that is named; wrap may be another's.
 */
static inline void
ask_suite(struct pair *p, const struct ident *id, const struct buf *wrap,
    const uint8_t random_s[32], uint8_t named, uint8_t suite)
{
	struct m_xv_auth a = { .suite = named,
	    .spki = buf_bytes(&id->sign_spki), .wrap_spki = buf_bytes(wrap) };
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t h[32], wh[32];

	memset(a.random_c, 7, 32);
	memset(a.th_sf, 8, 32);
	sha256(h, a.spki);
	sha256(wh, a.wrap_spki);
	hs_tbs_client(&tbs, suite, a.random_c, random_s, a.th_sf, h, wh,
	    host_hash, hs_no_cert);
	assert_int_equal(rsa_pss_sign(&sig, id->sign, buf_bytes(&tbs)), 0);
	a.sig = buf_bytes(&sig);
	assert_int_equal(chan_send(p->kex, MSG_xv_auth, &a, -1), 0);
	buf_free(&tbs);
	buf_free(&sig);
}

static inline void
ask(struct pair *p, const struct ident *id, const struct buf *wrap,
    const uint8_t random_s[32])
{
	ask_suite(p, id, wrap, random_s, HS_SUITE_BEST, HS_SUITE_BEST);
}

static inline void
pair_close(struct pair *p)
{
	chan_free(p->kex);
	chan_free(p->sess);
	p->kex = p->sess = NULL;
}

/* A live session of this person. */
static inline void
login(struct rig *r, struct pair *p, const struct ident *id, const char *name)
{
	uint8_t random_s[32];
	struct msg m;

	memset(random_s, (int)(r->n + 1), sizeof(random_s));
	pair_new(r, p);
	nonce(r, p->n, random_s);
	ask(p, id, &id->wrap_spki, random_s);
	expect(r, p->kex, MSG_vx_grant, &m);
	expect(r, p->sess, MSG_vs_user, &m);
	assert_true(m.u.vs_user.n == p->n);
	assert_true(bytes_eq(m.u.vs_user.user, bytes_str(name)));
	chan_set_state(p->sess, SESS_VAULT_LIVE);
	chan_free(p->kex);
	p->kex = NULL;
}

/* ---- what a session asks --------------------------------------------------- */

static inline void
put_send(struct pair *p, uint32_t req, const uint8_t conv[16], uint8_t kind,
    struct bytes text)
{
	struct m_sv_put m = { .req = req, .kind = kind, .finish = kind == 2,
	    .model = bytes_str("small"), .len = (uint32_t)text.n };
	struct m_sv_data d = { .req = req };

	memcpy(m.conv, conv, 16);
	memset(m.mac, 9, sizeof(m.mac));
	assert_int_equal(chan_send(p->sess, MSG_sv_put, &m, -1), 0);
	for (size_t at = 0; at < text.n; at += d.data.n) {
		d.data = bytes_of(text.p + at, text.n - at < 32768 ?
		    text.n - at : 32768);
		assert_int_equal(chan_send(p->sess, MSG_sv_data, &d, -1), 0);
	}
}

/* Store and wait; conv is set for a new conversation.  The message's number. */
static inline uint64_t
put_text(struct rig *r, struct pair *p, uint8_t conv[16], uint8_t kind,
    const char *text)
{
	struct msg m;

	put_send(p, 5, conv, kind, bytes_str(text));
	expect(r, p->sess, MSG_vs_stored, &m);
	assert_int_equal(m.u.vs_stored.req, 5);
	memcpy(conv, m.u.vs_stored.conv, 16);
	return m.u.vs_stored.number;
}

static inline void
read_send(struct pair *p, uint32_t req, const uint8_t conv[16], uint64_t from,
    uint16_t limit)
{
	struct m_sv_read m = { .req = req, .from = from, .limit = limit };

	memcpy(m.conv, conv, 16);
	assert_int_equal(chan_send(p->sess, MSG_sv_read, &m, -1), 0);
}

/* The next vs_msg must be this. */
static inline void
expect_text(struct rig *r, struct pair *p, uint64_t number, uint8_t kind,
    struct bytes text)
{
	size_t at = 0;
	struct msg m;

	expect(r, p->sess, MSG_vs_msg, &m);
	assert_true(m.u.vs_msg.number == number);
	assert_int_equal(m.u.vs_msg.kind, kind);
	assert_int_equal(m.u.vs_msg.len, text.n);
	while (at < text.n) {
		expect(r, p->sess, MSG_vs_data, &m);
		assert_true(m.u.vs_data.data.n <= text.n - at);
		assert_memory_equal(m.u.vs_data.data.p, text.p + at,
		    m.u.vs_data.data.n);
		at += m.u.vs_data.data.n;
	}
}

/* The next vs_conv: shown as it is, or as one that was changed. */
static inline void
expect_conv(struct rig *r, struct pair *p, const uint8_t conv[16], bool refused)
{
	struct msg m;

	expect(r, p->sess, MSG_vs_conv, &m);
	assert_memory_equal(m.u.vs_conv.conv, conv, 16);
	assert_int_equal(bytes_eq(m.u.vs_conv.title,
	    bytes_str(REFUSED_TITLE)), refused);
}

static inline void
expect_error(struct rig *r, struct pair *p, uint32_t req, unsigned code)
{
	struct msg m;

	expect(r, p->sess, MSG_vs_error, &m);
	assert_int_equal(m.u.vs_error.req, req);
	assert_int_equal(m.u.vs_error.code, code);
}

/*
 * Have the session ask for a model, "" the default one: with code 0 it may use it.
 */
static inline void
open_model(struct rig *r, struct pair *p, const char *model, unsigned code)
{
	struct m_sv_open_model q = { .req = 2, .model = bytes_str(model) };
	struct msg m;

	assert_int_equal(chan_send(p->sess, MSG_sv_open_model, &q, -1), 0);
	if (code != 0) {
		expect_error(r, p, 2, code);
		return;
	}
	expect(r, r->llm, MSG_vl_grant, &m);
	close(m.fd);
	expect(r, p->sess, MSG_vs_open_model, &m);
	close(m.fd);
}

/* ---- what tests begin with --------------------------------------------------- */

/* A vault with two users; alice has a conversation of two messages. */
static inline void
two_users(struct rig *r, uint8_t conv[16])
{
	struct pair p;

	rig_new(r);
	user_new(r, "alice", &alice);
	user_new(r, "bob", &bob);
	login(r, &p, &alice, "alice");
	memset(conv, 0, 16);
	(void)put_text(r, &p, conv, 1, "question");
	(void)put_text(r, &p, conv, 2, "answer");
	pair_close(&p);
}

/* A group's set-up: the keys, made once, and where log lines go. */
static inline int
keys(void **state)
{
	(void)state;
	log_set_sink(keep_log);
	(void)msg_desc(0);
	keyd_wrap = rsa_generate(RSA_USE_WRAP, 3072, 0);
	ident_new(&alice);
	ident_new(&bob);
	return keyd_wrap == NULL ? -1 : 0;
}

static inline int
keys_free(void **state)
{
	struct ident *id[] = { &alice, &bob };

	(void)state;
	EVP_PKEY_free(keyd_wrap);
	for (int i = 0; i < 2; i++) {
		EVP_PKEY_free(id[i]->sign);
		EVP_PKEY_free(id[i]->wrap);
		buf_free(&id[i]->sign_spki);
		buf_free(&id[i]->wrap_spki);
	}
	return 0;
}

#endif
