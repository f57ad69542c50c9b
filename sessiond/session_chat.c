#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "log.h"
#include "session_chat.h"

#define HISTORY_MAX_BYTES	(9u << 20)	/* with the prompt under 10 MiB */
#define LLM_QUEUE_MAX_BYTES	(15u << 20)	/* under CHAN_QUEUE_MAX_BYTES */
#define DELTA_MAX_BYTES		16000		/* text of one delta */
#define FLAG_NOSTORE		0x01		/* c_prompt.flags */

void
chat_free(struct chat *c)
{
	if (c == NULL)
		return;
	history_free(&c->history);
	options_free(c->options);
	buf_free(&c->prompt);
	buf_free(&c->proof);
	buf_free(&c->answer);
	buf_free(&c->held);
	freezero(c, sizeof(*c));
}

/* Whether a system prompt came with the question. */
static bool
has_system(const struct chat *c)
{
	return c->options != NULL && (c->options->flags & OPTIONS_SYSTEM) != 0;
}

/* Store the system prompt, the question or the answer. */
static void
put(struct session *s, const struct req *r, uint8_t kind)
{
	const struct chat *c = r->chat;
	struct bytes text = buf_bytes(kind == KIND_USER ? &c->prompt :
	    kind == KIND_SYSTEM ? &c->options->system : &c->answer);
	struct m_sv_put m = {
		.req = r->rid, .kind = kind, .len = (uint32_t)text.n,
		.model = bytes_str(kind == KIND_ASSISTANT ? c->model : c->asked),
		.proof = kind == KIND_USER ? buf_bytes(&c->proof) :
		    bytes_of(NULL, 0)
	};

	memcpy(m.conv, c->conv, sizeof(m.conv));
	if (kind == KIND_USER)
		memcpy(m.mac, c->mac, sizeof(m.mac));
	else if (kind == KIND_SYSTEM)
		memcpy(m.mac, c->options->mac, sizeof(m.mac));
	else {
		m.finish = c->finish;
		m.prompt_tokens = c->prompt_tokens;
		m.completion_tokens = c->completion_tokens;
	}
	session_vault(s, MSG_sv_put, &m);
	session_vault_data(s, r, text);
}

static void
reply(struct session *s, struct req *r)
{
	const struct chat *c = r->chat;
	struct m_s_end m = {
		.req = r->id, .finish = c->finish,
		.prompt_tokens = c->prompt_tokens,
		.completion_tokens = c->completion_tokens,
		.question = c->question, .answer = c->number,
		.model = bytes_str(c->model)
	};

	memcpy(m.conv, c->conv, sizeof(m.conv));
	if (c->code != 0)
		session_error(s, r->id, c->code, c->text, c->hint);
	else {
		chat_flush(s, r);
		io_send(s, MSG_s_end, &m);
	}
	req_free(s, r);
}

/*
 * Go on after any change.  What is answered is stored first, and an answer is
 * stored behind its question.
 */
static void
settle(struct session *s, struct req *r)
{
	struct chat *c = r->chat;

	if (!c->ended || (!c->nostore && !c->stored))
		return;
	if (!c->nostore && c->started && c->number == 0 &&
	    (c->code == 0 || c->answer.n > 0)) {
		if (!c->put) {
			put(s, r, KIND_ASSISTANT);
			c->put = true;
		}
		return;
	}
	reply(s, r);
}

static void
stop_llm(const struct req *r)
{
	const struct chat *c = r->chat;
	struct m_sl_cancel m = { .req = r->rid };

	/* A channel that takes nothing more has ended: that is noticed. */
	if (c->started && !c->ended && c->llm != NULL)
		(void)chan_send(c->llm->chan, MSG_sl_cancel, &m, -1);
}

void
chat_fail(struct session *s, struct req *r, enum err code,
    const char *text, const char *hint)
{
	struct chat *c = r->chat;

	c->ended = true;
	c->code = code;
	c->finish = code == ERR_TRUNCATED ? FINISH_TRUNCATED : FINISH_ERROR;
	(void)strlcpy(c->text, text, sizeof(c->text));
	(void)strlcpy(c->hint, hint, sizeof(c->hint));
	settle(s, r);
}

static int
send_text(struct chan *llm, uint32_t rid, uint8_t kind, struct bytes text)
{
	struct m_sl_msg m = {
		.req = rid, .kind = kind, .len = (uint32_t)text.n
	};
	struct m_sl_data d = { .req = rid };

	if (chan_send(llm, MSG_sl_msg, &m, -1) != 0)
		return -1;
	while (text.n > 0) {
		d.data = bytes_of(text.p,
		    text.n < DATA_MAX_BYTES ? text.n : DATA_MAX_BYTES);
		if (chan_send(llm, MSG_sl_data, &d, -1) != 0)
			return -1;
		text.p += d.data.n;
		text.n -= d.data.n;
	}
	return 0;
}

/* What was asked: no other model will be, and what of it is stored was given. */
static void
let_go(struct chat *c)
{
	if (!c->started || fallback_waits(c))
		return;
	history_free(&c->history);
	if (!c->waits)
		buf_free(&c->prompt);
}

void
chat_start(struct session *s, struct req *r)
{
	struct chat *c = r->chat;
	struct m_sl_chat m = { .req = r->rid };
	struct past *p;
	int rv;

	if (c->started || c->ended || c->llm == NULL || !c->history_done)
		return;
	if (has_system(c))
		history_set_system(&c->history, buf_bytes(&c->options->system));
	if (chan_queued(c->llm->chan) + c->history.bytes + c->prompt.n >
	    LLM_QUEUE_MAX_BYTES) {
		chat_fail(s, r, ERR_OVERLOADED,
		    "too much is waiting for the model", "try again later");
		return;
	}
	m.messages = c->history.n + (c->history.system.n > 0) +
	    (c->whole ? 0 : 1);
	m.max_tokens = c->max_tokens;
	m.temperature = c->temperature;
	m.top_p = c->top_p;
	c->started = true;
	rv = chan_send(c->llm->chan, MSG_sl_chat, &m, -1);
	if (rv == 0 && c->history.system.n > 0)
		rv = send_text(c->llm->chan, r->rid, KIND_SYSTEM,
		    buf_bytes(&c->history.system));
	TAILQ_FOREACH(p, &c->history.list, link)
		if (rv == 0)
			rv = send_text(c->llm->chan, r->rid, p->kind,
			    buf_bytes(&p->text));
	if (rv == 0 && !c->whole)
		rv = send_text(c->llm->chan, r->rid, KIND_USER,
		    buf_bytes(&c->prompt));
	/* On failure the channel's end follows: chat_llm_lost(). */
	if (rv == 0)
		let_go(c);
}

/* Whether a prompt may be tried at all; else the client is told. */
static bool
acceptable(struct session *s, const struct m_c_prompt *m,
    const struct options *o)
{
	const char *why = o != NULL ? options_bad(o) : NULL;

	if (why != NULL) {
		session_error(s, m->req, ERR_BAD, why, "");
		return false;
	}
	if (m->text.n == 0 || (m->flags & ~FLAG_NOSTORE) != 0) {
		session_error(s, m->req, ERR_BAD, "the prompt is empty", "");
		return false;
	}
	if (m->text.n + (o != NULL ? o->system.n : 0) > s->max_prompt) {
		session_error(s, m->req, ERR_LIMIT, "the prompt is too long",
		    "shorten it");
		return false;
	}
	if (s->sign.n > 0 && (m->flags & FLAG_NOSTORE) != 0) {
		session_error(s, m->req, ERR_BAD, "a signature is stored with "
		    "its message, and this one is not to be stored", "");
		return false;
	}
	return true;
}

struct chat *
chat_new(struct bytes model, struct bytes prompt)
{
	struct chat *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	history_init(&c->history);
	buf_init(&c->prompt, TEXT_MAX_BYTES);
	buf_init(&c->proof, PROOF_MAX);
	buf_init(&c->answer, TEXT_MAX_BYTES);
	buf_init(&c->held, DELTA_MAX_BYTES);
	buf_put(&c->prompt, prompt.p, prompt.n);
	if (c->prompt.err)
		fatalx("no memory");
	(void)msg_text(c->asked, sizeof(c->asked), model);
	return c;
}

/* Whether the chat's conversation is still to be made. */
static bool
is_new(const struct chat *c)
{
	static const uint8_t zeros[CONV_LEN];

	return memcmp(c->conv, zeros, CONV_LEN) == 0;
}

void
chat_find_model(struct session *s, struct req *r, const char *model)
{
	struct m_sv_open_model om = { .req = r->rid,
	    .model = bytes_str(model) };
	struct chat *c = r->chat;

	if ((c->llm = llm_find(s, model)) == NULL)
		session_vault(s, MSG_sv_open_model, &om);
	else
		(void)strlcpy(c->model, c->llm->alias, sizeof(c->model));
}

/* The question, and before it the system prompt that came with it. */
static void
store(struct session *s, struct req *r)
{
	struct chat *c = r->chat;

	c->waits = has_system(c);
	put(s, r, c->waits ? KIND_SYSTEM : KIND_USER);
}

/* Take its options, and what they say about this question alone. */
static void
take_options(struct chat *c, struct options *o)
{
	if ((c->options = o) == NULL)
		return;
	c->max_tokens = o->max_tokens;
	c->temperature = o->temperature;
	c->top_p = o->top_p;
}

void
chat_prompt(struct session *s, const struct m_c_prompt *m)
{
	struct options *o = options_take(s, m->req);
	struct m_sv_read rd = { .from = 1 };
	struct req *r;
	struct chat *c;

	if (s->sign_req != m->req)
		buf_reset(&s->sign);
	if (!acceptable(s, m, o) ||
	    (r = req_new(s, m->req, REQ_CHAT)) == NULL) {
		buf_reset(&s->sign);
		options_free(o);
		return;
	}
	c = r->chat = chat_new(m->model, m->text);
	take_options(c, o);
	buf_put(&c->proof, s->sign.p, s->sign.n);
	if (c->proof.err)
		fatalx("no memory");
	buf_reset(&s->sign);
	memcpy(c->conv, m->conv, sizeof(c->conv));
	memcpy(c->mac, appconn_mac_in(s->app), sizeof(c->mac));
	c->nostore = (m->flags & FLAG_NOSTORE) != 0;
	rd.req = r->rid;
	shaping_begin(s, r);
	if (is_new(c))
		c->history_done = true;
	else {
		memcpy(rd.conv, c->conv, sizeof(rd.conv));
		session_vault(s, MSG_sv_read, &rd);
	}
	chat_find_model(s, r, c->asked);
	if (!c->nostore)
		store(s, r);
	chat_start(s, r);
}

void
chat_sign(struct session *s, const struct m_c_sign *m)
{
	buf_reset(&s->sign);
	buf_put(&s->sign, m->proof.p, m->proof.n);
	s->sign_req = m->req;
	if (s->sign.err)
		fatalx("no memory");
}

bool
chat_busy(const struct session *s, const uint8_t conv[CONV_LEN])
{
	const struct req *r;

	TAILQ_FOREACH(r, &s->reqs, link)
		if (r->chat != NULL && !r->chat->nostore &&
		    memcmp(r->chat->conv, conv, CONV_LEN) == 0)
			return true;
	return false;
}

void
chat_cancel(struct session *s, struct req *r)
{
	struct chat *c = r->chat;

	if (c->ended || c->cancelled)
		return;
	c->cancelled = true;
	if (c->started) {
		stop_llm(r);		/* its end comes with what there is */
		return;
	}
	c->ended = true;
	c->finish = FINISH_CANCELLED;
	settle(s, r);
}

void
chat_truncate(struct session *s, struct req *r)
{
	const struct chat *c = r->chat;

	if (c->ended)
		return;
	stop_llm(r);
	chat_fail(s, r, c->started ? ERR_TRUNCATED : ERR_OVERLOADED,
	    "the server is stopping", c->started && !c->nostore ?
	    "what came until here is kept" : "ask again later");
}

bool
chat_reading(const struct req *r)
{
	return !r->chat->history_done;
}

void
chat_history(struct session *s, struct req *r)
{
	const struct m_vs_msg *h = &r->head;
	struct chat *c = r->chat;

	if (c->ended || h->finish == FINISH_ERROR) {
		buf_reset(&r->text);
		return;
	}
	if (h->kind < KIND_USER || h->kind > KIND_WITHDRAWN) {
		session_violation(s, "vault: kind of message");
		return;
	}
	history_take(&c->history, h->kind, &r->text);
	if (c->history.bytes + c->prompt.n > HISTORY_MAX_BYTES) {
		history_free(&c->history);
		chat_fail(s, r, ERR_LIMIT, "the conversation is too long",
		    "start a new one");
	}
}

void
chat_history_done(struct session *s, struct req *r)
{
	r->chat->history_done = true;
	chat_start(s, r);
}

void
chat_stored(struct session *s, struct req *r, const struct m_vs_stored *m)
{
	struct m_s_stored out = {
		.req = r->id, .number = m->number, .time_us = m->time_us
	};
	struct chat *c = r->chat;

	if (c->nostore || (c->stored && !c->put) || m->number == 0 ||
	    (!is_new(c) && memcmp(c->conv, m->conv, CONV_LEN) != 0)) {
		session_violation(s, "vault: stored what was not given");
		return;
	}
	memcpy(c->conv, m->conv, sizeof(c->conv));
	if (c->waits) {
		c->waits = false;
		put(s, r, KIND_USER);
		let_go(c);
		return;
	}
	if (!c->stored) {
		c->stored = true;
		c->question = m->number;
		memcpy(out.conv, m->conv, sizeof(out.conv));
		io_send(s, MSG_s_stored, &out);
	} else
		c->number = m->number;
	settle(s, r);
}

void
chat_refused(struct session *s, struct req *r)
{
	stop_llm(r);
	req_free(s, r);
}

bool
chat_wants_default(const struct req *r)
{
	return r->chat->asked[0] == '\0' && !r->chat->fell_back;
}

void
chat_opened(struct session *s, struct req *r, struct llm *llm)
{
	struct chat *c = r->chat;

	if (c->llm != NULL)
		return;
	c->llm = llm;
	(void)strlcpy(c->model, llm->alias, sizeof(c->model));
	chat_start(s, r);
}

void
chat_llm_lost(struct session *s, struct req *r, const struct llm *llm)
{
	struct chat *c = r->chat;

	if (c->llm != llm || (!c->ended && fallback_take(s, r, ERR_UPSTREAM,
	    "its proxy failed")))
		return;
	c->llm = NULL;
	if (!c->ended)
		chat_fail(s, r, ERR_UPSTREAM, "the model server's proxy "
		    "failed", "try again");
}

void
chat_flush(struct session *s, struct req *r)
{
	struct chat *c = r->chat;
	struct m_s_delta out = {
		.req = r->id, .kind = c->held_kind, .text = buf_bytes(&c->held)
	};

	if (c->held.n > 0)
		io_send(s, MSG_s_delta, &out);
	buf_reset(&c->held);
}

/* Send text, or hold it back until a record has room: many make one message. */
static void
say(struct session *s, struct req *r, uint8_t kind, struct bytes text)
{
	struct m_s_delta out = { .req = r->id, .kind = kind, .text = text };
	struct chat *c = r->chat;

	if (!shape_active(&s->shape)) {
		io_send(s, MSG_s_delta, &out);
		return;
	}
	if (kind != c->held_kind || text.n > DELTA_MAX_BYTES - c->held.n)
		chat_flush(s, r);
	c->held_kind = kind;
	buf_put(&c->held, text.p, text.n);
	if (c->held.err)
		fatalx("no memory");
}

void
chat_said(struct chat *c)
{
	if (c->some)
		return;
	c->some = true;
	let_go(c);
}

int
chat_delta(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_delta *m)
{
	struct chat *c = r->chat;

	if (c->llm != llm || !c->started)
		return -1;
	if (c->ended || m->text.n == 0)
		return 0;
	chat_said(c);
	if (m->kind == 0 && !c->nostore) {
		if (m->text.n > TEXT_MAX_BYTES - c->answer.n) {
			stop_llm(r);
			chat_fail(s, r, ERR_TRUNCATED,
			    "the answer is too long",
			    "what came until here is kept");
			return 0;
		}
		buf_put(&c->answer, m->text.p, m->text.n);
		if (c->answer.err)
			fatalx("no memory");
	}
	say(s, r, m->kind, m->text);
	return 0;
}

int
chat_end(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_end *m)
{
	struct chat *c = r->chat;

	if (c->llm != llm || !c->started)
		return -1;
	if (c->ended)
		return 0;
	c->ended = true;
	c->finish = m->finish;
	c->prompt_tokens = m->prompt_tokens;
	c->completion_tokens = m->completion_tokens;
	settle(s, r);
	return 0;
}

int
chat_error(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_error *m)
{
	struct chat *c = r->chat;
	char text[513], hint[257];

	if (c->llm != llm || !c->started || m->code == 0 ||
	    msg_text(text, sizeof(text), m->text) == -1 ||
	    msg_text(hint, sizeof(hint), m->hint) == -1)
		return -1;
	if (!c->ended && !fallback_take(s, r, m->code, text))
		chat_fail(s, r, m->code, text, hint);
	return 0;
}
