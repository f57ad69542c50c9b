#include "llmproxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define TICK_MS		500	/* deadlines are in seconds */
#define PAUSE_MS	20
#define ENDED_MS	2000	/* from [DONE] to the end of the body */
#define BACKOFF_MS	1000	/* before the second attempt; then doubled */

static void on_text(void *, struct bytes);
static void on_reasoning(void *, struct bytes);
static void attempt(struct request *, bool);

static const struct wire_cb answer_cb = { on_text, on_reasoning };

/* ---- birth and death ----------------------------------------------------- */

static EVP_MD_CTX *
hash_new(void)
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();

	if (h == NULL || EVP_DigestInit_ex(h, sha256_md(), NULL) != 1)
		crypto_fatalx("SHA-256");
	return h;
}

struct request *
request_new(struct grant *g, uint32_t req, uint32_t messages)
{
	struct request *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->grant = g;
	r->lp = g->lp;
	r->req = req;
	r->messages = messages;
	r->fd = -1;
	r->sent = hash_new();
	r->answered = hash_new();
	buf_init(&r->text, LLM_TEXT_MAX);
	buf_init(&r->body, LLM_BODY_MAX);
	buf_init(&r->out, LLM_DELTA_MAX);
	buf_init(&r->error_body, LLM_ERROR_BODY_MAX);
	wire_init(&r->answer, r->lp->up.type, &answer_cb, r);
	g->nrequests++;
	LIST_INSERT_HEAD(&g->requests, r, link);
	return r;
}

static bool
is_flying(const struct request *r)
{
	return r->state != R_FILLING && r->state != R_REFUSED;
}

static void
forget_text(struct request *r)
{
	buf_free(&r->text);
	r->lp->text_bytes -= r->announced;
	r->announced = 0;
}

static void
request_free(struct request *r)
{
	transport_end(r);
	loop_timer_free(r->timer);
	if (is_flying(r)) {
		LIST_REMOVE(r, flight);
		if (--r->lp->nflying == 0) {
			loop_timer_free(r->lp->tick);
			r->lp->tick = NULL;
		}
	}
	if (r->state == R_REFUSED)
		r->grant->nrefused--;
	else
		r->grant->nrequests--;
	LIST_REMOVE(r, link);
	forget_text(r);
	wire_free(&r->answer);
	buf_free(&r->body);
	buf_free(&r->out);
	buf_free(&r->error_body);
	EVP_MD_CTX_free(r->sent);
	EVP_MD_CTX_free(r->answered);
	free(r->msg);
	free(r);
}

/* ---- what the worker and the vault are told ------------------------------ */

static void
send_error(struct request *r, enum err code, const char *text)
{
	char h[LLM_HINT_MAX + 1];
	struct m_ls_error m = {
		.req = r->req, .code = (uint16_t)code, .text = bytes_str(text)
	};

	judge_hint(r, code, h);
	m.hint = bytes_str(h);
	(void)chan_send(r->grant->chan, MSG_ls_error, &m, -1);
}

static uint32_t
tokens(int64_t n)
{
	return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* The vault's own account of what was asked and answered, and the log's. */
static void
report(struct request *r, enum finish finish)
{
	static const char *const names[] = { "none", "stop", "length",
	    "cancelled", "truncated", "error", "tool_calls",
	    "content_filter" };
	struct m_lv_usage m = {
		.n = r->grant->n, .req = r->req, .finish = (uint8_t)finish,
		.prompt_tokens = tokens(r->answer.prompt_tokens),
		.completion_tokens = tokens(r->answer.completion_tokens),
		.model = bytes_str(r->grant->model->alias)
	};

	if (EVP_DigestFinal_ex(r->sent, m.sent_hash, NULL) != 1 ||
	    EVP_DigestFinal_ex(r->answered, m.answer_hash, NULL) != 1)
		crypto_fatalx("SHA-256");
	(void)chan_send(r->lp->vault, MSG_lv_usage, &m, -1);
	log_info("session %llu model %s: %s, %u + %u tokens, %llu ms",
	    (unsigned long long)m.n, r->grant->model->alias, names[finish],
	    m.prompt_tokens, m.completion_tokens,
	    (unsigned long long)(mono_ms() - r->started_ms));
}

/*
 * The vault's account of how the provider fares: one that finds a conversation
 * too long, or a request wrong, is well.  o->log is never a text of the
 * provider's, which could quote what it was sent.
 */
static void
report_health(struct request *r, const struct outcome *o)
{
	struct m_lv_health m = { .code = (uint16_t)o->code };
	char text[161];

	if (o->code == ERR_CONTEXT)
		m.code = 0;
	if (m.code != 0) {
		(void)strlcpy(text, o->log, sizeof(text));
		log_clean(text);
		m.text = bytes_str(text);
	}
	(void)chan_send(r->lp->vault, MSG_lv_health, &m, -1);
}

static void
flush(struct request *r)
{
	struct m_ls_delta m = {
		.req = r->req, .kind = r->out_kind, .text = buf_bytes(&r->out)
	};

	if (r->out.n == 0)
		return;
	if (r->out_kind == 0 && EVP_DigestUpdate(r->answered, r->out.p,
	    r->out.n) != 1)
		crypto_fatalx("SHA-256");
	/* A channel that is finished tells its owner from the loop. */
	(void)chan_send(r->grant->chan, MSG_ls_delta, &m, -1);
	buf_reset(&r->out);
}

/* How much of t fits into room, in whole characters. */
static size_t
fitting(struct bytes t, size_t room)
{
	if (t.n <= room)
		return t.n;
	while (room > 0 && (t.p[room] & 0xc0) == 0x80)
		room--;
	return room;
}

static void
gather(struct request *r, uint8_t kind, struct bytes t)
{
	size_t n;

	if (kind != r->out_kind)
		flush(r);
	r->out_kind = kind;
	while (t.n > 0) {
		if ((n = fitting(t, LLM_DELTA_MAX - r->out.n)) == 0) {
			flush(r);
			continue;
		}
		buf_put(&r->out, t.p, n);
		if (r->out.err)
			fatalx("no memory for a delta");
		t = bytes_of(t.p + n, t.n - n);
	}
}

static void
on_text(void *arg, struct bytes t)
{
	gather(arg, 0, t);
}

static void
on_reasoning(void *arg, struct bytes t)
{
	gather(arg, 1, t);
}

/* The end of a request that was started. */
static void
conclude(struct request *r, const struct outcome *o)
{
	struct m_ls_end end = {
		.req = r->req, .finish = (uint8_t)o->finish,
		.prompt_tokens = tokens(r->answer.prompt_tokens),
		.completion_tokens = tokens(r->answer.completion_tokens)
	};

	flush(r);
	/* First: whoever hears of the end finds the vault informed. */
	report(r, o->finish);
	if (o->code == 0)
		(void)chan_send(r->grant->chan, MSG_ls_end, &end, -1);
	else
		send_error(r, o->code, o->text);
	request_free(r);
}

void
request_refuse(struct request *r, const char *why)
{
	send_error(r, ERR_LIMIT, why);
	forget_text(r);
	free(r->msg);
	r->msg = NULL;
	r->state = R_REFUSED;
	r->grant->nrequests--;
	r->grant->nrefused++;
}

void
request_cancel(struct request *r)
{
	struct outcome o = { .finish = FINISH_CANCELLED };
	struct m_ls_end end = { .req = r->req, .finish = FINISH_CANCELLED };

	if (is_flying(r)) {
		conclude(r, &o);
		return;
	}
	(void)chan_send(r->grant->chan, MSG_ls_end, &end, -1);
	request_free(r);
}

void
request_abandon(struct request *r)
{
	if (is_flying(r))
		report(r, FINISH_CANCELLED);
	request_free(r);
}

/* ---- time ---------------------------------------------------------------- */

static void
set_deadline(struct request *r, uint64_t ms)
{
	r->deadline_ms = mono_ms() + ms;
}

static void
timed_out(struct request *r, uint64_t now)
{
	const struct upstream *up = &r->lp->up;
	char text[128];

	if (r->ended) {
		request_attempt_done(r, CURLE_OK, "");
		return;
	}
	if (now >= r->total_ms)
		(void)snprintf(text, sizeof(text), "the answer took longer than "
		    "%u seconds", up->total_s);
	else if (r->state == R_CONNECTING)
		(void)snprintf(text, sizeof(text), "no connection to the "
		    "model's server within %u seconds", up->connect_s);
	else if (!r->answering)
		(void)snprintf(text, sizeof(text), "the model's server did not "
		    "begin to answer within %u seconds", up->first_byte_s);
	else
		(void)snprintf(text, sizeof(text), "the model's server sent "
		    "nothing for %u seconds", up->idle_s);
	request_attempt_done(r, CURLE_OPERATION_TIMEDOUT, text);
}

static void
on_tick(void *arg)
{
	struct llmproxy *lp = arg;
	struct request *r, *next;
	uint64_t now = mono_ms();

	lp->tick = loop_timer_new(lp->loop, TICK_MS, on_tick, lp);
	for (r = LIST_FIRST(&lp->flying); r != NULL; r = next) {
		next = LIST_NEXT(r, flight);
		if (now >= r->total_ms || (r->state != R_BACKOFF &&
		    now >= r->deadline_ms))
			timed_out(r, now);
	}
}

static void
on_pause(void *arg)
{
	struct request *r = arg;

	r->timer = NULL;
	set_deadline(r, (uint64_t)r->lp->up.idle_s * 1000);
	if (chan_queued(r->grant->chan) > LLM_QUEUE_MAX / 2)
		r->timer = loop_timer_new(r->lp->loop, PAUSE_MS, on_pause, r);
	else
		transport_resume(r);
}

bool
request_paused(struct request *r)
{
	if (chan_queued(r->grant->chan) <= LLM_QUEUE_MAX)
		return false;
	if (r->timer == NULL)
		r->timer = loop_timer_new(r->lp->loop, PAUSE_MS, on_pause, r);
	return true;
}

/* ---- attempts ------------------------------------------------------------ */

/* The smaller of two limits, of which 0 is none. */
static uint32_t
least(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The JSON body: the model's own system prompt, then what the worker sent. */
static int
build(struct request *r)
{
	const struct llm_model *model = r->grant->model;
	static const enum wire_role roles[] = { [KIND_USER] = WIRE_USER,
	    [KIND_ASSISTANT] = WIRE_ASSISTANT, [KIND_SYSTEM] = WIRE_SYSTEM };
	uint32_t temperature = r->temperature > 0 ? r->temperature :
	    model->temperature;
	struct wire_req req = {
		.model = model->upstream, .context = model->context,
		.max_tokens = least(model->max_tokens, r->max_tokens),
		.temperature = temperature, .top_p = r->top_p
	};
	struct wire_msg *msgs;
	size_t n = 0;
	int rc;

	if ((msgs = calloc((size_t)r->nmsgs + 1, sizeof(*msgs))) == NULL)
		fatal("calloc");
	if (model->system[0] != '\0')
		msgs[n++] = (struct wire_msg){ WIRE_SYSTEM,
		    bytes_str(model->system) };
	for (uint32_t i = 0; i < r->nmsgs; i++)
		msgs[n++] = (struct wire_msg){
		    roles[r->msg[i].kind],
		    r->msg[i].len == 0 ? bytes_of(NULL, 0) :
		    bytes_of(r->text.p + r->msg[i].off, r->msg[i].len) };
	req.msgs = msgs;
	req.nmsgs = n;
	rc = r->text.err ? -1 : wire_request(&r->body, r->lp->up.type,
	    &req);
	free(msgs);
	buf_free(&r->text);
	return rc;
}

/* Whether it asks for no more than its model may give; else it ends here. */
static bool
within(struct request *r)
{
	uint32_t max = r->grant->model->max_tokens;
	char text[80];

	if (max == 0 || r->max_tokens <= max)
		return true;
	(void)snprintf(text, sizeof(text), "max_tokens is %u, and this model "
	    "gives %u at most", r->max_tokens, max);
	send_error(r, ERR_BAD, text);
	request_free(r);
	return false;
}

void
request_start(struct request *r)
{
	struct llmproxy *lp = r->lp;

	if (!within(r))
		return;
	if (lp->nflying >= LLM_REQUESTS_MAX || build(r) == -1) {
		if (lp->nflying >= LLM_REQUESTS_MAX)
			send_error(r, ERR_LIMIT, "too many questions at once "
			    "for this provider");
		else
			send_error(r, ERR_BAD, "the text cannot be sent: "
			    "it is not UTF-8, holds a NUL or is too long");
		request_free(r);
		return;
	}
	LIST_INSERT_HEAD(&lp->flying, r, flight);
	if (lp->nflying++ == 0)
		lp->tick = loop_timer_new(lp->loop, TICK_MS, on_tick, lp);
	r->started_ms = mono_ms();
	r->total_ms = r->started_ms + (uint64_t)lp->up.total_s * 1000;
	attempt(r, false);
}

static void
attempt(struct request *r, bool fresh)
{
	const struct upstream *up = &r->lp->up;

	if (!fresh)
		r->attempt++;
	r->head_bytes = r->body_bytes = 0;
	r->answering = r->ended = false;
	buf_reset(&r->error_body);
	wire_free(&r->answer);
	wire_init(&r->answer, r->lp->up.type, &answer_cb, r);
	set_deadline(r, ((uint64_t)up->connect_s + up->first_byte_s) * 1000);
	transport_begin(r, fresh);
}

static void
on_backoff(void *arg)
{
	struct request *r = arg;

	r->timer = NULL;
	attempt(r, false);
}

/* Arrange for another attempt; false when there has been enough of them. */
static bool
try_again(struct request *r, const struct outcome *o)
{
	uint64_t ms = (uint64_t)BACKOFF_MS << (r->attempt - 1);

	if (!o->retry || r->attempt >= LLM_ATTEMPTS_MAX || r->answer.delivered)
		return false;
	if (o->retry_after_ms >= 0)
		ms = (uint64_t)o->retry_after_ms;
	else
		ms = ms / 2 + arc4random_uniform((uint32_t)ms / 2);
	if (ms > LLM_WAIT_MAX_MS - r->waited_ms || mono_ms() + ms >= r->total_ms)
		return false;
	log_info("session %llu model %s: attempt %d: %s; again in %llu ms",
	    (unsigned long long)r->grant->n, r->grant->model->alias, r->attempt,
	    o->log, (unsigned long long)ms);
	transport_end(r);
	r->waited_ms += ms;
	r->state = R_BACKOFF;
	loop_timer_free(r->timer);	/* it may have been paused */
	r->timer = loop_timer_new(r->lp->loop, ms, on_backoff, r);
	return true;
}

void
request_attempt_done(struct request *r, CURLcode rc, const char *text)
{
	struct outcome o = { .finish = FINISH_ERROR, .retry_after_ms = -1 };

	o.log = o.text;
	/* An idle connection that was counted on had been closed. */
	if (r->no_fd && !r->answering) {
		r->no_fd = false;	/* what comes next is the fresh one's */
		transport_end(r);
		attempt(r, true);
		return;
	}
	judge(r, rc, text, &o);
	report_health(r, &o);
	if (o.code != 0) {
		if (try_again(r, &o))
			return;
		log_warn("session %llu model %s: %s",
		    (unsigned long long)r->grant->n, r->grant->model->alias,
		    o.log);
	}
	conclude(r, &o);
}

int
request_body(struct request *r, const void *p, size_t n)
{
	long status;
	int rc;

	if (curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status) !=
	    CURLE_OK)
		return -1;
	r->answering = true;
	if (r->ended)
		return 0;
	set_deadline(r, (uint64_t)r->lp->up.idle_s * 1000);
	if (n > LLM_BODY_MAX - r->body_bytes)
		return -1;
	r->body_bytes += n;
	if (status != 200) {
		/* What does not fit any more is not worth reading. */
		buf_put(&r->error_body, p, n);
		return r->error_body.err ? -1 : 0;
	}
	rc = wire_feed(&r->answer, p, n);
	flush(r);
	if (rc == 1) {
		r->ended = true;
		set_deadline(r, ENDED_MS);
	}
	return rc == -1 ? -1 : 0;
}
