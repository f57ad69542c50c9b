/*
 * Markdown (CommonMark, and GitHub's tables) for a terminal, as it streams: a
 * word is shown when it is there, and nothing that was shown is taken back.
 * What decides how a line looks is awaited: its first characters, a table up to
 * its end, a line of code up to its newline.  Pure.
 *
 * Headings, emphasis, code, lists, quotations, rules and tables are shown as
 * such; links, images and HTML as they were written.
 */
#ifndef CLIENT_MARKDOWN_H
#define CLIENT_MARKDOWN_H

#include "bytes.h"

struct markdown;

/* For a terminal of that many columns.  Dies without memory. */
struct markdown *markdown_new(unsigned columns);
/* NULL is allowed. */
void markdown_free(struct markdown *md);
/*
 * Take more text, which is UTF-8 of whole characters with no control characters
 * but newline and tab (text_clean() of text.h), and append what can be shown of it
 * by now to out.
 */
void markdown_feed(struct markdown *md, struct bytes text, struct buf *out);
/* The text has ended: append the rest, and end what is open. */
void markdown_end(struct markdown *md, struct buf *out);
/* The same for the emphasis in one line's text, for markdown_table.c. */
void markdown_inline(struct bytes text, struct buf *out);

#endif
