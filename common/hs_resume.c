/*
 * Resumption (docs/protocol.md): CH with a ticket, SH, SF, CF.  No long-term key
 * has a part in it; both ends prove that they hold the ticket's secret, and a
 * fresh key exchange goes with it.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "hs_local.h"

#define TICKET_LEN	(2 * HASH_LEN)	/* ticket_id | binder */

static const struct bytes none = { NULL, 0 };

static struct bytes
h32(const uint8_t p[HASH_LEN])
{
	return bytes_of(p, HASH_LEN);
}

void
hs_ticket_psk(uint8_t psk[HASH_LEN], const uint8_t resumption[HASH_LEN],
    const uint8_t id[HASH_LEN])
{
	kdf_xl(psk, HASH_LEN, resumption, "ticket", h32(id));
}

void
hs_early_secret(uint8_t es[HASH_LEN], const uint8_t *psk)
{
	static const uint8_t zero[HASH_LEN];

	kdf_extract(h32(zero), h32(psk != NULL ? psk : zero), es);
}

/* Where the ticket stands in a CH; NULL when its fields do not reach so far. */
static const uint8_t *
find_ticket(struct bytes ch)
{
	struct rd r = rd_of(ch);
	const uint8_t *p;

	(void)rd_bytes(&r, HS_MSG_HDR + 2);
	(void)rd_bytes(&r, rd_u8(&r));
	(void)rd_bytes(&r, HS_RANDOM);
	(void)rd_v16(&r, HS_X25519);
	(void)rd_v16(&r, MLKEM_KEY);
	p = rd_bytes(&r, TICKET_LEN).p;
	(void)rd_bytes(&r, HS_MAC1);
	return r.err || ch.n != HS_CH_LEN ? NULL : p;
}

int
hs_ch_ticket(struct bytes ch, uint8_t id[HASH_LEN])
{
	const uint8_t *p = find_ticket(ch);

	if (p == NULL)
		return -1;
	memcpy(id, p, HASH_LEN);
	return 0;
}

/* HMAC over CH with binder and mac1 zero; at is where its ticket stands. */
static void
binder(uint8_t mac[HASH_LEN], const uint8_t *ch, const uint8_t *at,
    const uint8_t psk[HASH_LEN])
{
	uint8_t copy[HS_CH_LEN], es[HASH_LEN], key[HASH_LEN];

	memcpy(copy, ch, sizeof(copy));
	memset(copy + (at - ch) + HASH_LEN, 0, HASH_LEN);
	memset(copy + HS_CH_LEN - HS_MAC1, 0, HS_MAC1);
	hs_early_secret(es, psk);
	kdf_xl(key, sizeof(key), es, "binder", none);
	hmac_sha256(mac, h32(key), bytes_of(copy, sizeof(copy)));
	OPENSSL_cleanse(es, sizeof(es));
	OPENSSL_cleanse(key, sizeof(key));
}

bool
hs_binder_ok(struct bytes ch, const uint8_t psk[HASH_LEN])
{
	const uint8_t *at = find_ticket(ch);
	uint8_t want[HASH_LEN];

	if (at == NULL)
		return false;
	binder(want, ch.p, at, psk);
	return bytes_eq_ct(at + HASH_LEN, want, HASH_LEN);
}

void
hs_bind_ch(struct buf *ch, const uint8_t psk[HASH_LEN])
{
	const uint8_t *at = find_ticket(buf_bytes(ch));
	uint8_t mac[HASH_LEN];

	if (at == NULL)
		return;
	binder(mac, ch->p, at, psk);
	memcpy(ch->p + (at - ch->p) + HASH_LEN, mac, HASH_LEN);
}

/* ---- server ------------------------------------------------------------- */

int
hs_server_resume(struct hs *hs, const uint8_t psk[HASH_LEN])
{
	if (hs_step(hs, HS_S_MAKE_SH) != 0)
		return -1;
	memcpy(hs->psk, psk, HASH_LEN);
	hs->resuming = true;
	return 0;
}

int
hs_server_make_sf(struct hs *hs, struct buf *out)
{
	if (hs_step(hs, HS_S_MAKE_SF) != 0 ||
	    hs_make_mac(hs, out, HS_SF, hs->s_hs, "finished") != 0)
		return -1;
	hs->state = HS_S_READ_CF;
	return 0;
}

/* A flight that is one MAC, of the peer; it enters the transcript. */
static int
read_mac(struct hs *hs, struct bytes flight, enum hs_type type,
    const uint8_t secret[HASH_LEN], const char *malformed, const char *wrong)
{
	uint8_t got[HASH_LEN], want[HASH_LEN];
	struct rd r = rd_of(flight), body;
	struct bytes msg;

	body = hs_msg_next(&r, type, &msg);
	rd_copy(&body, got, sizeof(got));
	if (!rd_done(&r) || !rd_done(&body))
		return hs_fail(hs, malformed);
	hs_mac(hs, want, secret, "finished");
	if (!bytes_eq_ct(got, want, HASH_LEN))
		return hs_fail(hs, wrong);
	hs_absorb(hs, msg);
	return 0;
}

/* After CF: no W was sent, so Wd is zero; TH(CF) stands where TH(SF2) does. */
static void
finish(struct hs *hs)
{
	static const uint8_t zero[HASH_LEN];

	hs_th(hs, hs->th_cf);
	hs_derive_ms(hs, zero);
	hs_derive_session(hs);
	hs->state = HS_DONE;
}

int
hs_server_read_cf(struct hs *hs, struct bytes flight)
{
	if (hs_step(hs, HS_S_READ_CF) != 0 || read_mac(hs, flight, HS_CF,
	    hs->c_hs, "CF: malformed", "CF: wrong") != 0)
		return -1;
	finish(hs);
	return 0;
}

/* ---- client ------------------------------------------------------------- */

int
hs_client_resume(struct hs *hs, const struct hs_ticket *t)
{
	if (hs_step(hs, HS_C_MAKE_CH) != 0)
		return -1;
	if (t->suite < hs->lowest || t->suite > hs->highest)
		return hs_fail(hs, "a ticket for another suite");
	memcpy(hs->psk, t->psk, HASH_LEN);
	memcpy(hs->ticket_id, t->id, HASH_LEN);
	hs->ticket_suite = t->suite;
	hs->resuming = true;
	return 0;
}

int
hs_client_read_sf(struct hs *hs, struct bytes flight)
{
	if (hs_step(hs, HS_C_READ_SF) != 0 || read_mac(hs, flight, HS_SF,
	    hs->s_hs, "SF: malformed", "SF: wrong") != 0)
		return -1;
	hs->state = HS_C_MAKE_CF;
	return 0;
}

int
hs_client_make_cf(struct hs *hs, struct buf *out)
{
	if (hs_step(hs, HS_C_MAKE_CF) != 0 ||
	    hs_make_mac(hs, out, HS_CF, hs->c_hs, "finished") != 0)
		return -1;
	finish(hs);
	return 0;
}
