/* cloister sessions: the user's live sessions. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "convs.h"
#include "exits.h"
#include "text.h"
#include "ui.h"

#define ID		32	/* bytes of a session's id */
#define ID_SHOWN	16	/* digits of it for people */
#define ID_MIN		4	/* digits that name one */
#define SESSIONS_MAX	65536	/* more are not a list */

static int
show(const struct m_s_session *s)
{
	struct buf source = BUF_INIT(4096), label = BUF_INIT(4096);
	char id[2 * ID + 1], since[UI_TIME];
	bool tty = isatty(STDOUT_FILENO);
	int rv;

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
	return rv;
}

/* Show the list, or find in it the one whose id begins with want. */
static int
each(struct client *cl, const char *want, uint8_t found[ID])
{
	struct m_c_sessions q = { .req = conn_request(cl->conn) };
	unsigned n = 0, hits = 0;
	char id[2 * ID + 1];
	struct msg m;
	int rc;

	rc = conn_send(cl->conn, MSG_c_sessions, &q);
	while (rc == RC_OK && (rc = conn_next(cl->conn, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req)
			break;
		if (m.type != MSG_s_session || m.u.s_session.req != q.req ||
		    n++ == SESSIONS_MAX)
			return other_reply(cl->conn, &m, q.req);
		hex_encode(id, m.u.s_session.session_id, ID);
		if (want == NULL) {
			if (show(&m.u.s_session) == -1)
				return RC_ERROR;
		} else if (strncmp(id, want, strlen(want)) == 0) {
			memcpy(found, m.u.s_session.session_id, ID);
			hits++;
		}
	}
	if (rc == RC_OK && want != NULL && hits != 1) {
		ui_err(hits == 0 ? "no session of yours has an id that begins "
		    "with %s" : "several ids begin with %s", want);
		rc = RC_ERROR;
	}
	return rc;
}

int
cmd_sessions(struct client *cl)
{
	const char *want = cl->args.nwords == 2 ? cl->args.words[1] : NULL;
	struct m_c_session_end q = { .req = 0 };
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
		rc = each(cl, want, q.session_id);
	if (rc != RC_OK || want == NULL)
		return rc;
	q.req = conn_request(cl->conn);
	if ((rc = conn_send(cl->conn, MSG_c_session_end, &q)) != RC_OK ||
	    (rc = conn_next(cl->conn, &m)) != RC_OK)
		return rc;
	return m.type == MSG_s_done && m.u.s_done.req == q.req ? RC_OK :
	    other_reply(cl->conn, &m, q.req);
}
