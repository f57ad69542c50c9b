/* The public key file, and files that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pubkey.h"

static struct pubkey good;
static struct buf text = BUF_INIT(PUBKEY_FILE_MAX);	/* of good */
static char err[256];

static void
make(struct buf *spki, enum rsa_use use)
{
	EVP_PKEY *key = rsa_generate(use, RSA_BITS_DEFAULT, 0);

	buf_init(spki, RSA_SPKI_MAX);
	assert_non_null(key);
	assert_int_equal(rsa_spki_encode(spki, key), 0);
	EVP_PKEY_free(key);
}

static int
group_setup(void **state)
{
	(void)state;
	make(&good.sign, RSA_USE_SIGN);
	make(&good.wrap, RSA_USE_WRAP);
	make(&good.message, RSA_USE_SIGN);
	(void)strlcpy(good.comment, "alice@example", sizeof(good.comment));
	return pubkey_format(&text, &good);
}

static int
group_teardown(void **state)
{
	(void)state;
	pubkey_free(&good);
	buf_free(&text);
	return 0;
}

static int
parse(const void *p, size_t n)
{
	struct pubkey k;
	int r;

	err[0] = '\0';
	r = pubkey_parse(&k, bytes_of(p, n), err, sizeof(err));
	if (r == 0)
		pubkey_free(&k);
	else {
		assert_null(k.sign.p);
		assert_null(k.wrap.p);
		assert_null(k.message.p);
		assert_true(err[0] != '\0');
	}
	return r;
}

/* The file with the first `from` replaced by `to`, parsed. */
static int
with(const char *from, const char *to)
{
	struct buf b = BUF_INIT(2 * PUBKEY_FILE_MAX);
	uint8_t *at = memmem(text.p, text.n, from, strlen(from));
	size_t before;
	int r;

	assert_non_null(at);
	before = (size_t)(at - text.p);
	buf_put(&b, text.p, before);
	buf_str(&b, to);
	buf_put(&b, at + strlen(from), text.n - before - strlen(from));
	r = parse(b.p, b.n);
	buf_free(&b);
	return r;
}

static void
test_round_trip(void **state)
{
	struct buf again = BUF_INIT(PUBKEY_FILE_MAX);
	struct pubkey k;

	(void)state;
	assert_int_equal(pubkey_parse(&k, buf_bytes(&text), err, sizeof(err)),
	    0);
	assert_string_equal(k.comment, "alice@example");
	assert_true(bytes_eq(buf_bytes(&k.sign), buf_bytes(&good.sign)));
	assert_true(bytes_eq(buf_bytes(&k.wrap), buf_bytes(&good.wrap)));
	assert_true(bytes_eq(buf_bytes(&k.message), buf_bytes(&good.message)));
	assert_int_equal(pubkey_format(&again, &k), 0);
	assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&text)));
	pubkey_free(&k);
	/* Without its last newline, and without a comment. */
	assert_int_equal(parse(text.p, text.n - 1), 0);
	assert_int_equal(with("v1 alice@example", "v1"), 0);
	assert_int_equal(with("alice@example", ""), 0);
	buf_free(&again);
}

static void
test_cut_and_extended(void **state)
{
	struct buf b = BUF_INIT(2 * PUBKEY_FILE_MAX);

	(void)state;
	for (size_t n = 0; n < text.n - 1; n++)
		assert_int_equal(parse(text.p, n), -1);
	buf_put(&b, text.p, text.n);
	buf_u8(&b, '\n');
	assert_int_equal(parse(b.p, b.n), -1);
	b.n--;
	buf_put(&b, text.p, text.n);
	assert_int_equal(parse(b.p, b.n), -1);
	buf_free(&b);
}

/* Each byte changed: what is still accepted differs in the comment alone. */
static void
test_flipped(void **state)
{
	struct buf b = BUF_INIT(PUBKEY_FILE_MAX);
	size_t comment = strlen("cloister-key-v1 "), end = comment +
	    strlen("alice@example"), head;
	static const uint8_t changes[] = { 0, ' ', '=', '\n', 0xff };

	(void)state;
	buf_put(&b, text.p, text.n);
	/* Past a key's first 100 bytes any number is as good as another. */
	head = end + 100;
	for (size_t i = 0; i < head; i++)
		for (size_t k = 0; k < sizeof(changes); k++) {
			if (b.p[i] == changes[k] || (i >= comment && i < end &&
			    (changes[k] == ' ' || changes[k] == '=')))
				continue;
			b.p[i] = changes[k];
			assert_int_equal(parse(b.p, b.n), -1);
			b.p[i] = text.p[i];
		}
	assert_int_equal(parse(b.p, b.n), 0);
	buf_free(&b);
}

static void
test_hostile_text(void **state)
{
	char comment[PUBKEY_COMMENT_MAX + 2];

	(void)state;
	assert_int_equal(with("key-v1", "key-v2"), -1);
	assert_int_equal(with("key-v1 ", "key-v1"), -1);
	assert_int_equal(with("key-v1", " key-v1"), -1);
	assert_int_equal(with("sign: ", "sign:"), -1);
	assert_int_equal(with("sign: ", "sign:  "), -1);
	assert_int_equal(with("sign: ", "wrap: "), -1);
	assert_int_equal(with("sign: ", "# a line\nsign: "), -1);
	assert_int_equal(with("\nwrap: ", "\r\nwrap: "), -1);
	assert_int_equal(with("\nwrap: ", " \nwrap: "), -1);
	assert_int_equal(with("\nwrap: ", "=\nwrap: "), -1);
	assert_int_equal(with("\nwrap: ", "====\nwrap: "), -1);
	assert_int_equal(with("\nwrap: ", "AAAA\nwrap: "), -1);
	assert_int_equal(with("alice", "al\tice"), -1);
	assert_int_equal(with("alice", "al\x1b[31mice"), -1);
	assert_int_equal(with("alice", "al\xc3ice"), -1);
	assert_int_equal(with("alice", "al\xc3\xafice"), 0);
	memset(comment, 'c', sizeof(comment));
	comment[PUBKEY_COMMENT_MAX + 1] = '\0';
	assert_int_equal(with("alice@example", comment), -1);
	comment[PUBKEY_COMMENT_MAX] = '\0';
	assert_int_equal(with("alice@example", comment), 0);
}

/* Keys in each other's place, twice, or of a size that is not accepted. */
static void
test_wrong_keys(void **state)
{
	EVP_PKEY *small = rsa_generate(RSA_USE_SIGN, 2048, RSA_ALLOW_2048);
	struct buf b = BUF_INIT(PUBKEY_FILE_MAX), spki = BUF_INIT(RSA_SPKI_MAX);
	struct pubkey k = good;

	(void)state;
	k.sign = good.wrap;
	k.wrap = good.sign;
	assert_int_equal(pubkey_format(&b, &k), 0);
	assert_int_equal(parse(b.p, b.n), -1);
	assert_non_null(strstr(err, "sign key"));
	buf_reset(&b);
	k = good;
	k.message = good.sign;
	assert_int_equal(pubkey_format(&b, &k), 0);
	assert_int_equal(parse(b.p, b.n), -1);
	assert_non_null(strstr(err, "twice"));
	buf_reset(&b);
	k = good;
	assert_int_equal(rsa_spki_encode(&spki, small), 0);
	k.message = spki;
	assert_int_equal(pubkey_format(&b, &k), 0);
	assert_int_equal(parse(b.p, b.n), -1);
	assert_non_null(strstr(err, "message key"));
	buf_free(&b);
	buf_free(&spki);
	EVP_PKEY_free(small);
}

static void
test_format_refuses(void **state)
{
	struct buf b = BUF_INIT(PUBKEY_FILE_MAX), little = BUF_INIT(100);
	struct pubkey k = good;

	(void)state;
	assert_int_equal(pubkey_format(&little, &good), -1);
	k.comment[2] = '\n';
	assert_int_equal(pubkey_format(&b, &k), -1);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	buf_free(&little);
}

static void
test_load(void **state)
{
	char path[] = P_tmpdir "/test_pubkey.XXXXXX";
	uint8_t much[PUBKEY_FILE_MAX] = { 0 };
	int fd = mkstemp(path);
	struct pubkey k;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	assert_int_equal(pubkey_load(&k, path, err, sizeof(err)), 0);
	assert_string_equal(k.comment, "alice@example");
	pubkey_free(&k);
	assert_int_equal(write(fd, much, sizeof(much)), sizeof(much));
	assert_int_equal(pubkey_load(&k, path, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "too long"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pubkey_load(&k, path, err, sizeof(err)), -1);
	assert_non_null(strstr(err, path));
	assert_int_equal(pubkey_load(&k, P_tmpdir, err, sizeof(err)), -1);
	assert_int_equal(close(fd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_and_extended),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_format_refuses),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
