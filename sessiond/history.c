#include "history.h"

#include <stdlib.h>

#include "codes.h"
#include "log.h"

void
history_init(struct history *h)
{
	TAILQ_INIT(&h->list);
	h->n = 0;
	h->bytes = 0;
	h->withdrawn = false;
	buf_init(&h->system, HISTORY_TEXT_MAX);
}

static void
drop(struct history *h, struct past *p)
{
	TAILQ_REMOVE(&h->list, p, link);
	h->n--;
	h->bytes -= p->text.n;
	buf_free(&p->text);
	free(p);
}

void
history_free(struct history *h)
{
	struct past *p;

	while ((p = TAILQ_FIRST(&h->list)) != NULL)
		drop(h, p);
	buf_free(&h->system);
	history_init(h);
}

void
history_append(struct history *h, uint8_t kind, struct buf *text)
{
	struct past *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		fatal("calloc");
	p->kind = kind;
	p->text = *text;
	buf_init(text, HISTORY_TEXT_MAX);
	TAILQ_INSERT_TAIL(&h->list, p, link);
	h->n++;
	h->bytes += p->text.n;
}

void
history_set_system(struct history *h, struct bytes text)
{
	h->bytes -= h->system.n;
	buf_free(&h->system);
	buf_init(&h->system, HISTORY_TEXT_MAX);
	buf_put(&h->system, text.p, text.n);
	if (h->system.err)
		fatalx("no memory");
	h->bytes += h->system.n;
}

/* Nothing happens where no question stands. */
static void
withdraw(struct history *h)
{
	struct past *p, *q;

	TAILQ_FOREACH_REVERSE(q, &h->list, past_list, link)
		if (q->kind == KIND_USER)
			break;
	while (q != NULL && (p = TAILQ_LAST(&h->list, past_list)) != NULL) {
		if (p == q)
			q = NULL;
		drop(h, p);
	}
	h->withdrawn = true;
}

void
history_take(struct history *h, uint8_t kind, struct buf *text)
{
	if (kind == KIND_SYSTEM)
		history_set_system(h, buf_bytes(text));
	else if (kind == KIND_WITHDRAWN)
		withdraw(h);
	else if (text->n > 0 && (kind == KIND_USER || !h->withdrawn)) {
		h->withdrawn = false;
		history_append(h, kind, text);
	}
	buf_reset(text);
}
