#include "match.h"

#include <string.h>
#include <wctype.h>

#define TEXT_MAX	(1u << 20)
#define BEFORE		80	/* bytes of an excerpt before the word */

/* The bytes that the character at p takes: the text is well-formed. */
static size_t
char_len(uint8_t first)
{
	return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Lower case of a character of 2 or 3 bytes, if that takes as many. */
static void
fold_char(uint8_t *p, size_t n)
{
	wint_t c = n == 2 ? (wint_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f) :
	    (wint_t)(p[0] & 0x0f) << 12 | (wint_t)(p[1] & 0x3f) << 6 |
	    (p[2] & 0x3f);
	wint_t l = towlower(c);

	if (l == c)
		return;
	if (n == 2 && l >= 0x80 && l < 0x800) {
		p[0] = (uint8_t)(0xc0 | l >> 6);
		p[1] = (uint8_t)(0x80 | (l & 0x3f));
	} else if (n == 3 && l >= 0x800 && l < 0x10000) {
		p[0] = (uint8_t)(0xe0 | l >> 12);
		p[1] = (uint8_t)(0x80 | (l >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (l & 0x3f));
	}
}

/* Append the text in lower case: as many bytes as it had. */
static void
fold(struct buf *out, struct bytes text)
{
	uint8_t *p;
	size_t n;

	if (text.n == 0 || (p = buf_grow(out, text.n)) == NULL)
		return;
	memcpy(p, text.p, text.n);
	for (size_t i = 0; i < text.n; i += n) {
		n = char_len(p[i]);
		if (n == 1 && p[i] >= 'A' && p[i] <= 'Z')
			p[i] |= 0x20;
		else if ((n == 2 || n == 3) && n <= text.n - i)
			fold_char(p + i, n);
	}
}

int
match_init(struct match *m, struct bytes words)
{
	const uint8_t *p, *end;

	memset(m, 0, sizeof(*m));
	buf_init(&m->folded, MATCH_BYTES_MAX);
	buf_init(&m->text, TEXT_MAX);
	fold(&m->folded, words);
	if (m->folded.err || m->folded.n == 0)
		return -1;
	end = m->folded.p + m->folded.n;
	for (p = m->folded.p; p < end;) {
		const uint8_t *from;

		while (p < end && *p <= ' ')
			p++;
		for (from = p; p < end && *p > ' ';)
			p++;
		if (p == from)
			break;
		if (m->nwords == MATCH_WORDS_MAX)
			return -1;
		m->word[m->nwords++] = bytes_of(from, (size_t)(p - from));
	}
	return m->nwords > 0 ? 0 : -1;
}

bool
match_text(struct match *m, struct bytes text, size_t *at)
{
	const uint8_t *hit;
	bool all = true;

	fold(&m->text, text);
	for (size_t i = 0; i < m->nwords && all; i++) {
		hit = m->text.n == 0 ? NULL : memmem(m->text.p, m->text.n,
		    m->word[i].p, m->word[i].n);
		if (hit == NULL)
			all = false;
		else if (i == 0)
			*at = (size_t)(hit - m->text.p);
	}
	buf_reset(&m->text);
	return all;
}

void
match_excerpt(struct buf *out, struct bytes text, size_t at)
{
	size_t from = at > BEFORE ? at - BEFORE : 0, to, n;

	while (from < text.n && (text.p[from] & 0xc0) == 0x80)
		from++;
	for (to = from; to < text.n; to += n) {
		n = char_len(text.p[to]);
		if (to - from + n > MATCH_EXCERPT_MAX || n > text.n - to)
			break;
		if (n == 1 && (text.p[to] < ' ' || text.p[to] == 0x7f))
			buf_u8(out, ' ');
		else
			buf_put(out, text.p + to, n);
	}
}

void
match_free(struct match *m)
{
	buf_free(&m->folded);
	buf_free(&m->text);
}
