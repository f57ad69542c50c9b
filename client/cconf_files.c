/* The files of lines in the client's directory; see cconf.h. */
#include "cconf.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "conf.h"

#define WORDS_MAX	3

/* A line's words; a line with more than WORDS_MAX has n = WORDS_MAX + 1. */
struct words {
	char	*w[WORDS_MAX];
	int	 n;
	int	 line;
};

void
cconf_fingerprint(char text[CCONF_FP_TEXT], const uint8_t fp[CCONF_FP_BYTES])
{
	unsigned char b64[4 * ((CCONF_FP_BYTES + 2) / 3) + 1];

	EVP_EncodeBlock(b64, fp, CCONF_FP_BYTES);
	/* Without the '='; 32 bytes leave exactly one. */
	snprintf(text, CCONF_FP_TEXT, "SHA256:%.43s", (char *)b64);
}

/*
 * The whole file, NUL-terminated, into b: 1; 0 when there is none; -1 with err.
 */
static int
read_file(const char *path, struct buf *b, char *err, size_t errlen)
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

/*
 * The next line that is neither empty nor a comment, from *pos on, cut into
 * words in place.  Start with w->line = 0.
 */
static bool
next_words(char **pos, struct words *w)
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

/* Write all and sync. */
static int
write_sync(int fd, struct bytes b)
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

static int
sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rv;

	if (fd == -1)
		return -1;
	rv = fsync(fd);
	close(fd);
	return rv;
}

/* A line of known_servers: a server, "SHA256:" and 43 characters, "suite2". */
static bool
known_ok(const struct words *w)
{
	static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	struct cconf_server s;

	if (w->n < 2 || w->n > 3 ||
	    (w->n == 3 && strcmp(w->w[2], "suite2") != 0))
		return false;
	return cconf_server_parse(&s, w->w[0]) == 0 &&
	    strcmp(s.text, w->w[0]) == 0 &&
	    strlen(w->w[1]) == CCONF_FP_TEXT - 1 &&
	    strncmp(w->w[1], "SHA256:", 7) == 0 &&
	    strspn(w->w[1] + 7, b64) == CCONF_FP_TEXT - 8;
}

/*
 * The next line of known_servers about this server: 1 with w, 0 at the end, -1
 * with err.
 */
static int
next_known(const struct cconf *c, const struct cconf_server *s, char **pos,
    struct words *w, char *err, size_t errlen)
{
	while (next_words(pos, w)) {
		if (!known_ok(w)) {
			snprintf(err, errlen, "%s:%d: not \"HOST:PORT "
			    "SHA256:FINGERPRINT\"", c->known_servers, w->line);
			return -1;
		}
		if (strcmp(w->w[0], s->text) == 0)
			return 1;
	}
	return 0;
}

int
cconf_known_lookup(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], int *min_suite, char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char want[CCONF_FP_TEXT], *pos;
	int rv = CCONF_UNKNOWN, r;

	*min_suite = 1;
	cconf_fingerprint(want, fp);
	if ((r = read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_known(c, s, &pos, &w, err, errlen)) == 1) {
		if (strcmp(w.w[1], want) == 0) {
			rv = CCONF_MATCH;
			if (w.n == 3)
				*min_suite = 2;
		} else if (rv == CCONF_UNKNOWN)
			rv = CCONF_CHANGED;
	}
out:
	buf_free(&b);
	return r == -1 ? -1 : rv;
}

/* The reverse of cconf_fingerprint(), of a text that known_ok() took; 0 or -1. */
static int
fingerprint_parse(uint8_t fp[CCONF_FP_BYTES], const char *text)
{
	unsigned char b64[CCONF_FP_TEXT - 7 + 1], raw[CCONF_FP_BYTES + 1];
	char again[CCONF_FP_TEXT];

	snprintf((char *)b64, sizeof(b64), "%s=", text + 7);
	if (EVP_DecodeBlock(raw, b64, (int)strlen((char *)b64)) !=
	    (int)sizeof(raw))
		return -1;
	memcpy(fp, raw, CCONF_FP_BYTES);
	/* The last digit has two bits more than are needed: one form only. */
	cconf_fingerprint(again, fp);
	return strcmp(again, text) == 0 ? 0 : -1;
}

int
cconf_known_get(const struct cconf *c, const struct cconf_server *s,
    uint8_t fp[CCONF_FP_BYTES], char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char *pos;
	int found = 0, r;

	if ((r = read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_known(c, s, &pos, &w, err, errlen)) == 1) {
		if (fingerprint_parse(fp, w.w[1]) == -1) {
			snprintf(err, errlen, "%s:%d: not a fingerprint",
			    c->known_servers, w.line);
			r = -1;
			goto out;
		}
		found = 1;
	}
out:
	buf_free(&b);
	return r == -1 ? -1 : found;
}

/* Whether the file is empty or ends with a newline. */
static bool
ends_line(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last = '\n';

	return end <= 0 || (pread(fd, &last, 1, end - 1) == 1 && last == '\n');
}

/* Add a line to a file that nobody else can write, and sync it. */
static int
append_line(const struct cconf *c, const char *path, const char *line,
    char *err, size_t errlen)
{
	struct buf b = BUF_INIT(4096);
	struct stat st;
	int fd, rv = -1;

	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK, 0600);
	if (fd == -1 || fstat(fd, &st) == -1)
		goto fail;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0 ||
	    (st.st_uid != 0 && st.st_uid != geteuid())) {
		errno = EPERM;
		goto fail;
	}
	if (!ends_line(fd))
		buf_u8(&b, '\n');
	buf_str(&b, line);
	if (b.err)
		errno = ENOMEM;
	else if (write_sync(fd, buf_bytes(&b)) == 0 && sync_dir(c->dir) == 0)
		rv = 0;
fail:
	if (rv == -1)
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	buf_free(&b);
	return rv;
}

int
cconf_known_add(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], int suite, char *err, size_t errlen)
{
	char text[CCONF_FP_TEXT], line[sizeof(s->text) + CCONF_FP_TEXT + 16];

	cconf_fingerprint(text, fp);
	(void)snprintf(line, sizeof(line), "%s %s%s\n", s->text, text,
	    suite == 2 ? " suite2" : "");
	return append_line(c, c->known_servers, line, err, errlen);
}

int
cconf_set_server(struct cconf *c, const struct cconf_server *s, char *err,
    size_t errlen)
{
	char line[sizeof(s->text) + 32], *path;
	int rv;

	if (c->has_server)
		return 0;
	if (asprintf(&path, "%s/config", c->dir) == -1) {
		snprintf(err, errlen, "no memory");
		return -1;
	}
	(void)snprintf(line, sizeof(line), "server = \"%s\"\n", s->text);
	if ((rv = append_line(c, path, line, err, errlen)) == 0) {
		c->server = *s;
		c->has_server = true;
	}
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

	if ((r = read_file(c->last, &b, err, errlen)) != 1) {
		rv = r;
		goto out;
	}
	for (pos = (char *)b.p; next_words(&pos, &w);) {
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

	if ((r = read_file(c->last, &b, err, errlen)) == 1)
		for (pos = (char *)b.p; next_words(&pos, &w);)
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
cconf_last_set(const struct cconf *c, const struct cconf_server *s,
    const char *id, char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	char *tmp = NULL;
	int fd = -1, rv = -1;

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
	if (b.err || asprintf(&tmp, "%s.XXXXXX", c->last) == -1) {
		tmp = NULL;
		snprintf(err, errlen, "no memory");
		goto out;
	}
	if ((fd = mkostemp(tmp, O_CLOEXEC)) == -1) {
		snprintf(err, errlen, "%s: %s", tmp, strerror(errno));
		goto out;
	}
	if (write_sync(fd, buf_bytes(&b)) == -1 ||
	    rename(tmp, c->last) == -1) {
		snprintf(err, errlen, "%s: %s", c->last, strerror(errno));
		unlink(tmp);
		goto out;
	}
	if (sync_dir(c->dir) == -1) {
		snprintf(err, errlen, "%s: %s", c->dir, strerror(errno));
		goto out;
	}
	rv = 0;
out:
	if (fd != -1)
		close(fd);
	free(tmp);
	buf_free(&b);
	return rv;
}
