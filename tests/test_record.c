/* common/record.c: what opens, and everything that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <openssl/evp.h>

#include "record.h"

static const uint8_t secret[HASH_LEN] = "a traffic secret of this test..";
static const uint8_t other[HASH_LEN] = "the other direction's secret...";

static void
start(struct record_dir *seal, struct record_dir *open)
{
	record_dir_init(seal, secret, RECORD_EPOCH_AP);
	record_dir_init(open, secret, RECORD_EPOCH_AP);
}

static void
end(struct record_dir *seal, struct record_dir *open, struct buf *b)
{
	record_dir_free(seal);
	record_dir_free(open);
	buf_free(b);
}

/* Seal one record of text into an emptied buffer. */
static void
seal_text(struct record_dir *d, struct buf *b, const char *text)
{
	buf_reset(b);
	assert_int_equal(record_seal(d, RECORD_APP, bytes_str(text), 0, b), 0);
}

static int
open_all(struct record_dir *d, const struct buf *b, struct bytes *content)
{
	enum record_type type;

	return record_open(d, b->p, b->n, &type, content);
}

/* A record built here by hand: inner bytes as given, right key and nonce. */
static void
forge(struct buf *b, uint8_t epoch, const uint8_t *inner, size_t n)
{
	uint8_t key[32], iv[12], *p;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len;

	kdf_xl(key, sizeof(key), secret, "key", bytes_of(NULL, 0));
	kdf_xl(iv, sizeof(iv), secret, "iv", bytes_of(NULL, 0));
	buf_reset(b);
	buf_u8(b, 0x17);
	buf_u8(b, epoch);
	buf_u16(b, (uint16_t)(n + RECORD_TAG));
	p = buf_grow(b, n + RECORD_TAG);
	assert_non_null(p);
	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
	    iv), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &len, b->p, 4), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, p, &len, inner, (int)n), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, p + n, &len), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16,
	    p + n), 1);
	EVP_CIPHER_CTX_free(ctx);
}

/* Forge and open with a fresh direction. */
static int
open_forged(const uint8_t *inner, size_t n)
{
	struct buf b = BUF_INIT(2 * RECORD_MAX);
	struct record_dir open;
	struct bytes content;
	int rv;

	record_dir_init(&open, secret, RECORD_EPOCH_AP);
	forge(&b, RECORD_EPOCH_AP, inner, n);
	rv = open_all(&open, &b, &content);
	record_dir_free(&open);
	buf_free(&b);
	return rv;
}

static void
test_round_trip(void **state)
{
	static const size_t size[] = { 1, 2, 255, 1000, RECORD_CONTENT_MAX };
	static uint8_t big[RECORD_CONTENT_MAX];
	struct buf b = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	enum record_type type;
	struct bytes got;
	size_t total;

	(void)state;
	start(&seal, &open);
	memset(big, 0x5a, sizeof(big));
	for (size_t i = 0; i < 5; i++) {
		buf_reset(&b);
		assert_int_equal(record_seal(&seal, RECORD_APP_MORE,
		    bytes_of(big, size[i]), 0, &b), 0);
		assert_int_equal(b.n, RECORD_WIRE(RECORD_INNER_HDR + size[i]));
		assert_int_equal(record_frame(buf_bytes(&b), &total), 1);
		assert_int_equal(total, b.n);
		assert_int_equal(record_open(&open, b.p, b.n, &type, &got), 0);
		assert_int_equal(type, RECORD_APP_MORE);
		assert_int_equal(got.n, size[i]);
		assert_memory_equal(got.p, big, got.n);
	}
	assert_int_equal(b.n, RECORD_MAX);
	assert_int_equal(open.seq, 5);
	/* Padded, dummy and close. */
	buf_reset(&b);
	assert_int_equal(record_seal(&seal, RECORD_APP, bytes_str("hi"), 1004,
	    &b), 0);
	assert_int_equal(b.n, 1024);
	assert_int_equal(record_open(&open, b.p, b.n, &type, &got), 0);
	assert_true(bytes_eq(got, bytes_str("hi")));
	buf_reset(&b);
	assert_int_equal(record_seal(&seal, RECORD_DUMMY, bytes_of(NULL, 0),
	    1004, &b), 0);
	assert_int_equal(b.n, 1024);
	assert_int_equal(record_open(&open, b.p, b.n, &type, &got), 0);
	assert_int_equal(type, RECORD_DUMMY);
	assert_int_equal(got.n, 0);
	end(&seal, &open, &b);
}

/* The bytes are those that the specification gives, not merely our own. */
static void
test_layout(void **state)
{
	static const uint8_t inner[] = { 23, 0, 3, 'a', 'b', 'c', 0, 0 };
	struct buf mine = BUF_INIT(RECORD_MAX), hand = BUF_INIT(RECORD_MAX);
	struct record_dir seal;

	(void)state;
	record_dir_init(&seal, secret, RECORD_EPOCH_AP);
	assert_int_equal(record_seal(&seal, RECORD_APP, bytes_str("abc"), 8,
	    &mine), 0);
	forge(&hand, RECORD_EPOCH_AP, inner, sizeof(inner));
	assert_true(bytes_eq(buf_bytes(&mine), buf_bytes(&hand)));
	record_dir_free(&seal);
	buf_free(&mine);
	buf_free(&hand);
}

static void
test_seal_refuses(void **state)
{
	static const uint8_t big[RECORD_CONTENT_MAX + 1];
	static const struct bytes none = { NULL, 0 };
	struct buf b = BUF_INIT(4 * RECORD_MAX), small = BUF_INIT(20);
	struct record_dir d;

	(void)state;
	record_dir_init(&d, secret, RECORD_EPOCH_AP);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_of(big, sizeof(big)),
	    0, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_str("abc"), 5, &b),
	    -1);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_str("abc"),
	    RECORD_INNER_MAX + 1, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_APP, none, 0, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_APP_MORE, none, 64, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_HANDSHAKE, none, 0, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_REKEY, bytes_str("x"), 0, &b),
	    -1);
	assert_int_equal(record_seal(&d, RECORD_DUMMY, bytes_str("x"), 0, &b),
	    -1);
	assert_int_equal(record_seal(&d, (enum record_type)21, bytes_str("x"),
	    0, &b), -1);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_str("x"), 0, &small),
	    -1);
	assert_int_equal(b.n, 0);
	assert_int_equal(d.seq, 0);
	record_dir_free(&d);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_str("x"), 0, &b),
	    -1);
	buf_free(&b);
	buf_free(&small);
}

/* Every bit of a record, header and tag included. */
static void
test_flip(void **state)
{
	struct buf b = BUF_INIT(RECORD_MAX), bad = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	struct bytes got;

	(void)state;
	record_dir_init(&seal, secret, RECORD_EPOCH_AP);
	assert_int_equal(record_seal(&seal, RECORD_APP, bytes_str("text"), 32,
	    &b), 0);
	for (size_t bit = 0; bit < 8 * b.n; bit++) {
		buf_reset(&bad);
		buf_put(&bad, b.p, b.n);
		bad.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		record_dir_init(&open, secret, RECORD_EPOCH_AP);
		assert_int_equal(open_all(&open, &bad, &got), -1);
		assert_int_equal(got.n, 0);
		/* And it stays shut for the good one. */
		buf_reset(&bad);
		buf_put(&bad, b.p, b.n);
		assert_int_equal(open_all(&open, &bad, &got), -1);
		record_dir_free(&open);
	}
	end(&seal, &open, &b);
	buf_free(&bad);
}

static void
test_length(void **state)
{
	struct buf b = BUF_INIT(2 * RECORD_MAX);
	struct record_dir seal, open;
	struct bytes got;
	size_t total;

	(void)state;
	record_dir_init(&seal, secret, RECORD_EPOCH_AP);
	seal_text(&seal, &b, "text");
	for (size_t n = 0; n < b.n; n++) {
		assert_int_equal(record_frame(bytes_of(b.p, n), &total), 0);
		assert_int_equal(total, n < RECORD_HDR ? 0 : b.n);
	}
	for (size_t n = 0; n < b.n; n++) {
		enum record_type type;

		record_dir_init(&open, secret, RECORD_EPOCH_AP);
		assert_int_equal(record_open(&open, b.p, n, &type, &got), -1);
		record_dir_free(&open);
	}
	buf_u8(&b, 0);
	record_dir_init(&open, secret, RECORD_EPOCH_AP);
	assert_int_equal(open_all(&open, &b, &got), -1);
	/* Headers that can be no record. */
	assert_int_equal(record_frame(bytes_of("\x16", 1), &total), -1);
	assert_int_equal(record_frame(bytes_of("\x17\x01\x00\x12", 4), &total),
	    -1);
	assert_int_equal(record_frame(bytes_of("\x17\x01\x00\x13", 4), &total),
	    0);
	assert_int_equal(total, 4 + 19);
	assert_int_equal(record_frame(bytes_of("\x17\x01\x3f\xfd", 4), &total),
	    -1);
	assert_int_equal(record_frame(bytes_of("\x17\x01\x3f\xfc", 4), &total),
	    0);
	assert_int_equal(total, RECORD_MAX);
	end(&seal, &open, &b);
}

static void
test_order(void **state)
{
	struct buf a = BUF_INIT(RECORD_MAX), b = BUF_INIT(RECORD_MAX);
	struct buf copy = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	struct bytes got;

	(void)state;
	start(&seal, &open);			/* reordered, dropped */
	seal_text(&seal, &a, "one");
	seal_text(&seal, &b, "two");
	assert_int_equal(open_all(&open, &b, &got), -1);
	record_dir_free(&seal);
	record_dir_free(&open);

	start(&seal, &open);			/* replayed */
	seal_text(&seal, &a, "one");
	buf_put(&copy, a.p, a.n);
	assert_int_equal(open_all(&open, &a, &got), 0);
	assert_int_equal(open_all(&open, &copy, &got), -1);
	record_dir_free(&seal);
	record_dir_free(&open);

	record_dir_init(&seal, other, RECORD_EPOCH_AP);	/* other direction */
	record_dir_init(&open, secret, RECORD_EPOCH_AP);
	seal_text(&seal, &a, "one");
	assert_int_equal(open_all(&open, &a, &got), -1);
	record_dir_free(&seal);
	record_dir_free(&open);

	record_dir_init(&seal, secret, RECORD_EPOCH_HS);	/* other epoch */
	record_dir_init(&open, secret, RECORD_EPOCH_AP);
	seal_text(&seal, &a, "one");
	assert_int_equal(open_all(&open, &a, &got), -1);
	end(&seal, &open, &a);
	buf_free(&b);
	buf_free(&copy);
}

/* Authentic records whose inside is wrong. */
static void
test_inside(void **state)
{
	static const uint8_t good[] = { 23, 0, 1, 'x', 0, 0 };
	static const uint8_t pad_first[] = { 23, 0, 1, 'x', 1, 0 };
	static const uint8_t pad_last[] = { 23, 0, 1, 'x', 0, 128 };
	static const uint8_t longer[] = { 23, 0, 4, 'x', 0, 0 };
	static const uint8_t longest[] = { 23, 0xff, 0xff, 'x', 0, 0 };
	static const uint8_t unknown[] = { 21, 0, 1, 'x', 0, 0 };
	static const uint8_t zero[] = { 0, 0, 0 };
	static const uint8_t empty[] = { 24, 0, 0, 0, 0, 0 };
	static const uint8_t rekey[] = { 25, 0, 1, 'x', 0, 0 };

	(void)state;
	assert_int_equal(open_forged(good, sizeof(good)), 0);
	assert_int_equal(open_forged(pad_first, sizeof(pad_first)), -1);
	assert_int_equal(open_forged(pad_last, sizeof(pad_last)), -1);
	assert_int_equal(open_forged(longer, sizeof(longer)), -1);
	assert_int_equal(open_forged(longest, sizeof(longest)), -1);
	assert_int_equal(open_forged(unknown, sizeof(unknown)), -1);
	assert_int_equal(open_forged(zero, sizeof(zero)), -1);
	assert_int_equal(open_forged(empty, sizeof(empty)), -1);
	assert_int_equal(open_forged(rekey, sizeof(rekey)), -1);
	assert_int_equal(open_forged(good, 2), -1);
}

static void
test_rekey(void **state)
{
	struct buf b = BUF_INIT(RECORD_MAX), old = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	uint8_t first[12], first_secret[HASH_LEN], want[HASH_LEN];
	enum record_type type;
	struct bytes got;

	(void)state;
	start(&seal, &open);
	seal_text(&seal, &b, "one");
	assert_int_equal(open_all(&open, &b, &got), 0);
	memcpy(first, seal.iv, sizeof(first));
	memcpy(first_secret, seal.secret, sizeof(first_secret));
	buf_reset(&b);
	assert_int_equal(record_seal(&seal, RECORD_REKEY, bytes_of(NULL, 0), 0,
	    &b), 0);
	assert_int_equal(record_rekey(&seal), 0);
	assert_int_equal(record_open(&open, b.p, b.n, &type, &got), 0);
	assert_int_equal(type, RECORD_REKEY);
	assert_int_equal(record_rekey(&open), 0);
	assert_int_equal(seal.epoch, 2);
	assert_int_equal(seal.seq, 0);
	kdf_xl(want, sizeof(want), first_secret, "upd", bytes_of(NULL, 0));
	assert_memory_equal(seal.secret, want, sizeof(want));
	assert_memory_not_equal(seal.iv, first, sizeof(first));
	seal_text(&seal, &b, "two");
	assert_int_equal(b.p[1], 2);
	buf_put(&old, b.p, b.n);
	assert_int_equal(open_all(&open, &b, &got), 0);
	assert_true(bytes_eq(got, bytes_str("two")));
	/* The epoch in the header does not move the receiver. */
	assert_int_equal(record_rekey(&seal), 0);
	seal_text(&seal, &b, "three");
	assert_int_equal(open_all(&open, &b, &got), -1);
	/* An old record under the new key. */
	record_dir_free(&open);
	record_dir_init(&open, secret, RECORD_EPOCH_AP);
	assert_int_equal(record_rekey(&open), 0);
	assert_int_equal(record_rekey(&open), 0);
	assert_int_equal(open_all(&open, &old, &got), -1);
	end(&seal, &open, &b);
	buf_free(&old);
}

/* Small limits: a key never does more than them, and no nonce comes twice. */
static void
test_limits(void **state)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	struct record_dir seal, open;
	struct bytes got;
	unsigned rekeys = 0;

	(void)state;
	start(&seal, &open);
	seal.max_records = open.max_records = 3;
	for (int i = 0; i < 30; i++) {
		if (record_need_rekey(&seal)) {
			assert_int_equal(seal.seq, 3);
			buf_reset(&b);
			assert_int_equal(record_seal(&seal, RECORD_APP,
			    bytes_str("x"), 0, &b), -1);
			assert_int_equal(record_seal(&seal, RECORD_REKEY,
			    bytes_of(NULL, 0), 0, &b), 0);
			assert_int_equal(open_all(&open, &b, &got), 0);
			assert_int_equal(record_rekey(&seal), 0);
			assert_int_equal(record_rekey(&open), 0);
			rekeys++;
		}
		seal_text(&seal, &b, "x");
		assert_int_equal(open_all(&open, &b, &got), 0);
	}
	assert_int_equal(rekeys, 9);
	assert_int_equal(seal.epoch, 10);
	record_dir_free(&seal);
	record_dir_free(&open);

	/* The receiver holds the sender to it; bytes count as well. */
	start(&seal, &open);
	open.max_bytes = 60;
	seal_text(&seal, &b, "12345678901234567890");
	assert_int_equal(open_all(&open, &b, &got), 0);
	assert_false(record_need_rekey(&open));
	seal_text(&seal, &b, "12345678901234567890");
	assert_int_equal(open_all(&open, &b, &got), 0);
	assert_true(record_need_rekey(&open));
	seal_text(&seal, &b, "x");
	assert_int_equal(open_all(&open, &b, &got), -1);
	end(&seal, &open, &b);
}

static void
test_last_epoch(void **state)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	struct record_dir d;

	(void)state;
	record_dir_init(&d, secret, RECORD_EPOCH_LAST - 1);
	assert_int_equal(record_rekey(&d), 0);
	assert_int_equal(d.epoch, 254);
	seal_text(&d, &b, "still");
	assert_int_equal(record_rekey(&d), -1);
	assert_int_equal(record_seal(&d, RECORD_APP, bytes_str("no"), 0, &b),
	    -1);
	assert_int_equal(record_rekey(&d), -1);
	record_dir_free(&d);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_seal_refuses),
		cmocka_unit_test(test_flip),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_last_epoch)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
