/*
 * common/hs*.c: whole handshakes with live keys, every byte flipped, every step
 * out of order, and what a warm process needs of the system.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include <stdio.h>
#include <unistd.h>

#include <seccomp.h>

#include "hs_ends.h"
#include "warmup.h"

/* A test around a live handshake with that suite. */
#define WITH(test, suite) \
	{ #test " " #suite, test, setup_##suite, teardown_live, NULL }

/* Both ends agree, on secrets that all differ and differ each time. */
static void
test_agree(void **state)
{
	struct hs c = fork_hs(&c_at[F_CC]), s = fork_hs(&s_at[F_CC]), none;
	struct hs_session cs, ss;

	(void)state;
	assert_int_equal(hs_session(&s, &ss), -1);
	assert_int_equal(ss.c_ap[0] | ss.c_ap[31], 0);
	assert_int_equal(hs_server_read_cc(&s, buf_bytes(&flight[F_CC])), 0);
	assert_int_equal(hs_session(&s, &ss), 0);
	assert_int_equal(hs_session(&c, &cs), 0);
	assert_memory_equal(&cs, &ss, sizeof(cs));
	assert_memory_not_equal(cs.c_ap, cs.s_ap, HASH_LEN);
	assert_memory_not_equal(cs.c_ap, s.c_hs, HASH_LEN);
	assert_memory_not_equal(cs.exporter, cs.resumption, HASH_LEN);
	assert_memory_not_equal(cs.msgmac, cs.session_id, HASH_LEN);
	assert_memory_equal(c.client_hash, s.client_hash, HASH_LEN);
	assert_memory_equal(c.wrap_hash, s.wrap_hash, HASH_LEN);
	hs_free(&c);
	hs_free(&s);
	memset(&none, 0, sizeof(none));
	hs_free(&none);
	assert_int_equal(hs_session(&s, &ss), -1);
}

/* Give an altered flight to whoever waits for it; 0 if it was taken. */
static int
deliver(enum flight f, struct bytes b)
{
	struct hs c = fork_hs(&c_at[f]), s = fork_hs(&s_at[f]);
	struct hs_sa sa;
	struct hs_ca ca;
	struct bytes ct;
	int rv = -1;

	switch (f) {
	case F_CH:
		rv = hs_server_read_ch(&s, b, server_hash, true) == HS_OK ?
		    0 : -1;
		break;
	case F_SH:
		/* What is not refused at once gives keys that do not agree. */
		rv = hs_client_read_sh(&c, b);
		if (rv == 0 && !bytes_eq_ct(c.s_hs, s.s_hs, HASH_LEN) &&
		    !bytes_eq_ct(c.c_hs, s.c_hs, HASH_LEN))
			rv = -1;
		break;
	case F_SA:
		rv = hs_client_read_sa(&c, b, &sa);
		break;
	case F_CA:
		rv = hs_server_read_ca(&s, b, &ca);
		break;
	case F_KW:
		/* Even with the Wd that belongs to the true wrapping. */
		rv = hs_client_read_kw(&c, b, &ct);
		if (rv == 0)
			rv = hs_client_finish(&c, live_wd);
		break;
	case F_CC:
		rv = hs_server_read_cc(&s, b);
		break;
	case F_COUNT:
		break;
	}
	hs_free(&c);
	hs_free(&s);
	return rv;
}

/* Every bit of every message. */
static void
test_flip(void **state)
{
	uint8_t copy[HS_FLIGHT_MAX];
	size_t tries = 0;

	(void)state;
	for (enum flight f = F_CH; f < F_COUNT; f++) {
		memcpy(copy, flight[f].p, flight[f].n);
		for (size_t bit = 0; bit < flight[f].n * 8; bit++) {
			copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(deliver(f, bytes_of(copy,
			    flight[f].n)), -1);
			copy[bit / 8] = flight[f].p[bit / 8];
		}
		tries += flight[f].n * 8;
		assert_int_equal(deliver(f, buf_bytes(&flight[f])), 0);
	}
	printf("count attack 7: %zu messages with a bit flipped, 0 accepted\n",
	    tries);
}

static void
test_length(void **state)
{
	uint8_t copy[HS_FLIGHT_MAX];

	(void)state;
	for (enum flight f = F_CH; f < F_COUNT; f++) {
		for (size_t n = 0; n < flight[f].n; n += n < 64 ? 1 : 13)
			assert_int_equal(deliver(f, bytes_of(flight[f].p, n)),
			    -1);
		memcpy(copy, flight[f].p, flight[f].n);
		copy[flight[f].n] = 0;
		assert_int_equal(deliver(f, bytes_of(copy, flight[f].n + 1)),
		    -1);
		/* Another flight in its place, and this one twice. */
		for (enum flight g = F_CH; g < F_COUNT; g++)
			if (g != f)
				assert_int_equal(deliver(f,
				    buf_bytes(&flight[g])), -1);
		if (2 * flight[f].n <= sizeof(copy)) {
			memcpy(copy + flight[f].n, flight[f].p, flight[f].n);
			assert_int_equal(deliver(f, bytes_of(copy,
			    2 * flight[f].n)), -1);
		}
	}
}

/* Every step at every state: only the right one passes, and the others kill. */
static int
take_step(struct hs *hs, int step)
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes spki = buf_bytes(&server_spki), none = { NULL, 0 }, ct;
	struct hs_sa sa;
	struct hs_ca ca;
	int rv = -1;

	switch (step) {
	case HS_S_READ_CH:
		rv = hs_server_read_ch(hs, buf_bytes(&flight[F_CH]),
		    server_hash, false) == HS_OK ? 0 : -1;
		break;
	case HS_S_MAKE_SH:
		rv = hs_server_make_sh(hs, random_s, &out);
		break;
	case HS_S_MAKE_SA:
		rv = hs_server_make_sa(hs, spki, none, none, &out);
		break;
	case HS_S_READ_CA:
		rv = hs_server_read_ca(hs, buf_bytes(&flight[F_CA]), &ca);
		break;
	case HS_S_MAKE_KW:
		rv = hs_server_make_kw(hs, &out);
		break;
	case HS_S_READ_CC:
		rv = hs_server_read_cc(hs, buf_bytes(&flight[F_CC]));
		break;
	case HS_C_MAKE_CH:
		rv = hs_client_make_ch(hs, random_c, server_hash, &out);
		break;
	case HS_C_READ_SH:
		rv = hs_client_read_sh(hs, buf_bytes(&flight[F_SH]));
		break;
	case HS_C_READ_SA:
		rv = hs_client_read_sa(hs, buf_bytes(&flight[F_SA]), &sa);
		break;
	case HS_C_TRUST:
		rv = hs_client_trust(hs, server_hash);
		break;
	case HS_C_MAKE_CA:
		rv = hs_client_make_ca(hs, spki, spki, none, &out);
		break;
	case HS_C_READ_KW:
		rv = hs_client_read_kw(hs, buf_bytes(&flight[F_KW]), &ct);
		break;
	case HS_C_FINISH:
		rv = hs_client_finish(hs, live_wd);
		break;
	case HS_C_MAKE_CC:
		rv = hs_client_make_cc(hs, &out);
		break;
	case HS_S_MAKE_SF:
		rv = hs_server_make_sf(hs, &out);
		break;
	case HS_S_READ_CF:
		rv = hs_server_read_cf(hs, none);
		break;
	case HS_C_READ_SF:
		rv = hs_client_read_sf(hs, none);
		break;
	case HS_C_MAKE_CF:
		rv = hs_client_make_cf(hs, &out);
		break;
	}
	buf_free(&out);
	return rv;
}

static void
steps_from(const struct hs *at)
{
	struct hs_session session;
	struct hs hs;

	for (int step = HS_S_READ_CH; step < HS_DONE; step++) {
		hs = fork_hs(at);
		if (step == at->state) {
			assert_int_equal(take_step(&hs, step), 0);
			assert_true(hs.state > step);
			hs_free(&hs);
			continue;
		}
		assert_int_equal(take_step(&hs, step), -1);
		assert_string_equal(hs.why, "handshake step out of order");
		assert_int_equal(hs_session(&hs, &session), -1);
		/* Now the right one is refused as well. */
		assert_int_equal(take_step(&hs, at->state), -1);
		hs_free(&hs);
	}
}

static void
test_order(void **state)
{
	/* The states between the snapshots: so many right steps further. */
	const struct {
		const struct hs *at;
		int steps;
	} between[] = {
		{ &s_at[F_CH], 1 }, { &s_at[F_CA], 1 }, { &c_at[F_SA], 1 },
		{ &c_at[F_KW], 1 }, { &c_at[F_KW], 2 }
	};
	struct hs hs;

	(void)state;
	for (int f = 0; f < F_COUNT; f++) {
		steps_from(&c_at[f]);
		steps_from(&s_at[f]);
	}
	for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
		hs = fork_hs(between[i].at);
		for (int n = 0; n < between[i].steps; n++)
			assert_int_equal(take_step(&hs, hs.state), 0);
		steps_from(&hs);
		hs_free(&hs);
	}
}

/* A wrapping that does not open ends in the same failure as any other. */
static void
test_implicit_rejection(void **state)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t wd[HASH_LEN];
	struct bytes ct;
	struct hs c;

	(void)state;
	buf_put(&f, flight[F_KW].p, flight[F_KW].n);
	for (size_t i = 0; i < 3; i++) {
		f.p[6 + i] ^= 0x40;
		c = fork_hs(&c_at[F_KW]);
		assert_int_equal(hs_client_read_kw(&c, buf_bytes(&f), &ct), 0);
		unwrap(&c, ct, wd);
		assert_int_equal(hs_client_finish(&c, wd), -1);
		assert_string_equal(c.why, "SF2: wrong");
		hs_free(&c);
		f.p[6 + i] ^= 0x40;
	}
	/* Another label: the exchange is not the one that was signed for. */
	c = fork_hs(&c_at[F_KW]);
	assert_int_equal(hs_client_read_kw(&c, buf_bytes(&f), &ct), 0);
	c.random_s[0] ^= 1;
	unwrap(&c, ct, wd);
	assert_int_equal(hs_client_finish(&c, wd), -1);
	hs_free(&c);
	buf_free(&f);
}

/* What a key holder or worker needs of the system, once it is warm. */
static int
lock_down(void)
{
	static const int allowed[] = {
		SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
		SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(write),
		SCMP_SYS(exit_group)
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rv = ctx == NULL ? -1 : 0;

	for (size_t i = 0; rv == 0 && i < sizeof(allowed) / sizeof(int); i++)
		rv = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	return rv != 0 ? -1 : seccomp_load(ctx);
}

static void
test_warm_sandbox(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	(void)state;
	skip();		/* the sanitizer makes system calls of its own */
#else
	int status;
	pid_t pid;

	(void)state;
	/* In a program of its own, so that no other test has warmed it. */
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)execl("/proc/self/exe", "test_hs", "sandbox", NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

__attribute__((noreturn)) static void
in_sandbox(void)
{
	static const uint8_t label[HASH_LEN];
	struct bytes bad = bytes_str("no key");
	uint8_t w[HASH_LEN], ct[MLKEM_CT], mlkem[MLKEM_KEY];

	crypto_warmup();
	if (lock_down() != 0)
		_exit(3);
	/* Even key generation, and a whole handshake. */
	(void)setup(NULL);
	/* The failing paths must not reach for anything either. */
	rsa_oaep_decrypt(w, wrap_key, label, bad, label);
	if (rsa_pss_verify(server_key, bytes_of(flight[F_CH].p, 384), bad) == 0)
		_exit(4);
	memset(mlkem, 0xff, sizeof(mlkem));
	if (mlkem_encapsulate(bytes_of(mlkem, sizeof(mlkem)), NULL, ct, w) == 0)
		_exit(6);
	server_spki.p[100] ^= 1;
	EVP_PKEY_free(rsa_spki_parse(buf_bytes(&server_spki), RSA_USE_SIGN, 0));
	server_spki.p[80] ^= 1;
	if (rsa_spki_parse(buf_bytes(&server_spki), RSA_USE_SIGN, 0) != NULL)
		_exit(5);
	_exit(0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WITH(test_agree, s1),
		WITH(test_flip, s1),
		WITH(test_length, s1),
		WITH(test_order, s1),
		WITH(test_implicit_rejection, s1),
#if MLKEM_BUILT
		WITH(test_agree, s2),
		WITH(test_flip, s2),
		WITH(test_length, s2),
		WITH(test_order, s2),
		WITH(test_implicit_rejection, s2),
#endif
		cmocka_unit_test(test_warm_sandbox)
	};

	if (argc > 1 && strcmp(argv[1], "sandbox") == 0)
		in_sandbox();
	return cmocka_run_group_tests(tests, setup_keys, teardown_keys);
}
