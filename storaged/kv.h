/*
 * The store: an ordered, transactional map from keys to values, on disk.
 *
 * The engine process calls it, the vault is behind the other end of the
 * engine's channel; what is stored is ciphertext, and nothing here is trusted
 * by the vault.  Keys are ordered by memcmp, a shorter key before its
 * extensions.  Every value begins with its version, a big-endian u64.
 *
 * One process, one thread.  The directory (absolute, on a local file system,
 * the engine's own) holds
 *
 *	data/kv.db	 the B-tree
 *	log/log.*	 the write-ahead log
 *	format		 which version of all this it is
 *	keep		 from which log file on the next backup needs them
 *	ballast		 space to give back: when the disk is so full that even
 *			 kv_open() fails, remove this file, start, make room,
 *			 and make it again with fallocate(1)
 *
 * Durability.  kv_write() changes what is read at once, but is durable only
 * after a later kv_flush(), which makes everything so far durable with one
 * sync.  So the engine drains its socket, runs each request, remembers
 * kv_seq() beside each reply (of a read too: it may have seen an unflushed
 * write), calls kv_flush() once, and then sends the replies whose number is
 * at most kv_flushed_seq().  When kv_seq() == kv_flushed_seq() beforehand and
 * only reads came in, nothing has to wait.
 *
 * All but kv_init() works behind Landlock with, on the directory alone,
 * READ_FILE, WRITE_FILE, READ_DIR, MAKE_REG, REMOVE_FILE and TRUNCATE, without
 * a thread.  Beside the system calls of plain file access it needs flock,
 * fstatfs, fdatasync, getdents64, getcwd, sysinfo and sched_getaffinity.
 *
 * Who writes the files while the store is closed can put anything into them.  A
 * value of a size that no record has is read as KV_VER_BYTES zeros (no record has
 * version 0), a record whose key has such a size is left out.
 *
 * After KV_FATAL nothing is known about what has not been flushed.  The reason
 * is logged, every later call returns KV_FATAL too, and the process must exit
 * without answering; the next kv_open() recovers.
 */
#ifndef STORAGED_KV_H
#define STORAGED_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define KV_MAX_KEY	64		/* bytes; a key has at least one */
#define KV_MAX_BOUND	(KV_MAX_KEY + 1) /* bytes; lo, hi of a scan */
#define KV_VER_BYTES	8		/* what a value begins with */
#define KV_MAX_VALUE	4064		/* bytes, version included: one page */
#define KV_MAX_OPS	1024		/* operations of one kv_write() */
#define KV_ROW_OVERHEAD	5		/* what a scan counts besides the row */
/* The smallest byte limit of a scan: any one row fits. */
#define KV_MIN_SCAN	(KV_MAX_KEY + KV_MAX_VALUE + KV_ROW_OVERHEAD)

enum kv_status {
	KV_OK = 0,
	KV_CONFLICT = 1,	/* a precondition failed, no change */
	KV_RETRY = 2,		/* no change, the same may succeed */
	KV_FULL = 3,		/* below the free-space floor, no change */
	KV_INVALID = 4,		/* an argument breaks a limit, no change */
	KV_FATAL = 5		/* exit; see above */
};

enum kv_opcode {
	KV_PUT = 0,		/* insert or replace */
	KV_DEL = 1,		/* delete; no error when there is none */
	KV_CHECK = 2		/* the precondition alone */
};

enum kv_pre {
	KV_ANY = 0,
	KV_ABSENT = 1,		/* the key has no value */
	KV_VER = 2		/* it has one, whose version is ver */
};

/* One operation of a batch; key and value belong to the caller. */
struct kv_op {
	uint8_t		op;	/* enum kv_opcode */
	uint8_t		pre;	/* enum kv_pre */
	uint64_t	ver;	/* for KV_VER, else ignored */
	struct bytes	key;	/* 1..KV_MAX_KEY bytes */
	struct bytes	value;	/* KV_PUT: 8..KV_MAX_VALUE bytes */
};

/* Options; start from KV_OPTS_DEFAULT. */
struct kv_opts {
	size_t		cache_bytes;	/* page cache; grows as it is used */
	uint64_t	floor_bytes;	/* free space under which KV_FULL */
	uint64_t	ballast_bytes;	/* for kv_init(); 0: none */
};

#define KV_OPTS_DEFAULT	{ (size_t)64 << 20, (uint64_t)64 << 20, \
			    (uint64_t)16 << 20 }

struct kv;

/*
 * Create an empty store in an existing directory, durably, and close it.  The
 * only call that ever creates a database.  opts NULL is KV_OPTS_DEFAULT.
 * KV_OK, or KV_FATAL with the reason logged: also when there is a store
 * already, a DB_CONFIG file, or another process that has it open.
 */
enum kv_status kv_init(const char *dir, const struct kv_opts *opts);

/*
 * Open the store in dir exclusively and recover it.  opts NULL is
 * KV_OPTS_DEFAULT.  NULL with the reason logged when the database or its logs
 * are missing (Berkeley DB would open an empty one), when there is a DB_CONFIG
 * file, when another process has it open, or when recovery fails.  What was
 * flushed is there afterwards, and what is there is durable.
 */
struct kv *kv_open(const char *dir, const struct kv_opts *opts);

/*
 * kv_open() for files that kv_copy_read() gave, put into their places: replays
 * every log, then checks every page, and makes a ballast if there is none.
 */
struct kv *kv_restore(const char *dir, const struct kv_opts *opts);

/*
 * Apply ops[0..n) as one transaction, in order, each seeing those before it:
 * all of them or, when a precondition fails, none.  n is at most KV_MAX_OPS.
 * Durable after the next kv_flush().  KV_FULL is never returned for a batch of
 * KV_CHECK alone.
 */
enum kv_status kv_write(struct kv *kv, const struct kv_op *ops, size_t n);

/* Make every write so far durable; does nothing when they all are. */
enum kv_status kv_flush(struct kv *kv);

/*
 * Takes one row; key and value are valid during the call.  value.p is NULL
 * when the key has no value (kv_get() alone).  False ends the get or scan.
 * It may not call the store.
 */
typedef bool kv_row_fn(void *arg, struct bytes key, struct bytes value);

/*
 * Look up keys[0..n) and call fn for each in this order.  Nothing changes
 * between the first and the last.
 */
enum kv_status kv_get(struct kv *kv, const struct bytes *keys, size_t n,
    kv_row_fn *fn, void *arg);

/*
 * What to scan: lo <= key < hi, ascending, or descending when reverse is set.
 * An empty lo or hi is no bound.  The scan stops before the row that would be
 * number max_items + 1, or that would take the sum of key size, value size and
 * KV_ROW_OVERHEAD over max_bytes (at least KV_MIN_SCAN).  To go on after the
 * last row's key k: lo = k with a zero byte appended, or reversed, hi = k.
 */
struct kv_range {
	struct bytes	lo, hi;		/* at most KV_MAX_BOUND bytes */
	bool		reverse;
	uint32_t	max_items;	/* at least 1 */
	uint32_t	max_bytes;
};

/*
 * Call fn for each row of the range.  *more is set to whether a row was left
 * because of a limit or because fn returned false (the row that fn refused
 * counts as not taken).
 */
enum kv_status kv_scan(struct kv *kv, const struct kv_range *range,
    kv_row_fn *fn, void *arg, bool *more);

/* The number of writes since kv_open(), and of those that are durable. */
uint64_t kv_seq(const struct kv *kv);
uint64_t kv_flushed_seq(const struct kv *kv);

enum kv_task {
	KV_CHECKPOINT = 0	/* write dirty pages, remove logs not needed */
};

/*
 * Maintenance; KV_CHECKPOINT flushes first.  It stalls the caller (85 to 255
 * ms were measured), and bounds the time of recovery and the space of the
 * logs: every few seconds of writing, or every 16 to 64 MiB, is right.
 */
enum kv_status kv_maint(struct kv *kv, enum kv_task task);

/*
 * A copy of the store while it is used.  kv_copy_begin(), the database file
 * from its beginning to its end, kv_copy_mark(), then the log files from
 * `first' to `last', the last one up to last_bytes: with kv_restore() that is
 * the store as it was at the mark.  Whoever has such a copy needs next time no
 * database file, but only the logs from the last one that it has, if that one is
 * still there (`oldest') and begins as it did.
 *
 * Until kv_copy_end() no log file is removed.
 */
struct kv_copy {
	uint32_t	oldest;		/* log file that is there */
	uint32_t	first;		/* that a copy needs which begins now */
	uint32_t	last;
	uint64_t	last_bytes;	/* of the last one, durable */
};

#define KV_COPY_PAGE	4096	/* offsets in the database are multiples */
#define KV_KEEP_LOGS	64	/* files (1 GiB) kept for the next copy */

enum kv_status kv_copy_begin(struct kv *kv, struct kv_copy *c);
enum kv_status kv_copy_mark(struct kv *kv, struct kv_copy *c);
/*
 * Read max bytes at offset of the database file (log 0) or of a log file; *n
 * is less at the end of the file alone.  No page is torn: nobody else writes
 * them.  KV_INVALID when there is no such log file, or an offset or size
 * that divides a page.
 */
enum kv_status kv_copy_read(struct kv *kv, uint32_t log, uint64_t offset,
    uint8_t *dst, size_t max, size_t *n);
/*
 * The copy ended.  keep: the last log file that it has, when it is whole: from
 * that on they are kept for the next one, as long as they are few and the disk
 * is not full.  0: it failed, what was kept before stays kept.
 */
enum kv_status kv_copy_end(struct kv *kv, uint32_t keep);

/*
 * Flush, close and free; kv may be NULL.  KV_FATAL when something did not
 * become durable.
 */
enum kv_status kv_close(struct kv *kv);

#endif
