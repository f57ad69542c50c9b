/*
 * The bytes of requests and replies between vault and engine: batches of
 * operations, lists of keys, ranges and rows.  Each fills one part of at most
 * KV_PART_MAX bytes of a datagram.
 *
 *	ops	u16 count, then each: u8 op, u8 pre, u64 ver when pre is
 *		KV_VER, v16 key, v16 value when op is KV_PUT
 *	keys	u16 count, then each: v16 key
 *	range	u8 reverse, u32 max_items, u32 max_bytes, v16 lo, v16 hi
 *	rows	until the end, each: u8 found, v16 key, v16 value when found
 *
 * where v16 is a byte string after its length as u16.
 *
 * Encoders append to b, and leave b->err set when something breaks a limit of
 * kv.h or does not fit; give b KV_PART_MAX as its bound.
 *
 * Decoders return 0, or -1 when the part is too long or short, has trailing
 * bytes, an unknown code or a field outside the limits of kv.h, or more
 * elements than max.  They fill an array of the caller's and allocate nothing:
 * keys and values point into the part.  On -1 what they filled means nothing.
 */
#ifndef STORAGED_KV_CODEC_H
#define STORAGED_KV_CODEC_H

#include "bytes.h"
#include "kv.h"

#define KV_PART_MAX	60000		/* bytes */

/* A row of a reply; value.p is NULL when the key was not found. */
struct kv_row {
	struct bytes	key;
	struct bytes	value;
};

void kv_enc_ops(struct buf *b, const struct kv_op *ops, size_t n);
int kv_dec_ops(struct bytes part, struct kv_op *ops, size_t max, size_t *n);

void kv_enc_keys(struct buf *b, const struct bytes *keys, size_t n);
int kv_dec_keys(struct bytes part, struct bytes *keys, size_t max, size_t *n);

void kv_enc_range(struct buf *b, const struct kv_range *range);
int kv_dec_range(struct bytes part, struct kv_range *range);

/*
 * One row, so that a kv_row_fn appends as it goes.  It takes key.n + value.n +
 * KV_ROW_OVERHEAD bytes at most: a scan with max_bytes at most KV_PART_MAX
 * always fits one part.
 */
void kv_enc_row(struct buf *b, struct bytes key, struct bytes value);
int kv_dec_rows(struct bytes part, struct kv_row *rows, size_t max, size_t *n);

/*
 * Whether a key, a value and an operation keep the limits of kv.h; kv_write()
 * and the decoders ask the same.
 */
bool kv_key_ok(struct bytes key);
bool kv_value_ok(struct bytes value);
bool kv_op_ok(const struct kv_op *op);
bool kv_range_ok(const struct kv_range *range);

#endif
