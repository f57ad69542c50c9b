#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "password.h"

static const struct bytes none = { NULL, 0 };

/* By Python's hashlib and hmac. */
#define WHAT	\
    "6c6a3774b4ca9278ede25ab73cf8eb9107ab4d525ca22e0fe0aeb15952777841"
#define PROOF	\
    "89d0ecb325e06d928a0cbfdd9b7fa8d9f38a143eb747a4f4a8fea4d735748fa3"
#define EXPORT	\
    "0b4988c304b5afd80c6d4ad397ee30c8596633f0e226d03ac5e4ac842474bab8"

static void
rule(void **state)
{
	static const struct {
		const char		*pw, *user;
		enum password_fault	 fault;
	} t[] = {
		{ "correct horse battery", "alice", PASSWORD_GOOD },
		{ "n3e7 wqp 84k", "alice", PASSWORD_GOOD },
		{ "n3e7 wqp 84", "alice", PASSWORD_SHORT },
		{ "", "alice", PASSWORD_SHORT },
		{ "\xc3\xa9t\xc3\xa9 \xc3\xa0 la pl", "alice", PASSWORD_SHORT },
		{ "\xc3\xa9t\xc3\xa9 \xc3\xa0 la plage", "alice",
		    PASSWORD_GOOD },
		{ "\xff\xfe text of some sort", "alice", PASSWORD_TEXT },
		{ "alicealicealice", "alice", PASSWORD_NAME },
		{ "Alice!wx79 kQz", "alice", PASSWORD_NAME },
		{ "Alice!wx79 kQzB41", "alice", PASSWORD_GOOD },
		{ "administrators", "administrators", PASSWORD_NAME },
		{ "bobsleigh wins 7", "bo", PASSWORD_GOOD },
		{ "aaaaaaaaaaaaaaaa", "alice", PASSWORD_PLAINLY },
		{ "abcdefghijklmnop", "alice", PASSWORD_PLAINLY },
		{ "1234567890123456", "alice", PASSWORD_PLAINLY },
		{ "9876543210987", "alice", PASSWORD_PLAINLY },
		{ "w7k!w7k!w7k!w7k!", "alice", PASSWORD_PLAINLY },
		{ "PasswordPassword", "alice", PASSWORD_KNOWN },
		{ "Password2024!!", "alice", PASSWORD_KNOWN },
		{ "qwertyuiop123", "alice", PASSWORD_KNOWN },
		{ "correcthorsebatterystaple", "alice", PASSWORD_KNOWN },
		{ "password of my own kind", "alice", PASSWORD_GOOD },
	};
	char longest[PASSWORD_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (password_judge(bytes_str(t[i].pw), bytes_str(t[i].user)) !=
		    t[i].fault)
			fail_msg("\"%s\" of %s is judged %d", t[i].pw,
			    t[i].user, password_judge(bytes_str(t[i].pw),
			    bytes_str(t[i].user)));
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = (char)('!' + i * 37 % 90);
	assert_int_equal(password_judge(bytes_of(longest, PASSWORD_MAX),
	    bytes_str("alice")), PASSWORD_GOOD);
	assert_int_equal(password_judge(bytes_of(longest, PASSWORD_MAX + 1),
	    bytes_str("alice")), PASSWORD_LONG);
	for (int f = PASSWORD_GOOD + 1; f < PASSWORD_FAULTS; f++)
		assert_non_null(password_fault_text((enum password_fault)f));
	assert_null(password_fault_text(PASSWORD_GOOD));
	assert_null(password_fault_text((enum password_fault)200));
}

static void
sealed(void **state)
{
	uint8_t pub[HPKE_KEY], box[PASSWORD_SEALED], plain[PASSWORD_PLAIN];
	uint8_t info[PASSWORD_INFO], other[PASSWORD_INFO], h[3][HASH_LEN];
	EVP_PKEY *key = hpke_keygen(NULL, pub);
	struct bytes pw, fresh;
	char longest[PASSWORD_MAX + 1];

	(void)state;
	memset(h, 1, sizeof(h));
	memset(longest, 'x', sizeof(longest));
	password_info(info, PASSWORD_ENROL, h[0], h[1], h[2]);
	assert_int_equal(password_seal(box, pub, info, bytes_str("one"),
	    bytes_str("another")), 0);
	assert_int_equal(password_open(plain, key, pub,
	    bytes_of(info, sizeof(info)), bytes_of(box, sizeof(box)), &pw,
	    &fresh), 0);
	assert_true(bytes_eq(pw, bytes_str("one")));
	assert_true(bytes_eq(fresh, bytes_str("another")));
	/* Each part of info counts. */
	for (size_t i = 0; i < PASSWORD_INFO; i++) {
		memcpy(other, info, sizeof(other));
		other[i] ^= 1;
		assert_int_equal(password_open(plain, key, pub,
		    bytes_of(other, sizeof(other)), bytes_of(box, sizeof(box)),
		    &pw, &fresh), -1);
	}
	assert_int_equal(password_open(plain, key, pub,
	    bytes_of(info, sizeof(info)), bytes_of(box, sizeof(box) - 1), &pw,
	    &fresh), -1);
	assert_int_equal(password_seal(box, pub, info,
	    bytes_of(longest, PASSWORD_MAX), bytes_of(longest, PASSWORD_MAX)),
	    0);
	assert_int_equal(password_open(plain, key, pub,
	    bytes_of(info, sizeof(info)), bytes_of(box, sizeof(box)), &pw,
	    &fresh), 0);
	assert_int_equal(pw.n, PASSWORD_MAX);
	assert_int_equal(fresh.n, PASSWORD_MAX);
	assert_int_equal(password_seal(box, pub, info,
	    bytes_of(longest, PASSWORD_MAX + 1), none), -1);
	assert_int_equal(password_seal(box, pub, info, none,
	    bytes_of(longest, PASSWORD_MAX + 1)), -1);
	EVP_PKEY_free(key);
}

/* What opens but is not laid out as it must be. */
static void
malformed(void **state)
{
	static const uint8_t zero[PASSWORD_PLAIN];
	uint8_t pub[HPKE_KEY], box[PASSWORD_SEALED], plain[PASSWORD_PLAIN];
	uint8_t info[PASSWORD_INFO] = { 0 };
	EVP_PKEY *key = hpke_keygen(NULL, pub);
	struct bytes pw, fresh;
	static const struct {
		size_t	at;
		uint8_t	value;
		bool	ok;
	} t[] = {
		{ 0, 0, true }, { 0, 127, true }, { 0, 128, false },
		{ 0, 255, false }, { 1, 128, false }, { 1, 127, true },
		{ 2, 1, false }, { PASSWORD_PLAIN - 1, 1, false }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(plain, 0, sizeof(plain));
		plain[t[i].at] = t[i].value;
		assert_int_equal(hpke_seal(box, pub,
		    bytes_of(info, sizeof(info)), none,
		    bytes_of(plain, sizeof(plain)), NULL), 0);
		assert_int_equal(password_open(plain, key, pub,
		    bytes_of(info, sizeof(info)), bytes_of(box, sizeof(box)),
		    &pw, &fresh), t[i].ok ? 0 : -1);
		if (!t[i].ok)
			assert_memory_equal(plain, zero, sizeof(zero));
	}
	EVP_PKEY_free(key);
}

/* Values that another implementation made from docs/protocol.md. */
static void
values(void **state)
{
	uint8_t h[3][HASH_LEN], out[HASH_LEN], want[HASH_LEN];
	uint8_t info[PASSWORD_INFO], secret[INVITE_SECRET];

	(void)state;
	for (int i = 0; i < 3; i++)
		memset(h[i], i + 1, HASH_LEN);
	memset(secret, 9, sizeof(secret));
	password_info(info, PASSWORD_FACTOR, h[0], h[1], h[2]);
	assert_memory_equal(info, "cl1 password\0\2\1", 15);
	assert_memory_equal(info + 14, h[0], 32);
	assert_memory_equal(info + 46, h[1], 32);
	assert_memory_equal(info + 78, h[2], 32);
	password_what(out, bytes_str("alice"), bytes_str("laptop"),
	    bytes_str("key"));
	assert_int_equal(hex_decode(want, 32, WHAT), 0);
	assert_memory_equal(out, want, 32);
	invite_proof(out, secret, h[0], h[1]);
	assert_int_equal(hex_decode(want, 32, PROOF), 0);
	assert_memory_equal(out, want, 32);
	password_export(out, h[0]);
	assert_int_equal(hex_decode(want, 32, EXPORT), 0);
	assert_memory_equal(out, want, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule),
		cmocka_unit_test(sealed),
		cmocka_unit_test(malformed),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests_name("password", tests, NULL, NULL);
}
