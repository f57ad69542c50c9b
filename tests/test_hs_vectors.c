/*
 * common/hs*.c against tests/vectors/handshake_s1.txt and resume_s1.txt and,
 * where suite 2 is built in, handshake_s2.txt and resume_s2.txt.
 *
 * "test_hs_vectors record SUITE" prints a new handshake file, with keys that it
 * makes and forgets; "test_hs_vectors resume SUITE" a new resume file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hs_ends.h"
#include "vectors.h"

static const char *file;		/* of vectors */

/* Input of the recorded handshake: from the file, or made up for a new one. */
static struct bytes
input(bool record, const char *name)
{
	uint8_t *p;

	if (!record)
		return vector_get(file, name);
	if ((p = malloc(HASH_LEN)) == NULL)
		err(1, NULL);
	sha256(p, bytes_str(name));
	return bytes_of(p, HASH_LEN);
}

/* Output: compared with the file, or printed for a new one. */
static void
output(bool record, const char *name, struct bytes got)
{
	struct bytes want;
	char *hex;

	if (record) {
		if ((hex = malloc(2 * got.n + 1)) == NULL)
			err(1, NULL);
		hex_encode(hex, got.p, got.n);
		(void)printf("%s = %s\n", name, hex);
		free(hex);
		return;
	}
	want = vector_get(file, name);
	if (!bytes_eq(got, want))
		fail_msg("%s differs from the recorded one", name);
	vector_free(want);
}

/* The RSA-dependent public bytes: from the file, or made with live keys. */
static void
opaque(bool record, const char *name, struct buf *b)
{
	struct bytes v;

	if (!record) {
		v = vector_get(file, name);
		buf_reset(b);
		buf_put(b, v.p, v.n);
		vector_free(v);
	}
	output(record, name, buf_bytes(b));
}

static void
output_record(bool record, const char *name, struct record_dir *d,
    const struct buf *f, size_t pad)
{
	struct buf rec = BUF_INIT(RECORD_MAX);

	assert_int_equal(record_seal(d, RECORD_HANDSHAKE, buf_bytes(f), pad,
	    &rec), 0);
	output(record, name, buf_bytes(&rec));
	buf_free(&rec);
}

static void
output_session(bool record, const struct hs *c, const struct hs *s)
{
	struct hs_session cs, ss;

	assert_int_equal(hs_session(c, &cs), 0);
	assert_int_equal(hs_session(s, &ss), 0);
	assert_memory_equal(&cs, &ss, sizeof(cs));
	output(record, "c_ap", bytes_of(cs.c_ap, HASH_LEN));
	output(record, "s_ap", bytes_of(cs.s_ap, HASH_LEN));
	output(record, "exporter", bytes_of(cs.exporter, HASH_LEN));
	output(record, "resumption", bytes_of(cs.resumption, HASH_LEN));
	output(record, "msgmac", bytes_of(cs.msgmac, HASH_LEN));
	output(record, "session_id", bytes_of(cs.session_id, HASH_LEN));
}

/* Everything up to the client's signature. */
static void
recorded_server(bool record, struct hs *c, struct hs *s, struct buf f[F_COUNT])
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), tbs = BUF_INIT(HS_TBS_MAX);
	struct bytes rc = input(record, "random_c"), seal;
	struct bytes rs = input(record, "random_s");
	struct hs_sa sa;

	seal = input(record, "seal");
	output(record, "random_c", rc);
	output(record, "random_s", rs);
	output(record, "seal", seal);
	opaque(record, "server_spki", &server_spki);
	rsa_fingerprint(server_hash, buf_bytes(&server_spki));
	assert_int_equal(hs_client_make_ch(c, rc.p, server_hash, &f[F_CH]), 0);
	output(record, "ch", buf_bytes(&f[F_CH]));
	assert_int_equal(hs_server_read_ch(s, buf_bytes(&f[F_CH]), server_hash,
	    false), HS_OK);
	assert_int_equal(hs_server_make_sh(s, rs.p, &f[F_SH]), 0);
	output(record, "sh", buf_bytes(&f[F_SH]));
	assert_int_equal(hs_client_read_sh(c, buf_bytes(&f[F_SH])), 0);
	output(record, "th_sh", bytes_of(c->th_sh, HASH_LEN));
	output(record, "c_hs", bytes_of(c->c_hs, HASH_LEN));
	output(record, "s_hs", bytes_of(c->s_hs, HASH_LEN));
	hs_tbs_server(&tbs, s->suite, s->random_s, s->th_sh, server_hash, seal);
	output(record, "tbs_server", buf_bytes(&tbs));
	if (record)
		sign_server(s, seal, &sig);
	opaque(record, "server_sig", &sig);
	assert_int_equal(hs_server_make_sa(s, buf_bytes(&server_spki), seal,
	    buf_bytes(&sig), &f[F_SA]), 0);
	output(record, "flight_sa", buf_bytes(&f[F_SA]));
	assert_int_equal(hs_client_read_sa(c, buf_bytes(&f[F_SA]), &sa), 0);
	output(record, "th_sf", bytes_of(c->th_sf, HASH_LEN));
	assert_int_equal(hs_client_trust(c, server_hash), 0);
	vector_free(rc);
	vector_free(rs);
	vector_free(seal);
	buf_free(&sig);
	buf_free(&tbs);
}

/* From there to the end. */
static void
recorded_client(bool record, struct hs *c, struct hs *s, struct hs_fixed *fixed,
    struct buf f[F_COUNT])
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), tbs = BUF_INIT(HS_TBS_MAX);
	struct buf kw = BUF_INIT(RSA_OUT_MAX);
	uint8_t label[HASH_LEN], wd[HASH_LEN];
	struct bytes ct;
	struct hs_ca ca;

	opaque(record, "client_spki", &client_spki);
	opaque(record, "wrap_spki", &wrap_spki);
	tbs_of_client(c, &tbs);
	output(record, "tbs_client", buf_bytes(&tbs));
	if (record)
		sign_client(c, &sig);
	opaque(record, "client_sig", &sig);
	assert_int_equal(hs_client_make_ca(c, buf_bytes(&client_spki),
	    buf_bytes(&wrap_spki), buf_bytes(&sig), &f[F_CA]), 0);
	output(record, "flight_ca", buf_bytes(&f[F_CA]));
	assert_int_equal(hs_server_read_ca(s, buf_bytes(&f[F_CA]), &ca), 0);
	output(record, "th_cf", bytes_of(s->th_cf, HASH_LEN));
	hs_wrap_label(label, s->random_c, s->random_s, s->th_cf);
	output(record, "wrap_label", bytes_of(label, HASH_LEN));
	if (record)
		assert_int_equal(rsa_oaep_encrypt(&kw, wrap_key, label,
		    fixed->w), 0);
	opaque(record, "kw_ct", &kw);
	fixed->kw_ct = buf_bytes(&kw);
	assert_int_equal(hs_server_make_kw(s, &f[F_KW]), 0);
	output(record, "flight_kw", buf_bytes(&f[F_KW]));
	assert_int_equal(hs_client_read_kw(c, buf_bytes(&f[F_KW]), &ct), 0);
	hs_wrap_derive(wd, fixed->w, c->th_cf);
	output(record, "wd", bytes_of(wd, HASH_LEN));
	assert_int_equal(hs_client_finish(c, wd), 0);
	assert_int_equal(hs_client_make_cc(c, &f[F_CC]), 0);
	output(record, "flight_cc", buf_bytes(&f[F_CC]));
	assert_int_equal(hs_server_read_cc(s, buf_bytes(&f[F_CC])), 0);
	buf_free(&sig);
	buf_free(&tbs);
	buf_free(&kw);
}

static void
fixed_input(bool record, const char *name, uint8_t dst[HASH_LEN])
{
	struct bytes v = input(record, name);

	assert_int_equal(v.n, HASH_LEN);
	memcpy(dst, v.p, HASH_LEN);
	output(record, name, v);
	vector_free(v);
}

/* The ephemeral keys of both ends. */
static void
fixed_keys(bool record, uint8_t suite, struct hs_fixed *cf, struct hs_fixed *sf)
{
	fixed_input(record, "eph_c", cf->eph);
	fixed_input(record, "eph_s", sf->eph);
	if (suite == HS_SUITE_HYBRID) {
		fixed_input(record, "mlkem_d", cf->mlkem);
		fixed_input(record, "mlkem_z", cf->mlkem + HASH_LEN);
		fixed_input(record, "mlkem_m", sf->coins);
	}
}

/* The handshake with this suite, by ends that have no better one. */
static void
recorded(bool record, uint8_t suite)
{
	struct buf f[F_COUNT];
	struct hs_fixed cf = { 0 }, sf = { 0 };
	struct record_dir to_s, to_c;
	struct hs c, s;

	for (int i = 0; i < F_COUNT; i++)
		buf_init(&f[i], HS_FLIGHT_MAX);
	fixed_keys(record, suite, &cf, &sf);
	fixed_input(record, "ticket_id", cf.ticket_id);
	fixed_input(record, "binder", cf.binder);
	fixed_input(record, "w", sf.w);
	hs_client_init(&c, 0);
	hs_server_init(&s, 0);
	hs_suites(&c, HS_SUITE_X25519, suite);
	hs_suites(&s, HS_SUITE_X25519, suite);
	hs_fix(&c, &cf);
	hs_fix(&s, &sf);
	recorded_server(record, &c, &s, f);
	recorded_client(record, &c, &s, &sf, f);
	record_dir_init(&to_s, c.c_hs, RECORD_EPOCH_HS);
	record_dir_init(&to_c, s.s_hs, RECORD_EPOCH_HS);
	output_record(record, "record_sa", &to_c, &f[F_SA], 0);
	output_record(record, "record_ca", &to_s, &f[F_CA], HS_CA_PAD);
	output_record(record, "record_kw", &to_c, &f[F_KW], 0);
	output_record(record, "record_cc", &to_s, &f[F_CC], 0);
	output_session(record, &c, &s);
	record_dir_free(&to_s);
	record_dir_free(&to_c);
	hs_free(&c);
	hs_free(&s);
	for (int i = 0; i < F_COUNT; i++)
		buf_free(&f[i]);
}

/* CH, SH, SF, CF between ends that have no better suite. */
static void
resumed(bool record, struct hs *c, struct hs *s, const struct hs_ticket *t,
    struct buf f[4])
{
	uint8_t rc[HASH_LEN], rs[HASH_LEN], hash[HASH_LEN], id[HASH_LEN];

	fixed_input(record, "random_c", rc);
	fixed_input(record, "random_s", rs);
	fixed_input(record, "server_hash", hash);
	assert_int_equal(hs_client_resume(c, t), 0);
	assert_int_equal(hs_client_make_ch(c, rc, hash, &f[0]), 0);
	output(record, "ch", buf_bytes(&f[0]));
	assert_int_equal(hs_server_read_ch(s, buf_bytes(&f[0]), hash, false),
	    HS_OK);
	assert_int_equal(hs_ch_ticket(buf_bytes(&f[0]), id), 0);
	assert_memory_equal(id, t->id, HASH_LEN);
	assert_true(hs_binder_ok(buf_bytes(&f[0]), t->psk));
	assert_int_equal(hs_server_resume(s, t->psk), 0);
	assert_int_equal(hs_server_make_sh(s, rs, &f[1]), 0);
	output(record, "sh", buf_bytes(&f[1]));
	assert_int_equal(hs_client_read_sh(c, buf_bytes(&f[1])), 0);
	output(record, "th_sh", bytes_of(c->th_sh, HASH_LEN));
	output(record, "c_hs", bytes_of(c->c_hs, HASH_LEN));
	output(record, "s_hs", bytes_of(s->s_hs, HASH_LEN));
	assert_int_equal(hs_server_make_sf(s, &f[2]), 0);
	output(record, "flight_sf", buf_bytes(&f[2]));
	assert_int_equal(hs_client_read_sf(c, buf_bytes(&f[2])), 0);
	assert_int_equal(hs_client_make_cf(c, &f[3]), 0);
	output(record, "flight_cf", buf_bytes(&f[3]));
	assert_int_equal(hs_server_read_cf(s, buf_bytes(&f[3])), 0);
	output(record, "th_cf", bytes_of(s->th_cf, HASH_LEN));
}

static void
recorded_resume(bool record, uint8_t suite)
{
	struct buf f[4] = { BUF_INIT(HS_FLIGHT_MAX), BUF_INIT(HS_FLIGHT_MAX),
	    BUF_INIT(HS_FLIGHT_MAX), BUF_INIT(HS_FLIGHT_MAX) };
	struct hs_fixed cf = { 0 }, sf = { 0 };
	struct hs_ticket t = { .suite = suite };
	struct record_dir to_s, to_c;
	uint8_t resumption[HASH_LEN];
	struct hs c, s;

	fixed_keys(record, suite, &cf, &sf);
	fixed_input(record, "before_resumption", resumption);
	fixed_input(record, "ticket_id", t.id);
	hs_ticket_psk(t.psk, resumption, t.id);
	output(record, "psk", bytes_of(t.psk, HASH_LEN));
	hs_client_init(&c, 0);
	hs_server_init(&s, 0);
	hs_suites(&c, HS_SUITE_X25519, suite);
	hs_suites(&s, HS_SUITE_X25519, suite);
	hs_fix(&c, &cf);
	hs_fix(&s, &sf);
	resumed(record, &c, &s, &t, f);
	record_dir_init(&to_s, c.c_hs, RECORD_EPOCH_HS);
	record_dir_init(&to_c, s.s_hs, RECORD_EPOCH_HS);
	output_record(record, "record_sf", &to_c, &f[2], 0);
	output_record(record, "record_cf", &to_s, &f[3], 0);
	output_session(record, &c, &s);
	record_dir_free(&to_s);
	record_dir_free(&to_c);
	hs_free(&c);
	hs_free(&s);
	for (int i = 0; i < 4; i++)
		buf_free(&f[i]);
}

static void
test_resumed_s1(void **state)
{
	(void)state;
	file = "tests/vectors/resume_s1.txt";
	recorded_resume(false, HS_SUITE_X25519);
}

#if MLKEM_BUILT
static void
test_resumed_s2(void **state)
{
	(void)state;
	file = "tests/vectors/resume_s2.txt";
	recorded_resume(false, HS_SUITE_HYBRID);
}
#endif

static void
test_recorded_s1(void **state)
{
	(void)state;
	file = "tests/vectors/handshake_s1.txt";
	recorded(false, HS_SUITE_X25519);
}

#if MLKEM_BUILT
static void
test_recorded_s2(void **state)
{
	(void)state;
	file = "tests/vectors/handshake_s2.txt";
	recorded(false, HS_SUITE_HYBRID);
}
#endif

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_s1),
#if MLKEM_BUILT
		cmocka_unit_test(test_recorded_s2),
		cmocka_unit_test(test_resumed_s2),
#endif
		cmocka_unit_test(test_resumed_s1)
	};

	if (argc > 2 && strcmp(argv[1], "record") == 0) {
		(void)printf("# A handshake with suite %s, as "
		    "docs/protocol.md, Test vectors, explains it.\n", argv[2]);
		(void)setup(NULL);
		recorded(true, (uint8_t)(argv[2][0] - '0'));
		return teardown(NULL);
	}
	if (argc > 2 && strcmp(argv[1], "resume") == 0) {
		(void)printf("# A resumption with suite %s, as "
		    "docs/protocol.md, Test vectors, explains it.\n", argv[2]);
		recorded_resume(true, (uint8_t)(argv[2][0] - '0'));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
