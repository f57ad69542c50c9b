#include "recover.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "convs.h"
#include "exits.h"
#include "loop.h"
#include "output.h"
#include "sessions.h"
#include "ui.h"

#define SESSIONS_MAX	10000	/* that a server may list */
#define END_MS		5000	/* for a session that was lost, to end by itself */
#define LOOK_MS		200
#define CLOCKS_US	(600ull * 1000 * 1000)	/* by which two may differ */

/* What a conversation's messages say of the question. */
struct seen {
	const struct recover *r;
	bool	asked;			/* the newest question is this one */
	bool	answered;		/* and an answer follows it */
	struct m_s_end end;		/* what its end would have said */
	char	model[65];
	struct buf text;		/* the answer's */
};

static int
look_at(const struct m_s_msg *m, void *arg)
{
	struct seen *s = arg;

	if (m->kind == KIND_USER) {
		s->asked = m->number > s->r->last &&
		    m->time_us + CLOCKS_US >= s->r->sent_us &&
		    bytes_eq(m->text, s->r->text);
		s->answered = false;
		s->end.question = m->number;
	} else if (m->kind == KIND_ASSISTANT) {
		s->answered = true;
		s->end.finish = m->finish;
		s->end.answer = m->number;
		s->end.prompt_tokens = m->prompt_tokens;
		s->end.completion_tokens = m->completion_tokens;
		(void)msg_text(s->model, sizeof(s->model), m->model);
		buf_reset(&s->text);
		buf_put(&s->text, m->text.p, m->text.n);
	}
	return RC_OK;
}

/* The newest one, which is the first that is listed. */
static bool
newest(const struct m_s_conv *m, void *arg)
{
	memcpy(arg, m->conv, CONV_LEN);
	return false;
}

static int
look(struct client *cl, struct seen *s, uint8_t conv[CONV_LEN])
{
	static const uint8_t none[CONV_LEN];
	uint8_t id[CONV_LEN];
	int rc = RC_OK;

	memcpy(id, conv, CONV_LEN);
	if (memcmp(id, none, CONV_LEN) == 0)
		rc = convs_each(cl->conn, newest, id);
	if (rc != RC_OK || memcmp(id, none, CONV_LEN) == 0)
		return rc;
	rc = convs_messages(cl->conn, id, look_at, s);
	if (rc == RC_OK && (s->asked || s->r->stored)) {
		memcpy(conv, id, CONV_LEN);
		convs_remember(cl, id);
	}
	return rc;
}

/*
 * The answer, unless a part of it would be there twice for whoever reads it; whether
 * it is there now.
 */
static bool
show(struct client *cl, struct seen *s)
{
	struct output *out;
	bool ok;

	if (s->end.finish != FINISH_STOP || s->text.err ||
	    (s->r->shown && !isatty(STDOUT_FILENO)))
		return false;
	if (s->r->shown)
		ui_err("the whole answer, from its beginning:");
	s->end.model = bytes_str(s->model);
	out = output_new(&cl->args);
	ok = output_text(out, buf_bytes(&s->text)) == 0 &&
	    output_end(out, &s->end) == 0;
	output_free(out);
	return ui_newline() == 0 && ok;
}

/* What the server has of it, in words. */
static void
tell(struct client *cl, struct recover *r, struct seen *s, const char *hex)
{
	const char *again = cl->args.command == CMD_CHAT ?
	    "; /retry asks it again in its place" : "";

	if (!s->asked)
		ui_err("the server does not have your question: ask again");
	else if (!s->answered)
		ui_err("the server has your question and no answer to it; "
		    "`cloister show %s' shows whether one comes yet%s", hex,
		    again);
	else if (show(cl, s))
		r->whole = true;
	else
		ui_err("the server has your question and %s answer: "
		    "`cloister show %s'%s", s->end.finish == FINISH_STOP ?
		    "the whole" : "what there is of an", hex,
		    s->end.finish == FINISH_STOP ? "" : again);
}

struct lost {
	const uint8_t	*id;
	bool		 there;
};

static int
is_it(const struct m_s_session *s, void *arg)
{
	struct lost *l = arg;

	l->there |= memcmp(s->session_id, l->id, sizeof(s->session_id)) == 0;
	return RC_OK;
}

/* Whether the session that was lost still goes on, as far as is known. */
static bool
goes_on(struct conn *c)
{
	struct lost l = { .id = conn_before(c) };

	return sessions_each(c, SESSIONS_MAX, is_it, &l) == RC_OK && l.there;
}

static void
end_session(struct conn *c)
{
	struct m_c_session_end q = { .req = conn_request(c) };
	struct msg m;

	memcpy(q.session_id, conn_before(c), sizeof(q.session_id));
	ui_step("ending the session that was lost");
	/* That it has ended meanwhile is no error. */
	if (conn_send(c, MSG_c_session_end, &q) == RC_OK &&
	    conn_next(c, &m) == RC_OK && m.type != MSG_s_done &&
	    m.type != MSG_s_error)
		(void)conn_violation(c, &m);
}

/*
 * The server may not know yet that the connection is lost, and be about to store the
 * question: what it has of it is not certain before that session has ended.
 */
static void
await_end(struct conn *c)
{
	uint64_t deadline_ms = mono_ms() + END_MS;

	while (goes_on(c)) {
		if (mono_ms() >= deadline_ms) {
			end_session(c);
			break;
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
	/* What it has given to be stored is stored in any case. */
	(void)poll(NULL, 0, LOOK_MS);
}

int
recover_run(struct client *cl, struct recover *r, uint8_t conv[CONV_LEN])
{
	struct seen s = { .r = r, .text = BUF_INIT(MSG_TEXT_MAX_BYTES) };
	char hex[CONV_HEX];
	int rc = conn_ready(cl->conn);

	if (rc == RC_OK && cl->args.nostore) {
		ui_err("nothing of it was stored; ask again if you like");
		return RC_OK;
	}
	if (rc == RC_OK)
		await_end(cl->conn);
	if (rc == RC_OK)
		rc = look(cl, &s, conv);
	if (rc != RC_OK)
		ui_err("whether the server has your question is not known: "
		    "`cloister list' shows it before you ask again");
	else {
		hex_encode(hex, conv, CONV_LEN);
		memcpy(s.end.conv, conv, CONV_LEN);
		tell(cl, r, &s, hex);
	}
	buf_free(&s.text);
	return rc;
}
