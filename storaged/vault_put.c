#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kdf.h"
#include "log.h"
#include "vault.h"

#define TITLE_CHARS	60
#define MSG_VERSION	1	/* messages are written once */

/* The start of the text's first line that has any, as a title. */
static void
make_title(char title[REC_TITLE_MAX + 1], struct bytes text)
{
	size_t i = 0, n = 0, chars = 0;

	while (i < text.n && text.p[i] <= ' ')
		i++;
	for (n = i; n < text.n && text.p[n] != '\n' && text.p[n] != '\r'; n++)
		/* Not a continuation byte: a character begins. */
		if ((text.p[n] & 0xc0) != 0x80 && chars++ == TITLE_CHARS)
			break;
	clean_title(title, n == i ? bytes_of(NULL, 0) :
	    bytes_of(text.p + i, n - i));
	if (title[0] == '\0')
		(void)strlcpy(title, "untitled", REC_TITLE_MAX + 1);
}

static void
put_free(struct put *p)
{
	buf_free(&p->text);
	buf_free(&p->proof);
	wb_free(&p->change.commit.ops);
	freezero(p, sizeof(*p));
}

/* The worker is gone: a text that is whole is stored nevertheless. */
static void
put_gone(struct sreq *s)
{
	struct put *p = (struct put *)s;	/* its first member's first */

	if (!p->complete)
		put_free(p);
}

static void
put_error(struct put *p, uint16_t code)
{
	struct worker *w = p->change.sreq.w;

	if (w != NULL && code == ERR_LIMIT)
		sess_say(w, p->change.sreq.req, code, "you have as many "
		    "conversations or messages as this server stores for a "
		    "user", "delete some");
	else if (w != NULL)
		sess_error(w, p->change.sreq.req, code);
	sreq_end(&p->change.sreq);
	put_free(p);
}

static int
emit(void *arg, struct bytes key, struct bytes value)
{
	wb_put(arg, KV_ABSENT, 0, key, value);
	return 0;
}

/* Whether it is a question or an answer. */
static bool
is_text(const struct put *p)
{
	return p->entry.kind == KIND_USER || p->entry.kind == KIND_ASSISTANT;
}

/*
 * The conversation's title afterwards: one that began with a system prompt gets
 * its own from the first question.
 */
static const char *
put_title(const struct put *p)
{
	const struct conv *c = p->change.conv;

	return c->title[0] == '\0' && is_text(p) ? p->title : c->title;
}

/* Seal the message, and the head that it leads to. */
static int
put_seal(struct change *ch)
{
	struct put *p = (struct put *)ch;
	struct vault *v = ch->v;
	struct conv *c = ch->conv;
	struct entry_at at = { .number = c->last + 1 };
	uint64_t now = wall_us();
	int rv;

	/* Another session was faster: what was signed is not so any more. */
	if (p->number != 0 && p->number != at.number)
		return ERR_SIGNATURE;
	if (p->after != 0 && p->after != c->last)
		return ERR_CHANGED;
	/* Time of a conversation rises, whatever the clock does. */
	if (now <= c->updated_us)
		now = c->updated_us + 1;
	memcpy(at.uid, c->uid, sizeof(at.uid));
	memcpy(at.conv, c->id, sizeof(at.conv));
	if (!p->imported)
		p->entry.time_us = now;
	p->entry.text = buf_bytes(&p->text);
	p->entry.proof = buf_bytes(&p->proof);
	rv = entry_seal(&v->keys->bundle, dk_find(v, c), &at, MSG_VERSION,
	    c->chain, &p->entry, emit, &ch->commit.ops);
	if (rv == 0) {
		ch->head.last = at.number;
		memcpy(ch->head.chain, p->entry.chain, sizeof(ch->head.chain));
		ch->head.updated_us = now;
		if (c->version == 0)
			ch->head.created_us = now;
		rv = change_seal_meta(ch, put_title(p),
		    p->entry.model[0] != '\0' ? p->entry.model : c->model);
	}
	p->entry.text = p->entry.proof = bytes_of(NULL, 0);
	buf_free(&p->text);
	return rv;
}

static void
put_done(struct change *ch, uint16_t code)
{
	struct put *p = (struct put *)ch;
	struct conv *c = ch->conv;
	struct m_vs_stored m = { .req = ch->sreq.req,
	    .number = ch->head.last, .time_us = ch->head.updated_us };

	if (p->number != 0 && ch->sreq.w != NULL)
		proof_stored(ch->sreq.w, ch->sreq.req, code == 0 ? c->id : NULL,
		    ch->head.last);
	if (code != 0) {
		put_error(p, code);
		return;
	}
	if (c->version != 0 && c->user != NULL)
		c->user->nmessages++;	/* of a new one: conv_insert() */
	if (put_title(p) != c->title) {
		free(c->title);
		if ((c->title = strdup(p->title)) == NULL)
			fatal("strdup");
	}
	conv_set_head(c, &ch->head);
	if (p->entry.model[0] != '\0')
		memcpy(c->model, p->entry.model, sizeof(c->model));
	if (c->version++ == 0)
		conv_insert(ch->v, c);
	memcpy(m.conv, c->id, sizeof(m.conv));
	sreq_send(&ch->sreq, MSG_vs_stored, &m);
	sreq_end(&ch->sreq);
	put_free(p);
}

/* A new conversation of this user, with a new data key. */
static struct conv *
conv_create(struct vault *v, struct user *u, const char *title)
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
	if ((c->title = strdup(title)) == NULL)
		fatal("strdup");
	return c;
}

/* All of the text is there. */
static void
put_complete(struct put *p)
{
	struct change *ch = &p->change;
	struct worker *w = ch->sreq.w;
	struct bytes text = buf_bytes(&p->text);

	TAILQ_REMOVE(&w->receiving, p, receiving);
	w->nreceiving--;
	if (p->refuse == 0 && (p->text.err || !bytes_utf8(text) ||
	    (p->entry.kind == KIND_USER && text.n == 0)))
		p->refuse = ERR_BAD;
	if (p->refuse == 0 && p->proof.n > 0)
		p->refuse = proof_check(w, buf_bytes(&p->proof), text,
		    &p->number);
	if (p->title[0] == '\0' && is_text(p))
		make_title(p->title, text);
	if (p->refuse == 0 && ch->conv == NULL &&
	    (ch->conv = conv_create(ch->v, w->user, p->title)) == NULL)
		p->refuse = ERR_OVERLOADED;
	if (p->refuse != 0) {
		put_error(p, (uint16_t)p->refuse);
		return;
	}
	p->complete = true;
	if (p->entry.kind == KIND_USER && p->proof.n > 0)
		proof_asked(w, ch->sreq.req, buf_bytes(&p->proof));
	else if (p->entry.kind == KIND_ASSISTANT && !p->imported)
		switch (proof_receipt(w, p)) {
		case 0:
			return;
		case -1:
			put_error(p, ERR_BAD);
			worker_violation(w, "an answer that is not the one "
			    "that the llmproxy gave");
			return;
		default:
			break;
		}
	change_add(ch);
}

void
put_receipted(struct put *p)
{
	struct vault *v = p->change.v;
	struct conv *c = p->change.conv;

	/* Its conversation may be deleted by now, and has no user then. */
	if (p->change.user != NULL)
		p->change.user->nchanges--;
	change_add(&p->change);
	conv_unpin(v, c);
}

static struct put *
find_receiving(struct worker *w, uint32_t req)
{
	struct put *p;

	TAILQ_FOREACH(p, &w->receiving, receiving)
		if (p->change.sreq.req == req)
			break;
	return p;
}

/* Whether there is room for one more; an answer has it in any case. */
static bool
within_quota(const struct worker *w, const struct put *p, bool is_new)
{
	uint64_t convs = user_limit(w->v, w->user, LIMIT_CONVERSATIONS);
	uint64_t messages = user_limit(w->v, w->user, LIMIT_MESSAGES);

	if (!p->imported && p->entry.kind == KIND_ASSISTANT)
		return true;
	return (!is_new || convs == 0 || w->user->nconvs < convs) &&
	    (messages == 0 || w->user->nmessages < messages);
}

/* What is wrong with a put, as an error code; *c is its conversation. */
static unsigned
check(struct worker *w, const struct put *p, const uint8_t conv[REC_ID],
    struct bytes model, struct conv **c)
{
	static const uint8_t zeros[REC_ID];
	const struct entry *e = &p->entry;
	const struct model *mo;
	uint16_t code;

	*c = NULL;
	if (e->kind < KIND_USER || e->kind > KIND_SYSTEM ||
	    e->finish > FINISH_FILTER)
		return ERR_BAD;
	if (w->nreqs >= VAULT_REQS_MAX)
		return ERR_BUSY;
	/* Nobody will answer it. */
	if (!p->imported && e->kind != KIND_ASSISTANT &&
	    (code = model_for(w->v, w->user, model, &mo)) != 0)
		return code;
	if (memcmp(conv, zeros, sizeof(zeros)) == 0) {
		if (!p->imported && e->kind == KIND_ASSISTANT)
			return ERR_BAD;
		return within_quota(w, p, true) ? 0 : ERR_LIMIT;
	}
	if ((*c = sess_conv(w, conv)) == NULL)
		return ERR_NO_CONV;
	if (conv_refused(*c, w->n))
		return ERR_STORAGE;
	return within_quota(w, p, false) ? 0 : ERR_LIMIT;
}

/* A put of len bytes, or NULL: then the worker was not within its limits. */
static struct put *
put_new(struct worker *w, uint32_t req, uint32_t len)
{
	struct put *p;

	if (len > ENTRY_TEXT_MAX || w->nreqs >= 2 * VAULT_REQS_MAX ||
	    w->nreceiving >= VAULT_PUTS_MAX || find_receiving(w, req) != NULL) {
		worker_violation(w, "more to store than a session may");
		return NULL;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("calloc");
	p->change.v = w->v;
	p->change.seal = put_seal;
	p->change.done = put_done;
	p->left = len;
	buf_init(&p->text, ENTRY_TEXT_MAX);
	buf_init(&p->proof, PROOF_MAX);
	return p;
}

/* Its head is there; the text follows. */
static void
put_receive(struct put *p, struct worker *w, uint32_t req)
{
	sreq_begin(&p->change.sreq, w, req, put_gone);
	TAILQ_INSERT_TAIL(&w->receiving, p, receiving);
	w->nreceiving++;
	if (p->left == 0)
		put_complete(p);
}

void
put_begin(struct worker *w, const struct m_sv_put *m)
{
	struct put *p;

	if ((p = put_new(w, m->req, m->len)) == NULL)
		return;
	p->entry.kind = m->kind;
	p->entry.finish = m->finish;
	p->entry.prompt_tokens = m->prompt_tokens;
	p->entry.completion_tokens = m->completion_tokens;
	(void)msg_text(p->entry.model, sizeof(p->entry.model), m->model);
	memcpy(p->entry.mac, m->mac, sizeof(p->entry.mac));
	buf_put(&p->proof, m->proof.p, m->proof.n);
	p->refuse = check(w, p, m->conv, m->model, &p->change.conv);
	if (p->refuse == 0 && p->proof.n > 0 && m->kind != KIND_USER)
		p->refuse = ERR_BAD;
	put_receive(p, w, m->req);
}

void
import_begin(struct worker *w, const struct m_sv_import *m)
{
	struct put *p;

	if ((p = put_new(w, m->req, m->len)) == NULL)
		return;
	p->imported = true;
	p->entry.kind = m->kind;
	p->entry.finish = m->finish;
	p->entry.time_us = m->time_us;
	p->entry.prompt_tokens = m->prompt_tokens;
	p->entry.completion_tokens = m->completion_tokens;
	(void)msg_text(p->entry.model, sizeof(p->entry.model), m->model);
	clean_title(p->title, m->title);
	memcpy(p->entry.mac, m->mac, sizeof(p->entry.mac));
	p->refuse = check(w, p, m->conv, m->model, &p->change.conv);
	put_receive(p, w, m->req);
}

void
withdraw_begin(struct worker *w, const struct m_sv_withdraw *m)
{
	struct put *p;

	if ((p = put_new(w, m->req, 0)) == NULL)
		return;
	p->entry.kind = KIND_WITHDRAWN;
	p->after = m->last;
	memcpy(p->entry.mac, m->mac, sizeof(p->entry.mac));
	if (w->nreqs >= VAULT_REQS_MAX)
		p->refuse = ERR_BUSY;
	else if ((p->change.conv = sess_conv(w, m->conv)) == NULL)
		p->refuse = ERR_NO_CONV;
	else if (conv_refused(p->change.conv, w->n))
		p->refuse = ERR_STORAGE;
	else if (m->last == 0)
		p->refuse = ERR_BAD;
	put_receive(p, w, m->req);
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
