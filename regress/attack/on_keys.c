#include "attack.h"

#include <stdlib.h>
#include <string.h>

/*
 * 17: public keys that are none, or that policy does not allow, as signing key
 * and as wrap key of a client.
 */

enum alg { ALG_SIGN, ALG_WRAP };

static const char *const algorithm[] = {
	"304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
	"a11c301a06092a864886f70d010108300d06096086480165030402010500a203"
	"020120",
	"300d06092a864886f70d0101010500"
};

static void
der_len(struct buf *b, size_t n)
{
	if (n < 128)
		buf_u8(b, (uint8_t)n);
	else if (n < 256) {
		buf_u8(b, 0x81);
		buf_u8(b, (uint8_t)n);
	} else {
		buf_u8(b, 0x82);
		buf_u16(b, (uint16_t)n);
	}
}

static void
der(struct buf *out, uint8_t tag, const struct buf *content)
{
	buf_u8(out, tag);
	der_len(out, content->n);
	buf_put(out, content->p, content->n);
}

static void
der_integer(struct buf *out, struct bytes v, bool sign_byte)
{
	struct buf b = BUF_INIT(4096);

	if (sign_byte)
		buf_u8(&b, 0);
	buf_put(&b, v.p, v.n);
	der(out, 2, &b);
	buf_free(&b);
}

/* An SPKI with this modulus (its sign byte in front) and this exponent. */
static void
make_spki(struct buf *out, enum alg alg, struct bytes modulus, bool sign_byte,
    struct bytes e)
{
	struct buf ints = BUF_INIT(4096), key = BUF_INIT(4096);
	struct buf body = BUF_INIT(4096);
	uint8_t id[80];
	size_t n = strlen(algorithm[alg]) / 2;

	if (hex_decode(id, n, algorithm[alg]) == -1)
		fatalx("an algorithm");
	der_integer(&ints, modulus, sign_byte);
	der_integer(&ints, e, false);
	buf_u8(&key, 0);
	der(&key, 0x30, &ints);
	buf_put(&body, id, n);
	der(&body, 3, &key);
	der(out, 0x30, &body);
	if (out->err)
		fatalx("an SPKI");
	buf_free(&ints);
	buf_free(&key);
	buf_free(&body);
}

/* Both ways: as the wrap key of alice, truly signed, and as a signing key. */
static void
offered(struct bytes spki, enum alg alg, const char *what)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	struct bytes sign = buf_bytes(&world.alice.spki[KEYD_SIGN]);
	struct bytes wrap = buf_bytes(&world.alice.spki[KEYD_WRAP]);
	enum answer a;
	struct play p;

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	play_sign(&p, alg == ALG_WRAP ? spki : wrap, &sig);
	play_ca(&p, alg == ALG_SIGN ? spki : sign, alg == ALG_WRAP ? spki : wrap,
	    buf_bytes(&sig));
	a = play_record(&p);
	tried(a == ANSWER_CLOSE, "%s key %s: answer %d",
	    alg == ALG_SIGN ? "signing" : "wrap", what, (int)a);
	play_end(&p);
	buf_free(&sig);
}

static void
with_modulus(size_t bits, const char *exponent, const char *what, int how)
{
	struct buf spki = BUF_INIT(4096);
	uint8_t m[2049], e[5];
	size_t en = strlen(exponent) / 2;

	for (enum alg alg = ALG_SIGN; alg <= ALG_WRAP; alg++) {
		crypto_random(m, sizeof(m));
		m[0] |= 0x80;
		m[bits / 8 - 1] |= 1;
		if (how == 1)		/* even */
			m[bits / 8 - 1] &= 0xfe;
		if (how == 2)		/* a zero too many */
			m[0] = 0;
		if (how == 3)
			memset(m, 0, sizeof(m));
		if (hex_decode(e, en, exponent) == -1)
			fatalx("an exponent");
		buf_reset(&spki);
		make_spki(&spki, alg, bytes_of(m, bits / 8), how != 4,
		    bytes_of(e, en));
		offered(buf_bytes(&spki), alg, what);
	}
	buf_free(&spki);
}

/* A good key whose encoding is not the one that is allowed. */
static void
damaged(enum alg alg, size_t at, uint8_t value, size_t cut, const char *what)
{
	const struct buf *good = &world.mallory.spki[alg == ALG_SIGN ?
	    KEYD_SIGN : KEYD_WRAP];
	uint8_t copy[RSA_SPKI_MAX + 1] = { 0 };

	memcpy(copy, good->p, good->n);
	copy[at] ^= value;
	offered(bytes_of(copy, good->n + 1 - cut), alg, what);
}

void
attack_rsa_keys(void)
{
	with_modulus(3072, "01", "with e = 1", 0);
	with_modulus(3072, "03", "with e = 3", 0);
	with_modulus(3072, "00ffff", "with e = 65535", 0);
	with_modulus(3072, "0100000001", "with e = 2^32 + 1", 0);
	with_modulus(3072, "00010001", "with a padded exponent", 0);
	with_modulus(512, "010001", "of 512 bits", 0);
	with_modulus(1024, "010001", "of 1024 bits", 0);
	with_modulus(2048, "010001", "of 2048 bits", 0);
	with_modulus(4104, "010001", "of 4104 bits", 0);
	with_modulus(16384, "010001", "of 16384 bits", 0);
	with_modulus(3072, "010001", "that is even", 1);
	with_modulus(3072, "010001", "with a padded modulus", 2);
	with_modulus(3072, "010001", "that is zero", 3);
	with_modulus(3072, "010001", "that is negative", 4);
	for (enum alg alg = ALG_SIGN; alg <= ALG_WRAP; alg++) {
		offered(bytes_of(NULL, 0), alg, "of no bytes");
		/* The other use's key. */
		offered(buf_bytes(&world.mallory.spki[alg == ALG_SIGN ?
		    KEYD_WRAP : KEYD_SIGN]), alg, "of the other use");
		damaged(alg, 0, 0, 0, "with a byte too many");
		damaged(alg, 0, 0, 2, "with a byte too few");
		damaged(alg, 0, 0, 100, "cut short");
		damaged(alg, 0, 1, 1, "with another tag");
		damaged(alg, 1, 2, 1, "of indefinite length");
		damaged(alg, 2, 0x80, 1, "of a huge length");
		for (size_t at = 4; at < 24; at++)
			damaged(alg, at, 0x10, 1, "with another header");
	}
}
