#include "vaultkeys.h"

#include <sys/mman.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kdf.h"
#include "log.h"
#include "role.h"

static int
open_state(const char *state, const char *name)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", state, name);
	if ((fd = open(path, O_RDONLY)) == -1)
		fatal("%s", path);
	return fd;
}

EVP_PKEY *
private_key(const char *state, const char *name, enum rsa_use use)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	EVP_PKEY *key;
	int fd = open_state(state, name);

	if (read_all(fd, &pem) == -1 ||
	    rsa_private_decode(&key, buf_bytes(&pem), use, 0, NULL) != 0)
		fatalx("%s: not a private key", name);
	buf_free(&pem);
	(void)close(fd);
	return key;
}

/* The keys of one epoch, if the key file has its generation. */
static bool
open_epoch(struct vaultkeys *k, unsigned i, const struct keyfile *kf,
    EVP_PKEY *wrap)
{
	const struct anchor_epoch *e = &k->anchor.epoch[i];
	const struct keyfile_gen *g = keyfile_find(kf, e->gen);
	uint8_t label[HASH_LEN], be[4], none[HASH_LEN] = { 0 };

	if (g == NULL)
		return false;
	put_be32(be, e->gen);
	sha256v(label, (struct bytes[]){ bytes_str("cl1 storage share"),
	    bytes_of(be, sizeof(be)) }, 2);
	rsa_oaep_decrypt(k->share_a[i], wrap, label, bytes_of(g->ct, g->ct_n),
	    none);
	seal_storage_key(k->sk[i], k->share_a[i], e->share_b);
	seal_epoch_key(k->ek[i], k->sk[i], e->secret, e->epoch);
	return true;
}

static bool
open_anchor(struct vaultkeys *k, const char *state, int anchor)
{
	static struct keyfile kf;
	EVP_PKEY *wrap;
	bool ok = false;
	int fd;

	memset(k, 0, sizeof(*k));
	if (anchor_read(anchor, &k->anchor) != 0)
		return false;
	fd = open_state(state, "vault/storage.key");
	if (keyfile_read(fd, &kf) != 0)
		fatalx("the key file cannot be read");
	(void)close(fd);
	wrap = private_key(state, "keys/wrap.key", RSA_USE_WRAP);
	for (unsigned i = 0; i < k->anchor.nepochs; i++)
		ok = open_epoch(k, i, &kf, wrap) || ok;
	EVP_PKEY_free(wrap);
	return ok && anchor_verify(&k->anchor, k->sk[0]) == 0;
}

void
vaultkeys_open(struct vaultkeys *k, const char *state)
{
	int fd = open_state(state, "vault/anchor");

	if (!open_anchor(k, state, fd))
		fatalx("anchor, key file and wrap key do not fit");
	(void)close(fd);
}

bool
vaultkeys_slot(struct vaultkeys *k, const char *state, unsigned slot)
{
	uint8_t page[SLOT_BYTES];
	off_t at = (off_t)(slot * SLOT_BYTES);
	int fd = open_state(state, "vault/anchor"), mem;
	bool ok;

	if ((mem = memfd_create("slot", MFD_CLOEXEC)) == -1 ||
	    ftruncate(mem, SLOT_FILE_BYTES) == -1 ||
	    pread(fd, page, sizeof(page), at) != SLOT_BYTES ||
	    pwrite(mem, page, sizeof(page), at) != SLOT_BYTES)
		fatal("the anchor's slot %u", slot);
	(void)close(fd);
	ok = open_anchor(k, state, mem);
	(void)close(mem);
	return ok;
}
