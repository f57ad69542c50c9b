#include "keyd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* A kex worker's channel: END_B of KEX_KEYD. */
struct worker {
	struct keyd_server	*s;
	uint64_t		 n;
	uint8_t			 random_s[HS_RANDOM];
	uint64_t		 opened_ms;
};

void
keyd_server_init(struct keyd_server *s, struct loop *l, EVP_PKEY *host)
{
	memset(s, 0, sizeof(*s));
	s->loop = l;
	s->host = host;
	s->now_ms = mono_ms;
	LIST_INIT(&s->receipts);
	buf_init(&s->spki, RSA_SPKI_MAX);
	if (rsa_spki_encode(&s->spki, host) == -1)
		fatalx("the host key cannot be encoded");
	sha256(s->spki_hash, buf_bytes(&s->spki));
}

/* A send that fails finishes the link, whose owner is told from the loop. */
void
keyd_server_hello(struct keyd_server *s)
{
	struct m_kv_identity m;

	memset(&m, 0, sizeof(m));
	memcpy(m.spki_hash, s->spki_hash, sizeof(m.spki_hash));
	(void)chan_send(s->vault, MSG_kv_identity, &m, -1);
}

static void
worker_end(struct chan *c, struct worker *w)
{
	w->s->live--;
	chan_free(c);
	free(w);
}

/* The vault has the nonce before the worker can make any use of it. */
static const char *
worker_open(struct chan *c, struct worker *w)
{
	struct m_kv_nonce nonce = { .n = w->n };
	struct m_kx_nonce reply;

	memset(&reply, 0, sizeof(reply));
	crypto_random(w->random_s, sizeof(w->random_s));
	memcpy(nonce.random_s, w->random_s, sizeof(nonce.random_s));
	memcpy(reply.random_s, w->random_s, sizeof(reply.random_s));
	w->opened_ms = w->s->now_ms();
	chan_set_state(c, KEX_KEYD_OPENED);
	if (chan_send(w->s->vault, MSG_kv_nonce, &nonce, -1) == 0)
		(void)chan_send(c, MSG_kx_nonce, &reply, -1);
	return NULL;
}

static const char *
worker_sign(struct chan *c, struct worker *w, const struct m_xk_sign *q)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct m_kx_sig reply = { .seal = { NULL, 0 } };
	struct m_kv_signed count = { .n = w->n };

	if (!hs_suite_spoken(q->suite))
		return "a suite that is not offered";
	if (w->s->now_ms() - w->opened_ms > KEYD_SIGN_MS)
		return "a signature asked for too late";
	chan_set_state(c, KEX_KEYD_SIGNED);
	/* A key that the vault has told by now is the one that is signed. */
	(void)chan_drain(w->s->vault);
	reply.seal = bytes_of(w->s->seal, w->s->seal_n);
	hs_tbs_server(&tbs, q->suite, w->random_s, q->th_sh, w->s->spki_hash,
	    reply.seal);
	if (tbs.err || rsa_pss_sign(&sig, w->s->host, buf_bytes(&tbs)) == -1)
		fatalx("the host key does not sign");
	reply.sig = buf_bytes(&sig);
	if (chan_send(w->s->vault, MSG_kv_signed, &count, -1) == 0)
		(void)chan_send(c, MSG_kx_sig, &reply, -1);
	buf_free(&tbs);
	buf_free(&sig);
	return NULL;
}

static void
worker_violation(struct chan *c, struct worker *w, const char *why)
{
	audit(EV_violation, w->n, NULL, "keyd channel: %s", why);
	worker_end(c, w);
}

static void
on_worker(struct chan *c, struct msg *m, void *arg)
{
	struct worker *w = arg;
	const char *why;

	why = m->type == MSG_xk_open ? worker_open(c, w) :
	    worker_sign(c, w, &m->u.xk_sign);
	if (why != NULL)
		worker_violation(c, w, why);
}

static void
on_worker_closed(struct chan *c, const char *why, void *arg)
{
	if (why != NULL)
		worker_violation(c, arg, why);
	else
		worker_end(c, arg);
}

static void
worker_new(struct keyd_server *s, uint64_t n)
{
	struct m_kz_chan m = { .n = n };
	struct worker *w;
	int fd[2];

	if (s->live == KEYD_WORKERS || chan_pair(fd, true) == -1) {
		log_warn("session %llu gets no channel: %u are open",
		    (unsigned long long)n, s->live);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		fatal("calloc");
	w->s = s;
	w->n = n;
	s->live++;
	(void)chan_new(s->loop, fd[0], CH_KEX_KEYD, END_B, KEX_KEYD_NEW, 0,
	    on_worker, on_worker_closed, w);
	(void)chan_send(s->zygote, MSG_kz_chan, &m, fd[1]);
	(void)close(fd[1]);
}

/* Channels made for a predecessor live on: its sessions may be under way. */
static const char *
on_hello(struct keyd_server *s, uint32_t generation)
{
	struct m_kz_welcome m = { .generation = generation,
	    .spki = buf_bytes(&s->spki) };

	if (generation <= s->generation)
		return "a zygote older than the last";
	s->generation = generation;
	(void)chan_send(s->zygote, MSG_kz_welcome, &m, -1);
	return NULL;
}

static const char *
on_want(struct keyd_server *s, uint64_t n)
{
	uint32_t generation = (uint32_t)(n >> 32);

	if (generation < s->generation) {
		/* A zygote that is being replaced was still asking. */
		log_info("session %llu: its zygote was replaced",
		    (unsigned long long)n);
		return NULL;
	}
	if (generation != s->generation || n <= s->last_n)
		return "a session number out of order";
	s->last_n = n;
	worker_new(s, n);
	return NULL;
}

const char *
keyd_server_vault(struct keyd_server *s, const struct msg *m)
{
	if (m->type != MSG_vk_seal)
		return keyd_receipt_request(s, m);
	memcpy(s->seal, m->u.vk_seal.seal, sizeof(s->seal));
	s->seal_n = sizeof(s->seal);
	return NULL;
}

const char *
keyd_server_zygote(struct keyd_server *s, const struct msg *m)
{
	if (m->type == MSG_zk_hello)
		return on_hello(s, m->u.zk_hello.generation);
	return on_want(s, m->u.zk_want.n);
}
