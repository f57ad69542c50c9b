#include "kv_codec.h"

bool
kv_key_ok(struct bytes key)
{
	return key.n >= 1 && key.n <= KV_MAX_KEY;
}

bool
kv_value_ok(struct bytes value)
{
	return value.n >= KV_VER_BYTES && value.n <= KV_MAX_VALUE;
}

bool
kv_op_ok(const struct kv_op *op)
{
	return op->op <= KV_CHECK && op->pre <= KV_VER && kv_key_ok(op->key) &&
	    (op->op != KV_PUT || kv_value_ok(op->value));
}

bool
kv_range_ok(const struct kv_range *range)
{
	return range->lo.n <= KV_MAX_BOUND && range->hi.n <= KV_MAX_BOUND &&
	    range->max_items >= 1 && range->max_bytes >= KV_MIN_SCAN;
}

void
kv_enc_ops(struct buf *b, const struct kv_op *ops, size_t n)
{
	if (n > KV_MAX_OPS) {
		b->err = true;
		return;
	}
	buf_u16(b, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		if (!kv_op_ok(&ops[i])) {
			b->err = true;
			return;
		}
		buf_u8(b, ops[i].op);
		buf_u8(b, ops[i].pre);
		if (ops[i].pre == KV_VER)
			buf_u64(b, ops[i].ver);
		buf_v16(b, ops[i].key);
		if (ops[i].op == KV_PUT)
			buf_v16(b, ops[i].value);
	}
}

static int
dec_op(struct rd *r, struct kv_op *op)
{
	*op = (struct kv_op){ .op = rd_u8(r) };
	op->pre = rd_u8(r);
	if (op->pre == KV_VER)
		op->ver = rd_u64(r);
	op->key = rd_v16(r, KV_MAX_KEY);
	if (op->op == KV_PUT)
		op->value = rd_v16(r, KV_MAX_VALUE);
	return !r->err && kv_op_ok(op) ? 0 : -1;
}

/* A part and the count that it begins with, or -1. */
static int
dec_count(struct rd *r, struct bytes part, size_t max, size_t *n)
{
	*r = rd_of(part);
	*n = rd_u16(r);
	return part.n <= KV_PART_MAX && !r->err && *n <= max ? 0 : -1;
}

int
kv_dec_ops(struct bytes part, struct kv_op *ops, size_t max, size_t *n)
{
	struct rd r;

	if (dec_count(&r, part, max, n) == -1 || *n > KV_MAX_OPS)
		return -1;
	for (size_t i = 0; i < *n; i++)
		if (dec_op(&r, &ops[i]) == -1)
			return -1;
	return rd_done(&r) ? 0 : -1;
}

void
kv_enc_keys(struct buf *b, const struct bytes *keys, size_t n)
{
	if (n > UINT16_MAX) {
		b->err = true;
		return;
	}
	buf_u16(b, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		if (!kv_key_ok(keys[i])) {
			b->err = true;
			return;
		}
		buf_v16(b, keys[i]);
	}
}

int
kv_dec_keys(struct bytes part, struct bytes *keys, size_t max, size_t *n)
{
	struct rd r;

	if (dec_count(&r, part, max, n) == -1)
		return -1;
	for (size_t i = 0; i < *n; i++) {
		keys[i] = rd_v16(&r, KV_MAX_KEY);
		if (r.err || !kv_key_ok(keys[i]))
			return -1;
	}
	return rd_done(&r) ? 0 : -1;
}

void
kv_enc_range(struct buf *b, const struct kv_range *range)
{
	if (!kv_range_ok(range)) {
		b->err = true;
		return;
	}
	buf_u8(b, range->reverse);
	buf_u32(b, range->max_items);
	buf_u32(b, range->max_bytes);
	buf_v16(b, range->lo);
	buf_v16(b, range->hi);
}

int
kv_dec_range(struct bytes part, struct kv_range *range)
{
	struct rd r = rd_of(part);
	uint8_t reverse = rd_u8(&r);

	*range = (struct kv_range){ .reverse = reverse != 0 };
	range->max_items = rd_u32(&r);
	range->max_bytes = rd_u32(&r);
	range->lo = rd_v16(&r, KV_MAX_BOUND);
	range->hi = rd_v16(&r, KV_MAX_BOUND);
	return rd_done(&r) && reverse <= 1 && kv_range_ok(range) ? 0 : -1;
}

void
kv_enc_row(struct buf *b, struct bytes key, struct bytes value)
{
	bool found = value.p != NULL;

	if (!kv_key_ok(key) || (found && !kv_value_ok(value))) {
		b->err = true;
		return;
	}
	buf_u8(b, found);
	buf_v16(b, key);
	if (found)
		buf_v16(b, value);
}

int
kv_dec_rows(struct bytes part, struct kv_row *rows, size_t max, size_t *n)
{
	struct rd r = rd_of(part);

	if (part.n > KV_PART_MAX)
		return -1;
	for (*n = 0; r.n > 0; (*n)++) {
		struct kv_row row = { { NULL, 0 }, { NULL, 0 } };
		uint8_t found = rd_u8(&r);

		row.key = rd_v16(&r, KV_MAX_KEY);
		if (found == 1)
			row.value = rd_v16(&r, KV_MAX_VALUE);
		if (r.err || found > 1 || !kv_key_ok(row.key) ||
		    (found == 1 && !kv_value_ok(row.value)) || *n >= max)
			return -1;
		rows[*n] = row;
	}
	return rd_done(&r) ? 0 : -1;
}
