#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "hs_local.h"

/* The suites, the best first, and the shares for them. */
static void
offer(struct hs *hs, const uint8_t random_c[HS_RANDOM], struct buf *ch)
{
	uint8_t share[HS_X25519], mlkem[MLKEM_KEY];
	size_t n = 0;

	hs_make_eph(hs, share);
	if (hs->highest >= HS_SUITE_HYBRID) {
		hs->mlkem = mlkem_keygen(hs->fixed != NULL ? hs->fixed->mlkem :
		    NULL, mlkem);
		n = sizeof(mlkem);
	}
	buf_u8(ch, (uint8_t)(hs->highest - hs->lowest + 1));
	for (uint8_t suite = hs->highest; suite >= hs->lowest; suite--)
		buf_u8(ch, suite);
	buf_put(ch, random_c, HS_RANDOM);
	buf_v16(ch, bytes_of(share, sizeof(share)));
	buf_v16(ch, bytes_of(mlkem, n));
}

int
hs_client_make_ch(struct hs *hs, const uint8_t random_c[HS_RANDOM],
    const uint8_t *server_hash, struct buf *out)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	uint8_t ticket[2 * HASH_LEN], mac1[HS_MAC1];
	int rv = -1;

	if (hs_step(hs, HS_C_MAKE_CH) != 0)
		return -1;
	memcpy(hs->random_c, random_c, HS_RANDOM);
	if (server_hash != NULL) {
		memcpy(hs->pin, server_hash, HASH_LEN);
		hs->pinned = true;
	}
	/* Random where there is no ticket: a resumption looks the same. */
	if (hs->fixed != NULL) {
		memcpy(ticket, hs->fixed->ticket_id, HASH_LEN);
		memcpy(ticket + HASH_LEN, hs->fixed->binder, HASH_LEN);
	} else
		crypto_random(ticket, sizeof(ticket));
	if (hs->resuming)
		memcpy(ticket, hs->ticket_id, HASH_LEN);
	buf_u8(&ch, HS_CH);
	buf_u24(&ch, HS_CH_LEN - HS_MSG_HDR);
	buf_u16(&ch, HS_VERSION);
	offer(hs, random_c, &ch);
	buf_put(&ch, ticket, sizeof(ticket));
	buf_zero(&ch, HS_CH_LEN - ch.n);
	if (ch.err) {
		(void)hs_fail(hs, "CH: no memory");
		goto out;
	}
	if (hs->resuming)
		hs_bind_ch(&ch, hs->psk);
	hs_mac1(mac1, ch.p, server_hash);
	memcpy(ch.p + HS_CH_LEN - HS_MAC1, mac1, sizeof(mac1));
	buf_put(out, ch.p, ch.n);
	if (ch.err || out->err) {
		(void)hs_fail(hs, "CH: does not fit");
		goto out;
	}
	hs_absorb(hs, buf_bytes(&ch));
	hs->state = HS_C_READ_SH;
	rv = 0;
out:
	buf_free(&ch);
	return rv;
}

int
hs_client_read_sh(struct hs *hs, struct bytes msg)
{
	struct bytes share, mlkem;
	struct rd r = rd_of(msg);

	if (hs_step(hs, HS_C_READ_SH) != 0)
		return -1;
	if (msg.n < HS_MSG_HDR || hs_clear_len(msg.p, HS_SH) != msg.n)
		return hs_fail(hs, "SH: length or type");
	(void)rd_bytes(&r, HS_MSG_HDR);
	if (rd_u16(&r) != HS_VERSION)
		return hs_fail(hs, "SH: version");
	hs->suite = rd_u8(&r);
	rd_copy(&r, hs->random_s, HS_RANDOM);
	share = rd_v16(&r, HS_X25519);
	mlkem = rd_v16(&r, MLKEM_CT);
	if (hs->suite < hs->lowest || hs->suite > hs->highest)
		return hs_fail(hs, "SH: suite was not offered");
	if (hs->resuming && hs->suite != hs->ticket_suite)
		return hs_fail(hs, "SH: not the ticket's suite");
	if (!rd_done(&r) || share.n != HS_X25519 ||
	    mlkem.n != (hs->suite == HS_SUITE_HYBRID ? MLKEM_CT : 0))
		return hs_fail(hs, "SH: malformed");
	memcpy(hs->peer_share, share.p, HS_X25519);
	if (hs->suite == HS_SUITE_HYBRID &&
	    mlkem_decapsulate(hs->mlkem, mlkem, hs->ss_mlkem) != 0)
		return hs_fail(hs, "SH: ML-KEM ciphertext");
	EVP_PKEY_free(hs->mlkem);
	hs->mlkem = NULL;
	hs_absorb(hs, msg);
	if (hs_derive_hs(hs) != 0)
		return -1;
	hs->state = hs->resuming ? HS_C_READ_SF : HS_C_READ_SA;
	return 0;
}

/* Take the body of SA apart; *sig is its signature. */
static int
parse_sa(struct rd r, struct hs_sa *sa, struct bytes *sig)
{
	sa->spki = rd_v16(&r, RSA_SPKI_MAX);
	sa->ncerts = rd_u8(&r);
	if (sa->ncerts > CERTS_MAX)
		return -1;
	sa->chain = bytes_of(r.p, 0);
	for (size_t i = 0; i < sa->ncerts; i++)
		sa->cert[i] = rd_v16(&r, CERT_MAX);
	sa->chain.n = (size_t)(r.p - sa->chain.p);
	sa->seal = rd_bytes(&r, rd_u8(&r));
	*sig = rd_v16(&r, RSA_OUT_MAX);
	if (!rd_done(&r) || (sa->seal.n != 0 && sa->seal.n != HS_SEAL))
		return -1;
	return 0;
}

/* Whether the holder of the key in sa signed this handshake; 0 or -1. */
static int
verify_sa(const struct hs *hs, const struct hs_sa *sa, struct bytes sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	EVP_PKEY *key;
	int rv = -1;

	hs_tbs_server(&tbs, hs->suite, hs->random_s, hs->th_sh, hs->server_hash,
	    sa->seal);
	key = rsa_spki_parse(sa->spki, RSA_USE_SIGN, hs->flags);
	if (key != NULL && !tbs.err)
		rv = rsa_pss_verify(key, sig, buf_bytes(&tbs));
	EVP_PKEY_free(key);
	buf_free(&tbs);
	return rv;
}

int
hs_client_read_sa(struct hs *hs, struct bytes flight, struct hs_sa *sa)
{
	uint8_t got[HASH_LEN], want[HASH_LEN];
	struct bytes msg_sa, msg_sf, sig;
	struct rd r = rd_of(flight), body, fin;

	memset(sa, 0, sizeof(*sa));
	if (hs_step(hs, HS_C_READ_SA) != 0)
		return -1;
	body = hs_msg_next(&r, HS_SA, &msg_sa);
	fin = hs_msg_next(&r, HS_SF, &msg_sf);
	rd_copy(&fin, got, sizeof(got));
	if (!rd_done(&r) || !rd_done(&fin))
		return hs_fail(hs, "SA: malformed flight");
	hs_absorb(hs, msg_sa);
	hs_mac(hs, want, hs->s_hs, "finished");
	if (!bytes_eq_ct(got, want, HASH_LEN))
		return hs_fail(hs, "SF: wrong");
	hs_absorb(hs, msg_sf);
	hs_th(hs, hs->th_sf);
	if (parse_sa(body, sa, &sig) != 0)
		return hs_fail(hs, "SA: malformed");
	rsa_fingerprint(hs->server_hash, sa->spki);
	if (hs->pinned && !bytes_eq_ct(hs->server_hash, hs->pin, HASH_LEN))
		return hs_fail(hs, HS_WHY_PIN);
	if (verify_sa(hs, sa, sig) != 0)
		return hs_fail(hs, "SA: signature or key not acceptable");
	hs->state = HS_C_TRUST;
	return 0;
}

int
hs_client_trust(struct hs *hs, const uint8_t server_hash[HASH_LEN])
{
	if (hs_step(hs, HS_C_TRUST) != 0)
		return -1;
	if (!bytes_eq_ct(hs->server_hash, server_hash, HASH_LEN))
		return hs_fail(hs, "SA: not the trusted server key");
	hs->state = HS_C_MAKE_CA;
	return 0;
}

void
hs_client_cert(struct hs *hs, struct bytes cert)
{
	hs->cert = cert;
	sha256(hs->cert_hash, cert);
}

int
hs_client_make_ca(struct hs *hs, struct bytes spki, struct bytes wrap_spki,
    struct bytes sig, struct buf *out)
{
	size_t start;

	if (hs_step(hs, HS_C_MAKE_CA) != 0)
		return -1;
	if (spki.n > RSA_SPKI_MAX || wrap_spki.n > RSA_SPKI_MAX ||
	    sig.n > RSA_OUT_MAX || hs->cert.n > CERT_USER_MAX)
		return hs_fail(hs, "CA: keys or certificate too large");
	start = hs_msg_begin(out, HS_CA);
	buf_v16(out, spki);
	buf_v16(out, wrap_spki);
	buf_v16(out, hs->cert);
	buf_v16(out, sig);
	if (hs_msg_end(hs, out, start) != 0 ||
	    hs_make_mac(hs, out, HS_CF, hs->c_hs, "finished") != 0)
		return -1;
	rsa_fingerprint(hs->client_hash, spki);
	rsa_fingerprint(hs->wrap_hash, wrap_spki);
	hs_th(hs, hs->th_cf);
	hs->state = HS_C_READ_KW;
	return 0;
}

int
hs_client_read_kw(struct hs *hs, struct bytes flight, struct bytes *ct)
{
	struct bytes msg_kw, msg_sf2;
	struct rd r = rd_of(flight), body, fin;

	*ct = bytes_of(NULL, 0);
	if (hs_step(hs, HS_C_READ_KW) != 0)
		return -1;
	body = hs_msg_next(&r, HS_KW, &msg_kw);
	fin = hs_msg_next(&r, HS_SF2, &msg_sf2);
	*ct = rd_v16(&body, RSA_OUT_MAX);
	rd_copy(&fin, hs->sf2, sizeof(hs->sf2));
	if (!rd_done(&r) || !rd_done(&body) || !rd_done(&fin))
		return hs_fail(hs, "KW: malformed flight");
	hs_absorb(hs, msg_kw);
	hs->state = HS_C_FINISH;
	return 0;
}

int
hs_client_finish(struct hs *hs, const uint8_t wd[HASH_LEN])
{
	uint8_t want[HASH_LEN], hdr[HS_MSG_HDR] = { HS_SF2, 0, 0, HASH_LEN };

	if (hs_step(hs, HS_C_FINISH) != 0)
		return -1;
	hs_derive_ms(hs, wd);
	hs_mac(hs, want, hs->ms, "s fin2");
	if (!bytes_eq_ct(hs->sf2, want, HASH_LEN))
		return hs_fail(hs, "SF2: wrong");
	hs_absorb(hs, bytes_of(hdr, sizeof(hdr)));
	hs_absorb(hs, bytes_of(hs->sf2, HASH_LEN));
	hs_derive_session(hs);
	hs->state = HS_C_MAKE_CC;
	return 0;
}

int
hs_client_make_cc(struct hs *hs, struct buf *out)
{
	if (hs_step(hs, HS_C_MAKE_CC) != 0)
		return -1;
	if (hs_make_mac(hs, out, HS_CC, hs->ms, "c fin2") != 0)
		return -1;
	hs->state = HS_DONE;
	return 0;
}
