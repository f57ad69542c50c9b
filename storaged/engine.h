/*
 * The engine's side of the channel between vault and engine: requests on the
 * store (kv.h), run in the order in which they come and answered in that order.
 *
 * A round is a number of requests and then one kvs_finish(), which makes all
 * their writes durable with one sync before the first answer leaves: also an
 * answer to a read waits, because it may have seen such a write.
 *
 *	ve_write	parts with one id and more = 1 until the last are one
 *			atomic batch of at most KV_MAX_OPS operations, each
 *			part with at least one; answered by ev_status
 *	ve_get		at most KV_MAX_OPS keys; answered by a row for each
 *	ve_scan		max_bytes at most KVS_SCAN_MAX; answered by its rows
 *
 *	ve_copy		a step of copying the files (kv.h, kv_copy_begin());
 *			answered by ev_copy, with up to KVS_COPY_MAX bytes of a
 *			file that are fewer at its end alone, or by ev_status
 *
 * Rows go in ev_rows, all parts but the last with more = 1.  A get or scan that
 * failed is answered by ev_status.  Ids increase.
 */
#ifndef STORAGED_ENGINE_H
#define STORAGED_ENGINE_H

#include "chan.h"
#include "kv.h"

#define KVS_SCAN_MAX	(1u << 20)	/* bytes, as kv_scan() counts them */
/* So many bytes of answers wait before no more requests are taken. */
#define KVS_WAITING_MAX	((size_t)4 << 20)

#define KVS_COPY_MAX	57344u		/* bytes: 14 pages */

struct kvs;

/* A server of kv, which stays the caller's.  Dies without memory. */
struct kvs *kvs_new(struct kv *kv);
/* Forget all requests and answers; NULL is allowed. */
void kvs_free(struct kvs *s);

/*
 * Run one request; m need not stay.  NULL, or what in it breaks the rules
 * above: the peer must then not be served any more.  Dies by fatalx() after
 * KV_FATAL, with nothing answered.
 */
const char *kvs_request(struct kvs *s, const struct msg *m);

/*
 * Make everything written durable and send the answers on c.  A channel that is
 * finished takes them to nowhere, and its owner learns of its end from the
 * loop.  Dies by fatalx() after KV_FATAL, with nothing answered.
 */
void kvs_finish(struct kvs *s, struct chan *c);

/* Bytes of answers that kvs_finish() has not sent yet. */
size_t kvs_waiting(const struct kvs *s);

/*
 * About how many bytes of log the writes since the last kvs_checkpointed() made.
 */
uint64_t kvs_log_bytes(const struct kvs *s);
void kvs_checkpointed(struct kvs *s);

#endif
