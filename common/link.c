#include "link.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define B64_MAX		44	/* of HASH_LEN bytes, padded */
#define FP_CHARS	43
#define CODE_CHARS	32

/* base64url of n bytes, without padding. */
static void
encode(char text[B64_MAX + 1], const uint8_t *p, size_t n)
{
	(void)EVP_EncodeBlock((unsigned char *)text, p, (int)n);
	text[strcspn(text, "=")] = '\0';
	for (; *text != '\0'; text++)
		*text = *text == '+' ? '-' : *text == '/' ? '_' : *text;
}

/* The reverse; -1 unless text is exactly what encode() makes of n bytes. */
static int
decode(uint8_t *p, size_t n, const char *text, size_t chars)
{
	unsigned char b64[B64_MAX + 1], out[B64_MAX];
	char again[B64_MAX + 1];
	int rv = -1;

	memset(b64, '=', sizeof(b64));
	for (size_t i = 0; i < chars; i++)
		b64[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' :
		    (unsigned char)text[i];
	if (EVP_DecodeBlock(out, b64, (int)(chars + 3) / 4 * 4) != -1) {
		encode(again, out, n);
		if (strlen(again) == chars && memcmp(again, text, chars) == 0) {
			memcpy(p, out, n);
			rv = 0;
		}
	}
	OPENSSL_cleanse(b64, sizeof(b64));
	OPENSSL_cleanse(out, sizeof(out));
	OPENSSL_cleanse(again, sizeof(again));
	return rv;
}

int
link_parse(struct link *l, const char *text)
{
	const size_t scheme = sizeof(LINK_SCHEME) - 1;
	const char *secret;
	size_t n;

	memset(l, 0, sizeof(*l));
	if (strncmp(text, LINK_SCHEME, scheme) != 0)
		return -1;
	text += scheme;
	n = strcspn(text, "/#");
	if (n == 0 || n > LINK_SERVER_MAX)
		return -1;
	secret = text + n + (text[n] == '/');
	if (*secret++ != '#' ||
	    strlen(secret) != FP_CHARS + 1 + CODE_CHARS ||
	    secret[FP_CHARS] != '.')
		return -1;
	if (decode(l->fp, sizeof(l->fp), secret, FP_CHARS) == -1 ||
	    decode(l->code, sizeof(l->code), secret + FP_CHARS + 1,
	    CODE_CHARS) == -1)
		return -1;
	memcpy(l->server, text, n);
	return 0;
}

int
link_format(char text[LINK_MAX], const struct link *l)
{
	char fp[B64_MAX + 1], code[B64_MAX + 1];
	int n;

	encode(fp, l->fp, sizeof(l->fp));
	encode(code, l->code, sizeof(l->code));
	n = snprintf(text, LINK_MAX, LINK_SCHEME "%s/#%s.%s", l->server, fp,
	    code);
	OPENSSL_cleanse(code, sizeof(code));
	return n > 0 && (size_t)n < LINK_MAX ? 0 : -1;
}
