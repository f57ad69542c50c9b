/* What attacks on servers and on clients share. */
#ifndef REGRESS_ATTACK_BOTH_H
#define REGRESS_ATTACK_BOTH_H

#include <stddef.h>
#include <stdint.h>

#define POINTS	7

/* X25519 shares of small order (RFC 7748, 6.1; cr.yp.to/ecdh.html). */
extern const char *const points[POINTS];

/* Where the share is in this CH. */
size_t share_at(const uint8_t *ch);
/* Attacks 8, 9 and 13 on a client. */
void low_order_sh(void);
void mlkem_sh(void);
void reflect_to_client(void);

#endif
