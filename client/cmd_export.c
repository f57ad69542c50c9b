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
	bool		 is_signed;
	struct proof_export end;	/* signed: what was exported so far */
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

static json_t *
hex_json(struct bytes b)
{
	char hex[2 * PROOF_MAX + 1];

	hex_encode(hex, b.p, b.n);
	return json_string(hex);
}

/* What a signed export has of a message besides. */
static bool
add_proof(struct export *e, const struct m_s_msg *m, json_t *o)
{
	struct proof_message p;

	if (m->number != e->end.count + 1)
		return false;
	proof_message_of(&p, m);
	proof_link_next(e->end.last, &p);
	e->end.count = m->number;
	return json_object_set_new(o, "number",
	    json_integer((json_int_t)m->number)) == 0 && (m->proof.n == 0 ||
	    json_object_set_new(o, "proof", hex_json(m->proof)) == 0);
}

/* Behind the messages: what they are, signed. */
static int
signed_end(struct client *cl, struct export *e)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t session_id[HASH_LEN];
	int rc;

	memcpy(e->end.conv, e->conv, sizeof(e->end.conv));
	conn_identity(cl->conn, session_id, e->end.server);
	rc = keyd_export(conn_keyd(cl->conn), &e->end, &sig);
	if (rc == RC_OK && ui_printf("\n],\n\"signed\": ") == -1)
		rc = RC_ERROR;
	if (rc == RC_OK)
		rc = put_json(json_pack("{s:o, s:I, s:o, s:o, s:o, s:I, s:o, "
		    "s:o}",
		    "conversation", hex_json(bytes_of(e->end.conv, CONV_LEN)),
		    "count", (json_int_t)e->end.count,
		    "last", hex_json(bytes_of(e->end.last, HASH_LEN)),
		    "server", hex_json(bytes_of(e->end.server, HASH_LEN)),
		    "client", hex_json(bytes_of(e->end.client, HASH_LEN)),
		    "time_us", (json_int_t)e->end.time_us,
		    "key", hex_json(e->end.spki),
		    "signature", hex_json(buf_bytes(&sig))), "}\n");
	buf_free(&sig);
	return rc;
}

static int
message_json(struct export *e, const struct m_s_msg *m)
{
	json_t *o = json_pack("{s:s, s:I, s:o, s:i, s:I, s:I, s:o}",
	    "role", m->kind == KIND_USER ? "user" : "assistant",
	    "time_us", (json_int_t)m->time_us,
	    "model", text_json(m->model), "finish", (int)m->finish,
	    "prompt_tokens", (json_int_t)m->prompt_tokens,
	    "completion_tokens", (json_int_t)m->completion_tokens,
	    "text", text_json(m->text));

	if (e->is_signed && o != NULL && !add_proof(e, m, o)) {
		json_decref(o);
		ui_err("message %ju cannot be exported signed: some before it "
		    "are missing", (uintmax_t)m->number);
		return RC_ERROR;
	}
	return put_json(o, "");
}

static int
message(const struct m_s_msg *m, void *arg)
{
	struct export *e = arg;
	char when[UI_TIME];

	if (m->kind != KIND_USER && m->kind != KIND_ASSISTANT) {
		ui_err("message %ju is of a kind that this version cannot "
		    "export", (uintmax_t)m->number);
		return RC_ERROR;
	}
	if (e->json) {
		if (ui_printf("%s\n", e->shown++ > 0 ? "," : "") == -1)
			return RC_ERROR;
		return message_json(e, m);
	}
	ui_time(when, m->time_us);
	if (ui_printf("\n## %s%.*s, %s\n\n", m->kind == KIND_USER ? "You" : "",
	    m->kind == KIND_USER ? 0 : (int)m->model.n,
	    (const char *)m->model.p, when) == -1 || ui_out(m->text) == -1)
		return RC_ERROR;
	return ui_newline() == -1 ? RC_ERROR : RC_OK;
}

int
cmd_export(struct client *cl)
{
	struct export e = { .title = BUF_INIT(256),
	    .json = !cl->args.markdown, .is_signed = cl->args.whole_signed };
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
	proof_link_begin(e.end.last, e.conv);
	if (rc == RC_OK)
		rc = begin(&e);
	if (rc == RC_OK)
		rc = convs_messages(cl->conn, e.conv, message, &e);
	if (rc == RC_OK && e.is_signed)
		rc = signed_end(cl, &e);
	else if (rc == RC_OK && e.json && ui_printf("\n]}\n") == -1)
		rc = RC_ERROR;
	buf_free(&e.title);
	return rc;
}
