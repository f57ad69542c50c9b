#include "answer.h"

#include <string.h>

#include "convs.h"
#include "exits.h"
#include "intr.h"
#include "output.h"
#include "sign.h"
#include "spinner.h"
#include "ui.h"

/* One question on its way. */
struct answer {
	struct client	*cl;
	uint32_t	 req;
	uint8_t		*conv;
	struct output	*out;
	bool		 some;		/* text of the answer was printed */
	bool		 cancelled;	/* c_cancel was sent */
	bool		 gone;
	uint64_t	 answered;	/* by this message; 0: not yet */
	struct sign	 sign;
	struct answer_end *end;
};

static int
cancel(struct answer *a)
{
	struct m_c_cancel q = { .req = a->req };

	a->cancelled = true;
	return conn_send(a->cl->conn, MSG_c_cancel, &q);
}

/* After output: RC_OK, or RC_ERROR when nobody reads it any more. */
static int
printed(struct answer *a, int rv)
{
	a->gone = a->gone || rv == -1;
	return rv == 0 ? RC_OK : RC_ERROR;
}

static void
stored(struct answer *a, const uint8_t conv[CONV_LEN])
{
	static const uint8_t none[CONV_LEN];

	if (memcmp(conv, none, CONV_LEN) == 0)
		return;
	memcpy(a->conv, conv, CONV_LEN);
	convs_remember(a->cl, conv);
}

/* How it ended, in words and as an exit code. */
static int
finish(struct answer *a, const struct m_s_end *e)
{
	ui_step("%.*s: %u tokens in, %u tokens out", (int)e->model.n,
	    (const char *)e->model.p, e->prompt_tokens, e->completion_tokens);
	switch (e->finish) {
	case FINISH_STOP:
		return RC_OK;
	case FINISH_LENGTH:
		ui_err("the answer ends here because the model's limit of "
		    "tokens was reached; ask it to go on");
		return RC_OK;
	case FINISH_CANCELLED:
		ui_err("cancelled");
		return a->cancelled ? RC_INTERRUPTED : RC_INCOMPLETE;
	case FINISH_TRUNCATED:
		ui_err("TRUNCATED: the model's server broke off; the answer is "
		    "incomplete");
		return RC_INCOMPLETE;
	case FINISH_TOOL_CALLS:
		ui_err("the model asked for a tool, and there are none here; "
		    "the answer may be incomplete");
		return RC_INCOMPLETE;
	case FINISH_FILTER:
		ui_err("the provider withheld the rest of the answer");
		return RC_INCOMPLETE;
	default:
		ui_err("the answer ended by an error and is incomplete");
		return RC_INCOMPLETE;
	}
}

static int
delta(struct answer *a, const struct m_s_delta *d)
{
	int rc;

	if (d->kind != DELTA_ANSWER) {
		output_reasoning(a->out, d->text);
		return -1;
	}
	a->some = a->some || d->text.n > 0;
	sign_delta(&a->sign, d->text);
	rc = printed(a, output_text(a->out, d->text));
	return rc == RC_OK ? -1 : rc;
}

static int
failed(struct answer *a, const struct m_s_error *e)
{
	/* What came is shown; that it is not all is told below. */
	if (a->some || a->cl->args.json)
		(void)output_end(a->out, NULL);
	(void)server_error(e);
	if (!a->some)
		return RC_SERVER;
	ui_err("the answer is incomplete");
	return RC_INCOMPLETE;
}

/* Take one message: -1 to go on, or the exit code of the whole. */
static int
take(struct answer *a, const struct msg *m)
{
	int rc;

	if (m->type == MSG_s_stored && m->u.s_stored.req == a->req) {
		stored(a, m->u.s_stored.conv);
		a->end->stored = true;
		a->cl->system_due = false;	/* it is, before it */
		a->end->last = m->u.s_stored.number;
		return -1;
	}
	spinner_stop();
	if (m->type == MSG_s_delta && m->u.s_delta.req == a->req)
		return delta(a, &m->u.s_delta);
	if (m->type == MSG_s_end && m->u.s_end.req == a->req) {
		if (m->u.s_end.answer != 0)
			a->end->last = m->u.s_end.answer;
		a->answered = m->u.s_end.answer;
		rc = printed(a, output_end(a->out, &m->u.s_end));
		return rc == RC_OK ? finish(a, &m->u.s_end) : rc;
	}
	if (m->type == MSG_s_error && m->u.s_error.req == a->req)
		return failed(a, &m->u.s_error);
	return conn_violation(a->cl->conn, m);
}

/* ^C: the first cancels, the second waits no more. */
static int
interrupted(struct answer *a)
{
	intr_clear();
	if (!a->cancelled)
		return cancel(a) == RC_OK ? -1 : RC_LOST;
	a->gone = true;
	return RC_INTERRUPTED;
}

/* Read until the answer ends. */
static int
receive(struct answer *a)
{
	struct msg m;
	int fds[2] = { intr_fd(), -1 }, r, rc = -1;

	spinner_start();
	while (rc == -1) {
		fds[1] = spinner_fd();
		r = conn_wait(a->cl->conn, fds, 2, &m);
		if (r == CONN_MESSAGE)
			rc = take(a, &m);
		else if (r == 1)
			spinner_turn();
		else
			rc = r == CONN_LOST ? RC_LOST : interrupted(a);
	}
	spinner_stop();
	if (!a->gone || rc == RC_INTERRUPTED)
		(void)ui_newline();
	return rc;
}

/* What the question is asked with, if anything is to be said. */
static int
send_options(struct client *cl, uint32_t req)
{
	struct m_c_options o = { .req = req,
	    .max_tokens = cl->params.max_tokens,
	    .temperature = cl->params.temperature, .top_p = cl->params.top_p };

	if (!cl->system_due && !params_any(&cl->params))
		return RC_OK;
	if (cl->system_due) {
		o.flags = OPTIONS_SYSTEM;
		o.system = bytes_str(cl->system);
	}
	return conn_send(cl->conn, MSG_c_options, &o);
}

int
answer_run(struct client *cl, struct bytes text, uint8_t conv[CONV_LEN],
    struct answer_end *end)
{
	struct answer a = { .cl = cl, .req = conn_request(cl->conn),
	    .conv = conv, .end = end };
	struct m_c_prompt q = { .req = a.req, .text = text,
	    .flags = cl->args.nostore ? PROMPT_NOSTORE : 0,
	    .model = bytes_str(cl->model != NULL ? cl->model : "") };
	int rc;

	memset(end, 0, sizeof(*end));
	memcpy(q.conv, conv, CONV_LEN);
	a.out = output_new(&cl->args);
	intr_clear();
	rc = sign_question(cl, a.req, text, conv, &a.sign);
	if (rc == RC_OK)
		rc = send_options(cl, a.req);
	if (rc == RC_OK)
		rc = conn_send(cl->conn, MSG_c_prompt, &q);
	if (rc == RC_OK)
		rc = receive(&a);
	if (a.gone && !a.cancelled)
		(void)cancel(&a);
	if (a.answered != 0 && !a.gone)
		(void)sign_receipt(cl, &a.sign, conv, a.answered);
	sign_free(&a.sign);
	output_free(a.out);
	end->gone = a.gone;
	end->some = a.some;
	return rc;
}
