#include "record.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "log.h"

#define RECORD_MAGIC	0x17
#define NONCE_LEN	sizeof(((struct record_dir *)0)->iv)

enum mode { MODE_UNUSED, MODE_SEAL, MODE_OPEN };

static const EVP_CIPHER *
gcm(void)
{
	static EVP_CIPHER *cipher;

	if (cipher == NULL &&
	    (cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) == NULL)
		crypto_fatalx("AES-256-GCM");
	return cipher;
}

/* Derive key and iv from d->secret; numbers start again. */
static void
set_key(struct record_dir *d)
{
	const struct bytes none = { NULL, 0 };
	uint8_t key[32];

	kdf_xl(key, sizeof(key), d->secret, "key", none);
	kdf_xl(d->iv, sizeof(d->iv), d->secret, "iv", none);
	/*
	 * The one context serves either way: GCM's key schedule is the same.
	 */
	if (EVP_CipherInit_ex2(d->ctx, gcm(), key, NULL, 1, NULL) != 1)
		crypto_fatalx("AES-256-GCM");
	OPENSSL_cleanse(key, sizeof(key));
	d->seq = 0;
	d->nbytes = 0;
}

void
record_dir_init(struct record_dir *d, const uint8_t secret[HASH_LEN],
    uint8_t epoch)
{
	if (epoch > RECORD_EPOCH_LAST)
		fatalx("record_dir_init: epoch %u", epoch);
	memset(d, 0, sizeof(*d));
	memcpy(d->secret, secret, sizeof(d->secret));
	d->epoch = epoch;
	d->max_records = RECORD_LIMIT_RECORDS;
	d->max_bytes = RECORD_LIMIT_BYTES;
	if ((d->ctx = EVP_CIPHER_CTX_new()) == NULL)
		crypto_fatalx("EVP_CIPHER_CTX_new");
	set_key(d);
}

void
record_dir_free(struct record_dir *d)
{
	EVP_CIPHER_CTX_free(d->ctx);
	OPENSSL_cleanse(d, sizeof(*d));
	d->dead = true;
}

static int
die(struct record_dir *d)
{
	record_dir_free(d);
	return -1;
}

/* A direction that sealed must never open, or one nonce would serve twice. */
static void
pin_mode(struct record_dir *d, enum mode mode)
{
	if (d->mode != MODE_UNUSED && d->mode != mode)
		fatalx("record: direction used both ways");
	d->mode = (uint8_t)mode;
}

bool
record_need_rekey(const struct record_dir *d)
{
	return d->seq >= d->max_records || d->nbytes >= d->max_bytes;
}

/* Whether the type may be sent now and has the content that it must have. */
static bool
acceptable(const struct record_dir *d, unsigned type, size_t n)
{
	switch (type) {
	case RECORD_CLOSE:
		return true;
	case RECORD_REKEY:
	case RECORD_FRESH:
		return n == 0;
	case RECORD_DUMMY:
		return n == 0 && !record_need_rekey(d);
	case RECORD_HANDSHAKE:
	case RECORD_APP:
	case RECORD_APP_MORE:
	case RECORD_STREAM:
		return n > 0 && !record_need_rekey(d);
	default:
		return false;
	}
}

static void
make_nonce(uint8_t nonce[NONCE_LEN], const struct record_dir *d)
{
	uint8_t seq[8];

	memcpy(nonce, d->iv, NONCE_LEN);
	put_be64(seq, d->seq);
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[NONCE_LEN - sizeof(seq) + i] ^= seq[i];
}

/*
 * Encrypt the inner plaintext at p[0..n) in place and write the tag behind it.
 */
static void
encrypt(struct record_dir *d, const uint8_t hdr[RECORD_HDR], uint8_t *p, int n)
{
	uint8_t nonce[NONCE_LEN];
	int len;

	make_nonce(nonce, d);
	if (EVP_EncryptInit_ex2(d->ctx, NULL, NULL, nonce, NULL) != 1 ||
	    EVP_EncryptUpdate(d->ctx, NULL, &len, hdr, RECORD_HDR) != 1 ||
	    EVP_EncryptUpdate(d->ctx, p, &len, p, n) != 1 || len != n ||
	    EVP_EncryptFinal_ex(d->ctx, p + n, &len) != 1 || len != 0 ||
	    EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG,
	    p + n) != 1)
		crypto_fatalx("AES-256-GCM");
}

static bool
decrypt(struct record_dir *d, const uint8_t hdr[RECORD_HDR], uint8_t *p, int n)
{
	uint8_t nonce[NONCE_LEN];
	bool ok;
	int len;

	make_nonce(nonce, d);
	ok = EVP_DecryptInit_ex2(d->ctx, NULL, NULL, nonce, NULL) == 1 &&
	    EVP_DecryptUpdate(d->ctx, NULL, &len, hdr, RECORD_HDR) == 1 &&
	    EVP_DecryptUpdate(d->ctx, p, &len, p, n) == 1 && len == n &&
	    EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG,
	    p + n) == 1 &&
	    EVP_DecryptFinal_ex(d->ctx, p + n, &len) == 1 && len == 0;
	if (!ok)
		ERR_clear_error();
	return ok;
}

int
record_seal(struct record_dir *d, enum record_type type, struct bytes content,
    size_t pad, struct buf *out)
{
	uint8_t *rec, *inner;
	size_t n;

	if (d->dead || !acceptable(d, type, content.n) ||
	    content.n > RECORD_CONTENT_MAX)
		return -1;
	n = RECORD_INNER_HDR + content.n;
	if (pad > 0) {
		if (pad < n || pad > RECORD_INNER_MAX)
			return -1;
		n = pad;
	}
	pin_mode(d, MODE_SEAL);
	if ((rec = buf_grow(out, RECORD_WIRE(n))) == NULL)
		return -1;
	rec[0] = RECORD_MAGIC;
	rec[1] = d->epoch;
	put_be16(rec + 2, (uint16_t)(n + RECORD_TAG));
	inner = rec + RECORD_HDR;
	memset(inner, 0, n);
	inner[0] = (uint8_t)type;
	put_be16(inner + 1, (uint16_t)content.n);
	if (content.n > 0)
		memcpy(inner + RECORD_INNER_HDR, content.p, content.n);
	encrypt(d, rec, inner, (int)n);
	d->seq++;
	d->nbytes += RECORD_WIRE(n);
	return 0;
}

int
record_frame(struct bytes in, size_t *total)
{
	size_t len;

	*total = 0;
	if (in.n > 0 && in.p[0] != RECORD_MAGIC)
		return -1;
	if (in.n < RECORD_HDR)
		return 0;
	len = get_be16(in.p + 2);
	if (len < RECORD_INNER_HDR + RECORD_TAG ||
	    len > RECORD_MAX - RECORD_HDR)
		return -1;
	*total = RECORD_HDR + len;
	return in.n >= *total;
}

int
record_open(struct record_dir *d, uint8_t *rec, size_t n,
    enum record_type *type, struct bytes *content)
{
	uint8_t *inner = rec + RECORD_HDR;
	size_t total, inner_len, len;
	uint8_t rest = 0;

	*content = bytes_of(NULL, 0);
	if (d->dead)
		return -1;
	pin_mode(d, MODE_OPEN);
	if (record_frame(bytes_of(rec, n), &total) != 1 || total != n ||
	    rec[1] != d->epoch)
		return die(d);
	inner_len = n - RECORD_HDR - RECORD_TAG;
	if (!decrypt(d, rec, inner, (int)inner_len))
		return die(d);
	len = get_be16(inner + 1);
	if (len > inner_len - RECORD_INNER_HDR || !acceptable(d, inner[0], len))
		return die(d);
	for (size_t i = RECORD_INNER_HDR + len; i < inner_len; i++)
		rest |= inner[i];
	if (rest != 0)
		return die(d);
	d->seq++;
	d->nbytes += n;
	*type = inner[0];
	*content = bytes_of(inner + RECORD_INNER_HDR, len);
	return 0;
}

/* Go on with another secret, which is wiped, in the next epoch. */
static int
next_epoch(struct record_dir *d, uint8_t next[HASH_LEN])
{
	memcpy(d->secret, next, sizeof(d->secret));
	OPENSSL_cleanse(next, HASH_LEN);
	d->epoch++;
	set_key(d);
	return 0;
}

int
record_rekey(struct record_dir *d)
{
	uint8_t next[HASH_LEN];

	if (d->dead)
		return -1;
	if (d->epoch == RECORD_EPOCH_LAST)
		return die(d);
	kdf_xl(next, sizeof(next), d->secret, "upd", bytes_of(NULL, 0));
	return next_epoch(d, next);
}

int
record_fresh(struct record_dir *d, struct bytes ss, const uint8_t th[HASH_LEN])
{
	uint8_t next[HASH_LEN];

	if (d->dead)
		return -1;
	if (d->epoch == RECORD_EPOCH_LAST)
		return die(d);
	kdf_extract(bytes_of(d->secret, HASH_LEN), ss, next);
	kdf_xl(next, sizeof(next), next, "fresh", bytes_of(th, HASH_LEN));
	return next_epoch(d, next);
}
