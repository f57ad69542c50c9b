/*
 * secrets: what a throw-away service must keep, as "NAME HEX" lines for memscan.
 *
 *	secrets STATE-DIRECTORY [COPY-OF-DATABASE]
 *
 * Derives the storage key from its two shares as the vault does, and prints a
 * prime of the host key and of the wrap key as OpenSSL has them in memory
 * (limbs, least first).  From a copy of the database (the real one is in use)
 * come the bundle's keys and the data key of its one conversation.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "kv.h"
#include "log.h"
#include "rkey.h"
#include "vaultkeys.h"

static const char *state;

static void
print(const char *name, const void *p, size_t n)
{
	char *hex = malloc(2 * n + 1);

	if (hex == NULL)
		fatal("malloc");
	hex_encode(hex, p, n);
	printf("%s %s\n", name, hex);
	free(hex);
}

static void
prime(const char *name, const char *file, enum rsa_use use)
{
	EVP_PKEY *key = private_key(state, file, use);
	BIGNUM *p = NULL;
	uint8_t limbs[512];
	int n;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR1, &p) != 1 ||
	    (n = BN_num_bytes(p)) > (int)sizeof(limbs) ||
	    BN_bn2lebinpad(p, limbs, n) != n)
		fatalx("%s has no primes", file);
	print(name, limbs, 64);
	BN_free(p);
	EVP_PKEY_free(key);
}

static struct vaultkeys k;

static void
storage_key(void)
{
	uint8_t kek[SEAL_KEYLEN];

	vaultkeys_open(&k, state);
	seal_kek(kek, k.sk[0]);
	print("storage-key", k.sk[0], sizeof(k.sk[0]));
	print("share-a", k.share_a[0], sizeof(k.share_a[0]));
	print("share-b", k.anchor.epoch[0].share_b, SEAL_KEYLEN);
	print("kek", kek, sizeof(kek));
}

static bool
take_bundle(void *arg, struct bytes key, struct bytes value)
{
	struct seal_bundle b;
	uint8_t kek[SEAL_KEYLEN];
	uint64_t version;

	(void)arg;
	(void)key;
	seal_kek(kek, k.sk[0]);
	if (seal_bundle_open(&b, &version, kek, k.anchor.epoch[0].gen, value) != 0)
		fatalx("the bundle cannot be opened");
	print("prf-key", b.prf, sizeof(b.prf));
	print("chain-key", b.chain, sizeof(b.chain));
	print("mset-key", b.mset, sizeof(b.mset));
	print("meta-key", b.meta, sizeof(b.meta));
	return true;
}

/* The first is all that is wanted. */
static bool
take_data_key(void *arg, struct bytes key, struct bytes value)
{
	uint8_t dk[SEAL_KEYLEN];
	uint32_t epoch;
	uint64_t version;

	(void)arg;
	if (seal_data_key_epoch(value, &epoch) != 0)
		fatalx("a data key without an epoch");
	if (seal_data_key_open(dk, &version, k.ek[0], epoch, key, value) != 0)
		fatalx("a data key cannot be opened");
	print("epoch-key", k.ek[0], sizeof(k.ek[0]));
	print("data-key", dk, sizeof(dk));
	return false;
}

static void
database(const char *dir)
{
	struct rec_key r = rec_key_bundle(k.anchor.epoch[0].gen), d, end;
	struct bytes key = rec_bytes(&r);
	struct kv *kv = kv_open(dir, NULL);
	struct kv_range range = { .max_items = 1000, .max_bytes = 1 << 20 };
	bool more;

	d = rec_prefix(REC_DATA);
	end = rec_prefix_end(&d);
	range.lo = rec_bytes(&d);
	range.hi = rec_bytes(&end);
	if (kv == NULL || kv_get(kv, &key, 1, take_bundle, NULL) != KV_OK ||
	    kv_scan(kv, &range, take_data_key, NULL, &more) != KV_OK)
		fatalx("%s cannot be read", dir);
	(void)kv_close(kv);
}

int
main(int argc, char **argv)
{
	if (argc != 2 && argc != 3)
		fatalx("usage: secrets state-directory [copy-of-database]");
	state = argv[1];
	prime("host-key", "keys/host.key", RSA_USE_SIGN);
	prime("wrap-key", "keys/wrap.key", RSA_USE_WRAP);
	storage_key();
	if (argc == 3)
		database(argv[2]);
	return 0;
}
