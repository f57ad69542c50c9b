#include <string.h>

#include <openssl/crypto.h>

#include "jsonin.h"
#include "wire_local.h"

static const char *const finishes[] = {
	[WIRE_F_NONE] = "none",
	[WIRE_F_STOP] = "stop",
	[WIRE_F_LENGTH] = "length",
	[WIRE_F_TOOL_CALLS] = "tool_calls",
	[WIRE_F_CONTENT_FILTER] = "content_filter",
	[WIRE_F_FUNCTION_CALL] = "function_call",
};

static const struct wire_protocol *const protocols[] = {
	[PROVIDER_OPENAI] = &wire_openai,
	[PROVIDER_ANTHROPIC] = &wire_anthropic,
	[PROVIDER_OLLAMA] = &wire_ollama,
};

const char *
wire_finish_name(enum wire_finish f)
{
	return finishes[f];
}

const char *
wire_path(enum provider_type type)
{
	return protocols[type]->path;
}

/* ---- requests ------------------------------------------------------------ */

json_t *
wire_string(struct bytes t)
{
	if (!bytes_utf8(t))
		return NULL;
	return json_stringn(t.n > 0 ? (const char *)t.p : "", t.n);
}

int
wire_set(json_t *object, const char *name, uint32_t thousandths)
{
	return thousandths == 0 ? 0 : json_object_set_new(object, name,
	    json_real((thousandths - 1) / 1000.0));
}

int
wire_set_int(json_t *object, const char *name, uint32_t n)
{
	return n == 0 ? 0 : json_object_set_new(object, name, json_integer(n));
}

int
wire_request(struct buf *out, enum provider_type type,
    const struct wire_req *req, const char **why)
{
	size_t before = out->n;
	json_t *root;
	int rc;

	*why = NULL;
	if ((root = protocols[type]->request(req, why)) == NULL)
		return -1;
	rc = wire_dump(out, root);
	if (rc == -1 && out->n > before) {
		OPENSSL_cleanse(out->p + before, out->n - before);
		out->n = before;
	}
	json_decref(root);
	return rc;
}

/* ---- what protocols do with an answer ------------------------------------ */

/* Hand text out in pieces of whole characters, each NUL as U+FFFD. */
static void
emit(struct wire *w, void (*fn)(void *, struct bytes), struct bytes t)
{
	uint8_t piece[WIRE_DELTA_MAX];
	size_t n = 0;

	if (t.n == 0)
		return;
	w->delivered = true;
	for (size_t i = 0; i < t.n; i++) {
		/* The first byte of a character: the longest may not fit. */
		if ((t.p[i] & 0xc0) != 0x80 && n > sizeof(piece) - 4) {
			fn(w->arg, bytes_of(piece, n));
			n = 0;
		}
		if (t.p[i] == '\0') {
			memcpy(piece + n, "\xef\xbf\xbd", 3);
			n += 3;
		} else
			piece[n++] = t.p[i];
	}
	fn(w->arg, bytes_of(piece, n));
	OPENSSL_cleanse(piece, sizeof(piece));
}

void
wire_text(struct wire *w, struct bytes t)
{
	emit(w, w->cb->text, t);
}

void
wire_reasoning(struct wire *w, struct bytes t)
{
	emit(w, w->cb->reasoning, t);
}

int
wire_bad_tool(struct wire *w)
{
	return wire_fail(w,
	    "the model's server sent a malformed call of a tool");
}

int
wire_whole_tool(struct wire *w, const json_t *id, const json_t *name,
    const json_t *args)
{
	struct buf text = BUF_INIT(WIRE_BODY_MAX);
	int rv;

	if (wire_dump(&text, args) == -1)
		rv = wire_fail(w, "a call of a tool is too long");
	else
		rv = wire_tool(w, w->ncalls++, id, name, buf_bytes(&text));
	buf_free(&text);
	return rv;
}

int
wire_tool(struct wire *w, json_int_t index, const json_t *id,
    const json_t *name, struct bytes args)
{
	struct bytes i = jsonin_text(id), n = jsonin_text(name);
	struct bytes piece = { NULL, 0 };

	if (index < 0 || index >= ITEM_CALLS_MAX || i.n > ITEM_ID_MAX ||
	    n.n > ITEM_NAME_MAX || !wire_text_or_none(id) ||
	    !wire_text_or_none(name) || !bytes_utf8(i) || !bytes_utf8(n) ||
	    !bytes_utf8(args))
		return wire_bad_tool(w);
	w->tool_calls = w->delivered = true;
	do {
		piece = bytes_of(args.p, args.n < WIRE_DELTA_MAX ? args.n :
		    WIRE_DELTA_MAX);
		while (piece.n < args.n && (args.p[piece.n] & 0xc0) == 0x80)
			piece.n--;
		w->cb->tool(w->arg, (unsigned)index, i, n, piece);
		if (piece.n > 0)	/* of no arguments there is no address */
			args = bytes_of(args.p + piece.n, args.n - piece.n);
		i = n = bytes_of(NULL, 0);
	} while (args.n > 0);
	return 0;
}

int
wire_fail(struct wire *w, const char *message)
{
	wire_error_protocol(&w->error, message);
	return -1;
}

bool
wire_text_or_none(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_string(v);
}

int
wire_take_finish(struct wire *w, const json_t *v,
    const struct wire_reason *names, size_t n)
{
	if (jsonin_text(v).n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (jsonin_is(v, names[i].name)) {
			if (w->finish == WIRE_F_NONE)
				w->finish = names[i].finish;
			return 0;
		}
	/* It ended, but nobody here can say that it is complete. */
	return wire_fail(w, "the model's server ended for an unknown reason");
}

void
wire_count(int64_t *dst, const json_t *v)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		*dst = json_integer_value(v);
}

/* ---- an answer ----------------------------------------------------------- */

static int
take_json(struct wire *w, json_t *root, bool is_error, bool whole)
{
	int rc = -1;

	if (is_error || wire_error_is(root))
		wire_error_json(&w->error, 200, root);
	else
		rc = protocols[w->type]->take(w, root, whole);
	json_decref(root);
	return rc;
}

static int
take_event(void *arg, const char *name, struct bytes data)
{
	struct wire *w = arg;
	bool is_error = strcmp(name, "error") == 0;
	json_t *root;

	while (data.n > 0 && data.p[data.n - 1] == ' ')
		data.n--;
	if (w->type == PROVIDER_OPENAI &&
	    bytes_eq(data, bytes_str("[DONE]"))) {
		w->done = true;
		return 1;
	}
	if (data.n == 0 && !is_error)
		return 0;
	if ((root = jsonin_parse(data, NULL)) != NULL)
		return take_json(w, root, is_error, false);
	if (!is_error)
		return wire_fail(w, "the model's server sent malformed JSON");
	wire_error_body(&w->error, 200, data);
	return -1;
}

/* What has been gathered of a line is one JSON text, or blank. */
static int
take_line(struct wire *w)
{
	struct bytes line = buf_bytes(&w->body);
	json_t *root;
	int rc = 0;

	while (line.n > 0 && strchr(" \t\r", line.p[line.n - 1]) != NULL &&
	    line.p[line.n - 1] != '\0')
		line.n--;
	if (line.n > 0) {
		root = jsonin_parse(line, NULL);
		rc = root != NULL ? take_json(w, root, false, false) :
		    wire_fail(w, "the model's server sent malformed JSON");
	}
	buf_reset(&w->body);
	return rc;
}

static int
feed_lines(struct wire *w, const uint8_t *p, size_t n)
{
	const uint8_t *end;
	int rc = 0;

	while (rc == 0 && n > 0) {
		end = memchr(p, '\n', n);
		buf_put(&w->body, p, end == NULL ? n : (size_t)(end - p));
		if (w->body.err || w->body.n > SSE_EVENT_MAX)
			return wire_fail(w,
			    "the model's server sent too long a line");
		if (end == NULL)
			break;
		n -= (size_t)(end - p) + 1;
		p = end + 1;
		rc = take_line(w);
	}
	return rc;
}

void
wire_init(struct wire *w, enum provider_type type, const struct wire_cb *cb,
    void *arg)
{
	memset(w, 0, sizeof(*w));
	w->type = type;
	w->mode = protocols[type]->lines ? WIRE_M_LINES : WIRE_M_START;
	w->prompt_tokens = w->completion_tokens = -1;
	w->cb = cb;
	w->arg = arg;
	sse_init(&w->sse, take_event, w);
	buf_init(&w->body, WIRE_BODY_MAX);
}

void
wire_free(struct wire *w)
{
	sse_free(&w->sse);
	buf_free(&w->body);
}

int
wire_feed(struct wire *w, const void *p, size_t n)
{
	const uint8_t *b = p;
	int rc;

	if (w->error.cls != WIRE_E_NONE)
		return -1;
	if (w->mode == WIRE_M_LINES)
		return w->done ? 1 : feed_lines(w, b, n);
	/* No line of an event stream that means anything begins with a brace. */
	while (w->mode == WIRE_M_START && n > 0) {
		if (b[0] == '{')
			w->mode = WIRE_M_JSON;
		else if (strchr(" \t\r\n", b[0]) == NULL || b[0] == '\0')
			w->mode = WIRE_M_SSE;
		else {
			b++;
			n--;
		}
	}
	if (w->mode == WIRE_M_JSON) {
		buf_put(&w->body, b, n);
		return w->body.err ? wire_fail(w,
		    "the model's server sent too long an answer") : 0;
	}
	rc = sse_feed(&w->sse, b, n);
	if (rc == -1 && w->error.cls == WIRE_E_NONE)
		return wire_fail(w, "the model's server sent too long an event");
	return rc;
}

enum wire_verdict
wire_end(struct wire *w)
{
	bool whole = w->mode == WIRE_M_JSON, cut = false;
	json_t *root;

	/* A last line without its end counts if it is whole. */
	if (w->error.cls == WIRE_E_NONE && (whole ||
	    (w->mode == WIRE_M_LINES && !w->done && w->body.n > 0))) {
		root = jsonin_parse(buf_bytes(&w->body), &cut);
		if (root != NULL)
			(void)take_json(w, root, false, whole);
		else if (!cut)
			(void)wire_fail(w,
			    "the model's server sent malformed JSON");
	}
	if (w->error.cls != WIRE_E_NONE)
		return WIRE_FAILED;
	return w->finish == WIRE_F_NONE ? WIRE_TRUNCATED : WIRE_COMPLETE;
}
