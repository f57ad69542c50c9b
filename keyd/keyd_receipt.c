/*
 * Receipts: the server's word on an answer to a signed question, under the host
 * key.  What is signed is put together here from the vault's fields; the number
 * of a receipt in its session, the one before it, the time and the server's name
 * are ours.  What comes while a signature is waited for shares it, as leaves of
 * one tree.
 */
#include "keyd.h"

#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "log.h"

#define TREE_MAX	(1 << PROOF_DEPTH)

/* What is remembered of a session that got receipts. */
struct receipts {
	LIST_ENTRY(receipts)	 link;
	uint64_t		 n;
	uint8_t			 session_id[HASH_LEN];
	uint64_t		 number;		/* of the last one */
	uint8_t			 leaf[HASH_LEN];	/* it */
};

/* One that waits to be signed. */
struct pending {
	uint64_t		 id;
	struct proof_receipt	 p;
	char			 model[PROOF_MODEL];
};

static struct receipts *
find(const struct keyd_server *s, uint64_t n)
{
	struct receipts *r;

	LIST_FOREACH(r, &s->receipts, link)
		if (r->n == n)
			break;
	return r;
}

static void
answer(struct keyd_server *s, uint64_t id, struct bytes receipt)
{
	struct m_kv_receipt m = { .id = id, .receipt = receipt };

	(void)chan_send(s->vault, MSG_kv_receipt, &m, -1);
}

/* Sign the root over all that wait. */
static void
sign_tree(struct keyd_server *s)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct buf out = BUF_INIT(PROOF_MAX);
	struct proof_receipt *p[TREE_MAX];
	uint8_t root[HASH_LEN];

	for (size_t i = 0; i < s->npending; i++)
		p[i] = &s->pending[i].p;
	proof_tree(root, p, s->npending);
	proof_receipt_tbs(&tbs, s->spki_hash, root);
	if (tbs.err || rsa_pss_sign(&sig, s->host, buf_bytes(&tbs)) == -1)
		fatalx("the host key does not sign");
	for (size_t i = 0; i < s->npending; i++) {
		p[i]->spki = buf_bytes(&s->spki);
		p[i]->sig = buf_bytes(&sig);
		buf_reset(&out);
		proof_receipt_encode(&out, p[i]);
		if (out.err)
			fatalx("a receipt is too long");
		answer(s, s->pending[i].id, buf_bytes(&out));
	}
	s->npending = 0;
	buf_free(&tbs);
	buf_free(&sig);
	buf_free(&out);
}

static void
on_timer(void *arg)
{
	struct keyd_server *s = arg;

	s->tree_timer = NULL;
	if (s->npending > 0)
		sign_tree(s);
}

/* The session's memory; NULL: there are too many. */
static struct receipts *
session(struct keyd_server *s, const struct m_vk_receipt *q)
{
	struct receipts *r;

	if ((r = find(s, q->n)) != NULL ||
	    s->nreceipts == KEYD_RECEIPT_SESSIONS)
		return r;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->n = q->n;
	memcpy(r->session_id, q->session_id, sizeof(r->session_id));
	LIST_INSERT_HEAD(&s->receipts, r, link);
	s->nreceipts++;
	return r;
}

static const char *
on_receipt(struct keyd_server *s, const struct m_vk_receipt *q)
{
	struct receipts *r;
	struct pending *w;
	struct proof_receipt *p;

	if (q->n == 0 || q->n > s->last_n)
		return "a receipt for a session that never was";
	if (q->finish == FINISH_NONE || q->finish > FINISH_FILTER ||
	    q->question == 0)
		return "a receipt for no answer";
	if ((r = session(s, q)) == NULL) {
		log_warn("session %llu gets no receipts: %u others do",
		    (unsigned long long)q->n, s->nreceipts);
		answer(s, q->id, bytes_of(NULL, 0));
		return NULL;
	}
	if (q->number != r->number + 1 || memcmp(q->session_id, r->session_id,
	    sizeof(r->session_id)) != 0)
		return "a receipt out of order";
	if (s->pending == NULL &&
	    (s->pending = calloc(TREE_MAX, sizeof(*s->pending))) == NULL)
		fatal("calloc");
	w = &s->pending[s->npending++];
	memset(w, 0, sizeof(*w));
	w->id = q->id;
	p = &w->p;
	memcpy(p->session_id, r->session_id, HASH_LEN);
	memcpy(p->server, s->spki_hash, HASH_LEN);
	memcpy(p->client, q->client, HASH_LEN);
	memcpy(p->conv, q->conv, PROOF_CONV);
	p->number = ++r->number;
	memcpy(p->previous, r->leaf, HASH_LEN);
	p->question = q->question;
	memcpy(p->signature, q->signature, HASH_LEN);
	memcpy(p->sent, q->sent, HASH_LEN);
	memcpy(p->response, q->response, HASH_LEN);
	memcpy(w->model, q->model.p, q->model.n);
	p->model = bytes_of(w->model, q->model.n);
	p->finish = q->finish;
	p->time_us = wall_us();
	crypto_random(p->salt, sizeof(p->salt));
	proof_receipt_leaf(r->leaf, p);
	if (s->npending == TREE_MAX)
		sign_tree(s);
	else if (s->tree_timer == NULL)
		s->tree_timer = loop_timer_new(s->loop, KEYD_RECEIPT_MS,
		    on_timer, s);
	return NULL;
}

static void
forget(struct keyd_server *s, struct receipts *r)
{
	LIST_REMOVE(r, link);
	s->nreceipts--;
	free(r);
}

const char *
keyd_receipt_request(struct keyd_server *s, const struct msg *m)
{
	struct receipts *r;

	if (m->type == MSG_vk_receipt)
		return on_receipt(s, &m->u.vk_receipt);
	if ((r = find(s, m->u.vk_over.n)) != NULL)
		forget(s, r);
	return NULL;
}

void
keyd_receipt_free(struct keyd_server *s)
{
	struct receipts *r;

	while ((r = LIST_FIRST(&s->receipts)) != NULL)
		forget(s, r);
	loop_timer_free(s->tree_timer);
	s->tree_timer = NULL;
	free(s->pending);
	s->pending = NULL;
	s->npending = 0;
}
