#include "hs.h"

#include <string.h>

#include <openssl/crypto.h>

#include "hs_local.h"
#include "log.h"

static const struct bytes none = { NULL, 0 };

const uint8_t hs_no_cert[HASH_LEN] = {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8,
	0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
	0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55
};

static struct bytes
h32(const uint8_t p[HASH_LEN])
{
	return bytes_of(p, HASH_LEN);
}

static void
init(struct hs *hs, enum hs_state state, int flags)
{
	static const char context[] = "CLOISTER-HS";	/* NUL included */
	uint8_t head[sizeof(context) + 2];

	memset(hs, 0, sizeof(*hs));
	hs->state = state;
	hs->flags = flags;
	hs->lowest = HS_SUITE_X25519;
	hs->highest = HS_SUITE_BEST;
	memcpy(hs->cert_hash, hs_no_cert, HASH_LEN);
	if ((hs->transcript = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex2(hs->transcript, sha256_md(), NULL) != 1)
		crypto_fatalx("transcript");
	memcpy(head, context, sizeof(context));
	put_be16(head + sizeof(context), HS_VERSION);
	hs_absorb(hs, bytes_of(head, sizeof(head)));
}

void
hs_server_init(struct hs *hs, int flags)
{
	init(hs, HS_S_READ_CH, flags);
}

void
hs_client_init(struct hs *hs, int flags)
{
	init(hs, HS_C_MAKE_CH, flags);
}

void
hs_suites(struct hs *hs, uint8_t lowest, uint8_t highest)
{
	if (!hs_suite_spoken(lowest) || !hs_suite_spoken(highest))
		fatalx("suite %u to %u: not in this build", lowest, highest);
	hs->lowest = lowest;
	hs->highest = highest;
}

bool
hs_suite_spoken(uint8_t suite)
{
	return suite >= HS_SUITE_X25519 && suite <= HS_SUITE_BEST;
}

const char *
hs_suite_name(uint8_t suite)
{
	switch (suite) {
	case HS_SUITE_X25519:
		return "X25519";
	case HS_SUITE_HYBRID:
		return "X25519 with ML-KEM-768";
	default:
		return "unknown";
	}
}

void
hs_free(struct hs *hs)
{
	EVP_MD_CTX_free(hs->transcript);
	EVP_PKEY_free(hs->eph);
	EVP_PKEY_free(hs->mlkem);
	EVP_PKEY_free(hs->wrap);
	OPENSSL_cleanse(hs, sizeof(*hs));	/* HS_DEAD is 0 */
}

void
hs_fix(struct hs *hs, const struct hs_fixed *fixed)
{
	hs->fixed = fixed;
}

int
hs_fail(struct hs *hs, const char *why)
{
	const char *first = hs->why;

	hs_free(hs);
	hs->why = first != NULL ? first : why;
	return -1;
}

int
hs_step(struct hs *hs, enum hs_state step)
{
	if (hs->state != (int)step)
		return hs_fail(hs, "handshake step out of order");
	return 0;
}

size_t
hs_clear_len(const uint8_t hdr[HS_MSG_HDR], enum hs_type type)
{
	struct rd r = rd_of(bytes_of(hdr, HS_MSG_HDR));
	size_t len;

	if (rd_u8(&r) != type)
		return 0;
	len = HS_MSG_HDR + rd_u24(&r);
	if ((type == HS_CH && len == HS_CH_LEN) || (type == HS_SH &&
	    (len == HS_SH_LEN || len == HS_SH_LEN_S2)))
		return len;
	return 0;
}

size_t
hs_msg_begin(struct buf *out, enum hs_type type)
{
	size_t start = out->n;

	buf_u8(out, (uint8_t)type);
	buf_u24(out, 0);
	return start;
}

int
hs_msg_end(struct hs *hs, struct buf *out, size_t start)
{
	uint8_t *p;
	size_t n;

	if (out->err)
		return hs_fail(hs, "handshake message does not fit");
	p = out->p + start;
	n = out->n - start;
	/* Bounded by HS_FLIGHT_MAX or so: the first length byte stays 0. */
	put_be16(p + 2, (uint16_t)(n - HS_MSG_HDR));
	hs_absorb(hs, bytes_of(p, n));
	return 0;
}

struct rd
hs_msg_next(struct rd *r, enum hs_type type, struct bytes *msg)
{
	const uint8_t *start = r->p;
	struct rd body;

	if (rd_u8(r) != type)
		r->err = true;
	body = rd_of(rd_bytes(r, rd_u24(r)));
	body.err = r->err;
	*msg = r->err ? none : bytes_of(start, HS_MSG_HDR + body.n);
	return body;
}

void
hs_absorb(struct hs *hs, struct bytes msg)
{
	if (EVP_DigestUpdate(hs->transcript, msg.p, msg.n) != 1)
		crypto_fatalx("transcript");
}

void
hs_th(const struct hs *hs, uint8_t th[HASH_LEN])
{
	EVP_MD_CTX *copy;

	if ((copy = EVP_MD_CTX_new()) == NULL ||
	    EVP_MD_CTX_copy_ex(copy, hs->transcript) != 1 ||
	    EVP_DigestFinal_ex(copy, th, NULL) != 1)
		crypto_fatalx("transcript");
	EVP_MD_CTX_free(copy);
}

void
hs_mac(const struct hs *hs, uint8_t mac[HASH_LEN],
    const uint8_t secret[HASH_LEN], const char *label)
{
	uint8_t key[HASH_LEN], th[HASH_LEN];

	kdf_xl(key, sizeof(key), secret, label, none);
	hs_th(hs, th);
	hmac_sha256(mac, h32(key), h32(th));
	OPENSSL_cleanse(key, sizeof(key));
}

int
hs_make_mac(struct hs *hs, struct buf *out, enum hs_type type,
    const uint8_t secret[HASH_LEN], const char *label)
{
	uint8_t mac[HASH_LEN];
	size_t start;

	hs_mac(hs, mac, secret, label);
	start = hs_msg_begin(out, type);
	buf_put(out, mac, sizeof(mac));
	return hs_msg_end(hs, out, start);
}

void
hs_make_eph(struct hs *hs, uint8_t share[HS_X25519])
{
	hs->eph = x25519_keygen(hs->fixed != NULL ? hs->fixed->eph : NULL,
	    share);
}

int
hs_derive_hs(struct hs *hs)
{
	uint8_t ss[MLKEM_SS + HS_X25519], es[HASH_LEN], derived[HASH_LEN];
	size_t skip = hs->suite == HS_SUITE_HYBRID ? 0 : MLKEM_SS;

	if (x25519_agree(hs->eph, hs->peer_share, ss + MLKEM_SS) != 0)
		return hs_fail(hs, "X25519 share of small order");
	EVP_PKEY_free(hs->eph);
	hs->eph = NULL;
	memcpy(ss, hs->ss_mlkem, MLKEM_SS);
	OPENSSL_cleanse(hs->ss_mlkem, sizeof(hs->ss_mlkem));
	hs_early_secret(es, hs->resuming ? hs->psk : NULL);
	OPENSSL_cleanse(hs->psk, sizeof(hs->psk));
	kdf_xl(derived, sizeof(derived), es, "derived", none);
	kdf_extract(h32(derived), bytes_of(ss + skip, sizeof(ss) - skip),
	    hs->hs_secret);
	hs_th(hs, hs->th_sh);
	kdf_xl(hs->c_hs, HASH_LEN, hs->hs_secret, "c hs", h32(hs->th_sh));
	kdf_xl(hs->s_hs, HASH_LEN, hs->hs_secret, "s hs", h32(hs->th_sh));
	OPENSSL_cleanse(ss, sizeof(ss));
	OPENSSL_cleanse(es, sizeof(es));
	OPENSSL_cleanse(derived, sizeof(derived));
	return 0;
}

void
hs_derive_ms(struct hs *hs, const uint8_t wd[HASH_LEN])
{
	uint8_t derived[HASH_LEN];

	kdf_xl(derived, sizeof(derived), hs->hs_secret, "derived", none);
	kdf_extract(h32(derived), h32(wd), hs->ms);
	OPENSSL_cleanse(derived, sizeof(derived));
	OPENSSL_cleanse(hs->hs_secret, sizeof(hs->hs_secret));
}

void
hs_derive_session(struct hs *hs)
{
	struct hs_session *s = &hs->session;
	uint8_t th[HASH_LEN];
	const struct bytes sid[] = { bytes_str("cl1 sid"), h32(th) };

	hs_th(hs, th);
	kdf_xl(s->c_ap, HASH_LEN, hs->ms, "c ap", h32(th));
	kdf_xl(s->s_ap, HASH_LEN, hs->ms, "s ap", h32(th));
	kdf_xl(s->exporter, HASH_LEN, hs->ms, "exporter", h32(th));
	kdf_xl(s->resumption, HASH_LEN, hs->ms, "resumption", h32(th));
	kdf_xl(s->msgmac, HASH_LEN, hs->ms, "msgmac", h32(th));
	sha256v(s->session_id, sid, 2);
	s->suite = hs->suite;
}

int
hs_session(const struct hs *hs, struct hs_session *s)
{
	if (hs->state != HS_DONE) {
		memset(s, 0, sizeof(*s));
		return -1;
	}
	*s = hs->session;
	return 0;
}

void
hs_mac1(uint8_t mac1[HS_MAC1], const uint8_t *ch, const uint8_t *server_hash)
{
	uint8_t key[HASH_LEN] = { 0 }, mac[HASH_LEN];

	if (server_hash != NULL) {
		const struct bytes part[] = {
			bytes_str("cl1 mac1"), h32(server_hash)
		};

		sha256v(key, part, 2);
	}
	hmac_sha256(mac, h32(key), bytes_of(ch, HS_CH_LEN - HS_MAC1));
	memcpy(mac1, mac, HS_MAC1);
}

void
hs_tbs_head(struct buf *out, const char *context, uint8_t suite)
{
	uint8_t space[64];

	memset(space, 0x20, sizeof(space));
	buf_put(out, space, sizeof(space));
	buf_str(out, context);
	buf_u8(out, 0);
	buf_u8(out, suite);
}

void
hs_tbs_server(struct buf *out, uint8_t suite,
    const uint8_t random_s[HS_RANDOM], const uint8_t th_sh[HASH_LEN],
    const uint8_t spki_hash[HASH_LEN], struct bytes seal)
{
	uint8_t seal_hash[HASH_LEN];

	sha256(seal_hash, seal);
	hs_tbs_head(out, "Cloister v1 server handshake", suite);
	buf_put(out, random_s, HS_RANDOM);
	buf_put(out, th_sh, HASH_LEN);
	buf_put(out, spki_hash, HASH_LEN);
	buf_put(out, seal_hash, HASH_LEN);
}

void
hs_tbs_client(struct buf *out, uint8_t suite,
    const uint8_t random_c[HS_RANDOM], const uint8_t random_s[HS_RANDOM],
    const uint8_t th_sf[HASH_LEN], const uint8_t spki_hash[HASH_LEN],
    const uint8_t wrap_hash[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN])
{
	hs_tbs_head(out, "Cloister v1 client handshake", suite);
	buf_put(out, random_c, HS_RANDOM);
	buf_put(out, random_s, HS_RANDOM);
	buf_put(out, th_sf, HASH_LEN);
	buf_put(out, spki_hash, HASH_LEN);
	buf_put(out, wrap_hash, HASH_LEN);
	buf_put(out, server_hash, HASH_LEN);
	buf_put(out, cert_hash, HASH_LEN);
}

void
hs_login_bind(uint8_t bind[HASH_LEN], uint8_t suite,
    const uint8_t random_c[HS_RANDOM], const uint8_t random_s[HS_RANDOM],
    const uint8_t th_sf[HASH_LEN], const uint8_t spki_hash[HASH_LEN],
    const uint8_t wrap_hash[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN])
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	struct bytes part[2] = { bytes_str("cl1 login") };

	hs_tbs_client(&tbs, suite, random_c, random_s, th_sf, spki_hash,
	    wrap_hash, server_hash, cert_hash);
	if (tbs.err)
		crypto_fatalx("login bind");
	part[1] = buf_bytes(&tbs);
	sha256v(bind, part, 2);
	buf_free(&tbs);
}

void
hs_wrap_label(uint8_t label[HASH_LEN], const uint8_t random_c[HS_RANDOM],
    const uint8_t random_s[HS_RANDOM], const uint8_t th_cf[HASH_LEN])
{
	const struct bytes part[] = {
		bytes_str("cl1 wrap"), bytes_of(random_c, HS_RANDOM),
		bytes_of(random_s, HS_RANDOM), h32(th_cf)
	};

	sha256v(label, part, 4);
}

void
hs_wrap_derive(uint8_t wd[HASH_LEN], const uint8_t w[HASH_LEN],
    const uint8_t th_cf[HASH_LEN])
{
	kdf_xl(wd, HASH_LEN, w, "wrap", h32(th_cf));
}
