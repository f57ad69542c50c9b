#include "attack.h"

#include <sys/socket.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define WIRE_MAX	(3 * MSG_MAX_BYTES)
#define FDS_MAX		253	/* SCM_MAX_FD of the kernel */
#define FLOOD		2000	/* messages */
#define FILL		24	/* bytes of a variable field */

uint64_t attack_n = 1;
int attack_fd;
bool (*attack_may)(const struct msg_desc *);

/* Walks over all attempts; the one that is wanted is built. */
struct gen {
	const struct cell	*c;
	size_t			 at;
	size_t			 want;
	struct attack		*a;	/* NULL: only count */
};

/* Where a field is in the encoding. */
struct span {
	size_t	at;
	size_t	n;		/* with its length, for the variable kinds */
};

__attribute__((format(printf, 3, 4))) static bool
pick(struct gen *g, bool must_die, const char *fmt, ...)
{
	va_list ap;

	if (g->at++ != g->want || g->a == NULL)
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(g->a->name, sizeof(g->a->name), fmt, ap);
	va_end(ap);
	g->a->must_die = must_die;
	g->a->times = 1;
	return true;
}

static void
fill(const struct msg_field *f, uint8_t *dst)
{
	static uint8_t text[FILL];
	uint32_t v32 = 1;
	uint16_t v16 = 1;
	uint64_t v64 = strcmp(f->name, "n") == 0 ? attack_n : 1;
	struct bytes b = { text, f->max < FILL ? f->max : FILL };

	memset(text, 'a', sizeof(text));
	switch (f->kind) {
	case MF_U8:
		*dst = 1;
		break;
	case MF_U16:
		memcpy(dst, &v16, sizeof(v16));
		break;
	case MF_U32:
		memcpy(dst, &v32, sizeof(v32));
		break;
	case MF_U64:
		memcpy(dst, &v64, sizeof(v64));
		break;
	case MF_FIX:
		memset(dst, 0xa5, f->max);
		break;
	case MF_BYTES:
	case MF_TEXT:
		memcpy(dst, &b, sizeof(b));
		break;
	}
}

void
attack_sample(enum msg_type type, struct buf *wire)
{
	const struct msg_desc *d = msg_desc(type);
	struct msg m;

	memset(&m, 0, sizeof(m));
	for (size_t i = 0; i < d->nfields; i++)
		fill(&d->fields[i], (uint8_t *)&m.u + d->fields[i].offset);
	if (msg_encode(type, &m.u, wire) == -1)
		fatalx("%s cannot be encoded", d->name);
}

static struct span
span_of(const struct msg_desc *d, size_t field)
{
	struct span s = { 2, 0 };

	for (size_t i = 0; i <= field; i++) {
		const struct msg_field *f = &d->fields[i];

		s.at += s.n;
		s.n = f->kind < MF_BYTES ? f->max :
		    4 + (f->max < FILL ? f->max : FILL);
	}
	return s;
}

static bool
permitted(const struct cell *c, const struct msg_desc *d)
{
	return d->kind == c->kind && (d->dir == AB) == (c->end == END_B) &&
	    (d->states & c->state) != 0 &&
	    (attack_may == NULL || attack_may(d));
}

static void
set_u32(struct attack *a, size_t at, uint32_t v)
{
	put_be32(a->wire.p + at, v);
}

/* Replace bytes at..at+n by m bytes of fill. */
static void
splice(struct attack *a, size_t at, size_t n, size_t m)
{
	struct buf b = BUF_INIT(WIRE_MAX);

	buf_put(&b, a->wire.p, at);
	for (size_t i = 0; i < m; i++)
		buf_u8(&b, 'a');
	buf_put(&b, a->wire.p + at + n, a->wire.n - at - n);
	buf_reset(&a->wire);
	buf_put(&a->wire, b.p, b.n);
	buf_free(&b);
}

/* ---- one message that is permitted, spoilt -------------------------------- */

static void
cuts(struct gen *g, enum msg_type t, size_t whole)
{
	const struct msg_desc *d = msg_desc(t);

	for (size_t n = 0; n < whole; n++) {
		bool edge = n < 3 || n + 1 == whole;

		for (size_t f = 0; f < d->nfields && !g->c->lean; f++) {
			struct span s = span_of(d, f);

			edge |= n == s.at || n + 1 == s.at || n == s.at + 1 ||
			    (d->fields[f].kind >= MF_BYTES && n == s.at + 4);
		}
		if (edge && pick(g, true, "%s cut to %zu", d->name, n))
			g->a->wire.n = n;
	}
	if (pick(g, true, "%s in two halves", d->name)) {
		buf_put(&g->a->rest, g->a->wire.p + whole / 2,
		    whole - whole / 2);
		g->a->wire.n = whole / 2;
	}
}

static void
extensions(struct gen *g, const char *name, size_t whole)
{
	static const size_t more[] = { 1, 4, 4096 };

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if (pick(g, true, "%s and %zu bytes", name, more[i]))
			buf_zero(&g->a->wire, more[i]);
	if (pick(g, true, "%s in a datagram too long", name))
		buf_zero(&g->a->wire, MSG_MAX_BYTES + 1 - whole);
	if (pick(g, true, "%s in a datagram of twice that", name))
		buf_zero(&g->a->wire, 2 * MSG_MAX_BYTES - whole);
}

static void
lengths(struct gen *g, const char *name, const struct msg_field *f,
    struct span s)
{
	uint32_t n = (uint32_t)s.n - 4;
	const uint32_t bad[] = { n + 1, n - 1, 0x80000000, UINT32_MAX };
	static const char *const texts[] = { "\xff", "\xc0\x80",
	    "\xed\xa0\x80" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (pick(g, true, "%s.%s of length %u", name, f->name, bad[i]))
			set_u32(g->a, s.at, bad[i]);
	if (pick(g, true, "%s.%s beyond its bound", name, f->name)) {
		set_u32(g->a, s.at, f->max + 1);
		splice(g->a, s.at + 4, n, f->max + 1);
	}
	if (pick(g, false, "%s.%s empty", name, f->name)) {
		set_u32(g->a, s.at, 0);
		splice(g->a, s.at + 4, n, 0);
	}
	if (pick(g, f->max + 64 > MSG_MAX_BYTES, "%s.%s full", name, f->name)) {
		set_u32(g->a, s.at, f->max);
		splice(g->a, s.at + 4, n, f->max);
	}
	if (f->kind != MF_TEXT)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (pick(g, true, "%s.%s not UTF-8 %zu", name, f->name, i))
			memcpy(g->a->wire.p + s.at + 4, texts[i],
			    strlen(texts[i]));
	if (pick(g, true, "%s.%s with a NUL", name, f->name))
		g->a->wire.p[s.at + 5] = 0;
}

static void
flips(struct gen *g, const char *name, const struct msg_field *f, struct span s)
{
	size_t skip = f->kind >= MF_BYTES ? 4 : 0;
	int step = g->c->lean ? 7 : 1;

	for (int bit = 0; bit < 8; bit += step) {
		if (pick(g, false, "%s.%s first byte, bit %d", name, f->name,
		    bit))
			g->a->wire.p[s.at + skip] ^= (uint8_t)(1 << bit);
		if (s.n - skip > 1 && pick(g, false,
		    "%s.%s last byte, bit %d", name, f->name, bit))
			g->a->wire.p[s.at + s.n - 1] ^= (uint8_t)(1 << bit);
	}
	if (f->kind > MF_U64)
		return;
	if (pick(g, false, "%s.%s zero", name, f->name))
		memset(g->a->wire.p + s.at, 0, s.n);
	if (pick(g, false, "%s.%s all ones", name, f->name))
		memset(g->a->wire.p + s.at, 0xff, s.n);
}

/* The number of the message, each bit of it. */
static void
numbers(struct gen *g, const struct msg_desc *d)
{
	for (int bit = 0; bit < 16; bit++) {
		uint16_t number = d->number ^ (uint16_t)(1u << bit);
		bool other = false;

		for (int t = 0; t < MSG_TYPES; t++) {
			const struct msg_desc *o = msg_desc((enum msg_type)t);

			other |= o->number == number && permitted(g->c, o);
		}
		if (pick(g, !other, "%s with number %#x", d->name, number))
			put_be16(g->a->wire.p, number);
	}
}

/*
 * A channel that cannot receive descriptors lets the kernel drop them, so the
 * message itself may be taken.
 */
static void
descriptors(struct gen *g, const struct msg_desc *d)
{
	static const int n[] = { 0, 1, 2, 3, FDS_MAX };

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		if (n[i] != (d->has_fd ? 1 : 0) &&
		    pick(g, g->c->recv_fd || d->has_fd,
		    "%s with %d descriptors", d->name, n[i]))
			g->a->nfds = n[i];
}

static void
spoilt(struct gen *g, enum msg_type t)
{
	const struct msg_desc *d = msg_desc(t);
	struct buf plain = BUF_INIT(MSG_MAX_BYTES);

	attack_sample(t, &plain);
	if (g->a != NULL) {
		buf_reset(&g->a->wire);
		buf_put(&g->a->wire, plain.p, plain.n);
		g->a->nfds = d->has_fd ? 1 : 0;
	}
	cuts(g, t, plain.n);
	extensions(g, d->name, plain.n);
	for (size_t i = 0; i < d->nfields; i++) {
		const struct msg_field *f = &d->fields[i];

		if (f->kind >= MF_BYTES)
			lengths(g, d->name, f, span_of(d, i));
		flips(g, d->name, f, span_of(d, i));
	}
	numbers(g, d);
	descriptors(g, d);
	if (pick(g, false, "%s twice", d->name))
		g->a->times = 2;
	if (pick(g, false, "a flood of %s", d->name))
		g->a->times = FLOOD;
	buf_free(&plain);
}

/* ---- what is not permitted at all ----------------------------------------- */

static void
foreign(struct gen *g)
{
	enum chan_kind last = CH_KINDS;

	for (int t = 0; t < MSG_TYPES; t++) {
		const struct msg_desc *d = msg_desc((enum msg_type)t);

		if (permitted(g->c, d) || (g->c->lean && d->kind == last &&
		    d->kind != g->c->kind))
			continue;
		last = d->kind;
		if (pick(g, true, "%s where it is not permitted", d->name)) {
			buf_reset(&g->a->wire);
			attack_sample((enum msg_type)t, &g->a->wire);
			g->a->nfds = d->has_fd ? 1 : 0;
		}
	}
}

static void
unknown(struct gen *g)
{
	static const uint16_t n[] = { 0, 0x00ff, 0xff01, 0xffff };

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		if (pick(g, true, "unknown number %#x", n[i])) {
			buf_reset(&g->a->wire);
			buf_u16(&g->a->wire, n[i]);
		}
	if (pick(g, true, "an empty datagram"))
		buf_reset(&g->a->wire);
	if (pick(g, true, "an empty datagram with two descriptors")) {
		buf_reset(&g->a->wire);
		g->a->nfds = 2;
	}
	if (pick(g, true, "a datagram of ones")) {
		buf_reset(&g->a->wire);
		buf_zero(&g->a->wire, MSG_MAX_BYTES);
		memset(g->a->wire.p, 0xff, g->a->wire.n);
	}
}

static void
walk(struct gen *g)
{
	foreign(g);
	unknown(g);
	for (int t = 0; t < MSG_TYPES; t++)
		if (permitted(g->c, msg_desc((enum msg_type)t)))
			spoilt(g, (enum msg_type)t);
}

size_t
attack_count(const struct cell *c)
{
	struct gen g = { .c = c };

	walk(&g);
	return g.at;
}

static void
built(struct gen *g, enum msg_type t)
{
	size_t before = g->at;
	struct gen count = { .c = g->c, .at = before };

	spoilt(&count, t);
	if (g->want < before || g->want >= count.at)
		g->at = count.at;
	else
		spoilt(g, t);
}

void
attack_make(const struct cell *c, size_t i, struct attack *a)
{
	struct gen g = { .c = c, .want = i, .a = a };

	memset(a, 0, sizeof(*a));
	buf_init(&a->wire, WIRE_MAX);
	buf_init(&a->rest, WIRE_MAX);
	foreign(&g);
	unknown(&g);
	for (int t = 0; t < MSG_TYPES && g.at <= i; t++)
		if (permitted(c, msg_desc((enum msg_type)t)))
			built(&g, (enum msg_type)t);
	if (a->times == 0 || a->wire.err || a->rest.err)
		fatalx("attempt %zu cannot be made", i);
}

void
attack_free(struct attack *a)
{
	buf_free(&a->wire);
	buf_free(&a->rest);
}

/* ---- sending -------------------------------------------------------------- */

int
attack_datagram(int fd, struct bytes b, int nfds)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec iov = { (void *)(uintptr_t)b.p, b.n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (nfds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.buf;
		mh.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		for (int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cm) + (size_t)i * sizeof(int),
			    &attack_fd, sizeof(int));
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ? -1 : 0;
}

void
attack_send(int fd, const struct attack *a)
{
	for (unsigned i = 0; i < a->times; i++)
		if (attack_datagram(fd, buf_bytes(&a->wire), a->nfds) == -1)
			return;
	if (a->rest.n > 0)
		(void)attack_datagram(fd, buf_bytes(&a->rest), 0);
}
