#include "markdown_table.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "log.h"
#include "markdown.h"
#include "style.h"
#include "text.h"

#define CELL_MAX_BYTES	(TABLE_MAX_BYTES * 4)	/* with its attributes */
#define BAR		" " STYLE_DIM "\xe2\x94\x82" STYLE_END " "
#define BAR_WIDTH	3

enum align { LEFT, RIGHT, CENTRE };

struct table {
	struct buf	 text;			/* the rows, one behind another */
	size_t		 rows;
	size_t		 end[TABLE_MAX_ROWS];	/* of each row in text */
};

/* What is known of all rows before the first is shown. */
struct layout {
	size_t		 cols;
	size_t		 width[TABLE_MAX_COLS];
	enum align	 align[TABLE_MAX_COLS];
	bool		 ruled;		/* the second row is the rule */
	bool		 fits;
};

struct table *
table_new(void)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		fatal("memory");
	buf_init(&t->text, TABLE_MAX_BYTES);
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	buf_free(&t->text);
	free(t);
}

bool
table_add(struct table *t, struct bytes row)
{
	if (t->rows == TABLE_MAX_ROWS || row.n > TABLE_MAX_BYTES - t->text.n)
		return false;
	buf_put(&t->text, row.p, row.n);
	if (t->text.err)
		fatalx("memory");
	t->end[t->rows++] = t->text.n;
	return true;
}

static struct bytes
row_of(const struct table *t, size_t i)
{
	size_t start = i == 0 ? 0 : t->end[i - 1];

	return bytes_of(t->text.p + start, t->end[i] - start);
}

static struct bytes
trimmed(struct bytes b)
{
	while (b.n > 0 && (b.p[0] == ' ' || b.p[0] == '\t'))
		b = bytes_of(b.p + 1, b.n - 1);
	while (b.n > 0 && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b;
}

/* Take the next cell off a row that begins with its '|'; false at its end. */
static bool
next_cell(struct bytes *row, bool last, struct bytes *cell)
{
	size_t n = 1;

	if (row->n <= 1)
		return false;
	while (n < row->n && (last || row->p[n] != '|'))
		n += row->p[n] == '\\' && n + 1 < row->n ? 2 : 1;
	*cell = trimmed(bytes_of(row->p + 1, n - 1));
	*row = bytes_of(row->p + n, row->n - n);
	return true;
}

/* The columns that styled text takes on a terminal. */
static size_t
width_of(struct bytes b)
{
	size_t width = 0, n;
	uint32_t cp;
	int w;

	for (; b.n > 0; b = bytes_of(b.p + n, b.n - n)) {
		if (b.p[0] == '\033') {
			for (n = 1; n < b.n && b.p[n] != 'm'; n++)
				;
			n += n < b.n;
			continue;
		}
		if ((n = text_decode(b, &cp)) == 0)
			n = 1;
		else if ((w = wcwidth((wchar_t)cp)) > 0)
			width += (size_t)w;
	}
	return width;
}

/* ":---:" and the like. */
static bool
is_rule(struct bytes cell, enum align *align)
{
	bool left = cell.n > 0 && cell.p[0] == ':';
	bool right = cell.n > 1 && cell.p[cell.n - 1] == ':';

	if (cell.n <= (size_t)left + right)
		return false;
	for (size_t i = left; i < cell.n - right; i++)
		if (cell.p[i] != '-')
			return false;
	*align = right ? left ? CENTRE : RIGHT : LEFT;
	return true;
}

static bool
is_rule_row(struct bytes row, struct layout *l)
{
	struct bytes cell;
	size_t col = 0;

	while (next_cell(&row, false, &cell)) {
		if (col == TABLE_MAX_COLS || !is_rule(cell, &l->align[col]))
			return false;
		col++;
	}
	return col > 0;
}

static void
measure(const struct table *t, unsigned columns, struct layout *l)
{
	struct buf styled = BUF_INIT(CELL_MAX_BYTES);
	struct bytes row, cell;
	size_t total = 0;

	memset(l, 0, sizeof(*l));
	l->ruled = t->rows > 1 && is_rule_row(row_of(t, 1), l);
	for (size_t i = 0; i < t->rows; i++) {
		if (l->ruled && i == 1)
			continue;
		row = row_of(t, i);
		for (size_t col = 0; col < TABLE_MAX_COLS && next_cell(&row,
		    col == TABLE_MAX_COLS - 1, &cell); col++) {
			buf_reset(&styled);
			markdown_inline(cell, &styled);
			if (width_of(buf_bytes(&styled)) > l->width[col])
				l->width[col] = width_of(buf_bytes(&styled));
			if (col >= l->cols)
				l->cols = col + 1;
		}
	}
	for (size_t col = 0; col < l->cols; col++)
		total += l->width[col] + (col > 0 ? BAR_WIDTH : 0);
	l->fits = total <= columns;
	buf_free(&styled);
}

static void
spaces(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_u8(out, ' ');
}

static void
show_cell(const struct layout *l, size_t col, struct bytes cell, bool head,
    struct buf *out)
{
	struct buf styled = BUF_INIT(CELL_MAX_BYTES);
	size_t pad, before = 0;

	if (head)
		buf_str(&styled, STYLE_BOLD);
	markdown_inline(cell, &styled);
	if (head)
		buf_str(&styled, STYLE_END);
	pad = l->width[col] - width_of(buf_bytes(&styled));
	if (l->fits && l->align[col] != LEFT)
		before = l->align[col] == RIGHT ? pad : pad / 2;
	spaces(out, before);
	buf_put(out, styled.p, styled.n);
	if (l->fits && col + 1 < l->cols)
		spaces(out, pad - before);
	buf_free(&styled);
}

static void
show_rule(const struct layout *l, struct buf *out)
{
	buf_str(out, STYLE_DIM);
	for (size_t col = 0; col < l->cols; col++) {
		if (col > 0)
			buf_str(out, "\xe2\x94\x80\xe2\x94\xbc\xe2\x94\x80");
		for (size_t i = 0; i < l->width[col]; i++)
			buf_str(out, "\xe2\x94\x80");
	}
	buf_str(out, STYLE_END "\n");
}

void
table_show(const struct table *t, unsigned columns, struct buf *out)
{
	struct bytes row, cell;
	struct layout l;

	measure(t, columns, &l);
	for (size_t i = 0; i < t->rows; i++) {
		if (l.ruled && i == 1) {
			if (l.fits)
				show_rule(&l, out);
			continue;
		}
		row = row_of(t, i);
		for (size_t col = 0; col < l.cols; col++) {
			if (!next_cell(&row, col == TABLE_MAX_COLS - 1, &cell)) {
				if (!l.fits)
					break;
				cell = bytes_of(NULL, 0);
			}
			if (col > 0)
				buf_str(out, BAR);
			show_cell(&l, col, cell, l.ruled && i == 0, out);
		}
		buf_u8(out, '\n');
	}
}
