/*
 * secrets: what a throw-away service must keep, as "NAME HEX" lines for memscan.
 *
 *	secrets STATE-DIRECTORY
 *
 * Derives the storage key from its two shares as the vault does, and prints a
 * prime of the host key as OpenSSL has it in memory (limbs, least first).
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
#include "log.h"
#include "role.h"
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
host_prime(void)
{
	EVP_PKEY *key = private_key("keys/host.key", RSA_USE_SIGN);
	BIGNUM *p = NULL;
	uint8_t limbs[512];
	int n;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR1, &p) != 1 ||
	    (n = BN_num_bytes(p)) > (int)sizeof(limbs) ||
	    BN_bn2lebinpad(p, limbs, n) != n)
		fatalx("the host key has no primes");
	print("host-key", limbs, 64);
	BN_free(p);
	EVP_PKEY_free(key);
}

static void
storage_key(void)
{
	static struct anchor a;
	static struct keyfile kf;
	uint8_t label[HASH_LEN], gen_be[4], share_a[HASH_LEN], sk[HASH_LEN];
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
	print("storage-key", sk, sizeof(sk));
	EVP_PKEY_free(wrap);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		fatalx("usage: secrets state-directory");
	state = argv[1];
	host_prime();
	storage_key();
	return 0;
}
