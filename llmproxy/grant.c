#include "llmproxy.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

void
grant_close(struct grant *g)
{
	struct request *r;

	while ((r = LIST_FIRST(&g->requests)) != NULL)
		request_abandon(r);
	LIST_REMOVE(g, link);
	chan_free(g->chan);
	free(g);
}

static void
violation(struct grant *g, const char *why)
{
	audit(EV_violation, g->n, g->user, "model channel: %s", why);
	grant_close(g);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	(void)c;
	if (why != NULL)
		violation(arg, why);
	else
		grant_close(arg);
}

static struct request *
find(struct grant *g, uint32_t req)
{
	struct request *r;

	LIST_FOREACH(r, &g->requests, link)
		if (r->req == req)
			break;
	return r;
}

static bool
filling(const struct request *r)
{
	return r != NULL && (r->state == R_FILLING || r->state == R_REFUSED);
}

/* What g's user has under way, by however many sessions and grants. */
static void
user_load(const struct grant *g, size_t *requests, size_t *text)
{
	const struct request *r;
	const struct grant *o;

	*requests = *text = 0;
	LIST_FOREACH(o, &g->lp->grants, link) {
		if (strcmp(o->user, g->user) != 0)
			continue;
		*requests += o->nrequests;
		LIST_FOREACH(r, &o->requests, link)
			*text += r->announced;
	}
}

/* Why no more text of this length may come for r, or NULL. */
static const char *
no_room(const struct request *r, size_t len)
{
	size_t requests, text;

	if (len > LLM_TEXT_MAX - r->announced)
		return "the conversation is too long to be sent";
	user_load(r->grant, &requests, &text);
	if (len > LLM_USER_TEXT_MAX - text)
		return "too much text of yours is under way to this provider";
	if (len > LLM_TEXT_TOTAL_MAX - r->lp->text_bytes)
		return "too much text is under way to this provider";
	return NULL;
}

static void
on_chat(struct grant *g, const struct m_sl_chat *m)
{
	struct request *r = find(g, m->req);
	const char *why = NULL;
	size_t requests, text;

	if (r != NULL && r->state == R_REFUSED) {
		request_abandon(r);	/* its sender gave it up */
		r = NULL;
	}
	if (r != NULL || m->messages == 0) {
		violation(g, r != NULL ? "a request twice" : "an empty request");
		return;
	}
	if (g->nrefused >= LLM_GRANT_REFUSED_MAX) {
		violation(g, "too many requests beyond the limit");
		return;
	}
	user_load(g, &requests, &text);
	if (g->nrequests >= LLM_GRANT_REQUESTS_MAX)
		why = "too many questions at once in this session";
	else if (requests >= LLM_USER_REQUESTS_MAX)
		why = "too many questions of yours at once for this provider";
	else if (m->messages > LLM_MESSAGES_MAX)
		why = "the conversation has too many messages";
	r = request_new(g, m->req, m->messages);
	r->max_tokens = m->max_tokens;
	r->temperature = m->temperature;
	r->top_p = m->top_p;
	if (why != NULL)
		request_refuse(r, why);
}

/* Whether a request has all that was announced; then it goes on its way. */
static void
filled(struct request *r)
{
	if (r->left > 0 || r->nmsgs < r->messages)
		return;
	if (r->state == R_REFUSED)
		request_abandon(r);
	else
		request_start(r);
}

static void
add_message(struct request *r, uint8_t kind, uint32_t len)
{
	uint8_t head[5] = { kind };

	/* Doubled when full: a number announced is no reason to allocate. */
	if ((r->nmsgs & (r->nmsgs - 1)) == 0 && (r->msg = reallocarray(r->msg,
	    r->nmsgs == 0 ? 1 : (size_t)r->nmsgs * 2, sizeof(*r->msg))) == NULL)
		fatal("reallocarray");
	r->msg[r->nmsgs] = (struct request_msg){ kind, r->announced, len };
	r->announced += len;
	r->lp->text_bytes += len;
	put_be32(head + 1, len);
	if (EVP_DigestUpdate(r->sent, head, sizeof(head)) != 1)
		crypto_fatalx("SHA-256");
}

static void
on_msg(struct grant *g, const struct m_sl_msg *m)
{
	struct request *r = find(g, m->req);
	const char *why;

	if (!filling(r) || r->left > 0 || r->nmsgs >= r->messages) {
		violation(g, "a message that was not announced");
		return;
	}
	if ((why = item_next(&r->order, m->kind)) != NULL) {
		violation(g, why);
		return;
	}
	r->tools |= m->kind == ITEM_TOOL;
	if (r->state == R_FILLING && (why = no_room(r, m->len)) != NULL)
		request_refuse(r, why);
	r->left = m->len;
	if (r->state == R_FILLING)
		add_message(r, m->kind, m->len);
	r->nmsgs++;
	filled(r);
}

static void
on_data(struct grant *g, const struct m_sl_data *m)
{
	struct request *r = find(g, m->req);

	if (!filling(r) || m->data.n > r->left || m->data.n == 0) {
		violation(g, "text that was not announced");
		return;
	}
	r->left -= (uint32_t)m->data.n;
	if (r->state == R_FILLING) {
		buf_put(&r->text, m->data.p, m->data.n);
		if (EVP_DigestUpdate(r->sent, m->data.p, m->data.n) != 1)
			crypto_fatalx("SHA-256");
	}
	filled(r);
}

/* An unknown request has ended while its cancellation was on the way. */
static void
on_cancel(struct grant *g, const struct m_sl_cancel *m)
{
	struct request *r = find(g, m->req);

	if (r == NULL)
		return;
	if (r->state == R_REFUSED)
		request_abandon(r);
	else
		request_cancel(r);
}

static void
on_worker(struct chan *c, struct msg *m, void *arg)
{
	struct grant *g = arg;

	(void)c;
	switch (m->type) {
	case MSG_sl_chat:
		on_chat(g, &m->u.sl_chat);
		break;
	case MSG_sl_msg:
		on_msg(g, &m->u.sl_msg);
		break;
	case MSG_sl_data:
		on_data(g, &m->u.sl_data);
		break;
	case MSG_sl_cancel:
		on_cancel(g, &m->u.sl_cancel);
		break;
	default:
		violation(g, "unexpected message");
	}
}

static const struct llm_model *
find_model(const struct llmproxy *lp, struct bytes alias)
{
	for (size_t i = 0; i < lp->nmodels; i++)
		if (bytes_eq(bytes_str(lp->model[i].alias), alias))
			return &lp->model[i];
	return NULL;
}

static void
on_grant(struct llmproxy *lp, struct msg *m)
{
	const struct m_vl_grant *v = &m->u.vl_grant;
	const struct llm_model *model = find_model(lp, v->model);
	size_t open = 0;
	struct grant *g;

	if (model == NULL) {
		log_err("session %llu was granted a model that is not served "
		    "here", (unsigned long long)v->n);
		return;
	}
	LIST_FOREACH(g, &lp->grants, link)
		open += g->n == v->n;
	if (open >= LLM_SESSION_GRANTS_MAX) {
		/* A session worker asks again only for what it has closed. */
		log_warn("session %llu keeps more grants than there are models",
		    (unsigned long long)v->n);
		return;
	}
	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("calloc");
	g->lp = lp;
	g->n = v->n;
	g->model = model;
	(void)msg_text(g->user, sizeof(g->user), v->user);
	LIST_INIT(&g->requests);
	LIST_INSERT_HEAD(&lp->grants, g, link);
	g->chan = chan_new(lp->loop, m->fd, CH_SESS_LLM, END_B, SESS_LLM_UP, 0,
	    on_worker, on_closed, g);
	m->fd = -1;
}

static void
on_revoke(struct llmproxy *lp, uint64_t n)
{
	struct grant *g, *next;

	for (g = LIST_FIRST(&lp->grants); g != NULL; g = next) {
		next = LIST_NEXT(g, link);
		if (g->n == n)
			grant_close(g);
	}
}

void
grant_on_vault(struct chan *c, struct msg *m, void *arg)
{
	struct llmproxy *lp = arg;

	if (m->type == MSG_vl_grant)
		on_grant(lp, m);
	else if (m->type == MSG_vl_revoke)
		on_revoke(lp, m->u.vl_revoke.n);
	else if (m->type == MSG_vl_may)
		request_may(lp, &m->u.vl_may);
	else if (m->type == MSG_vl_welcome && m->u.vl_welcome.generation !=
	    lp->generation)
		chan_drop_until(c, MSG_vl_welcome);	/* a predecessor's */
}
