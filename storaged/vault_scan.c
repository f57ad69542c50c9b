#include <string.h>

#include <openssl/crypto.h>

#include "vault_scan.h"

#define PAGE_ROWS	64

uint16_t
scan_tamper(struct scan *s, const char *what)
{
	tamper(s->conv, s->n, what);
	return ERR_STORAGE;
}

/* All chunks of s->number are there, if none was left out: 0 or a code. */
static uint16_t
finish_entry(struct scan *s)
{
	struct entry_chunk chunk[ENTRY_CHUNKS_MAX];
	struct entry_at at = { .number = s->number };
	const uint8_t *p = s->raw.p, *dk = dk_find(s->v, s->conv);
	struct entry e;
	uint64_t version;
	uint16_t code;

	if (s->raw.err || dk == NULL)
		return ERR_INTERNAL;
	for (size_t i = 0; i < s->nchunks; p += s->value_n[i++]) {
		chunk[i].key = rec_bytes(&s->key[i]);
		chunk[i].value = bytes_of(p, s->value_n[i]);
	}
	memcpy(at.uid, s->conv->uid, sizeof(at.uid));
	memcpy(at.conv, s->conv->id, sizeof(at.conv));
	if (entry_open(&e, &version, &s->plain, &s->v->keys->bundle, dk, &at,
	    s->have_prev ? s->prev : NULL, chunk, s->nchunks) != 0)
		return scan_tamper(s, "a message does not verify");
	if (s->number == s->conv_last &&
	    !bytes_eq_ct(e.chain, s->chain, sizeof(s->chain)))
		return scan_tamper(s, "its messages do not lead to its head");
	code = s->entry(s->arg, &e);
	memcpy(s->prev, e.chain, sizeof(s->prev));
	s->have_prev = true;
	s->nchunks = 0;
	buf_reset(&s->raw);
	buf_reset(&s->plain);
	return code;
}

/* One row of M: 0 or a code. */
static uint16_t
take_row(struct scan *s, const struct kv_row *row)
{
	uint8_t id[REC_ID];
	uint64_t number;
	uint16_t chunk, code;

	if (rec_parse_msg(row->key, id, &number, &chunk) != 0)
		return scan_tamper(s, "a strange key among its messages");
	if (number > s->last && s->last == s->conv_last &&
	    s->nchunks > 0) {
		/* Some may have been stored since; no others may be there. */
		if (number > s->conv->last)
			return scan_tamper(s, "there is a message behind its "
			    "last one");
		s->behind = true;
		return 0;
	}
	if (number == s->number + 1 && chunk == 0 && s->nchunks > 0) {
		if ((code = finish_entry(s)) != 0)
			return code;
		s->number = number;
	}
	if (number != s->number || chunk != s->nchunks ||
	    s->nchunks == ENTRY_CHUNKS_MAX)
		return scan_tamper(s, "a part of a message is missing");
	s->key[s->nchunks] = rec_key_msg(id, number, chunk);
	s->value_n[s->nchunks++] = row->value.n;
	buf_put(&s->raw, row->value.p, row->value.n);
	return 0;
}

/* The range has no more rows: was all there? */
static uint16_t
take_end(struct scan *s)
{
	if (s->number != s->last || s->nchunks == 0)
		return scan_tamper(s, "a message is missing");
	return finish_entry(s);
}

static void
on_page(void *arg, const struct engine_reply *r)
{
	struct scan *s = arg;

	if (s->code == 0 && r->status != KV_OK)
		s->code = ERR_STORAGE;
	/* Deleted meanwhile: nobody tampered with what is missing. */
	if (s->code == 0 && s->conv->gone)
		s->code = ERR_NO_CONV;
	/* Once failed or stopped, the rest of this reply is let pass. */
	for (size_t i = 0; i < r->n && s->code == 0 && !s->stop &&
	    !s->behind; i++) {
		s->code = take_row(s, &r->row[i]);
		s->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if ((r->end || s->behind) && s->code == 0 && !s->stop)
		s->code = take_end(s);
	s->page(s->arg, r->end || s->behind || s->code != 0);
}

static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct scan *s = arg;

	if (s->conv->gone)
		s->code = ERR_NO_CONV;
	else if (!s->stop) {
		s->code = conv_take_dk(s->v, s->conv, s->n, r);
		s->fresh = s->code == 0;
	}
	s->page(s->arg, s->code != 0);
}

void
scan_init(struct scan *s, struct vault *v, uint64_t n)
{
	s->v = v;
	s->n = n;
	buf_init(&s->raw, ENTRY_CHUNKS_MAX * SEAL_VALUE_MAX);
	buf_init(&s->plain, ENTRY_PLAIN_MAX);
}

void
scan_begin(struct scan *s, struct conv *c, uint64_t from, uint64_t last)
{
	struct rec_key lo = rec_key_msg(c->id, from, 0);
	struct rec_key all = rec_prefix_id(REC_MSG, c->id);

	s->conv = c;
	conv_pin(c);
	s->conv_last = c->last;
	s->last = last;
	memcpy(s->chain, c->chain, sizeof(s->chain));
	memset(s->prev, 0, sizeof(s->prev));
	s->have_prev = from == 1;	/* then it is zeros */
	s->number = from;
	s->nchunks = 0;
	s->code = 0;
	s->stop = s->fresh = s->behind = false;
	s->at = engine_at(rec_bytes(&lo));
	/* Nothing may lie behind the last one. */
	s->hi = last == c->last ? rec_prefix_end(&all) :
	    rec_key_msg(c->id, last + 1, 0);
}

void
scan_page(struct scan *s)
{
	struct rec_key dkey = rec_key_data(s->conv->uid, s->conv->id);

	if (dk_find(s->v, s->conv) == NULL)
		engine_get(s->v->engine, rec_bytes(&dkey), on_dk, s);
	else
		engine_scan(s->v->engine, &s->at, &s->hi, PAGE_ROWS, on_page,
		    s);
}

void
scan_end(struct scan *s, bool forget)
{
	struct conv *c = s->conv;

	if (c == NULL)
		return;
	s->conv = NULL;
	buf_reset(&s->raw);
	buf_reset(&s->plain);
	if (forget && s->fresh && c->pins == 1)
		dk_drop(s->v, c);
	conv_unpin(s->v, c);
}

void
scan_free(struct scan *s)
{
	scan_end(s, false);
	buf_free(&s->raw);
	buf_free(&s->plain);
}
