#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exits.h"
#include "kdf.h"
#include "log.h"
#include "serve.h"
#include "ui.h"

struct call *
call_new(struct serve *s, struct MHD_Connection *http)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		fatal("memory");
	c->s = s;
	c->http = http;
	c->hup_fd = -1;
	buf_init(&c->body, SERVE_BODY_MAX);
	buf_init(&c->out, SERVE_OUT_MAX);
	serve_whole_init(&c->whole, SERVE_OUT_MAX);
	TAILQ_INSERT_TAIL(&s->calls, c, link);
	s->ncalls++;
	return c;
}

static void
call_free(struct call *c)
{
	TAILQ_REMOVE(&c->s->calls, c, link);
	c->s->ncalls--;
	buf_free(&c->body);
	buf_free(&c->out);
	serve_whole_free(&c->whole);
	serve_chat_free(&c->chat);
	freezero(c, sizeof(*c));
}

static void
over(struct call *c)
{
	if (c->state == CALL_FLYING)
		c->s->nflying--;
	c->state = CALL_OVER;
	if (c->http == NULL)
		call_free(c);
	else
		http_wake(c);
}

void
call_gone(struct call *c)
{
	struct m_c_cancel q = { .req = c->req };

	c->http = NULL;
	if (c->state != CALL_FLYING) {
		call_free(c);
		return;
	}
	/* It is forgotten when the server has said its last word about it. */
	if (!conn_away(c->s->cl->conn))
		(void)conn_send(c->s->cl->conn, MSG_c_cancel, &q);
}

/* What cannot be said as an error's status any more is said in the stream. */
static void
fail(struct call *c)
{
	c->failed = true;
	if (c->answering)
		serve_put_error(&c->out, &c->error, true);
	over(c);
}

void
call_ask(struct call *c)
{
	uint8_t id[12];

	c->state = CALL_OVER;
	if (!c->models) {
		if (c->too_long) {
			serve_refuse(&c->error, 413, "invalid_request_error",
			    NULL, "the body is too long");
			c->failed = true;
		} else
			c->failed = serve_chat_parse(&c->chat,
			    buf_bytes(&c->body), &c->error) == -1;
		buf_free(&c->body);
		if (c->failed)
			return;
	}
	if (c->s->ncalls > SERVE_CALLS) {
		serve_refuse(&c->error, 429, "requests", "rate_limit_exceeded",
		    "too many requests at once on this machine");
		c->failed = true;
		return;
	}
	crypto_random(id, sizeof(id));
	(void)strlcpy(c->who.id, "chatcmpl-", sizeof(c->who.id));
	hex_encode(c->who.id + strlen(c->who.id), id, sizeof(id));
	c->who.created = time(NULL);
	(void)strlcpy(c->who.model, c->chat.model, sizeof(c->who.model));
	c->state = CALL_WAITING;
}

static int
send_call(struct call *c)
{
	struct conn *conn = c->s->cl->conn;
	struct m_c_models models = { 0 };
	struct m_c_chat chat = { .max_tokens = c->chat.max_tokens,
	    .temperature = c->chat.temperature, .top_p = c->chat.top_p,
	    .model = bytes_str(c->chat.model),
	    .messages = buf_bytes(&c->chat.messages) };
	int rc;

	c->req = models.req = chat.req = conn_request(conn);
	rc = conn_send(conn, c->models ? MSG_c_models : MSG_c_chat,
	    c->models ? (void *)&models : (void *)&chat);
	buf_free(&c->chat.messages);
	return rc;
}

void
call_pump(struct serve *s)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&s->calls); c != NULL && s->nflying < SERVE_FLYING;
	    c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != CALL_WAITING || c->http == NULL)
			continue;
		if ((s->nflying == 0 && conn_ready(s->cl->conn) != RC_OK) ||
		    send_call(c) != RC_OK) {
			serve_refuse(&c->error, 502, "server_error",
			    "cloister_unreachable", "the Cloister server cannot "
			    "be reached; see what cloister serve says");
			fail(c);
			continue;
		}
		c->state = CALL_FLYING;
		s->nflying++;
	}
}

/* Something was added to what c has to say; too_much: it does not fit. */
static void
added(struct call *c, bool too_much)
{
	struct m_c_cancel q = { .req = c->req };

	if (too_much || c->out.err || c->whole.text.err ||
	    c->whole.reasoning.err) {
		/* Its reader does not read. */
		(void)conn_send(c->s->cl->conn, MSG_c_cancel, &q);
		buf_reset(&c->out);
		c->out.err = false;
		serve_whole_free(&c->whole);
		serve_whole_init(&c->whole, SERVE_OUT_MAX);
	}
	if (c->chat.stream)
		http_wake(c);
}

/* The first chunk of a stream says who speaks. */
static void
begin_stream(struct call *c)
{
	if (!c->answering && c->out.n == 0)
		serve_put_role(&c->out, &c->who);
}

static void
take_delta(struct call *c, const struct m_s_delta *d)
{
	if (c->chat.stream) {
		begin_stream(c);
		serve_put_delta(&c->out, &c->who, d->kind, d->text);
	} else
		buf_put(d->kind == DELTA_ANSWER ? &c->whole.text :
		    &c->whole.reasoning, d->text.p, d->text.n);
	added(c, false);
}

static void
take_tool(struct call *c, const struct m_s_tool *t)
{
	bool too_much = false;

	if (c->chat.stream) {
		begin_stream(c);
		serve_put_call(&c->out, &c->who, t->index, t->id, t->name,
		    t->args);
	} else
		too_much = serve_whole_call(&c->whole, t->index, t->id,
		    t->name, t->args) == -1;
	added(c, too_much);
}

static void
take_end(struct call *c, const struct m_s_end *e)
{
	if (e->model.n <= SERVE_MODEL_MAX)
		(void)msg_text(c->who.model, sizeof(c->who.model), e->model);
	if (serve_finish(e->finish, c->chat.tools) == NULL) {
		serve_refuse(&c->error, 502, "server_error", "incomplete",
		    "the answer is not complete");
		fail(c);
		return;
	}
	if (c->chat.stream) {
		begin_stream(c);
		serve_put_end(&c->out, &c->who, e->finish, c->chat.usage,
		    e->prompt_tokens, e->completion_tokens);
	} else
		serve_put_whole(&c->out, &c->who, &c->whole, e->finish,
		    e->prompt_tokens, e->completion_tokens);
	over(c);
}

static void
take_model(struct call *c, const struct m_s_model *m)
{
	if (c->nmodels++ == 0)
		serve_put_models(&c->out);
	serve_put_model(&c->out, c->nmodels == 1, m->alias, m->provider);
}

static void
take_models_end(struct call *c)
{
	if (c->nmodels == 0)
		serve_put_models(&c->out);
	serve_put_models_end(&c->out);
	over(c);
}

static struct call *
find(struct serve *s, uint32_t req)
{
	struct call *c;

	TAILQ_FOREACH(c, &s->calls, link)
		if (c->state == CALL_FLYING && c->req == req)
			break;
	return c;
}

int
call_message(struct serve *s, const struct msg *m)
{
	struct call *c = NULL;

	if (m->type == MSG_s_delta)
		c = find(s, m->u.s_delta.req);
	else if (m->type == MSG_s_end)
		c = find(s, m->u.s_end.req);
	else if (m->type == MSG_s_fallback)
		c = find(s, m->u.s_fallback.req);
	else if (m->type == MSG_s_tool)
		c = find(s, m->u.s_tool.req);
	else if (m->type == MSG_s_error)
		c = find(s, m->u.s_error.req);
	else if (m->type == MSG_s_model)
		c = find(s, m->u.s_model.req);
	else if (m->type == MSG_s_done)
		c = find(s, m->u.s_done.req);
	if (c == NULL || (c->models ? m->type == MSG_s_delta ||
	    m->type == MSG_s_end || m->type == MSG_s_fallback ||
	    m->type == MSG_s_tool : m->type == MSG_s_model ||
	    m->type == MSG_s_done))
		return conn_violation(s->cl->conn, m);
	if (m->type == MSG_s_error) {
		serve_refuse_code(&c->error, m->u.s_error.code,
		    m->u.s_error.text, m->u.s_error.hint);
		fail(c);
	} else if (m->type == MSG_s_fallback)	/* each chunk names it */
		(void)msg_text(c->who.model, sizeof(c->who.model),
		    m->u.s_fallback.to);
	else if (m->type == MSG_s_end)
		take_end(c, &m->u.s_end);
	else if (m->type == MSG_s_done)
		take_models_end(c);
	else if (c->http == NULL)
		;		/* nobody hears it any more */
	else if (m->type == MSG_s_delta)
		take_delta(c, &m->u.s_delta);
	else if (m->type == MSG_s_tool)
		take_tool(c, &m->u.s_tool);
	else
		take_model(c, &m->u.s_model);
	return RC_OK;
}

void
call_lost(struct serve *s)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&s->calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != CALL_FLYING)
			continue;
		serve_refuse(&c->error, 502, "server_error", "connection_lost",
		    "the connection to the Cloister server was lost; the answer "
		    "is not complete");
		fail(c);
	}
}
