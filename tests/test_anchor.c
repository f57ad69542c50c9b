#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kdf.h"

#include "../storaged/anchor.h"

static uint8_t counting[96];
static uint8_t sk[32];

/* A file in memory stands for the pre-opened descriptor. */
static int
new_file(void)
{
	int fd = memfd_create("slots", MFD_CLOEXEC);

	assert_int_not_equal(fd, -1);
	return fd;
}

static void
flip(int fd, size_t at)
{
	uint8_t c;

	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c ^= 0x40;
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
}

static void
load(int fd, uint8_t all[SLOT_FILE_BYTES])
{
	assert_int_equal(pread(fd, all, SLOT_FILE_BYTES, 0), SLOT_FILE_BYTES);
}

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(counting); i++)
		counting[i] = (uint8_t)i;
	seal_storage_key(sk, counting, counting + 32);
	return 0;
}

static struct anchor
sample(void)
{
	struct anchor a;

	memset(&a, 0, sizeof(a));
	a.n = 42;
	memset(a.root, 0x77, sizeof(a.root));
	a.nepochs = 1;
	a.epoch[0].epoch = 7;
	a.epoch[0].gen = 1;
	memcpy(a.epoch[0].secret, counting + 64, SEAL_KEYLEN);
	memcpy(a.epoch[0].share_b, counting + 32, SEAL_KEYLEN);
	return a;
}

static void
add_next_epoch(struct anchor *a)
{
	a->nepochs = 2;
	a->epoch[1] = a->epoch[0];
	a->epoch[1].epoch++;
	crypto_random(a->epoch[1].secret, SEAL_KEYLEN);
}

static void
test_create_read(void **state)
{
	struct anchor a = sample(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), SLOT_FILE_BYTES);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(anchor_verify(&back, sk), 0);
	assert_memory_equal(&a, &back, sizeof(a));
	assert_int_equal(back.pos.seq, 2);
	assert_int_equal(back.pos.slot, 1);
	/* The storage key comes from share B, so a wrong one is noticed. */
	assert_int_equal(anchor_verify(&back, counting), SEAL_EAUTH);
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	close(fd);
}

/* The bytes of a slot, computed with Python. */
static void
test_known_slot(void **state)
{
	static const char root_hex[] = "59992c1e87bd5901128e4e8af778ed54"
	    "b77a85e3e53bb60a312d781ec8ab52d3";
	static const char sum_hex[] = "75e276a0c57d2361cfd6998cf21dba67"
	    "89bb64f7bf9d618ab4d0cbdbbfaffb5d";
	struct anchor a = sample();
	uint8_t all[SLOT_FILE_BYTES], sum[HASH_LEN];
	int fd = new_file();

	(void)state;
	assert_int_equal(hex_decode(a.root, 32, root_hex), 0);
	assert_int_equal(hex_decode(sum, 32, sum_hex), 0);
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	load(fd, all);
	/* Sequence 2: the checksum covers every byte before it. */
	assert_memory_equal(all + 2 * SLOT_BYTES - HASH_LEN, sum, 32);
	close(fd);
}

static void
test_writes_alternate(void **state)
{
	struct anchor a = sample(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	for (unsigned i = 0; i < 6; i++) {
		a.n++;
		assert_int_equal(anchor_write(fd, &a, sk), 0);
		assert_int_equal(a.pos.slot, i % 2);
		assert_int_equal(anchor_read(fd, &back), 0);
		assert_int_equal(anchor_verify(&back, sk), 0);
		assert_int_equal(back.n, a.n);
		assert_int_equal(back.pos.seq, 3 + i);
	}
	/* A process that starts anew goes on where the last one was. */
	back.n++;
	assert_int_equal(anchor_write(fd, &back, sk), 0);
	assert_int_equal(back.pos.slot, 0);
	assert_int_equal(anchor_read(fd, &a), 0);
	assert_int_equal(a.n, back.n);
	close(fd);
}

/* Any one byte of the newest slot wrong: the state before it is used. */
static void
test_torn_slot(void **state)
{
	struct anchor a = sample(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	a.n = 43;
	assert_int_equal(anchor_write(fd, &a, sk), 0);	/* slot 0 */
	for (size_t i = 0; i < SLOT_BYTES; i++) {
		flip(fd, i);
		assert_int_equal(anchor_read(fd, &back), 0);
		assert_int_equal(back.n, 42);
		assert_int_equal(back.pos.slot, 1);
		flip(fd, i);
		flip(fd, SLOT_BYTES + i);
		assert_int_equal(anchor_read(fd, &back), 0);
		assert_int_equal(back.n, 43);
		assert_int_equal(back.pos.slot, 0);
		flip(fd, SLOT_BYTES + i);
	}
	assert_int_equal(anchor_verify(&back, sk), 0);
	/* The next write mends the torn slot and not the good one. */
	flip(fd, 100);
	assert_int_equal(anchor_read(fd, &back), 0);
	back.n = 50;
	assert_int_equal(anchor_write(fd, &back, sk), 0);
	assert_int_equal(back.pos.slot, 0);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(back.n, 50);
	close(fd);
}

static void
test_both_torn(void **state)
{
	struct anchor a = sample(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);	/* empty */
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	for (size_t i = 0; i < SLOT_BYTES; i += 61) {
		flip(fd, i);
		flip(fd, SLOT_BYTES + (i * 7) % SLOT_BYTES);
		assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);
		flip(fd, i);
		flip(fd, SLOT_BYTES + (i * 7) % SLOT_BYTES);
	}
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(ftruncate(fd, SLOT_FILE_BYTES - 1), 0);
	assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);
	close(fd);
}

/* Rewrite a byte and mend the checksum, as one who has no key could. */
static void
forge(int fd, size_t slot, size_t at, uint8_t v)
{
	uint8_t s[SLOT_BYTES], sum[HASH_LEN];

	assert_int_equal(pread(fd, s, sizeof(s), (off_t)(slot * SLOT_BYTES)),
	    SLOT_BYTES);
	s[at] = v;
	sha256(sum, bytes_of(s, SLOT_BYTES - HASH_LEN));
	memcpy(s + SLOT_BYTES - HASH_LEN, sum, HASH_LEN);
	assert_int_equal(pwrite(fd, s, sizeof(s), (off_t)(slot * SLOT_BYTES)),
	    SLOT_BYTES);
}

static void
test_forged(void **state)
{
	struct anchor a = sample(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	forge(fd, 1, 27, 99);		/* the low byte of n */
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(back.n, 99);
	assert_int_equal(anchor_verify(&back, sk), SEAL_EAUTH);
	forge(fd, 1, 27, 42);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(anchor_verify(&back, sk), 0);
	forge(fd, 1, 19, 9);		/* its sequence number */
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(anchor_verify(&back, sk), SEAL_EAUTH);
	forge(fd, 1, 19, 2);
	/* No layout of ours: three epochs, bytes after the last, format 2. */
	forge(fd, 1, 60, 3);
	assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 60, 0);
	assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 60, 1);
	forge(fd, 1, 4000, 1);
	assert_int_equal(anchor_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 4000, 0);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(back.pos.slot, 1);
	forge(fd, 1, 11, 2);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(back.pos.slot, 0);
	close(fd);
}

/* A turn of the epoch leaves nothing of the old secret in the file. */
static void
test_epoch_turn(void **state)
{
	struct anchor a = sample(), back;
	uint8_t all[SLOT_FILE_BYTES], old[SEAL_KEYLEN];
	int fd = new_file();

	(void)state;
	memcpy(old, a.epoch[0].secret, sizeof(old));
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	add_next_epoch(&a);
	assert_int_equal(anchor_write(fd, &a, sk), 0);
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(anchor_verify(&back, sk), 0);
	assert_memory_equal(&a, &back, sizeof(a));

	a.epoch[0] = a.epoch[1];
	memset(&a.epoch[1], 0, sizeof(a.epoch[1]));
	a.nepochs = 1;
	assert_int_equal(anchor_write(fd, &a, sk), 0);
	load(fd, all);
	assert_non_null(memmem(all, sizeof(all), old, sizeof(old)));
	assert_int_equal(anchor_write_both(fd, &a, sk), 0);
	load(fd, all);
	assert_null(memmem(all, sizeof(all), old, sizeof(old)));
	assert_int_equal(anchor_read(fd, &back), 0);
	assert_int_equal(back.epoch[0].epoch, 8);
	assert_int_equal(back.nepochs, 1);
	close(fd);
}

static void
test_invalid_refused(void **state)
{
	struct anchor good = sample(), a;
	int fd = new_file();

	(void)state;
	add_next_epoch(&good);
	a = good;
	a.nepochs = 0;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	a.nepochs = 3;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	a = good;
	a.epoch[0].gen = 0;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	a = good;
	a.epoch[1].epoch++;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	/* One generation has one share; a rotation goes one generation on. */
	a = good;
	a.epoch[1].share_b[0] ^= 1;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	a.epoch[1].gen = 3;
	assert_int_equal(anchor_create(fd, &a, sk), SEAL_EFORMAT);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	a.epoch[1].gen = 2;
	assert_int_equal(anchor_create(fd, &a, sk), 0);
	assert_int_equal(anchor_read(fd, &good), 0);
	assert_memory_equal(&a, &good, sizeof(a));
	close(fd);
}

static void
test_io_error(void **state)
{
	struct anchor a = sample();
	struct keyfile k;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);	/* cannot be read or written at a place */
	assert_int_equal(anchor_write(p[1], &a, sk), SEAL_EIO);
	assert_int_equal(errno, ESPIPE);
	assert_int_equal(a.pos.seq, 0);
	assert_int_equal(anchor_read(p[0], &a), SEAL_EIO);
	assert_int_equal(keyfile_read(p[0], &k), SEAL_EIO);
	close(p[0]);
	close(p[1]);
}

static struct keyfile
sample_keyfile(void)
{
	struct keyfile k;

	memset(&k, 0, sizeof(k));
	k.current = 4;
	k.ngens = 2;
	k.gen[0].gen = 4;
	k.gen[0].ct_n = 384;
	memset(k.gen[0].ct, 0xab, 384);
	k.gen[1].gen = 5;
	k.gen[1].ct_n = KEYFILE_CT_MAX;
	memset(k.gen[1].ct, 0xcd, KEYFILE_CT_MAX);
	return k;
}

static void
test_keyfile(void **state)
{
	struct keyfile k = sample_keyfile(), back;
	uint8_t all[SLOT_FILE_BYTES];
	int fd = new_file();

	(void)state;
	assert_int_equal(keyfile_read(fd, &back), SEAL_EFORMAT);
	assert_int_equal(keyfile_create(fd, &k), 0);
	assert_int_equal(keyfile_create(fd, &k), SEAL_EFORMAT);
	assert_int_equal(keyfile_read(fd, &back), 0);
	assert_memory_equal(&k, &back, sizeof(k));
	assert_ptr_equal(keyfile_find(&back, 5), &back.gen[1]);
	assert_null(keyfile_find(&back, 6));

	/* The new generation takes over, the old one goes from both slots. */
	k.current = 5;
	assert_int_equal(keyfile_write(fd, &k), 0);
	k.ngens = 1;
	k.gen[0] = k.gen[1];
	memset(&k.gen[1], 0, sizeof(k.gen[1]));
	assert_int_equal(keyfile_write_both(fd, &k), 0);
	assert_int_equal(keyfile_read(fd, &back), 0);
	assert_memory_equal(&k, &back, sizeof(k));
	load(fd, all);
	assert_null(memmem(all, sizeof(all), "\xab\xab\xab\xab\xab", 5));
	close(fd);
}

static void
test_keyfile_torn(void **state)
{
	struct keyfile k = sample_keyfile(), back;
	int fd = new_file();

	(void)state;
	assert_int_equal(keyfile_create(fd, &k), 0);
	k.current = 5;
	assert_int_equal(keyfile_write(fd, &k), 0);	/* slot 0 */
	for (size_t i = 0; i < SLOT_BYTES; i++) {
		flip(fd, i);
		assert_int_equal(keyfile_read(fd, &back), 0);
		assert_int_equal(back.current, 4);
		flip(fd, i);
		flip(fd, SLOT_BYTES + i);
		assert_int_equal(keyfile_read(fd, &back), 0);
		assert_int_equal(back.current, 5);
		flip(fd, SLOT_BYTES + i);
	}
	flip(fd, 30);
	flip(fd, SLOT_BYTES + 3000);
	assert_int_equal(keyfile_read(fd, &back), SEAL_EFORMAT);
	close(fd);
}

static void
test_keyfile_strict(void **state)
{
	struct keyfile k = sample_keyfile(), back;
	struct anchor a;
	int fd = new_file();

	(void)state;
	k.current = 3;
	assert_int_equal(keyfile_create(fd, &k), SEAL_EFORMAT);
	k.current = 4;
	k.gen[1].gen = 4;
	assert_int_equal(keyfile_create(fd, &k), SEAL_EFORMAT);
	k.gen[1].gen = 5;
	k.gen[1].ct_n = KEYFILE_CT_MAX + 1;
	assert_int_equal(keyfile_create(fd, &k), SEAL_EFORMAT);
	k.gen[1].ct_n = 0;
	assert_int_equal(keyfile_create(fd, &k), SEAL_EFORMAT);
	k = sample_keyfile();
	assert_int_equal(keyfile_create(fd, &k), 0);
	assert_int_equal(anchor_read(fd, &a), SEAL_EFORMAT);
	forge(fd, 1, 24, 3);		/* three generations */
	assert_int_equal(keyfile_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 24, 1);		/* one, and bytes after it */
	assert_int_equal(keyfile_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 24, 2);
	forge(fd, 1, 29, 0xff);		/* a length beyond its bound */
	assert_int_equal(keyfile_read(fd, &back), SEAL_EFORMAT);
	forge(fd, 1, 29, 1);
	assert_int_equal(keyfile_read(fd, &back), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_read),
		cmocka_unit_test(test_known_slot),
		cmocka_unit_test(test_writes_alternate),
		cmocka_unit_test(test_torn_slot),
		cmocka_unit_test(test_both_torn),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_epoch_turn),
		cmocka_unit_test(test_invalid_refused),
		cmocka_unit_test(test_io_error),
		cmocka_unit_test(test_keyfile),
		cmocka_unit_test(test_keyfile_torn),
		cmocka_unit_test(test_keyfile_strict),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
