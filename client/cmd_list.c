#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "convs.h"
#include "exits.h"
#include "said.h"
#include "text.h"
#include "ui.h"

#define SHORT_ID	8	/* digits of an id shown on a terminal */
#define TITLE_MAX	4096	/* bytes of a title, made harmless */
#define BOLD		"\033[1m"
#define PLAIN		"\033[0m"

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
	char id[CONV_HEX], when[UI_TIME];
	int n;

	hex_encode(id, conv->conv, CONV_LEN);
	ui_time(when, conv->updated_us);
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
	char when[UI_TIME], who[128];
	int rv;

	if (m->kind != KIND_ASSISTANT)
		(void)strlcpy(who, m->kind == KIND_USER ? "you" :
		    "your system prompt", sizeof(who));
	else
		(void)snprintf(who, sizeof(who), "answer of %.*s",
		    (int)m->model.n, (const char *)m->model.p);
	ui_time(when, m->time_us);
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

static int
show_next(const struct m_s_msg *m, void *arg)
{
	(void)arg;
	return show_msg(m) == -1 ? RC_ERROR : RC_OK;
}

int
cmd_show(struct client *cl)
{
	uint8_t conv[CONV_LEN];
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_find(cl->conn, cl->args.words[0], conv);
	return rc != RC_OK ? rc :
	    said_each(cl->conn, conv, show_next, NULL);
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
