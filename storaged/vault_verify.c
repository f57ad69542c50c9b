/*
 * Walking through everything that is stored, while the service runs or after a
 * restore: first each conversation (head, data key, every message against the
 * one before and the last against the head, entry in the list), then every
 * record of the engine, whether it belongs to something.
 *
 * Memory holds what was verified at start and was committed since, and replies
 * come in order: so what a row says can be compared with memory at any moment.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "vault_scan.h"

#define HEAD_ROWS	64
#define ALL_ROWS	500
#define SAID_MAX	100	/* broken things that are named one by one */

struct verify {
	struct vault		*v;
	struct scan		 scan;
	verify_say_fn		*say;
	verify_done_fn		*done;
	void			*arg;
	bool			 cancelled;
	struct verify_counts	 n;
	struct engine_pos	 at;
	struct rec_key		 hi;
	bool			 last_page;
	bool			 failed;	/* the engine */
	uint8_t			 head[HEAD_ROWS][REC_ID];
	size_t			 nheads;
	size_t			 next;
	struct conv		*conv;		/* pinned, or NULL */
	uint64_t		 version;	/* of conv, when its list entry
						 * was asked for */
};

static void next_conv(struct verify *);
static void ask_list(struct verify *);

/* Something is not as it was written. */
__attribute__((format(printf, 2, 3)))
static void
broken(struct verify *f, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (f->n.broken++ >= SAID_MAX || f->cancelled)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->say(f->arg, text);
}

static void
conv_broken(struct verify *f, const struct conv *c, const char *what)
{
	char hex[2 * REC_ID + 1];

	hex_encode(hex, c->id, REC_ID);
	broken(f, "conversation %s%s%s: %s", hex, c->user != NULL ? " of " : "",
	    c->user != NULL ? c->user->name : "", what);
}

static void
verify_end(struct verify *f)
{
	struct vault *v = f->v;

	v->verify = NULL;
	scan_free(&f->scan);
	if (f->conv != NULL)
		conv_unpin(v, f->conv);
	if (!f->cancelled)
		f->done(f->arg, f->failed ? NULL : &f->n);
	free(f);
}

/* ---- every record ---------------------------------------------------------- */

/* Whether what belongs to a conversation belongs to one that there is. */
static bool
has_owner(const struct verify *f, const struct kv_row *row)
{
	uint8_t uid[REC_ID], id[REC_ID];
	uint64_t number = 0, updated_us = 0;
	const struct conv *c;
	uint16_t chunk;
	int r;

	switch (row->key.p[0]) {
	case REC_LIST:
		r = rec_parse_list(row->key, uid, &updated_us, id);
		break;
	case REC_MSG:
		r = rec_parse_msg(row->key, id, &number, &chunk);
		break;
	case REC_DATA:
		r = rec_parse_data(row->key, uid, id);
		break;
	default:
		r = rec_parse_head(row->key, uid, id);
		break;
	}
	if (r != 0)
		return false;
	if ((c = conv_find(f->v, id)) == NULL)
		return row->key.p[0] == REC_MSG && tomb_find(f->v, id) != NULL;
	if (row->key.p[0] == REC_MSG)
		return number >= 1 && number <= c->last;
	return memcmp(c->uid, uid, REC_ID) == 0 &&
	    (row->key.p[0] != REC_LIST || updated_us == c->updated_us);
}

static void
take_record(struct verify *f, const struct kv_row *row)
{
	static const char others[] = { REC_USER, REC_KEY, REC_USERKEY,
	    REC_INVITE, REC_BACKOFF, REC_TOMB,
	    REC_TALLY, REC_MSET, REC_BUNDLE };
	char hex[2 * 40 + 1];
	size_t n = row->key.n < 40 ? row->key.n : 40;

	f->n.records++;
	f->n.bytes += row->key.n + row->value.n;
	if (memchr(others, row->key.p[0], sizeof(others)) != NULL)
		return;		/* verified at start, by H */
	if (memchr("CLMD", row->key.p[0], 4) != NULL && has_owner(f, row))
		return;
	hex_encode(hex, row->key.p, n);
	broken(f, "a record that belongs to nothing: %s", hex);
}

static void
on_records(void *arg, const struct engine_reply *r)
{
	struct verify *f = arg;

	if (r->status != KV_OK)
		f->failed = true;
	for (size_t i = 0; i < r->n && !f->failed; i++) {
		take_record(f, &r->row[i]);
		f->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	if (r->end || f->failed || f->cancelled)
		verify_end(f);
	else
		engine_scan(f->v->engine, &f->at, &f->hi, ALL_ROWS, on_records,
		    f);
}

/* Every head was seen: which were not? */
static void
all_heads_seen(struct verify *f)
{
	struct conv *c;

	for (size_t i = 0; i < f->v->nbuckets; i++)
		LIST_FOREACH(c, &f->v->convs[i], link)
			if (c->unseen && !c->deleting) {
				c->unseen = false;
				conv_broken(f, c, "its head is missing");
			}
	f->hi.n = 0;
	memset(&f->at, 0, sizeof(f->at));
	engine_scan(f->v->engine, &f->at, &f->hi, ALL_ROWS, on_records, f);
}

/* ---- a conversation -------------------------------------------------------- */

static void
conv_over(struct verify *f)
{
	scan_end(&f->scan, true);
	conv_unpin(f->v, f->conv);
	f->conv = NULL;
	next_conv(f);
}

static void
on_list(void *arg, const struct engine_reply *r)
{
	struct verify *f = arg;
	struct conv *c = f->conv;
	const uint8_t *dk = dk_find(f->v, c);
	struct rec_list l;
	uint64_t version;

	if (r->status != KV_OK)
		f->failed = true;
	else if (c->gone || c->deleting || dk == NULL)
		;		/* deleted, or wiped, meanwhile */
	else if (c->version != f->version) {
		ask_list(f);
		return;
	} else if (r->row[0].value.p == NULL || rec_open_list(&l, &version, dk,
	    r->row[0].key, r->row[0].value) != 0 || version != c->version) {
		tamper(c, 0, "its entry in the list does not verify");
		conv_broken(f, c, "its entry in the list is missing or does "
		    "not verify");
	} else
		OPENSSL_cleanse(&l, sizeof(l));
	conv_over(f);
}

static void
ask_list(struct verify *f)
{
	struct conv *c = f->conv;
	struct rec_key key = rec_key_list(c->uid, c->updated_us, c->id);

	f->version = c->version;
	engine_get(f->v->engine, rec_bytes(&key), on_list, f);
}

static uint16_t
on_entry(void *arg, const struct entry *e)
{
	struct verify *f = arg;

	(void)e;
	f->n.messages++;
	return 0;
}

static void
on_page(void *arg, bool over)
{
	struct verify *f = arg;

	if (f->cancelled)
		f->scan.stop = true;
	if (!over && !f->cancelled) {
		scan_page(&f->scan);
		return;
	}
	if (f->scan.code == ERR_STORAGE)
		conv_broken(f, f->conv, "a message is missing, or does not "
		    "verify (the audit log has more)");
	if (f->scan.code != 0 || f->cancelled || f->conv->gone)
		conv_over(f);
	else
		ask_list(f);
}

/* D is read in any case: what memory has says nothing of it. */
static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct verify *f = arg;
	struct conv *c = f->conv;
	const uint8_t *known = dk_find(f->v, c);
	uint8_t dk[SEAL_KEYLEN], *p;
	bool ok;

	if (c->gone || c->deleting) {
		conv_over(f);
		return;
	}
	ok = conv_open_dk(f->v, c, 0, r, dk) == 0 && (known == NULL ||
	    bytes_eq_ct(known, dk, sizeof(dk)));
	if (ok && known == NULL && (p = dk_make(f->v, c)) != NULL)
		memcpy(p, dk, sizeof(dk));
	OPENSSL_cleanse(dk, sizeof(dk));
	if (!ok || dk_find(f->v, c) == NULL) {
		conv_broken(f, c, ok ? "not looked at, too much is under way" :
		    "its data key is missing or does not verify");
		conv_over(f);
	} else if (c->last == 0)
		ask_list(f);
	else {
		scan_begin(&f->scan, c, 1, c->last);
		scan_page(&f->scan);
	}
}

/* ---- heads, a page at a time ------------------------------------------------ */

static void
take_head(struct verify *f, const struct kv_row *row)
{
	uint8_t uid[REC_ID], id[REC_ID];
	struct rec_head h;
	uint64_t version;
	struct conv *c;

	if (rec_parse_head(row->key, uid, id) != 0 ||
	    (c = conv_find(f->v, id)) == NULL ||
	    memcmp(c->uid, uid, sizeof(uid)) != 0)
		return;		/* the second walk says so */
	c->unseen = false;
	if (rec_open_head(&h, &version, &f->v->keys->bundle, row->key,
	    row->value) != 0 || version != c->version) {
		tamper(c, 0, "its head does not verify");
		conv_broken(f, c, "its head does not verify, or is an old one");
	}
	memcpy(f->head[f->nheads++], id, REC_ID);
}

static void
on_heads(void *arg, const struct engine_reply *r)
{
	struct verify *f = arg;

	if (r->status != KV_OK)
		f->failed = true;
	for (size_t i = 0; i < r->n && !f->failed; i++) {
		take_head(f, &r->row[i]);
		f->at = engine_after(r->row[i].key);
	}
	if (!r->last)
		return;
	f->last_page = r->end;
	next_conv(f);
}

static void
next_conv(struct verify *f)
{
	struct rec_key dkey;
	struct conv *c;

	if (f->failed || f->cancelled) {
		verify_end(f);
		return;
	}
	while (f->next < f->nheads) {
		c = conv_find(f->v, f->head[f->next++]);
		if (c == NULL || c->deleting || c->version == 0)
			continue;
		f->n.conversations++;
		f->conv = c;
		conv_pin(c);
		dkey = rec_key_data(c->uid, c->id);
		engine_get(f->v->engine, rec_bytes(&dkey), on_dk, f);
		return;
	}
	f->nheads = f->next = 0;
	if (f->last_page)
		all_heads_seen(f);
	else
		engine_scan(f->v->engine, &f->at, &f->hi, HEAD_ROWS, on_heads,
		    f);
}

bool
verify_begin(struct vault *v, verify_say_fn *say, verify_done_fn *done,
    void *arg)
{
	struct rec_key lo = rec_prefix(REC_HEAD);
	struct verify *f;
	struct conv *c;

	if (v->verify != NULL)
		return false;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("calloc");
	v->verify = f;
	f->v = v;
	f->say = say;
	f->done = done;
	f->arg = arg;
	f->n.users = v->nusers;
	scan_init(&f->scan, v, 0);
	f->scan.arg = f;
	f->scan.entry = on_entry;
	f->scan.page = on_page;
	for (size_t i = 0; i < v->nbuckets; i++)
		LIST_FOREACH(c, &v->convs[i], link)
			c->unseen = c->version != 0;
	f->at = engine_at(rec_bytes(&lo));
	f->hi = rec_prefix_end(&lo);
	next_conv(f);
	return true;
}

bool
verify_cancel(struct vault *v, const void *arg)
{
	if (v->verify == NULL || v->verify->arg != arg ||
	    v->verify->cancelled)
		return false;
	v->verify->cancelled = true;
	return true;
}

void
verify_free(struct vault *v)
{
	struct verify *f = v->verify;

	if (f == NULL)
		return;
	v->verify = NULL;
	scan_free(&f->scan);
	free(f);
}
