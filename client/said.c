#include "said.h"

#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "log.h"
#include "ui.h"

void
said_init(struct said *s)
{
	memset(s, 0, sizeof(*s));
	TAILQ_INIT(&s->list);
}

static void
drop(struct said *s, struct said_msg *sm)
{
	TAILQ_REMOVE(&s->list, sm, link);
	s->bytes -= sm->text.n;
	buf_free(&sm->text);
	free(sm);
}

void
said_free(struct said *s)
{
	struct said_msg *sm;

	while ((sm = TAILQ_FIRST(&s->list)) != NULL)
		drop(s, sm);
}

static struct said_msg *
question(const struct said *s)
{
	struct said_msg *sm;

	TAILQ_FOREACH_REVERSE(sm, &s->list, said_list, link)
		if (sm->m.kind == KIND_USER)
			break;
	return sm;
}

const struct said_msg *
said_question(const struct said *s)
{
	return question(s);
}

/* The last question and what follows it, but for system prompts. */
static void
withdraw(struct said *s)
{
	struct said_msg *sm = question(s), *next;

	for (; sm != NULL; sm = next) {
		next = TAILQ_NEXT(sm, link);
		if (sm->m.kind != KIND_SYSTEM)
			drop(s, sm);
	}
	s->withdrawn = true;
}

int
said_add(struct said *s, const struct m_s_msg *m)
{
	struct said_msg *sm;

	s->last = m->number;
	if (m->kind < KIND_USER || m->kind > KIND_WITHDRAWN) {
		ui_err("message %ju is of a kind that this version does not "
		    "know; use a newer cloister", (uintmax_t)m->number);
		return RC_ERROR;
	}
	if (m->kind == KIND_WITHDRAWN) {
		withdraw(s);
		return RC_OK;
	}
	if (m->kind == KIND_ASSISTANT && s->withdrawn)
		return RC_OK;	/* it belongs to what was withdrawn */
	if (m->kind == KIND_USER)
		s->withdrawn = false;
	if (m->text.n > SAID_MAX - s->bytes) {
		ui_err("the conversation is too long for this: more than %u "
		    "MiB", SAID_MAX >> 20);
		return RC_ERROR;
	}
	if ((sm = calloc(1, sizeof(*sm))) == NULL)
		fatal("memory");
	sm->m = *m;
	buf_init(&sm->text, MSG_TEXT_MAX_BYTES);
	buf_put(&sm->text, m->text.p, m->text.n);
	if (sm->text.err || msg_text(sm->model, sizeof(sm->model), m->model) ==
	    -1)
		fatalx("memory");
	sm->m.text = buf_bytes(&sm->text);
	sm->m.model = bytes_str(sm->model);
	s->bytes += sm->text.n;
	TAILQ_INSERT_TAIL(&s->list, sm, link);
	return RC_OK;
}

static int
add(const struct m_s_msg *m, void *arg)
{
	return said_add(arg, m);
}

int
said_read(struct said *s, struct conn *c, const uint8_t conv[CONV_LEN])
{
	return convs_messages(c, conv, add, s);
}

int
said_each(struct conn *c, const uint8_t conv[CONV_LEN], convs_msg_cb *cb,
    void *arg)
{
	struct said_msg *sm;
	struct said s;
	int rc;

	said_init(&s);
	rc = said_read(&s, c, conv);
	TAILQ_FOREACH(sm, &s.list, link)
		if (rc == RC_OK)
			rc = cb(&sm->m, arg);
	said_free(&s);
	return rc;
}

int
said_withdraw(struct conn *c, const uint8_t conv[CONV_LEN], uint64_t *last)
{
	struct m_c_withdraw q = { .req = conn_request(c), .last = *last };
	struct msg m;
	int rc;

	memcpy(q.conv, conv, CONV_LEN);
	if ((rc = conn_send(c, MSG_c_withdraw, &q)) != RC_OK ||
	    (rc = conn_next(c, &m)) != RC_OK)
		return rc;
	if (m.type != MSG_s_stored || m.u.s_stored.req != q.req)
		return other_reply(c, &m, q.req);
	*last = m.u.s_stored.number;
	return RC_OK;
}
