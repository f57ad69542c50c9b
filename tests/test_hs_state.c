/*
 * common/hs*.c, the state machine and the form of its messages: every step at
 * every moment but its own, and every message cut, prolonged, or with a byte in
 * it that belongs to none of its fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <unistd.h>

#include <cmocka.h>

#include "hs_ends.h"

static struct bytes seal, wd;
static struct buf server_sig = BUF_INIT(RSA_OUT_MAX);
static struct buf client_sig = BUF_INIT(RSA_OUT_MAX);
static const struct hs_ticket ticket = { .suite = HS_SUITE_X25519 };

/* ---- every step, with what it is given when all goes well ------------------- */

/* What was read or 0; an end that reads gives msg, others fill it. */
typedef int step_fn(struct hs *, struct buf *msg);

static int
s_read_ch(struct hs *hs, struct buf *msg)
{
	return hs_server_read_ch(hs, buf_bytes(msg), server_hash, false) ==
	    HS_OK ? 0 : -1;
}

static int
s_make_sh(struct hs *hs, struct buf *msg)
{
	return hs_server_make_sh(hs, random_s, msg);
}

static int
s_make_sa(struct hs *hs, struct buf *msg)
{
	return hs_server_make_sa(hs, buf_bytes(&server_spki), seal,
	    buf_bytes(&server_sig), msg);
}

static int
s_read_ca(struct hs *hs, struct buf *msg)
{
	struct hs_ca ca;

	return hs_server_read_ca(hs, buf_bytes(msg), &ca);
}

static int
s_make_kw(struct hs *hs, struct buf *msg)
{
	return hs_server_make_kw(hs, msg);
}

static int
s_read_cc(struct hs *hs, struct buf *msg)
{
	return hs_server_read_cc(hs, buf_bytes(msg));
}

static int
c_make_ch(struct hs *hs, struct buf *msg)
{
	return hs_client_make_ch(hs, random_c, server_hash, msg);
}

static int
c_read_sh(struct hs *hs, struct buf *msg)
{
	return hs_client_read_sh(hs, buf_bytes(msg));
}

static int
c_read_sa(struct hs *hs, struct buf *msg)
{
	struct hs_sa sa;

	return hs_client_read_sa(hs, buf_bytes(msg), &sa);
}

static int
c_trust(struct hs *hs, struct buf *msg)
{
	(void)msg;
	return hs_client_trust(hs, server_hash);
}

static int
c_make_ca(struct hs *hs, struct buf *msg)
{
	return hs_client_make_ca(hs, buf_bytes(&client_spki),
	    buf_bytes(&wrap_spki), buf_bytes(&client_sig), msg);
}

static int
c_read_kw(struct hs *hs, struct buf *msg)
{
	struct bytes ct;

	return hs_client_read_kw(hs, buf_bytes(msg), &ct);
}

static int
c_finish(struct hs *hs, struct buf *msg)
{
	(void)msg;
	return hs_client_finish(hs, wd.p);
}

static int
c_make_cc(struct hs *hs, struct buf *msg)
{
	return hs_client_make_cc(hs, msg);
}

/* Of a resumption: there is no handshake of it here, so none may go well. */
static int
s_resume(struct hs *hs, struct buf *msg)
{
	(void)msg;
	return hs_server_resume(hs, ticket.psk);
}

static int
s_make_sf(struct hs *hs, struct buf *msg)
{
	return hs_server_make_sf(hs, msg);
}

static int
s_read_cf(struct hs *hs, struct buf *msg)
{
	return hs_server_read_cf(hs, buf_bytes(msg));
}

static int
c_resume(struct hs *hs, struct buf *msg)
{
	(void)msg;
	return hs_client_resume(hs, &ticket);
}

static int
c_read_sf(struct hs *hs, struct buf *msg)
{
	return hs_client_read_sf(hs, buf_bytes(msg));
}

static int
c_make_cf(struct hs *hs, struct buf *msg)
{
	return hs_client_make_cf(hs, msg);
}

static const struct step {
	enum hs_state	state;
	step_fn		*take;
	int		msg;		/* what it reads, or -1 */
	int		at;		/* both ends are before this flight */
} steps[] = {
	{ HS_S_READ_CH, s_read_ch, F_CH, F_CH },
	{ HS_S_MAKE_SH, s_make_sh, -1, -1 },
	{ HS_S_MAKE_SA, s_make_sa, -1, F_SA },
	{ HS_S_READ_CA, s_read_ca, F_CA, F_CA },
	{ HS_S_MAKE_KW, s_make_kw, -1, -1 },
	{ HS_S_READ_CC, s_read_cc, F_CC, F_CC },
	{ HS_C_MAKE_CH, c_make_ch, -1, F_CH },
	{ HS_C_READ_SH, c_read_sh, F_SH, F_SH },
	{ HS_C_READ_SA, c_read_sa, F_SA, F_SA },
	{ HS_C_TRUST, c_trust, -1, -1 },
	{ HS_C_MAKE_CA, c_make_ca, -1, F_CA },
	{ HS_C_READ_KW, c_read_kw, F_KW, F_KW },
	{ HS_C_FINISH, c_finish, -1, -1 },
	{ HS_C_MAKE_CC, c_make_cc, -1, -1 },
	{ HS_S_MAKE_SH, s_resume, -1, -1 },
	{ HS_S_MAKE_SF, s_make_sf, -1, -1 },
	{ HS_S_READ_CF, s_read_cf, F_CC, -1 },
	{ HS_C_MAKE_CH, c_resume, -1, F_CH },
	{ HS_C_READ_SF, c_read_sf, F_CC, -1 },
	{ HS_C_MAKE_CF, c_make_cf, -1, -1 }
};
#define STEPS	(sizeof(steps) / sizeof(steps[0]))

static bool
is_client(const struct step *s)
{
	return s->state >= HS_C_MAKE_CH;
}

/* An end at some point of the handshake, for this side. */
static struct hs
end_at(const struct step *s, int f)
{
	return fork_hs(is_client(s) ? &c_at[f] : &s_at[f]);
}

/* One step; what it says, and what it would send. */
static int
take(const struct step *s, struct hs *hs, size_t *sent)
{
	struct buf b = BUF_INIT(HS_FLIGHT_MAX);
	int rv;

	if (s->msg != -1)
		buf_put(&b, flight[s->msg].p, flight[s->msg].n);
	rv = s->take(hs, &b);
	*sent = s->msg == -1 ? b.n : 0;
	buf_free(&b);
	return rv;
}

/* Each step goes well at its time, or the next test would show nothing. */
static void
in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		size_t sent;
		struct hs hs;

		if (steps[i].at == -1)
			continue;
		hs = end_at(&steps[i], steps[i].at);
		assert_int_equal(hs.state, steps[i].state);
		assert_int_equal(take(&steps[i], &hs, &sent), 0);
		hs_free(&hs);
	}
}

/* Whatever both ends know, and whatever state they are in: one step alone. */
static void
out_of_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < STEPS; i++)
		for (int f = 0; f < F_COUNT; f++)
			for (int st = HS_DEAD; st <= HS_DONE; st++) {
				struct hs hs;
				size_t sent;

				if (st == (int)steps[i].state)
					continue;
				hs = end_at(&steps[i], f);
				hs.state = st;
				assert_int_equal(take(&steps[i], &hs, &sent),
				    -1);
				assert_int_equal(sent, 0);
				assert_string_equal(hs.why,
				    "handshake step out of order");
				assert_int_equal(hs.state, HS_DEAD);
				hs_free(&hs);
			}
}

/* ---- the form of each message ------------------------------------------------- */

/* Give step s these bytes, in an allocation of just that size. */
static int
read_exactly(const struct step *s, const uint8_t *p, size_t n)
{
	struct hs hs = end_at(s, s->at);
	struct buf b = BUF_INIT(HS_FLIGHT_MAX + 1);
	int rv;

	if ((b.p = malloc(n > 0 ? n : 1)) == NULL)
		abort();
	memcpy(b.p, p, n);
	b.n = b.cap = n;
	rv = s->take(&hs, &b);
	hs_free(&hs);
	free(b.p);
	return rv;
}

static void
cut_and_longer(void **state)
{
	uint8_t copy[HS_FLIGHT_MAX + 1];

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		const struct step *s = &steps[i];
		size_t n;

		if (s->msg == -1 || s->at == -1)
			continue;
		n = flight[s->msg].n;
		memcpy(copy, flight[s->msg].p, n);
		copy[n] = 0;
		assert_int_equal(read_exactly(s, copy, n), 0);
		assert_int_equal(read_exactly(s, copy, n + 1), -1);
		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(read_exactly(s, copy, cut), -1);
	}
}

/*
 * One byte more in message number k of a flight, which the header counts.  A MAC
 * that comes first tells nothing of what is behind it.
 */
static int
read_with_more(const struct step *s, int k)
{
	struct buf b = BUF_INIT(HS_FLIGHT_MAX + 1);
	struct bytes f = buf_bytes(&flight[s->msg]);
	int rv;

	for (size_t at = 0; at < f.n; k--) {
		size_t n = HS_MSG_HDR + get_be16(f.p + at + 2);

		assert_true(n <= f.n - at);
		buf_put(&b, f.p + at, n);
		if (k == 0) {
			put_be16(b.p + b.n - n + 2,
			    (uint16_t)(n - HS_MSG_HDR + 1));
			buf_u8(&b, 0);
		}
		at += n;
	}
	rv = read_exactly(s, b.p, b.n);
	buf_free(&b);
	return rv;
}

static void
more_inside(void **state)
{
	static const struct step kw = { HS_C_READ_KW, c_read_kw, F_KW, F_KW };
	static const struct step cc = { HS_S_READ_CC, s_read_cc, F_CC, F_CC };

	(void)state;
	assert_int_equal(read_with_more(&kw, -1), 0);
	assert_int_equal(read_with_more(&kw, 0), -1);
	assert_int_equal(read_with_more(&kw, 1), -1);
	assert_int_equal(read_with_more(&cc, -1), 0);
	assert_int_equal(read_with_more(&cc, 0), -1);
}

/* The same in CA and CF, which are MACed well. */
static const char *
server_on_ca(size_t in_ca, size_t in_cf)
{
	struct hs s = fork_hs(&s_at[F_CA]), c = fork_hs(&c_at[F_CA]);
	struct bytes none = { NULL, 0 };
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	struct hs_ca ca;
	const char *why;
	size_t start;

	start = hs_msg_begin(&f, HS_CA);
	buf_v16(&f, buf_bytes(&client_spki));
	buf_v16(&f, buf_bytes(&wrap_spki));
	buf_v16(&f, none);
	buf_v16(&f, buf_bytes(&client_sig));
	buf_zero(&f, in_ca);
	assert_int_equal(hs_msg_end(&c, &f, start), 0);
	start = f.n;
	assert_int_equal(hs_make_mac(&c, &f, HS_CF, c.c_hs, "finished"), 0);
	buf_zero(&f, in_cf);
	put_be16(f.p + start + 2, (uint16_t)(HASH_LEN + in_cf));
	why = hs_server_read_ca(&s, buf_bytes(&f), &ca) == 0 ? "taken" : s.why;
	buf_free(&f);
	hs_free(&s);
	hs_free(&c);
	return why;
}

static void
more_in_ca(void **state)
{
	(void)state;
	assert_string_equal(server_on_ca(0, 0), "taken");
	assert_string_equal(server_on_ca(1, 0), "CA: malformed");
	assert_string_equal(server_on_ca(0, 1), "CA: malformed flight");
}

/* What does not fit into a message is not sent. */
static void
too_large(void **state)
{
	static const uint8_t fill[RSA_SPKI_MAX + RSA_OUT_MAX + CERT_USER_MAX];
	struct bytes spki = buf_bytes(&client_spki);
	struct bytes wrap = buf_bytes(&wrap_spki);
	struct bytes sig = buf_bytes(&client_sig);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct buf f = BUF_INIT(4 * HS_FLIGHT_MAX);
		struct hs c = fork_hs(&c_at[F_CA]);

		if (i == 4)
			hs_client_cert(&c, bytes_of(fill, CERT_USER_MAX + 1));
		assert_int_equal(hs_client_make_ca(&c,
		    i == 1 ? bytes_of(fill, RSA_SPKI_MAX + 1) : spki,
		    i == 2 ? bytes_of(fill, RSA_SPKI_MAX + 1) : wrap,
		    i == 3 ? bytes_of(fill, RSA_OUT_MAX + 1) : sig, &f),
		    i == 0 ? 0 : -1);
		if (i > 0) {
			assert_int_equal(f.n, 0);
			assert_string_equal(c.why,
			    "CA: keys or certificate too large");
		}
		hs_free(&c);
		buf_free(&f);
	}
}

static void
just_fits(void **state)
{
	static const uint8_t fill[RSA_SPKI_MAX + RSA_OUT_MAX + CERT_USER_MAX];
	struct buf f = BUF_INIT(4 * HS_FLIGHT_MAX);
	struct hs c = fork_hs(&c_at[F_CA]);

	(void)state;
	hs_client_cert(&c, bytes_of(fill, CERT_USER_MAX));
	assert_int_equal(hs_client_make_ca(&c, bytes_of(fill, RSA_SPKI_MAX),
	    bytes_of(fill, RSA_SPKI_MAX), bytes_of(fill, RSA_OUT_MAX), &f), 0);
	hs_free(&c);
	buf_free(&f);
}

/* Whether a process that asks for these suites goes on. */
static bool
has_suites(uint8_t lowest, uint8_t highest)
{
	pid_t pid = fork();
	int status;

	assert_true(pid != -1);
	if (pid == 0) {
		struct hs hs;

		(void)close(STDERR_FILENO);
		hs_client_init(&hs, 0);
		hs_suites(&hs, lowest, highest);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

static void
suites(void **state)
{
	const uint8_t low = HS_SUITE_X25519, best = HS_SUITE_BEST;

	(void)state;
	assert_true(has_suites(low, best));
	assert_false(has_suites((uint8_t)(low - 1), best));
	assert_false(has_suites(low, (uint8_t)(best + 1)));
	assert_false(has_suites((uint8_t)(best + 1), best));
}

static int
group_setup(void **state)
{
	(void)setup_keys(state);
	(void)setup_s1(state);
	seal = bytes_of(seal_key, HS_SEAL);
	wd = bytes_of(live_wd, HASH_LEN);
	sign_server(&s_at[F_SA], seal, &server_sig);
	sign_client(&c_at[F_CA], &client_sig);
	return 0;
}

static int
group_teardown(void **state)
{
	buf_free(&server_sig);
	buf_free(&client_sig);
	return teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(out_of_order),
		cmocka_unit_test(cut_and_longer),
		cmocka_unit_test(more_inside),
		cmocka_unit_test(more_in_ca),
		cmocka_unit_test(too_large),
		cmocka_unit_test(just_fits),
		cmocka_unit_test(suites)
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
