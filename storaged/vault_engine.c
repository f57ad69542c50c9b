#include "vault_engine.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "log.h"

/* The smallest row: found, a key of one byte, a value that is a version. */
#define ROW_MIN		(1 + 2 + 1)
#define ROWS_MAX	(KV_PART_MAX / ROW_MIN)
/* The most that an operation takes in a part besides key and value. */
#define OP_OVERHEAD	(1 + 1 + 8 + 2 + 2)

enum what { GET, SCAN, WRITE, COPY };

struct request {
	STAILQ_ENTRY(request)	 link;
	uint64_t		 id;
	enum what		 what;
	engine_cb		*cb;
	void			*arg;
	struct engine_pos	 lo;	/* GET: the key */
	struct rec_key		 hi;
	uint32_t		 max;
	size_t			 rows;	/* so far */
	size_t			 bytes;	/* as kv_scan() counts them */
};

struct engine {
	struct chan			*chan;
	uint64_t			 next_id;
	STAILQ_HEAD(, request)		 pending;
	struct kv_row			 row[ROWS_MAX];
};

struct engine *
engine_new(void)
{
	struct engine *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	e->next_id = 1;
	STAILQ_INIT(&e->pending);
	return e;
}

void
engine_free(struct engine *e)
{
	struct request *q;

	if (e == NULL)
		return;
	while ((q = STAILQ_FIRST(&e->pending)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->pending, link);
		free(q);
	}
	free(e);
}

void
engine_attach(struct engine *e, struct chan *c)
{
	e->chan = c;
}

struct engine_pos
engine_at(struct bytes key)
{
	struct engine_pos pos = { .n = key.n };

	if (key.n > SEAL_RKEY_MAX)
		fatalx("key too long");
	memcpy(pos.p, key.p, key.n);
	return pos;
}

struct engine_pos
engine_after(struct bytes key)
{
	struct engine_pos pos = engine_at(key);

	pos.p[pos.n++] = 0;
	return pos;
}

static struct request *
request_new(struct engine *e, enum what what, engine_cb *cb, void *arg)
{
	struct request *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		fatal("calloc");
	q->id = e->next_id++;
	q->what = what;
	q->cb = cb;
	q->arg = arg;
	STAILQ_INSERT_TAIL(&e->pending, q, link);
	return q;
}

/* A channel that is finished says so to its owner, who ends the vault. */
static void
engine_send(struct engine *e, enum msg_type type, const void *body)
{
	if (chan_send(e->chan, type, body, -1) == -1)
		log_err("the engine takes no more requests");
}

void
engine_get(struct engine *e, struct bytes key, engine_cb *cb, void *arg)
{
	struct request *q = request_new(e, GET, cb, arg);
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct m_ve_get m = { .id = q->id };

	q->lo = engine_at(key);
	kv_enc_keys(&b, &key, 1);
	if (b.err)
		fatalx("a key cannot be looked up");
	m.keys = buf_bytes(&b);
	engine_send(e, MSG_ve_get, &m);
	buf_free(&b);
}

void
engine_scan(struct engine *e, const struct engine_pos *lo,
    const struct rec_key *hi, uint32_t max, engine_cb *cb, void *arg)
{
	struct request *q = request_new(e, SCAN, cb, arg);
	struct buf b = BUF_INIT(2048);
	struct m_ve_scan m = { .id = q->id };
	struct kv_range range = {
		.lo = bytes_of(lo->p, lo->n), .hi = rec_bytes(hi),
		.max_items = max, .max_bytes = KV_PART_MAX
	};

	q->lo = *lo;
	q->hi = *hi;
	q->max = max;
	kv_enc_range(&b, &range);
	if (b.err)
		fatalx("a range cannot be scanned");
	m.range = buf_bytes(&b);
	engine_send(e, MSG_ve_scan, &m);
	buf_free(&b);
}

static struct kv_op *
wb_add(struct wbatch *b)
{
	if (b->n == b->cap) {
		b->cap = b->cap == 0 ? 8 : b->cap * 2;
		b->op = reallocarray(b->op, b->cap, sizeof(*b->op));
		if (b->op == NULL)
			fatal("reallocarray");
	}
	b->op[b->n] = (struct kv_op){ 0 };
	return &b->op[b->n++];
}

void
wb_put(struct wbatch *b, enum kv_pre pre, uint64_t ver, struct bytes key,
    struct bytes value)
{
	struct kv_op *op = wb_add(b);
	uint8_t *p;

	if ((p = malloc(key.n + value.n)) == NULL)
		fatal("malloc");
	memcpy(p, key.p, key.n);
	memcpy(p + key.n, value.p, value.n);
	op->op = KV_PUT;
	op->pre = (uint8_t)pre;
	op->ver = ver;
	op->key = bytes_of(p, key.n);
	op->value = bytes_of(p + key.n, value.n);
}

void
wb_del(struct wbatch *b, struct bytes key)
{
	struct kv_op *op = wb_add(b);
	uint8_t *p;

	if ((p = malloc(key.n)) == NULL)
		fatal("malloc");
	memcpy(p, key.p, key.n);
	op->op = KV_DEL;
	op->pre = KV_ANY;
	op->key = bytes_of(p, key.n);
}

void
wb_move(struct wbatch *b, struct wbatch *src)
{
	for (size_t i = 0; i < src->n; i++)
		*wb_add(b) = src->op[i];
	src->n = 0;
	wb_free(src);
}

void
wb_free(struct wbatch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free((void *)(uintptr_t)b->op[i].key.p);
	free(b->op);
	*b = (struct wbatch){ NULL, 0, 0 };
}

static void
send_part(struct engine *e, uint64_t id, const struct kv_op *op, size_t n,
    bool more)
{
	struct buf b = BUF_INIT(KV_PART_MAX);
	struct m_ve_write m = { .id = id, .more = more };

	kv_enc_ops(&b, op, n);
	if (b.err)
		fatalx("a batch cannot be written");
	m.ops = buf_bytes(&b);
	engine_send(e, MSG_ve_write, &m);
	buf_free(&b);
}

void
engine_write(struct engine *e, const struct wbatch *b, engine_cb *cb, void *arg)
{
	struct request *q = request_new(e, WRITE, cb, arg);
	size_t first = 0, bytes = 2;

	if (b->n == 0 || b->n > KV_MAX_OPS)
		fatalx("a batch of %zu operations", b->n);
	for (size_t i = 0; i < b->n; i++) {
		size_t n = OP_OVERHEAD + b->op[i].key.n + b->op[i].value.n;

		if (bytes + n > KV_PART_MAX) {
			send_part(e, q->id, b->op + first, i - first, true);
			first = i;
			bytes = 2;
		}
		bytes += n;
	}
	send_part(e, q->id, b->op + first, b->n - first, false);
}

void
engine_copy(struct engine *e, enum copy_op op, uint32_t log, uint64_t offset,
    engine_cb *cb, void *arg)
{
	struct request *q = request_new(e, COPY, cb, arg);
	struct m_ve_copy m = { .id = q->id, .op = (uint8_t)op, .log = log,
	    .offset = offset };

	engine_send(e, MSG_ve_copy, &m);
}

__attribute__((noreturn)) static void
broken(const char *what)
{
	audit(EV_violation, 0, NULL, "engine: %s", what);
	fatalx("the engine broke the protocol: %s", what);
}

int
engine_cmp(struct bytes a, struct bytes b)
{
	int r = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

/* Rows are what was asked for, in order. */
static void
check_rows(struct request *q, const struct kv_row *row, size_t n)
{
	struct bytes lo = bytes_of(q->lo.p, q->lo.n);

	for (size_t i = 0; i < n; i++) {
		struct bytes k = row[i].key;

		if (q->what == GET) {
			if (q->rows + i > 0 || !bytes_eq(k, lo))
				broken("a key that was not asked for");
			continue;
		}
		if (k.n > SEAL_RKEY_MAX || row[i].value.p == NULL ||
		    engine_cmp(k, lo) < 0 ||
		    (q->hi.n > 0 && engine_cmp(k, rec_bytes(&q->hi)) >= 0))
			broken("a row out of order or range");
		q->lo = engine_after(k);
		lo = bytes_of(q->lo.p, q->lo.n);
		q->bytes += k.n + row[i].value.n + KV_ROW_OVERHEAD;
	}
	q->rows += n;
	if (q->what == SCAN && q->rows > q->max)
		broken("too many rows");
}

static void
on_rows(struct engine *e, struct request *q, const struct m_ev_rows *m)
{
	struct engine_reply r = { .status = KV_OK, .row = e->row,
	    .last = m->more == 0 };

	if (q->what == WRITE || q->what == COPY || m->id != q->id ||
	    m->more > 1)
		broken("an answer to nothing that was asked");
	if (kv_dec_rows(m->rows, e->row, ROWS_MAX, &r.n) == -1)
		broken("malformed rows");
	check_rows(q, e->row, r.n);
	/* One reply, with the one row: its callback may free what it is for. */
	if (q->what == GET && (!r.last || q->rows != 1))
		broken("a key without its row");
	/* No limit can have ended the scan. */
	r.end = r.last && q->what == SCAN && q->rows < q->max &&
	    (q->rows == 0 || q->bytes + KV_MIN_SCAN <= KV_PART_MAX);
	if (r.last)
		STAILQ_REMOVE_HEAD(&e->pending, link);
	q->cb(q->arg, &r);
	if (r.last)
		free(q);
}

static void
on_status(struct engine *e, struct request *q, const struct m_ev_status *m)
{
	struct engine_reply r = { .status = m->status, .last = true };

	if (m->id != q->id)
		broken("an answer to nothing that was asked");
	if (m->status == KV_FATAL)
		fatalx("the engine cannot go on");
	if (m->status > KV_FATAL ||
	    (m->status == KV_INVALID && q->what != COPY) ||
	    (q->what != WRITE && m->status == KV_OK))
		broken("a status without sense");
	STAILQ_REMOVE_HEAD(&e->pending, link);
	q->cb(q->arg, &r);
	free(q);
}

/* What is in it the vault passes on, and believes nothing of it. */
static void
on_copy(struct engine *e, struct request *q, const struct m_ev_copy *m)
{
	struct engine_reply r = { .status = KV_OK, .last = true, .copy = m };

	if (q->what != COPY || m->id != q->id)
		broken("an answer to nothing that was asked");
	STAILQ_REMOVE_HEAD(&e->pending, link);
	q->cb(q->arg, &r);
	free(q);
}

void
engine_on_msg(struct chan *c, struct msg *m, void *arg)
{
	struct engine *e = arg;
	struct request *q;

	(void)c;
	if ((q = STAILQ_FIRST(&e->pending)) == NULL)
		broken("an answer to nothing that was asked");
	if (m->type == MSG_ev_rows)
		on_rows(e, q, &m->u.ev_rows);
	else if (m->type == MSG_ev_copy)
		on_copy(e, q, &m->u.ev_copy);
	else
		on_status(e, q, &m->u.ev_status);
}

int
engine_wait(struct engine *e)
{
	const char *why;
	struct msg m;

	while (!STAILQ_EMPTY(&e->pending)) {
		if (chan_recv(e->chan, &m, -1, &why) != 0)
			return -1;
		engine_on_msg(e->chan, &m, e);
	}
	return 0;
}
