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
	bool		 refused;	/* changed in the storage: no value */
	struct rec_key	 key;
	size_t		 value_n;
	uint8_t		 value[];
};

/*
 * A list that is under way: first a page of L records is gathered, then the
 * data keys are asked for at once and each opens one record, not kept in the
 * cache.  Replies come in order, so the rows do.
 *
 * The heads in memory say what must be there: when a reply comes, they are as
 * the engine was at the scan.  A conversation whose record was changed is shown
 * as that, and the others as ever.
 */
struct listing {
	struct sreq		 sreq;
	struct vault		*v;
	size_t			 want;
	struct engine_pos	 from, at;	/* of this scan; how far it came */
	struct rec_key		 hi;
	struct item		*item[VAULT_LIST_MAX];
	size_t			 nitems;
	size_t			 opened;
	bool			 more;		/* than are wanted */
	uint8_t			 token[TOKEN_BYTES];	/* of the last row */
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

/* One more conversation to be shown; value: its L record, or nothing. */
static void
add_item(struct listing *g, struct conv *c, struct bytes value)
{
	struct item *it;

	if (g->nitems == VAULT_LIST_MAX)
		return;		/* what is too much is audited alone */
	if ((it = calloc(1, sizeof(*it) + value.n)) == NULL)
		fatal("calloc");
	it->list = g;
	it->conv = c;
	conv_pin(c);
	it->key = rec_key_list(c->uid, c->updated_us, c->id);
	it->refused = value.n == 0;
	it->value_n = value.n;
	if (value.n > 0)
		memcpy(it->value, value.p, value.n);
	g->item[g->nitems++] = it;
}

/* Keep an L record, if it is of the version that the heads in memory say. */
static void
keep(struct listing *g, const struct kv_row *row)
{
	struct worker *w = g->sreq.w;
	uint8_t uid[REC_ID], id[REC_ID];
	struct bytes value = row->value;
	uint64_t updated_us;
	struct conv *c;

	if (rec_parse_list(row->key, uid, &updated_us, id) != 0 ||
	    (c = conv_find(g->v, id)) == NULL || c->user != w->user) {
		audit(EV_storage_tamper, w->n, w->user->name,
		    "a conversation in the list that does not exist");
		return;
	}
	memcpy(g->token, row->key.p + row->key.n - TOKEN_BYTES, TOKEN_BYTES);
	if (c->deleting || c->refused != NULL)
		return;		/* those that are refused come at the end */
	if (updated_us != c->updated_us) {
		tamper(c, w->n, "an old entry of it is in the list");
		return;
	}
	if (seal_version(value) != c->version) {
		tamper(c, w->n, "its entry in the list is not the newest");
		value.n = 0;
	}
	add_item(g, c, value);
}

static bool
has_item(const struct listing *g, const struct conv *c)
{
	for (size_t i = 0; i < g->nitems; i++)
		if (g->item[i]->conv == c)
			return true;
	return false;
}

/* Which conversations should this scan, which ended at `to', have had? */
static void
find_missing(struct listing *g, struct bytes to)
{
	struct worker *w = g->sreq.w;
	struct bytes from = bytes_of(g->from.p, g->from.n);
	struct rec_key key;
	struct conv *c;

	LIST_FOREACH(c, &w->user->convs, of_user) {
		key = rec_key_list(c->uid, c->updated_us, c->id);
		if (c->deleting || c->refused != NULL ||
		    engine_cmp(rec_bytes(&key), from) < 0 ||
		    engine_cmp(rec_bytes(&key), to) >= 0 || has_item(g, c))
			continue;
		tamper(c, w->n, "its entry in the list is missing");
		add_item(g, c, bytes_of(NULL, 0));
	}
}

/* Behind the last row: when one was changed is not known. */
static void
add_refused(struct listing *g)
{
	struct conv *c;

	if (g->v->nrefused == 0)
		return;
	LIST_FOREACH(c, &g->sreq.w->user->convs, of_user)
		if (!c->deleting && conv_refused(c, g->sreq.w->n))
			add_item(g, c, bytes_of(NULL, 0));
}

static void
listing_end(struct listing *g)
{
	struct m_vs_done m = { .req = g->sreq.req };

	if (g->more)
		m.token = bytes_of(g->token, TOKEN_BYTES);
	sreq_send(&g->sreq, MSG_vs_done, &m);
	sreq_end(&g->sreq);
}

static void
send_conv(const struct item *it, uint64_t updated_us, uint64_t count,
    const char *title)
{
	struct m_vs_conv m = { .req = it->list->sreq.req, .count = count,
	    .updated_us = updated_us, .title = bytes_str(title) };

	memcpy(m.conv, it->conv->id, sizeof(m.conv));
	sreq_send(&it->list->sreq, MSG_vs_conv, &m);
}

/* Open an item with its key and send it. */
static void
send_item(const struct item *it, const uint8_t dk[SEAL_KEYLEN])
{
	struct rec_list l;
	uint64_t version;

	if (rec_open_list(&l, &version, dk, rec_bytes(&it->key),
	    bytes_of(it->value, it->value_n)) != 0) {
		tamper(it->conv, it->list->sreq.w->n,
		    "its entry in the list does not verify");
		send_conv(it, it->conv->updated_us, 0, REFUSED_TITLE);
	} else
		send_conv(it, l.updated_us, l.count, l.title);
	OPENSSL_cleanse(&l, sizeof(l));
}

/* sreq.w is NULL when the request has its answer or the worker is gone. */
static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct item *it = arg;
	struct listing *g = it->list;
	uint8_t dk[SEAL_KEYLEN];

	/* One that was deleted meanwhile is left out. */
	if (g->sreq.w == NULL || it->conv->gone)
		;
	else if (r->status != KV_OK)
		listing_fail(g, ERR_STORAGE);
	else if (it->refused || conv_open_dk(g->v, it->conv, g->sreq.w->n, r,
	    dk) != 0)
		send_conv(it, it->conv->updated_us, 0, REFUSED_TITLE);
	else {
		send_item(it, dk);
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

	if (r->status != KV_OK && g->sreq.w != NULL)
		listing_fail(g, ERR_STORAGE);
	for (size_t i = 0; i < r->n && !g->more && g->sreq.w != NULL; i++) {
		g->more = g->nitems >= g->want;
		if (g->more)
			break;
		keep(g, &r->row[i]);
		g->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (g->sreq.w == NULL) {
		listing_free(g);
		return;
	}
	find_missing(g, r->end && !g->more ? rec_bytes(&g->hi) :
	    bytes_of(g->at.p, g->at.n));
	if (r->end && !g->more)
		add_refused(g);
	if (r->end || g->more)
		open_items(g);
	else {
		/* What changes from here on has moved to the front. */
		g->from = g->at;
		engine_scan(g->v->engine, &g->at, &g->hi,
		    g->nitems < g->want ? (uint32_t)(g->want - g->nitems) + 1 :
		    1, on_rows, g);
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
	if (m->token.n != 0) {
		memcpy(from.p + from.n, m->token.p, TOKEN_BYTES);
		from.n += TOKEN_BYTES;
		g->at = engine_after(rec_bytes(&from));
	}
	g->from = g->at;
	sreq_begin(&g->sreq, w, m->req, listing_gone);
	engine_scan(g->v->engine, &g->at, &g->hi, (uint32_t)g->want + 1,
	    on_rows, g);
}
