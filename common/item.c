#include "item.h"

#include <string.h>

static const char *const media[] = {
	[ITEM_PNG] = "image/png",
	[ITEM_JPEG] = "image/jpeg",
	[ITEM_GIF] = "image/gif",
	[ITEM_WEBP] = "image/webp",
};
#define MEDIA	(sizeof(media) / sizeof(media[0]))

const char *
item_media_type(uint8_t m)
{
	return m < MEDIA ? media[m] : NULL;
}

uint8_t
item_media_of(struct bytes type)
{
	for (uint8_t i = 1; i < MEDIA; i++)
		if (bytes_eq(type, bytes_str(media[i])))
			return i;
	return 0;
}

static struct bytes
text16(struct rd *r, size_t max)
{
	struct bytes t = rd_v16(r, max);

	if (!bytes_utf8(t))
		r->err = true;
	return t;
}

static struct bytes
text32(struct rd *r)
{
	struct bytes t = rd_v32(r, ITEM_TEXT_MAX);

	if (!bytes_utf8(t))
		r->err = true;
	return t;
}

static uint8_t
number(struct rd *r, uint8_t max)
{
	uint8_t v = rd_u8(r);

	if (v > max)
		r->err = true;
	return v;
}

/* The rest, all of it. */
static struct bytes
rest(struct rd *r)
{
	return rd_bytes(r, r->n);
}

int
item_parse(struct item *it, uint8_t kind, struct bytes content)
{
	struct rd r = rd_of(content);

	memset(it, 0, sizeof(*it));
	it->kind = kind;
	switch (kind) {
	case KIND_USER:
	case KIND_ASSISTANT:
	case KIND_SYSTEM:
	case ITEM_PART:
		it->text = rest(&r);
		return bytes_utf8(it->text) ? 0 : -1;
	case ITEM_IMAGE:
		it->how = rd_u8(&r);
		it->text = rest(&r);
		return item_media_type(it->how) != NULL && it->text.n > 0 ? 0 :
		    -1;
	case ITEM_CALL:
		it->id = text16(&r, ITEM_ID_MAX);
		it->name = text16(&r, ITEM_NAME_MAX);
		it->text = text32(&r);
		return rd_done(&r) && it->id.n > 0 && it->name.n > 0 ? 0 : -1;
	case ITEM_RESULT:
		it->id = text16(&r, ITEM_ID_MAX);
		it->text = text32(&r);
		return rd_done(&r) && it->id.n > 0 ? 0 : -1;
	case ITEM_TOOL:
		it->how = number(&r, ITEM_YES);
		it->name = text16(&r, ITEM_NAME_MAX);
		it->about = text16(&r, ITEM_ABOUT_MAX);
		it->text = text32(&r);
		return rd_done(&r) && it->name.n > 0 ? 0 : -1;
	case ITEM_CHOICE:
		it->how = number(&r, ITEM_NAMED);
		it->several = number(&r, ITEM_YES);
		it->name = text16(&r, ITEM_NAME_MAX);
		return rd_done(&r) &&
		    (it->how == ITEM_NAMED) == (it->name.n > 0) ? 0 : -1;
	default:
		return -1;
	}
}

void
item_encode(struct buf *out, const struct item *it)
{
	switch (it->kind) {
	case ITEM_IMAGE:
		buf_u8(out, it->how);
		break;
	case ITEM_CALL:
		buf_v16(out, it->id);
		buf_v16(out, it->name);
		buf_v32(out, it->text);
		return;
	case ITEM_RESULT:
		buf_v16(out, it->id);
		buf_v32(out, it->text);
		return;
	case ITEM_TOOL:
		buf_u8(out, it->how);
		buf_v16(out, it->name);
		buf_v16(out, it->about);
		buf_v32(out, it->text);
		return;
	case ITEM_CHOICE:
		buf_u8(out, it->how);
		buf_u8(out, it->several);
		buf_v16(out, it->name);
		return;
	default:
		break;
	}
	buf_put(out, it->text.p, it->text.n);
}

bool
item_is_attached(uint8_t kind)
{
	return kind == ITEM_PART || kind == ITEM_IMAGE || kind == ITEM_CALL;
}

static bool
before_talk(uint8_t kind)
{
	return kind == KIND_SYSTEM || kind == ITEM_TOOL || kind == ITEM_CHOICE;
}

static bool
of_user(uint8_t kind)
{
	return kind == KIND_USER || kind == ITEM_PART || kind == ITEM_IMAGE;
}

const char *
item_next(struct item_order *o, uint8_t kind)
{
	if (!before_talk(kind) && !of_user(kind) && kind != KIND_ASSISTANT &&
	    kind != ITEM_CALL && kind != ITEM_RESULT)
		return "a message of an unknown kind";
	if (before_talk(kind) && o->talk)
		return kind == KIND_SYSTEM ?
		    "a system prompt stands behind other messages" :
		    "a tool stands behind messages";
	if ((kind == ITEM_PART || kind == ITEM_IMAGE) && !of_user(o->last))
		return "a part or image stands behind no message of the user";
	if (kind == ITEM_CALL && o->last != KIND_ASSISTANT &&
	    o->last != ITEM_CALL)
		return "a call stands behind no message of the assistant";
	o->talk = !before_talk(kind);
	o->last = kind;
	return NULL;
}

bool
item_asks(const struct item_order *o)
{
	return of_user(o->last) || o->last == ITEM_RESULT;
}
