/*
 * A new key exchange inside of a session that has lasted (docs/protocol.md, Fresh
 * keys): the server offers a share, the client answers with its own, and the
 * secret that they agree goes into the traffic secrets of both directions.  Who
 * had those, and was not there, has them no more.
 *
 *	server			client
 *	fresh_offer(f, m)	fresh_answer(f, offer, m)
 *	fresh_accept(f, answer)
 *
 * What is agreed then lies in f->ss and f->th until fresh_end().
 */
#ifndef COMMON_FRESH_H
#define COMMON_FRESH_H

#include "kdf.h"
#include "mlkem.h"
#include "msg.h"
#include "x25519.h"

/* Test values in place of random ones. */
struct fresh_fixed {
	uint8_t	eph[X25519_LEN];
	uint8_t	mlkem[MLKEM_SEED];
	uint8_t	coins[MLKEM_COINS];
};

/* One exchange, at one of its ends.  Zeros: none is under way. */
struct fresh {
	enum { FRESH_NONE, FRESH_OFFERED, FRESH_AGREED } state;
	EVP_PKEY	*eph;
	EVP_PKEY	*mlkem;
	uint8_t		 public[X25519_LEN + MLKEM_KEY];	/* the offer's */
	uint8_t		 kem[MLKEM_CT];		/* the answer's */
	uint8_t		 ss[MLKEM_SS + X25519_LEN];
	size_t		 ss_n;
	uint8_t		 th[HASH_LEN];
	const struct fresh_fixed *fixed;	/* NULL but in tests */
};

/*
 * Begin one, at the server's end, with the shares of this suite; *m, whose key
 * points into f, is what the client is to be sent.
 */
void fresh_offer(struct fresh *f, uint8_t suite, struct m_s_fresh *m);
/*
 * Answer an offer, at the client's end; *m points into f.  0, and it is agreed; -1
 * when the offer is not one of this suite.
 */
int fresh_answer(struct fresh *f, uint8_t suite, const struct m_s_fresh *offer,
    struct m_c_fresh *m);
/*
 * Take the answer, at the server's end.  0, and it is agreed; -1 when it is not one
 * of this suite, or nothing was offered.
 */
int fresh_accept(struct fresh *f, uint8_t suite, const struct m_c_fresh *m);
/* Wipe: none is under way. */
void fresh_end(struct fresh *f);

#endif
