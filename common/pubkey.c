#include "pubkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "role.h"

#define MAGIC		"cloister-key-v1"
#define B64_MAX		((RSA_SPKI_MAX + 2) / 3 * 4)

bool
pubkey_comment_ok(struct bytes comment)
{
	if (comment.n > PUBKEY_COMMENT_MAX || !bytes_utf8(comment))
		return false;
	for (size_t i = 0; i < comment.n; i++)
		if (comment.p[i] < 0x20 || comment.p[i] == 0x7f)
			return false;
	return true;
}

/* The next line without its newline; the last one need not have one. */
static struct bytes
next_line(struct bytes *text)
{
	const uint8_t *nl = text->n == 0 ? NULL :
	    memchr(text->p, '\n', text->n);
	size_t n = nl == NULL ? text->n : (size_t)(nl - text->p);
	struct bytes line = { text->p, n };

	text->p += n + (nl != NULL);
	text->n -= n + (nl != NULL);
	return line;
}

/* What follows prefix in line; -1 when it begins otherwise. */
static int
after(struct bytes *line, const char *prefix)
{
	size_t n = strlen(prefix);

	if (line->n < n || memcmp(line->p, prefix, n) != 0)
		return -1;
	line->p += n;
	line->n -= n;
	return 0;
}

/*
 * Decode into out.  Encoding it again tells whether it was canonical:
 * EVP_DecodeBlock() takes white space and any padding.
 */
static int
b64_decode(struct buf *out, struct bytes text)
{
	uint8_t der[B64_MAX / 4 * 3], again[B64_MAX + 1];
	size_t pad = 0;
	int n;

	if (text.n == 0 || text.n > B64_MAX || text.n % 4 != 0)
		return -1;
	while (pad < 2 && text.p[text.n - 1 - pad] == '=')
		pad++;
	if ((n = EVP_DecodeBlock(der, text.p, (int)text.n)) < (int)pad)
		return -1;
	n -= (int)pad;
	if (EVP_EncodeBlock(again, der, n) != (int)text.n ||
	    memcmp(again, text.p, text.n) != 0)
		return -1;
	buf_put(out, der, (size_t)n);
	return out->err ? -1 : 0;
}

/* One of the three lines: "name: base64" of an acceptable key. */
static int
take_key(struct buf *out, struct bytes *text, const char *name,
    enum rsa_use use, char *err, size_t errsize)
{
	struct bytes line = next_line(text);
	EVP_PKEY *key;

	if (after(&line, name) == -1 || after(&line, ": ") == -1 ||
	    b64_decode(out, line) == -1) {
		(void)snprintf(err, errsize, "no line \"%s: BASE64\" where it "
		    "should be", name);
		return -1;
	}
	if ((key = rsa_spki_parse(buf_bytes(out), use, 0)) == NULL) {
		(void)snprintf(err, errsize, "the %s key is not an RSA key "
		    "of the right kind and size", name);
		return -1;
	}
	EVP_PKEY_free(key);
	return 0;
}

static int
take_head(struct pubkey *k, struct bytes *text, char *err, size_t errsize)
{
	struct bytes line = next_line(text);

	if (after(&line, MAGIC) == -1 ||
	    (line.n > 0 && after(&line, " ") == -1)) {
		(void)snprintf(err, errsize, "not a Cloister public key file "
		    "(it does not begin with " MAGIC ")");
		return -1;
	}
	if (!pubkey_comment_ok(line)) {
		(void)snprintf(err, errsize, "the comment is too long or not "
		    "plain text");
		return -1;
	}
	memcpy(k->comment, line.p, line.n);
	k->comment[line.n] = '\0';
	return 0;
}

static bool
all_differ(const struct pubkey *k)
{
	return !bytes_eq(buf_bytes(&k->sign), buf_bytes(&k->wrap)) &&
	    !bytes_eq(buf_bytes(&k->sign), buf_bytes(&k->message)) &&
	    !bytes_eq(buf_bytes(&k->wrap), buf_bytes(&k->message));
}

int
pubkey_parse(struct pubkey *k, struct bytes text, char *err, size_t errsize)
{
	memset(k, 0, sizeof(*k));
	buf_init(&k->sign, RSA_SPKI_MAX);
	buf_init(&k->wrap, RSA_SPKI_MAX);
	buf_init(&k->message, RSA_SPKI_MAX);
	if (take_head(k, &text, err, errsize) == -1 ||
	    take_key(&k->sign, &text, "sign", RSA_USE_SIGN, err,
	    errsize) == -1 ||
	    take_key(&k->wrap, &text, "wrap", RSA_USE_WRAP, err,
	    errsize) == -1 ||
	    take_key(&k->message, &text, "message", RSA_USE_SIGN, err,
	    errsize) == -1)
		goto bad;
	if (text.n != 0) {
		(void)snprintf(err, errsize, "something follows the keys");
		goto bad;
	}
	if (!all_differ(k)) {
		(void)snprintf(err, errsize, "a key is there twice");
		goto bad;
	}
	return 0;
bad:
	pubkey_free(k);
	return -1;
}

int
pubkey_load(struct pubkey *k, const char *path, char *err, size_t errsize)
{
	struct buf text = BUF_INIT(PUBKEY_FILE_MAX);
	char why[256];
	int fd, rv = -1;

	memset(k, 0, sizeof(*k));
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1 ||
	    (read_all(fd, &text) == -1 && !text.err))
		(void)snprintf(err, errsize, "%s: %s", path, strerror(errno));
	else if (text.err)
		(void)snprintf(err, errsize, "%s: not a Cloister public key "
		    "file (too long)", path);
	else if (pubkey_parse(k, buf_bytes(&text), why, sizeof(why)) == -1)
		(void)snprintf(err, errsize, "%s: %s", path, why);
	else
		rv = 0;
	if (fd != -1)
		(void)close(fd);
	buf_free(&text);
	return rv;
}

static void
put_key(struct buf *out, const char *name, const struct buf *spki)
{
	uint8_t b64[B64_MAX + 1];

	if (spki->n > RSA_SPKI_MAX) {
		out->err = true;
		return;
	}
	(void)EVP_EncodeBlock(b64, spki->p, (int)spki->n);
	buf_str(out, name);
	buf_str(out, ": ");
	buf_str(out, (const char *)b64);
	buf_u8(out, '\n');
}

int
pubkey_format(struct buf *out, const struct pubkey *k)
{
	if (!pubkey_comment_ok(bytes_str(k->comment)))
		return -1;
	buf_str(out, MAGIC);
	if (k->comment[0] != '\0')
		buf_u8(out, ' ');
	buf_str(out, k->comment);
	buf_u8(out, '\n');
	put_key(out, "sign", &k->sign);
	put_key(out, "wrap", &k->wrap);
	put_key(out, "message", &k->message);
	return out->err ? -1 : 0;
}

void
pubkey_free(struct pubkey *k)
{
	buf_free(&k->sign);
	buf_free(&k->wrap);
	buf_free(&k->message);
	k->comment[0] = '\0';
}
