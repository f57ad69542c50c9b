#include <string.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "hs_local.h"

#define SUITES_MAX	8

static bool
offers(struct bytes suites, uint8_t suite)
{
	for (size_t i = 0; i < suites.n; i++)
		if (suites.p[i] == suite)
			return true;
	return false;
}

/* The best of the suites that this end speaks, or 0. */
static uint8_t
choose(const struct hs *hs, struct bytes suites)
{
	uint8_t suite = hs->highest;

	while (suite >= hs->lowest && !offers(suites, suite))
		suite--;
	return suite >= hs->lowest ? suite : 0;
}

/* Take the body of a CH apart; NULL, or what is wrong with it. */
static const char *
parse_ch(struct hs *hs, struct rd r)
{
	struct bytes suites, share, mlkem, pad;
	uint8_t rest = 0;

	if (rd_u16(&r) != HS_VERSION)
		return "CH: version";
	suites = rd_bytes(&r, rd_u8(&r));
	rd_copy(&r, hs->random_c, HS_RANDOM);
	share = rd_v16(&r, HS_X25519);
	mlkem = rd_v16(&r, MLKEM_KEY);
	(void)rd_bytes(&r, HASH_LEN);	/* ticket_id, binder: for the vault */
	(void)rd_bytes(&r, HASH_LEN);
	pad = rd_bytes(&r, r.n < HS_MAC1 ? HS_MAC1 : r.n - HS_MAC1);
	if (r.err || share.n != HS_X25519 || suites.n > SUITES_MAX ||
	    mlkem.n != (offers(suites, HS_SUITE_HYBRID) ? MLKEM_KEY : 0))
		return "CH: malformed";
	for (size_t i = 0; i < pad.n; i++)
		rest |= pad.p[i];
	if (rest != 0)
		return "CH: padding";
	if ((hs->suite = choose(hs, suites)) == 0)
		return "CH: no common suite";
	memcpy(hs->peer_share, share.p, HS_X25519);
	if (mlkem.n != 0)
		memcpy(hs->peer_mlkem, mlkem.p, MLKEM_KEY);
	return NULL;
}

enum hs_verdict
hs_server_read_ch(struct hs *hs, struct bytes msg,
    const uint8_t spki_hash[HASH_LEN], bool first_contact)
{
	uint8_t mac1[HS_MAC1];
	const uint8_t *got;
	const char *why;

	if (hs_step(hs, HS_S_READ_CH) != 0)
		return HS_SILENT;
	if (msg.n != HS_CH_LEN || hs_clear_len(msg.p, HS_CH) == 0) {
		(void)hs_fail(hs, "CH: length or type");
		return HS_SILENT;
	}
	got = msg.p + HS_CH_LEN - HS_MAC1;
	hs_mac1(mac1, msg.p, spki_hash);
	if (!bytes_eq_ct(got, mac1, HS_MAC1)) {
		hs_mac1(mac1, msg.p, NULL);
		if (!first_contact || !bytes_eq_ct(got, mac1, HS_MAC1)) {
			(void)hs_fail(hs, "CH: mac1");
			return HS_SILENT;
		}
		hs->first_contact = true;
	}
	why = parse_ch(hs, rd_of(bytes_of(msg.p + HS_MSG_HDR,
	    msg.n - HS_MSG_HDR)));
	if (why != NULL) {
		(void)hs_fail(hs, why);
		return HS_SILENT;
	}
	memcpy(hs->server_hash, spki_hash, HASH_LEN);
	hs_absorb(hs, msg);
	hs->state = HS_S_MAKE_SH;
	return HS_OK;
}

int
hs_server_make_sh(struct hs *hs, const uint8_t random_s[HS_RANDOM],
    struct buf *out)
{
	uint8_t share[HS_X25519], ct[MLKEM_CT];
	size_t start, n = 0;

	if (hs_step(hs, HS_S_MAKE_SH) != 0)
		return -1;
	memcpy(hs->random_s, random_s, HS_RANDOM);
	if (hs->suite == HS_SUITE_HYBRID) {
		if (mlkem_encapsulate(bytes_of(hs->peer_mlkem, MLKEM_KEY),
		    hs->fixed != NULL ? hs->fixed->coins : NULL, ct,
		    hs->ss_mlkem) != 0)
			return hs_fail(hs, "ML-KEM key not acceptable");
		n = sizeof(ct);
	}
	hs_make_eph(hs, share);
	start = hs_msg_begin(out, HS_SH);
	buf_u16(out, HS_VERSION);
	buf_u8(out, hs->suite);
	buf_put(out, random_s, HS_RANDOM);
	buf_v16(out, bytes_of(share, sizeof(share)));
	buf_v16(out, bytes_of(ct, n));
	if (hs_msg_end(hs, out, start) != 0 || hs_derive_hs(hs) != 0)
		return -1;
	hs->state = hs->resuming ? HS_S_MAKE_SF : HS_S_MAKE_SA;
	return 0;
}

void
hs_server_chain(struct hs *hs, const struct certs *chain)
{
	hs->chain = chain;
}

int
hs_server_make_sa(struct hs *hs, struct bytes spki, struct bytes seal,
    struct bytes sig, struct buf *out)
{
	uint8_t hash[HASH_LEN];
	size_t start;

	if (hs_step(hs, HS_S_MAKE_SA) != 0)
		return -1;
	rsa_fingerprint(hash, spki);
	if (!bytes_eq_ct(hash, hs->server_hash, HASH_LEN) ||
	    (seal.n != 0 && seal.n != HS_SEAL))
		return hs_fail(hs, "SA: not this server's keys");
	start = hs_msg_begin(out, HS_SA);
	buf_v16(out, spki);
	buf_u8(out, (uint8_t)(hs->chain != NULL ? hs->chain->n : 0));
	if (hs->chain != NULL)
		buf_put(out, hs->chain->wire.p, hs->chain->wire.n);
	buf_u8(out, (uint8_t)seal.n);
	buf_put(out, seal.p, seal.n);
	buf_v16(out, sig);
	if (hs_msg_end(hs, out, start) != 0 ||
	    hs_make_mac(hs, out, HS_SF, hs->s_hs, "finished") != 0)
		return -1;
	hs_th(hs, hs->th_sf);
	hs->state = HS_S_READ_CA;
	return 0;
}

int
hs_server_read_ca(struct hs *hs, struct bytes flight, struct hs_ca *ca)
{
	uint8_t got[HASH_LEN], want[HASH_LEN];
	struct bytes msg_ca, msg_cf;
	struct rd r = rd_of(flight), body, fin;

	memset(ca, 0, sizeof(*ca));
	if (hs_step(hs, HS_S_READ_CA) != 0)
		return -1;
	body = hs_msg_next(&r, HS_CA, &msg_ca);
	fin = hs_msg_next(&r, HS_CF, &msg_cf);
	rd_copy(&fin, got, sizeof(got));
	if (!rd_done(&r) || !rd_done(&fin))
		return hs_fail(hs, "CA: malformed flight");
	/* CF first: only then is it the peer of SH who speaks. */
	hs_absorb(hs, msg_ca);
	hs_mac(hs, want, hs->c_hs, "finished");
	if (!bytes_eq_ct(got, want, HASH_LEN))
		return hs_fail(hs, "CF: wrong");
	hs_absorb(hs, msg_cf);
	hs_th(hs, hs->th_cf);
	ca->spki = rd_v16(&body, RSA_SPKI_MAX);
	ca->wrap_spki = rd_v16(&body, RSA_SPKI_MAX);
	ca->cert = rd_v16(&body, CERT_USER_MAX);
	ca->sig = rd_v16(&body, RSA_OUT_MAX);
	if (!rd_done(&body))
		return hs_fail(hs, "CA: malformed");
	hs->wrap = rsa_spki_parse(ca->wrap_spki, RSA_USE_WRAP, hs->flags);
	if (hs->wrap == NULL)
		return hs_fail(hs, "CA: wrap key not acceptable");
	rsa_fingerprint(hs->client_hash, ca->spki);
	rsa_fingerprint(hs->wrap_hash, ca->wrap_spki);
	sha256(hs->cert_hash, ca->cert);
	hs->state = HS_S_MAKE_KW;
	return 0;
}

/* W and its wrapping, ct; what tests fixed stands in for both. */
static int
wrap(struct hs *hs, uint8_t w[HASH_LEN], struct buf *ct)
{
	uint8_t label[HASH_LEN];

	if (hs->fixed != NULL) {
		memcpy(w, hs->fixed->w, HASH_LEN);
		buf_put(ct, hs->fixed->kw_ct.p, hs->fixed->kw_ct.n);
		return 0;
	}
	crypto_random(w, HASH_LEN);
	hs_wrap_label(label, hs->random_c, hs->random_s, hs->th_cf);
	return rsa_oaep_encrypt(ct, hs->wrap, label, w);
}

int
hs_server_make_kw(struct hs *hs, struct buf *out)
{
	struct buf ct = BUF_INIT(RSA_OUT_MAX);
	uint8_t w[HASH_LEN], wd[HASH_LEN];
	size_t start;
	int rv = -1;

	if (hs_step(hs, HS_S_MAKE_KW) != 0)
		return -1;
	if (wrap(hs, w, &ct) != 0) {
		(void)hs_fail(hs, "KW: wrapping failed");
		goto out;
	}
	hs_wrap_derive(wd, w, hs->th_cf);
	hs_derive_ms(hs, wd);
	start = hs_msg_begin(out, HS_KW);
	buf_v16(out, buf_bytes(&ct));
	if (hs_msg_end(hs, out, start) != 0 ||
	    hs_make_mac(hs, out, HS_SF2, hs->ms, "s fin2") != 0)
		goto out;
	hs_derive_session(hs);
	hs->state = HS_S_READ_CC;
	rv = 0;
out:
	OPENSSL_cleanse(w, sizeof(w));
	OPENSSL_cleanse(wd, sizeof(wd));
	buf_free(&ct);
	return rv;
}

int
hs_server_read_cc(struct hs *hs, struct bytes flight)
{
	uint8_t got[HASH_LEN], want[HASH_LEN];
	struct rd r = rd_of(flight), body;
	struct bytes msg;

	if (hs_step(hs, HS_S_READ_CC) != 0)
		return -1;
	body = hs_msg_next(&r, HS_CC, &msg);
	rd_copy(&body, got, sizeof(got));
	if (!rd_done(&r) || !rd_done(&body))
		return hs_fail(hs, "CC: malformed");
	hs_mac(hs, want, hs->ms, "c fin2");
	if (!bytes_eq_ct(got, want, HASH_LEN))
		return hs_fail(hs, "CC: wrong");
	hs->state = HS_DONE;
	return 0;
}
