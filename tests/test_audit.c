/* monitor/audit*.c: the chain, its verification, the state file, recovery. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../monitor/audit.h"
#include "kdf.h"

#define LINES	6

static const uint8_t key[AUDIT_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t other_key[AUDIT_KEY_BYTES] = { 9 };

static struct audit_event
event(const char *fields)
{
	return (struct audit_event){ .time_us = 1767323045678901,
	    .role = "vault", .pid = 77, .session = 5, .user = "alice", .event = "auth.accept",
	    .fields = fields };
}

/* n lines of a fresh chain; at[i] is where line i begins, at[n] the end. */
static struct audit_chain
make_log(struct buf *b, size_t *at, int n, const uint8_t *k)
{
	struct audit_chain c;
	char detail[32];

	audit_chain_init(&c, k);
	for (int i = 0; i < n; i++) {
		struct audit_event ev = event(detail);

		snprintf(detail, sizeof(detail), "event \"%d\"", i);
		at[i] = b->n;
		assert_int_equal(audit_line(&c, &ev, b), 0);
	}
	at[n] = b->n;
	return c;
}

static int
verify(const void *p, size_t n, const struct audit_chain *head,
    struct audit_report *r)
{
	FILE *f = n == 0 ? fopen("/dev/null", "r") :
	    fmemopen((void *)(uintptr_t)p, n, "r");
	int rv;

	assert_non_null(f);
	rv = audit_verify(&f, 1, &(struct audit_proof){ .key = key,
	    .head = head }, r);
	fclose(f);
	return rv;
}

static void
assert_bad(const void *p, size_t n, const struct audit_chain *head,
    enum audit_reason why, uint64_t line)
{
	struct audit_report r;

	assert_int_equal(verify(p, n, head, &r), 1);
	assert_string_equal(audit_reason_name(r.reason),
	    audit_reason_name(why));
	assert_int_equal(r.line, line);
	assert_int_equal(r.seq, line);
}

static void
test_line(void **state)
{
	static const char want[] = "{\"time\":\"2026-01-02T03:04:05.678901Z\","
	    "\"seq\":1,\"role\":\"vault\",\"pid\":77,\"session\":5,"
	    "\"user\":\"alice\",\"event\":\"auth.accept\",\"fields\":{\"text\":\"x\"},"
	    "\"prev\":\"00000000000000000000000000000000"
	    "00000000000000000000000000000000\"";
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	struct audit_chain c;
	struct audit_event ev = event("x");
	struct bytes part[2];
	uint8_t mac[HASH_LEN], next[HASH_LEN];
	char hex[2 * HASH_LEN + 1], full[1024];
	int n;

	(void)state;
	audit_chain_init(&c, key);
	assert_int_equal(audit_line(&c, &ev, &b), 0);
	part[0] = bytes_str("cloister audit 1");
	part[1] = bytes_str(want);
	hmac_sha256v(mac, bytes_of(key, sizeof(key)), part, 2);
	hex_encode(hex, mac, sizeof(mac));
	n = snprintf(full, sizeof(full), "%s,\"mac\":\"%s\"}\n", want, hex);
	assert_int_equal(b.n, n);
	assert_memory_equal(b.p, full, b.n);
	hmac_sha256(next, bytes_of(key, sizeof(key)), bytes_str("ratchet"));
	assert_memory_equal(c.key, next, sizeof(next));
	sha256(next, bytes_of(b.p, b.n - 1));
	assert_memory_equal(c.prev, next, sizeof(next));
	assert_int_equal(c.seq, 1);
	/* No room: nothing changes. */
	b.max = b.n + AUDIT_LINE_MAX - 1;
	assert_int_equal(audit_line(&c, &ev, &b), -1);
	assert_int_equal(b.n, n);
	assert_int_equal(c.seq, 1);
	assert_memory_equal(c.prev, next, sizeof(next));
	buf_free(&b);
}

/* Whatever is in the strings, the line is JSON, one line, and verifies. */
static void
test_escaping(void **state)
{
	static const char nasty[] = "a\"b\\c\n\r\t\x01\x7f\xc2\x9b[2J"
	    "\xff\xe2\x82 \xe2\x82\xac\xf0\x9f\x98\x80,\"mac\":\"";
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	struct audit_chain c;
	struct audit_event ev = event(nasty);
	struct audit_report r;
	char big[9000];
	json_error_t e;
	json_t *j;

	(void)state;
	ev.user = NULL;
	ev.time_us = UINT64_MAX;
	audit_chain_init(&c, key);
	assert_int_equal(audit_line(&c, &ev, &b), 0);
	j = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, &e);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(json_object_get(j,
	    "fields"), "text")),
	    "a\"b\\c\n\r\t\x01\x7f\xc2\x9b[2J\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd \xe2\x82\xac\xf0\x9f\x98\x80,\"mac\":\"");
	assert_string_equal(json_string_value(json_object_get(j, "user")), "");
	assert_string_equal(json_string_value(json_object_get(j, "time")),
	    "9999-12-31T23:59:59.551615Z");
	assert_int_equal(json_object_size(j), 10);
	json_decref(j);
	for (size_t i = 0; i < b.n - 1; i++)
		assert_true(b.p[i] >= 0x20 && b.p[i] != 0x7f);
	/* The longest of everything. */
	memset(big, 1, sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ev = (struct audit_event){ UINT64_MAX, big, -1, UINT64_MAX, big, big,
	    big };
	assert_int_equal(audit_line(&c, &ev, &b), 0);
	assert_int_equal(audit_line(&c, &ev, &b), 0);
	assert_int_equal(verify(b.p, b.n, &c, &r), 0);
	assert_int_equal(r.line, 3);
	/* Cut between characters, and marked. */
	buf_reset(&b);
	for (size_t i = 0; i < 3000; i += 3)
		memcpy(big + i, "\xe2\x82\xac", 3);
	ev = event(big);
	assert_int_equal(audit_line(&c, &ev, &b), 0);
	j = json_loadb((const char *)b.p, b.n, 0, &e);
	assert_non_null(j);
	assert_int_equal(json_string_length(json_object_get(json_object_get(j,
	    "fields"), "text")),
	    AUDIT_TEXT_MAX / 3 * 3 + 3);
	json_decref(j);
	buf_free(&b);
}

/* Fields become members; what only resembles them stays a sentence. */
static void
test_fields(void **state)
{
	static const char *const text[] = { "a=1 b=\"2\" c=\"\\\"}\\\\\"",
	    "mac=\"x\"", "a=1 prev=2", "a=1 a=2", "a=01", "", "a=1 " };
	static const char *const want[] = {
	    "{\"a\":1,\"b\":\"2\",\"c\":\"\\\"}\\\\\"}",
	    "{\"text\":\"mac=\\\"x\\\"\"}", "{\"text\":\"a=1 prev=2\"}",
	    "{\"text\":\"a=1 a=2\"}", "{\"text\":\"a=01\"}", "{\"text\":\"\"}",
	    "{\"text\":\"a=1 \"}" };
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	struct audit_chain c;
	struct audit_report r;
	char part[128];

	(void)state;
	audit_chain_init(&c, key);
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		struct audit_event ev = event(text[i]);
		size_t at = b.n;
		int n = snprintf(part, sizeof(part), ",\"fields\":%s,\"prev\":",
		    want[i]);

		assert_int_equal(audit_line(&c, &ev, &b), 0);
		assert_non_null(memmem(b.p + at, b.n - at, part, (size_t)n));
	}
	assert_int_equal(verify(b.p, b.n, &c, &r), 0);
	buf_free(&b);
}

static void
test_good(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	size_t at[LINES + 1];
	struct audit_chain c = make_log(&b, at, LINES, key);
	struct audit_report r;

	(void)state;
	assert_int_equal(verify(b.p, b.n, &c, &r), 0);
	assert_int_equal(r.reason, AUDIT_GOOD);
	assert_int_equal(r.line, LINES);
	assert_int_equal(r.seq, LINES);
	assert_int_equal(verify(b.p, b.n, NULL, &r), 0);
	assert_int_equal(verify("", 0, NULL, &r), 0);
	assert_int_equal(r.line, 0);
	/* The state may be one batch behind. */
	buf_reset(&b);
	c = make_log(&b, at, LINES - 1, key);
	buf_reset(&b);
	make_log(&b, at, LINES, key);
	assert_int_equal(verify(b.p, b.n, &c, &r), 0);
	buf_free(&b);
}

static void
test_every_byte(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	size_t at[4];
	struct audit_chain c = make_log(&b, at, 3, key);
	struct audit_report r;

	(void)state;
	for (uint64_t line = 1; line <= 3; line++)
		for (size_t i = at[line - 1]; i < at[line]; i++)
			for (int flip = 0; flip < 3; flip++) {
				static const uint8_t with[] = { 1, 0x20, 0x80 };
				bool last = i == b.n - 1;

				b.p[i] ^= with[flip];
				assert_int_equal(verify(b.p, b.n, &c, &r), 1);
				assert_int_equal(r.line, line);
				/* Without its newline the end is missing. */
				assert_int_equal(r.reason, last ?
				    AUDIT_TRUNCATED : AUDIT_EDITED);
				b.p[i] ^= with[flip];
			}
	buf_free(&b);
}

/* out = the lines whose indices are given, ended by -1. */
static void
arrange(struct buf *out, const struct buf *b, const size_t *at, const int *line)
{
	buf_reset(out);
	for (; *line != -1; line++)
		buf_put(out, b->p + at[*line], at[*line + 1] - at[*line]);
}

static void
test_arrangements(void **state)
{
	static const struct {
		int			lines[LINES + 3];
		enum audit_reason	why;
		uint64_t		at;
	} t[] = {
		{ { 1, 2, 3, 4, 5, -1 }, AUDIT_DROPPED, 1 },
		{ { 0, 1, 3, 4, 5, -1 }, AUDIT_DROPPED, 3 },
		{ { 0, 4, 5, -1 }, AUDIT_DROPPED, 2 },
		{ { 5, -1 }, AUDIT_DROPPED, 1 },
		{ { 1, 0, 2, 3, 4, 5, -1 }, AUDIT_REORDERED, 1 },
		{ { 0, 1, 2, 3, 5, 4, -1 }, AUDIT_REORDERED, 5 },
		{ { 0, 5, 2, 3, 4, 1, -1 }, AUDIT_REORDERED, 2 },
		{ { 0, 1, 1, 2, 3, 4, 5, -1 }, AUDIT_REORDERED, 3 },
		{ { 0, 1, 2, 3, 4, 5, 0, -1 }, AUDIT_REORDERED, 7 },
		{ { 0, 1, 2, 3, 4, -1 }, AUDIT_TRUNCATED, 6 },
		{ { 0, -1 }, AUDIT_TRUNCATED, 2 },
		{ { -1 }, AUDIT_TRUNCATED, 1 },
	};
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX), o = BUF_INIT(AUDIT_BATCH_MAX);
	size_t at[LINES + 1];
	struct audit_chain c = make_log(&b, at, LINES, key);

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		arrange(&o, &b, at, t[i].lines);
		assert_bad(o.p, o.n, &c, t[i].why, t[i].at);
	}
	/* Cut inside a line, noticed without the state too. */
	for (size_t cut = at[2] + 1; cut < at[3]; cut++)
		assert_bad(b.p, cut, NULL, AUDIT_TRUNCATED, 3);
	buf_free(&b);
	buf_free(&o);
}

static void
test_splices(void **state)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX), x = BUF_INIT(AUDIT_BATCH_MAX),
	    o = BUF_INIT(AUDIT_BATCH_MAX);
	size_t at[LINES + 1], xat[LINES + 1];
	struct audit_chain c = make_log(&b, at, LINES, key), d;
	struct audit_event ev = event("another past");
	struct audit_report r;

	(void)state;
	make_log(&x, xat, LINES, other_key);
	/* Another log's line in the place of this one's, and its tail. */
	buf_put(&o, b.p, at[3]);
	buf_put(&o, x.p + xat[3], xat[4] - xat[3]);
	buf_put(&o, b.p + at[4], b.n - at[4]);
	assert_bad(o.p, o.n, &c, AUDIT_SPLICED, 4);
	buf_reset(&o);
	buf_put(&o, b.p, at[3]);
	buf_put(&o, x.p + xat[3], x.n - xat[3]);
	assert_bad(o.p, o.n, &c, AUDIT_SPLICED, 4);
	/* Inserted between two genuine lines. */
	buf_reset(&o);
	buf_put(&o, b.p, at[3]);
	buf_put(&o, x.p + xat[0], xat[1]);
	buf_put(&o, b.p + at[3], b.n - at[3]);
	assert_bad(o.p, o.n, &c, AUDIT_SPLICED, 4);
	/* Written with the right key behind another past (key of line 2). */
	buf_reset(&o);
	buf_reset(&x);
	audit_chain_init(&d, key);
	assert_int_equal(audit_line(&d, &ev, &x), 0);
	xat[1] = x.n;
	assert_int_equal(audit_line(&d, &ev, &x), 0);
	buf_put(&o, b.p, at[1]);
	buf_put(&o, x.p + xat[1], x.n - xat[1]);
	assert_bad(o.p, o.n, NULL, AUDIT_SPLICED, 2);
	/* A whole other history that the state does not know. */
	assert_int_equal(verify(x.p, x.n, NULL, &r), 0);
	make_log(&b, at, 2, key);
	c = d;
	c.prev[0] ^= 1;
	assert_bad(x.p, x.n, &c, AUDIT_SPLICED, 2);
	/* Not a log at all. */
	buf_reset(&o);
	buf_zero(&o, 3 * AUDIT_LINE_MAX);
	assert_bad(o.p, o.n, NULL, AUDIT_EDITED, 1);
	assert_bad("\n", 1, NULL, AUDIT_EDITED, 1);
	buf_free(&b);
	buf_free(&x);
	buf_free(&o);
}

/* A log and its state in files, as the logger has them. */
struct files {
	char	dir[32];
	int	log, state;
	uint8_t	key[AUDIT_KEY_BYTES];
};

static void
files_open(struct files *f)
{
	strlcpy(f->dir, "/tmp/test_audit.XXXXXX", sizeof(f->dir));
	assert_non_null(mkdtemp(f->dir));
	f->log = open(f->dir, O_TMPFILE | O_RDWR | O_APPEND, 0600);
	f->state = open(f->dir, O_TMPFILE | O_RDWR, 0600);
	assert_true(f->log != -1 && f->state != -1);
	assert_int_equal(audit_create(f->state, f->key), 0);
}

static void
files_close(struct files *f)
{
	close(f->log);
	close(f->state);
	assert_int_equal(rmdir(f->dir), 0);
}

/* Open the log, expect the result, add n lines, commit, close. */
static void
run(struct files *f, int want, int n)
{
	struct audit_log l;
	struct audit_report r;
	struct audit_event ev = event("run");

	assert_int_equal(audit_open(&l, f->log, -1, f->state, &r), want);
	for (int i = 0; i < n; i++)
		assert_int_equal(audit_append(&l, &ev), 0);
	assert_int_equal(audit_commit(&l), 0);
	audit_close(&l);
}

static int
files_verify(struct files *f, struct audit_report *r)
{
	struct audit_chain head;
	int fd = dup(f->log), rv;
	FILE *fp = fdopen(fd, "r");

	assert_non_null(fp);
	rewind(fp);
	assert_int_equal(audit_state_read(f->state, &head), 0);
	rv = audit_verify(&fp, 1, &(struct audit_proof){ .key = f->key,
	    .head = &head }, r);
	fclose(fp);
	return rv;
}

static off_t
log_size(struct files *f)
{
	return lseek(f->log, 0, SEEK_END);
}

static void
snapshot(int fd, uint8_t b[AUDIT_STATE_BYTES])
{
	assert_int_equal(pread(fd, b, AUDIT_STATE_BYTES, 0),
	    AUDIT_STATE_BYTES);
}

static void
restore(int fd, const uint8_t b[AUDIT_STATE_BYTES])
{
	assert_int_equal(pwrite(fd, b, AUDIT_STATE_BYTES, 0),
	    AUDIT_STATE_BYTES);
}

static void
test_runs(void **state)
{
	struct files f;
	struct audit_report r;

	(void)state;
	files_open(&f);
	run(&f, AUDIT_CLEAN, 0);
	run(&f, AUDIT_CLEAN, 3);
	run(&f, AUDIT_CLEAN, 1);
	run(&f, AUDIT_CLEAN, 2000);	/* more than one batch */
	assert_true(log_size(&f) > 2 * AUDIT_BATCH_MAX);
	run(&f, AUDIT_CLEAN, 0);
	assert_int_equal(files_verify(&f, &r), 0);
	assert_int_equal(r.line, 2004);
	assert_int_equal(r.seq, 2004);
	files_close(&f);
}

/* No key but the next line's is left in the state file. */
static void
test_old_keys_go(void **state)
{
	uint8_t b[AUDIT_STATE_BYTES], k[AUDIT_KEY_BYTES];
	struct files f;

	(void)state;
	files_open(&f);
	snapshot(f.state, b);
	assert_non_null(memmem(b, sizeof(b), f.key, sizeof(f.key)));
	memcpy(k, f.key, sizeof(k));
	for (int i = 0; i < 4; i++) {
		run(&f, AUDIT_CLEAN, 1);
		snapshot(f.state, b);
		assert_null(memmem(b, sizeof(b), k, sizeof(k)));
		hmac_sha256(k, bytes_of(k, sizeof(k)), bytes_str("ratchet"));
		assert_non_null(memmem(b, sizeof(b), k, sizeof(k)));
	}
	files_close(&f);
}

/* A crash after the log was written and before the state was. */
static void
test_crash(void **state)
{
	uint8_t before[AUDIT_STATE_BYTES], after[AUDIT_STATE_BYTES];
	struct files f;
	struct audit_report r;
	off_t end, line5;

	(void)state;
	files_open(&f);
	run(&f, AUDIT_CLEAN, 2);
	snapshot(f.state, before);
	run(&f, AUDIT_CLEAN, 3);
	snapshot(f.state, after);
	end = log_size(&f);
	line5 = end - end / 5;		/* the lines are of one length */
	restore(f.state, before);
	run(&f, AUDIT_RECOVERED, 1);
	run(&f, AUDIT_CLEAN, 0);
	assert_int_equal(files_verify(&f, &r), 0);
	assert_int_equal(r.seq, 6);
	/* In the middle of the append, at every byte of the last lines. */
	for (off_t cut = end; cut > end - 500; cut--) {
		assert_int_equal(ftruncate(f.log, cut), 0);
		restore(f.state, before);
		run(&f, AUDIT_RECOVERED, 0);
		run(&f, AUDIT_CLEAN, 0);
		assert_int_equal(files_verify(&f, &r), 0);
		assert_int_equal(r.seq, cut == end ? 5 : cut >= line5 ? 4 : 3);
	}
	files_close(&f);
}

/* A crash while either slot was being written. */
static void
test_torn_state(void **state)
{
	uint8_t a[AUDIT_STATE_BYTES], b[AUDIT_STATE_BYTES];
	uint8_t t[AUDIT_STATE_BYTES];
	struct files f;
	struct audit_log l;
	struct audit_report r;

	(void)state;
	files_open(&f);
	for (int round = 0; round < 2; round++) {	/* each slot first */
		run(&f, AUDIT_CLEAN, 1);
		snapshot(f.state, a);
		run(&f, AUDIT_CLEAN, 1);
		snapshot(f.state, b);
		for (size_t first = 0; first <= 4096; first += 4096)
			for (size_t n = 0; n < 128; n += 9) {
				memcpy(t, a, sizeof(t));
				memcpy(t + first, b + first, n);
				restore(f.state, t);
				run(&f, AUDIT_RECOVERED, 0);
				/* The second slot, torn. */
				memcpy(t, b, sizeof(t));
				memset(t + first + n, 0xa5, 128 - n);
				restore(f.state, t);
				run(&f, AUDIT_CLEAN, 0);
			}
		restore(f.state, b);
	}
	assert_int_equal(files_verify(&f, &r), 0);
	/* Both gone: there is no key to go on with. */
	b[10] ^= 1;
	b[4096 + 127] ^= 1;
	restore(f.state, b);
	assert_int_equal(audit_open(&l, f.log, -1, f.state, &r), -1);
	audit_close(&l);
	assert_int_equal(ftruncate(f.state, 100), 0);
	assert_int_equal(audit_open(&l, f.log, -1, f.state, &r), -1);
	audit_close(&l);
	files_close(&f);
}

enum harm { CUT_LINES, CUT_BYTES, EMPTY, EDIT_LAST, EDIT_AHEAD, APPEND, FLOOD };

static void
do_harm(struct files *f, enum harm harm)
{
	off_t end = log_size(f), line;
	uint8_t flood[4096] = { 0 };
	char *p;

	assert_non_null(p = malloc((size_t)end));
	assert_int_equal(pread(f->log, p, (size_t)end, 0), end);
	line = (char *)memrchr(p, '\n', (size_t)end - 1) + 1 - p;
	switch (harm) {
	case CUT_LINES:
		assert_int_equal(ftruncate(f->log, line), 0);
		break;
	case CUT_BYTES:
		assert_int_equal(ftruncate(f->log, end - 10), 0);
		break;
	case EMPTY:
		assert_int_equal(ftruncate(f->log, 0), 0);
		break;
	case EDIT_LAST:
	case EDIT_AHEAD:
		p[line + 100] ^= 1;
		assert_int_equal(ftruncate(f->log, 0), 0);
		assert_int_equal(write(f->log, p, (size_t)end), end);
		break;
	case APPEND:
		assert_int_equal(write(f->log, "{}\n", 3), 3);
		break;
	case FLOOD:
		for (size_t n = 0; n < AUDIT_BATCH_MAX; n += sizeof(flood))
			assert_int_equal(write(f->log, flood, sizeof(flood)),
			    sizeof(flood));
		assert_int_equal(write(f->log, "x", 1), 1);
		break;
	}
	free(p);
}

/* Each kind of harm while the logger was not running. */
static void
test_tampering(void **state)
{
	static const struct {
		enum harm		harm;
		enum audit_reason	at_start, verified;
		uint64_t		line;
	} t[] = {
		{ CUT_LINES, AUDIT_TRUNCATED, AUDIT_DROPPED, 5 },
		{ CUT_BYTES, AUDIT_TRUNCATED, AUDIT_EDITED, 5 },
		{ EMPTY, AUDIT_TRUNCATED, AUDIT_DROPPED, 1 },
		{ EDIT_LAST, AUDIT_EDITED, AUDIT_EDITED, 5 },
		{ EDIT_AHEAD, AUDIT_EDITED, AUDIT_EDITED, 5 },
		{ APPEND, AUDIT_EDITED, AUDIT_EDITED, 6 },
		{ FLOOD, AUDIT_SPLICED, AUDIT_EDITED, 6 },
	};
	uint8_t before[AUDIT_STATE_BYTES];
	struct files f;
	struct audit_log l;
	struct audit_report r;
	char tail[2048];
	off_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		files_open(&f);
		run(&f, AUDIT_CLEAN, 3);
		snapshot(f.state, before);
		run(&f, AUDIT_CLEAN, 2);
		if (t[i].harm == EDIT_AHEAD)
			restore(f.state, before);
		do_harm(&f, t[i].harm);
		size = log_size(&f);
		assert_int_equal(audit_open(&l, f.log, -1, f.state, &r),
		    AUDIT_TAMPERED);
		assert_string_equal(audit_reason_name(r.reason),
		    audit_reason_name(t[i].at_start));
		audit_close(&l);
		/* What was there stays, and the event stands behind it. */
		memset(tail, 0, sizeof(tail));
		assert_true(pread(f.log, tail, sizeof(tail) - 1, size) > 100);
		assert_non_null(strstr(tail, "\"event\":\"audit.tamper\""));
		assert_non_null(strstr(tail, audit_reason_name(r.reason)));
		/* The log goes on, and the place is named ever after. */
		run(&f, AUDIT_CLEAN, 2);
		run(&f, AUDIT_CLEAN, 0);
		assert_int_equal(files_verify(&f, &r), 1);
		assert_string_equal(audit_reason_name(r.reason),
		    audit_reason_name(t[i].verified));
		assert_int_equal(r.line, t[i].line);
		files_close(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_arrangements),
		cmocka_unit_test(test_splices),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_old_keys_go),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_torn_state),
		cmocka_unit_test(test_tampering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
