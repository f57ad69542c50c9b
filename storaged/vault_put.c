#include <stdlib.h>
#include <string.h>

#include "kdf.h"
#include "log.h"
#include "vault.h"

#define TITLE_CHARS	60
#define MSG_VERSION	1	/* messages and data keys are written once */

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
	wb_free(&p->ops);
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
seal_meta(struct put *p)
{
	struct vault *v = p->v;
	const struct seal_bundle *b = &v->keys->bundle;
	struct conv *c = p->conv;
	const char *model = p->entry.model[0] != '\0' ? p->entry.model :
	    c->model != NULL ? c->model : "";
	struct rec_key ck = rec_key_head(c->uid, c->id);
	struct rec_key dkey = rec_key_data(c->uid, c->id);
	struct rec_key old = rec_key_list(c->uid, c->updated_us, c->id);
	struct rec_key new = rec_key_list(c->uid, p->head.updated_us, c->id);
	struct rec_list l = { .count = p->head.last,
	    .updated_us = p->head.updated_us };
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	int rv;

	(void)strlcpy(l.title, p->head.title, sizeof(l.title));
	(void)strlcpy(l.model, model, sizeof(l.model));
	if ((rv = rec_seal_head(&val, b, rec_bytes(&ck), c->version + 1,
	    &p->head)) != 0)
		goto out;
	wb_put(&p->ops, c->version == 0 ? KV_ABSENT : KV_VER, c->version,
	    rec_bytes(&ck), buf_bytes(&val));
	if (c->version > 0)
		wb_del(&p->ops, rec_bytes(&old));
	buf_reset(&val);
	if ((rv = rec_seal_list(&val, b, rec_bytes(&new), c->version + 1,
	    &l)) != 0)
		goto out;
	wb_put(&p->ops, KV_ABSENT, 0, rec_bytes(&new), buf_bytes(&val));
	if (c->version > 0)
		goto out;
	buf_reset(&val);
	if ((rv = seal_data_key(&val, v->keys->ek,
	    v->keys->anchor.epoch[0].epoch, rec_bytes(&dkey), MSG_VERSION,
	    dk_find(v, c))) == 0)
		wb_put(&p->ops, KV_ABSENT, 0, rec_bytes(&dkey),
		    buf_bytes(&val));
out:
	buf_free(&val);
	return rv;
}

/* Seal everything and queue it for the next batch. */
static void
put_seal(struct put *p)
{
	struct vault *v = p->v;
	struct conv *c = p->conv;
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
	rv = entry_seal(&v->keys->bundle, dk_find(v, c), &at, MSG_VERSION,
	    c->chain, &p->entry, emit, &p->ops);
	if (rv == 0) {
		conv_head(c, &p->head);
		p->head.last = at.number;
		memcpy(p->head.chain, p->entry.chain, sizeof(p->head.chain));
		p->head.updated_us = now;
		if (c->version == 0) {
			p->head.created_us = now;
			make_title(p->head.title, p->entry.text);
		}
		rv = seal_meta(p);
	}
	p->entry.text = bytes_of(NULL, 0);
	buf_free(&p->text);
	if (rv != 0) {
		log_err("a message cannot be sealed: %d", rv);
		put_done(p, VE_INTERNAL);
	} else
		commit_add(v, p);
}

static void
on_dk(void *arg, const struct engine_reply *r)
{
	struct put *p = arg;
	uint64_t n = p->sreq.w != NULL ? p->sreq.w->n : 0;
	uint16_t code;

	if ((code = conv_take_dk(p->v, p->conv, n, r)) != 0)
		put_done(p, code);
	else
		put_seal(p);
}

/* Its turn in its conversation. */
static void
put_start(struct put *p)
{
	struct conv *c = p->conv;
	struct rec_key key = rec_key_data(c->uid, c->id);

	if (dk_find(p->v, c) != NULL)
		put_seal(p);
	else
		engine_get(p->v->engine, rec_bytes(&key), on_dk, p);
}

void
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
		if (p->entry.model[0] != '\0') {
			free(c->model);
			if ((c->model = strdup(p->entry.model)) == NULL)
				fatal("strdup");
		}
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

/* A new conversation of the worker's user, with a new data key. */
static struct conv *
conv_create(struct vault *v, struct user *u)
{
	uint8_t id[REC_ID], *dk;
	struct conv *c;

	crypto_random(id, sizeof(id));
	c = conv_new(id, u->uid);
	c->user = u;
	if ((dk = dk_make(v, c)) == NULL) {
		conv_free(v, c);
		return NULL;
	}
	crypto_random(dk, SEAL_KEYLEN);
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
	    (p->entry.kind == ENTRY_USER && text.n == 0)))
		p->refuse = VE_BAD;
	if (p->refuse == 0 && p->conv == NULL &&
	    (p->conv = conv_create(p->v, w->user)) == NULL)
		p->refuse = VE_OVERLOADED;
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
	if ((m->kind != ENTRY_USER && m->kind != ENTRY_ASSISTANT) ||
	    m->finish > ENTRY_FIN_FILTER)
		return VE_BAD;
	if (memcmp(m->conv, zeros, sizeof(zeros)) == 0)
		return m->kind == ENTRY_USER ? 0 : VE_BAD;
	return (*c = sess_conv(w, m->conv)) == NULL ? VE_NO_CONV : 0;
}

void
put_begin(struct worker *w, const struct m_sv_put *m)
{
	struct put *p;

	if (m->len > ENTRY_TEXT_MAX || w->nreqs >= VAULT_REQS_MAX ||
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
