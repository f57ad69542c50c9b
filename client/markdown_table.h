/* A table in Markdown, GitHub's form: gathered row by row, shown in columns. */
#ifndef CLIENT_MARKDOWN_TABLE_H
#define CLIENT_MARKDOWN_TABLE_H

#include <stdbool.h>

#include "bytes.h"

#define TABLE_MAX_BYTES	(1u << 21)	/* of all rows */
#define TABLE_MAX_ROWS	4096
#define TABLE_MAX_COLS	64	/* further cells are shown with the last one */

struct table;

/* Dies without memory. */
struct table *table_new(void);
/* NULL is allowed. */
void table_free(struct table *t);
/*
 * Add a row, a line that begins with '|', without its newline.  False when the
 * table is full; an empty one takes any row of at most TABLE_MAX_BYTES.
 */
bool table_add(struct table *t, struct bytes row);
/*
 * Append the table to out: aligned where that fits into so many columns of the
 * terminal, else cell by cell.
 */
void table_show(const struct table *t, unsigned columns, struct buf *out);

#endif
