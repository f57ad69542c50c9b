/*
 * JSON from a server that is not trusted (RFC 8259), through jansson with
 * bounds of our own.
 */
#ifndef LLMPROXY_JSONIN_H
#define LLMPROXY_JSONIN_H

#include <stdbool.h>

#include <jansson.h>

#include "bytes.h"

#define JSON_DEPTH_MAX	32	/* arrays and objects in one another */
#define JSON_ITEMS_MAX	16384	/* values in one text: bounds memory used */

/*
 * Once, before the sandbox closes and before any other use of jansson: seeds
 * its hash (jansson would open a device for it later) and makes it wipe what it
 * frees.  Dies when there is no randomness.
 */
void jsonin_init(void);
/*
 * Parse one whole JSON text.  Refused: nesting beyond JSON_DEPTH_MAX, more than
 * JSON_ITEMS_MAX values, invalid UTF-8, unpaired surrogates, numbers out of range,
 * NUL in a member's name, anything after the value.  Of duplicate names the last
 * counts.  NUL in a string is accepted (see jsonin_text()).  Returns a new
 * reference or NULL; cut (may be NULL) then says that the text just ended early.
 */
json_t *jsonin_parse(struct bytes text, bool *cut);
/*
 * The text of a string value, still owned by v and possibly with NUL bytes;
 * empty when v is NULL or not a string.
 */
struct bytes jsonin_text(const json_t *v);
/* Whether v is a string that equals s. */
bool jsonin_is(const json_t *v, const char *s);

#endif
