/* The hasher on a channel, its vault played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "codes.h"
#include "hasher.h"

/*
 * Argon2id, version 0x13, 1 lane, 1024 KiB, 2 passes, 32 bytes, of "correct
 * horse battery" with salt 000102...0f: by pyca/cryptography 48, another
 * implementation (RFC 9106's own example needs 4 lanes, a secret and data).
 */
#define ANSWER	\
    "cb612c1fbd4f1b56550d60b69e8a277ef2b0a4d247f9b6411389fdcd5752f71a"

struct rig {
	struct hasher	 h;
	struct chan	*hasher, *vault;
};

static const struct bytes none = { NULL, 0 };

static void
rig_new(struct rig *r)
{
	int fd[2];

	assert_int_equal(chan_pair(fd, false), 0);
	hasher_init(&r->h, 3);
	r->hasher = chan_new(NULL, fd[0], CH_HASHER_VAULT, END_A,
	    HASHER_VAULT_UP, 0, NULL, NULL, NULL);
	r->vault = chan_new(NULL, fd[1], CH_HASHER_VAULT, END_B,
	    HASHER_VAULT_UP, 0, NULL, NULL, NULL);
}

static void
rig_free(struct rig *r)
{
	chan_free(r->hasher);
	chan_free(r->vault);
	hasher_free(&r->h);
}

/* What the vault sends arrives, and is handled: what was wrong with it. */
static const char *
say(struct rig *r, enum msg_type type, const void *body)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_send(r->vault, type, body, -1), 0);
	assert_int_equal(chan_recv(r->hasher, &m, 1000, &why), 0);
	return hasher_request(&r->h, r->hasher, &m);
}

static void
welcome(struct rig *r)
{
	struct m_vh_welcome w = { .generation = 3 };

	assert_null(say(r, MSG_vh_welcome, &w));
}

static struct m_vh_hash
request(struct rig *r, uint64_t id, const char *pw, const char *fresh)
{
	struct m_vh_hash q = { .id = id, .fresh = fresh != NULL,
	    .memory_kib = ARGON2_MEMORY_MIN, .passes = 2,
	    .user = bytes_str("alice") };

	for (unsigned i = 0; i < sizeof(q.salt); i++)
		q.salt[i] = (uint8_t)i;
	memset(q.info, 5, sizeof(q.info));
	assert_int_equal(password_seal(q.sealed, r->h.seal, q.info,
	    bytes_str(pw), fresh != NULL ? bytes_str(fresh) : none), 0);
	return q;
}

/* Ask, and the result; *hash is what came. */
static enum hashed
hash(struct rig *r, const struct m_vh_hash *q, uint8_t hash[32])
{
	static const uint8_t zero[32];
	const char *why;
	struct msg m;

	assert_null(say(r, MSG_vh_hash, q));
	assert_int_equal(chan_recv(r->vault, &m, 0, &why), 0);
	assert_int_equal(m.type, MSG_hv_hash);
	assert_true(m.u.hv_hash.id == q->id);
	if (m.u.hv_hash.result != HASHED_OK)
		assert_memory_equal(m.u.hv_hash.hash, zero, 32);
	memcpy(hash, m.u.hv_hash.hash, 32);
	return (enum hashed)m.u.hv_hash.result;
}

static void
hello(void **state)
{
	struct rig r;
	const char *why;
	struct msg m;

	(void)state;
	rig_new(&r);
	hasher_hello(&r.h, r.hasher);
	assert_int_equal(chan_recv(r.vault, &m, 0, &why), 0);
	assert_int_equal(m.type, MSG_hv_hello);
	assert_int_equal(m.u.hv_hello.generation, 3);
	assert_memory_equal(m.u.hv_hello.seal, r.h.seal, 32);
	rig_free(&r);
}

static void
hashes(void **state)
{
	uint8_t a[32], b[32], want[32];
	struct m_vh_hash q;
	struct rig r;

	(void)state;
	rig_new(&r);
	welcome(&r);
	q = request(&r, 1, "correct horse battery", NULL);
	assert_int_equal(hash(&r, &q, a), HASHED_OK);
	assert_int_equal(hex_decode(want, 32, ANSWER), 0);
	assert_memory_equal(a, want, 32);
	/* The same as a new one: the hash is that of the password alone. */
	q = request(&r, 2, "something else", "correct horse battery");
	assert_int_equal(hash(&r, &q, b), HASHED_OK);
	assert_memory_equal(a, b, 32);
	q.id = 3;
	q.salt[0] ^= 1;
	assert_int_equal(hash(&r, &q, b), HASHED_OK);
	assert_memory_not_equal(a, b, 32);
	q = request(&r, 4, "correct horse battery", NULL);
	q.passes = 3;
	assert_int_equal(hash(&r, &q, b), HASHED_OK);
	assert_memory_not_equal(a, b, 32);
	q = request(&r, 5, "correct horse battery", NULL);
	q.memory_kib += 8;
	assert_int_equal(hash(&r, &q, b), HASHED_OK);
	assert_memory_not_equal(a, b, 32);
	/* An old one may be weak, a new one not. */
	q = request(&r, 6, "x", NULL);
	assert_int_equal(hash(&r, &q, a), HASHED_OK);
	q = request(&r, 7, "correct horse battery", "x");
	assert_int_equal(hash(&r, &q, a), HASHED_WEAK + PASSWORD_SHORT);
	q = request(&r, 8, "", "alicealicealice");
	assert_int_equal(hash(&r, &q, a), HASHED_WEAK + PASSWORD_NAME);
	rig_free(&r);
}

static void
not_sealed_for_it(void **state)
{
	struct m_vh_hash q;
	struct rig r, other;
	uint8_t h[32];

	(void)state;
	rig_new(&r);
	rig_new(&other);
	welcome(&r);
	q = request(&other, 1, "correct horse battery", NULL);
	assert_int_equal(hash(&r, &q, h), HASHED_SEALED);
	q = request(&r, 2, "correct horse battery", NULL);
	q.info[20] ^= 1;
	assert_int_equal(hash(&r, &q, h), HASHED_SEALED);
	q = request(&r, 3, "correct horse battery", NULL);
	q.sealed[40] ^= 1;
	assert_int_equal(hash(&r, &q, h), HASHED_SEALED);
	q = request(&r, 4, "correct horse battery", NULL);
	memset(q.sealed, 0, sizeof(q.sealed));
	assert_int_equal(hash(&r, &q, h), HASHED_SEALED);
	rig_free(&r);
	rig_free(&other);
}

/* What a hostile vault may not ask: memory and time are bounded. */
static void
bounds(void **state)
{
	struct m_vh_welcome w = { .generation = 2 };
	struct m_vh_hash q;
	struct rig r;
	uint8_t h[32];

	(void)state;
	rig_new(&r);
	q = request(&r, 1, "correct horse battery", NULL);
	assert_non_null(say(&r, MSG_vh_hash, &q));	/* no welcome */
	assert_non_null(say(&r, MSG_vh_welcome, &w));	/* another's */
	welcome(&r);
	w.generation = 3;
	assert_non_null(say(&r, MSG_vh_welcome, &w));	/* a second one */
	q.memory_kib = ARGON2_MEMORY_MAX + 1;
	assert_non_null(say(&r, MSG_vh_hash, &q));
	q.memory_kib = ARGON2_MEMORY_MIN - 1;
	assert_non_null(say(&r, MSG_vh_hash, &q));
	q.memory_kib = ARGON2_MEMORY_MIN;
	q.passes = 0;
	assert_non_null(say(&r, MSG_vh_hash, &q));
	q.passes = ARGON2_PASSES_MAX + 1;
	assert_non_null(say(&r, MSG_vh_hash, &q));
	q.passes = 1;
	q.fresh = 2;
	assert_non_null(say(&r, MSG_vh_hash, &q));
	q.fresh = 0;
	assert_int_equal(hash(&r, &q, h), HASHED_OK);
	assert_non_null(say(&r, MSG_vh_hash, &q));	/* the same id */
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello),
		cmocka_unit_test(hashes),
		cmocka_unit_test(not_sealed_for_it),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests_name("hasher", tests, NULL, NULL);
}
