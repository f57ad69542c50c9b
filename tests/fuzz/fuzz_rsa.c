/*
 * Keys from peers and from files: SPKI DER, private PEM (DER put into PEM, so
 * that mutation reaches it), a client's key file, and OAEP ciphertexts.
 */
#include "fuzz.h"

#include "../keyd/keyd.h"
#include "pubkey.h"

static EVP_PKEY *key[2];		/* by enum rsa_use, small */
static const uint8_t label[HASH_LEN] = "label", reject[HASH_LEN] = "reject";

static void
fuzz_setup(void)
{
	for (int use = 0; use < 2; use++)
		need((key[use] = rsa_generate(use, 2048, RSA_ALLOW_2048)) !=
		    NULL);
}

static void
fuzz_seeds(void)
{
	uint8_t plain[HASH_LEN] = "share";

	for (uint8_t use = 0; use < 2; use++) {
		struct buf b = BUF_INIT(RSA_PEM_MAX), c = BUF_INIT(RSA_PEM_MAX);
		uint8_t *der = NULL;
		int n;

		need(rsa_spki_encode(&b, key[use]) == 0);
		fuzz_seed((uint8_t[]){ 0, use }, 2, buf_bytes(&b));
		buf_reset(&b);
		need(rsa_private_encode(&b, key[use], NULL) == 0);
		fuzz_seed((uint8_t[]){ 1, use }, 2, buf_bytes(&b));
		fuzz_seed((uint8_t[]){ 3, use }, 2, buf_bytes(&b));
		need(rsa_private_encode(&c, key[use], "pass") == 0);
		fuzz_seed((uint8_t[]){ 1, use }, 2, buf_bytes(&c));
		need((n = i2d_PrivateKey(key[use], &der)) > 0);
		fuzz_seed((uint8_t[]){ 2, use }, 2, bytes_of(der, (size_t)n));
		OPENSSL_free(der);
		buf_free(&b);
		buf_free(&c);
	}
	struct buf ct = BUF_INIT(RSA_OUT_MAX);

	need(rsa_oaep_encrypt(&ct, key[RSA_USE_WRAP], label, plain) == 0);
	fuzz_seed((uint8_t[]){ 4, 1 }, 2, buf_bytes(&ct));
	buf_free(&ct);
}

static void
spki(struct bytes in, enum rsa_use use)
{
	EVP_PKEY *k = rsa_spki_parse(in, use, RSA_ALLOW_2048);
	struct buf b = BUF_INIT(RSA_SPKI_MAX), out = BUF_INIT(RSA_OUT_MAX);
	uint8_t sig[RSA_OUT_MAX] = { 1 };

	if (k != NULL) {
		need(rsa_spki_encode(&b, k) == 0);
		need(bytes_eq(buf_bytes(&b), in));
		need(rsa_size(k) >= 256 && rsa_size(k) <= RSA_OUT_MAX);
		/* A modulus of any kind: using it must be safe. */
		if (use == RSA_USE_SIGN)
			need(rsa_pss_verify(k, bytes_of(sig, rsa_size(k)),
			    in) == -1);
		else if (rsa_oaep_encrypt(&out, k, label, reject) == 0)
			need(out.n == rsa_size(k));
	}
	EVP_PKEY_free(k);
	buf_free(&b);
	buf_free(&out);
}

static void
private(struct bytes in, enum rsa_use use)
{
	EVP_PKEY *k;
	int rv = rsa_private_decode(&k, in, use, RSA_ALLOW_2048, NULL);

	need((rv == 0) == (k != NULL));
	EVP_PKEY_free(k);
}

/* The input as the DER in a PEM block. */
static void
pem(struct bytes in, enum rsa_use use, bool encrypted)
{
	const char *what = encrypted ? "ENCRYPTED PRIVATE KEY" : "PRIVATE KEY";
	uint8_t line[100];
	char head[64];
	struct buf b = BUF_INIT(RSA_PEM_MAX);

	(void)snprintf(head, sizeof(head), "-----BEGIN %s-----\n", what);
	buf_str(&b, head);
	for (size_t at = 0; at < in.n; at += 48) {
		int n = EVP_EncodeBlock(line, in.p + at,
		    in.n - at < 48 ? (int)(in.n - at) : 48);

		buf_put(&b, line, (size_t)n);
		buf_u8(&b, '\n');
	}
	(void)snprintf(head, sizeof(head), "-----END %s-----\n", what);
	buf_str(&b, head);
	if (!b.err)
		private(buf_bytes(&b), use);
	buf_free(&b);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 6;
	enum rsa_use use = rd_u8(&in) & 1 ? RSA_USE_WRAP : RSA_USE_SIGN;
	struct bytes body = { in.p, in.n };
	EVP_PKEY *keys[KEYD_KEYS];
	uint8_t plain[HASH_LEN];

	if (mode == 0)
		spki(body, use);
	else if (mode == 1)
		private(body, use);
	else if (mode == 2 || mode == 5)
		pem(body, use, mode == 5);
	else if (mode == 3)
		need(keyd_keys_decode(keys, body, NULL) != 0 ||
		    keys[KEYD_SIGN] != NULL);
	else
		rsa_oaep_decrypt(plain, key[RSA_USE_WRAP], label, body, reject);
	if (mode == 3)
		for (int i = 0; i < KEYD_KEYS; i++)
			EVP_PKEY_free(keys[i]);
}
