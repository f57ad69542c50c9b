#include "conf.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An option of one section (libconfuse copies the options for each). */
struct conf_mark {
	const cfg_opt_t	*opt;
	int		 line;
	unsigned int	 nvalues;	/* of a list so far */
	bool		 ended;		/* the list's closing brace was seen */
};

/* libconfuse's callbacks take no argument of ours. */
static struct conf *loading;

int
conf_open(const char *path, mode_t forbidden, char *err, size_t errlen)
{
	struct stat st;
	const char *what;
	int fd, saved;

	/* O_NONBLOCK: a FIFO in the place of the file must not stop us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) == -1) {
		saved = errno;
		snprintf(err, errlen, "%s: %s", path, strerror(saved));
		if (fd != -1)
			close(fd);
		errno = saved;
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		what = "not a regular file";
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		what = "belongs to neither root nor the caller";
	else if ((st.st_mode & forbidden & 044) != 0)
		what = "can be read by group or others";
	else if ((st.st_mode & forbidden) != 0)
		what = "can be written by group or others";
	else
		return fd;
	snprintf(err, errlen, "%s: %s", path, what);
	close(fd);
	errno = EPERM;
	return -1;
}

/* The number of the first line that is not text, or 0. */
static int
not_text(struct bytes b)
{
	for (int line = 1; b.n > 0; line++) {
		const uint8_t *nl = memchr(b.p, '\n', b.n);
		size_t len = nl != NULL ? (size_t)(nl - b.p) : b.n;

		if (!bytes_utf8(bytes_of(b.p, len)))
			return line;
		for (size_t i = 0; i < len; i++)
			if ((b.p[i] < 0x20 && b.p[i] != '\t') ||
			    b.p[i] == 0x7f)
				return line;
		len += nl != NULL;
		b.p += len;
		b.n -= len;
	}
	return 0;
}

int
conf_read(int fd, const char *path, struct buf *b, char *err, size_t errlen)
{
	uint8_t chunk[4096];
	ssize_t n;
	int line, rv = -1;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(b, chunk, (size_t)n);
	if (n == -1)
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
	else if (b->err)
		snprintf(err, errlen, "%s: larger than %zu bytes", path,
		    b->max);
	else if ((line = not_text(buf_bytes(b))) != 0)
		snprintf(err, errlen, "%s:%d: bytes that are not UTF-8 text",
		    path, line);
	else
		rv = 0;
	close(fd);
	return rv;
}

/* The end of the string or comment at p; libconfuse knows five kinds. */
static uint8_t *
token_end(uint8_t *p, uint8_t *end)
{
	uint8_t *q;

	if (*p == '#' || (*p == '/' && p[1] == '/')) {
		q = memchr(p, '\n', (size_t)(end - p));
		return q != NULL ? q : end;
	}
	if (*p == '/') {
		q = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
		return q != NULL ? q + 2 : NULL;
	}
	for (q = p + 1; q < end && *q != *p; q++)
		if (*q == '\\')
			q++;
	return q < end ? q + 1 : NULL;
}

/*
 * Blank the comments of the NUL-terminated text, after which libconfuse 3.3
 * counts lines wrongly, and refuse what it would take from the environment:
 * the file alone says what is configured.  NULL, or what is wrong in *line.
 */
static const char *
blank_comments(struct buf *b, int *line)
{
	uint8_t *p = b->p, *end = b->p + b->n - 1, *q;
	bool word = false;	/* inside an unquoted string */

	for (*line = 1; p < end; p = q) {
		bool comment = *p == '#' ||
		    (!word && *p == '/' && (p[1] == '/' || p[1] == '*'));
		bool quoted = *p == '"' || *p == '\'';

		q = comment || quoted ? token_end(p, end) : p + 1;
		if (q == NULL)
			return quoted ? "a string that does not end" :
			    "a comment that does not end";
		if (!comment && *p != '\'' && memmem(p,
		    (size_t)(q - p) + !quoted, "${", 2) != NULL)
			return "\"${\": variables are not used; for these "
			    "characters themselves use single quotes";
		word = !comment && !quoted &&
		    strchr(" \t\n={}()+,*", *p) == NULL;
		for (; p < q; p++) {
			*line += *p == '\n';
			if (comment && *p != '\n')
				*p = ' ';
		}
	}
	return NULL;
}

/* libconfuse's own complaints. */
__attribute__((format(printf, 2, 0)))
static void
complain(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct conf *c = loading;
	int n;

	if (c->err[0] != '\0')
		return;
	n = snprintf(c->err, c->errlen, "%s:%d: ", c->path, cfg->line);
	if (n > 0 && (size_t)n < c->errlen)
		vsnprintf(c->err + n, c->errlen - (size_t)n, fmt, ap);
}

static struct conf_mark *
find_mark(const struct conf *c, const cfg_opt_t *opt)
{
	for (size_t i = 0; i < c->nmarks; i++)
		if (c->marks[i].opt == opt)
			return &c->marks[i];
	return NULL;
}

/*
 * For a list the callback comes after each value and once more at its end:
 * whether this is one of those and not a second list.
 */
static bool
list_goes_on(struct conf_mark *m, const cfg_opt_t *opt)
{
	if ((opt->flags & CFGF_LIST) == 0 || m->ended ||
	    opt->nvalues < m->nvalues)
		return false;
	m->ended = opt->nvalues == m->nvalues;
	m->nvalues = opt->nvalues;
	return true;
}

/* Called after each value, list or section: note its line. */
static int
mark(cfg_t *cfg, cfg_opt_t *opt)
{
	struct conf *c = loading;
	struct conf_mark *m, *p;

	/* NULL: a list's default, from cfg_init(). */
	if (c == NULL || (opt->flags & CFGF_MULTI) != 0)
		return 0;
	if ((m = find_mark(c, opt)) != NULL) {
		if (list_goes_on(m, opt))
			return 0;
		cfg_error(cfg, "%s is set twice, first on line %d", opt->name,
		    m->line);
		return -1;
	}
	p = reallocarray(c->marks, c->nmarks + 1, sizeof(*p));
	if (p == NULL) {
		cfg_error(cfg, "no memory");
		return -1;
	}
	c->marks = p;
	c->marks[c->nmarks++] = (struct conf_mark){ opt, cfg->line,
	    opt->nvalues, false };
	return 0;
}

static void
set_callbacks(cfg_opt_t *opts)
{
	for (cfg_opt_t *o = opts; o->name != NULL; o++) {
		o->validcb = mark;
		if (o->type == CFGT_SEC)
			set_callbacks(o->subopts);
	}
}

int
conf_load(struct conf *c, const char *path, cfg_opt_t *opts, char *err,
    size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX + 2);
	const char *wrong;
	int fd, line, rv = -1;

	memset(c, 0, sizeof(*c));
	c->path = path;
	c->err = err;
	c->errlen = errlen;
	err[0] = '\0';
	if ((fd = conf_open(path, 022, err, errlen)) == -1)
		return -1;
	if (conf_read(fd, path, &b, err, errlen) == -1)
		goto out;
	sha256(c->sha256, buf_bytes(&b));
	/* libconfuse prints a backslash that ends the file to stdout. */
	if (b.n > 0 && b.p[b.n - 1] != '\n')
		buf_u8(&b, '\n');
	buf_u8(&b, '\0');
	if (!b.err && (wrong = blank_comments(&b, &line)) != NULL) {
		snprintf(err, errlen, "%s:%d: %s", path, line, wrong);
		goto out;
	}
	set_callbacks(opts);
	if (b.err || (c->cfg = cfg_init(opts, CFGF_NONE)) == NULL) {
		snprintf(err, errlen, "%s: no memory", path);
		goto out;
	}
	cfg_set_error_function(c->cfg, complain);
	loading = c;
	if (cfg_parse_buf(c->cfg, (const char *)b.p) == CFG_SUCCESS &&
	    err[0] == '\0')
		rv = 0;
	else if (err[0] == '\0')
		snprintf(err, errlen, "%s:%d: syntax error", path,
		    c->cfg->line);
	loading = NULL;
out:
	buf_free(&b);
	if (rv == -1)
		errno = EINVAL;
	return rv;
}

void
conf_free(struct conf *c)
{
	if (c->cfg != NULL)
		cfg_free(c->cfg);
	free(c->marks);
	c->cfg = NULL;
	c->marks = NULL;
	c->nmarks = 0;
}

int
conf_line(const struct conf *c, cfg_t *sec, const char *name)
{
	const struct conf_mark *m;

	m = name == NULL ? NULL : find_mark(c, cfg_getopt(sec, name));
	return m != NULL ? m->line : sec->line;
}

bool
conf_isset(const struct conf *c, cfg_t *sec, const char *name)
{
	return find_mark(c, cfg_getopt(sec, name)) != NULL;
}

int
conf_fail(struct conf *c, cfg_t *sec, const char *name, const char *fmt, ...)
{
	int line = conf_line(c, sec, name);
	va_list ap;
	int n;

	if (c->err[0] != '\0')
		return -1;
	/* A section that the file does not have is on no line. */
	n = line == 0 ? snprintf(c->err, c->errlen, "%s: ", c->path) :
	    snprintf(c->err, c->errlen, "%s:%d: ", c->path, line);
	if (n > 0 && (size_t)n < c->errlen) {
		va_start(ap, fmt);
		vsnprintf(c->err + n, c->errlen - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -1;
}
