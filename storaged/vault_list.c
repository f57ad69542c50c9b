#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

#define TOKEN_BYTES	(8 + REC_ID)	/* the tail of an L key */

/* A list that is under way. */
struct listing {
	struct sreq		 sreq;
	struct vault		*v;
	uint32_t		 left;		/* rows still wanted */
	struct engine_pos	 at;
	struct rec_key		 hi;
	uint8_t			 token[TOKEN_BYTES];	/* after the last sent */
};

/* A reply is to come, which frees. */
static void
listing_gone(struct sreq *s)
{
	(void)s;
}

/* Send one row, if it is what the heads in memory say. */
static int
send_row(struct listing *g, const struct kv_row *row)
{
	struct worker *w = g->sreq.w;
	uint8_t uid[REC_ID], id[REC_ID];
	uint64_t updated_us, version;
	struct m_vs_conv m = { .req = g->sreq.req };
	struct rec_list l;
	struct conv *c;

	if (rec_parse_list(row->key, uid, &updated_us, id) != 0 ||
	    (c = conv_find(g->v, id)) == NULL || c->user != w->user) {
		audit("storage.tamper", w->n, w->user->name,
		    "a conversation in the list that does not exist");
		return -1;
	}
	if (rec_open_list(&l, &version, &g->v->keys->bundle, row->key,
	    row->value) != 0 || version != c->version ||
	    l.updated_us != c->updated_us || l.count != c->last) {
		tamper(c, w->n, "its entry in the list is not the newest or "
		    "does not verify");
		return -1;
	}
	memcpy(m.conv, id, sizeof(m.conv));
	m.updated_us = l.updated_us;
	m.count = l.count;
	m.title = bytes_str(l.title);
	sreq_send(&g->sreq, MSG_vs_conv, &m);
	memcpy(g->token, row->key.p + row->key.n - TOKEN_BYTES, TOKEN_BYTES);
	return 0;
}

static void
listing_end(struct listing *g, bool more)
{
	struct m_vs_done m = { .req = g->sreq.req };

	if (more)
		m.token = bytes_of(g->token, sizeof(g->token));
	sreq_send(&g->sreq, MSG_vs_done, &m);
	sreq_end(&g->sreq);
}

static void
listing_fail(struct listing *g)
{
	sess_error(g->sreq.w, g->sreq.req, VE_STORAGE);
	sreq_end(&g->sreq);
}

/* sreq.w is NULL when the request has its answer or the worker is gone. */
static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct listing *g = arg;

	if (g->sreq.w != NULL && r->status != KV_OK)
		listing_fail(g);
	for (size_t i = 0; i < r->n && g->sreq.w != NULL; i++) {
		if (g->left == 0)
			listing_end(g, true);
		else if (send_row(g, &r->row[i]) == -1)
			listing_fail(g);
		else
			g->left--;
		g->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (g->sreq.w != NULL && r->end)
		listing_end(g, false);
	if (g->sreq.w != NULL)
		engine_scan(g->v->engine, &g->at, &g->hi, g->left + 1, on_rows,
		    g);
	else
		free(g);
}

void
list_begin(struct worker *w, const struct m_sv_list *m)
{
	struct rec_key lo = rec_prefix_id(REC_LIST, w->user->uid), from = lo;
	struct listing *g;

	if (w->nreqs >= VAULT_REQS_MAX) {
		sess_error(w, m->req, VE_BUSY);
		return;
	}
	if (m->token.n != 0 && m->token.n != TOKEN_BYTES) {
		sess_error(w, m->req, VE_BAD);
		return;
	}
	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("calloc");
	g->v = w->v;
	g->left = m->limit == 0 || m->limit > VAULT_LIST_MAX ?
	    VAULT_LIST_MAX : m->limit;
	g->hi = rec_prefix_end(&lo);
	g->at = engine_at(rec_bytes(&lo));
	if (m->token.n != 0) {
		memcpy(from.p + from.n, m->token.p, TOKEN_BYTES);
		from.n += TOKEN_BYTES;
		g->at = engine_after(rec_bytes(&from));
	}
	sreq_begin(&g->sreq, w, m->req, listing_gone);
	engine_scan(g->v->engine, &g->at, &g->hi, g->left + 1, on_rows, g);
}
