#include "chat_commands.h"

#include <string.h>

#include "exits.h"
#include "said.h"
#include "ui.h"

#define SHOWN	60	/* bytes of a question that is spoken of */

/*
 * The last question that stands, into text, and the number of the conversation's
 * last message; false: there is none, and the user was told.
 */
static bool
last_question(struct chat *c, struct buf *text, uint64_t *last)
{
	const struct said_msg *q;
	struct said s;
	bool ok = false;

	if (!chat_has_conv(c))
		return false;
	said_init(&s);
	if (said_read(&s, c->cl->conn, c->conv) != RC_OK)
		goto out;
	if ((q = said_question(&s)) == NULL) {
		ui_err("no question is left in this conversation");
		goto out;
	}
	buf_reset(text);
	buf_put(text, q->text.p, q->text.n);
	*last = s.last;
	ok = !text->err;
out:
	said_free(&s);
	return ok;
}

static int
withdraw(struct chat *c, uint64_t last)
{
	int rc = said_withdraw(c->cl->conn, c->conv, &last);

	if (rc == RC_OK)
		c->last = last;
	return rc;
}

/* Say which question it was: its first line. */
static void
tell(const char *what, struct bytes text)
{
	const uint8_t *nl = memchr(text.p, '\n', text.n);
	size_t n = nl != NULL ? (size_t)(nl - text.p) : text.n;
	bool more = n < text.n;

	if (n > SHOWN) {
		for (n = SHOWN; n > 0 && (text.p[n] & 0xc0) == 0x80; n--)
			;
		more = true;
	}
	ui_err("%s: %.*s%s", what, (int)n, (const char *)text.p,
	    more ? " ..." : "");
}

enum chat_result
chat_undo(struct chat *c, const char *arg)
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	uint64_t last;

	(void)arg;
	if (last_question(c, &text, &last) && withdraw(c, last) == RC_OK)
		tell("withdrawn, with its answer", buf_bytes(&text));
	buf_free(&text);
	return CHAT_DONE;
}

enum chat_result
chat_retry(struct chat *c, const char *arg)
{
	uint64_t last;

	(void)arg;
	if (!last_question(c, &c->again, &last) || withdraw(c, last) != RC_OK)
		return CHAT_DONE;
	tell("once more", buf_bytes(&c->again));
	return CHAT_SEND;
}

enum chat_result
chat_edit(struct chat *c, const char *arg)
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);

	(void)arg;
	if (last_question(c, &text, &c->edited_last)) {
		if (text.n > LINES_PREFILL_MAX)
			ui_err("it is too long to be edited here; /undo takes "
			    "it back, then ask it as you like");
		else {
			c->editing = true;
			lines_prefill(c->lines, buf_bytes(&text));
		}
	}
	buf_free(&text);
	return CHAT_DONE;
}

int
chat_edit_done(struct chat *c)
{
	int rc;

	if (!c->editing)
		return RC_OK;
	c->editing = false;
	rc = conn_ready(c->cl->conn);
	return rc == RC_OK ? withdraw(c, c->edited_last) : rc;
}
