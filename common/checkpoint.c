#include "checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "hs.h"

#define FORMAT_VERSION	1

void
checkpoint_tbs(struct buf *out, const struct checkpoint *cp)
{
	hs_tbs_head(out, "Cloister v1 audit checkpoint", FORMAT_VERSION);
	buf_u64(out, cp->seq);
	buf_put(out, cp->hash, sizeof(cp->hash));
	buf_u64(out, cp->time_us);
	buf_put(out, cp->key, sizeof(cp->key));
}

int
checkpoint_verify(const struct checkpoint *cp, EVP_PKEY *host)
{
	struct buf tbs = BUF_INIT(CHECKPOINT_TBS_MAX);
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	uint8_t fp[HASH_LEN];
	int rv = -1;

	checkpoint_tbs(&tbs, cp);
	if (!tbs.err && rsa_spki_encode(&spki, host) == 0) {
		rsa_fingerprint(fp, buf_bytes(&spki));
		if (memcmp(fp, cp->key, sizeof(fp)) == 0)
			rv = rsa_pss_verify(host, bytes_of(cp->sig, cp->sig_n),
			    buf_bytes(&tbs));
	}
	buf_free(&tbs);
	buf_free(&spki);
	return rv;
}

void
checkpoint_fields(char dst[CHECKPOINT_FIELDS_MAX], const struct checkpoint *cp)
{
	char hash[2 * HASH_LEN + 1], key[2 * HASH_LEN + 1];
	unsigned char sig[RSA_OUT_MAX / 3 * 4 + 8];

	hex_encode(hash, cp->hash, sizeof(cp->hash));
	hex_encode(key, cp->key, sizeof(cp->key));
	(void)EVP_EncodeBlock(sig, cp->sig, (int)cp->sig_n);
	(void)snprintf(dst, CHECKPOINT_FIELDS_MAX, "line=%llu hash=\"%s\" "
	    "signed_us=%llu key=\"%s\" sig=\"%s\"", (unsigned long long)cp->seq,
	    hash, (unsigned long long)cp->time_us, key, sig);
}

/* Base64 with its padding, canonical, of at most RSA_OUT_MAX bytes. */
static int
take_sig(struct checkpoint *cp, const char *text)
{
	unsigned char raw[RSA_OUT_MAX / 3 * 3 + 6];
	unsigned char again[RSA_OUT_MAX / 3 * 4 + 8];
	size_t n = strlen(text), pad;
	int got;

	if (n == 0 || n % 4 != 0 || n / 4 * 3 > sizeof(raw))
		return -1;
	pad = text[n - 1] != '=' ? 0 : text[n - 2] != '=' ? 1 : 2;
	got = EVP_DecodeBlock(raw, (const unsigned char *)text, (int)n);
	if (got < 3 || (size_t)got - pad > sizeof(cp->sig))
		return -1;
	cp->sig_n = (size_t)got - pad;
	memcpy(cp->sig, raw, cp->sig_n);
	(void)EVP_EncodeBlock(again, cp->sig, (int)cp->sig_n);
	return strcmp((const char *)again, text) == 0 ? 0 : -1;
}

int
checkpoint_take(struct checkpoint *cp, const char *hash, const char *key,
    const char *sig)
{
	if (strlen(hash) != 2 * HASH_LEN || strlen(key) != 2 * HASH_LEN ||
	    hex_decode(cp->hash, HASH_LEN, hash) == -1 ||
	    hex_decode(cp->key, HASH_LEN, key) == -1)
		return -1;
	return take_sig(cp, sig);
}
