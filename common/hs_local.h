/* What hs*.c share; nobody else includes it. */
#ifndef COMMON_HS_LOCAL_H
#define COMMON_HS_LOCAL_H

#include "hs.h"

/* Named by the step that is allowed next. */
enum hs_state {
	HS_DEAD,
	HS_S_READ_CH, HS_S_MAKE_SH, HS_S_MAKE_SA, HS_S_READ_CA, HS_S_MAKE_KW,
	HS_S_READ_CC, HS_S_MAKE_SF, HS_S_READ_CF,
	HS_C_MAKE_CH, HS_C_READ_SH, HS_C_READ_SA, HS_C_TRUST, HS_C_MAKE_CA,
	HS_C_READ_KW, HS_C_FINISH, HS_C_MAKE_CC, HS_C_READ_SF, HS_C_MAKE_CF,
	HS_DONE
};

/* Wipe everything, remember the first reason, refuse every later step; -1. */
int hs_fail(struct hs *hs, const char *why);
/* 0 if this step is the next one, else hs_fail(). */
int hs_step(struct hs *hs, enum hs_state step);

/* Write the header of a message; returns where it starts, for hs_msg_end(). */
size_t hs_msg_begin(struct buf *out, enum hs_type type);
/*
 * Fill in the length and take the message into the transcript; 0 or hs_fail().
 */
int hs_msg_end(struct hs *hs, struct buf *out, size_t start);
/*
 * The next message of a flight, which must have this type: a reader over its
 * body, and the whole of it for hs_absorb().  Errors show in r->err and in the
 * result's err.
 */
struct rd hs_msg_next(struct rd *r, enum hs_type type, struct bytes *msg);
void hs_absorb(struct hs *hs, struct bytes msg);
/* TH so far. */
void hs_th(const struct hs *hs, uint8_t th[HASH_LEN]);

/* The MAC of SF, CF, SF2 or CC: HMAC(XL(secret, label, ""), TH so far). */
void hs_mac(const struct hs *hs, uint8_t mac[HASH_LEN],
    const uint8_t secret[HASH_LEN], const char *label);
/* Append a whole message that is such a MAC. */
int hs_make_mac(struct hs *hs, struct buf *out, enum hs_type type,
    const uint8_t secret[HASH_LEN], const char *label);

/*
 * Make (or take from hs->fixed) the ephemeral key; its public half into share.
 */
void hs_make_eph(struct hs *hs, uint8_t share[HS_X25519]);
/*
 * After SH: agree with hs->peer_share, and with suite 2 take hs->ss_mlkem in
 * front; derive th_sh, c_hs, s_hs.
 */
int hs_derive_hs(struct hs *hs);
/* After CF, with Wd: MS. */
void hs_derive_ms(struct hs *hs, const uint8_t wd[HASH_LEN]);
/* After SF2: the session's secrets. */
void hs_derive_session(struct hs *hs);

/* ES = Extract(Z, psk), or Extract(Z, Z) for NULL. */
void hs_early_secret(uint8_t es[HASH_LEN], const uint8_t *psk);
/* Write the binder into a CH that lacks mac1's value alone. */
void hs_bind_ch(struct buf *ch, const uint8_t psk[HASH_LEN]);

/* mac1 of a CH under a server's hash, or under the zero key for NULL. */
void hs_mac1(uint8_t mac1[HS_MAC1], const uint8_t *ch,
    const uint8_t *server_hash);

#endif
