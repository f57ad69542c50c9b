#include "output.h"

#include <sys/ioctl.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "client.h"
#include "log.h"
#include "markdown.h"
#include "text.h"
#include "ui.h"

#define WHOLE_MAX	(8u << 20)	/* bytes of an answer that is gathered */
#define COLUMNS		80		/* where the terminal does not say */

struct output {
	const struct args *args;
	struct markdown	*md;		/* NULL: nothing is rendered */
	bool		 gather;	/* show nothing before the end */
	struct buf	 text, reasoning; /* what was gathered */
};

static unsigned
terminal_columns(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == -1 || ws.ws_col == 0)
		return COLUMNS;
	return ws.ws_col;
}

struct output *
output_new(const struct args *args)
{
	struct output *o = calloc(1, sizeof(*o));

	if (o == NULL)
		fatal("memory");
	o->args = args;
	o->gather = args->json || args->extract || args->nostream;
	if (ui_fancy() && !args->json && !args->extract && !args->plain)
		o->md = markdown_new(terminal_columns());
	buf_init(&o->text, WHOLE_MAX);
	buf_init(&o->reasoning, WHOLE_MAX);
	return o;
}

void
output_free(struct output *o)
{
	if (o == NULL)
		return;
	markdown_free(o->md);
	buf_free(&o->text);
	buf_free(&o->reasoning);
	free(o);
}

static int
show(struct output *o, struct bytes text)
{
	struct buf safe = BUF_INIT(WHOLE_MAX), out = BUF_INIT(WHOLE_MAX);
	int rv;

	if (o->md == NULL)
		return ui_out(text);
	text_clean(&safe, text);
	markdown_feed(o->md, buf_bytes(&safe), &out);
	rv = ui_styled(buf_bytes(&out));
	buf_free(&safe);
	buf_free(&out);
	return rv;
}

static int
gathered(struct buf *b, struct bytes text)
{
	buf_put(b, text.p, text.n);
	if (!b->err)
		return 0;
	ui_err("the answer is too long to be shown as a whole");
	return -1;
}

int
output_text(struct output *o, struct bytes text)
{
	return o->gather ? gathered(&o->text, text) : show(o, text);
}

void
output_reasoning(struct output *o, struct bytes text)
{
	if (o->args->json)
		(void)gathered(&o->reasoning, text);
	else if (!o->args->noreasoning)
		ui_aside(text);
}

/* ---- code alone ---------------------------------------------------------- */

/* Take the next line off text, without its newline. */
static struct bytes
next_line(struct bytes *text)
{
	const uint8_t *end = memchr(text->p, '\n', text->n);
	size_t n = end == NULL ? text->n : (size_t)(end - text->p);
	struct bytes line = bytes_of(text->p, n);

	n += end != NULL;
	*text = bytes_of(text->p + n, text->n - n);
	return line;
}

/* How long the fence is at the line's beginning; 0 for none. */
static size_t
fence_of(struct bytes line)
{
	size_t i = 0, n = 0;

	while (i < line.n && line.p[i] == ' ')
		i++;
	if (i == line.n || (line.p[i] != '`' && line.p[i] != '~'))
		return 0;
	while (i + n < line.n && line.p[i + n] == line.p[i])
		n++;
	return n >= 3 ? n : 0;
}

struct bytes
output_code(struct bytes text)
{
	struct bytes rest = text, last = text, line;
	const uint8_t *start = NULL;
	size_t open = 0, n;

	while (rest.n > 0) {
		line = next_line(&rest);
		n = fence_of(line);
		if (open == 0 && n > 0) {
			open = n;
			start = rest.p;
		} else if (open > 0 && n >= open) {
			last = bytes_of(start, (size_t)(line.p - start));
			open = 0;
		}
	}
	/* A block that is not closed lasts up to the end. */
	if (open > 0)
		last = bytes_of(start, (size_t)(rest.p - start));
	return last;
}

/* ---- the end ------------------------------------------------------------- */

static const char *
finish_name(uint8_t finish)
{
	static const char *const names[] = { "none", "stop", "length",
	    "cancelled", "truncated", "error", "tool_calls", "content_filter" };

	return finish < sizeof(names) / sizeof(names[0]) ? names[finish] :
	    "unknown";
}

static int
show_json(struct output *o, const struct m_s_end *e)
{
	char conv[2 * CONV_LEN + 1] = "", *s;
	json_t *v;
	int rv;

	if (e != NULL)
		hex_encode(conv, e->conv, CONV_LEN);
	v = json_pack("{s:s%, s:s%, s:s, s:s}", "answer",
	    o->text.n > 0 ? (const char *)o->text.p : "", o->text.n, "reasoning",
	    o->reasoning.n > 0 ? (const char *)o->reasoning.p : "",
	    o->reasoning.n, "finish", e != NULL ? finish_name(e->finish) : "error",
	    "conversation", conv);
	if (v != NULL && e != NULL && json_object_update_new(v, json_pack(
	    "{s:s%, s:{s:I, s:I}}", "model", e->model.n > 0 ?
	    (const char *)e->model.p : "", e->model.n, "usage", "prompt_tokens",
	    (json_int_t)e->prompt_tokens, "completion_tokens",
	    (json_int_t)e->completion_tokens)) == -1) {
		json_decref(v);
		v = NULL;
	}
	if (v == NULL || (s = json_dumps(v, JSON_INDENT(2))) == NULL) {
		json_decref(v);
		ui_err("the answer cannot be written as JSON");
		return -1;
	}
	rv = ui_printf("%s\n", s);
	freezero(s, strlen(s));
	json_decref(v);
	return rv;
}

int
output_end(struct output *o, const struct m_s_end *e)
{
	struct buf out = BUF_INIT(WHOLE_MAX);
	int rv = 0;

	if (o->args->json)
		return show_json(o, e);
	if (o->args->extract)
		rv = ui_out(output_code(buf_bytes(&o->text)));
	else if (o->gather)
		rv = show(o, buf_bytes(&o->text));
	if (o->md != NULL && rv == 0) {
		markdown_end(o->md, &out);
		rv = ui_styled(buf_bytes(&out));
		buf_free(&out);
	}
	if (rv == 0)
		rv = ui_newline();
	if (e != NULL && o->args->usage)
		ui_err("%.*s: %u tokens in, %u tokens out", (int)e->model.n,
		    (const char *)e->model.p, e->prompt_tokens,
		    e->completion_tokens);
	return rv;
}
