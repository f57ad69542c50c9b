/*
 * Code in a terminal: comments, strings, numbers and keywords told apart by
 * colour.  Pure, and by the line: good enough to read, not a parser.
 */
#ifndef CLIENT_HIGHLIGHT_H
#define CLIENT_HIGHLIGHT_H

#include "bytes.h"

struct language;

/*
 * The language of a block's info string ("c", "python title=x"), by its first
 * word whatever its case; NULL for none that is known.
 */
const struct language *highlight_language(struct bytes info);
/*
 * Append line, which holds no newline and no control characters, to out with
 * SGR attributes (ECMA-48 8.3.117) around what is told apart; each ends where it
 * began.  With l NULL it is appended as it is.
 */
void highlight_line(const struct language *l, struct bytes line,
    struct buf *out);

#endif
