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
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "anchor.h"
#include "kdf.h"
#include "kv.h"
#include "log.h"
#include "role.h"
#include "rkey.h"
#include "rsa.h"
#include "seal.h"

static const char *state;

static int
open_state(const char *name)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", state, name);
	if ((fd = open(path, O_RDONLY)) == -1)
		fatal("%s", path);
	return fd;
}

static EVP_PKEY *
private_key(const char *name, enum rsa_use use)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	EVP_PKEY *key;
	int fd = open_state(name);

	if (read_all(fd, &pem) == -1 ||
	    rsa_private_decode(&key, buf_bytes(&pem), use, 0, NULL) != 0)
		fatalx("%s: not a private key", name);
	buf_free(&pem);
	(void)close(fd);
	return key;
}

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
	EVP_PKEY *key = private_key(file, use);
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

static struct anchor a;
static uint8_t sk[SEAL_KEYLEN];

static void
storage_key(void)
{
	static struct keyfile kf;
	uint8_t label[HASH_LEN], gen_be[4], share_a[HASH_LEN], kek[SEAL_KEYLEN];
	uint8_t none[HASH_LEN] = { 0 };
	struct bytes part[2];
	const struct keyfile_gen *e;
	EVP_PKEY *wrap = private_key("keys/wrap.key", RSA_USE_WRAP);

	if (anchor_read(open_state("vault/anchor"), &a) != 0 ||
	    keyfile_read(open_state("vault/storage.key"), &kf) != 0 ||
	    (e = keyfile_find(&kf, a.epoch[0].gen)) == NULL)
		fatalx("anchor or key file cannot be read");
	put_be32(gen_be, a.epoch[0].gen);
	part[0] = bytes_str("cl1 storage share");
	part[1] = bytes_of(gen_be, sizeof(gen_be));
	sha256v(label, part, 2);
	rsa_oaep_decrypt(share_a, wrap, label, bytes_of(e->ct, e->ct_n), none);
	seal_storage_key(sk, share_a, a.epoch[0].share_b);
	seal_kek(kek, sk);
	print("storage-key", sk, sizeof(sk));
	print("share-a", share_a, sizeof(share_a));
	print("share-b", a.epoch[0].share_b, sizeof(a.epoch[0].share_b));
	print("kek", kek, sizeof(kek));
	EVP_PKEY_free(wrap);
}

static bool
take_bundle(void *arg, struct bytes key, struct bytes value)
{
	struct seal_bundle b;
	uint8_t kek[SEAL_KEYLEN];
	uint64_t version;

	(void)arg;
	(void)key;
	seal_kek(kek, sk);
	if (seal_bundle_open(&b, &version, kek, a.epoch[0].gen, value) != 0)
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
	uint8_t ek[SEAL_KEYLEN], dk[SEAL_KEYLEN];
	uint32_t epoch;
	uint64_t version;

	(void)arg;
	if (seal_data_key_epoch(value, &epoch) != 0)
		fatalx("a data key without an epoch");
	seal_epoch_key(ek, sk, a.epoch[0].secret, epoch);
	if (seal_data_key_open(dk, &version, ek, epoch, key, value) != 0)
		fatalx("a data key cannot be opened");
	print("epoch-key", ek, sizeof(ek));
	print("data-key", dk, sizeof(dk));
	return false;
}

static void
database(const char *dir)
{
	struct rec_key r = rec_key_bundle(a.epoch[0].gen), d, end;
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
