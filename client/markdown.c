#include "markdown.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "highlight.h"
#include "log.h"
#include "markdown_table.h"
#include "style.h"

#define LINE_MAX_BYTES	(1u << 20)
#define RUN_MAX_BYTES	64	/* of marks that are decided on together */
#define HEADING_MAX	6
#define RULE_MAX	40		/* columns */

enum block {
	B_START,	/* the line's first characters are gathered */
	B_TEXT,		/* its rest is shown as it comes */
	B_LINE		/* the whole line is gathered */
};

struct markdown {
	unsigned	 columns;
	struct buf	 line;		/* what is gathered */
	enum block	 block;
	struct table	*table;		/* while one is open */
	/* code between fences */
	uint8_t		 fence;		/* '`' or '~'; 0: none is open */
	size_t		 fence_n;
	const struct language *language;
	/* emphasis */
	bool		 heading, bold, italic;
	size_t		 code;		/* the run of '`' that opened; 0: none */
	struct buf	 run;		/* '*', '_', '`' or '\' to be decided on */
	uint8_t		 before;	/* the byte before that run */
};

struct markdown *
markdown_new(unsigned columns)
{
	struct markdown *md = calloc(1, sizeof(*md));

	if (md == NULL)
		fatal("memory");
	md->columns = columns;
	md->before = '\n';
	buf_init(&md->line, LINE_MAX_BYTES);
	buf_init(&md->run, RUN_MAX_BYTES);
	return md;
}

void
markdown_free(struct markdown *md)
{
	if (md == NULL)
		return;
	table_free(md->table);
	buf_free(&md->line);
	buf_free(&md->run);
	free(md);
}

/* ---- emphasis ------------------------------------------------------------ */

/* Begin anew with what is to hold from here. */
static void
set_style(const struct markdown *md, struct buf *out)
{
	buf_str(out, STYLE_END);
	if (md->heading)
		buf_str(out, STYLE_HEADING);
	if (md->bold)
		buf_str(out, STYLE_BOLD);
	if (md->italic)
		buf_str(out, STYLE_ITALIC);
	if (md->code > 0)
		buf_str(out, STYLE_CODE);
}

static bool
styled(const struct markdown *md)
{
	return md->heading || md->bold || md->italic || md->code > 0;
}

static void
end_emphasis(struct markdown *md, struct buf *out)
{
	if (styled(md))
		buf_str(out, STYLE_END);
	md->heading = md->bold = md->italic = false;
	md->code = 0;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/*
 * Whether a run of '*' or '_' before the byte `next` can begin or end emphasis
 * (CommonMark 6.2, with ASCII alone taken for punctuation).
 */
static bool
can_open(const struct markdown *md, uint8_t next)
{
	if (is_blank(next))
		return false;
	if (md->run.p[0] == '_' && (isalnum(md->before) || md->before >= 0x80))
		return false;
	return !ispunct(next) || is_blank(md->before) || ispunct(md->before);
}

static bool
can_close(const struct markdown *md, uint8_t next)
{
	if (is_blank(md->before))
		return false;
	return md->run.p[0] != '_' || !(isalnum(next) || next >= 0x80);
}

static void
flush_stars(struct markdown *md, uint8_t next, struct buf *out)
{
	bool open = can_open(md, next), close = can_close(md, next);
	bool was_bold = md->bold, was_italic = md->italic;
	size_t n = md->run.n;

	if (n >= 2 && (md->bold ? close : open)) {
		md->bold = !md->bold;
		n -= 2;
	}
	if (n == 1 && (md->italic ? close : open)) {
		md->italic = !md->italic;
		n--;
	}
	if (was_bold != md->bold || was_italic != md->italic)
		set_style(md, out);
	buf_put(out, md->run.p, n);
}

static void
flush_ticks(struct markdown *md, struct buf *out)
{
	if (md->code == 0)
		md->code = md->run.n;
	else if (md->code == md->run.n)
		md->code = 0;
	else {
		buf_put(out, md->run.p, md->run.n);
		return;
	}
	set_style(md, out);
}

/* Decide on the run, now that the byte behind it is known ('\n': none). */
static void
flush_run(struct markdown *md, uint8_t next, struct buf *out)
{
	uint8_t c;

	if (md->run.n == 0)
		return;
	c = md->run.p[0];
	if (c == '`')
		flush_ticks(md, out);
	else if (c == '\\')
		buf_u8(out, c);
	else
		flush_stars(md, next, out);
	md->before = c;
	buf_reset(&md->run);
}

/* One byte of a text whose line has begun; not a newline. */
static void
text_byte(struct markdown *md, uint8_t c, struct buf *out)
{
	bool mark = c == '`' || (md->code == 0 && (c == '*' || c == '_'));

	if (md->run.n > 0 && md->run.p[0] == '\\') {
		buf_reset(&md->run);
		if (!ispunct(c))
			buf_u8(out, '\\');
		buf_u8(out, c);
		md->before = c;
		return;
	}
	if (md->run.n > 0 && (md->run.p[0] != c || md->run.n == RUN_MAX_BYTES))
		flush_run(md, c, out);
	if (mark || (c == '\\' && md->code == 0)) {
		buf_u8(&md->run, c);
		return;
	}
	buf_u8(out, c);
	md->before = c;
}

static void
text_bytes(struct markdown *md, struct bytes b, struct buf *out)
{
	for (size_t i = 0; i < b.n; i++)
		text_byte(md, b.p[i], out);
}

void
markdown_inline(struct bytes text, struct buf *out)
{
	struct markdown *md = markdown_new(0);

	text_bytes(md, text, out);
	flush_run(md, '\n', out);
	end_emphasis(md, out);
	markdown_free(md);
}

/* ---- how a line begins --------------------------------------------------- */

static size_t
count(struct bytes b, uint8_t c)
{
	size_t n = 0;

	while (n < b.n && b.p[n] == c)
		n++;
	return n;
}

/* Three or more of one of "*-_", and blanks alone beside them. */
static bool
is_rule(struct bytes b)
{
	size_t n = 0;

	if (b.n == 0 || memchr("*-_", b.p[0], 3) == NULL)
		return false;
	for (size_t i = 0; i < b.n; i++) {
		if (b.p[i] == b.p[0])
			n++;
		else if (!is_blank(b.p[i]))
			return false;
	}
	return n >= 3;
}

/*
 * A line's beginning without its indentation: how much of it is a mark, and what
 * is shown in its place.  False while more must be known.
 */
static bool
mark_of(struct markdown *md, struct bytes b, size_t *n, const char **show)
{
	uint8_t c = b.p[0];

	*n = 0;
	*show = "";
	if (c == '#') {
		size_t level = count(b, '#');

		if (level == b.n)
			return level > HEADING_MAX;
		if (level <= HEADING_MAX && b.p[level] == ' ') {
			*n = level + 1;
			md->heading = true;
		}
	} else if (c == '>') {
		*n = 1;
		*show = STYLE_DIM "\xe2\x94\x82" STYLE_END;	/* a bar */
	} else if (c == '-' || c == '*' || c == '+') {
		if (b.n < 2)
			return false;
		if (b.p[1] == ' ') {
			*n = 1;
			*show = "\xe2\x80\xa2";			/* a bullet */
		}
	}
	return true;
}

/* Whether only the whole line tells what it is; -1 when that is not known yet. */
static int
needs_line(const struct markdown *md, struct bytes b)
{
	size_t n;

	if (md->table != NULL || b.p[0] == '|')
		return 1;	/* it may go on, or end */
	if (b.p[0] == '`' || b.p[0] == '~') {
		n = count(b, b.p[0]);
		return n >= 3 ? 1 : n == b.n ? -1 : 0;
	}
	if (memchr("*-_", b.p[0], 3) == NULL)
		return 0;
	/* It takes three characters to tell a rule. */
	n = count(b, b.p[0]);
	return n >= 3 ? 1 : n == b.n ? -1 : 0;
}

/* What is gathered of a line, without its indentation. */
static struct bytes
gathered(const struct markdown *md, size_t *indent)
{
	size_t n = 0;

	while (n < md->line.n && (md->line.p[n] == ' ' ||
	    md->line.p[n] == '\t'))
		n++;
	*indent = n;
	return n == md->line.n ? bytes_of(NULL, 0) :
	    bytes_of(md->line.p + n, md->line.n - n);
}

/* Look at what is gathered of a line: can it be shown as it comes? */
static void
begin_line(struct markdown *md, struct buf *out)
{
	size_t indent, n;
	struct bytes b = gathered(md, &indent);
	const char *show;
	int whole;

	if (md->fence != 0) {
		md->block = B_LINE;
		return;
	}
	if (b.n == 0)
		return;
	if ((whole = needs_line(md, b)) != 0) {
		md->block = whole == 1 ? B_LINE : B_START;
		return;
	}
	if (!mark_of(md, b, &n, &show))
		return;
	buf_put(out, md->line.p, indent);
	buf_str(out, show);
	if (n > 0)
		md->before = ' ';
	if (md->heading)
		set_style(md, out);
	md->block = B_TEXT;
	text_bytes(md, bytes_of(b.p + n, b.n - n), out);
	buf_reset(&md->line);
}

/* ---- whole lines --------------------------------------------------------- */

static void
end_table(struct markdown *md, struct buf *out)
{
	if (md->table != NULL)
		table_show(md->table, md->columns, out);
	table_free(md->table);
	md->table = NULL;
}

/* A fence: it opens or closes a block of code.  False when it is none. */
static bool
take_fence(struct markdown *md, struct bytes b, struct buf *out)
{
	size_t n = b.n == 0 ? 0 : count(b, b.p[0]);
	struct bytes info;

	if (n < 3 || (b.p[0] != '`' && b.p[0] != '~'))
		return false;
	info = bytes_of(b.p + n, b.n - n);
	while (info.n > 0 && is_blank(info.p[0]))
		info = bytes_of(info.p + 1, info.n - 1);
	if (md->fence == 0) {
		if (b.p[0] == '`' && info.n > 0 &&
		    memchr(info.p, '`', info.n) != NULL)
			return false;
		end_emphasis(md, out);
		md->fence = b.p[0];
		md->fence_n = n;
		md->language = highlight_language(info);
	} else if (b.p[0] == md->fence && n >= md->fence_n && info.n == 0) {
		md->fence = 0;
	} else
		return false;
	/* The fence itself, dim: what is copied stays a block. */
	buf_str(out, STYLE_DIM);
	buf_put(out, b.p, b.n);
	buf_str(out, STYLE_END "\n");
	return true;
}

static void
show_rule(const struct markdown *md, struct buf *out)
{
	unsigned n = md->columns < RULE_MAX ? md->columns : RULE_MAX;

	buf_str(out, STYLE_DIM);
	while (n-- > 0)
		buf_str(out, "\xe2\x94\x80");
	buf_str(out, STYLE_END "\n");
}

/* A line that was gathered up to its end. */
static void
take_line(struct markdown *md, struct buf *out)
{
	size_t indent;
	struct bytes b = gathered(md, &indent);
	struct bytes all = buf_bytes(&md->line);

	if (md->fence != 0) {
		if (!take_fence(md, b, out)) {
			highlight_line(md->language, all, out);
			buf_u8(out, '\n');
		}
		return;
	}
	if (b.n > 0 && b.p[0] == '|') {
		if (md->table == NULL)
			md->table = table_new();
		if (table_add(md->table, b))
			return;
		end_table(md, out);	/* full: another one begins */
		md->table = table_new();
		(void)table_add(md->table, b);
		return;
	}
	end_table(md, out);
	if (take_fence(md, b, out))
		return;
	if (is_rule(b)) {
		show_rule(md, out);
		return;
	}
	buf_put(out, md->line.p, indent);
	if (b.n > 1 && (b.p[0] == '-' || b.p[0] == '*' || b.p[0] == '+') &&
	    b.p[1] == ' ') {
		buf_str(out, "\xe2\x80\xa2");
		b = bytes_of(b.p + 1, b.n - 1);
	} else if (b.n == 0)
		end_emphasis(md, out);
	text_bytes(md, b, out);
	flush_run(md, '\n', out);
	buf_u8(out, '\n');
}

static void
end_line(struct markdown *md, struct buf *out)
{
	if (md->block == B_TEXT) {
		flush_run(md, '\n', out);
		if (md->heading)
			end_emphasis(md, out);
		buf_u8(out, '\n');
	} else
		take_line(md, out);
	md->before = '\n';
	md->block = B_START;
	buf_reset(&md->line);
}

void
markdown_feed(struct markdown *md, struct bytes text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '\n')
			end_line(md, out);
		else if (md->block == B_TEXT)
			text_byte(md, c, out);
		else {
			/* No longer line is worth waiting for. */
			if (md->line.n == LINE_MAX_BYTES)
				end_line(md, out);
			buf_u8(&md->line, c);
			if (md->block == B_START)
				begin_line(md, out);
		}
	}
}

void
markdown_end(struct markdown *md, struct buf *out)
{
	if (md->block != B_TEXT && md->line.n > 0)
		end_line(md, out);
	flush_run(md, '\n', out);
	end_table(md, out);
	end_emphasis(md, out);
	md->fence = 0;
	md->block = B_START;
	md->before = '\n';
}
