/*
 * A conversation as a file: JSON, which import takes, or Markdown for reading.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "convs.h"
#include "exits.h"
#include "transfer.h"
#include "ui.h"

struct export {
	uint8_t		 conv[CONV_LEN];
	struct buf	 title;
	bool		 found;
	bool		 json;
	size_t		 shown;
};

static bool
take_title(const struct m_s_conv *conv, void *arg)
{
	struct export *e = arg;

	if (memcmp(conv->conv, e->conv, CONV_LEN) != 0)
		return true;
	buf_put(&e->title, conv->title.p, conv->title.n);
	e->found = true;
	return false;
}

static json_t *
text_json(struct bytes b)
{
	return json_stringn((const char *)b.p, b.n);
}

/* Write a value; frees it.  RC_OK or RC_ERROR. */
static int
put_json(json_t *v, const char *after)
{
	char *text = v == NULL ? NULL : json_dumps(v, JSON_ENCODE_ANY |
	    JSON_COMPACT);
	int rc = RC_ERROR;

	json_decref(v);
	if (text == NULL)
		ui_err("not enough memory");
	else if (ui_printf("%s%s", text, after) == 0)
		rc = RC_OK;
	free(text);
	return rc;
}

static int
begin(struct export *e)
{
	if (!e->json)
		return ui_printf("# %.*s\n", (int)e->title.n,
		    (const char *)e->title.p) == -1 ? RC_ERROR : RC_OK;
	if (ui_printf("{\"format\": \"%s\", \"version\": %d,\n\"title\": ",
	    TRANSFER_FORMAT, TRANSFER_VERSION) == -1 ||
	    put_json(text_json(buf_bytes(&e->title)), ",\n") != RC_OK)
		return RC_ERROR;
	return ui_printf("\"messages\": [") == -1 ? RC_ERROR : RC_OK;
}

static int
message_json(const struct m_s_msg *m)
{
	return put_json(json_pack("{s:s, s:I, s:o, s:i, s:I, s:I, s:o}",
	    "role", m->kind == KIND_USER ? "user" :
	    m->kind == KIND_ASSISTANT ? "assistant" : "system",
	    "time_us", (json_int_t)m->time_us,
	    "model", text_json(m->model), "finish", (int)m->finish,
	    "prompt_tokens", (json_int_t)m->prompt_tokens,
	    "completion_tokens", (json_int_t)m->completion_tokens,
	    "text", text_json(m->text)), "");
}

static int
message(const struct m_s_msg *m, void *arg)
{
	struct export *e = arg;
	char when[UI_TIME];

	if (m->kind < KIND_USER || m->kind > KIND_SYSTEM) {
		ui_err("message %ju is of a kind that this version cannot "
		    "export", (uintmax_t)m->number);
		return RC_ERROR;
	}
	if (e->json) {
		if (ui_printf("%s\n", e->shown++ > 0 ? "," : "") == -1)
			return RC_ERROR;
		return message_json(m);
	}
	ui_time(when, m->time_us);
	if (ui_printf("\n## %s%.*s, %s\n\n", m->kind == KIND_USER ? "You" :
	    m->kind == KIND_SYSTEM ? "System prompt" : "",
	    m->kind != KIND_ASSISTANT ? 0 : (int)m->model.n,
	    (const char *)m->model.p, when) == -1 || ui_out(m->text) == -1)
		return RC_ERROR;
	return ui_newline() == -1 ? RC_ERROR : RC_OK;
}

int
cmd_export(struct client *cl)
{
	struct export e = { .title = BUF_INIT(256),
	    .json = !cl->args.markdown };
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_find(cl->conn, cl->args.words[0], e.conv);
	if (rc == RC_OK)
		rc = convs_each(cl->conn, take_title, &e);
	if (rc == RC_OK && !e.found) {
		ui_err("%s: no such conversation; see `cloister list'",
		    cl->args.words[0]);
		rc = RC_ERROR;
	}
	if (rc == RC_OK)
		rc = begin(&e);
	if (rc == RC_OK)
		rc = convs_messages(cl->conn, e.conv, message, &e);
	if (rc == RC_OK && e.json && ui_printf("\n]}\n") == -1)
		rc = RC_ERROR;
	buf_free(&e.title);
	return rc;
}
