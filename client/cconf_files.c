/* The files of lines in the client's directory; see cconf.h. */
#include "cconf.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cconf_local.h"
#include "conf.h"

int
cconf_read_file(const char *path, struct buf *b, char *err, size_t errlen)
{
	int fd;

	if ((fd = conf_open(path, 022, err, errlen)) == -1)
		return errno == ENOENT ? 0 : -1;
	if (conf_read(fd, path, b, err, errlen) == -1)
		return -1;
	buf_u8(b, '\0');
	if (b->err) {
		snprintf(err, errlen, "%s: too large", path);
		return -1;
	}
	return 1;
}

bool
cconf_next_words(char **pos, struct words *w)
{
	char *line, *word;

	while ((line = strsep(pos, "\n")) != NULL) {
		w->line++;
		w->n = 0;
		if (line[0] == '#')
			continue;
		while ((word = strsep(&line, " \t")) != NULL) {
			if (word[0] == '\0')
				continue;
			if (w->n < WORDS_MAX)
				w->w[w->n] = word;
			if (w->n <= WORDS_MAX)
				w->n++;
		}
		if (w->n > 0)
			return true;
	}
	return false;
}

int
cconf_write_sync(int fd, struct bytes b)
{
	/* One write: lines of two clients do not mix. */
	ssize_t n = write(fd, b.p, b.n);

	if (n == -1)
		return -1;
	if ((size_t)n != b.n) {
		errno = ENOSPC;
		return -1;
	}
	return fsync(fd);
}

int
cconf_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

	if (fd == -1)
		return -1;
	rv = fsync(fd);
	close(fd);
	return rv;
}

int
cconf_set_server(struct cconf *c, const struct cconf_server *s, char *err,
    size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	char *path = NULL;
	int rv = -1;

	if (c->has_server)
		return 0;
	if (asprintf(&path, "%s/config", c->dir) == -1) {
		snprintf(err, errlen, "no memory");
		return -1;
	}
	if (cconf_read_file(path, &b, err, errlen) == -1)
		goto out;
	if (b.n > 0)
		b.n--;			/* its NUL */
	if (b.n > 0 && b.p[b.n - 1] != '\n')
		buf_u8(&b, '\n');
	buf_str(&b, "server = \"");
	buf_str(&b, s->text);
	buf_str(&b, "\"\n");
	if (b.err)
		snprintf(err, errlen, "%s: too large", path);
	else
		rv = cconf_replace(c, path, buf_bytes(&b), err, errlen);
	if (rv == 0) {
		c->server = *s;
		c->has_server = true;
	}
out:
	buf_free(&b);
	free(path);
	return rv;
}

static bool
conversation_ok(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n <= CCONF_CONV_MAX &&
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789-_") == n;
}

int
cconf_last_get(const struct cconf *c, const struct cconf_server *s,
    char id[CCONF_CONV_MAX + 1], char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char *pos;
	int rv = 0, r;

	if ((r = cconf_read_file(c->last, &b, err, errlen)) != 1) {
		rv = r;
		goto out;
	}
	for (pos = (char *)b.p; cconf_next_words(&pos, &w);) {
		if (w.n != 2 || !conversation_ok(w.w[1])) {
			snprintf(err, errlen,
			    "%s:%d: not \"HOST:PORT CONVERSATION\"", c->last,
			    w.line);
			rv = -1;
			goto out;
		}
		if (strcmp(w.w[0], s->text) == 0) {
			strlcpy(id, w.w[1], CCONF_CONV_MAX + 1);
			rv = 1;
		}
	}
out:
	buf_free(&b);
	return rv;
}

/*
 * The lines of other servers, as they are; one that makes no sense is left out,
 * or nothing in the file could be read ever after.
 */
static int
copy_others(const struct cconf *c, const struct cconf_server *s,
    struct buf *out, char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char *pos;
	int r;

	if ((r = cconf_read_file(c->last, &b, err, errlen)) == 1)
		for (pos = (char *)b.p; cconf_next_words(&pos, &w);)
			if (w.n == 2 && conversation_ok(w.w[1]) &&
			    strcmp(w.w[0], s->text) != 0) {
				buf_str(out, w.w[0]);
				buf_u8(out, ' ');
				buf_str(out, w.w[1]);
				buf_u8(out, '\n');
			}
	buf_free(&b);
	return r == -1 ? -1 : 0;
}

int
cconf_replace(const struct cconf *c, const char *path, struct bytes b,
    char *err, size_t errlen)
{
	char *tmp;
	int fd, rv = -1;

	if (asprintf(&tmp, "%s.XXXXXX", path) == -1) {
		snprintf(err, errlen, "no memory");
		return -1;
	}
	if ((fd = mkostemp(tmp, O_CLOEXEC)) == -1) {
		snprintf(err, errlen, "%s: %s", tmp, strerror(errno));
		free(tmp);
		return -1;
	}
	if (cconf_write_sync(fd, b) == -1 || rename(tmp, path) == -1) {
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
		unlink(tmp);
	} else if (cconf_sync_dir(c->dir) == -1)
		snprintf(err, errlen, "%s: %s", c->dir, strerror(errno));
	else
		rv = 0;
	close(fd);
	free(tmp);
	return rv;
}

int
cconf_last_set(const struct cconf *c, const struct cconf_server *s,
    const char *id, char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	int rv = -1;

	if (!conversation_ok(id)) {
		snprintf(err, errlen, "not a conversation's id");
		return -1;
	}
	if (copy_others(c, s, &b, err, errlen) == -1)
		goto out;
	buf_str(&b, s->text);
	buf_u8(&b, ' ');
	buf_str(&b, id);
	buf_u8(&b, '\n');
	if (b.err)
		snprintf(err, errlen, "no memory");
	else
		rv = cconf_replace(c, c->last, buf_bytes(&b), err, errlen);
out:
	buf_free(&b);
	return rv;
}
