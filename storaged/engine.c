#include "engine.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "kv_codec.h"
#include "log.h"

/* What the log takes for a batch and for an operation besides its bytes. */
#define LOG_BATCH	256
#define LOG_OP		128

struct answer {
	STAILQ_ENTRY(answer)	 link;
	uint64_t		 seq;	/* durable before this may leave */
	uint64_t		 id;
	enum { STATUS, ROWS, COPY } kind;
	uint8_t			 status;
	struct kv_copy		 copy;
	bool			 more;
	struct buf		 rows;	/* of a copy: bytes of a file */
};

struct kvs {
	struct kv		*kv;
	uint64_t		 last_id;
	STAILQ_HEAD(, answer)	 answers;
	size_t			 waiting;	/* bytes of their rows */
	uint64_t		 log_bytes;

	/* A batch of which more parts come: no more parts than operations. */
	bool			 open;
	struct kv_op		 op[KV_MAX_OPS];
	size_t			 nops;
	uint8_t			*part[KV_MAX_OPS];
	size_t			 nparts;
};

struct kvs *
kvs_new(struct kv *kv)
{
	struct kvs *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	s->kv = kv;
	STAILQ_INIT(&s->answers);
	return s;
}

static void
answer_free(struct kvs *s, struct answer *a)
{
	STAILQ_REMOVE_HEAD(&s->answers, link);
	s->waiting -= a->rows.n;
	buf_free(&a->rows);
	free(a);
}

static void
batch_reset(struct kvs *s)
{
	for (size_t i = 0; i < s->nparts; i++)
		free(s->part[i]);
	s->nparts = s->nops = 0;
	s->open = false;
}

void
kvs_free(struct kvs *s)
{
	struct answer *a;

	if (s == NULL)
		return;
	while ((a = STAILQ_FIRST(&s->answers)) != NULL)
		answer_free(s, a);
	batch_reset(s);
	free(s);
}

static struct answer *
answer_new(struct kvs *s, uint64_t id, int kind)
{
	struct answer *a;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->seq = kv_seq(s->kv);
	a->id = id;
	a->kind = kind;
	buf_init(&a->rows, KV_PART_MAX);
	STAILQ_INSERT_TAIL(&s->answers, a, link);
	return a;
}

static void
answer_status(struct kvs *s, uint64_t id, enum kv_status st)
{
	if (st == KV_FATAL)
		fatalx("the store failed");
	answer_new(s, id, STATUS)->status = (uint8_t)st;
}

/* The answers to one get or scan, while it runs. */
struct rows {
	struct kvs	*s;
	struct answer	*a;		/* the part that is being filled */
};

static bool
take_row(void *arg, struct bytes key, struct bytes value)
{
	struct rows *r = arg;
	struct buf *b = &r->a->rows;
	size_t before = b->n;

	if (b->n + key.n + value.n + KV_ROW_OVERHEAD > KV_PART_MAX) {
		r->a->more = true;
		r->a = answer_new(r->s, r->a->id, ROWS);
		b = &r->a->rows;
		before = 0;
	}
	kv_enc_row(b, key, value);
	if (b->err)
		fatalx("a row cannot be answered");
	r->s->waiting += b->n - before;
	return true;
}

/* The read that began with answer `first` failed: a status in place of rows. */
static void
rows_end(struct kvs *s, struct answer *first, enum kv_status st)
{
	struct answer *a;

	if (st == KV_FATAL)
		fatalx("the store failed");
	if (st == KV_OK)
		return;
	while ((a = STAILQ_NEXT(first, link)) != NULL) {
		STAILQ_REMOVE_AFTER(&s->answers, first, link);
		s->waiting -= a->rows.n;
		buf_free(&a->rows);
		free(a);
	}
	s->waiting -= first->rows.n;
	buf_free(&first->rows);
	first->kind = STATUS;
	first->status = (uint8_t)st;
}

static const char *
run_get(struct kvs *s, const struct m_ve_get *m)
{
	struct bytes keys[KV_MAX_OPS];
	struct answer *first;
	struct rows r;
	size_t n;

	if (kv_dec_keys(m->keys, keys, KV_MAX_OPS, &n) == -1)
		return "malformed keys";
	first = answer_new(s, m->id, ROWS);
	r = (struct rows){ s, first };
	rows_end(s, first, kv_get(s->kv, keys, n, take_row, &r));
	return NULL;
}

static const char *
run_scan(struct kvs *s, const struct m_ve_scan *m)
{
	struct kv_range range;
	struct answer *first;
	struct rows r;
	bool more;

	if (kv_dec_range(m->range, &range) == -1 ||
	    range.max_bytes > KVS_SCAN_MAX)
		return "malformed range";
	first = answer_new(s, m->id, ROWS);
	r = (struct rows){ s, first };
	rows_end(s, first, kv_scan(s->kv, &range, take_row, &r, &more));
	return NULL;
}

/* Keep the part of a batch whose other parts come later. */
static struct bytes
keep_part(struct kvs *s, struct bytes part)
{
	uint8_t *p;

	if ((p = malloc(part.n)) == NULL)
		fatal("malloc");
	memcpy(p, part.p, part.n);
	s->part[s->nparts++] = p;
	return bytes_of(p, part.n);
}

static const char *
run_write(struct kvs *s, const struct m_ve_write *m)
{
	struct bytes part = m->ops;
	enum kv_status st;
	size_t n;

	if (m->more > 1)
		return "malformed batch";
	/* There is room: each part so far had an operation of its own. */
	if (m->more == 1 && s->nops < KV_MAX_OPS)
		part = keep_part(s, part);
	if (kv_dec_ops(part, s->op + s->nops, KV_MAX_OPS - s->nops, &n) == -1 ||
	    n == 0)
		return "malformed batch";
	s->nops += n;
	s->log_bytes += part.n + n * LOG_OP;
	s->open = m->more == 1;
	if (s->open)
		return NULL;
	st = kv_write(s->kv, s->op, s->nops);
	s->log_bytes += LOG_BATCH;
	batch_reset(s);
	answer_status(s, m->id, st);
	return NULL;
}

static enum kv_status
copy_step(struct kvs *s, const struct m_ve_copy *m, struct kv_copy *c,
    uint8_t *data, size_t *n)
{
	switch (m->op) {
	case COPY_BEGIN:
		return kv_copy_begin(s->kv, c);
	case COPY_MARK:
		return kv_copy_mark(s->kv, c);
	case COPY_READ:
		return kv_copy_read(s->kv, m->log, m->offset, data,
		    KVS_COPY_MAX, n);
	default:
		return kv_copy_end(s->kv, m->log);
	}
}

static const char *
run_copy(struct kvs *s, const struct m_ve_copy *m)
{
	static uint8_t data[KVS_COPY_MAX];
	struct kv_copy c = { 0 };
	enum kv_status st;
	struct answer *a;
	size_t n = 0;

	if (m->op >= COPY_OPS)
		return "malformed copy";
	st = copy_step(s, m, &c, data, &n);
	if (st != KV_OK) {
		answer_status(s, m->id, st);
		return NULL;
	}
	a = answer_new(s, m->id, COPY);
	a->copy = c;
	buf_put(&a->rows, data, n);
	if (a->rows.err)
		fatalx("a part of a file cannot be answered");
	s->waiting += n;
	return NULL;
}

/* Ids increase, and nothing comes between the parts of a batch. */
static bool
id_ok(struct kvs *s, enum msg_type type, uint64_t id)
{
	if (s->open)
		return type == MSG_ve_write && id == s->last_id;
	if (id <= s->last_id)
		return false;
	s->last_id = id;
	return true;
}

const char *
kvs_request(struct kvs *s, const struct msg *m)
{
	static const char order[] = "an id out of order";

	switch (m->type) {
	case MSG_ve_write:
		return id_ok(s, m->type, m->u.ve_write.id) ?
		    run_write(s, &m->u.ve_write) : order;
	case MSG_ve_get:
		return id_ok(s, m->type, m->u.ve_get.id) ?
		    run_get(s, &m->u.ve_get) : order;
	case MSG_ve_scan:
		return id_ok(s, m->type, m->u.ve_scan.id) ?
		    run_scan(s, &m->u.ve_scan) : order;
	case MSG_ve_copy:
		return id_ok(s, m->type, m->u.ve_copy.id) ?
		    run_copy(s, &m->u.ve_copy) : order;
	default:
		return "not a request";
	}
}

static void
send_answer(const struct answer *a, struct chan *c)
{
	struct m_ev_status st = { .id = a->id, .status = a->status };
	struct m_ev_rows rows = { .id = a->id, .more = a->more,
	    .rows = buf_bytes(&a->rows) };
	struct m_ev_copy copy = { .id = a->id, .oldest = a->copy.oldest,
	    .first = a->copy.first, .last = a->copy.last,
	    .last_bytes = a->copy.last_bytes, .data = buf_bytes(&a->rows) };

	/* A failure finishes the channel, and so reaches its owner. */
	if (a->kind == ROWS)
		(void)chan_send(c, MSG_ev_rows, &rows, -1);
	else if (a->kind == COPY)
		(void)chan_send(c, MSG_ev_copy, &copy, -1);
	else
		(void)chan_send(c, MSG_ev_status, &st, -1);
}

void
kvs_finish(struct kvs *s, struct chan *c)
{
	struct answer *a;

	if (kv_seq(s->kv) != kv_flushed_seq(s->kv) && kv_flush(s->kv) != KV_OK)
		fatalx("the store cannot be made durable");
	while ((a = STAILQ_FIRST(&s->answers)) != NULL) {
		if (a->seq > kv_flushed_seq(s->kv))
			fatalx("an answer before its write is durable");
		send_answer(a, c);
		answer_free(s, a);
	}
}

size_t
kvs_waiting(const struct kvs *s)
{
	return s->waiting;
}

uint64_t
kvs_log_bytes(const struct kvs *s)
{
	return s->log_bytes;
}

void
kvs_checkpointed(struct kvs *s)
{
	s->log_bytes = 0;
}
