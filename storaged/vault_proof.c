/*
 * Signed messages (docs/protocol.md, Signed conversations): the vault stores no
 * signature that would not verify, so that who exports a conversation can rely
 * on what was taken.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

uint16_t
proof_check(const struct worker *w, struct bytes proof, struct bytes text,
    uint64_t *number)
{
	const struct vault *v = w->v;
	struct rec_key key = rec_key_key(&v->keys->bundle, w->fp);
	const struct enrolled *e = enrolled_find(v, rec_bytes(&key));
	uint8_t digest[HASH_LEN], hash[HASH_LEN];
	const char *why = NULL;
	struct proof_user p;

	if (proof_user_decode(&p, proof) != 0)
		return ERR_BAD;
	sha256(hash, p.spki);
	proof_digest(digest, p.salt, text);
	if (e == NULL || e->state != REC_KEY_ACTIVE ||
	    memcmp(hash, e->message, sizeof(hash)) != 0)
		why = "not the enrolled message key";
	else if (!w->ready || memcmp(p.session_id, w->session_id,
	    sizeof(p.session_id)) != 0)
		why = "of another session";
	else if (memcmp(p.server, v->host_hash, sizeof(p.server)) != 0)
		why = "for another server";
	else if (memcmp(p.client, w->fp, sizeof(p.client)) != 0)
		why = "of another client";
	else if (proof_user_verify(&p, digest) != 0)
		why = "it does not verify";
	if (why != NULL) {
		log_info("session [%llu] of %s: a signature is refused: %s",
		    (unsigned long long)w->n, w->user->name, why);
		return ERR_SIGNATURE;
	}
	*number = p.number;
	return 0;
}

/* ---- receipts ---------------------------------------------------------------- */

static struct asked *
find(const struct worker *w, uint32_t req)
{
	struct asked *a;

	LIST_FOREACH(a, &w->asked, link)
		if (a->req == req)
			break;
	return a;
}

static void
forget(struct worker *w, struct asked *a)
{
	LIST_REMOVE(a, link);
	w->nasked--;
	free(a);
}

void
proof_asked(struct worker *w, uint32_t req, struct bytes proof)
{
	struct proof_user p;
	struct asked *a;

	if (find(w, req) != NULL || proof_user_decode(&p, proof) != 0)
		return;
	/* Many may get no answer; so many at once are not under way. */
	if (w->nasked == VAULT_REQS_MAX) {
		LIST_FOREACH(a, &w->asked, link)
			if (LIST_NEXT(a, link) == NULL)
				break;
		forget(w, a);
	}
	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->req = req;
	sha256(a->signature, p.sig);
	LIST_INSERT_HEAD(&w->asked, a, link);
	w->nasked++;
}

void
proof_stored(struct worker *w, uint32_t req, const uint8_t *conv,
    uint64_t number)
{
	struct asked *a = find(w, req);

	if (a == NULL)
		return;
	if (conv == NULL) {
		forget(w, a);
		return;
	}
	memcpy(a->conv, conv, sizeof(a->conv));
	a->number = number;
}

void
proof_usage(struct worker *w, const struct m_lv_usage *m)
{
	struct asked *a = find(w, m->req);

	if (a == NULL || a->reported)
		return;
	a->reported = true;
	a->finish = m->finish;
	memcpy(a->sent, m->sent_hash, sizeof(a->sent));
	memcpy(a->response, m->answer_hash, sizeof(a->response));
}

/*
 * How the answer ended: by the llmproxy's word, but that a session worker may say
 * that it cut it.  0: it is not what the llmproxy gave.
 */
static uint8_t
finish_of(const struct asked *a, const struct put *p)
{
	uint8_t hash[HASH_LEN];
	bool whole;

	sha256(hash, buf_bytes(&p->text));
	whole = memcmp(hash, a->response, sizeof(hash)) == 0;
	if (whole && p->entry.finish == a->finish)
		return a->finish;
	return p->entry.finish == FINISH_CANCELLED ||
	    p->entry.finish == FINISH_TRUNCATED ||
	    p->entry.finish == FINISH_ERROR ? p->entry.finish : 0;
}

/* It has what llmproxies have sent by now. */
static struct asked *
find_reported(struct worker *w, uint32_t req)
{
	struct asked *a = find(w, req);
	struct vault *v = w->v;
	uint64_t n = w->n;

	for (int i = 0; i < v->nllm && a != NULL && !a->reported; i++) {
		(void)chan_drain(v->llm[i]);
		if (worker_find(v, n) != w)
			return NULL;
		a = find(w, req);
	}
	return a;
}

int
proof_receipt(struct worker *w, struct put *p)
{
	struct asked *a = find_reported(w, p->change.sreq.req);
	struct m_vk_receipt q = { .n = w->n, .model =
	    bytes_str(p->entry.model) };
	struct vault *v = w->v;

	if (a == NULL || a->number == 0 || !a->reported ||
	    memcmp(a->conv, p->change.conv->id, sizeof(a->conv)) != 0) {
		/* Not a signed question's, or no llmproxy vouches for it. */
		if (a != NULL)
			forget(w, a);
		return 1;
	}
	if ((q.finish = finish_of(a, p)) == 0) {
		forget(w, a);
		return -1;
	}
	q.id = p->receipt_id = ++v->receipt_id;
	q.number = ++w->receipts;
	memcpy(q.session_id, w->session_id, sizeof(q.session_id));
	memcpy(q.client, w->fp, sizeof(q.client));
	memcpy(q.conv, a->conv, sizeof(q.conv));
	q.question = a->number;
	memcpy(q.signature, a->signature, sizeof(q.signature));
	memcpy(q.sent, a->sent, sizeof(q.sent));
	sha256(q.response, buf_bytes(&p->text));
	p->entry.finish = q.finish;
	forget(w, a);
	/* Until it is a change of its conversation, in put_receipted(). */
	conv_pin(p->change.conv);
	if ((p->change.user = p->change.conv->user) != NULL)
		p->change.user->nchanges++;
	LIST_INSERT_HEAD(&v->receipting, p, waits);
	if (chan_send(v->keyd, MSG_vk_receipt, &q, -1) == -1)
		log_err("keyd is gone");
	return 0;
}

void
proof_on_keyd(struct vault *v, struct chan *c, const struct m_kv_receipt *m)
{
	struct proof_receipt r;
	struct put *p;

	LIST_FOREACH(p, &v->receipting, waits)
		if (p->receipt_id == m->id)
			break;
	if (p == NULL || (m->receipt.n > 0 &&
	    proof_receipt_decode(&r, m->receipt) != 0)) {
		role_link_lost(c, "a receipt that was not asked for", v);
		return;
	}
	LIST_REMOVE(p, waits);
	buf_put(&p->proof, m->receipt.p, m->receipt.n);
	put_receipted(p);
}

void
proof_over(struct worker *w)
{
	struct m_vk_over m = { .n = w->n };
	struct asked *a;

	while ((a = LIST_FIRST(&w->asked)) != NULL)
		forget(w, a);
	if (w->receipts > 0 &&
	    chan_send(w->v->keyd, MSG_vk_over, &m, -1) == -1)
		log_err("keyd is gone");
	w->receipts = 0;
}
