#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convs.h"
#include "exits.h"
#include "text.h"
#include "ui.h"

#define PAGE		50	/* messages asked for at once */
#define SHORT_ID	8	/* digits of an id shown on a terminal */
#define TIME_TEXT	32
#define TITLE_MAX	4096	/* bytes of a title, made harmless */
#define BOLD		"\033[1m"
#define PLAIN		"\033[0m"

/* Local time for people; for programs (to a pipe) UTC as ISO 8601. */
static void
time_text(char text[TIME_TEXT], uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (isatty(STDOUT_FILENO) ? localtime_r(&t, &tm) == NULL :
	    gmtime_r(&t, &tm) == NULL)
		(void)strlcpy(text, "?", TIME_TEXT);
	else if (strftime(text, TIME_TEXT, isatty(STDOUT_FILENO) ?
	    "%Y-%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)strlcpy(text, "?", TIME_TEXT);
}

struct listing {
	unsigned	limit;		/* 0: none */
	unsigned	shown;
	bool		failed;		/* standard output */
};

static bool
show_conv(const struct m_s_conv *conv, void *arg)
{
	struct listing *l = arg;
	struct buf title = BUF_INIT(TITLE_MAX);
	char id[CONV_HEX], when[TIME_TEXT];
	int n;

	hex_encode(id, conv->conv, CONV_LEN);
	time_text(when, conv->updated_us);
	/* One line each, in a pipe too: there the fields are cut by tabs. */
	text_clean_line(&title, conv->title);
	n = (int)title.n;
	if (isatty(STDOUT_FILENO)) {
		id[SHORT_ID] = '\0';
		l->failed = ui_printf("%s  %s %4ju  %.*s\n", id, when,
		    (uintmax_t)conv->count, n, (const char *)title.p) == -1;
	} else
		l->failed = ui_printf("%s\t%s\t%ju\t%.*s\n", id, when,
		    (uintmax_t)conv->count, n, (const char *)title.p) == -1;
	buf_free(&title);
	return !l->failed && (l->limit == 0 || ++l->shown < l->limit);
}

int
cmd_list(struct client *cl)
{
	struct listing l = { .limit = cl->args.limit };
	int rc;

	rc = cl->conn != NULL ? RC_OK :
	    conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_each(cl->conn, show_conv, &l);
	return rc == RC_OK && l.failed ? RC_ERROR : rc;
}

static const char *
finish_text(uint8_t finish)
{
	switch (finish) {
	case FINISH_NONE:
	case FINISH_STOP:
		return "";
	case FINISH_LENGTH:
		return " (ended by the limit of tokens)";
	case FINISH_CANCELLED:
		return " (cancelled)";
	case FINISH_TRUNCATED:
		return " (TRUNCATED)";
	case FINISH_ERROR:
		return " (ended by an error)";
	case FINISH_TOOL_CALLS:
		return " (ended by a tool call)";
	case FINISH_FILTER:
		return " (withheld by the provider)";
	default:
		return " (ended in an unknown way)";
	}
}

/* Print one message under a line that says whose it is. */
static int
show_msg(const struct m_s_msg *m)
{
	char when[TIME_TEXT], who[128];
	int rv;

	if (m->kind == KIND_USER)
		(void)strlcpy(who, "you", sizeof(who));
	else
		(void)snprintf(who, sizeof(who), "%s %.*s",
		    m->kind == KIND_ASSISTANT ? "answer of" : "system prompt of",
		    (int)m->model.n, (const char *)m->model.p);
	time_text(when, m->time_us);
	/* Attributes must not pass through what makes text harmless. */
	if (ui_fancy() && ui_write(STDOUT_FILENO, bytes_str(BOLD)) == -1)
		return -1;
	rv = ui_printf("[%ju] %s, %s%s", (uintmax_t)m->number, who, when,
	    finish_text(m->finish));
	if (ui_fancy() && ui_write(STDOUT_FILENO, bytes_str(PLAIN)) == -1)
		return -1;
	if (rv == -1 || ui_newline() == -1 || ui_out(m->text) == -1 ||
	    ui_newline() == -1)
		return -1;
	return ui_out(bytes_str("\n"));
}

/* Print a page from *from on; *from is then the next message, 0 at the end. */
static int
show_page(struct conn *c, const uint8_t conv[CONV_LEN], uint64_t *from)
{
	struct m_c_show q = { .req = conn_request(c), .from = *from,
	    .limit = PAGE };
	uint64_t next;
	struct msg m;
	int rc;

	memcpy(q.conv, conv, CONV_LEN);
	rc = conn_send(c, MSG_c_show, &q);
	while (rc == RC_OK && (rc = conn_next(c, &m)) == RC_OK) {
		if (m.type == MSG_s_msg && m.u.s_msg.req == q.req) {
			if (show_msg(&m.u.s_msg) == -1)
				return RC_ERROR;
			continue;
		}
		if (m.type != MSG_s_done || m.u.s_done.req != q.req)
			return other_reply(c, &m, q.req);
		next = m.u.s_done.token.n == sizeof(next) ?
		    get_be64(m.u.s_done.token.p) : 0;
		/* A server must not keep us here for ever. */
		*from = next > *from ? next : 0;
		return RC_OK;
	}
	return rc;
}

int
cmd_show(struct client *cl)
{
	uint8_t conv[CONV_LEN];
	uint64_t from = 1;
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_find(cl->conn, cl->args.words[0], conv);
	while (rc == RC_OK && from != 0)
		rc = show_page(cl->conn, conv, &from);
	return rc;
}

int
cmd_models(struct client *cl)
{
	struct m_c_models q;
	struct msg m;
	int rc;

	rc = cl->conn != NULL ? RC_OK :
	    conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc != RC_OK)
		return rc;
	q.req = conn_request(cl->conn);
	rc = conn_send(cl->conn, MSG_c_models, &q);
	while (rc == RC_OK && (rc = conn_next(cl->conn, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req)
			return RC_OK;
		if (m.type != MSG_s_model || m.u.s_model.req != q.req)
			return other_reply(cl->conn, &m, q.req);
		if (ui_printf("%.*s\t%.*s%s\n", (int)m.u.s_model.alias.n,
		    (const char *)m.u.s_model.alias.p,
		    (int)m.u.s_model.provider.n,
		    (const char *)m.u.s_model.provider.p,
		    m.u.s_model.is_default ? "\tdefault" : "") == -1)
			return RC_ERROR;
	}
	return rc;
}
