/* cloister sessions: the user's live sessions. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "convs.h"
#include "exits.h"
#include "sessions.h"
#include "text.h"
#include "ui.h"

#define ID		32	/* bytes of a session's id */
#define ID_SHOWN	16	/* digits of it for people */
#define ID_MIN		4	/* digits that name one */
#define SESSIONS_MAX	65536	/* more are not a list */

static int
show(const struct m_s_session *s, void *arg)
{
	struct buf source = BUF_INIT(4096), label = BUF_INIT(4096);
	char id[2 * ID + 1], since[UI_TIME];
	bool tty = isatty(STDOUT_FILENO);
	int rv;

	(void)arg;
	hex_encode(id, s->session_id, ID);
	ui_time(since, s->since_us);
	text_clean_line(&source, s->source);
	text_clean_line(&label, s->label);
	rv = ui_printf(tty ? "%.*s  %s  %-22.*s %.*s%s\n" :
	    "%.*s\t%s\t%.*s\t%.*s%s\n", tty ? ID_SHOWN : 2 * ID, id, since,
	    (int)source.n, (const char *)source.p, (int)label.n,
	    (const char *)label.p, !s->own ? "" : tty ? "  (this one)" :
	    "\tthis");
	buf_free(&source);
	buf_free(&label);
	return rv == -1 ? RC_ERROR : RC_OK;
}

/* One is looked for: the one whose id begins with want. */
struct search {
	const char	*want;
	uint8_t		 found[ID];
	unsigned	 hits;
};

static int
match(const struct m_s_session *s, void *arg)
{
	struct search *f = arg;
	char id[2 * ID + 1];

	hex_encode(id, s->session_id, ID);
	if (strncmp(id, f->want, strlen(f->want)) == 0) {
		memcpy(f->found, s->session_id, ID);
		f->hits++;
	}
	return RC_OK;
}

static int
find(struct conn *c, struct search *f)
{
	int rc = sessions_each(c, SESSIONS_MAX, match, f);

	if (rc == RC_OK && f->hits != 1) {
		ui_err(f->hits == 0 ? "no session of yours has an id that begins "
		    "with %s" : "several ids begin with %s", f->want);
		rc = RC_ERROR;
	}
	return rc;
}

int
cmd_sessions(struct client *cl)
{
	const char *want = cl->args.nwords == 2 ? cl->args.words[1] : NULL;
	struct search f = { .want = want };
	struct m_c_session_end q;
	struct msg m;
	int rc;

	if (cl->args.nwords == 1 || (want != NULL &&
	    strcmp(cl->args.words[0], "end") != 0)) {
		ui_err("usage: cloister sessions [end ID]");
		return RC_USAGE;
	}
	if (want != NULL && strlen(want) < ID_MIN) {
		ui_err("at least %d digits of the id, please", ID_MIN);
		return RC_USAGE;
	}
	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = want == NULL ? sessions_each(cl->conn, SESSIONS_MAX, show,
		    NULL) : find(cl->conn, &f);
	if (rc != RC_OK || want == NULL)
		return rc;
	memcpy(q.session_id, f.found, ID);
	q.req = conn_request(cl->conn);
	if ((rc = conn_send(cl->conn, MSG_c_session_end, &q)) != RC_OK ||
	    (rc = conn_next(cl->conn, &m)) != RC_OK)
		return rc;
	return m.type == MSG_s_done && m.u.s_done.req == q.req ? RC_OK :
	    other_reply(cl->conn, &m, q.req);
}
