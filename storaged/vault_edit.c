#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

/* A rename or a deletion. */
struct edit {
	struct change	change;
	bool		begun;		/* change.sreq */
	char		title[REC_TITLE_MAX + 1];
	uint64_t	n;		/* whose wish it was */
	void		(*told)(void *arg, uint16_t code);	/* conv_erase */
	void		*arg;
	struct engine_pos at;		/* in the list of its user */
	struct rec_key	 hi;
};

#define PAGE_ROWS	200

void
clean_title(char title[REC_TITLE_MAX + 1], struct bytes text)
{
	size_t n = 0;

	while (text.n > 0 && text.p[0] <= ' ') {
		text.p++;
		text.n--;
	}
	for (; n < text.n && n < REC_TITLE_MAX; n++)
		title[n] = text.p[n] < ' ' || text.p[n] == 0x7f ? ' ' :
		    (char)text.p[n];
	/* Not in the middle of a character. */
	if (n < text.n)
		while (n > 0 && (text.p[n] & 0xc0) == 0x80)
			n--;
	title[n] = '\0';
}

static void
edit_free(struct edit *e)
{
	wb_free(&e->change.commit.ops);
	freezero(e, sizeof(*e));
}

/* The worker is gone: what it wanted is done nevertheless. */
static void
edit_gone(struct sreq *s)
{
	(void)s;
}

static struct edit *
edit_new(struct vault *v, struct conv *c, int (*seal)(struct change *),
    void (*done)(struct change *, uint16_t))
{
	struct edit *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	e->change.v = v;
	e->change.conv = c;
	e->change.seal = seal;
	e->change.done = done;
	return e;
}

/* The conversation that a session wants to change, or NULL: it was told. */
static struct conv *
wanted(struct worker *w, uint32_t req, const uint8_t id[REC_ID])
{
	struct conv *c;

	if (w->nreqs >= VAULT_REQS_MAX) {
		sess_error(w, req, ERR_BUSY);
		return NULL;
	}
	if ((c = sess_conv(w, id)) == NULL)
		sess_error(w, req, ERR_NO_CONV);
	return c;
}

static int
rename_seal(struct change *ch)
{
	return change_seal_meta(ch, ((struct edit *)ch)->title,
	    ch->conv->model);
}

static void
rename_done(struct change *ch, uint16_t code)
{
	struct m_vs_done m = { .req = ch->sreq.req };
	struct edit *e = (struct edit *)ch;
	struct conv *c = ch->conv;

	if (code == 0) {
		conv_set_head(c, &ch->head);
		c->version++;
		if (c->title != NULL)
			freezero(c->title, strlen(c->title));
		c->title = NULL;	/* read again when it is needed */
		sreq_send(&ch->sreq, MSG_vs_done, &m);
	} else if (ch->sreq.w != NULL)
		sess_error(ch->sreq.w, ch->sreq.req, code);
	sreq_end(&ch->sreq);
	edit_free(e);
}

void
rename_begin(struct worker *w, const struct m_sv_rename *m)
{
	struct conv *c;
	struct edit *e;

	if ((c = wanted(w, m->req, m->conv)) == NULL)
		return;
	if (conv_refused(c, w->n)) {
		sess_error(w, m->req, ERR_STORAGE);
		return;
	}
	e = edit_new(w->v, c, rename_seal, rename_done);
	clean_title(e->title, m->title);
	if (e->title[0] == '\0') {
		edit_free(e);
		sess_error(w, m->req, ERR_BAD);
		return;
	}
	sreq_begin(&e->change.sreq, w, m->req, edit_gone);
	change_add(&e->change);
}

/* Head, summary and data key go; a tombstone comes.  From now on it is hidden. */
static int
delete_seal(struct change *ch)
{
	struct conv *c = ch->conv;
	struct wbatch *ops = &ch->commit.ops;
	struct rec_key ck = rec_key_head(c->uid, c->id);
	struct rec_key lk = rec_key_list(c->uid, c->updated_us, c->id);
	struct rec_key dk = rec_key_data(c->uid, c->id);

	wb_del(ops, rec_bytes(&ck));
	wb_del(ops, rec_bytes(&lk));
	wb_del(ops, rec_bytes(&dk));
	tomb_make(ch->v, c->id, ops);
	c->deleting = true;
	return 0;
}

static void
delete_done(struct change *ch, uint16_t code)
{
	struct m_vs_deleted m = { .req = ch->sreq.req };
	struct edit *e = (struct edit *)ch;
	struct vault *v = ch->v;
	struct conv *c = ch->conv;
	char hex[2 * REC_ID + 1];

	if (code == 0) {
		hex_encode(hex, c->id, REC_ID);
		audit(EV_history_delete, e->n, c->user != NULL ? c->user->name :
		    NULL, "conversation=%s", hex);
		conv_remove(v, c);
		tomb_durable(v, c->id);
		m.shred_s = turn_due(v);
		sreq_send(&ch->sreq, MSG_vs_deleted, &m);
	} else {
		if (!c->gone)
			tomb_undo(v, c->id);
		if (ch->sreq.w != NULL)
			sess_error(ch->sreq.w, ch->sreq.req, code);
	}
	sreq_end(&ch->sreq);
	if (e->told != NULL)
		e->told(e->arg, code);
	edit_free(e);
}

static struct edit *
delete_new(struct vault *v, struct conv *c, uint64_t n)
{
	struct edit *e = edit_new(v, c, delete_seal, delete_done);

	e->change.blind = true;
	e->n = n;
	return e;
}

static void delete_scan(struct edit *);

/* Whatever entry of it is there goes with it. */
static void
on_entries(void *arg, const struct engine_reply *r)
{
	struct edit *e = arg;
	struct conv *c = e->change.conv;
	uint8_t uid[REC_ID], id[REC_ID];
	uint64_t updated_us;

	for (size_t i = 0; i < r->n; i++) {
		if (e->change.commit.ops.n < PAGE_ROWS && rec_parse_list(
		    r->row[i].key, uid, &updated_us, id) == 0 &&
		    memcmp(id, c->id, sizeof(id)) == 0)
			wb_del(&e->change.commit.ops, r->row[i].key);
		e->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (r->status == KV_OK && !r->end) {
		delete_scan(e);
		return;
	}
	change_add(&e->change);
	conv_unpin(e->change.v, c);
}

static void
delete_scan(struct edit *e)
{
	engine_scan(e->change.v->engine, &e->at, &e->hi, PAGE_ROWS, on_entries,
	    e);
}

/* Delete it; one that is refused has its entry in the list where nobody knows. */
static void
delete_go(struct edit *e)
{
	struct conv *c = e->change.conv;
	struct rec_key lo = rec_prefix_id(REC_LIST, c->uid);

	if (c->refused == NULL) {
		change_add(&e->change);
		return;
	}
	conv_pin(c);
	e->at = engine_at(rec_bytes(&lo));
	e->hi = rec_prefix_end(&lo);
	delete_scan(e);
}

void
delete_begin(struct worker *w, const struct m_sv_delete *m)
{
	struct conv *c;
	struct edit *e;

	if ((c = wanted(w, m->req, m->conv)) == NULL)
		return;
	e = delete_new(w->v, c, w->n);
	sreq_begin(&e->change.sreq, w, m->req, edit_gone);
	delete_go(e);
}

void
conv_erase(struct vault *v, struct conv *c, void (*told)(void *, uint16_t),
    void *arg)
{
	struct edit *e = delete_new(v, c, 0);

	e->told = told;
	e->arg = arg;
	delete_go(e);
}
