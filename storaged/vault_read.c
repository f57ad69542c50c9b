#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_scan.h"

#define DATA_BYTES	32768	/* of vs_data */
#define WAIT_MS		20	/* until a slow worker is looked at again */

/* A read that is under way. */
struct reading {
	struct sreq		 sreq;
	struct scan		 scan;
	struct loop_timer	*timer;
	size_t			 text_bytes;
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
	uint32_t epoch;

	if (r->status != KV_OK)
		return ERR_STORAGE;
	if (r->row[0].value.p == NULL ||
	    seal_data_key_epoch(r->row[0].value, &epoch) != 0 ||
	    epoch_key(v, epoch) == NULL ||
	    seal_data_key_open(dk, &version, epoch_key(v, epoch), epoch,
	    r->row[0].key, r->row[0].value) != 0) {
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
	scan_free(&d->scan);
	free(d);
}

/* The worker is gone.  Without a timer a reply is to come, which frees. */
static void
reading_gone(struct sreq *s)
{
	struct reading *d = (struct reading *)s;

	d->scan.stop = true;
	if (d->timer != NULL)
		reading_free(d);
}

static uint16_t
send_entry(void *arg, const struct entry *e)
{
	struct reading *d = arg;
	struct m_vs_msg m = {
		.req = d->sreq.req, .number = d->scan.number, .kind = e->kind,
		.finish = e->finish, .time_us = e->time_us,
		.prompt_tokens = e->prompt_tokens,
		.completion_tokens = e->completion_tokens,
		.model = bytes_str(e->model), .len = (uint32_t)e->text.n,
		.proof = e->proof
	};
	struct m_vs_data part = { .req = d->sreq.req };
	size_t n;

	d->text_bytes += e->text.n;
	if (d->text_bytes > VAULT_READ_BYTES)
		return ERR_LIMIT;
	sreq_send(&d->sreq, MSG_vs_msg, &m);
	for (size_t at = 0; at < e->text.n; at += n) {
		n = e->text.n - at < DATA_BYTES ? e->text.n - at : DATA_BYTES;
		part.data = bytes_of(e->text.p + at, n);
		sreq_send(&d->sreq, MSG_vs_data, &part);
	}
	return 0;
}

/* All messages were sent, or it failed. */
static void
reading_end(struct reading *d)
{
	struct m_vs_done m = { .req = d->sreq.req };
	const struct scan *s = &d->scan;
	uint8_t token[8];

	if (s->code != 0)
		sess_error(d->sreq.w, d->sreq.req, s->code);
	else {
		if (s->last < s->conv_last) {
			put_be64(token, s->last + 1);
			m.token = bytes_of(token, sizeof(token));
		}
		sreq_send(&d->sreq, MSG_vs_done, &m);
	}
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
on_page(void *arg, bool over)
{
	struct reading *d = arg;

	if (d->sreq.w == NULL) {
		reading_free(d);
		return;
	}
	d->sreq.w->npages--;
	if (over)
		reading_end(d);
	else
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
		d->timer = loop_timer_new(w->v->loop, WAIT_MS, on_timer, d);
		return;
	}
	w->npages++;
	scan_page(&d->scan);
}

void
read_begin(struct worker *w, const struct m_sv_read *m)
{
	uint64_t from = m->from == 0 ? 1 : m->from;
	struct m_vs_done done = { .req = m->req };
	uint64_t limit = m->limit, last;
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
	if (conv_refused(c, w->n)) {
		sess_error(w, m->req, ERR_STORAGE);
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
	if (limit > VAULT_READ_MAX)
		limit = VAULT_READ_MAX;
	last = c->last;
	if (limit != 0 && c->last - from >= limit)
		last = from + limit - 1;
	scan_init(&d->scan, w->v, w->n);
	d->scan.arg = d;
	d->scan.entry = send_entry;
	d->scan.page = on_page;
	scan_begin(&d->scan, c, from, last);
	sreq_begin(&d->sreq, w, m->req, reading_gone);
	w->nreads++;
	next_page(d);
}
