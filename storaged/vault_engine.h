/*
 * The vault's client of the engine: requests go out at once, replies come in
 * the same order and call back.  What the engine says is checked for shape here
 * (order of replies, keys that were asked for, ranges) and for truth by those
 * who open the values.  An engine that breaks the protocol, or that reports
 * KV_FATAL, ends the vault.
 */
#ifndef STORAGED_VAULT_ENGINE_H
#define STORAGED_VAULT_ENGINE_H

#include "chan.h"
#include "codes.h"
#include "kv_codec.h"
#include "rkey.h"

struct engine;

/* One part of a reply. */
struct engine_reply {
	enum kv_status		 status;
	const struct kv_row	*row;	/* valid during the call */
	size_t			 n;
	bool			 last;	/* no further part of this reply */
	bool			 end;	/* scan, last part: its range has no more
					 * rows */
	const struct m_ev_copy	*copy;	/* of engine_copy(), when KV_OK */
};

/*
 * Called for each part of a reply: always at least once, and once with last
 * set.  It may make new requests.
 */
typedef void engine_cb(void *arg, const struct engine_reply *r);

/* The vault's end; the channel is attached afterwards. */
struct engine *engine_new(void);
void engine_free(struct engine *e);
void engine_attach(struct engine *e, struct chan *c);
/* The channel's callback; its argument is the struct engine. */
chan_msg_cb engine_on_msg;
/*
 * Wait until every request is answered: at start, when nothing else runs.  0,
 * or -1 when the engine is gone.
 */
int engine_wait(struct engine *e);

/* A place to begin a scan: a key, or just behind one. */
struct engine_pos {
	uint8_t	p[SEAL_RKEY_MAX + 1];
	size_t	n;
};

/* The first place that is not before key, and the first one behind it. */
struct engine_pos engine_at(struct bytes key);
struct engine_pos engine_after(struct bytes key);

/* The engine's order of keys: memcmp, a shorter one before its extensions. */
int engine_cmp(struct bytes a, struct bytes b);

/* Look one key up: one row, whose value.p is NULL when there is none. */
void engine_get(struct engine *e, struct bytes key, engine_cb *cb, void *arg);
/*
 * A page of the rows from lo up to hi (exclusive, n == 0: no bound): at most
 * max rows, and no more than fit one datagram.  Go on with engine_after(the
 * last row's key) unless end was set.
 */
void engine_scan(struct engine *e, const struct engine_pos *lo,
    const struct rec_key *hi, uint32_t max, engine_cb *cb, void *arg);

/* Operations that shall be one transaction. */
struct wbatch {
	struct kv_op	*op;
	size_t		 n;
	size_t		 cap;
};

/* Add an operation; key and value are copied.  ver is for KV_VER. */
void wb_put(struct wbatch *b, enum kv_pre pre, uint64_t ver, struct bytes key,
    struct bytes value);
void wb_del(struct wbatch *b, struct bytes key);
/* Append the operations of src, which is empty afterwards. */
void wb_move(struct wbatch *b, struct wbatch *src);
void wb_free(struct wbatch *b);

/*
 * Write b, which stays the caller's; at most KV_MAX_OPS operations.  The reply
 * has only a status: KV_OK (durable), KV_CONFLICT, KV_RETRY or KV_FULL.
 */
void engine_write(struct engine *e, const struct wbatch *b, engine_cb *cb,
    void *arg);

/*
 * A step of copying the engine's files (engine.h, ve_copy).  The reply is a copy,
 * or the status KV_INVALID: no such file, or no copy was begun.
 */
void engine_copy(struct engine *e, enum copy_op op, uint32_t log,
    uint64_t offset, engine_cb *cb, void *arg);

#endif
