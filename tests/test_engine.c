/* The engine: requests over a real channel, and the store in its real cell. */
#include "kv_fixture.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "../storaged/engine.h"
#include "../storaged/kv_codec.h"
#include "sandbox.h"

/* The vault's end and the engine's, in one process. */
struct rig {
	struct loop	*loop;
	struct chan	*vault;		/* blocking */
	struct chan	*chan;
	struct kv	*kv;
	struct kvs	*s;
	const char	*why;		/* of a violation */
};

static void
on_request(struct chan *c, struct msg *m, void *arg)
{
	struct rig *r = arg;

	(void)c;
	if (r->why == NULL)
		r->why = kvs_request(r->s, m);
}

static void
rig_up(struct rig *r)
{
	int fd[2];

	memset(r, 0, sizeof(*r));
	assert_int_equal(chan_pair(fd, true), 0);
	r->loop = loop_new();
	r->vault = chan_new(NULL, fd[0], CH_VAULT_ENGINE, END_A,
	    VAULT_ENGINE_UP, 0, NULL, NULL, NULL);
	r->chan = chan_new(r->loop, fd[1], CH_VAULT_ENGINE, END_B,
	    VAULT_ENGINE_UP, 0, on_request, NULL, r);
	r->kv = fresh();
	r->s = kvs_new(r->kv);
}

static void
rig_down(struct rig *r)
{
	kvs_free(r->s);
	assert_int_equal(kv_close(r->kv), KV_OK);
	chan_free(r->vault);
	chan_free(r->chan);
	loop_free(r->loop);
}

/* One round: everything that was sent runs and is answered. */
static void
turn(struct rig *r)
{
	assert_int_equal(chan_drain(r->chan), 0);
	kvs_finish(r->s, r->chan);
}

static void
send_write(struct rig *r, uint64_t id, bool more, const struct kv_op *ops,
    size_t n)
{
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct m_ve_write m = { .id = id, .more = more };

	kv_enc_ops(&b, ops, n);
	assert_false(b.err);
	m.ops = buf_bytes(&b);
	assert_int_equal(chan_send(r->vault, MSG_ve_write, &m, -1), 0);
	buf_free(&b);
}

static void
send_put(struct rig *r, uint64_t id, const char *key, uint64_t ver)
{
	struct kv_op o = op(KV_PUT, KV_ANY, 0, key, val(ver, 'x', 20));

	send_write(r, id, false, &o, 1);
}

static void
send_get(struct rig *r, uint64_t id, const struct bytes *keys, size_t n)
{
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct m_ve_get m = { .id = id };

	kv_enc_keys(&b, keys, n);
	m.keys = buf_bytes(&b);
	assert_int_equal(chan_send(r->vault, MSG_ve_get, &m, -1), 0);
	buf_free(&b);
}

static void
send_scan(struct rig *r, uint64_t id, const char *lo, uint32_t max_items,
    uint32_t max_bytes)
{
	struct kv_range range = { .lo = bytes_str(lo), .max_items = max_items,
	    .max_bytes = max_bytes };
	struct buf b = BUF_INIT(2048);
	struct m_ve_scan m = { .id = id };

	kv_enc_range(&b, &range);
	m.range = buf_bytes(&b);
	assert_int_equal(chan_send(r->vault, MSG_ve_scan, &m, -1), 0);
	buf_free(&b);
}

static void
want_status(struct rig *r, uint64_t id, enum kv_status st)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->vault, &m, 0, &why), 0);
	assert_int_equal(m.type, MSG_ev_status);
	assert_int_equal(m.u.ev_status.id, id);
	assert_int_equal(m.u.ev_status.status, st);
}

/* The next part of rows; how many, or with more set, that more follow. */
static size_t
want_rows(struct rig *r, uint64_t id, struct kv_row *row, size_t max,
    bool more)
{
	const char *why;
	struct msg m;
	size_t n;

	assert_int_equal(chan_recv(r->vault, &m, 0, &why), 0);
	assert_int_equal(m.type, MSG_ev_rows);
	assert_int_equal(m.u.ev_rows.id, id);
	assert_int_equal(m.u.ev_rows.more, more);
	assert_int_equal(kv_dec_rows(m.u.ev_rows.rows, row, max, &n), 0);
	return n;
}

static void
want_silence(struct rig *r)
{
	const char *why;
	struct msg m;

	assert_int_equal(chan_recv(r->vault, &m, 0, &why), -1);
}

static void
test_order(void **state)
{
	struct bytes keys[] = { bytes_str("b"), bytes_str("none"),
	    bytes_str("a") };
	struct kv_op absent = op(KV_PUT, KV_ABSENT, 0, "a", val(9, 'x', 20));
	struct kv_row row[4];
	struct rig r;

	(void)state;
	rig_up(&r);
	send_put(&r, 1, "a", 1);
	send_put(&r, 2, "b", 2);
	send_get(&r, 5, keys, 3);
	send_write(&r, 6, false, &absent, 1);
	turn(&r);
	assert_null(r.why);
	want_status(&r, 1, KV_OK);
	want_status(&r, 2, KV_OK);
	assert_int_equal(want_rows(&r, 5, row, 4, false), 3);
	assert_memory_equal(row[0].key.p, "b", 1);
	assert_int_equal(get_be64(row[0].value.p), 2);
	assert_memory_equal(row[1].key.p, "none", 4);
	assert_null(row[1].value.p);
	assert_int_equal(get_be64(row[2].value.p), 1);
	want_status(&r, 6, KV_CONFLICT);
	want_silence(&r);
	rig_down(&r);
}

static void
test_answers_wait_for_flush(void **state)
{
	struct bytes key = bytes_str("a");
	struct kv_row row[1];
	struct rig r;

	(void)state;
	rig_up(&r);
	send_put(&r, 1, "a", 1);
	send_get(&r, 2, &key, 1);
	assert_int_equal(chan_drain(r.chan), 0);
	assert_int_equal(kv_seq(r.kv), 1);
	assert_int_equal(kv_flushed_seq(r.kv), 0);
	want_silence(&r);
	assert_true(kvs_waiting(r.s) > 20);
	kvs_finish(r.s, r.chan);
	assert_int_equal(kv_flushed_seq(r.kv), 1);
	assert_int_equal(kvs_waiting(r.s), 0);
	want_status(&r, 1, KV_OK);
	assert_int_equal(want_rows(&r, 2, row, 1, false), 1);
	assert_true(kvs_log_bytes(r.s) > 30);
	kvs_checkpointed(r.s);
	assert_int_equal(kvs_log_bytes(r.s), 0);
	rig_down(&r);
}

/*
 * n operations of a batch, numbered from first, whose values of size bytes have
 * their number as version; good until the next call.
 */
static void
make_ops(struct kv_op *ops, char (*keys)[16], size_t first, size_t n,
    size_t size)
{
	static uint8_t values[600][KV_MAX_VALUE];

	assert_in_range(n, 1, 600);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%06zu", first + i);
		put_be64(values[i], first + i);
		ops[i] = op(KV_PUT, KV_ANY, 0, keys[i],
		    bytes_of(values[i], size));
	}
}

static void
test_batch_of_parts(void **state)
{
	static struct kv_op ops[KV_MAX_OPS];
	static char keys[KV_MAX_OPS][16];
	struct kv_op last = op(KV_CHECK, KV_ABSENT, 0, "k000000",
	    (struct bytes){ NULL, 0 });
	struct rig r;

	(void)state;
	rig_up(&r);
	/* 1024 operations in eight parts; the last one spoils nothing. */
	for (size_t i = 0; i < 8; i++) {
		make_ops(ops, keys, i * 128, 128, 100);
		send_write(&r, 7, i < 7, ops, 128);
		assert_int_equal(chan_drain(r.chan), 0);
		assert_int_equal(kv_seq(r.kv), i == 7);
	}
	kvs_finish(r.s, r.chan);
	want_status(&r, 7, KV_OK);
	assert_int_equal(version(r.kv, "k000000"), 0);
	assert_int_equal(version(r.kv, "k001023"), 1023);
	/* One failing precondition in the last part undoes the first. */
	make_ops(ops, keys, 5000, 10, 100);
	send_write(&r, 8, true, ops, 10);
	send_write(&r, 8, false, &last, 1);
	turn(&r);
	want_status(&r, 8, KV_CONFLICT);
	assert_int_equal(version(r.kv, "k005000"), GONE);
	assert_null(r.why);
	rig_down(&r);
}

static void
test_paging(void **state)
{
	static struct kv_op ops[12];
	static char keys[12][16];
	static struct kv_row row[64];
	struct bytes all[40];
	struct rig r;
	size_t n;

	(void)state;
	rig_up(&r);
	for (size_t i = 0; i < 3; i++) {
		make_ops(ops, keys, i * 12, 12, 4000);
		send_write(&r, i + 1, false, ops, 12);
	}
	turn(&r);
	for (size_t i = 0; i < 3; i++)
		want_status(&r, i + 1, KV_OK);
	/* 36 rows of 4012 bytes: 14 fit one part. */
	send_scan(&r, 10, "", 1000, KVS_SCAN_MAX);
	turn(&r);
	assert_int_equal(want_rows(&r, 10, row, 64, true), 14);
	assert_memory_equal(row[0].key.p, "k000000", 7);
	assert_int_equal(want_rows(&r, 10, row, 64, true), 14);
	assert_memory_equal(row[0].key.p, "k000014", 7);
	assert_int_equal(want_rows(&r, 10, row, 64, false), 8);
	assert_memory_equal(row[7].key.p, "k000035", 7);
	assert_int_equal(row[7].value.n, 4000);
	/* Limits by items and by bytes. */
	send_scan(&r, 11, "k000030", 2, KV_PART_MAX);
	send_scan(&r, 12, "", 1000, 9000);
	send_scan(&r, 13, "l", 1, KV_PART_MAX);
	for (n = 0; n < 40; n++)
		all[n] = bytes_str(n % 2 == 0 ? "k000000" : "no");
	send_get(&r, 14, all, 40);
	turn(&r);
	assert_int_equal(want_rows(&r, 11, row, 64, false), 2);
	assert_memory_equal(row[0].key.p, "k000030", 7);
	assert_int_equal(want_rows(&r, 12, row, 64, false), 2);
	assert_int_equal(want_rows(&r, 13, row, 64, false), 0);
	n = want_rows(&r, 14, row, 64, true);
	assert_int_equal(n + want_rows(&r, 14, row, 64, false), 40);
	want_silence(&r);
	assert_null(r.why);
	rig_down(&r);
}

/* Offer one message; it must be refused without an answer or a change. */
static void
refuse(struct rig *r, enum msg_type type, const void *body)
{
	uint64_t seq = kv_seq(r->kv);

	r->why = NULL;
	assert_int_equal(chan_send(r->vault, type, body, -1), 0);
	turn(r);
	assert_non_null(r->why);
	assert_int_equal(kv_seq(r->kv), seq);
	want_silence(r);
}

static void
test_malformed(void **state)
{
	/* count 1, put, any, key "k", value of eight bytes */
	static const uint8_t good[] = { 0, 1, 0, 0, 0, 1, 'k', 0, 8,
	    0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t bad[sizeof(good) + 1] = { 0 };
	struct m_ve_write w = { .id = 1 };
	struct m_ve_get g = { .id = 1000, .keys = bytes_of("\0\1\0\2k", 5) };
	struct m_ve_scan s = { .id = 2000 };
	struct kv_range range = { .max_items = 1,
	    .max_bytes = KVS_SCAN_MAX + 1 };
	struct buf b = BUF_INIT(2048);
	struct rig r;

	(void)state;
	rig_up(&r);
	for (size_t n = 0; n <= sizeof(bad); n++) {
		memcpy(bad, good, sizeof(good));
		w.ops = bytes_of(bad, n);
		if (n != sizeof(good))
			refuse(&r, MSG_ve_write, &w);
		w.id++;
	}
	w.ops = bytes_of("\0", 2);	/* no operation */
	refuse(&r, MSG_ve_write, &w);
	w.id++;
	w.ops = bytes_of(good, sizeof(good));
	w.more = 2;
	refuse(&r, MSG_ve_write, &w);
	refuse(&r, MSG_ve_get, &g);
	s.range = bytes_of(good, 5);
	refuse(&r, MSG_ve_scan, &s);
	kv_enc_range(&b, &range);
	s.range = buf_bytes(&b);
	s.id++;
	refuse(&r, MSG_ve_scan, &s);
	buf_free(&b);
	rig_down(&r);
}

static void
test_order_of_ids(void **state)
{
	static struct kv_op ops[600];
	static char keys[600][16];
	struct kv_op o = op(KV_PUT, KV_ANY, 0, "a", val(1, 'x', 20));
	struct m_ve_get g = { .id = 10, .keys = bytes_of("\0\1\0\1k", 5) };
	struct rig r;

	(void)state;
	rig_up(&r);
	send_put(&r, 10, "a", 1);
	turn(&r);
	want_status(&r, 10, KV_OK);
	refuse(&r, MSG_ve_get, &g);	/* the same id again */
	g.id = 9;
	refuse(&r, MSG_ve_get, &g);
	/* Nothing may come between the parts of a batch. */
	r.why = NULL;
	send_write(&r, 11, true, &o, 1);
	turn(&r);
	assert_null(r.why);
	g.id = 11;
	refuse(&r, MSG_ve_get, &g);
	r.why = NULL;
	send_write(&r, 12, false, &o, 1);
	turn(&r);
	assert_non_null(r.why);
	/* More than 1024 operations, over two parts. */
	r.why = NULL;
	make_ops(ops, keys, 0, 600, 20);
	send_write(&r, 11, true, ops, 600);
	turn(&r);
	assert_null(r.why);
	send_write(&r, 11, false, ops, 600);
	turn(&r);
	assert_non_null(r.why);
	want_silence(&r);
	assert_int_equal(kv_seq(r.kv), 1);
	rig_down(&r);
}

/* ---- in the cell --------------------------------------------------------- */

/* Write and flush for ever, telling on fd each version that is durable. */
__attribute__((noreturn)) static void
write_for_ever(int fd)
{
	static struct kv_op ops[64];
	static char keys[64][16];
	struct kv *kv;

	(void)sandbox_enter(CELL_ENGINE, getppid(), dir, 0);
	if (kv_init(dir, &opts) != KV_OK || (kv = kv_open(dir, &opts)) == NULL)
		_exit(2);
	for (uint64_t i = 1;; i++) {
		make_ops(ops, keys, i % 50 * 64, 64, 4000);
		for (size_t k = 0; k < 64; k++)
			ops[k].value = val(i, 'x', 4000);
		if (kv_write(kv, ops, 64) != KV_OK || kv_flush(kv) != KV_OK ||
		    (i % 90 == 0 && kv_maint(kv, KV_CHECKPOINT) != KV_OK) ||
		    write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(3);
	}
}

/* Recover, check that version i is there, write, checkpoint, close. */
__attribute__((noreturn)) static void
recover(uint64_t i)
{
	struct kv *kv;
	char key[16];

	(void)sandbox_enter(CELL_ENGINE, getppid(), dir, 0);
	if ((kv = kv_open(dir, &opts)) == NULL)
		_exit(2);
	for (size_t k = 0; k < 64; k++) {
		struct bytes b;
		uint64_t ver = 0;

		(void)snprintf(key, sizeof(key), "k%06zu",
		    (size_t)(i % 50) * 64 + k);
		b = bytes_str(key);
		if (kv_get(kv, &b, 1, take_version, &ver) != KV_OK || ver != i)
			_exit(3);
	}
	if (put(kv, "after", 1) != KV_OK ||
	    kv_maint(kv, KV_CHECKPOINT) != KV_OK || kv_close(kv) != KV_OK)
		_exit(4);
	/* Nothing but its own directory is there. */
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		_exit(5);
	_exit(0);
}

#ifdef __SANITIZE_ADDRESS__
#define UNTIL	60
#else
#define UNTIL	150	/* 38 MiB: over three log files, past a checkpoint */
#endif

static void
test_kill_in_the_cell(void **state)
{
	uint64_t i = 0, last = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	(void)state;
	log_set_sink(NULL);
	assert_int_equal(pipe(fd), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		(void)close(fd[0]);
		write_for_ever(fd[1]);
	}
	(void)close(fd[1]);
	while (last < UNTIL && read(fd[0], &i, sizeof(i)) == sizeof(i))
		last = i;
	(void)kill(pid, SIGKILL);
	while ((n = read(fd[0], &i, sizeof(i))) == sizeof(i))
		last = i;
	assert_int_equal(n, 0);
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_in_range(last, UNTIL, UINT32_MAX);

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0)
		recover(last);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_order),
		T(test_answers_wait_for_flush),
		T(test_batch_of_parts),
		T(test_paging),
		T(test_malformed),
		T(test_order_of_ids),
		T(test_kill_in_the_cell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
