#include "ui.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "style.h"
#include "text.h"

#define UI_MAX_BYTES	(8u << 20)	/* of one piece of text, made harmless */

static bool verbose;
static bool line_open;	/* the last byte on standard output is no newline */
static bool aside;	/* standard error is dim */

void
ui_set_verbose(bool on)
{
	verbose = on;
}

/* An aside that cannot be ended was not seen either. */
static void
end_aside(void)
{
	if (aside)
		(void)ui_write(STDERR_FILENO, bytes_str(STYLE_END "\n\n"));
	aside = false;
}

__attribute__((format(printf, 2, 0)))
static void
say(const char *prefix, const char *fmt, va_list ap)
{
	struct buf b = BUF_INIT(UI_MAX_BYTES);
	char *s;

	if (vasprintf(&s, fmt, ap) == -1)
		return;
	end_aside();
	if (isatty(STDOUT_FILENO))
		(void)ui_newline();
	buf_str(&b, prefix);
	text_clean(&b, bytes_str(s));
	buf_u8(&b, '\n');
	/* When standard error is gone there is nobody left to tell. */
	(void)ui_write(STDERR_FILENO, buf_bytes(&b));
	buf_free(&b);
	free(s);
}

void
ui_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("cloister: ", fmt, ap);
	va_end(ap);
}

void
ui_step(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	say("debug: ", fmt, ap);
	va_end(ap);
}

int
ui_write(int fd, struct bytes b)
{
	struct pollfd pfd = { fd, POLLOUT, 0 };
	ssize_t n;

	while (b.n > 0) {
		n = write(fd, b.p, b.n);
		if (n == -1 && errno == EAGAIN)
			n = poll(&pfd, 1, -1) == -1 && errno != EINTR ? -1 : 0;
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0) {
			b.p += n;
			b.n -= (size_t)n;
		}
	}
	return 0;
}

int
ui_out(struct bytes b)
{
	struct buf safe = BUF_INIT(UI_MAX_BYTES);
	int rv;

	if (!isatty(STDOUT_FILENO))
		return ui_styled(b);
	text_clean(&safe, b);
	rv = ui_styled(buf_bytes(&safe));
	buf_free(&safe);
	return rv;
}

int
ui_styled(struct bytes b)
{
	int rv;

	if (b.n == 0)
		return 0;
	end_aside();
	line_open = b.p[b.n - 1] != '\n';
	rv = ui_write(STDOUT_FILENO, b);
	if (rv == -1) {
		line_open = false;
		/* A reader who has seen enough (head) is no news to the user. */
		if (errno != EPIPE)
			ui_err("standard output: %s", strerror(errno));
	}
	return rv;
}

int
ui_newline(void)
{
	end_aside();
	return line_open ? ui_out(bytes_str("\n")) : 0;
}

/* Whether attributes may be used on fd. */
static bool
fancy(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0 &&
	    (no == NULL || no[0] == '\0');
}

bool
ui_fancy(void)
{
	return fancy(STDOUT_FILENO);
}

bool
ui_fancy_err(void)
{
	return fancy(STDERR_FILENO);
}

void
ui_aside(struct bytes b)
{
	struct buf safe = BUF_INIT(UI_MAX_BYTES);

	if (b.n == 0 || !fancy(STDERR_FILENO))
		return;
	if (!aside) {
		if (isatty(STDOUT_FILENO))
			(void)ui_newline();
		buf_str(&safe, STYLE_DIM);
		aside = true;
	}
	text_clean(&safe, b);
	(void)ui_write(STDERR_FILENO, buf_bytes(&safe));
	buf_free(&safe);
}

int
ui_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n, rv;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n == -1)
		return -1;
	rv = ui_out(bytes_str(s));
	free(s);
	return rv;
}

void
ui_time(char text[UI_TIME], uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (isatty(STDOUT_FILENO) ? localtime_r(&t, &tm) == NULL :
	    gmtime_r(&t, &tm) == NULL)
		(void)strlcpy(text, "?", UI_TIME);
	else if (strftime(text, UI_TIME, isatty(STDOUT_FILENO) ?
	    "%Y-%m-%d %H:%M" : "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)strlcpy(text, "?", UI_TIME);
}
