/* common/kdf.c and common/msgmac.c against public and recorded answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kdf.h"
#include "msgmac.h"
#include "vectors.h"

#define FILE_KDF	"tests/vectors/kdf.txt"

static void
assert_hex(const void *p, size_t n, const char *want)
{
	char got[2 * 128 + 1];

	assert_true(n <= 128);
	hex_encode(got, p, n);
	assert_string_equal(got, want);
}

static void
test_sha256(void **state)
{
	uint8_t out[HASH_LEN], again[HASH_LEN];
	const struct bytes part[] = {
		bytes_str("a"), { NULL, 0 }, bytes_str("bc")
	};

	(void)state;
	sha256(out, bytes_str("abc"));	/* FIPS 180-4 example */
	assert_hex(out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
	sha256v(again, part, 3);
	assert_memory_equal(out, again, sizeof(out));
	sha256(out, bytes_of(NULL, 0));
	assert_hex(out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855");
}

static void
test_hmac(void **state)
{
	uint8_t out[HASH_LEN], key[131];
	const struct bytes part[] = {
		bytes_str("what do ya want "), bytes_str("for nothing?")
	};

	(void)state;
	hmac_sha256v(out, bytes_str("Jefe"), part, 2);	/* RFC 4231, case 2 */
	assert_hex(out, sizeof(out), "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));			/* case 6 */
	hmac_sha256(out, bytes_of(key, sizeof(key)), bytes_str(
	    "Test Using Larger Than Block-Size Key - Hash Key First"));
	assert_hex(out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54");
	/* An empty key right after another one must not be that one. */
	hmac_sha256(out, bytes_of(NULL, 0), bytes_of(NULL, 0));
	assert_hex(out, sizeof(out), "b613679a0814d9ec772f95d778c35fc5"
	    "ff1697c493715653c6c712144292c5ad");
}

static void
test_rfc5869(void **state)
{
	uint8_t ikm[80], salt[80], info[80], prk[HASH_LEN], okm[82];

	(void)state;
	memset(ikm, 0x0b, 22);				/* A.1 */
	for (uint8_t i = 0; i < 13; i++)
		salt[i] = i;
	for (uint8_t i = 0; i < 10; i++)
		info[i] = (uint8_t)(0xf0 + i);
	kdf_extract(bytes_of(salt, 13), bytes_of(ikm, 22), prk);
	assert_hex(prk, sizeof(prk), "077709362c2e32df0ddc3f0dc47bba63"
	    "90b6c73bb50f9c3122ec844ad7c2b3e5");
	kdf_expand(okm, 42, prk, bytes_of(info, 10));
	assert_hex(okm, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c"
	    "5db02d56ecc4c5bf34007208d5b887185865");

	for (uint8_t i = 0; i < 80; i++) {		/* A.2 */
		ikm[i] = i;
		salt[i] = (uint8_t)(0x60 + i);
		info[i] = (uint8_t)(0xb0 + i);
	}
	kdf_extract(bytes_of(salt, 80), bytes_of(ikm, 80), prk);
	kdf_expand(okm, 82, prk, bytes_of(info, 80));
	assert_hex(okm, 82, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8"
	    "a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8"
	    "367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");

	memset(ikm, 0x0b, 22);				/* A.3 */
	kdf_extract(bytes_of(NULL, 0), bytes_of(ikm, 22), prk);
	assert_hex(prk, sizeof(prk), "19ef24a32c717b167f33a91d6f648bdf"
	    "96596776afdb6377ac434c1c293ccb04");
	kdf_expand(okm, 42, prk, bytes_of(NULL, 0));
	assert_hex(okm, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e"
	    "c3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* The HkdfLabel structure, written out by hand. */
static void
test_xl_layout(void **state)
{
	static const uint8_t info[] = {
		0, 12, 6, 'c', 'l', '1', ' ', 'i', 'v', 3, 7, 8, 9
	};
	uint8_t secret[HASH_LEN], got[12], want[12];

	(void)state;
	memset(secret, 0x42, sizeof(secret));
	kdf_expand(want, sizeof(want), secret, bytes_of(info, sizeof(info)));
	kdf_xl(got, sizeof(got), secret, "iv", bytes_of(info + 10, 3));
	assert_memory_equal(got, want, sizeof(got));
	kdf_xl(secret, sizeof(got), secret, "iv", bytes_of(info + 10, 3));
	assert_memory_equal(secret, want, sizeof(want));
}

static void
test_xl_recorded(void **state)
{
	static const struct {
		const char *name, *label;
		bool context;
		size_t n;
	} row[] = {
		{ "xl_c_hs", "c hs", true, 32 },
		{ "xl_s_hs", "s hs", true, 32 },
		{ "xl_wrap", "wrap", true, 32 },
		{ "xl_c_ap", "c ap", true, 32 },
		{ "xl_s_ap", "s ap", true, 32 },
		{ "xl_exporter", "exporter", true, 32 },
		{ "xl_resumption", "resumption", true, 32 },
		{ "xl_msgmac", "msgmac", true, 32 },
		{ "xl_derived", "derived", false, 32 },
		{ "xl_finished", "finished", false, 32 },
		{ "xl_s_fin2", "s fin2", false, 32 },
		{ "xl_c_fin2", "c fin2", false, 32 },
		{ "xl_key", "key", false, 32 },
		{ "xl_upd", "upd", false, 32 },
		{ "xl_iv", "iv", false, 12 },
		{ "xl_long", "key", true, 100 }
	};
	struct bytes secret = vector_get(FILE_KDF, "secret");
	struct bytes context = vector_get(FILE_KDF, "context"), want;
	uint8_t got[100];

	(void)state;
	assert_int_equal(secret.n, HASH_LEN);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		want = vector_get(FILE_KDF, row[i].name);
		assert_int_equal(want.n, row[i].n);
		kdf_xl(got, row[i].n, secret.p, row[i].label,
		    row[i].context ? context : bytes_of(NULL, 0));
		assert_memory_equal(got, want.p, want.n);
		vector_free(want);
	}
	vector_free(secret);
	vector_free(context);
}

static void
test_msgmac(void **state)
{
	struct bytes secret = vector_get(FILE_KDF, "secret");
	struct bytes mac1 = vector_get(FILE_KDF, "mac_1");
	struct bytes mac2 = vector_get(FILE_KDF, "mac_2");
	struct msgmac m, peer;
	uint8_t bad[HASH_LEN];

	(void)state;
	msgmac_init(&m, secret.p, MSGMAC_TO_CLIENT);
	msgmac_next(&m, bytes_str("abc"));
	assert_int_equal(m.i, 1);
	assert_memory_equal(m.mac, mac1.p, HASH_LEN);
	msgmac_next(&m, bytes_of(NULL, 0));
	assert_int_equal(m.i, 2);
	assert_memory_equal(m.mac, mac2.p, HASH_LEN);

	msgmac_init(&peer, secret.p, MSGMAC_TO_CLIENT);
	assert_int_equal(msgmac_check(&peer, bytes_str("abd"), mac1.p), -1);
	memcpy(bad, mac1.p, sizeof(bad));
	bad[31] ^= 1;
	assert_int_equal(msgmac_check(&peer, bytes_str("abc"), bad), -1);
	/* A failed check leaves the chain where it was. */
	assert_int_equal(peer.i, 0);
	assert_int_equal(msgmac_check(&peer, bytes_str("abc"), mac1.p), 0);
	/* Not twice, and not in the other direction. */
	assert_int_equal(msgmac_check(&peer, bytes_str("abc"), mac1.p), -1);
	assert_int_equal(msgmac_check(&peer, bytes_of(NULL, 0), mac2.p), 0);
	msgmac_init(&peer, secret.p, MSGMAC_TO_SERVER);
	assert_int_equal(msgmac_check(&peer, bytes_str("abc"), mac1.p), -1);
	msgmac_free(&peer);
	msgmac_free(&m);
	vector_free(secret);
	vector_free(mac1);
	vector_free(mac2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_rfc5869),
		cmocka_unit_test(test_xl_layout),
		cmocka_unit_test(test_xl_recorded),
		cmocka_unit_test(test_msgmac)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
