/*
 * monitor/audit_verify.c with public keys, over several files; other files and
 * full disks in monitor/audit.c.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../monitor/audit.h"
#include "checkpoint.h"
#include "events.h"
#include "kdf.h"

#define LINES	13
#define COVERED	9	/* the last line that a checkpoint covers */

static EVP_PKEY *host, *other;
static const uint8_t key[AUDIT_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t key2[AUDIT_KEY_BYTES] = { 4 };

/* Lines of a log; at[i] is where line i + 1 begins. */
struct log {
	struct buf		b;
	size_t			at[LINES + 1];
	struct audit_chain	chain[LINES + 1];	/* behind i lines */
};

static void
sign(struct checkpoint *cp, EVP_PKEY *k, const struct audit_chain *c)
{
	struct buf tbs = BUF_INIT(CHECKPOINT_TBS_MAX);
	struct buf sig = BUF_INIT(RSA_OUT_MAX), spki = BUF_INIT(RSA_SPKI_MAX);

	memset(cp, 0, sizeof(*cp));
	cp->seq = c->seq;
	cp->time_us = 1700000000000000 + c->seq;
	memcpy(cp->hash, c->prev, sizeof(cp->hash));
	assert_int_equal(rsa_spki_encode(&spki, k), 0);
	rsa_fingerprint(cp->key, buf_bytes(&spki));
	checkpoint_tbs(&tbs, cp);
	assert_int_equal(rsa_pss_sign(&sig, k, buf_bytes(&tbs)), 0);
	memcpy(cp->sig, sig.p, sig.n);
	cp->sig_n = sig.n;
	buf_free(&tbs);
	buf_free(&sig);
	buf_free(&spki);
}

/* Line 5 is a checkpoint of line 4, line 10 one of line COVERED. */
static void
make(struct log *l, const uint8_t *k, EVP_PKEY *signer, const char *user)
{
	char fields[CHECKPOINT_FIELDS_MAX];
	struct checkpoint cp;
	struct audit_chain c;

	buf_init(&l->b, AUDIT_BATCH_MAX);
	audit_chain_init(&c, k);
	for (int i = 0; i < LINES; i++) {
		struct audit_event ev = { .time_us = 1700000000000000,
		    .role = "logger", .pid = 7, .user = user, .event =
		    event_decls[EV_audit_checkpoint].name, .fields = fields };

		l->at[i] = l->b.n;
		l->chain[i] = c;
		if (i == 4 || i == 9) {
			sign(&cp, signer, &c);
			checkpoint_fields(fields, &cp);
		} else {
			ev.role = "storaged";
			ev.event = event_decls[EV_session_end].name;
			(void)snprintf(fields, sizeof(fields), "seconds=%d", i);
		}
		assert_int_equal(audit_line(&c, &ev, &l->b), 0);
	}
	l->at[LINES] = l->b.n;
	l->chain[LINES] = c;
}

static struct log good, foreign;

static struct audit_proof
public(void)
{
	return (struct audit_proof){ .host = &host, .nhost = 1 };
}

static int
verify(const void *p, size_t n, const struct audit_proof *proof,
    struct audit_report *r)
{
	FILE *f = fmemopen((void *)(uintptr_t)p, n, "r");
	int rv;

	assert_non_null(f);
	rv = audit_verify(&f, 1, proof, r);
	(void)fclose(f);
	return rv;
}

static void
assert_bad(const struct buf *b, enum audit_reason why, uint64_t line)
{
	struct audit_proof proof = public();
	struct audit_report r;

	assert_int_equal(verify(b->p, b->n, &proof, &r), 1);
	assert_string_equal(audit_reason_name(r.reason),
	    audit_reason_name(why));
	assert_int_equal(r.line, line);
}

static void
add(struct buf *b, const struct log *l, int line)
{
	buf_put(b, l->b.p + l->at[line - 1], l->at[line] - l->at[line - 1]);
}

static void
test_good(void **state)
{
	struct audit_proof proof = public();
	struct audit_report r;

	(void)state;
	assert_int_equal(verify(good.b.p, good.b.n, &proof, &r), 0);
	assert_int_equal(r.lines, LINES);
	assert_int_equal(r.seq, LINES);
	assert_int_equal(r.checkpoints, 2);
	assert_int_equal(r.signed_seq, COVERED);
	assert_int_equal(r.signed_us, 1700000000000000 + COVERED);
	/* Of two keys, one; with the chain's key as well. */
	proof.host = (EVP_PKEY *[]){ other, host };
	proof.nhost = 2;
	proof.key = key;
	assert_int_equal(verify(good.b.p, good.b.n, &proof, &r), 0);
	assert_int_equal(r.checkpoints, 2);
	/* From the middle, with and without the chain's key. */
	for (int first = 2; first <= LINES; first++) {
		proof.first = (uint64_t)first;
		for (int k = 0; k < 2; k++) {
			proof.key = k ? key : NULL;
			assert_int_equal(verify(good.b.p + good.at[first - 1],
			    good.b.n - good.at[first - 1], &proof, &r), 0);
			assert_int_equal(r.signed_seq,
			    first <= COVERED ? COVERED : 0);
		}
		proof.first--;
		assert_int_equal(verify(good.b.p + good.at[first - 1],
		    good.b.n - good.at[first - 1], &proof, &r), 1);
	}
	/* Another's key. */
	proof = public();
	proof.host = &other;
	assert_int_equal(verify(good.b.p, good.b.n, &proof, &r), 1);
	assert_int_equal(r.reason, AUDIT_FORGED);
	assert_int_equal(r.line, 5);
}

/* Each byte that a checkpoint covers; the edited line is the one named. */
static void
test_every_byte(void **state)
{
	struct audit_proof proof = public();
	struct audit_report r;
	unsigned named = 0, all = 0;
	uint8_t *b = good.b.p;

	(void)state;
	for (int line = 1; line <= COVERED; line++)
		for (size_t i = good.at[line - 1]; i < good.at[line]; i += 7) {
			b[i] ^= 1;
			assert_int_equal(verify(b, good.b.n, &proof, &r), 1);
			b[i] ^= 1;
			assert_true(r.line >= (uint64_t)line - 1 &&
			    r.line <= (uint64_t)line + 1);
			named += r.line == (uint64_t)line;
			all++;
		}
	/* What two neighbours disagree on can be either's. */
	assert_true(named * 100 >= all * 95);
}

static void
test_arrangements(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);

	(void)state;
	for (int line = 1; line <= LINES - 1; line++) {
		buf_reset(&b);			/* dropped */
		for (int i = 1; i <= LINES; i++)
			if (i != line)
				add(&b, &good, i);
		assert_bad(&b, AUDIT_DROPPED, (uint64_t)line);
		buf_reset(&b);			/* exchanged */
		for (int i = 1; i <= LINES; i++)
			add(&b, &good, i == line ? line + 1 :
			    i == line + 1 ? line : i);
		assert_bad(&b, AUDIT_REORDERED, (uint64_t)line);
		buf_reset(&b);			/* repeated */
		for (int i = 1; i <= LINES; i++) {
			add(&b, &good, i);
			if (i == line)
				add(&b, &good, i);
		}
		assert_bad(&b, AUDIT_REORDERED, (uint64_t)line + 1);
	}
	/* Torn. */
	buf_reset(&b);
	buf_put(&b, good.b.p, good.b.n - 1);
	assert_bad(&b, AUDIT_TRUNCATED, LINES);
	/* Behind the last checkpoint a shorter log is a log. */
	{
		struct audit_proof proof = public();
		struct audit_report r;

		assert_int_equal(verify(good.b.p, good.at[10], &proof, &r), 0);
		assert_int_equal(r.signed_seq, COVERED);
		/* Unless it is known how it ended. */
		proof.head = &good.chain[LINES];
		assert_int_equal(verify(good.b.p, good.at[10], &proof, &r), 1);
		assert_int_equal(r.reason, AUDIT_TRUNCATED);
	}
	buf_free(&b);
}

static void
test_splices(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);

	(void)state;
	/* The end of another server's log. */
	for (int line = 2; line <= COVERED; line++) {
		buf_reset(&b);
		for (int i = 1; i <= LINES; i++)
			add(&b, i < line ? &good : &foreign, i);
		assert_bad(&b, AUDIT_SPLICED, (uint64_t)line);
	}
	buf_free(&b);
}

/* The chain rewritten by who can hash, but not sign. */
static void
test_rewritten(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	struct log l;

	(void)state;
	/* Other lines, and the checkpoints of the true ones among them. */
	make(&l, key2, other, "mallory");
	add(&b, &l, 1);
	add(&b, &l, 2);
	assert_int_equal(l.chain[2].seq, 2);
	buf_free(&l.b);
	/* Everything anew but the signatures: they are of other lines. */
	{
		char fields[CHECKPOINT_FIELDS_MAX];
		struct audit_chain c;
		struct checkpoint cp;

		buf_reset(&b);
		audit_chain_init(&c, key2);
		sign(&cp, host, &good.chain[4]);
		checkpoint_fields(fields, &cp);
		for (int i = 0; i < 6; i++) {
			struct audit_event ev = { .role = "logger", .event =
			    event_decls[i == 4 ? EV_audit_checkpoint :
			    EV_session_end].name, .fields = i == 4 ? fields :
			    "seconds=0" };

			assert_int_equal(audit_line(&c, &ev, &b), 0);
		}
		assert_bad(&b, AUDIT_FORGED, 5);
	}
	buf_free(&b);
}

static void
test_bad_checkpoints(void **state)
{
	static const char *const bad[] = { "text=\"none\"", "line=4",
	    "line=4 hash=\"00\" signed_us=1 key=\"00\" sig=\"AAAA\"" };
	struct audit_proof proof = public();
	struct audit_report r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (int role = 0; role < 2; role++) {
			struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
			struct audit_chain c;
			struct audit_event ev = { .role = role ? "logger" :
			    "sessiond", .event =
			    event_decls[EV_audit_checkpoint].name,
			    .fields = bad[i] };

			audit_chain_init(&c, key);
			assert_int_equal(audit_line(&c, &ev, &b), 0);
			/* The logger's word alone is a checkpoint. */
			assert_int_equal(verify(b.p, b.n, &proof, &r), role);
			if (role)
				assert_int_equal(r.reason, AUDIT_FORGED);
			buf_free(&b);
		}
}

/* ---- several files ------------------------------------------------------------ */

static int
verify_two(size_t cut, const struct audit_proof *proof, bool swap,
    struct audit_report *r)
{
	FILE *f[2];
	int rv;

	f[0] = fmemopen(good.b.p, cut, "r");
	f[1] = fmemopen(good.b.p + cut, good.b.n - cut, "r");
	if (swap) {
		FILE *t = f[0];

		f[0] = f[1];
		f[1] = t;
	}
	rv = audit_verify(f, 2, proof, r);
	(void)fclose(f[0]);
	(void)fclose(f[1]);
	return rv;
}

static void
test_files(void **state)
{
	struct audit_proof proof = public();
	struct audit_report r;

	(void)state;
	for (int i = 1; i < LINES; i++) {
		assert_int_equal(verify_two(good.at[i], &proof, false, &r), 0);
		assert_int_equal(r.lines, LINES);
		assert_int_equal(r.file, 1);
		assert_int_equal(r.line, LINES - i);
		assert_int_equal(r.signed_seq, COVERED);
		assert_int_equal(verify_two(good.at[i], &proof, true, &r), 1);
		assert_int_equal(r.file, 0);
		assert_int_equal(r.line, 1);
		/* Cut within a line. */
		assert_int_equal(verify_two(good.at[i] - 3, &proof, false, &r),
		    1);
		assert_int_equal(r.file, 0);
		assert_int_equal(r.line, i);
	}
}

struct files {
	int	log, prev, state;
};

static int
temp(int flags)
{
	char name[] = "/tmp/cloister-audit.XXXXXX";
	int fd = mkostemp(name, flags | O_CLOEXEC);

	assert_true(fd != -1);
	assert_int_equal(unlink(name), 0);
	return fd;
}

static void
append(struct audit_log *l, int n)
{
	struct audit_event ev = { .role = "storaged", .event = "session.end",
	    .fields = "seconds=1" };

	for (int i = 0; i < n; i++)
		assert_int_equal(audit_append(l, &ev), 0);
}

static uint64_t
lines_of(const int *fd, size_t n, const uint8_t *k)
{
	struct audit_proof proof = { .key = k };
	struct audit_report r;
	FILE *f[2] = { NULL, NULL };

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lseek(fd[i], 0, SEEK_SET), 0);
		f[i] = fdopen(dup(fd[i]), "r");
		assert_non_null(f[i]);
	}
	assert_int_equal(audit_verify(f, n, &proof, &r), 0);
	for (size_t i = 0; i < n; i++)
		(void)fclose(f[i]);
	return r.lines;
}

/* The service dies at each step of a change of files. */
static void
test_switch(void **state)
{
	(void)state;
	for (int step = 0; step < 7; step++) {
		int old = temp(O_APPEND), new = temp(O_APPEND), st = temp(0);
		uint8_t k[AUDIT_KEY_BYTES];
		struct audit_report r;
		struct audit_log l;
		int want = AUDIT_RECOVERED, fd[2] = { old, new };

		assert_int_equal(audit_create(st, k), 0);
		assert_int_equal(audit_open(&l, old, -1, st, &r), AUDIT_CLEAN);
		append(&l, 3);
		assert_int_equal(audit_commit(&l), 0);
		/* The new file is there, the state is of the old one ... */
		if (step == 1) {	/* ... which has lines behind it */
			uint8_t was[AUDIT_STATE_BYTES];

			assert_int_equal(pread(st, was, sizeof(was), 0),
			    sizeof(was));
			append(&l, 2);
			assert_int_equal(audit_commit(&l), 0);
			assert_int_equal(pwrite(st, was, sizeof(was), 0),
			    sizeof(was));
		} else if (step == 2)	/* ... the last of them torn */
			assert_int_equal(write(old, "{\"time\":", 8), 8);
		else if (step >= 3) {	/* the switch was made */
			assert_int_equal(audit_switch(&l, new), 0);
			want = AUDIT_CLEAN;
		}
		if (step >= 4) {
			append(&l, 2);
			assert_int_equal(audit_commit(&l), 0);
		}
		if (step == 5) {	/* a torn line in the new one */
			assert_int_equal(write(new, "{", 1), 1);
			want = AUDIT_RECOVERED;
		}
		if (step == 6) {	/* somebody empties the new one */
			assert_int_equal(ftruncate(new, 0), 0);
			want = AUDIT_TAMPERED;
		}
		audit_close(&l);
		assert_int_equal(audit_open(&l, new, old, st, &r), want);
		append(&l, 1);
		assert_int_equal(audit_commit(&l), 0);
		audit_close(&l);
		if (step != 6)
			assert_int_equal(lines_of(fd, 2, k), step == 0 ? 4 :
			    step == 1 ? 6 : step <= 3 ? 4 : 6);
		/* And it is clean the next time. */
		assert_int_equal(audit_open(&l, new, old, st, &r), AUDIT_CLEAN);
		audit_close(&l);
		(void)close(old);
		(void)close(new);
		(void)close(st);
	}
}

/* No room: what was written stays, what was not is counted, and it goes on. */
static void
test_full(void **state)
{
	struct rlimit was, small;
	uint8_t k[AUDIT_KEY_BYTES];
	struct audit_report r;
	struct audit_log l;
	int log = temp(O_APPEND), st = temp(0);
	off_t size;

	(void)state;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(audit_create(st, k), 0);
	assert_int_equal(audit_open(&l, log, -1, st, &r), AUDIT_CLEAN);
	append(&l, 40);		/* more than the state file has */
	assert_int_equal(audit_commit(&l), 0);
	size = lseek(log, 0, SEEK_END);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = (rlim_t)size + 100;	/* part of a line fits */
	assert_true(small.rlim_cur > AUDIT_STATE_BYTES);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 3; i++) {
		append(&l, 2);
		assert_int_equal(audit_commit(&l), -1);
		assert_int_equal(errno, EFBIG);
		assert_int_equal(l.dropped, 2);
		assert_int_equal(lseek(log, 0, SEEK_END), size);
	}
	assert_int_equal(audit_note_lost(&l, 6), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	/* Known to the next start as well. */
	audit_close(&l);
	assert_int_equal(audit_open(&l, log, -1, st, &r), AUDIT_CLEAN);
	assert_int_equal(l.lost, 6);
	append(&l, 1);
	assert_int_equal(audit_commit(&l), 0);
	assert_int_equal(lines_of(&log, 1, k), 41);
	audit_close(&l);
	(void)close(log);
	(void)close(st);
}

static int
setup(void **state)
{
	(void)state;
	host = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	other = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	make(&good, key, host, "alice");
	make(&foreign, key2, other, "bob");
	return host != NULL && other != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(host);
	EVP_PKEY_free(other);
	buf_free(&good.b);
	buf_free(&foreign.b);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_arrangements),
		cmocka_unit_test(test_splices),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_bad_checkpoints),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
