/*
 * A conversation as a file: JSON, which import takes, or Markdown for reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "convs.h"
#include "exits.h"
#include "export.h"
#include "said.h"
#include "transfer.h"
#include "ui.h"

struct export {
	int		 fd;		/* standard output, or a file */
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

/* Write; RC_OK or RC_ERROR after telling the user. */
static int
put(const struct export *e, struct bytes b)
{
	if (e->fd == STDOUT_FILENO)
		return ui_out(b) == 0 ? RC_OK : RC_ERROR;
	if (ui_write(e->fd, b) == 0)
		return RC_OK;
	ui_err("the file cannot be written: %s", strerror(errno));
	return RC_ERROR;
}

__attribute__((format(printf, 2, 3)))
static int
put_text(const struct export *e, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n, rc;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n == -1)
		return RC_ERROR;
	rc = put(e, bytes_str(s));
	free(s);
	return rc;
}

static json_t *
text_json(struct bytes b)
{
	return json_stringn((const char *)b.p, b.n);
}

/* Write a value; frees it.  RC_OK or RC_ERROR. */
static int
put_json(const struct export *e, json_t *v, const char *after)
{
	char *text = v == NULL ? NULL : json_dumps(v, JSON_ENCODE_ANY |
	    JSON_COMPACT);
	int rc = RC_ERROR;

	json_decref(v);
	if (text == NULL)
		ui_err("not enough memory");
	else
		rc = put_text(e, "%s%s", text, after);
	free(text);
	return rc;
}

static int
begin(struct export *e)
{
	int rc;

	if (!e->json)
		return put_text(e, "# %.*s\n", (int)e->title.n,
		    (const char *)e->title.p);
	rc = put_text(e, "{\"format\": \"%s\", \"version\": %d,\n\"title\": ",
	    TRANSFER_FORMAT, TRANSFER_VERSION);
	if (rc == RC_OK)
		rc = put_json(e, text_json(buf_bytes(&e->title)), ",\n");
	return rc == RC_OK ? put_text(e, "\"messages\": [") : rc;
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
signed_end(struct conn *c, struct export *e)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	uint8_t session_id[HASH_LEN];
	int rc;

	memcpy(e->end.conv, e->conv, sizeof(e->end.conv));
	conn_identity(c, session_id, e->end.server);
	rc = keyd_export(conn_keyd(c), &e->end, &sig);
	if (rc == RC_OK)
		rc = put_text(e, "\n],\n\"signed\": ");
	if (rc == RC_OK)
		rc = put_json(e, json_pack("{s:o, s:I, s:o, s:o, s:o, s:I, s:o, "
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
	    "role", m->kind == KIND_USER ? "user" :
	    m->kind == KIND_ASSISTANT ? "assistant" :
	    m->kind == KIND_SYSTEM ? "system" : "withdrawal",
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
	return put_json(e, o, "");
}

static int
message(const struct m_s_msg *m, void *arg)
{
	struct export *e = arg;
	char when[UI_TIME];
	int rc;

	if (e->json) {
		rc = put_text(e, "%s\n", e->shown++ > 0 ? "," : "");
		return rc == RC_OK ? message_json(e, m) : rc;
	}
	ui_time(when, m->time_us);
	rc = put_text(e, "\n## %s%.*s, %s\n\n", m->kind == KIND_USER ? "You" :
	    m->kind == KIND_SYSTEM ? "System prompt" : "",
	    m->kind != KIND_ASSISTANT ? 0 : (int)m->model.n,
	    (const char *)m->model.p, when);
	if (rc == RC_OK)
		rc = put(e, m->text);
	if (rc == RC_OK && (m->text.n == 0 ||
	    m->text.p[m->text.n - 1] != '\n'))
		rc = put(e, bytes_str("\n"));
	return rc;
}

/* The conversation e->conv into e->fd; an exit code. */
static int
export(struct export *e, struct conn *c)
{
	int rc;

	buf_init(&e->title, 256);
	rc = convs_each(c, take_title, e);
	if (rc == RC_OK && !e->found) {
		ui_err("there is no such conversation any more; see `cloister "
		    "list'");
		rc = RC_ERROR;
	}
	if (rc == RC_OK)
		rc = begin(e);
	proof_link_begin(e->end.last, e->conv);
	/* What was signed is everything, what was withdrawn too. */
	if (rc == RC_OK)
		rc = e->is_signed ? convs_messages(c, e->conv, message, e) :
		    said_each(c, e->conv, message, e);
	if (rc == RC_OK && e->is_signed)
		rc = signed_end(c, e);
	else if (rc == RC_OK && e->json)
		rc = put_text(e, "\n]}\n");
	buf_free(&e->title);
	return rc;
}

int
export_file(struct conn *c, const uint8_t conv[CONV_LEN], const char *path)
{
	size_t n = strlen(path);
	struct export e = { .json = n < 3 || strcmp(path + n - 3, ".md") != 0 };
	int rc;

	memcpy(e.conv, conv, CONV_LEN);
	e.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (e.fd == -1) {
		ui_err("%s: %s%s", path, strerror(errno), errno == EEXIST ?
		    "; choose another name" : "");
		return RC_ERROR;
	}
	rc = export(&e, c);
	if (close(e.fd) == -1 && rc == RC_OK) {
		ui_err("%s: %s", path, strerror(errno));
		rc = RC_ERROR;
	}
	if (rc != RC_OK)
		(void)unlink(path);	/* half of it is no export */
	return rc;
}

int
cmd_export(struct client *cl)
{
	struct export e = { .fd = STDOUT_FILENO, .json = !cl->args.markdown,
	    .is_signed = cl->args.whole_signed };
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = convs_find(cl->conn, cl->args.words[0], e.conv);
	return rc == RC_OK ? export(&e, cl->conn) : rc;
}
