#include "anchor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "kdf.h"

/* A slot: magic | format | sequence | fields | zeros [| MAC] | checksum. */
#define MAGIC_LEN	8
#define SUM_AT		(SLOT_BYTES - HASH_LEN)
#define MAC_AT		(SUM_AT - HASH_LEN)

static const char anchor_magic[MAGIC_LEN + 1] = "CLANCHOR";
static const char keyfile_magic[MAGIC_LEN + 1] = "CLKEYFIL";

static int
pread_full(int fd, uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, at);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return SEAL_EIO;
		if (got == 0)
			return SEAL_EFORMAT;
		p += got;
		n -= (size_t)got;
		at += got;
	}
	return 0;
}

static int
pwrite_full(int fd, const uint8_t *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t put = pwrite(fd, p, n, at);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return SEAL_EIO;
		p += put;
		n -= (size_t)put;
		at += put;
	}
	return 0;
}

/*
 * Read the newest slot whose magic, format and checksum are right, and set the
 * reader to what follows its sequence number, up to end.
 */
static int
slot_read(int fd, const char *magic, uint8_t slot[SLOT_BYTES],
    struct slot_pos *pos, size_t end, struct rd *r)
{
	uint8_t both[SLOT_FILE_BYTES], sum[HASH_LEN];
	const uint8_t *newest = NULL;
	int rv;

	if ((rv = pread_full(fd, both, sizeof(both), 0)) != 0)
		goto out;
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *s = both + i * SLOT_BYTES;
		uint64_t seq = get_be64(s + MAGIC_LEN + 4);

		sha256(sum, bytes_of(s, SUM_AT));
		if (memcmp(s, magic, MAGIC_LEN) != 0 ||
		    get_be32(s + MAGIC_LEN) != SEAL_FORMAT ||
		    memcmp(s + SUM_AT, sum, sizeof(sum)) != 0)
			continue;
		if (newest == NULL || seq > pos->seq) {
			newest = s;
			pos->seq = seq;
			pos->slot = i;
		}
	}
	if (newest == NULL) {
		rv = SEAL_EFORMAT;
		goto out;
	}
	memcpy(slot, newest, SLOT_BYTES);
	*r = rd_of(bytes_of(slot, end));
	(void)rd_bytes(r, MAGIC_LEN + 4 + 8);
out:
	OPENSSL_cleanse(both, sizeof(both));
	return rv;
}

/* No error, and nothing but zeros left. */
static bool
rest_is_zero(const struct rd *r)
{
	uint8_t nonzero = 0;

	for (size_t i = 0; i < r->n; i++)
		nonzero |= r->p[i];
	return !r->err && nonzero == 0;
}

static void
slot_begin(struct buf *b, const char *magic, uint64_t seq)
{
	buf_put(b, magic, MAGIC_LEN);
	buf_u32(b, SEAL_FORMAT);
	buf_u64(b, seq);
}

static void
pad_to(struct buf *b, size_t at)
{
	if (b->n > at)
		b->err = true;
	else
		buf_zero(b, at - b->n);
}

/* Add the checksum, write the slot that is not the newest, sync. */
static int
slot_write(int fd, struct buf *b, struct slot_pos *pos)
{
	uint8_t sum[HASH_LEN];
	unsigned slot = pos->slot ^ 1;
	int rv;

	pad_to(b, SUM_AT);
	if (b->err)
		return SEAL_ENOMEM;
	sha256(sum, buf_bytes(b));
	buf_put(b, sum, sizeof(sum));
	if (b->err)
		return SEAL_ENOMEM;
	if ((rv = pwrite_full(fd, b->p, b->n, (off_t)(slot * SLOT_BYTES))) != 0)
		return rv;
	if (fdatasync(fd) == -1)
		return SEAL_EIO;
	pos->seq++;
	pos->slot = slot;
	return 0;
}

/* Before the first write of a file: it must be empty; slot 0 comes first. */
static int
slot_create(int fd, struct slot_pos *pos)
{
	off_t size = lseek(fd, 0, SEEK_END);	/* fstat(2) is not the vault's */

	if (size == -1)
		return SEAL_EIO;
	if (size != 0)
		return SEAL_EFORMAT;
	*pos = (struct slot_pos){ 0, 1 };
	return 0;
}

void
anchor_clear(struct anchor *a)
{
	OPENSSL_cleanse(a, sizeof(*a));
}

static bool
anchor_valid(const struct anchor *a)
{
	const struct anchor_epoch *e = a->epoch, *next = a->epoch + 1;

	if (a->nepochs < 1 || a->nepochs > 2 || e->epoch == 0 || e->gen == 0)
		return false;
	if (a->nepochs == 1)
		return true;
	if (next->epoch == 0 || next->epoch - 1 != e->epoch)
		return false;
	if (next->gen == e->gen)
		return bytes_eq_ct(next->share_b, e->share_b,
		    sizeof(e->share_b));
	return next->gen != 0 && next->gen - 1 == e->gen;
}

/* Append everything of a slot up to and with the MAC, which goes to mac too. */
static void
anchor_encode(struct buf *b, const struct anchor *a, uint64_t seq,
    const uint8_t sk[SEAL_KEYLEN], uint8_t mac[HASH_LEN])
{
	uint8_t key[SEAL_KEYLEN];

	slot_begin(b, anchor_magic, seq);
	buf_u64(b, a->n);
	buf_put(b, a->root, sizeof(a->root));
	buf_u8(b, (uint8_t)a->nepochs);
	for (unsigned i = 0; i < a->nepochs; i++) {
		buf_u32(b, a->epoch[i].epoch);
		buf_u32(b, a->epoch[i].gen);
		buf_put(b, a->epoch[i].secret, SEAL_KEYLEN);
		buf_put(b, a->epoch[i].share_b, SEAL_KEYLEN);
	}
	pad_to(b, MAC_AT);
	if (b->err)
		return;
	kdf_xl(key, sizeof(key), sk, "anchor", bytes_of(NULL, 0));
	hmac_sha256(mac, bytes_of(key, sizeof(key)), buf_bytes(b));
	buf_put(b, mac, HASH_LEN);
	OPENSSL_cleanse(key, sizeof(key));
}

int
anchor_read(int fd, struct anchor *a)
{
	uint8_t slot[SLOT_BYTES];
	struct rd r;
	int rv;

	memset(a, 0, sizeof(*a));
	rv = slot_read(fd, anchor_magic, slot, &a->pos, MAC_AT, &r);
	if (rv != 0)
		return rv;
	a->n = rd_u64(&r);
	rd_copy(&r, a->root, sizeof(a->root));
	a->nepochs = rd_u8(&r);
	for (unsigned i = 0; i < 2 && i < a->nepochs; i++) {
		a->epoch[i].epoch = rd_u32(&r);
		a->epoch[i].gen = rd_u32(&r);
		rd_copy(&r, a->epoch[i].secret, SEAL_KEYLEN);
		rd_copy(&r, a->epoch[i].share_b, SEAL_KEYLEN);
	}
	memcpy(a->mac, slot + MAC_AT, sizeof(a->mac));
	if (!rest_is_zero(&r) || !anchor_valid(a)) {
		anchor_clear(a);
		rv = SEAL_EFORMAT;
	}
	OPENSSL_cleanse(slot, sizeof(slot));
	return rv;
}

int
anchor_verify(const struct anchor *a, const uint8_t sk[SEAL_KEYLEN])
{
	struct buf b = BUF_INIT(SLOT_BYTES);
	uint8_t mac[HASH_LEN];
	int rv;

	/* The encoding is canonical: what was read encodes to the same bytes. */
	anchor_encode(&b, a, a->pos.seq, sk, mac);
	if (b.err)
		rv = SEAL_ENOMEM;
	else
		rv = bytes_eq_ct(mac, a->mac, sizeof(mac)) ? 0 : SEAL_EAUTH;
	buf_free(&b);
	return rv;
}

int
anchor_write(int fd, struct anchor *a, const uint8_t sk[SEAL_KEYLEN])
{
	struct buf b = BUF_INIT(SLOT_BYTES);
	int rv;

	if (!anchor_valid(a))
		return SEAL_EFORMAT;
	anchor_encode(&b, a, a->pos.seq + 1, sk, a->mac);
	rv = slot_write(fd, &b, &a->pos);
	buf_free(&b);
	return rv;
}

int
anchor_write_both(int fd, struct anchor *a, const uint8_t sk[SEAL_KEYLEN])
{
	int rv = anchor_write(fd, a, sk);

	return rv == 0 ? anchor_write(fd, a, sk) : rv;
}

int
anchor_create(int fd, struct anchor *a, const uint8_t sk[SEAL_KEYLEN])
{
	int rv = slot_create(fd, &a->pos);

	return rv == 0 ? anchor_write_both(fd, a, sk) : rv;
}

static bool
keyfile_valid(const struct keyfile *k)
{
	if (k->ngens < 1 || k->ngens > 2)
		return false;
	for (unsigned i = 0; i < k->ngens; i++)
		if (k->gen[i].gen == 0 || k->gen[i].ct_n == 0 ||
		    k->gen[i].ct_n > KEYFILE_CT_MAX)
			return false;
	return (k->ngens == 1 || k->gen[0].gen < k->gen[1].gen) &&
	    keyfile_find(k, k->current) != NULL;
}

const struct keyfile_gen *
keyfile_find(const struct keyfile *k, uint32_t gen)
{
	for (unsigned i = 0; i < k->ngens; i++)
		if (k->gen[i].gen == gen)
			return &k->gen[i];
	return NULL;
}

int
keyfile_read(int fd, struct keyfile *k)
{
	uint8_t slot[SLOT_BYTES];
	struct bytes ct;
	struct rd r;
	int rv;

	memset(k, 0, sizeof(*k));
	rv = slot_read(fd, keyfile_magic, slot, &k->pos, SUM_AT, &r);
	if (rv != 0)
		return rv;
	k->current = rd_u32(&r);
	k->ngens = rd_u8(&r);
	for (unsigned i = 0; i < 2 && i < k->ngens; i++) {
		k->gen[i].gen = rd_u32(&r);
		ct = rd_v16(&r, KEYFILE_CT_MAX);
		k->gen[i].ct_n = (uint16_t)ct.n;
		if (ct.n > 0)
			memcpy(k->gen[i].ct, ct.p, ct.n);
	}
	if (!rest_is_zero(&r) || !keyfile_valid(k)) {
		memset(k, 0, sizeof(*k));
		return SEAL_EFORMAT;
	}
	return 0;
}

int
keyfile_write(int fd, struct keyfile *k)
{
	struct buf b = BUF_INIT(SLOT_BYTES);
	int rv;

	if (!keyfile_valid(k))
		return SEAL_EFORMAT;
	slot_begin(&b, keyfile_magic, k->pos.seq + 1);
	buf_u32(&b, k->current);
	buf_u8(&b, (uint8_t)k->ngens);
	for (unsigned i = 0; i < k->ngens; i++) {
		buf_u32(&b, k->gen[i].gen);
		buf_v16(&b, bytes_of(k->gen[i].ct, k->gen[i].ct_n));
	}
	rv = slot_write(fd, &b, &k->pos);
	buf_free(&b);
	return rv;
}

int
keyfile_write_both(int fd, struct keyfile *k)
{
	int rv = keyfile_write(fd, k);

	return rv == 0 ? keyfile_write(fd, k) : rv;
}

int
keyfile_create(int fd, struct keyfile *k)
{
	int rv = slot_create(fd, &k->pos);

	return rv == 0 ? keyfile_write_both(fd, k) : rv;
}
