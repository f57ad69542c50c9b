#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault.h"

#define TOKEN_BYTES	(8 + REC_ID)	/* the tail of an L key */

struct listing;

/* An L record that waits for its conversation's data key. */
struct item {
	struct listing	*list;
	struct conv	*conv;		/* pinned */
	struct rec_key	 key;
	size_t		 value_n;
	uint8_t		 value[];
};

/*
 * A list that is under way: first a page of L records is gathered, then the
 * data keys are asked for at once and each opens one record, not kept in the
 * cache.  Replies come in order, so the rows do.
 */
struct listing {
	struct sreq		 sreq;
	struct vault		*v;
	size_t			 want;
	struct engine_pos	 at;
	struct rec_key		 hi;
	struct item		*item[VAULT_LIST_MAX];
	size_t			 nitems;
	size_t			 opened;
	size_t			 hidden;	/* being deleted */
	bool			 more;		/* than are wanted */
	bool			 whole;		/* from the first, in one scan */
};

static void
listing_free(struct listing *g)
{
	for (size_t i = 0; i < g->nitems; i++) {
		conv_unpin(g->v, g->item[i]->conv);
		free(g->item[i]);
	}
	free(g);
}

/* A reply is to come, which frees. */
static void
listing_gone(struct sreq *s)
{
	(void)s;
}

static void
listing_fail(struct listing *g, uint16_t code)
{
	if (g->sreq.w != NULL)
		sess_error(g->sreq.w, g->sreq.req, code);
	sreq_end(&g->sreq);
}

/* Keep an L record, if it is of the version that the heads in memory say. */
static uint16_t
keep(struct listing *g, const struct kv_row *row)
{
	struct worker *w = g->sreq.w;
	uint8_t uid[REC_ID], id[REC_ID];
	uint64_t updated_us;
	struct conv *c;
	struct item *it;

	if (rec_parse_list(row->key, uid, &updated_us, id) != 0 ||
	    (c = conv_find(g->v, id)) == NULL || c->user != w->user) {
		audit(EV_storage_tamper, w->n, w->user->name,
		    "a conversation in the list that does not exist");
		return ERR_STORAGE;
	}
	if (c->deleting) {
		g->hidden++;
		return 0;
	}
	if (seal_version(row->value) != c->version ||
	    updated_us != c->updated_us) {
		tamper(c, w->n, "its entry in the list is not the newest");
		return ERR_STORAGE;
	}
	if ((it = calloc(1, sizeof(*it) + row->value.n)) == NULL)
		fatal("calloc");
	it->list = g;
	it->conv = c;
	conv_pin(c);
	it->key = rec_key_list(uid, updated_us, id);
	it->value_n = row->value.n;
	memcpy(it->value, row->value.p, row->value.n);
	g->item[g->nitems++] = it;
	return 0;
}

static void
listing_end(struct listing *g)
{
	struct m_vs_done m = { .req = g->sreq.req };
	const struct rec_key *last;

	if (g->more) {
		last = &g->item[g->nitems - 1]->key;
		m.token = bytes_of(last->p + last->n - TOKEN_BYTES, TOKEN_BYTES);
	}
	sreq_send(&g->sreq, MSG_vs_done, &m);
	sreq_end(&g->sreq);
}

/* Open an item with its key and send it: 0 or a code. */
static uint16_t
send_item(const struct item *it, const uint8_t dk[SEAL_KEYLEN])
{
	struct listing *g = it->list;
	struct m_vs_conv m = { .req = g->sreq.req };
	struct rec_list l;
	uint64_t version;

	if (rec_open_list(&l, &version, dk, rec_bytes(&it->key),
	    bytes_of(it->value, it->value_n)) != 0) {
		tamper(it->conv, g->sreq.w->n,
		    "its entry in the list does not verify");
		return ERR_STORAGE;
	}
	memcpy(m.conv, it->conv->id, sizeof(m.conv));
	m.updated_us = l.updated_us;
	m.count = l.count;
	m.title = bytes_str(l.title);
	sreq_send(&g->sreq, MSG_vs_conv, &m);
	OPENSSL_cleanse(&l, sizeof(l));
	return 0;
}

/* sreq.w is NULL when the request has its answer or the worker is gone. */
static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct item *it = arg;
	struct listing *g = it->list;
	uint8_t dk[SEAL_KEYLEN];
	uint16_t code;

	/* One that was deleted meanwhile is left out. */
	if (g->sreq.w != NULL && !it->conv->gone) {
		code = conv_open_dk(g->v, it->conv, g->sreq.w->n, r, dk);
		if (code == 0)
			code = send_item(it, dk);
		if (code != 0)
			listing_fail(g, code);
		OPENSSL_cleanse(dk, sizeof(dk));
	}
	if (++g->opened < g->nitems)
		return;
	if (g->sreq.w != NULL)
		listing_end(g);
	listing_free(g);
}

/* All L records that are wanted are there. */
static void
open_items(struct listing *g)
{
	size_t n = g->nitems;

	if (n == 0) {
		listing_end(g);
		listing_free(g);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct item *it = g->item[i];
		struct rec_key key = rec_key_data(it->conv->uid, it->conv->id);

		engine_get(g->v->engine, rec_bytes(&key), on_dk, it);
	}
}

static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct listing *g = arg;
	uint16_t code = r->status == KV_OK ? 0 : ERR_STORAGE;

	for (size_t i = 0; i < r->n && code == 0 && g->sreq.w != NULL; i++) {
		if (g->nitems == g->want)
			g->more = true;
		else
			code = keep(g, &r->row[i]);
		g->at = engine_after(r->row[i].key);
	}
	if (code == 0 && g->sreq.w != NULL && g->whole && r->end && !g->more &&
	    g->nitems + g->hidden != g->sreq.w->user->nconvs) {
		audit(EV_storage_tamper, g->sreq.w->n, g->sreq.w->user->name,
		    "conversations are missing in the list");
		code = ERR_STORAGE;
	}
	if (code != 0)
		listing_fail(g, code);
	if (!r->last)
		return;
	if (g->sreq.w == NULL)
		listing_free(g);
	else if (r->end || g->more)
		open_items(g);
	else {
		/* What changes from here on has moved to the front. */
		g->whole = false;
		engine_scan(g->v->engine, &g->at, &g->hi,
		    (uint32_t)(g->want - g->nitems + 1), on_rows, g);
	}
}

void
list_begin(struct worker *w, const struct m_sv_list *m)
{
	struct rec_key lo = rec_prefix_id(REC_LIST, w->user->uid), from = lo;
	struct listing *g;

	if (w->nreqs >= VAULT_REQS_MAX) {
		sess_error(w, m->req, ERR_BUSY);
		return;
	}
	if (m->token.n != 0 && m->token.n != TOKEN_BYTES) {
		sess_error(w, m->req, ERR_BAD);
		return;
	}
	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("calloc");
	g->v = w->v;
	g->want = m->limit == 0 || m->limit > VAULT_LIST_MAX ?
	    VAULT_LIST_MAX : m->limit;
	g->hi = rec_prefix_end(&lo);
	g->at = engine_at(rec_bytes(&lo));
	g->whole = m->token.n == 0;
	if (m->token.n != 0) {
		memcpy(from.p + from.n, m->token.p, TOKEN_BYTES);
		from.n += TOKEN_BYTES;
		g->at = engine_after(rec_bytes(&from));
	}
	sreq_begin(&g->sreq, w, m->req, listing_gone);
	engine_scan(g->v->engine, &g->at, &g->hi, (uint32_t)g->want + 1,
	    on_rows, g);
}
