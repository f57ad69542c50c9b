#include "answer.h"
#include "convs.h"
#include "exits.h"
#include "intr.h"
#include "lines.h"
#include "ui.h"

/* A whole prompt: lines as long as they end with a backslash. */
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

static int
talk(struct client *cl, struct lines *l, uint8_t conv[CONV_LEN])
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	enum lines_result r;
	bool gone = false;
	int rc = RC_OK;

	while (!gone && rc != RC_LOST &&
	    (r = read_prompt(l, &text)) != LINES_END) {
		if (r == LINES_LOST)
			rc = RC_LOST;
		else if (r == LINES_INTERRUPTED && !lines_typed(l)) {
			rc = RC_INTERRUPTED;
			break;
		} else if (r == LINES_LINE && text.n > 0)
			rc = acceptable(cl, &text) ? answer_run(cl,
			    buf_bytes(&text), conv, &gone) : RC_USAGE;
	}
	buf_free(&text);
	/* Who types has seen what went wrong before they left. */
	if (lines_typed(l) && !gone && rc != RC_LOST)
		return RC_OK;
	return rc;
}

int
cmd_chat(struct client *cl)
{
	uint8_t conv[CONV_LEN];
	struct lines *l;
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_choose(cl, conv);
	if (rc != RC_OK)
		return rc;
	intr_start();
	/* Who wants nothing stored wants it here as little. */
	l = lines_new(cl->conn, cl->args.nostore ? NULL : cl->conf.history);
	if (lines_typed(l))
		ui_err("^C cancels an answer, ^D ends; a backslash at its end "
		    "continues a line%s", cl->args.nostore ?
		    "; every question stands alone, nothing is stored" : "");
	rc = talk(cl, l, conv);
	lines_free(l);
	intr_stop();
	return rc;
}
