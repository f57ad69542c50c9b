/*
 * known_servers; see cconf.h.  A line is
 *
 *	NAME SHA256:FINGERPRINT [suite2] [certificate]
 *
 * where NAME is HOST:PORT, or "|1|SALT|MAC": base64 of 32 random bytes and of
 * HMAC-SHA-256(salt, HOST:PORT).  suite2: that suite was spoken under this key.
 * certificate: the key was believed for its certificate, and is no pin.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cconf_local.h"
#include "conf.h"
#include "kdf.h"

#define B64_32		44	/* digits of 32 bytes, the '=' too */
#define HASHED_LEN	(3 + B64_32 + 1 + B64_32)
#define NAME_TEXT	(CCONF_HOST_MAX + 128)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789+/";

void
cconf_fingerprint(char text[CCONF_FP_TEXT], const uint8_t fp[CCONF_FP_BYTES])
{
	unsigned char b64[B64_32 + 1];

	EVP_EncodeBlock(b64, fp, CCONF_FP_BYTES);
	/* Without the '='; 32 bytes leave exactly one. */
	snprintf(text, CCONF_FP_TEXT, "SHA256:%.43s", (char *)b64);
}

/* 32 bytes of base64 with its '='; 0 or -1. */
static int
decode32(uint8_t out[32], const char *text)
{
	unsigned char raw[33];
	char again[B64_32 + 1];

	if (strspn(text, digits) < B64_32 - 1 || text[B64_32 - 1] != '=' ||
	    EVP_DecodeBlock(raw, (const unsigned char *)text, B64_32) !=
	    (int)sizeof(raw))
		return -1;
	memcpy(out, raw, 32);
	/* The last digit has two bits more than are needed: one form only. */
	EVP_EncodeBlock((unsigned char *)again, out, 32);
	return memcmp(again, text, B64_32) == 0 ? 0 : -1;
}

/* ---- names -------------------------------------------------------------------- */

/* The two halves of a hashed name; 0, or -1 when it is none. */
static int
hashed_parse(const char *name, uint8_t salt[32], uint8_t mac[32])
{
	if (strlen(name) != HASHED_LEN || strncmp(name, "|1|", 3) != 0 ||
	    name[3 + B64_32] != '|' || decode32(salt, name + 3) == -1 ||
	    decode32(mac, name + 3 + B64_32 + 1) == -1)
		return -1;
	return 0;
}

static void
hashed_name(char dst[NAME_TEXT], const char *text)
{
	char b64[2][B64_32 + 1];
	uint8_t salt[32], mac[32];

	crypto_random(salt, sizeof(salt));
	hmac_sha256(mac, bytes_of(salt, sizeof(salt)), bytes_str(text));
	EVP_EncodeBlock((unsigned char *)b64[0], salt, 32);
	EVP_EncodeBlock((unsigned char *)b64[1], mac, 32);
	snprintf(dst, NAME_TEXT, "|1|%s|%s", b64[0], b64[1]);
}

static bool
name_ok(const char *name)
{
	uint8_t salt[32], mac[32];
	struct cconf_server s;

	if (name[0] == '|')
		return hashed_parse(name, salt, mac) == 0;
	return cconf_server_parse(&s, name) == 0 && strcmp(s.text, name) == 0;
}

/* Whether a name that name_ok() took is the server's. */
static bool
name_is(const char *name, const struct cconf_server *s)
{
	uint8_t salt[32], mac[32], want[32];

	if (name[0] != '|')
		return strcmp(name, s->text) == 0;
	if (hashed_parse(name, salt, mac) == -1)
		return false;
	hmac_sha256(want, bytes_of(salt, 32), bytes_str(s->text));
	return bytes_eq_ct(want, mac, 32);
}

/* ---- lines --------------------------------------------------------------------- */

static bool
has_word(const struct words *w, const char *word)
{
	for (int i = 2; i < w->n; i++)
		if (strcmp(w->w[i], word) == 0)
			return true;
	return false;
}

static bool
line_ok(const struct words *w)
{
	if (w->n < 2 || w->n > WORDS_MAX)
		return false;
	for (int i = 2; i < w->n; i++)
		if (strcmp(w->w[i], "suite2") != 0 &&
		    strcmp(w->w[i], "certificate") != 0)
			return false;
	return name_ok(w->w[0]) && strlen(w->w[1]) == CCONF_FP_TEXT - 1 &&
	    strncmp(w->w[1], "SHA256:", 7) == 0 &&
	    strspn(w->w[1] + 7, digits) == CCONF_FP_TEXT - 8;
}

/* The next line: 1 with w, 0 at the end, -1 with err. */
static int
next_line(const struct cconf *c, char **pos, struct words *w, char *err,
    size_t errlen)
{
	if (!cconf_next_words(pos, w))
		return 0;
	if (line_ok(w))
		return 1;
	snprintf(err, errlen, "%s:%d: not \"HOST:PORT SHA256:FINGERPRINT\"",
	    c->known_servers, w->line);
	return -1;
}

/* The next line about this server. */
static int
next_known(const struct cconf *c, const struct cconf_server *s, char **pos,
    struct words *w, char *err, size_t errlen)
{
	int r;

	while ((r = next_line(c, pos, w, err, errlen)) == 1)
		if (name_is(w->w[0], s))
			break;
	return r;
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
	if ((r = cconf_read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_known(c, s, &pos, &w, err, errlen)) == 1) {
		bool same = strcmp(w.w[1], want) == 0;

		if (same && has_word(&w, "suite2"))
			*min_suite = 2;
		if (has_word(&w, "certificate"))
			continue;
		if (same)
			rv = CCONF_MATCH;
		else if (rv == CCONF_UNKNOWN)
			rv = CCONF_CHANGED;
	}
out:
	buf_free(&b);
	return r == -1 ? -1 : rv;
}

/* The reverse of cconf_fingerprint(), of a text that line_ok() took; 0 or -1. */
static int
fingerprint_parse(uint8_t fp[CCONF_FP_BYTES], const char *text)
{
	char b64[B64_32 + 1];

	snprintf(b64, sizeof(b64), "%s=", text + 7);
	return decode32(fp, b64);
}

int
cconf_known_get(const struct cconf *c, const struct cconf_server *s,
    uint8_t fp[CCONF_FP_BYTES], char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char *pos;
	int found = 0, r;

	if ((r = cconf_read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_known(c, s, &pos, &w, err, errlen)) == 1) {
		if (has_word(&w, "certificate"))
			continue;
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

static int
append(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], const char *words, char *err,
    size_t errlen)
{
	char text[CCONF_FP_TEXT], name[NAME_TEXT];
	char line[NAME_TEXT + CCONF_FP_TEXT + 32];
	struct stat st;
	int fd, n, rv = -1;

	cconf_fingerprint(text, fp);
	if (c->hash_known_servers)
		hashed_name(name, s->text);
	else
		(void)strlcpy(name, s->text, sizeof(name));
	fd = open(c->known_servers,
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    0600);
	if (fd == -1 || fstat(fd, &st) == -1)
		goto fail;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 022) != 0 ||
	    (st.st_uid != 0 && st.st_uid != geteuid())) {
		errno = EPERM;
		goto fail;
	}
	n = snprintf(line, sizeof(line), "%s%s %s%s\n",
	    ends_line(fd) ? "" : "\n", name, text, words);
	if (cconf_write_sync(fd, bytes_of(line, (size_t)n)) == -1 ||
	    cconf_sync_dir(c->dir) == -1)
		goto fail;
	rv = 0;
fail:
	if (rv == -1)
		snprintf(err, errlen, "%s: %s", c->known_servers,
		    strerror(errno));
	if (fd != -1)
		close(fd);
	return rv;
}

int
cconf_known_add(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], int suite, char *err, size_t errlen)
{
	return append(c, s, fp, suite == 2 ? " suite2" : "", err, errlen);
}

int
cconf_known_note(const struct cconf *c, const struct cconf_server *s,
    const uint8_t fp[CCONF_FP_BYTES], char *err, size_t errlen)
{
	return append(c, s, fp, " suite2 certificate", err, errlen);
}

/* ---- for people ------------------------------------------------------------------ */

int
cconf_known_each(const struct cconf *c, const struct cconf_server *s,
    cconf_known_cb *cb, void *arg, char *err, size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	struct cconf_line line;
	char *pos;
	int n = 0, r;

	if ((r = cconf_read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_line(c, &pos, &w, err, errlen)) == 1) {
		if (s != NULL && !name_is(w.w[0], s))
			continue;
		line = (struct cconf_line){ .number = w.line,
		    .name = s != NULL ? s->text : w.w[0],
		    .fingerprint = w.w[1],
		    .hashed = w.w[0][0] == '|',
		    .suite2 = has_word(&w, "suite2"),
		    .certificate = has_word(&w, "certificate") };
		n++;
		if (cb(&line, arg) == -1)
			break;
	}
out:
	buf_free(&b);
	return r == -1 ? -1 : n;
}

/* A line as it is to stand in the file now, or nothing. */
static bool
rewrite(struct buf *out, const struct words *w, const struct cconf_server *s)
{
	char name[NAME_TEXT];

	if (s != NULL && name_is(w->w[0], s))
		return true;
	if (s == NULL && w->w[0][0] != '|') {
		hashed_name(name, w->w[0]);
		buf_str(out, name);
	} else
		buf_str(out, w->w[0]);
	for (int i = 1; i < w->n; i++) {
		buf_u8(out, ' ');
		buf_str(out, w->w[i]);
	}
	buf_u8(out, '\n');
	return s == NULL && w->w[0][0] != '|';
}

/*
 * Without the lines of s, or, s NULL, with every name hashed.  Comments go: they
 * could say what the hash hides.  How many lines changed, or -1 with err.
 */
static int
edit(const struct cconf *c, const struct cconf_server *s, char *err,
    size_t errlen)
{
	struct buf b = BUF_INIT(CONF_FILE_MAX), out = BUF_INIT(CONF_FILE_MAX);
	struct words w = { .line = 0 };
	char *pos;
	int n = 0, r;

	if ((r = cconf_read_file(c->known_servers, &b, err, errlen)) != 1)
		goto out;
	pos = (char *)b.p;
	while ((r = next_line(c, &pos, &w, err, errlen)) == 1)
		n += rewrite(&out, &w, s) ? 1 : 0;
	if (r == 0 && out.err) {
		snprintf(err, errlen, "%s: too large", c->known_servers);
		r = -1;
	}
	if (r == 0 && n > 0)
		r = cconf_replace(c, c->known_servers, buf_bytes(&out), err,
		    errlen);
out:
	buf_free(&b);
	buf_free(&out);
	return r == -1 ? -1 : n;
}

int
cconf_known_remove(const struct cconf *c, const struct cconf_server *s,
    char *err, size_t errlen)
{
	return edit(c, s, err, errlen);
}

int
cconf_known_hash(const struct cconf *c, char *err, size_t errlen)
{
	return edit(c, NULL, err, errlen);
}
