#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "session_local.h"

struct llm *
llm_find(struct session *s, const char *model)
{
	struct llm *l;

	TAILQ_FOREACH(l, &s->llms, link)
		if (model[0] == '\0' ? l->is_default :
		    strcmp(model, l->alias) == 0)
			return l;
	return NULL;
}

static void
llm_free(struct llm *l)
{
	TAILQ_REMOVE(&l->s->llms, l, link);
	chan_free(l->chan);
	free(l);
}

void
llm_free_all(struct session *s)
{
	struct llm *l;

	while ((l = TAILQ_FIRST(&s->llms)) != NULL)
		llm_free(l);
}

/* Requests in flight there fail; the next prompt opens another channel. */
static void
lost(struct llm *l)
{
	struct session *s = l->s;
	struct req *r, *next;

	for (r = TAILQ_FIRST(&s->reqs); r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->kind == REQ_CHAT)
			chat_llm_lost(s, r, l);
	}
	llm_free(l);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	struct llm *l = arg;

	(void)c;
	if (why != NULL)
		audit(EV_violation, l->s->n, NULL, "llmproxy for %s: %s",
		    l->alias, why);
	lost(l);
}

static void
on_msg(struct chan *c, struct msg *m, void *arg)
{
	struct llm *l = arg;
	struct session *s = l->s;
	uint32_t rid = m->type == MSG_ls_delta ? m->u.ls_delta.req :
	    m->type == MSG_ls_end ? m->u.ls_end.req :
	    m->type == MSG_ls_tool ? m->u.ls_tool.req : m->u.ls_error.req;
	struct req *r = req_by_rid(s, rid);
	int rv = 0;

	(void)c;
	if (!req_known(s, rid) || (r != NULL && r->kind != REQ_CHAT))
		rv = -1;
	else if (r == NULL)
		;		/* its last words after a cancel or an error */
	else if (m->type == MSG_ls_delta)
		rv = chat_delta(s, r, l, &m->u.ls_delta);
	else if (m->type == MSG_ls_tool)
		rv = chat_tool(s, r, l, &m->u.ls_tool);
	else if (m->type == MSG_ls_end)
		rv = chat_end(s, r, l, &m->u.ls_end);
	else
		rv = chat_error(s, r, l, &m->u.ls_error);
	if (rv != 0) {
		audit(EV_violation, s->n, NULL, "llmproxy for %s: it answers "
		    "what it was not asked", l->alias);
		lost(l);
	}
}

struct llm *
llm_opened(struct session *s, struct msg *m, bool is_default)
{
	char alias[NAME_MAX_BYTES + 1], fallback[NAME_MAX_BYTES + 1];
	struct llm *l;

	if (msg_text(alias, sizeof(alias), m->u.vs_open_model.model) == -1 ||
	    msg_text(fallback, sizeof(fallback),
	    m->u.vs_open_model.fallback) == -1 || alias[0] == '\0')
		return NULL;
	/* Two prompts may have asked at once: the first channel serves both. */
	if ((l = llm_find(s, alias)) == NULL) {
		if ((l = calloc(1, sizeof(*l))) == NULL)
			fatal("calloc");
		l->s = s;
		(void)strlcpy(l->alias, alias, sizeof(l->alias));
		l->chan = chan_new(s->loop, m->fd, CH_SESS_LLM, END_A,
		    SESS_LLM_UP, 0, on_msg, on_closed, l);
		m->fd = -1;
		TAILQ_INSERT_TAIL(&s->llms, l, link);
	}
	(void)strlcpy(l->fallback, fallback, sizeof(l->fallback));
	l->is_default |= is_default;
	return l;
}
