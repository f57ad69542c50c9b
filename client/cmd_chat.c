#include <stdlib.h>

#include "answer.h"
#include "attach.h"
#include "chat_commands.h"
#include "convs.h"
#include "exits.h"
#include "intr.h"
#include "lines.h"
#include "loop.h"
#include "recover.h"
#include "ui.h"

#define BLOCK	"\"\"\""	/* alone on a line: begins and ends several */

/* Lines up to one that is nothing but three quotes again. */
static enum lines_result
read_block(struct lines *l, struct buf *text)
{
	enum lines_result r;
	size_t start;

	buf_reset(text);
	for (;;) {
		start = text->n;
		if ((r = lines_read(l, true, text)) != LINES_LINE)
			return r;
		if (bytes_eq(bytes_of(text->p + start, text->n - start),
		    bytes_str(BLOCK))) {
			text->n = start > 0 ? start - 1 : 0;
			return LINES_LINE;
		}
		buf_u8(text, '\n');
	}
}

/* A whole prompt: lines as long as they end with a backslash, or a block. */
static enum lines_result
read_prompt(struct lines *l, struct buf *text)
{
	enum lines_result r;
	bool more = false;

	buf_reset(text);
	for (;;) {
		r = lines_read(l, more, text);
		if (r != LINES_LINE)
			return r;
		if (!more && lines_typed(l) &&
		    bytes_eq(buf_bytes(text), bytes_str(BLOCK)))
			return read_block(l, text);
		more = text->n > 0 && text->p[text->n - 1] == '\\';
		if (!more)
			return LINES_LINE;
		text->p[text->n - 1] = '\n';
	}
}

/* Whether a prompt can be sent; else the user is told. */
static bool
acceptable(const struct client *cl, const struct buf *text)
{
	if (text->err || text->n > conn_max_prompt(cl->conn))
		ui_err("too long: the server takes %u bytes",
		    conn_max_prompt(cl->conn));
	else if (!bytes_utf8(buf_bytes(text)))
		ui_err("this is not text in UTF-8");
	else
		return true;
	return false;
}

/* Ask, with the files that were to go along. */
static int
ask(struct chat *c, struct lines *l, struct buf *text, bool *gone)
{
	struct recover r = { .last = c->last, .sent_us = wall_us() };
	struct answer_end end;
	int rc;

	if (c->attached.n > 0) {
		buf_str(text, "\n\n");
		buf_put(text, c->attached.p, c->attached.n);
	}
	if (!acceptable(c->cl, text))
		return RC_USAGE;
	if ((rc = conn_ready(c->cl->conn)) != RC_OK)
		return rc;
	buf_reset(&c->attached);
	rc = answer_run(c->cl, buf_bytes(text), c->conv, &end);
	*gone = end.gone;
	if (end.last != 0)
		c->last = end.last;
	if (rc == RC_LOST && lines_typed(l) && conn_away(c->cl->conn)) {
		r.text = buf_bytes(text);
		r.stored = end.stored;
		r.shown = end.some;
		if (recover_run(c->cl, &r, c->conv) == RC_OK)
			rc = r.whole ? RC_OK : RC_INCOMPLETE;
	}
	return rc;
}

/* Whether a chat goes on after this: a lost connection can be made again. */
static bool
over(const struct chat *c, const struct lines *l, int rc)
{
	if (rc == RC_REFUSED)
		return true;
	return rc == RC_LOST && (!lines_typed(l) || !conn_away(c->cl->conn));
}

static int
talk(struct chat *c, struct lines *l)
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	enum chat_result what;
	enum lines_result r;
	bool gone = false;
	int rc = RC_OK;

	while (!gone && !over(c, l, rc) &&
	    (r = read_prompt(l, &text)) != LINES_END) {
		if (r != LINES_LINE || text.n == 0)
			c->editing = false;
		if (r == LINES_LOST)
			rc = RC_LOST;
		else if (r == LINES_INTERRUPTED && !lines_typed(l)) {
			rc = RC_INTERRUPTED;
			break;
		}
		if (r != LINES_LINE || text.n == 0)
			continue;
		/* What is piped in is asked, whatever it begins with. */
		what = lines_typed(l) ? chat_command(c, &text) : CHAT_SEND;
		if (what == CHAT_QUIT)
			break;
		if (what == CHAT_SEND && (rc = chat_edit_done(c)) == RC_OK)
			rc = ask(c, l, &text, &gone);
	}
	buf_free(&text);
	/* Who types has seen what went wrong before they left. */
	if (lines_typed(l) && !gone && !over(c, l, rc))
		return RC_OK;
	return rc;
}

int
cmd_chat(struct client *cl)
{
	struct chat c = { .cl = cl, .attached = BUF_INIT(MSG_TEXT_MAX_BYTES),
	    .again = BUF_INIT(MSG_TEXT_MAX_BYTES) };
	struct lines *l;
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_choose(cl, c.conv);
	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < cl->args.nfiles && rc == RC_OK; i++)
		rc = attach_file(&c.attached, cl->args.files[i]);
	if (rc != RC_OK) {
		buf_free(&c.attached);
		return rc;
	}
	conn_keep(cl->conn);
	intr_start();
	/* Who wants nothing stored wants it here as little. */
	l = lines_new(cl->conn, cl->args.nostore ||
	    !cl->conf.keep_history ? NULL : cl->conf.history);
	c.lines = l;
	lines_complete(l, chat_command_words());
	if (lines_typed(l))
		ui_err("^C cancels an answer, ^D ends, /help tells more%s", cl->args.nostore ?
		    "; every question stands alone, nothing is stored" : "");
	rc = talk(&c, l);
	buf_free(&c.attached);
	buf_free(&c.again);
	cl->system = NULL;
	free(c.system);
	lines_free(l);
	intr_stop();
	return rc;
}
