/*
 * What a conversation that its client keeps (c_chat) is made of besides texts:
 * images, tools, their calls and results.  Each travels as a kind and its bytes,
 * to the session worker in c_chat.messages and to an llmproxy by sl_msg and sl_data.
 *
 * A text (KIND_*) is its bytes.  The others are, in network byte order, v16 and v32
 * with a length before them:
 *
 *	ITEM_PART	more text of the user's message before it
 *	ITEM_IMAGE	u8 media type (enum item_media), bytes; of the same
 *	ITEM_CALL	v16 id, v16 name, v32 arguments; of the assistant's
 *			message before it
 *	ITEM_RESULT	v16 id of the call, v32 text
 *	ITEM_TOOL	u8 strict (enum item_flag), v16 name, v16 description,
 *			v32 JSON schema of its parameters, may be empty
 *	ITEM_CHOICE	u8 how (enum item_choice), u8 several at once (enum
 *			item_flag), v16 name with ITEM_NAMED
 */
#ifndef COMMON_ITEM_H
#define COMMON_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "codes.h"

#define ITEM_ID_MAX	128	/* bytes of a call's id */
#define ITEM_NAME_MAX	128	/* ... of a tool's name */
#define ITEM_ABOUT_MAX	16384	/* ... of its description */
#define ITEM_TEXT_MAX	1048576	/* ... of arguments, results, schemas */
#define ITEM_CALLS_MAX	128	/* calls in one answer */

enum item_kind {
	ITEM_PART = 16,
	ITEM_IMAGE = 17,
	ITEM_CALL = 18,
	ITEM_RESULT = 19,
	ITEM_TOOL = 20,
	ITEM_CHOICE = 21
};

enum item_media { ITEM_PNG = 1, ITEM_JPEG = 2, ITEM_GIF = 3, ITEM_WEBP = 4 };
enum item_flag { ITEM_UNSET = 0, ITEM_NO = 1, ITEM_YES = 2 };
enum item_choice { ITEM_AUTO = 0, ITEM_NONE = 1, ITEM_REQUIRED = 2,
    ITEM_NAMED = 3 };

/* One of them; what its kind does not have is empty. */
struct item {
	uint8_t		 kind;		/* enum kind or item_kind */
	uint8_t		 how;		/* media, choice or strict */
	uint8_t		 several;	/* ITEM_CHOICE */
	struct bytes	 id, name;
	struct bytes	 about;		/* ITEM_TOOL */
	struct bytes	 text;		/* text, arguments, result, schema, image */
};

/*
 * Take one apart; it points into content.  0, or -1 when it is malformed: a kind,
 * number or length out of bounds, text that is not UTF-8 without NUL, bytes that
 * are left.  JSON is not looked into.
 */
int item_parse(struct item *it, uint8_t kind, struct bytes content);
/* Append its bytes to out, without the kind. */
void item_encode(struct buf *out, const struct item *it);

/* "image/png", or NULL; and the reverse, 0 for an unknown type. */
const char *item_media_type(uint8_t media);
uint8_t item_media_of(struct bytes type);

/* The order of a conversation, checked as it comes; begins as zeros. */
struct item_order {
	uint8_t	last;		/* kind; 0: nothing yet */
	bool	talk;		/* something else than prompts and tools came */
};

/*
 * Why a kind may not come next, or NULL: system prompts, tools and the choice stand
 * before everything else, parts and images behind a user's message, calls behind an
 * assistant's.
 */
const char *item_next(struct item_order *o, uint8_t kind);
/* Whether an answer may follow: the last word is the user's or a tool's. */
bool item_asks(const struct item_order *o);
/* Whether it belongs to the message before it. */
bool item_is_attached(uint8_t kind);

#endif
