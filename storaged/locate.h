/*
 * Which heads are not those that H counts?
 *
 * The multiset hash says that some are not, never which.  For that H keeps 16
 * sums besides, of the same elements:
 *
 *	S(j) = sum of x^j e over all heads, modulo p = 2^256 - 189, j = 0..15
 *
 * where x is the head's user and conversation as a number, and e its element of
 * the multiset hash.  The sums of what is found differ from those in H by the
 * same sums over the few heads that were changed, put in or taken out: the
 * syndromes of a Reed-Solomon code, from which up to 8 of them are told, and by
 * how much each element differs (Berlekamp and Massey; Cantor and Zassenhaus
 * for the roots).  What it tells is no more than a guess that is nearly always
 * right: it counts only when the multiset hash confirms it.  The sums are as
 * secret as the hash, and stand beside it.
 */
#ifndef STORAGED_LOCATE_H
#define STORAGED_LOCATE_H

#include <stddef.h>
#include <stdint.h>

#define LOCATE_MAX	8
#define LOCATE_SUMS	(2 * LOCATE_MAX)
#define LOCATE_BYTES	32		/* of x, of e and of a sum */

struct locate {
	uint8_t	sum[LOCATE_SUMS][LOCATE_BYTES];
};

/* Count an element of the head x, or take it out again. */
void locate_add(struct locate *l, const uint8_t x[LOCATE_BYTES],
    const uint8_t e[LOCATE_BYTES]);
void locate_sub(struct locate *l, const uint8_t x[LOCATE_BYTES],
    const uint8_t e[LOCATE_BYTES]);

/* A head whose element is not what it should be, and what is to be added. */
struct located {
	uint8_t	x[LOCATE_BYTES];
	uint8_t	add[LOCATE_BYTES];	/* modulo p: locate_apply() */
};

/*
 * Which heads make `have' differ from `want': their number, at most LOCATE_MAX,
 * or -1 when they are more.
 */
int locate_solve(struct located out[LOCATE_MAX], const struct locate *want,
    const struct locate *have);
/* The element that H counts: the one that was found (zeros: none) and d->add. */
void locate_apply(uint8_t e[LOCATE_BYTES], const struct located *d);

#endif
