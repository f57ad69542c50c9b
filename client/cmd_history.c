#include <stdio.h>
#include <string.h>

#include "convs.h"
#include "exits.h"
#include "text.h"
#include "ui.h"

#define SHORT_ID	8	/* digits of an id shown to people */
#define LINE_MAX_BYTES	4096	/* a title or an excerpt, made harmless */

static int
delete_one(struct conn *c, const char *name)
{
	struct m_c_delete q;
	char id[CONV_HEX];
	struct msg m;
	int rc;

	if ((rc = convs_find(c, name, q.conv)) != RC_OK)
		return rc;
	q.req = conn_request(c);
	rc = conn_send(c, MSG_c_delete, &q);
	if (rc != RC_OK || (rc = conn_next(c, &m)) != RC_OK)
		return rc;
	if (m.type != MSG_s_deleted || m.u.s_deleted.req != q.req)
		return other_reply(c, &m, q.req);
	hex_encode(id, q.conv, CONV_LEN);
	id[SHORT_ID] = '\0';
	return ui_printf("%s deleted; shredding pending: its key is destroyed "
	    "in about %u min\n", id, m.u.s_deleted.shred_s / 60 + 1) == -1 ?
	    RC_ERROR : RC_OK;
}

int
cmd_delete(struct client *cl)
{
	int rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);

	for (int i = 0; rc == RC_OK && i < cl->args.nwords; i++)
		rc = delete_one(cl->conn, cl->args.words[i]);
	return rc;
}

/* The words behind the first `skip', with a space between each two. */
static bool
join(struct buf *b, const struct args *a, int skip)
{
	for (int i = skip; i < a->nwords; i++) {
		if (i > skip)
			buf_u8(b, ' ');
		buf_str(b, a->words[i]);
	}
	return !b->err && b->n > 0 && bytes_utf8(buf_bytes(b));
}

int
cmd_rename(struct client *cl)
{
	struct buf title = BUF_INIT(256);
	uint8_t conv[CONV_LEN];
	int rc;

	if (!join(&title, &cl->args, 1)) {
		ui_err("a title is a line of at most 256 bytes");
		buf_free(&title);
		return RC_USAGE;
	}
	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_find(cl->conn, cl->args.words[0], conv);
	if (rc == RC_OK)
		rc = convs_rename(cl->conn, conv, buf_bytes(&title));
	buf_free(&title);
	return rc;
}

/* One line: where, and what stands there. */
static int
show_found(const struct m_s_found *f)
{
	struct buf title = BUF_INIT(LINE_MAX_BYTES);
	struct buf text = BUF_INIT(LINE_MAX_BYTES);
	char id[CONV_HEX], when[UI_TIME];
	const char *who = f->kind == KIND_USER ? "you" :
	    f->kind == KIND_ASSISTANT ? "answer" :
	    f->kind == KIND_SYSTEM ? "system" : "title";
	int rv;

	hex_encode(id, f->conv, CONV_LEN);
	ui_time(when, f->time_us);
	text_clean_line(&title, f->title);
	text_clean_line(&text, f->excerpt);
	if (ui_fancy())
		id[SHORT_ID] = '\0';
	rv = ui_printf(ui_fancy() ? "%s %4ju  %s  %.*s  %s: %.*s\n" :
	    "%s\t%ju\t%s\t%.*s\t%s\t%.*s\n", id, (uintmax_t)f->number, when,
	    (int)title.n, (const char *)title.p, who, (int)text.n,
	    (const char *)text.p);
	buf_free(&title);
	buf_free(&text);
	return rv == -1 ? RC_ERROR : RC_OK;
}

int
cmd_search(struct client *cl)
{
	struct buf words = BUF_INIT(1024);
	struct m_c_search q;
	struct msg m;
	bool found = false;
	int rc;

	if (!join(&words, &cl->args, 0)) {
		ui_err("what to search for is at most 1024 bytes of words");
		buf_free(&words);
		return RC_USAGE;
	}
	q.words = buf_bytes(&words);
	q.limit = (uint16_t)(cl->args.limit > UINT16_MAX ? 0 : cl->args.limit);
	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK) {
		q.req = conn_request(cl->conn);
		rc = conn_send(cl->conn, MSG_c_search, &q);
	}
	buf_free(&words);
	while (rc == RC_OK && (rc = conn_next(cl->conn, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req)
			break;
		if (m.type != MSG_s_found || m.u.s_found.req != q.req)
			return other_reply(cl->conn, &m, q.req);
		found = true;
		rc = show_found(&m.u.s_found);
	}
	if (rc == RC_OK && !found)
		ui_err("nothing found");
	return rc;
}
