#include "pwhash.h"

#include <string.h>

#include <openssl/crypto.h>

#include "codes.h"

#define FORM		1
#define HEAD_LEN	(PWHASH_LEN - HASH_LEN)

static void
head(uint8_t out[HEAD_LEN], const struct pwhash *p)
{
	out[0] = FORM;
	put_be32(out + 1, p->memory_kib);
	put_be32(out + 5, p->passes);
	memcpy(out + 9, p->salt, PWHASH_SALT);
}

int
pwhash_parse(struct pwhash *p, const struct rec_user *u)
{
	struct rd r = rd_of(bytes_of(u->pwhash, u->pwhash_n));
	uint8_t form = rd_u8(&r);

	p->memory_kib = rd_u32(&r);
	p->passes = rd_u32(&r);
	rd_copy(&r, p->salt, sizeof(p->salt));
	rd_copy(&r, p->check, sizeof(p->check));
	if (rd_done(&r) && form == FORM &&
	    p->memory_kib >= ARGON2_MEMORY_MIN &&
	    p->memory_kib <= ARGON2_MEMORY_MAX && p->passes >= 1 &&
	    p->passes <= ARGON2_PASSES_MAX)
		return 0;
	memset(p, 0, sizeof(*p));
	return SEAL_EFORMAT;
}

void
pwhash_store(struct rec_user *u, const struct pwhash *p)
{
	_Static_assert(PWHASH_LEN <= REC_PWHASH_MAX, "room in U");
	head(u->pwhash, p);
	memcpy(u->pwhash + HEAD_LEN, p->check, HASH_LEN);
	u->pwhash_n = PWHASH_LEN;
}

static void
check(uint8_t out[HASH_LEN], const struct pwhash *p,
    const struct seal_bundle *b, const uint8_t uid[REC_ID],
    const uint8_t argon2[HASH_LEN])
{
	const struct bytes none = { NULL, 0 };
	uint8_t pepper[HASH_LEN], h[HEAD_LEN];
	const struct bytes in[] = {
		{ uid, REC_ID }, { h, sizeof(h) }, { argon2, HASH_LEN }
	};

	head(h, p);
	kdf_xl(pepper, sizeof(pepper), b->meta, "pepper", none);
	hmac_sha256v(out, bytes_of(pepper, sizeof(pepper)), in, 3);
	OPENSSL_cleanse(pepper, sizeof(pepper));
}

void
pwhash_make(struct pwhash *p, const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const uint8_t argon2[HASH_LEN])
{
	check(p->check, p, b, uid, argon2);
}

bool
pwhash_right(const struct pwhash *p, const struct seal_bundle *b,
    const uint8_t uid[REC_ID], const uint8_t argon2[HASH_LEN])
{
	uint8_t want[HASH_LEN];
	bool right;

	check(want, p, b, uid, argon2);
	right = bytes_eq_ct(want, p->check, sizeof(want));
	OPENSSL_cleanse(want, sizeof(want));
	return right;
}

void
pwhash_dummy(struct pwhash *p, const struct seal_bundle *b, struct bytes name,
    uint32_t memory_kib, uint32_t passes)
{
	const struct bytes in[] = { bytes_str("no user"), name };
	uint8_t h[HASH_LEN];

	memset(p, 0, sizeof(*p));
	p->memory_kib = memory_kib;
	p->passes = passes;
	hmac_sha256v(h, bytes_of(b->prf, sizeof(b->prf)), in, 2);
	memcpy(p->salt, h, sizeof(p->salt));
}
