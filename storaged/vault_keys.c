/*
 * Enrolled keys: their two records, and what their own user does with them.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault_login.h"

bool
key_take_spki(struct rec_spki *dst, struct bytes spki, enum rsa_use use,
    bool may_be_empty)
{
	EVP_PKEY *key;

	if (spki.n == 0)
		return may_be_empty;
	if (spki.n > sizeof(dst->p) ||
	    (key = rsa_spki_parse(spki, use, 0)) == NULL)
		return false;
	EVP_PKEY_free(key);
	dst->n = (uint16_t)spki.n;
	memcpy(dst->p, spki.p, spki.n);
	return true;
}

void
key_put(struct rcommit *rc, const struct rec_enrolled *k,
    const uint8_t fp[REC_FP], uint64_t was)
{
	const struct seal_bundle *b = &rc->v->keys->bundle;
	struct rec_key key = rec_key_key(b, fp);
	struct rec_key ukey = rec_key_userkey(k->uid, k->keyid);
	struct rec_userkey uk = { .state = k->state,
	    .created_us = k->created_us };
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	memcpy(uk.fp, fp, sizeof(uk.fp));
	memcpy(uk.label, k->label, sizeof(uk.label));
	if (rec_seal_enrolled(&val, b, rec_bytes(&key), was + 1, k) != 0)
		fatalx("the record of a key cannot be sealed");
	rcommit_put(rc, &key, was, buf_bytes(&val));
	buf_reset(&val);
	if (rec_seal_userkey(&val, b, rec_bytes(&ukey), was + 1, &uk) != 0)
		fatalx("the record of a key cannot be sealed");
	rcommit_put(rc, &ukey, was, buf_bytes(&val));
	buf_free(&val);
}

/* A request about one's keys: the list, or one key to be named or revoked. */
struct keyreq {
	struct sreq		 sreq;
	struct vault		*v;
	uint64_t		 n;
	uint8_t			 uid[REC_ID];
	char			 name[REC_NAME_MAX + 1];
	struct user		*u;		/* during the change */
	uint8_t			 own[REC_FP];	/* the key of this session */
	struct engine_pos	 at;
	struct rec_key		 hi;
	bool			 failed;
	bool			 revoke;
	char			 label[REC_LABEL_MAX + 1];
	uint8_t			 keyid[REC_KEYID];
	uint8_t			 fp[REC_FP];
	struct rec_enrolled	 k;
	struct enrolled		*e;
	struct queued		 turn;
	struct rcommit		 rc;
};

#define PAGE_ROWS	100

static void
gone(struct sreq *s)
{
	(void)s;		/* the engine's reply, or the commit, frees it */
}

/* The last answer. */
static void
finish(struct keyreq *q, uint16_t code)
{
	struct m_vs_done done = { .req = q->sreq.req };

	if (q->sreq.w != NULL && code != 0)
		sess_error(q->sreq.w, q->sreq.req, code);
	else
		sreq_send(&q->sreq, MSG_vs_done, &done);
	sreq_end(&q->sreq);
	free(q);
}

static struct keyreq *
begin(struct worker *w, uint32_t req)
{
	struct keyreq *q;

	if (!sess_may(w, req))
		return NULL;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		fatal("calloc");
	q->v = w->v;
	q->n = w->n;
	memcpy(q->uid, w->user->uid, sizeof(q->uid));
	(void)strlcpy(q->name, w->user->name, sizeof(q->name));
	memcpy(q->own, w->fp, sizeof(q->own));
	sreq_begin(&q->sreq, w, req, gone);
	return q;
}

/* The k record of this row if it is the newest, and its key's entry. */
static struct enrolled *
open_row(struct keyreq *q, const struct kv_row *row, struct rec_userkey *uk,
    uint8_t keyid[REC_KEYID])
{
	const struct seal_bundle *b = &q->v->keys->bundle;
	uint8_t uid[REC_ID];
	struct rec_key key;
	struct enrolled *e;
	uint64_t version;

	if (rec_parse_userkey(row->key, uid, keyid) == 0 &&
	    memcmp(uid, q->uid, REC_ID) == 0 &&
	    rec_open_userkey(uk, &version, b, row->key, row->value) == 0) {
		key = rec_key_key(b, uk->fp);
		e = enrolled_find(q->v, rec_bytes(&key));
		if (e != NULL && e->version == version)
			return e;
	}
	audit(EV_storage_tamper, q->n, q->name, "an entry in the list of "
	    "keys is not the newest or does not verify");
	return NULL;
}

static void
show(struct keyreq *q, const struct kv_row *row)
{
	struct m_vs_key m = { .req = q->sreq.req };
	struct rec_userkey uk;

	if (open_row(q, row, &uk, m.keyid) == NULL) {
		q->failed = true;
		return;
	}
	m.state = uk.state;
	m.own = memcmp(uk.fp, q->own, REC_FP) == 0;
	m.created_us = uk.created_us;
	memcpy(m.fp, uk.fp, sizeof(m.fp));
	m.label = bytes_str(uk.label);
	sreq_send(&q->sreq, MSG_vs_key, &m);
}

static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct keyreq *q = arg;

	q->failed |= r->status != KV_OK;
	for (size_t i = 0; i < r->n && !q->failed; i++) {
		show(q, &r->row[i]);
		q->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (q->failed || r->end)
		finish(q, q->failed ? ERR_STORAGE : 0);
	else
		engine_scan(q->v->engine, &q->at, &q->hi, PAGE_ROWS, on_rows,
		    q);
}

void
keys_list(struct worker *w, uint32_t req)
{
	struct rec_key lo = rec_prefix_id(REC_USERKEY, w->user->uid);
	struct keyreq *q = begin(w, req);

	if (q == NULL)
		return;
	q->at = engine_at(rec_bytes(&lo));
	q->hi = rec_prefix_end(&lo);
	engine_scan(w->v->engine, &q->at, &q->hi, PAGE_ROWS, on_rows, q);
}

/* ---- one key --------------------------------------------------------------- */

static void
on_written(struct rcommit *rc, enum kv_status st)
{
	struct keyreq *q = (struct keyreq *)((char *)rc -
	    offsetof(struct keyreq, rc));
	struct vault *v = q->v;
	char fp[RSA_FP_TEXT];
	uint8_t gone_fp[REC_FP];
	bool revoke = q->revoke;

	if (st == KV_OK) {
		q->e->version++;
		rsa_fingerprint_text(fp, q->fp);
		audit(revoke ? EV_key_revoke : EV_key_name, q->n, q->name,
		    "key=%s", fp);
		if (revoke) {
			q->e->state = REC_KEY_REVOKED;
			q->u->revoked++;
		}
	}
	memcpy(gone_fp, q->fp, sizeof(gone_fp));
	finish(q, st == KV_OK ? 0 : ERR_STORAGE);
	/* Its own session too, after it was told. */
	if (st == KV_OK && revoke)
		(void)workers_end(v, NULL, gone_fp, "its key was revoked");
	queue_done(v);
}

static void
on_key(void *arg, const struct engine_reply *r)
{
	struct keyreq *q = arg;
	struct vault *v = q->v;
	uint64_t version;

	if (r->status != KV_OK || r->row[0].value.p == NULL ||
	    rec_open_enrolled(&q->k, &version, &v->keys->bundle, r->row[0].key,
	    r->row[0].value) != 0 || version != q->e->version ||
	    memcmp(q->k.uid, q->uid, REC_ID) != 0) {
		if (r->status == KV_OK)
			audit(EV_storage_tamper, q->n, q->name, "the record "
			    "of an enrolled key is not the newest or does not "
			    "verify");
		finish(q, ERR_STORAGE);
		queue_done(v);
		return;
	}
	if (q->revoke)
		q->k.state = REC_KEY_REVOKED;
	else
		memcpy(q->k.label, q->label, sizeof(q->k.label));
	rcommit_begin(&q->rc, v, on_written);
	key_put(&q->rc, &q->k, q->fp, q->e->version);
	rcommit_go(&q->rc);
}

static void
on_userkey(void *arg, const struct engine_reply *r)
{
	struct keyreq *q = arg;
	struct vault *v = q->v;
	struct rec_userkey uk;
	uint8_t keyid[REC_KEYID];
	uint16_t code = 0;

	if (r->status != KV_OK)
		code = ERR_STORAGE;
	else if (r->row[0].value.p == NULL)
		code = ERR_KEY;
	else if ((q->e = open_row(q, &r->row[0], &uk, keyid)) == NULL)
		code = ERR_STORAGE;
	else if (uk.state != REC_KEY_ACTIVE)
		code = ERR_KEY;
	if (code != 0) {
		finish(q, code);
		queue_done(v);
		return;
	}
	memcpy(q->fp, uk.fp, sizeof(q->fp));
	engine_get(v->engine, rec_bytes(&q->e->key), on_key, q);
}

static void
change_key(struct queued *c)
{
	struct keyreq *q = (struct keyreq *)((char *)c -
	    offsetof(struct keyreq, turn));
	struct rec_key key = rec_key_userkey(q->uid, q->keyid);

	/* The user may have been removed while this waited. */
	if ((q->u = user_by_uid(q->v, q->uid)) == NULL) {
		struct vault *v = q->v;

		finish(q, ERR_KEY);
		queue_done(v);
		return;
	}
	engine_get(q->v->engine, rec_bytes(&key), on_userkey, q);
}

void
keys_name(struct worker *w, const struct m_sv_key_name *m)
{
	struct keyreq *q = begin(w, m->req);

	if (q == NULL)
		return;
	memcpy(q->keyid, m->keyid, sizeof(q->keyid));
	(void)msg_text(q->label, sizeof(q->label), m->label);
	q->turn.go = change_key;
	queue_wait(w->v, &q->turn);
}

void
keys_revoke(struct worker *w, const struct m_sv_key_revoke *m)
{
	struct keyreq *q = begin(w, m->req);

	if (q == NULL)
		return;
	memcpy(q->keyid, m->keyid, sizeof(q->keyid));
	q->revoke = true;
	q->turn.go = change_key;
	queue_wait(w->v, &q->turn);
}
