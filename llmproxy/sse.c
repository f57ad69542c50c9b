#include "sse.h"

#include <string.h>

void
sse_init(struct sse *s, sse_event_fn *fn, void *arg)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->line, SSE_EVENT_MAX);
	buf_init(&s->data, SSE_EVENT_MAX);
	s->first = true;
	s->fn = fn;
	s->arg = arg;
}

void
sse_free(struct sse *s)
{
	buf_free(&s->line);
	buf_free(&s->data);
}

static int
dispatch(struct sse *s)
{
	int rc = 0;

	if (s->data.n > 0)
		rc = s->fn(s->arg, s->name, bytes_of(s->data.p, s->data.n - 1));
	buf_reset(&s->data);
	s->name[0] = '\0';
	return rc;
}

static void
set_name(struct sse *s, struct bytes v)
{
	if (v.n >= sizeof(s->name) || memchr(v.p, '\0', v.n) != NULL)
		v = bytes_str("?");
	memcpy(s->name, v.p, v.n);
	s->name[v.n] = '\0';
}

/* One whole line, without its end. */
static int
take_line(struct sse *s, struct bytes l)
{
	struct bytes field = l;
	const uint8_t *colon;

	if (s->first && l.n >= 3 && memcmp(l.p, "\xef\xbb\xbf", 3) == 0)
		l = field = bytes_of(l.p + 3, l.n - 3);
	s->first = false;
	if (l.n == 0)
		return dispatch(s);
	if ((colon = memchr(l.p, ':', l.n)) != NULL) {
		field.n = (size_t)(colon - l.p);
		l = bytes_of(colon + 1, l.n - field.n - 1);
		if (l.n > 0 && l.p[0] == ' ')
			l = bytes_of(l.p + 1, l.n - 1);
	} else
		l.n = 0;
	if (bytes_eq(field, bytes_str("data"))) {
		buf_put(&s->data, l.p, l.n);
		buf_u8(&s->data, '\n');
	} else if (bytes_eq(field, bytes_str("event")))
		set_name(s, l);
	return s->data.err ? -1 : 0;
}

int
sse_feed(struct sse *s, const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	while (n > 0 && s->stop == 0) {
		if (s->after_cr && b[0] == '\n') {
			s->after_cr = false;
			b++;
			n--;
			continue;
		}
		s->after_cr = false;
		for (i = 0; i < n && b[i] != '\n' && b[i] != '\r'; i++)
			;
		buf_put(&s->line, b, i);
		if (s->line.err)
			s->stop = -1;
		if (i == n || s->stop != 0)
			break;
		s->after_cr = b[i] == '\r';
		b += i + 1;
		n -= i + 1;
		s->stop = take_line(s, buf_bytes(&s->line));
		buf_reset(&s->line);
	}
	return s->stop;
}
