/*
 * Byte strings, a bounded growing buffer and a bounds-checked reader.
 *
 * All numbers on a wire or on disk are big-endian.  A reader or a buffer
 * remembers its first error, so that a parser can read a whole structure and
 * check once at its end.
 */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A byte string that somebody else owns. */
struct bytes {
	const uint8_t	*p;
	size_t		 n;
};

/* The bytes of a string literal or of a NUL-terminated string, NUL excluded. */
struct bytes bytes_str(const char *s);
/* p[0..n) as a byte string; no copy. */
struct bytes bytes_of(const void *p, size_t n);
/* Whether two byte strings are equal; not constant time. */
bool bytes_eq(struct bytes a, struct bytes b);
/*
 * Whether n bytes at a and b are equal, in time that depends on n alone.  For
 * every comparison of a MAC or a secret.
 */
bool bytes_eq_ct(const void *a, const void *b, size_t n);
/* Whether b is well-formed UTF-8 (RFC 3629) without a NUL byte. */
bool bytes_utf8(struct bytes b);

/*
 * A growing buffer with a bound.  Start it with BUF_INIT(max) or buf_init();
 * memory that it leaves behind, when it grows or is freed, is wiped.
 */
struct buf {
	uint8_t	*p;
	size_t	 n;		/* bytes in use */
	size_t	 cap;		/* bytes allocated */
	size_t	 max;		/* bytes allowed */
	bool	 err;		/* something did not fit, or no memory */
};

#define BUF_INIT(m)	{ NULL, 0, 0, (m), false }

/* Make an empty buffer that may hold at most max bytes. */
void buf_init(struct buf *b, size_t max);
/* Wipe and free; the buffer is empty and usable afterwards. */
void buf_free(struct buf *b);
/* Forget the content (wiped), keep the memory and the bound. */
void buf_reset(struct buf *b);
/* Drop the first n bytes; n must not exceed b->n. */
void buf_consume(struct buf *b, size_t n);
/*
 * Make room for n more bytes and return where they go, or NULL with err set.
 * The caller fills them; b->n has already grown.
 */
uint8_t *buf_grow(struct buf *b, size_t n);
/* Append; on overflow or lack of memory b->err is set and nothing is added. */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u24(struct buf *b, uint32_t v);	/* low 24 bits */
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_zero(struct buf *b, size_t n);
/* Append n bytes of b preceded by their length as u16, u32. */
void buf_v16(struct buf *b, struct bytes v);
void buf_v32(struct buf *b, struct bytes v);
/* Append a NUL-terminated string without its NUL. */
void buf_str(struct buf *b, const char *s);
/* The content, still owned by b and valid until b changes. */
struct bytes buf_bytes(const struct buf *b);

/*
 * A reader over bytes that somebody else owns.  After the first read past the
 * end err is set and every read returns zero or an empty string.
 */
struct rd {
	const uint8_t	*p;
	size_t		 n;		/* bytes left */
	bool		 err;
};

struct rd rd_of(struct bytes b);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u24(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
/* The next n bytes, not copied. */
struct bytes rd_bytes(struct rd *r, size_t n);
/* Copy exactly n bytes to dst; dst is zeroed when they are not there. */
void rd_copy(struct rd *r, void *dst, size_t n);
/* A byte string preceded by its length as u16 or u32, at most max bytes. */
struct bytes rd_v16(struct rd *r, size_t max);
struct bytes rd_v32(struct rd *r, size_t max);
/* True when no error happened and nothing is left. */
bool rd_done(const struct rd *r);

void put_be16(uint8_t *p, uint16_t v);
void put_be32(uint8_t *p, uint32_t v);
void put_be64(uint8_t *p, uint64_t v);
uint16_t get_be16(const uint8_t *p);
uint32_t get_be32(const uint8_t *p);
uint64_t get_be64(const uint8_t *p);

/* Lower-case hexadecimal of n bytes, NUL-terminated; dst holds 2n + 1. */
void hex_encode(char *dst, const void *p, size_t n);
/* The reverse of exactly n bytes (2n digits, then NUL); 0 or -1. */
int hex_decode(void *dst, size_t n, const char *s);

#endif
