#include "text.h"

#define REPLACEMENT "\xef\xbf\xbd"	/* U+FFFD */

size_t
text_decode(struct bytes in, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;

	if (in.p[0] < 0x80) {
		*cp = in.p[0];
		return 1;
	}
	if ((in.p[0] & 0xe0) == 0xc0) {
		n = 2;
		*cp = in.p[0] & 0x1f;
	} else if ((in.p[0] & 0xf0) == 0xe0) {
		n = 3;
		*cp = in.p[0] & 0x0f;
	} else if ((in.p[0] & 0xf8) == 0xf0) {
		n = 4;
		*cp = in.p[0] & 0x07;
	} else
		return 0;
	if (n > in.n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((in.p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (in.p[i] & 0x3f);
	}
	if (*cp < least[n] || *cp > 0x10ffff ||
	    (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

/* Not a C0 control: whether a terminal may have it. */
static bool
harmless(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} bad[] = {
		{ 0x80, 0x9f },			/* C1 */
		{ 0x2028, 0x202e },		/* separators, bidi overrides */
		{ 0x2066, 0x2069 },		/* bidi isolates */
		{ 0xfdd0, 0xfdef },		/* noncharacters */
		{ 0xfff9, 0xfffb },		/* interlinear annotation */
		{ 0xe0000, 0xe007f }		/* tags: text that nobody sees */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cp >= bad[i].first && cp <= bad[i].last)
			return false;
	return (cp & 0xfffe) != 0xfffe;
}

static void
clean(struct buf *out, struct bytes in, bool one_line)
{
	uint32_t cp;
	size_t n;

	for (; in.n > 0; in.p += n, in.n -= n) {
		n = text_decode(in, &cp);
		if (n == 0) {
			buf_str(out, REPLACEMENT);
			n = 1;
		} else if (cp == '\n' || cp == '\t')
			buf_u8(out, one_line ? ' ' : (uint8_t)cp);
		else if (cp < 0x20 || cp == 0x7f) {
			buf_u8(out, '^');
			buf_u8(out, (uint8_t)(cp ^ 0x40));
		} else if (harmless(cp))
			buf_put(out, in.p, n);
		else
			buf_str(out, REPLACEMENT);
	}
}

void
text_clean(struct buf *out, struct bytes in)
{
	clean(out, in, false);
}

void
text_clean_line(struct buf *out, struct bytes in)
{
	clean(out, in, true);
}
