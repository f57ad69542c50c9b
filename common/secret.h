/*
 * Memory for secrets that live long: locked into RAM, not in core dumps, zero
 * in a child of fork(2).
 */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stddef.h>

/*
 * n bytes of zeros, rounded up to whole pages of their own.  Fatal when the
 * kernel refuses any of the above: a secret is not kept in lesser memory.
 */
void *secret_alloc(size_t n);
/* Wipe and give back what secret_alloc(n) returned; NULL is allowed. */
void secret_free(void *p, size_t n);

#endif
