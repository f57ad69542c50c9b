/*
 * The messages of messages.def: structures, codec and permissions.
 *
 * On the wire a message is `u16 number | fields`, with nothing after the last
 * field.  A decoded message points into the bytes that it was decoded from.
 */
#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* The most bytes that one internal datagram, and one application message,
 * may have. */
#define MSG_MAX_BYTES		65536
#define MSG_APP_MAX_BYTES	(1048576 + 4096)
#define MSG_TEXT_MAX_BYTES	1048576

/* Kinds of channel: CH_CTL, CH_LOG, ... */
enum chan_kind {
#define CHANNEL(kind, a, b) CH_##kind,
#include "messages.def"
	CH_KINDS
};

/* States of a channel's end, one bit each: CTL_START, KEX_KEYD_NEW, ... */
enum {
#define STATE(kind, name, bit) kind##_##name = (bit),
#include "messages.def"
};

/* Which end of a channel one holds; A is named first in messages.def. */
enum chan_end { END_A, END_B };

/* Which end sends a message. */
enum msg_dir { AB, BA };

/* MSG_ctl_start, ...: a dense number for tables and switches. */
enum msg_type {
#define MSG(name, num, kind, dir, states, fd) MSG_##name,
#include "messages.def"
	MSG_TYPES
};

/* struct m_ctl_start, ... */
#define MSG(name, num, kind, dir, states, fd) struct m_##name { uint8_t none_;
#define U8(f)		uint8_t f;
#define U16(f)		uint16_t f;
#define U32(f)		uint32_t f;
#define U64(f)		uint64_t f;
#define FIX(f, n)	uint8_t f[n];
#define BYTES(f, max)	struct bytes f;
#define TEXT(f, max)	struct bytes f;
#define END		};
#include "messages.def"

/* A received message.  fd is -1 unless the type carries a descriptor, which
 * then belongs to whoever takes it out (and sets it to -1). */
struct msg {
	enum msg_type	 type;
	int		 fd;
	union {
#define MSG(name, num, kind, dir, states, fd) struct m_##name name;
#include "messages.def"
	} u;
};

enum msg_field_kind { MF_U8, MF_U16, MF_U32, MF_U64, MF_FIX, MF_BYTES, MF_TEXT };

struct msg_field {
	const char		*name;
	enum msg_field_kind	 kind;
	size_t			 offset;	/* in the structure */
	uint32_t		 max;		/* bytes, for the last three */
};

/* What messages.def says of one message. */
struct msg_desc {
	const char		*name;
	uint16_t		 number;
	enum chan_kind		 kind;
	enum msg_dir		 dir;
	unsigned		 states;
	bool			 has_fd;
	size_t			 size;		/* of the structure */
	const struct msg_field	*fields;
	size_t			 nfields;
};

/* The declaration of a type; type must be less than MSG_TYPES. */
const struct msg_desc *msg_desc(enum msg_type type);

/* The name of a kind of channel, and of what sits at one end of it. */
const char *chan_kind_name(enum chan_kind kind);
const char *chan_end_name(enum chan_kind kind, enum chan_end end);

/*
 * Append the encoding of a message to out.  body points to the type's
 * structure (may be NULL for a type without fields).  Returns 0, or -1 when a
 * field is longer than declared, a text is not well formed, or out is full.
 */
int msg_encode(enum msg_type type, const void *body, struct buf *out);

enum msg_verdict {
	MSG_OK = 0,
	MSG_UNKNOWN = -1,	/* no such number */
	MSG_DENIED = -2,	/* not on this channel, direction or state */
	MSG_MALFORMED = -3	/* short, long, or a field out of bounds */
};

/*
 * Decode one message that arrived at `end` of a channel of kind `kind` whose
 * receiving end is in `state`.  m->fd is left alone.  Pure: no I/O, no memory.
 */
enum msg_verdict msg_decode(struct bytes wire, enum chan_kind kind,
    enum chan_end end, unsigned state, struct msg *m);

/* Text for a verdict, for logs. */
const char *msg_verdict_text(enum msg_verdict v);

/*
 * Copy a text field into a NUL-terminated array of size bytes.  Returns -1, and
 * leaves an empty string, when it does not fit.
 */
int msg_text(char *dst, size_t size, struct bytes text);

#endif
