/*
 * Making text from the other side harmless for a terminal: an answer, a title or
 * an error text must not move the cursor, recolour, hide or reorder anything.
 */
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H

#include "bytes.h"

/*
 * Append in to out so that only printable UTF-8, newlines and tabs remain.  Other
 * C0 controls and DEL are shown in caret notation ("^[" for ESC).  U+FFFD
 * stands for C1 controls, bytes that are not UTF-8, characters that reorder
 * what surrounds them (Unicode UAX #9, explicit embeddings, overrides and isolates),
 * line and paragraph separators, invisible tags and noncharacters.
 */
void text_clean(struct buf *out, struct bytes in);
/* The same for a single line: newlines and tabs become spaces. */
void text_clean_line(struct buf *out, struct bytes in);
/*
 * Decode the code point at the start of in, which is not empty (RFC 3629).
 * Returns its length in bytes, or 0 when there is no well-formed one.
 */
size_t text_decode(struct bytes in, uint32_t *cp);

#endif
