#include "msg.h"

#include <string.h>

/* One function a message, which returns its fields: T names its structure. */
#define MSG(n, num, kind, dir, states, fd)				\
static const struct msg_field *						\
fields_##n(size_t *count)						\
{									\
	typedef struct m_##n T;						\
	static const struct msg_field f[] = {
#define U8(x)		{ #x, MF_U8, offsetof(T, x), 1 },
#define U16(x)		{ #x, MF_U16, offsetof(T, x), 2 },
#define U32(x)		{ #x, MF_U32, offsetof(T, x), 4 },
#define U64(x)		{ #x, MF_U64, offsetof(T, x), 8 },
#define FIX(x, n)	{ #x, MF_FIX, offsetof(T, x), n },
#define BYTES(x, max)	{ #x, MF_BYTES, offsetof(T, x), max },
#define TEXT(x, max)	{ #x, MF_TEXT, offsetof(T, x), max },
#define END								\
		{ NULL, MF_U8, offsetof(T, none_), 0 }			\
	};								\
	*count = sizeof(f) / sizeof(f[0]) - 1;				\
	return f;							\
}
#include "messages.def"

static struct msg_desc descs[MSG_TYPES] = {
#define MSG(n, num, kind, dir, states, fd) \
	{ #n, num, CH_##kind, dir, states, fd, sizeof(struct m_##n), NULL, 0 },
#include "messages.def"
};

static const char *const kind_names[CH_KINDS][3] = {
#define CHANNEL(kind, a, b) { #kind, #a, #b },
#include "messages.def"
};

static void
load_fields(void)
{
	enum msg_type t = 0;

#define MSG(n, num, kind, dir, states, fd) \
	descs[t].fields = fields_##n(&descs[t].nfields), t++;
#include "messages.def"
}

const struct msg_desc *
msg_desc(enum msg_type type)
{
	if (descs[0].fields == NULL)
		load_fields();
	return &descs[type];
}

const char *
chan_kind_name(enum chan_kind kind)
{
	return kind_names[kind][0];
}

const char *
chan_end_name(enum chan_kind kind, enum chan_end end)
{
	return kind_names[kind][end == END_A ? 1 : 2];
}

static int
put_field(const struct msg_field *f, const uint8_t *src, struct buf *out)
{
	struct bytes b;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (f->kind) {
	case MF_U8:
		buf_u8(out, *src);
		break;
	case MF_U16:
		memcpy(&v16, src, sizeof(v16));
		buf_u16(out, v16);
		break;
	case MF_U32:
		memcpy(&v32, src, sizeof(v32));
		buf_u32(out, v32);
		break;
	case MF_U64:
		memcpy(&v64, src, sizeof(v64));
		buf_u64(out, v64);
		break;
	case MF_FIX:
		buf_put(out, src, f->max);
		break;
	case MF_BYTES:
	case MF_TEXT:
		memcpy(&b, src, sizeof(b));
		if (b.n > f->max || (f->kind == MF_TEXT && !bytes_utf8(b)))
			return -1;
		buf_v32(out, b);
		break;
	}
	return out->err ? -1 : 0;
}

int
msg_encode(enum msg_type type, const void *body, struct buf *out)
{
	const struct msg_desc *d = msg_desc(type);

	if (body == NULL && d->nfields > 0)
		return -1;
	buf_u16(out, d->number);
	for (size_t i = 0; i < d->nfields; i++)
		if (put_field(&d->fields[i],
		    (const uint8_t *)body + d->fields[i].offset, out) == -1)
			return -1;
	return out->err ? -1 : 0;
}

static int
get_field(const struct msg_field *f, uint8_t *dst, struct rd *r)
{
	struct bytes b;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (f->kind) {
	case MF_U8:
		*dst = rd_u8(r);
		break;
	case MF_U16:
		v16 = rd_u16(r);
		memcpy(dst, &v16, sizeof(v16));
		break;
	case MF_U32:
		v32 = rd_u32(r);
		memcpy(dst, &v32, sizeof(v32));
		break;
	case MF_U64:
		v64 = rd_u64(r);
		memcpy(dst, &v64, sizeof(v64));
		break;
	case MF_FIX:
		rd_copy(r, dst, f->max);
		break;
	case MF_BYTES:
	case MF_TEXT:
		b = rd_v32(r, f->max);
		if (f->kind == MF_TEXT && !bytes_utf8(b))
			return -1;
		memcpy(dst, &b, sizeof(b));
		break;
	}
	return r->err ? -1 : 0;
}

static int
find_number(uint16_t number)
{
	for (int t = 0; t < MSG_TYPES; t++)
		if (descs[t].number == number)
			return t;
	return -1;
}

enum msg_verdict
msg_decode(struct bytes wire, enum chan_kind kind, enum chan_end end,
    unsigned state, struct msg *m)
{
	const struct msg_desc *d;
	struct rd r = rd_of(wire);
	uint16_t number = rd_u16(&r);
	int t;

	if (r.err)
		return MSG_MALFORMED;
	if ((t = find_number(number)) == -1)
		return MSG_UNKNOWN;
	m->type = (enum msg_type)t;
	d = msg_desc(m->type);
	if (d->kind != kind || (d->dir == AB) != (end == END_B) ||
	    (d->states & state) == 0)
		return MSG_DENIED;
	for (size_t i = 0; i < d->nfields; i++)
		if (get_field(&d->fields[i],
		    (uint8_t *)&m->u + d->fields[i].offset, &r) == -1)
			return MSG_MALFORMED;
	return rd_done(&r) ? MSG_OK : MSG_MALFORMED;
}

const char *
msg_verdict_text(enum msg_verdict v)
{
	switch (v) {
	case MSG_OK:
		return "ok";
	case MSG_UNKNOWN:
		return "unknown message";
	case MSG_DENIED:
		return "message not permitted here";
	case MSG_MALFORMED:
		return "malformed message";
	}
	return "?";
}

int
msg_text(char *dst, size_t size, struct bytes text)
{
	if (text.n >= size) {
		dst[0] = '\0';
		return -1;
	}
	if (text.n > 0)
		memcpy(dst, text.p, text.n);
	dst[text.n] = '\0';
	return 0;
}
