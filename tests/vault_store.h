/*
 * An engine for tests of the vault: a sorted array in memory, behind a real
 * channel, in a thread of its own.  The test may look at it and tamper with it.
 */
#ifndef TESTS_VAULT_STORE_H
#define TESTS_VAULT_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../storaged/kv_codec.h"
#include "chan.h"
#include "codes.h"

#define ROWS		20000

struct row {
	uint8_t	key[80];
	size_t	key_n;
	uint8_t	*value;
	size_t	value_n;
};

/* The engine's memory; the lock is held by whoever looks at it. */
struct store {
	pthread_mutex_t	 lock;
	struct row	 row[ROWS];
	size_t		 n;
	enum kv_status	 next_write;	/* answer one write so, undone */
	size_t		 writes;
};

static inline int
row_cmp(const struct row *r, struct bytes k)
{
	int c = memcmp(r->key, k.p, r->key_n < k.n ? r->key_n : k.n);

	return c != 0 ? c : (r->key_n > k.n) - (r->key_n < k.n);
}

/* The first row that is not before k. */
static inline size_t
row_at(const struct store *s, struct bytes k)
{
	size_t i = 0;

	while (i < s->n && row_cmp(&s->row[i], k) < 0)
		i++;
	return i;
}

static inline struct row *
row_find(struct store *s, struct bytes k)
{
	size_t i = row_at(s, k);

	return i < s->n && row_cmp(&s->row[i], k) == 0 ? &s->row[i] : NULL;
}

static inline void
row_del(struct store *s, struct bytes k)
{
	struct row *r = row_find(s, k);

	if (r == NULL)
		return;
	free(r->value);
	s->n--;
	memmove(r, r + 1, (size_t)(s->row + s->n - r) * sizeof(*r));
}

static inline void
row_put(struct store *s, struct bytes k, struct bytes v)
{
	size_t i;

	row_del(s, k);
	assert_true(s->n < ROWS && k.n <= sizeof(s->row[0].key));
	i = row_at(s, k);
	memmove(&s->row[i + 1], &s->row[i], (s->n - i) * sizeof(s->row[0]));
	s->n++;
	memcpy(s->row[i].key, k.p, k.n);
	s->row[i].key_n = k.n;
	s->row[i].value = malloc(v.n);
	memcpy(s->row[i].value, v.p, v.n);
	s->row[i].value_n = v.n;
}

static inline bool
pre_holds(struct store *s, const struct kv_op *op)
{
	const struct row *r = row_find(s, op->key);

	return op->pre == KV_ANY || (op->pre == KV_ABSENT && r == NULL) ||
	    (op->pre == KV_VER && r != NULL && get_be64(r->value) == op->ver);
}

static inline enum kv_status
store_write(struct store *s, const struct kv_op *op, size_t n)
{
	enum kv_status st = s->next_write;

	s->next_write = KV_OK;
	s->writes++;
	if (st != KV_OK)
		return st;
	for (size_t i = 0; i < n; i++)
		if (!pre_holds(s, &op[i]))
			return KV_CONFLICT;
	for (size_t i = 0; i < n; i++)
		if (op[i].op == KV_PUT)
			row_put(s, op[i].key, op[i].value);
		else if (op[i].op == KV_DEL)
			row_del(s, op[i].key);
	return KV_OK;
}

static inline void
store_rows(struct store *s, struct chan *c, const struct msg *m)
{
	struct m_ev_rows out = { 0 };
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct kv_range range;
	struct bytes key;
	size_t n, bytes = 0;

	if (m->type == MSG_ve_get) {
		assert_int_equal(kv_dec_keys(m->u.ve_get.keys, &key, 1, &n), 0);
		const struct row *r = row_find(s, key);

		kv_enc_row(&b, key, r != NULL ?
		    bytes_of(r->value, r->value_n) : bytes_of(NULL, 0));
		out.id = m->u.ve_get.id;
	} else {
		assert_int_equal(kv_dec_range(m->u.ve_scan.range, &range), 0);
		n = 0;
		for (size_t i = row_at(s, range.lo); i < s->n; i++) {
			const struct row *r = &s->row[i];

			bytes += r->key_n + r->value_n + KV_ROW_OVERHEAD;
			if ((range.hi.n > 0 && row_cmp(r, range.hi) >= 0) ||
			    n++ == range.max_items || bytes > range.max_bytes)
				break;
			kv_enc_row(&b, bytes_of(r->key, r->key_n),
			    bytes_of(r->value, r->value_n));
		}
		out.id = m->u.ve_scan.id;
	}
	assert_false(b.err);
	out.rows = buf_bytes(&b);
	(void)chan_send(c, MSG_ev_rows, &out, -1);
	buf_free(&b);
}

/* A file of this engine is "a file" from any offset; log 404 is missing. */
static inline void
store_copy_step(struct chan *c, const struct m_ve_copy *m)
{
	struct m_ev_copy out = { .id = m->id, .oldest = 1, .first = 2,
	    .last = 3, .last_bytes = 4 };
	struct m_ev_status st = { .id = m->id, .status = KV_INVALID };

	if (m->log == 404) {
		(void)chan_send(c, MSG_ev_status, &st, -1);
		return;
	}
	if (m->op == COPY_READ)
		out.data = bytes_str("a file");
	(void)chan_send(c, MSG_ev_copy, &out, -1);
}

struct engine_arg {
	struct store	*store;
	int		 fd;
};

static inline void *
engine_main(void *arg)
{
	struct engine_arg *ea = arg;
	struct store *s = ea->store;
	struct chan *c = chan_new(NULL, ea->fd, CH_VAULT_ENGINE, END_B,
	    VAULT_ENGINE_UP, 0, NULL, NULL, NULL);
	static struct kv_op op[KV_MAX_OPS];
	uint8_t *part[KV_MAX_OPS];
	size_t nops = 0, nparts = 0, n;
	struct m_ev_status st = { 0 };
	const char *why;
	struct msg m;

	while (chan_recv(c, &m, -1, &why) == 0) {
		pthread_mutex_lock(&s->lock);
		if (m.type == MSG_ve_write) {
			struct bytes ops = m.u.ve_write.ops;

			part[nparts] = malloc(ops.n);
			memcpy(part[nparts], ops.p, ops.n);
			assert_int_equal(kv_dec_ops(bytes_of(part[nparts++],
			    ops.n), op + nops, KV_MAX_OPS - nops, &n), 0);
			nops += n;
			if (m.u.ve_write.more == 0) {
				st.id = m.u.ve_write.id;
				st.status = (uint8_t)store_write(s, op, nops);
				(void)chan_send(c, MSG_ev_status, &st, -1);
				while (nparts > 0)
					free(part[--nparts]);
				nops = 0;
			}
		} else if (m.type == MSG_ve_copy)
			store_copy_step(c, &m.u.ve_copy);
		else
			store_rows(s, c, &m);
		pthread_mutex_unlock(&s->lock);
	}
	chan_free(c);
	free(ea);
	return NULL;
}

static inline struct store *
store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static inline void
store_clear(struct store *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->row[i].value);
	s->n = 0;
}

static inline void
store_free(struct store *s)
{
	store_clear(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static inline struct store *
store_copy(struct store *s)
{
	struct store *c = store_new();

	for (size_t i = 0; i < s->n; i++)
		row_put(c, bytes_of(s->row[i].key, s->row[i].key_n),
		    bytes_of(s->row[i].value, s->row[i].value_n));
	return c;
}

/* The nth row of a kind. */
static inline struct row *
row_kind(struct store *s, uint8_t kind, size_t nth)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->row[i].key[0] == kind && nth-- == 0)
			return &s->row[i];
	return NULL;
}

#endif
