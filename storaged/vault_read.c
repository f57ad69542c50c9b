#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault.h"

#define DATA_BYTES	32768	/* of vs_data */
#define WAIT_MS		20	/* until a slow worker is looked at again */
#define PAGE_ROWS	64

/* A read that is under way. */
struct reading {
	struct sreq		 sreq;
	struct vault		*v;
	struct conv		*conv;		/* pinned */
	uint64_t		 last;		/* to be read */
	uint64_t		 conv_last;	/* as chain: at begin */
	uint8_t			 chain[REC_HASH];
	uint8_t			 prev[REC_HASH];	/* of the entry before */
	bool			 have_prev;
	uint64_t		 number;	/* of the chunks below */
	struct engine_pos	 at;
	struct rec_key		 hi;
	struct loop_timer	*timer;
	size_t			 text_bytes;
	struct buf		 raw;		/* values of the chunks */
	size_t			 nchunks;
	struct rec_key		 key[ENTRY_CHUNKS_MAX];
	size_t			 value_n[ENTRY_CHUNKS_MAX];
	struct buf		 plain;
};

static void next_page(struct reading *);

void
tamper(struct conv *c, uint64_t n, const char *what)
{
	char hex[2 * REC_ID + 1];

	hex_encode(hex, c->id, REC_ID);
	audit(EV_storage_tamper, n, c->user != NULL ? c->user->name : NULL,
	    "conversation %s: %s", hex, what);
}

uint16_t
conv_open_dk(struct vault *v, struct conv *c, uint64_t n,
    const struct engine_reply *r, uint8_t dk[SEAL_KEYLEN])
{
	uint64_t version;

	if (r->status != KV_OK)
		return ERR_STORAGE;
	if (r->row[0].value.p == NULL ||
	    seal_data_key_open(dk, &version, v->keys->ek,
	    v->keys->anchor.epoch[0].epoch, r->row[0].key,
	    r->row[0].value) != 0) {
		tamper(c, n, "its data key is missing or does not verify");
		return ERR_STORAGE;
	}
	return 0;
}

uint16_t
conv_take_dk(struct vault *v, struct conv *c, uint64_t n,
    const struct engine_reply *r)
{
	uint8_t dk[SEAL_KEYLEN], *p;
	uint16_t code;

	if (dk_find(v, c) != NULL)
		return 0;	/* another request was faster */
	if ((code = conv_open_dk(v, c, n, r, dk)) != 0)
		return code;
	if ((p = dk_make(v, c)) != NULL)
		memcpy(p, dk, sizeof(dk));
	OPENSSL_cleanse(dk, sizeof(dk));
	return p != NULL ? 0 : ERR_OVERLOADED;
}

/* Its answer is complete. */
static void
reading_over(struct reading *d)
{
	if (d->sreq.w != NULL)
		d->sreq.w->nreads--;
	sreq_end(&d->sreq);
}

static void
reading_free(struct reading *d)
{
	loop_timer_free(d->timer);
	conv_unpin(d->v, d->conv);
	buf_free(&d->raw);
	buf_free(&d->plain);
	free(d);
}

/* The worker is gone.  Without a timer a reply is to come, which frees. */
static void
reading_gone(struct sreq *s)
{
	struct reading *d = (struct reading *)s;

	if (d->timer != NULL)
		reading_free(d);
}

static void
reading_fail(struct reading *d, uint16_t code)
{
	sess_error(d->sreq.w, d->sreq.req, code);
	reading_over(d);
	reading_free(d);
}

static uint16_t
reading_tamper(struct reading *d, const char *what)
{
	tamper(d->conv, d->sreq.w->n, what);
	return ERR_STORAGE;
}

static void
send_entry(struct reading *d, const struct entry *e)
{
	struct m_vs_msg m = {
		.req = d->sreq.req, .number = d->number, .kind = e->kind,
		.finish = e->finish, .time_us = e->time_us,
		.prompt_tokens = e->prompt_tokens,
		.completion_tokens = e->completion_tokens,
		.model = bytes_str(e->model), .len = (uint32_t)e->text.n
	};
	struct m_vs_data part = { .req = d->sreq.req };
	size_t n;

	sreq_send(&d->sreq, MSG_vs_msg, &m);
	for (size_t at = 0; at < e->text.n; at += n) {
		n = e->text.n - at < DATA_BYTES ? e->text.n - at : DATA_BYTES;
		part.data = bytes_of(e->text.p + at, n);
		sreq_send(&d->sreq, MSG_vs_data, &part);
	}
}

/* All chunks of d->number are there, if none was left out: 0 or a code. */
static uint16_t
finish_entry(struct reading *d)
{
	struct entry_chunk chunk[ENTRY_CHUNKS_MAX];
	struct entry_at at = { .number = d->number };
	const uint8_t *p = d->raw.p, *dk = dk_find(d->v, d->conv);
	struct entry e;
	uint64_t version;
	uint16_t code = 0;

	if (d->raw.err || dk == NULL)
		return ERR_INTERNAL;
	for (size_t i = 0; i < d->nchunks; p += d->value_n[i++]) {
		chunk[i].key = rec_bytes(&d->key[i]);
		chunk[i].value = bytes_of(p, d->value_n[i]);
	}
	memcpy(at.uid, d->conv->uid, sizeof(at.uid));
	memcpy(at.conv, d->conv->id, sizeof(at.conv));
	if (entry_open(&e, &version, &d->plain, &d->v->keys->bundle, dk, &at,
	    d->have_prev ? d->prev : NULL, chunk, d->nchunks) != 0)
		return reading_tamper(d, "a message does not verify");
	if (d->number == d->conv_last &&
	    !bytes_eq_ct(e.chain, d->chain, sizeof(d->chain)))
		return reading_tamper(d, "its messages do not lead to its head");
	d->text_bytes += e.text.n;
	if (d->text_bytes > VAULT_READ_BYTES)
		code = ERR_LIMIT;
	else
		send_entry(d, &e);
	memcpy(d->prev, e.chain, sizeof(d->prev));
	d->have_prev = true;
	d->nchunks = 0;
	buf_reset(&d->raw);
	buf_reset(&d->plain);
	return code;
}

/* One row of M: 0 or a code. */
static uint16_t
take_row(struct reading *d, const struct kv_row *row)
{
	uint8_t id[REC_ID];
	uint64_t number;
	uint16_t chunk, code;

	if (rec_parse_msg(row->key, id, &number, &chunk) != 0)
		return reading_tamper(d, "a strange key among its messages");
	if (number == d->number + 1 && chunk == 0 && d->nchunks > 0) {
		if ((code = finish_entry(d)) != 0)
			return code;
		d->number = number;
	}
	if (number != d->number || chunk != d->nchunks ||
	    d->nchunks == ENTRY_CHUNKS_MAX)
		return reading_tamper(d, "a part of a message is missing");
	d->key[d->nchunks] = rec_key_msg(id, number, chunk);
	d->value_n[d->nchunks++] = row->value.n;
	buf_put(&d->raw, row->value.p, row->value.n);
	return 0;
}

/* The range has no more rows. */
static void
reading_end(struct reading *d)
{
	struct m_vs_done m = { .req = d->sreq.req };
	uint8_t token[8];
	uint16_t code;

	if (d->number != d->last || d->nchunks == 0)
		code = reading_tamper(d, "a message is missing");
	else
		code = finish_entry(d);
	if (code != 0) {
		reading_fail(d, code);
		return;
	}
	if (d->last < d->conv_last) {
		put_be64(token, d->last + 1);
		m.token = bytes_of(token, sizeof(token));
	}
	sreq_send(&d->sreq, MSG_vs_done, &m);
	reading_over(d);
	reading_free(d);
}

static void
on_timer(void *arg)
{
	struct reading *d = arg;

	d->timer = NULL;
	next_page(d);
}

static void
on_page(void *arg, const struct engine_reply *r)
{
	struct reading *d = arg;
	uint16_t code = r->status == KV_OK ? 0 : ERR_STORAGE;

	if (r->last && d->sreq.w != NULL)
		d->sreq.w->npages--;
	/* Once failed, the rest of this reply is let pass. */
	if (d->sreq.w == NULL) {
		if (r->last)
			reading_free(d);
		return;
	}
	for (size_t i = 0; i < r->n && code == 0; i++) {
		code = take_row(d, &r->row[i]);
		d->at = engine_after(r->row[i].key);
	}
	if (code != 0 && !r->last) {
		sess_error(d->sreq.w, d->sreq.req, code);
		d->sreq.w->npages--;
		reading_over(d);
	} else if (code != 0)
		reading_fail(d, code);
	else if (r->last && r->end)
		reading_end(d);
	else if (r->last)
		next_page(d);
}

/*
 * Ask for more, unless the worker does not keep up.  A page makes at most one
 * long text ready, so what can pile up for a worker is bounded.
 */
static void
next_page(struct reading *d)
{
	struct worker *w = d->sreq.w;

	if (chan_queued(w->sess) > VAULT_QUEUE_BYTES ||
	    w->npages >= VAULT_PAGES_MAX) {
		d->timer = loop_timer_new(d->v->loop, WAIT_MS, on_timer, d);
		return;
	}
	w->npages++;
	engine_scan(d->v->engine, &d->at, &d->hi, PAGE_ROWS, on_page, d);
}

static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct reading *d = arg;
	uint16_t code;

	if (d->sreq.w == NULL) {
		reading_free(d);
		return;
	}
	if ((code = conv_take_dk(d->v, d->conv, d->sreq.w->n, r)) != 0)
		reading_fail(d, code);
	else
		next_page(d);
}

void
read_begin(struct worker *w, const struct m_sv_read *m)
{
	uint64_t from = m->from == 0 ? 1 : m->from;
	struct m_vs_done done = { .req = m->req };
	struct rec_key lo, key;
	uint64_t limit = m->limit;
	struct reading *d;
	struct conv *c;

	if (w->nreqs >= VAULT_REQS_MAX || w->nreads >= VAULT_READS_MAX) {
		sess_error(w, m->req, ERR_BUSY);
		return;
	}
	if ((c = sess_conv(w, m->conv)) == NULL) {
		sess_error(w, m->req, ERR_NO_CONV);
		return;
	}
	if (from > c->last) {
		if (chan_send(w->sess, MSG_vs_done, &done, -1) == -1)
			log_debug("session %llu takes no more answers",
			    (unsigned long long)w->n);
		return;
	}
	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->v = w->v;
	d->conv = c;
	conv_pin(c);
	if (limit > VAULT_READ_MAX)
		limit = VAULT_READ_MAX;
	d->conv_last = d->last = c->last;
	if (limit != 0 && c->last - from >= limit)
		d->last = from + limit - 1;
	memcpy(d->chain, c->chain, sizeof(d->chain));
	d->have_prev = from == 1;	/* then it is zeros */
	d->number = from;
	lo = rec_key_msg(c->id, from, 0);
	d->at = engine_at(rec_bytes(&lo));
	d->hi = rec_key_msg(c->id, d->last + 1, 0);
	buf_init(&d->raw, ENTRY_CHUNKS_MAX * SEAL_VALUE_MAX);
	buf_init(&d->plain, ENTRY_PLAIN_MAX);
	sreq_begin(&d->sreq, w, m->req, reading_gone);
	w->nreads++;
	key = rec_key_data(c->uid, c->id);
	if (dk_find(d->v, c) != NULL)
		next_page(d);
	else
		engine_get(d->v->engine, rec_bytes(&key), on_dk, d);
}
