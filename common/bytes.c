#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

struct bytes
bytes_str(const char *s)
{
	return bytes_of(s, strlen(s));
}

struct bytes
bytes_of(const void *p, size_t n)
{
	return (struct bytes){ p, n };
}

bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
bytes_eq_ct(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

/* Length of the well-formed sequence at p, or 0; the table of RFC 3629. */
static size_t
utf8_seq(const uint8_t *p, size_t n)
{
	uint8_t lo = 0x80, hi = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool
bytes_utf8(struct bytes b)
{
	while (b.n > 0) {
		size_t len = utf8_seq(b.p, b.n);

		if (len == 0)
			return false;
		b.p += len;
		b.n -= len;
	}
	return true;
}

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf)BUF_INIT(max);
}

void
buf_free(struct buf *b)
{
	if (b->p != NULL) {
		OPENSSL_cleanse(b->p, b->cap);
		free(b->p);
	}
	buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
	if (b->n > 0)
		OPENSSL_cleanse(b->p, b->n);
	b->n = 0;
	b->err = false;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->n)
		n = b->n;
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	OPENSSL_cleanse(b->p + (b->n - n), n);
	b->n -= n;
}

uint8_t *
buf_grow(struct buf *b, size_t n)
{
	uint8_t *p;
	size_t cap;

	if (b->err || n > b->max - b->n) {
		b->err = true;
		return NULL;
	}
	if (n > b->cap - b->n) {
		cap = b->cap < 256 ? 256 : b->cap;
		while (cap - b->n < n)
			cap *= 2;
		if (cap > b->max)
			cap = b->max;
		if ((p = malloc(cap)) == NULL) {
			b->err = true;
			return NULL;
		}
		if (b->p != NULL) {
			memcpy(p, b->p, b->n);
			OPENSSL_cleanse(b->p, b->cap);
			free(b->p);
		}
		b->p = p;
		b->cap = cap;
	}
	p = b->p + b->n;
	b->n += n;
	return p;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *dst;

	if (n > 0 && (dst = buf_grow(b, n)) != NULL)
		memcpy(dst, p, n);
}

void
buf_zero(struct buf *b, size_t n)
{
	uint8_t *dst;

	if (n > 0 && (dst = buf_grow(b, n)) != NULL)
		memset(dst, 0, n);
}

void
buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void
buf_u16(struct buf *b, uint16_t v)
{
	uint8_t t[2];

	put_be16(t, v);
	buf_put(b, t, sizeof(t));
}

void
buf_u24(struct buf *b, uint32_t v)
{
	uint8_t t[4];

	put_be32(t, v);
	buf_put(b, t + 1, 3);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	uint8_t t[4];

	put_be32(t, v);
	buf_put(b, t, sizeof(t));
}

void
buf_u64(struct buf *b, uint64_t v)
{
	uint8_t t[8];

	put_be64(t, v);
	buf_put(b, t, sizeof(t));
}

void
buf_v16(struct buf *b, struct bytes v)
{
	if (v.n > UINT16_MAX) {
		b->err = true;
		return;
	}
	buf_u16(b, (uint16_t)v.n);
	buf_put(b, v.p, v.n);
}

void
buf_v32(struct buf *b, struct bytes v)
{
	if (v.n > UINT32_MAX) {
		b->err = true;
		return;
	}
	buf_u32(b, (uint32_t)v.n);
	buf_put(b, v.p, v.n);
}

void
buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

struct bytes
buf_bytes(const struct buf *b)
{
	return bytes_of(b->p, b->n);
}

struct rd
rd_of(struct bytes b)
{
	return (struct rd){ b.p, b.n, false };
}

struct bytes
rd_bytes(struct rd *r, size_t n)
{
	struct bytes b = { NULL, 0 };

	if (r->err || n > r->n) {
		r->err = true;
		return b;
	}
	if (n == 0)	/* there may be no bytes at all: no sum with that */
		return bytes_of(r->p, 0);
	b = bytes_of(r->p, n);
	r->p += n;
	r->n -= n;
	return b;
}

void
rd_copy(struct rd *r, void *dst, size_t n)
{
	struct bytes b = rd_bytes(r, n);

	if (r->err)
		memset(dst, 0, n);
	else if (n > 0)
		memcpy(dst, b.p, n);
}

uint8_t
rd_u8(struct rd *r)
{
	uint8_t v;

	rd_copy(r, &v, 1);
	return v;
}

uint16_t
rd_u16(struct rd *r)
{
	uint8_t t[2];

	rd_copy(r, t, sizeof(t));
	return get_be16(t);
}

uint32_t
rd_u24(struct rd *r)
{
	uint8_t t[4] = { 0 };

	rd_copy(r, t + 1, 3);
	return get_be32(t);
}

uint32_t
rd_u32(struct rd *r)
{
	uint8_t t[4];

	rd_copy(r, t, sizeof(t));
	return get_be32(t);
}

uint64_t
rd_u64(struct rd *r)
{
	uint8_t t[8];

	rd_copy(r, t, sizeof(t));
	return get_be64(t);
}

static struct bytes
rd_var(struct rd *r, size_t n, size_t max)
{
	if (n > max)
		r->err = true;
	return rd_bytes(r, n);
}

struct bytes
rd_v16(struct rd *r, size_t max)
{
	return rd_var(r, rd_u16(r), max);
}

struct bytes
rd_v32(struct rd *r, size_t max)
{
	return rd_var(r, rd_u32(r), max);
}

bool
rd_done(const struct rd *r)
{
	return !r->err && r->n == 0;
}

void
put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void
put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

void
put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

uint16_t
get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

uint64_t
get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

void
hex_encode(char *dst, const void *p, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *u = p;

	for (size_t i = 0; i < n; i++) {
		dst[2 * i] = digit[u[i] >> 4];
		dst[2 * i + 1] = digit[u[i] & 15];
	}
	dst[2 * n] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
hex_decode(void *dst, size_t n, const char *s)
{
	uint8_t *u = dst;

	if (strlen(s) != 2 * n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -1;
		u[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}
