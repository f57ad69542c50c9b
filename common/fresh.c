#include "fresh.h"

#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"

/* What one end shows of a suite's key encapsulation. */
static size_t
kem_len(uint8_t suite, size_t n)
{
	return suite == HS_SUITE_HYBRID ? n : 0;
}

/* th = H(offer | answer), each the share and what follows it. */
static void
hash_both(struct fresh *f, uint8_t suite, const uint8_t share[X25519_LEN],
    struct bytes ct)
{
	const struct bytes part[] = {
		bytes_of(f->public, X25519_LEN + kem_len(suite, MLKEM_KEY)),
		bytes_of(share, X25519_LEN), ct
	};

	sha256v(f->th, part, 3);
}

/* Both secrets: that of the key encapsulation, if any, is in f->ss already. */
static int
agree(struct fresh *f, uint8_t suite, const uint8_t share[X25519_LEN])
{
	size_t at = kem_len(suite, MLKEM_SS);

	if (x25519_agree(f->eph, share, f->ss + at) != 0)
		return -1;
	f->ss_n = at + X25519_LEN;
	f->state = FRESH_AGREED;
	EVP_PKEY_free(f->eph);
	EVP_PKEY_free(f->mlkem);
	f->eph = f->mlkem = NULL;
	return 0;
}

void
fresh_offer(struct fresh *f, uint8_t suite, struct m_s_fresh *m)
{
	uint8_t *key = f->public + X25519_LEN;

	fresh_end(f);
	f->eph = x25519_keygen(f->fixed != NULL ? f->fixed->eph : NULL,
	    f->public);
	if (suite == HS_SUITE_HYBRID && (f->mlkem = mlkem_keygen(
	    f->fixed != NULL ? f->fixed->mlkem : NULL, key)) == NULL)
		crypto_fatalx("ML-KEM");
	f->state = FRESH_OFFERED;
	memcpy(m->share, f->public, X25519_LEN);
	m->kem = bytes_of(key, kem_len(suite, MLKEM_KEY));
}

int
fresh_answer(struct fresh *f, uint8_t suite, const struct m_s_fresh *offer,
    struct m_c_fresh *m)
{
	if (offer->kem.n != kem_len(suite, MLKEM_KEY))
		return -1;
	fresh_end(f);
	memcpy(f->public, offer->share, X25519_LEN);
	if (offer->kem.n > 0) {
		memcpy(f->public + X25519_LEN, offer->kem.p, offer->kem.n);
		if (mlkem_encapsulate(offer->kem, f->fixed != NULL ?
		    f->fixed->coins : NULL, f->kem, f->ss) != 0)
			return -1;
	}
	f->eph = x25519_keygen(f->fixed != NULL ? f->fixed->eph : NULL,
	    m->share);
	m->kem = bytes_of(f->kem, kem_len(suite, MLKEM_CT));
	if (agree(f, suite, offer->share) != 0)
		return -1;
	hash_both(f, suite, m->share, m->kem);
	return 0;
}

int
fresh_accept(struct fresh *f, uint8_t suite, const struct m_c_fresh *m)
{
	if (f->state != FRESH_OFFERED || m->kem.n != kem_len(suite, MLKEM_CT))
		return -1;
	if (m->kem.n > 0 && mlkem_decapsulate(f->mlkem, m->kem, f->ss) != 0)
		return -1;
	if (agree(f, suite, m->share) != 0)
		return -1;
	hash_both(f, suite, m->share, m->kem);
	return 0;
}

void
fresh_end(struct fresh *f)
{
	const struct fresh_fixed *fixed = f->fixed;

	EVP_PKEY_free(f->eph);
	EVP_PKEY_free(f->mlkem);
	OPENSSL_cleanse(f, sizeof(*f));
	f->fixed = fixed;
}
