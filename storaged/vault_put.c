#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"
#include "log.h"
#include "vault.h"

#define TITLE_CHARS	60
#define MSG_VERSION	1	/* messages and data keys are written once */

static void put_done(struct put *, uint16_t);

/* The start of the text's first line that has any, as a title. */
static void
make_title(char title[REC_TITLE_MAX + 1], struct bytes text)
{
	size_t i = 0, n = 0, chars = 0;

	while (i < text.n && text.p[i] <= ' ')
		i++;
	for (; i < text.n && text.p[i] != '\n' && text.p[i] != '\r'; i++) {
		/* Not a continuation byte: a character begins. */
		if ((text.p[i] & 0xc0) != 0x80 && chars++ == TITLE_CHARS)
			break;
		title[n++] = text.p[i] < ' ' || text.p[i] == 0x7f ? ' ' :
		    (char)text.p[i];
	}
	title[n] = '\0';
	if (n == 0)
		(void)strlcpy(title, "untitled", REC_TITLE_MAX + 1);
}

static void
put_free(struct put *p)
{
	buf_free(&p->text);
	wb_free(&p->commit.ops);
	free(p);
}

/* The worker is gone: a text that is whole is stored nevertheless. */
static void
put_gone(struct sreq *s)
{
	struct put *p = (struct put *)s;

	if (!p->complete)
		put_free(p);
}

static void
put_error(struct put *p, uint16_t code)
{
	struct worker *w = p->sreq.w;

	if (w != NULL)
		sess_error(w, p->sreq.req, code);
	sreq_end(&p->sreq);
	put_free(p);
}

static int
emit(void *arg, struct bytes key, struct bytes value)
{
	wb_put(arg, KV_ABSENT, 0, key, value);
	return 0;
}

/* C, the exchange of L, and D for a new conversation. */
static int
seal_meta(struct put *p, const uint8_t dk[SEAL_KEYLEN])
{
	struct vault *v = p->v;
	struct conv *c = p->conv;
	struct wbatch *ops = &p->commit.ops;
	struct rec_key ck = rec_key_head(c->uid, c->id);
	struct rec_key dkey = rec_key_data(c->uid, c->id);
	struct rec_key old = rec_key_list(c->uid, c->updated_us, c->id);
	struct rec_key new = rec_key_list(c->uid, p->head.updated_us, c->id);
	struct rec_list l = { .count = p->head.last,
	    .updated_us = p->head.updated_us };
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	int rv;

	(void)strlcpy(l.title, c->title, sizeof(l.title));
	(void)strlcpy(l.model, p->entry.model[0] != '\0' ? p->entry.model :
	    c->model, sizeof(l.model));
	if ((rv = rec_seal_head(&val, &v->keys->bundle, rec_bytes(&ck),
	    c->version + 1, &p->head)) != 0)
		goto out;
	wb_put(ops, c->version == 0 ? KV_ABSENT : KV_VER, c->version,
	    rec_bytes(&ck), buf_bytes(&val));
	if (c->version > 0)
		wb_del(ops, rec_bytes(&old));
	buf_reset(&val);
	if ((rv = rec_seal_list(&val, dk, rec_bytes(&new), c->version + 1,
	    &l)) != 0)
		goto out;
	wb_put(ops, KV_ABSENT, 0, rec_bytes(&new), buf_bytes(&val));
	if (c->version > 0)
		goto out;
	buf_reset(&val);
	if ((rv = seal_data_key(&val, v->keys->ek,
	    v->keys->anchor.epoch[0].epoch, rec_bytes(&dkey), MSG_VERSION,
	    dk)) == 0)
		wb_put(ops, KV_ABSENT, 0, rec_bytes(&dkey), buf_bytes(&val));
out:
	OPENSSL_cleanse(&l, sizeof(l));
	buf_free(&val);
	return rv;
}

/* The head that the put replaces, and the one that it makes. */
static void
put_account(void *arg, uint8_t mset[REC_HASH])
{
	struct put *p = arg;
	const struct conv *c = p->conv;
	const struct seal_bundle *b = &p->v->keys->bundle;
	struct rec_key key = rec_key_head(c->uid, c->id);
	struct rec_head old;

	if (c->version > 0) {
		conv_head(c, &old);
		mset_sub(mset, b, rec_bytes(&key), c->version, &old);
	}
	mset_add(mset, b, rec_bytes(&key), c->version + 1, &p->head);
}

static void
put_committed(void *arg, enum kv_status st)
{
	put_done(arg, st == KV_OK ? 0 : ERR_STORAGE);
}

/* Seal everything and queue it for the next batch. */
static void
put_seal(struct put *p)
{
	struct vault *v = p->v;
	struct conv *c = p->conv;
	const uint8_t *dk = dk_find(v, c);
	struct entry_at at = { .number = c->last + 1 };
	uint64_t now = wall_us();
	int rv;

	/* Time of a conversation rises, whatever the clock does. */
	if (now <= c->updated_us)
		now = c->updated_us + 1;
	memcpy(at.uid, c->uid, sizeof(at.uid));
	memcpy(at.conv, c->id, sizeof(at.conv));
	p->entry.time_us = now;
	p->entry.text = buf_bytes(&p->text);
	rv = entry_seal(&v->keys->bundle, dk, &at, MSG_VERSION, c->chain,
	    &p->entry, emit, &p->commit.ops);
	if (rv == 0) {
		conv_head(c, &p->head);
		p->head.last = at.number;
		memcpy(p->head.chain, p->entry.chain, sizeof(p->head.chain));
		p->head.updated_us = now;
		if (c->version == 0)
			p->head.created_us = now;
		rv = seal_meta(p, dk);
	}
	p->entry.text = bytes_of(NULL, 0);
	buf_free(&p->text);
	if (rv != 0) {
		log_err("a message cannot be sealed: %d", rv);
		put_done(p, ERR_INTERNAL);
		return;
	}
	p->commit.account = put_account;
	p->commit.done = put_committed;
	p->commit.arg = p;
	commit_add(v, &p->commit);
}

/* One of the records that had to be read is there. */
static void
loaded(struct put *p, uint16_t code)
{
	if (p->failed == 0)
		p->failed = code;
	if (--p->loads > 0)
		return;
	if (p->failed != 0)
		put_done(p, p->failed);
	else
		put_seal(p);
}

static uint64_t
put_n(const struct put *p)
{
	return p->sreq.w != NULL ? p->sreq.w->n : 0;
}

static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct put *p = arg;

	loaded(p, conv_take_dk(p->v, p->conv, put_n(p), r));
}

/* Title and model go on from one L record to the next. */
static void
on_list(void *arg, const struct engine_reply *r)
{
	struct put *p = arg;
	struct conv *c = p->conv;
	const uint8_t *dk = dk_find(p->v, c);
	struct rec_list l;
	uint64_t version;
	uint16_t code = 0;

	if (r->status != KV_OK)
		code = ERR_STORAGE;
	else if (dk == NULL)
		code = p->failed;	/* why there is none was said */
	else if (r->row[0].value.p == NULL || rec_open_list(&l, &version, dk,
	    r->row[0].key, r->row[0].value) != 0 || version != c->version) {
		tamper(c, put_n(p), "its entry in the list is missing, not the "
		    "newest or does not verify");
		code = ERR_STORAGE;
	} else if (c->title == NULL) {
		if ((c->title = strdup(l.title)) == NULL)
			fatal("strdup");
		memcpy(c->model, l.model, sizeof(c->model));
	}
	OPENSSL_cleanse(&l, sizeof(l));
	loaded(p, code);
}

/* Its turn in its conversation. */
static void
put_start(struct put *p)
{
	struct conv *c = p->conv;
	struct rec_key dkey = rec_key_data(c->uid, c->id);
	struct rec_key lkey = rec_key_list(c->uid, c->updated_us, c->id);
	bool dk = dk_find(p->v, c) != NULL, title = c->title != NULL;

	p->loads = (unsigned)!dk + (unsigned)!title;
	if (!dk)
		engine_get(p->v->engine, rec_bytes(&dkey), on_dk, p);
	if (!title)
		engine_get(p->v->engine, rec_bytes(&lkey), on_list, p);
	if (p->loads == 0)
		put_seal(p);
}

/* It is durable, or failed with an error code of vs_error. */
static void
put_done(struct put *p, uint16_t code)
{
	struct vault *v = p->v;
	struct conv *c = p->conv;
	struct m_vs_stored m = { .req = p->sreq.req,
	    .number = p->head.last, .time_us = p->head.updated_us };
	struct put *next;

	STAILQ_REMOVE_HEAD(&c->puts, link);
	if (code == 0) {
		conv_set_head(c, &p->head);
		if (p->entry.model[0] != '\0')
			memcpy(c->model, p->entry.model, sizeof(c->model));
		if (c->version++ == 0)
			conv_insert(v, c);
		memcpy(m.conv, c->id, sizeof(m.conv));
		sreq_send(&p->sreq, MSG_vs_stored, &m);
		sreq_end(&p->sreq);
		put_free(p);
	} else
		put_error(p, code);
	next = STAILQ_FIRST(&c->puts);
	conv_unpin(v, c);
	if (c->version == 0)
		conv_free(v, c);	/* nobody else knows of it */
	else if (next != NULL)
		put_start(next);
}

/* A new conversation of this user, with a new data key. */
static struct conv *
conv_create(struct vault *v, struct user *u, struct bytes text)
{
	uint8_t id[REC_ID], *dk;
	char title[REC_TITLE_MAX + 1];
	struct conv *c;

	crypto_random(id, sizeof(id));
	c = conv_new(id, u->uid);
	c->user = u;
	if ((dk = dk_make(v, c)) == NULL) {
		conv_free(v, c);
		return NULL;
	}
	crypto_random(dk, SEAL_KEYLEN);
	make_title(title, text);
	if ((c->title = strdup(title)) == NULL)
		fatal("strdup");
	OPENSSL_cleanse(title, sizeof(title));
	return c;
}

/* All of the text is there. */
static void
put_complete(struct put *p)
{
	struct worker *w = p->sreq.w;
	struct bytes text = buf_bytes(&p->text);
	bool first;

	TAILQ_REMOVE(&w->receiving, p, receiving);
	w->nreceiving--;
	if (p->refuse == 0 && (p->text.err || !bytes_utf8(text) ||
	    (p->entry.kind == KIND_USER && text.n == 0)))
		p->refuse = ERR_BAD;
	if (p->refuse == 0 && p->conv == NULL &&
	    (p->conv = conv_create(p->v, w->user, text)) == NULL)
		p->refuse = ERR_OVERLOADED;
	if (p->refuse != 0) {
		put_error(p, (uint16_t)p->refuse);
		return;
	}
	p->complete = true;
	first = STAILQ_EMPTY(&p->conv->puts);
	STAILQ_INSERT_TAIL(&p->conv->puts, p, link);
	conv_pin(p->conv);
	if (first)
		put_start(p);
}

static struct put *
find_receiving(struct worker *w, uint32_t req)
{
	struct put *p;

	TAILQ_FOREACH(p, &w->receiving, receiving)
		if (p->sreq.req == req)
			break;
	return p;
}

/* What is wrong with a put, as an error code; *c is its conversation. */
static unsigned
check(struct worker *w, const struct m_sv_put *m, struct conv **c)
{
	static const uint8_t zeros[REC_ID];

	*c = NULL;
	if ((m->kind != KIND_USER && m->kind != KIND_ASSISTANT) ||
	    m->finish > FINISH_FILTER)
		return ERR_BAD;
	if (w->nreqs >= VAULT_REQS_MAX)
		return ERR_BUSY;
	/* Nobody will answer it. */
	if (m->kind == KIND_USER && model_find(w->v, m->model) == NULL)
		return ERR_NO_MODEL;
	if (memcmp(m->conv, zeros, sizeof(zeros)) == 0)
		return m->kind == KIND_USER ? 0 : ERR_BAD;
	return (*c = sess_conv(w, m->conv)) == NULL ? ERR_NO_CONV : 0;
}

void
put_begin(struct worker *w, const struct m_sv_put *m)
{
	struct put *p;

	if (m->len > ENTRY_TEXT_MAX || w->nreqs >= 2 * VAULT_REQS_MAX ||
	    w->nreceiving >= VAULT_PUTS_MAX ||
	    find_receiving(w, m->req) != NULL) {
		worker_violation(w, "more to store than a session may");
		return;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("calloc");
	p->v = w->v;
	p->left = m->len;
	buf_init(&p->text, ENTRY_TEXT_MAX);
	p->refuse = check(w, m, &p->conv);
	p->entry.kind = m->kind;
	p->entry.finish = m->finish;
	p->entry.prompt_tokens = m->prompt_tokens;
	p->entry.completion_tokens = m->completion_tokens;
	(void)msg_text(p->entry.model, sizeof(p->entry.model), m->model);
	memcpy(p->entry.mac, m->mac, sizeof(p->entry.mac));
	sreq_begin(&p->sreq, w, m->req, put_gone);
	TAILQ_INSERT_TAIL(&w->receiving, p, receiving);
	w->nreceiving++;
	if (p->left == 0)
		put_complete(p);
}

void
put_data(struct worker *w, const struct m_sv_data *m)
{
	struct put *p = find_receiving(w, m->req);

	if (p == NULL || m->data.n == 0 || m->data.n > p->left) {
		worker_violation(w, "data that belong to no message");
		return;
	}
	if (p->refuse == 0)
		buf_put(&p->text, m->data.p, m->data.n);
	p->left -= (uint32_t)m->data.n;
	if (p->left == 0)
		put_complete(p);
}
