/* The vault's client of the engine: what it sends, and which answers kill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../storaged/vault_engine.h"
#include "log.h"
#include "secret.h"

static struct engine *engine;
static struct chan *client, *server;	/* the server's end is blocking */

static void
lost(struct chan *c, const char *why, void *arg)
{
	(void)c;
	(void)why;
	(void)arg;
}

static int
up(void **state)
{
	static struct loop *loop;
	int fd[2];

	*state = loop = loop_new();
	if (chan_pair(fd, true) == -1)
		return -1;
	engine = engine_new();
	client = chan_new(loop, fd[0], CH_VAULT_ENGINE, END_A,
	    VAULT_ENGINE_UP, 0, engine_on_msg, lost, engine);
	engine_attach(engine, client);
	server = chan_new(NULL, fd[1], CH_VAULT_ENGINE, END_B,
	    VAULT_ENGINE_UP, 0, NULL, NULL, NULL);
	return 0;
}

static int
down(void **state)
{
	chan_free(client);
	chan_free(server);
	engine_free(engine);
	loop_free(*state);
	return 0;
}

struct seen {
	unsigned	calls, rows;
	bool		last, end;
	enum kv_status	status;
};

static void
see(void *arg, const struct engine_reply *r)
{
	struct seen *s = arg;

	s->calls++;
	s->rows += (unsigned)r->n;
	s->last = r->last;
	s->end = r->end;
	s->status = r->status;
}

/* Rows with these keys, each with a value of eight bytes; "-": not found. */
static void
answer(uint64_t id, bool more, const char *const *keys, size_t n)
{
	struct m_ev_rows m = { .id = id, .more = more };
	struct buf b = BUF_INIT(KV_PART_MAX);

	for (size_t i = 0; i < n; i++)
		if (keys[i][0] == '-')
			kv_enc_row(&b, bytes_str(keys[i] + 1),
			    bytes_of(NULL, 0));
		else
			kv_enc_row(&b, bytes_str(keys[i]),
			    bytes_of("\0\0\0\0\0\0\0\1", 8));
	m.rows = buf_bytes(&b);
	assert_int_equal(chan_send(server, MSG_ev_rows, &m, -1), 0);
	buf_free(&b);
}

static void
status(uint64_t id, enum kv_status st)
{
	struct m_ev_status m = { .id = id, .status = (uint8_t)st };

	assert_int_equal(chan_send(server, MSG_ev_status, &m, -1), 0);
}

static void
scan(uint32_t max, struct seen *s)
{
	struct engine_pos lo = engine_at(bytes_str("b"));
	struct rec_key hi = { "y", 1 };

	engine_scan(engine, &lo, &hi, max, see, s);
}

#define KEYS(...) (const char *const[]){ __VA_ARGS__ }, \
    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)

static void
answers_in_order(void **state)
{
	struct seen get = { 0 }, none = { 0 }, page = { 0 }, all = { 0 };

	(void)state;
	engine_get(engine, bytes_str("k"), see, &get);
	engine_get(engine, bytes_str("x"), see, &none);
	scan(2, &page);
	scan(10, &all);
	answer(1, false, KEYS("k"));
	answer(2, false, KEYS("-x"));
	answer(3, true, KEYS("b"));
	answer(3, false, KEYS("c"));
	answer(4, false, KEYS("b", "c", "d"));
	assert_int_equal(engine_wait(engine), 0);
	assert_int_equal(get.rows, 1);
	assert_int_equal(none.rows, 1);
	assert_int_equal(page.calls, 2);
	assert_true(page.last && !page.end);	/* the limit was reached */
	assert_true(all.last && all.end);
}

static void
batches_in_parts(void **state)
{
	static uint8_t value[KV_MAX_VALUE];
	struct wbatch b = { NULL, 0, 0 }, c = { NULL, 0, 0 };
	struct kv_op op[40];
	struct seen s = { 0 };
	const char *why;
	struct msg m;
	size_t ops = 0, parts = 0, n;
	char key[16];

	(void)state;
	for (int i = 0; i < 39; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		wb_put(i < 20 ? &b : &c, KV_VER, 7, bytes_str(key),
		    bytes_of(value, sizeof(value)));
	}
	wb_del(&c, bytes_str("gone"));
	wb_move(&b, &c);
	assert_int_equal(b.n, 40);
	assert_int_equal(c.n, 0);
	engine_write(engine, &b, see, &s);
	do {
		assert_int_equal(chan_recv(server, &m, 1000, &why), 0);
		assert_int_equal(m.type, MSG_ve_write);
		assert_int_equal(kv_dec_ops(m.u.ve_write.ops, op, 40, &n), 0);
		for (size_t i = 0; i < n && ops + i < 39; i++) {
			(void)snprintf(key, sizeof(key), "%zu", ops + i);
			assert_true(bytes_eq(op[i].key, bytes_str(key)));
			assert_true(op[i].ver == 7);
		}
		ops += n;
		parts++;
	} while (m.u.ve_write.more != 0);
	assert_int_equal(ops, 40);
	assert_int_equal(parts, 3);
	assert_int_equal(op[n - 1].op, KV_DEL);
	status(1, KV_FULL);
	assert_int_equal(engine_wait(engine), 0);
	assert_int_equal(s.status, KV_FULL);
	wb_free(&b);
}

/* In a child, that must die by itself. */
static void
dies(void (*engine_says)(void), enum msg_type request)
{
	struct wbatch b = { NULL, 0, 0 };
	struct seen s = { 0 };
	int st;
	pid_t pid;

	if ((pid = fork()) == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(9);
		if (request == MSG_ve_get)
			engine_get(engine, bytes_str("k"), see, &s);
		else if (request == MSG_ve_scan)
			scan(2, &s);
		else {
			wb_del(&b, bytes_str("k"));
			engine_write(engine, &b, see, &s);
		}
		engine_says();
		(void)engine_wait(engine);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), 1);
}

#define SAYS(name, what) static void name(void) { what; }
SAYS(other_id, answer(9, false, KEYS("k")))
SAYS(other_key, answer(1, false, KEYS("l")))
SAYS(twice, answer(1, false, KEYS("k", "k")))
SAYS(nothing, answer(1, false, NULL, 0))
SAYS(row_and_more, answer(1, true, KEYS("k")); answer(1, false, NULL, 0))
SAYS(below, answer(1, false, KEYS("a")))
SAYS(above, answer(1, false, KEYS("y")))
SAYS(back, answer(1, false, KEYS("d", "c")))
SAYS(repeated, answer(1, true, KEYS("c")); answer(1, false, KEYS("c")))
SAYS(too_many, answer(1, false, KEYS("c", "d", "e")))
SAYS(valueless, answer(1, false, KEYS("-c")))
SAYS(said_ok, status(1, KV_OK))
SAYS(said_invalid, status(1, KV_INVALID))
SAYS(said_fatal, status(1, KV_FATAL))
SAYS(said_99, status(1, 99))
SAYS(status_of_other, status(2, KV_OK))
SAYS(rows_for_write, answer(1, false, KEYS("k")))

static void
lies_kill(void **state)
{
	(void)state;
	dies(other_id, MSG_ve_get);
	dies(other_key, MSG_ve_get);
	dies(twice, MSG_ve_get);
	dies(nothing, MSG_ve_get);
	dies(row_and_more, MSG_ve_get);
	dies(said_ok, MSG_ve_get);
	dies(below, MSG_ve_scan);
	dies(above, MSG_ve_scan);
	dies(back, MSG_ve_scan);
	dies(repeated, MSG_ve_scan);
	dies(too_many, MSG_ve_scan);
	dies(valueless, MSG_ve_scan);
	dies(said_invalid, MSG_ve_write);
	dies(said_fatal, MSG_ve_write);
	dies(said_99, MSG_ve_write);
	dies(status_of_other, MSG_ve_write);
	dies(rows_for_write, MSG_ve_write);
}

/* Secret memory is writable, and zero in a child. */
static void
secrets_stay_here(void **state)
{
	uint8_t *p = secret_alloc(5000);
	uint8_t any = 0;
	pid_t pid;
	int st;

	(void)state;
	for (size_t i = 0; i < 5000; i++)
		any |= p[i];
	assert_int_equal(any, 0);
	memset(p, 0xa5, 5000);
	if ((pid = fork()) == 0) {
		for (size_t i = 0; i < 5000; i++)
			any |= p[i];
		_exit(any);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	assert_int_equal(p[4999], 0xa5);
	secret_free(p, 5000);
	secret_free(NULL, 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_in_order, up, down),
		cmocka_unit_test_setup_teardown(batches_in_parts, up, down),
		cmocka_unit_test_setup_teardown(lies_kill, up, down),
		cmocka_unit_test(secrets_stay_here),
	};

	(void)msg_desc(0);
	return cmocka_run_group_tests_name("vault_engine", tests, NULL, NULL);
}
