/*
 * The audit log as an attacker left it: only what the logger wrote verifies, and
 * the logger goes on behind anything.
 */
#include "fuzz.h"

#include "../monitor/audit.h"
#include "../monitor/audit_chain.h"
#include "checkpoint.h"
#include "events.h"

#define LINES	4

static const uint8_t initial[AUDIT_KEY_BYTES] = "the initial key";
static struct buf genuine = BUF_INIT(65536);	/* LINES lines */
static struct audit_chain head;
static size_t head_bytes;			/* of genuine without the last */
static EVP_PKEY *host;
static struct buf is_signed = BUF_INIT(65536);	/* genuine, a checkpoint */
static int log_fd, state_fd;
static uint8_t fresh[AUDIT_STATE_BYTES];	/* the state of an empty log */
static uint8_t fresh_key[AUDIT_KEY_BYTES];

/* The same lines, and keyd's signature of them. */
static void
sign_it(void)
{
	struct audit_chain c = head;
	struct checkpoint cp = { .seq = c.seq, .time_us = 1700000000000000 };
	struct buf tbs = BUF_INIT(CHECKPOINT_TBS_MAX);
	struct buf sig = BUF_INIT(RSA_OUT_MAX), spki = BUF_INIT(RSA_SPKI_MAX);
	char fields[CHECKPOINT_FIELDS_MAX];
	struct audit_event ev = { .role = "logger", .event =
	    event_decls[EV_audit_checkpoint].name, .fields = fields };

	need((host = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0)) != NULL);
	need(rsa_spki_encode(&spki, host) == 0);
	rsa_fingerprint(cp.key, buf_bytes(&spki));
	memcpy(cp.hash, c.prev, sizeof(cp.hash));
	checkpoint_tbs(&tbs, &cp);
	need(rsa_pss_sign(&sig, host, buf_bytes(&tbs)) == 0);
	memcpy(cp.sig, sig.p, sig.n);
	cp.sig_n = sig.n;
	checkpoint_fields(fields, &cp);
	buf_put(&is_signed, genuine.p, genuine.n);
	need(audit_line(&c, &ev, &is_signed) == 0);
	buf_free(&tbs);
	buf_free(&sig);
	buf_free(&spki);
}

static void
fuzz_setup(void)
{
	struct audit_event ev = { .time_us = 1700000000000000, .role = "keyd",
	    .pid = 7, .session = 9, .user = "alice", .event = "auth.accept",
	    .fields = "from \"127.0.0.1\"" };

	audit_chain_init(&head, initial);
	for (int i = 0; i < LINES; i++) {
		ev.time_us += 1000;
		need(audit_line(&head, &ev, &genuine) == 0);
	}
	head_bytes = genuine.n;
	sign_it();
	need((log_fd = memfd_create("log", MFD_CLOEXEC)) != -1);
	need((state_fd = memfd_create("state", MFD_CLOEXEC)) != -1);
	need(fcntl(log_fd, F_SETFL, O_APPEND) == 0);
	need(audit_create(state_fd, fresh_key) == 0);
	need(pread(state_fd, fresh, sizeof(fresh), 0) == sizeof(fresh));
}

static void
fuzz_seeds(void)
{
	const uint8_t *nl = memchr(genuine.p, '\n', genuine.n);
	size_t one = (size_t)(nl + 1 - genuine.p);

	for (uint8_t mode = 0; mode < 5; mode++) {
		fuzz_seed(&mode, 1, buf_bytes(&genuine));
		fuzz_seed(&mode, 1, bytes_of(genuine.p, one));
		fuzz_seed(&mode, 1, bytes_of(genuine.p, one - 1));
		fuzz_seed(&mode, 1, bytes_of(genuine.p + one, genuine.n - one));
	}
	fuzz_seed("\3", 1, bytes_of(fresh, sizeof(fresh)));
	fuzz_seed("\4\0\0", 3, buf_bytes(&is_signed));
	fuzz_seed("\4\1\0", 3, buf_bytes(&is_signed));
	fuzz_seed("\4\0\0", 3, bytes_of(is_signed.p + head_bytes,
	    is_signed.n - head_bytes));
}

static int
verify(struct bytes in, const uint8_t key[AUDIT_KEY_BYTES],
    const struct audit_chain *h, struct audit_report *rep)
{
	FILE *f = in.n > 0 ? fmemopen((void *)(uintptr_t)in.p, in.n, "r") :
	    fopen("/dev/null", "r");
	int rv;

	need(f != NULL);
	rv = audit_verify(&f, 1, &(struct audit_proof){ .key = key,
	    .head = h }, rep);
	need(rv == 0 || rv == 1);
	need((rv == 0) == (rep->reason == AUDIT_GOOD));
	need(audit_reason_name(rep->reason) != NULL);
	(void)fclose(f);
	return rv;
}

/* Good is a beginning of what was written, at the end of a line. */
static void
check_verify(struct bytes in)
{
	struct audit_report rep;

	if (verify(in, initial, NULL, &rep) == 0) {
		need(in.n <= genuine.n);
		need(memcmp(in.p, genuine.p, in.n) == 0);
		need(in.n == 0 || in.p[in.n - 1] == '\n');
	}
	if (verify(in, initial, &head, &rep) == 0)
		need(bytes_eq(in, buf_bytes(&genuine)));
}

/*
 * By the public key alone, in two files: what a checkpoint covers is what was
 * written.
 */
static void
check_public(struct bytes in)
{
	struct audit_proof proof = { .host = &host, .nhost = 1 };
	struct audit_report rep;
	struct rd r = rd_of(in);
	size_t cut = rd_u16(&r), n = 1;
	FILE *f[2];
	int rv;

	if (r.n == 0)
		return;
	if (cut > 0 && cut < r.n)
		n = 2;
	f[0] = fmemopen((void *)(uintptr_t)r.p, n == 2 ? cut : r.n, "r");
	f[1] = n == 2 ? fmemopen((void *)(uintptr_t)(r.p + cut), r.n - cut,
	    "r") : NULL;
	need(f[0] != NULL && (n == 1 || f[1] != NULL));
	rv = audit_verify(f, n, &proof, &rep);
	need(rv == 0 || rv == 1);
	need(rep.file < n && rep.signed_seq <= rep.lines);
	if (rep.checkpoints > 0) {
		need(rep.signed_seq == LINES && r.n >= head_bytes);
		need(memcmp(r.p, genuine.p, head_bytes) == 0);
	}
	for (size_t i = 0; i < n; i++)
		(void)fclose(f[i]);
}

/* A log and a state as somebody left them: start, write on. */
static void
check_open(struct bytes log, struct bytes state)
{
	struct audit_event ev = { .role = "keyd", .event = "e", .fields = "" };
	struct audit_report rep;
	struct audit_log l;
	int rv;

	fz_fill(log_fd, log);
	fz_fill(state_fd, state);
	if ((rv = audit_open(&l, log_fd, -1, state_fd, &rep)) == -1) {
		need(errno == EBADMSG);
		return;
	}
	need(log.n == 0 || rv != AUDIT_CLEAN);
	need(audit_append(&l, &ev) == 0 && audit_commit(&l) == 0);
	audit_close(&l);
	/* A second start finds all in order. */
	need(audit_open(&l, log_fd, -1, state_fd, &rep) == AUDIT_CLEAN);
	audit_close(&l);
}

static void
event(struct rd *in)
{
	struct buf out = BUF_INIT(2 * AUDIT_LINE_MAX);
	struct audit_chain c;
	struct audit_parsed p;
	struct audit_report rep;
	struct audit_event ev = { .time_us = fz_num(in), .pid = rd_u8(in),
	    .session = fz_num(in) };
	char *s[4];

	fz_arena_n = 0;
	for (int i = 0; i < 4; i++) {
		struct bytes b = fz_string(in, 3000, false);

		s[i] = strndup((const char *)b.p, b.n);
	}
	ev.role = s[0];
	ev.user = s[1];
	ev.event = s[2];
	ev.fields = s[3];
	audit_chain_init(&c, initial);
	if (audit_line(&c, &ev, &out) == 0) {
		need(out.n <= AUDIT_LINE_MAX && out.p[out.n - 1] == '\n');
		need(bytes_utf8(bytes_of(out.p, out.n - 1)));
		need(memchr(out.p, '\n', out.n - 1) == NULL);
		need(audit_parse(&p, bytes_of(out.p, out.n - 1)) == 0);
		need(verify(buf_bytes(&out), initial, &c, &rep) == 0);
	}
	for (int i = 0; i < 4; i++)
		free(s[i]);
	buf_free(&out);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 5;
	struct bytes body = { in.p, in.n };
	struct audit_parsed p;

	if (mode == 0)
		check_verify(body);
	else if (mode == 1)
		check_open(body, bytes_of(fresh, sizeof(fresh)));
	else if (mode == 2)
		event(&in);
	else if (mode == 4)
		check_public(body);
	else {
		(void)audit_parse(&p, body);
		if (body.n <= AUDIT_STATE_BYTES)
			check_open(bytes_of(NULL, 0), body);
	}
}
