#include "recover.h"

#include <string.h>

#include "convs.h"
#include "exits.h"
#include "ui.h"

#define CLOCKS_US	(600ull * 1000 * 1000)	/* by which two may differ */

/* What a conversation's messages say of the question. */
struct seen {
	const struct recover *r;
	bool	asked;			/* the newest question is this one */
	bool	answered;		/* and an answer follows it */
	uint8_t	finish;
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
	} else if (m->kind == KIND_ASSISTANT) {
		s->answered = true;
		s->finish = m->finish;
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

int
recover_run(struct client *cl, const struct recover *r, uint8_t conv[CONV_LEN])
{
	struct seen s = { .r = r };
	char hex[CONV_HEX];
	int rc = conn_ready(cl->conn);

	if (rc == RC_OK && cl->args.nostore) {
		ui_err("nothing of it was stored; ask again if you like");
		return RC_OK;
	}
	if (rc == RC_OK)
		rc = look(cl, &s, conv);
	if (rc != RC_OK) {
		ui_err("whether the server has your question is not known: "
		    "`cloister list' shows it before you ask again");
		return rc;
	}
	hex_encode(hex, conv, CONV_LEN);
	if (!s.asked)
		ui_err("the server does not have your question: ask again");
	else if (!s.answered)
		ui_err("the server has your question and no answer to it; "
		    "`cloister show %s' shows whether one comes yet", hex);
	else
		ui_err("the server has your question and %s answer: "
		    "`cloister show %s'", s.finish == FINISH_STOP ?
		    "the whole" : "what there is of an", hex);
	return RC_OK;
}
