#include "certs.h"

#include <string.h>

#include <openssl/evp.h>

static const char begin[] = "-----BEGIN CERTIFICATE-----";
static const char end[] = "-----END CERTIFICATE-----";

/* One DER SEQUENCE and nothing after it (X.690, 8.1.3 and 10.1). */
static bool
is_sequence(struct bytes b)
{
	size_t n;

	if (b.n < 4 || b.p[0] != 0x30)
		return false;
	if (b.p[1] < 0x80)
		return b.p[1] == b.n - 2;
	if (b.p[1] == 0x81)
		return b.p[2] >= 0x80 && b.p[2] == b.n - 3;
	n = get_be16(b.p + 2);
	return b.p[1] == 0x82 && n >= 0x100 && n == b.n - 4;
}

/* One more; cert is in c->wire. */
static int
take(struct certs *c, struct bytes cert, const char **why)
{
	if (c->n == CERTS_MAX)
		*why = "more than four certificates";
	else if (cert.n > CERT_MAX)
		*why = "a certificate of more than 2560 bytes";
	else if (!is_sequence(cert))
		*why = "not a certificate in DER";
	else {
		c->cert[c->n++] = cert;
		return 0;
	}
	return -1;
}

int
certs_wire(struct certs *c, struct bytes wire, const char **why)
{
	struct rd r;

	memset(c, 0, sizeof(*c));
	buf_init(&c->wire, CERTS_WIRE_MAX);
	buf_put(&c->wire, wire.p, wire.n);
	*why = "too long";
	if (c->wire.err)
		goto fail;
	r = rd_of(buf_bytes(&c->wire));
	while (r.n > 0) {
		struct bytes cert = rd_v16(&r, SIZE_MAX);

		*why = "cut off";
		if (r.err || take(c, cert, why) == -1)
			goto fail;
	}
	return 0;
fail:
	certs_free(c);
	return -1;
}

/* base64 between p and e, in lines, appended to out behind its length; 0 or -1. */
static int
decode(struct buf *out, const uint8_t *p, const uint8_t *e)
{
	uint8_t der[CERT_MAX + 64];
	EVP_ENCODE_CTX *ctx;
	int n = 0, last = 0, rv = -1;

	/* Four characters make three bytes; line ends make it less. */
	if ((size_t)(e - p) / 4 * 3 > sizeof(der) ||
	    (ctx = EVP_ENCODE_CTX_new()) == NULL)
		return -1;
	EVP_DecodeInit(ctx);
	if (EVP_DecodeUpdate(ctx, der, &n, p, (int)(e - p)) != -1 &&
	    EVP_DecodeFinal(ctx, der + n, &last) == 1) {
		buf_v16(out, bytes_of(der, (size_t)(n + last)));
		rv = out->err ? -1 : 0;
	}
	EVP_ENCODE_CTX_free(ctx);
	return rv;
}

int
certs_pem(struct certs *c, struct bytes text, const char **why)
{
	struct buf wire = BUF_INIT(CERTS_WIRE_MAX + 64);
	const uint8_t *p = text.p, *stop = text.p + text.n, *e;
	size_t n = 0;
	int rv = -1;

	memset(c, 0, sizeof(*c));
	while (p != NULL && (p = memmem(p, (size_t)(stop - p), begin,
	    sizeof(begin) - 1)) != NULL) {
		p += sizeof(begin) - 1;
		*why = "a certificate without its end";
		if ((e = memmem(p, (size_t)(stop - p), end,
		    sizeof(end) - 1)) == NULL)
			goto out;
		*why = "more than four certificates";
		if (++n > CERTS_MAX)
			goto out;
		*why = "not base64, or a certificate of more than 2560 bytes";
		if (decode(&wire, p, e) == -1)
			goto out;
		p = e + sizeof(end) - 1;
	}
	*why = "no certificate in it (PEM is needed)";
	if (n > 0 || text.n == 0)
		rv = certs_wire(c, buf_bytes(&wire), why);
out:
	buf_free(&wire);
	return rv;
}

void
certs_free(struct certs *c)
{
	buf_free(&c->wire);
	memset(c, 0, sizeof(*c));
}

bool
cert_holds(struct bytes cert, struct bytes spki)
{
	return spki.n > 0 && cert.n > 0 &&
	    memmem(cert.p, cert.n, spki.p, spki.n) != NULL;
}

static const struct {
	const char	*what, *server, *user;
} texts[] = {
#define CERT_VERDICT_TEXT(name, what, server, user) { what, server, user },
	CERT_VERDICTS(CERT_VERDICT_TEXT)
#undef CERT_VERDICT_TEXT
};

const char *
cert_what(unsigned verdict)
{
	return verdict < CERT_NVERDICTS ? texts[verdict].what :
	    "the certificate was not understood";
}

const char *
cert_next_server(unsigned verdict)
{
	return verdict < CERT_NVERDICTS ? texts[verdict].server : "";
}

const char *
cert_next_user(unsigned verdict)
{
	return verdict < CERT_NVERDICTS ? texts[verdict].user : "";
}
