#include "locate.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>

#include "log.h"

#define P_BELOW		189	/* p = 2^256 - 189, the largest prime there */
#define SPLIT_TRIES	128	/* each fails with probability 1/2 at most */

/* Arithmetic modulo p; everything that is got from ctx goes with it. */
struct gfp {
	BN_CTX	*ctx;
	BIGNUM	*p;
	bool	 err;		/* memory, or what cannot be */
};

/* c[0] + c[1] X + ...; deg is -1 for zero. */
struct poly {
	int	 deg;
	BIGNUM	*c[LOCATE_SUMS + 1];
};

static BIGNUM *
number(struct gfp *f)
{
	BIGNUM *n = BN_CTX_get(f->ctx);

	if (n == NULL)
		fatalx("no memory for arithmetic");
	return n;
}

static void
gfp_begin(struct gfp *f)
{
	memset(f, 0, sizeof(*f));
	if ((f->ctx = BN_CTX_new()) == NULL)
		fatalx("no memory for arithmetic");
	BN_CTX_start(f->ctx);
	f->p = number(f);
	f->err = !BN_set_bit(f->p, 8 * LOCATE_BYTES) ||
	    !BN_sub_word(f->p, P_BELOW);
}

/* Wipes and frees every number. */
static void
gfp_end(struct gfp *f)
{
	BN_CTX_end(f->ctx);
	BN_CTX_free(f->ctx);
}

static BIGNUM *
from_bytes(struct gfp *f, const uint8_t b[LOCATE_BYTES])
{
	BIGNUM *n = number(f);

	f->err |= BN_bin2bn(b, LOCATE_BYTES, n) == NULL ||
	    !BN_nnmod(n, n, f->p, f->ctx);
	return n;
}

static void
to_bytes(struct gfp *f, uint8_t b[LOCATE_BYTES], const BIGNUM *n)
{
	f->err |= BN_bn2binpad(n, b, LOCATE_BYTES) != LOCATE_BYTES;
}

static void
mul(struct gfp *f, BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	f->err |= !BN_mod_mul(r, a, b, f->p, f->ctx);
}

static void
add(struct gfp *f, BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	f->err |= !BN_mod_add(r, a, b, f->p, f->ctx);
}

static void
sub(struct gfp *f, BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	f->err |= !BN_mod_sub(r, a, b, f->p, f->ctx);
}

static void
invert(struct gfp *f, BIGNUM *r, const BIGNUM *a)
{
	f->err |= BN_mod_inverse(r, a, f->p, f->ctx) == NULL;
}

/* r += a b */
static void
mul_add(struct gfp *f, BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	BIGNUM *t;

	BN_CTX_start(f->ctx);
	t = number(f);
	mul(f, t, a, b);
	add(f, r, r, t);
	BN_CTX_end(f->ctx);
}

/* r -= a b */
static void
mul_sub(struct gfp *f, BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	BIGNUM *t;

	BN_CTX_start(f->ctx);
	t = number(f);
	mul(f, t, a, b);
	sub(f, r, r, t);
	BN_CTX_end(f->ctx);
}

/* ---- the sums -------------------------------------------------------------- */

static void
count(struct locate *l, const uint8_t x[LOCATE_BYTES],
    const uint8_t e[LOCATE_BYTES], bool take)
{
	struct gfp f;
	BIGNUM *t, *bx, *sum;

	gfp_begin(&f);
	bx = from_bytes(&f, x);
	t = from_bytes(&f, e);
	for (size_t j = 0; j < LOCATE_SUMS; j++) {
		BN_CTX_start(f.ctx);
		sum = from_bytes(&f, l->sum[j]);
		(take ? sub : add)(&f, sum, sum, t);
		to_bytes(&f, l->sum[j], sum);
		mul(&f, t, t, bx);
		BN_CTX_end(f.ctx);
	}
	if (f.err)
		fatalx("the sums of the heads cannot be made");
	gfp_end(&f);
}

void
locate_add(struct locate *l, const uint8_t x[LOCATE_BYTES],
    const uint8_t e[LOCATE_BYTES])
{
	count(l, x, e, false);
}

void
locate_sub(struct locate *l, const uint8_t x[LOCATE_BYTES],
    const uint8_t e[LOCATE_BYTES])
{
	count(l, x, e, true);
}

void
locate_apply(uint8_t e[LOCATE_BYTES], const struct located *d)
{
	struct gfp f;
	BIGNUM *n;

	gfp_begin(&f);
	n = from_bytes(&f, e);
	add(&f, n, n, from_bytes(&f, d->add));
	to_bytes(&f, e, n);
	if (f.err)
		fatalx("an element cannot be made");
	gfp_end(&f);
}

/* ---- polynomials ------------------------------------------------------------ */

static void
poly_zero(struct gfp *f, struct poly *a)
{
	a->deg = -1;
	for (size_t i = 0; i <= LOCATE_SUMS; i++) {
		a->c[i] = number(f);
		BN_zero(a->c[i]);
	}
}

static void
poly_trim(struct poly *a)
{
	while (a->deg >= 0 && BN_is_zero(a->c[a->deg]))
		a->deg--;
}

static void
poly_copy(struct gfp *f, struct poly *r, const struct poly *a)
{
	r->deg = a->deg;
	for (size_t i = 0; i <= LOCATE_SUMS; i++)
		f->err |= BN_copy(r->c[i], a->c[i]) == NULL;
}

static void
poly_monic(struct gfp *f, struct poly *a)
{
	BIGNUM *inv;

	if (a->deg < 0)
		return;
	BN_CTX_start(f->ctx);
	inv = number(f);
	invert(f, inv, a->c[a->deg]);
	for (int i = 0; i <= a->deg; i++)
		mul(f, a->c[i], a->c[i], inv);
	BN_CTX_end(f->ctx);
}

/* a modulo m, which is monic; the quotient into q unless that is NULL. */
static void
poly_mod(struct gfp *f, struct poly *a, const struct poly *m, struct poly *q)
{
	if (q != NULL)
		q->deg = a->deg >= m->deg ? a->deg - m->deg : -1;
	for (int i = a->deg; i >= m->deg; i--) {
		if (q != NULL)
			f->err |= BN_copy(q->c[i - m->deg], a->c[i]) == NULL;
		/* Its own coefficient comes last. */
		for (int k = 0; k <= m->deg; k++)
			mul_sub(f, a->c[i - m->deg + k], a->c[i], m->c[k]);
	}
	poly_trim(a);
}

/* r = a b modulo m; all of a smaller degree than m. */
static void
poly_mulmod(struct gfp *f, struct poly *r, const struct poly *a,
    const struct poly *b, const struct poly *m)
{
	struct poly t;

	BN_CTX_start(f->ctx);
	poly_zero(f, &t);
	t.deg = a->deg < 0 || b->deg < 0 ? -1 : a->deg + b->deg;
	for (int i = 0; i <= a->deg; i++)
		for (int k = 0; k <= b->deg; k++)
			mul_add(f, t.c[i + k], a->c[i], b->c[k]);
	poly_mod(f, &t, m, NULL);
	poly_copy(f, r, &t);
	BN_CTX_end(f->ctx);
}

/* r = a^n modulo m */
static void
poly_powmod(struct gfp *f, struct poly *r, const struct poly *a,
    const BIGNUM *n, const struct poly *m)
{
	r->deg = 0;
	f->err |= !BN_one(r->c[0]);
	for (int i = BN_num_bits(n) - 1; i >= 0 && !f->err; i--) {
		poly_mulmod(f, r, r, r, m);
		if (BN_is_bit_set(n, i))
			poly_mulmod(f, r, r, a, m);
	}
}

/* a becomes the greatest common divisor, monic; b is used up. */
static void
poly_gcd(struct gfp *f, struct poly *a, struct poly *b)
{
	struct poly t;

	BN_CTX_start(f->ctx);
	poly_zero(f, &t);
	while (b->deg >= 0 && !f->err) {
		poly_monic(f, b);
		poly_mod(f, a, b, NULL);
		poly_copy(f, &t, a);
		poly_copy(f, a, b);
		poly_copy(f, b, &t);
	}
	poly_monic(f, a);
	BN_CTX_end(f->ctx);
}

/* ---- which, and by how much --------------------------------------------------- */

/*
 * Berlekamp and Massey: the shortest recurrence that makes the syndromes, as
 * the monic polynomial whose roots are the heads.  Its degree, or -1.
 */
static int
recurrence(struct gfp *f, struct poly *r, BIGNUM *const s[LOCATE_SUMS])
{
	BIGNUM *d = number(f), *b = number(f), *q = number(f);
	struct poly c, last, was;
	int len = 0, shift = 1;

	poly_zero(f, &c);
	poly_zero(f, &last);
	poly_zero(f, &was);
	f->err |= !BN_one(c.c[0]) || !BN_one(last.c[0]) || !BN_one(b);
	for (int n = 0; n < LOCATE_SUMS && !f->err; n++) {
		BN_zero(d);
		for (int i = 0; i <= len; i++)
			mul_add(f, d, c.c[i], s[n - i]);
		if (BN_is_zero(d)) {
			shift++;
			continue;
		}
		poly_copy(f, &was, &c);
		invert(f, q, b);
		mul(f, q, q, d);
		for (int i = 0; i + shift <= LOCATE_SUMS; i++)
			mul_sub(f, c.c[i + shift], q, last.c[i]);
		if (2 * len > n) {
			shift++;
			continue;
		}
		len = n + 1 - len;
		poly_copy(f, &last, &was);
		f->err |= BN_copy(b, d) == NULL;
		shift = 1;
	}
	if (f->err || len > LOCATE_MAX)
		return -1;
	/* Its roots are their inverses: turn it round. */
	r->deg = len;
	for (int i = 0; i <= len; i++)
		f->err |= BN_copy(r->c[len - i], c.c[i]) == NULL;
	return len;
}

/* Whether a, monic, is a product of different X - x. */
static bool
splits(struct gfp *f, const struct poly *a)
{
	struct poly x, r;
	bool ok;

	if (a->deg <= 1)
		return true;
	BN_CTX_start(f->ctx);
	poly_zero(f, &x);
	poly_zero(f, &r);
	x.deg = 1;
	f->err |= !BN_one(x.c[1]);
	poly_powmod(f, &r, &x, f->p, a);
	ok = !f->err && r.deg == 1 && BN_is_zero(r.c[0]) && BN_is_one(r.c[1]);
	BN_CTX_end(f->ctx);
	return ok;
}

/* Cantor and Zassenhaus: the roots of a, monic, which splits. */
static void
roots(struct gfp *f, const struct poly *a, BIGNUM **root, int *n)
{
	struct poly base, half, rest;
	BIGNUM *e;

	if (f->err || a->deg <= 0)
		return;
	if (a->deg == 1) {
		sub(f, root[*n], f->p, a->c[0]);
		(*n)++;
		return;
	}
	BN_CTX_start(f->ctx);
	poly_zero(f, &base);
	poly_zero(f, &half);
	poly_zero(f, &rest);
	e = number(f);
	f->err |= !BN_rshift1(e, f->p);		/* (p - 1) / 2: p is odd */
	half.deg = -1;
	for (int i = 0; i < SPLIT_TRIES && !f->err &&
	    (half.deg < 1 || half.deg == a->deg); i++) {
		base.deg = 1;
		f->err |= !BN_one(base.c[1]) ||
		    !BN_priv_rand_range(base.c[0], f->p);
		poly_powmod(f, &rest, &base, e, a);
		/* Less one: its roots are half of them, by chance. */
		if (rest.deg < 0) {
			rest.deg = 0;
			BN_zero(rest.c[0]);
		}
		sub(f, rest.c[0], rest.c[0], BN_value_one());
		poly_trim(&rest);
		poly_copy(f, &half, a);
		poly_gcd(f, &half, &rest);
	}
	if (half.deg < 1 || half.deg == a->deg)
		f->err = true;
	poly_copy(f, &base, a);
	poly_zero(f, &rest);
	poly_mod(f, &base, &half, &rest);
	roots(f, &half, root, n);
	roots(f, &rest, root, n);
	BN_CTX_end(f->ctx);
}

/*
 * What belongs to the head x, a root of a: with q = a / (X - x), which is zero
 * at all others, the sum of q(j) s(j) is q(x) times that.
 */
static void
amount(struct gfp *f, BIGNUM *out, const struct poly *a, const BIGNUM *x,
    BIGNUM *const s[LOCATE_SUMS])
{
	BIGNUM *q, *num, *den;

	BN_CTX_start(f->ctx);
	q = number(f);
	num = number(f);
	den = number(f);
	BN_zero(q);
	BN_zero(num);
	BN_zero(den);
	for (int j = a->deg - 1; j >= 0; j--) {
		mul(f, q, q, x);
		add(f, q, q, a->c[j + 1]);
		mul_add(f, num, q, s[j]);
		mul(f, den, den, x);
		add(f, den, den, q);
	}
	invert(f, den, den);
	mul(f, out, num, den);
	BN_CTX_end(f->ctx);
}

int
locate_solve(struct located out[LOCATE_MAX], const struct locate *want,
    const struct locate *have)
{
	BIGNUM *s[LOCATE_SUMS], *root[LOCATE_MAX], *d;
	struct poly a;
	struct gfp f;
	int n = 0, deg;

	gfp_begin(&f);
	for (size_t j = 0; j < LOCATE_SUMS; j++) {
		s[j] = from_bytes(&f, want->sum[j]);
		sub(&f, s[j], s[j], from_bytes(&f, have->sum[j]));
	}
	for (size_t i = 0; i < LOCATE_MAX; i++)
		root[i] = number(&f);
	d = number(&f);
	poly_zero(&f, &a);
	if ((deg = recurrence(&f, &a, s)) > 0 && splits(&f, &a))
		roots(&f, &a, root, &n);
	for (int i = 0; i < n && !f.err; i++) {
		amount(&f, d, &a, root[i], s);
		to_bytes(&f, out[i].x, root[i]);
		to_bytes(&f, out[i].add, d);
	}
	if (f.err || n != deg)
		n = -1;
	gfp_end(&f);
	return n;
}
