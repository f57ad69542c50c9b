/*
 * Searching one's own conversations: read, opened and looked through here, newest
 * first.  There is no index that would tell the engine which words are where.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "match.h"
#include "vault_scan.h"

#define PAGE_ROWS	16	/* conversations taken from the list at once */
#define WAIT_MS		20	/* until a slow worker is looked at again */
#define FOUND_MAX	1000
#define HITS_MAX	(2 * FOUND_MAX)	/* kept of one conversation */

/* A conversation whose turn comes, with its L record. */
struct item {
	struct conv	*conv;		/* pinned; NULL: the scan has it */
	struct rec_key	 key;
	struct buf	 value;
};

/* A message that was found, told once it is known to stand. */
struct hit {
	STAILQ_ENTRY(hit)	 link;
	uint64_t		 number;
	uint64_t		 time_us;
	uint8_t			 kind;
	struct buf		 excerpt;
};

struct search {
	struct sreq		 sreq;
	struct vault		*v;
	struct scan		 scan;
	struct match		 match;
	size_t			 limit;
	size_t			 found;
	struct engine_pos	 at;		/* in the list */
	struct rec_key		 hi;
	bool			 last_page;
	struct item		 item[PAGE_ROWS];
	size_t			 nitems;
	size_t			 next;		/* item */
	bool			 titled;	/* its title was looked at */
	char			 title[REC_TITLE_MAX + 1];
	STAILQ_HEAD(, hit)	 hits;		/* of this conversation */
	size_t			 nhits;
	uint64_t		*asked;		/* numbers of the questions that stand */
	size_t			 nasked;
	bool			 withdrawn;	/* no question came since */
	struct loop_timer	*timer;
};

static void next_item(struct search *);

static void
drop_items(struct search *s)
{
	for (size_t i = 0; i < s->nitems; i++) {
		if (s->item[i].conv != NULL)
			conv_unpin(s->v, s->item[i].conv);
		buf_free(&s->item[i].value);
	}
	s->nitems = s->next = 0;
}

/* Forget hits from that message on. */
static void
drop_hits(struct search *s, uint64_t from)
{
	STAILQ_HEAD(, hit) old = STAILQ_HEAD_INITIALIZER(old);
	struct hit *h;

	STAILQ_CONCAT(&old, &s->hits);
	s->nhits = 0;
	while ((h = STAILQ_FIRST(&old)) != NULL) {
		STAILQ_REMOVE_HEAD(&old, link);
		/* System prompts are not withdrawn. */
		if (h->number < from || (from > 0 && h->kind == KIND_SYSTEM)) {
			STAILQ_INSERT_TAIL(&s->hits, h, link);
			s->nhits++;
			continue;
		}
		buf_free(&h->excerpt);
		free(h);
	}
}

static void
search_free(struct search *s)
{
	drop_hits(s, 0);
	free(s->asked);
	loop_timer_free(s->timer);
	scan_free(&s->scan);
	drop_items(s);
	match_free(&s->match);
	freezero(s, sizeof(*s));
}

/* The worker is gone, or wants no more.  Without a timer a reply is to come. */
static void
search_gone(struct sreq *sreq)
{
	struct search *s = (struct search *)sreq;

	s->scan.stop = true;
	if (s->timer != NULL)
		search_free(s);
}

/* Answer, code 0: everything was looked through or enough was found. */
static void
search_end(struct search *s, uint16_t code)
{
	struct m_vs_done m = { .req = s->sreq.req };
	struct worker *w = s->sreq.w;

	if (w != NULL) {
		w->nsearches--;
		if (code == 0)
			sreq_send(&s->sreq, MSG_vs_done, &m);
		else
			sess_error(w, s->sreq.req, code);
	}
	sreq_end(&s->sreq);
	search_free(s);
}

static void
tell(struct search *s, const struct conv *c, uint64_t number, uint8_t kind,
    uint64_t time_us, struct bytes excerpt)
{
	struct m_vs_found m = {
		.req = s->sreq.req, .number = number, .kind = kind,
		.time_us = time_us, .title = bytes_str(s->title),
		.excerpt = excerpt
	};

	memcpy(m.conv, c->id, sizeof(m.conv));
	sreq_send(&s->sreq, MSG_vs_found, &m);
	s->found++;
}

/* Only the conversation that is damaged is left out, and not in silence. */
static void
tell_damaged(struct search *s, const struct conv *c)
{
	tell(s, c, 0, 0, c->updated_us, bytes_str("(not searched: the storage "
	    "failed or does not verify)"));
}

/* What was found in the conversation that is over, as much as is wanted. */
static void
tell_hits(struct search *s)
{
	struct hit *h;

	STAILQ_FOREACH(h, &s->hits, link)
		if (s->found < s->limit)
			tell(s, s->scan.conv, h->number, h->kind, h->time_us,
			    buf_bytes(&h->excerpt));
	drop_hits(s, 0);
}

/* A question stands until it is withdrawn. */
static void
add_question(struct search *s)
{
	/* Doubled when full. */
	if ((s->nasked & (s->nasked - 1)) == 0 && (s->asked =
	    reallocarray(s->asked, s->nasked == 0 ? 1 : s->nasked * 2,
	    sizeof(*s->asked))) == NULL)
		fatal("reallocarray");
	s->asked[s->nasked++] = s->scan.number;
	s->withdrawn = false;
}

static uint16_t
on_entry(void *arg, const struct entry *e)
{
	struct search *s = arg;
	struct hit *h;
	size_t at = 0;

	if (e->kind == KIND_WITHDRAWN) {
		if (s->nasked > 0)
			drop_hits(s, s->asked[--s->nasked]);
		s->withdrawn = true;
		return 0;
	}
	if (e->kind == KIND_USER)
		add_question(s);
	if ((e->kind == KIND_ASSISTANT && s->withdrawn) ||
	    s->nhits >= HITS_MAX || !match_text(&s->match, e->text, &at))
		return 0;
	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("calloc");
	h->number = s->scan.number;
	h->time_us = e->time_us;
	h->kind = e->kind;
	buf_init(&h->excerpt, MATCH_EXCERPT_MAX);
	match_excerpt(&h->excerpt, e->text, at);
	STAILQ_INSERT_TAIL(&s->hits, h, link);
	s->nhits++;
	return 0;
}

/* Its data key is there: open the title; 0 or a code. */
static uint16_t
look_at_title(struct search *s)
{
	const uint8_t *dk = dk_find(s->v, s->scan.conv);
	struct item *it = &s->item[s->next - 1];
	struct rec_list l;
	uint64_t version;
	size_t at;

	s->titled = true;
	if (dk == NULL)
		return ERR_INTERNAL;
	if (rec_open_list(&l, &version, dk, rec_bytes(&it->key),
	    buf_bytes(&it->value)) != 0)
		return scan_tamper(&s->scan, "its entry in the list does not "
		    "verify");
	(void)strlcpy(s->title, l.title, sizeof(s->title));
	if (match_text(&s->match, bytes_str(l.title), &at))
		tell(s, s->scan.conv, 0, 0, l.updated_us, bytes_of(NULL, 0));
	OPENSSL_cleanse(&l, sizeof(l));
	return 0;
}

static void
on_timer(void *arg)
{
	struct search *s = arg;

	s->timer = NULL;
	scan_page(&s->scan);
}

/* A step of the conversation's scan is over. */
static void
on_page(void *arg, bool over)
{
	struct search *s = arg;

	if (s->sreq.w == NULL) {
		search_free(s);
		return;
	}
	if (!over && !s->titled && (s->scan.code = look_at_title(s)) != 0)
		over = true;
	if (over)
		tell_hits(s);
	if (over && s->scan.code != 0 && s->scan.code != ERR_NO_CONV)
		tell_damaged(s, s->scan.conv);
	if (s->found >= s->limit)
		search_end(s, 0);
	else if (over)
		next_item(s);
	else if (chan_queued(s->sreq.w->sess) > VAULT_QUEUE_BYTES)
		s->timer = loop_timer_new(s->v->loop, WAIT_MS, on_timer, s);
	else
		scan_page(&s->scan);
}

/* Keep an L record, as the list does. */
static void
keep(struct search *s, const struct kv_row *row)
{
	uint8_t uid[REC_ID], id[REC_ID];
	uint64_t updated_us;
	struct item *it;
	struct conv *c;

	if (rec_parse_list(row->key, uid, &updated_us, id) != 0 ||
	    (c = conv_find(s->v, id)) == NULL || c->user != s->sreq.w->user) {
		audit(EV_storage_tamper, s->sreq.w->n, s->sreq.w->user->name,
		    "a conversation in the list that does not exist");
		return;
	}
	if (c->deleting)
		return;
	it = &s->item[s->nitems++];
	it->conv = c;
	conv_pin(c);
	it->key = rec_key_list(uid, updated_us, id);
	buf_init(&it->value, SEAL_VALUE_MAX);
	if (seal_version(row->value) == c->version &&
	    updated_us == c->updated_us)
		buf_put(&it->value, row->value.p, row->value.n);
	/* One that is not the newest does not open. */
}

static void
on_rows(void *arg, const struct engine_reply *r)
{
	struct search *s = arg;

	if (r->status != KV_OK)
		s->scan.code = ERR_STORAGE;
	for (size_t i = 0; i < r->n && s->sreq.w != NULL &&
	    s->scan.code == 0; i++) {
		keep(s, &r->row[i]);
		s->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	s->last_page = r->end;
	if (s->sreq.w == NULL)
		search_free(s);
	else if (s->scan.code != 0)
		search_end(s, s->scan.code);
	else
		next_item(s);
}

/* The next conversation, or the next page of the list. */
static void
next_item(struct search *s)
{
	struct conv *c;

	scan_end(&s->scan, true);
	while (s->next < s->nitems) {
		c = s->item[s->next++].conv;
		if (c->gone || c->deleting)
			continue;
		s->title[0] = '\0';
		if (conv_refused(c, s->sreq.w->n))
			tell_damaged(s, c);
		if (c->refused != NULL || c->last == 0)
			continue;
		s->titled = s->withdrawn = false;
		s->nasked = 0;
		scan_begin(&s->scan, c, 1, c->last);
		conv_unpin(s->v, c);
		s->item[s->next - 1].conv = NULL;
		if (dk_find(s->v, c) != NULL)
			on_page(s, false);
		else
			scan_page(&s->scan);
		return;
	}
	drop_items(s);
	if (s->last_page) {
		search_end(s, 0);
		return;
	}
	s->scan.code = 0;	/* what ended the last conversation's scan */
	engine_scan(s->v->engine, &s->at, &s->hi, PAGE_ROWS, on_rows, s);
}

void
search_begin(struct worker *w, const struct m_sv_search *m)
{
	struct rec_key lo = rec_prefix_id(REC_LIST, w->user->uid);
	struct search *s;

	if (w->nreqs >= VAULT_REQS_MAX || w->nsearches >= VAULT_SEARCHES_MAX) {
		sess_error(w, m->req, ERR_BUSY);
		return;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	if (match_init(&s->match, m->words) == -1) {
		match_free(&s->match);
		free(s);
		sess_error(w, m->req, ERR_BAD);
		return;
	}
	STAILQ_INIT(&s->hits);
	s->v = w->v;
	s->limit = m->limit == 0 || m->limit > FOUND_MAX ? FOUND_MAX : m->limit;
	scan_init(&s->scan, w->v, w->n);
	s->scan.arg = s;
	s->scan.entry = on_entry;
	s->scan.page = on_page;
	s->hi = rec_prefix_end(&lo);
	s->at = engine_at(rec_bytes(&lo));
	sreq_begin(&s->sreq, w, m->req, search_gone);
	w->nsearches++;
	engine_scan(s->v->engine, &s->at, &s->hi, PAGE_ROWS, on_rows, s);
}

void
search_cancel(struct worker *w, uint32_t req)
{
	struct sreq *r;

	TAILQ_FOREACH(r, &w->reqs, link)
		if (r->req == req && r->gone == search_gone)
			break;
	if (r == NULL)
		return;		/* it has ended meanwhile */
	w->nsearches--;
	sreq_end(r);
	r->gone(r);
}
