/* The store on Berkeley DB 5.3, transactional B-tree. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv_codec.h"
#include "kv_local.h"
#include "log.h"

#define PAGE_BYTES	4096
#define LOG_BUF_BYTES	(4U << 20)
#define LOG_FILE_BYTES	(16U << 20)
/* A batch holds the locks of every page it touches: leaf, splits, free list. */
#define MAX_LOCKS	(16U * KV_MAX_OPS)

static uint8_t no_value[KV_VER_BYTES];

static const struct kv_opts defaults = KV_OPTS_DEFAULT;

static void
on_db_error(const DB_ENV *env, const char *prefix, const char *msg)
{
	(void)env;
	(void)prefix;
	log_err("store: %s", msg);
}

enum kv_status
kv_die(struct kv *kv, const char *what, int ret)
{
	log_err("store: %s: %s", what, db_strerror(ret));
	kv->dead = true;
	return KV_FATAL;
}

/* dir/name, absolute, into dst[PATH_MAX]. */
static int
sub_path(char *dst, const char *dir, const char *name)
{
	int n = snprintf(dst, PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= PATH_MAX) {
		log_err("store: the path of %s is too long", name);
		return -1;
	}
	return 0;
}

/* recover is DB_RECOVER, or after a restore DB_RECOVER_FATAL: from the first
 * log on, whatever the last checkpoint says. */
static int
env_open(struct kv *kv, const char *dir, const struct kv_opts *opts,
    uint32_t recover)
{
	const uint32_t flags = DB_CREATE | DB_PRIVATE | DB_THREAD | recover |
	    DB_INIT_LOCK | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_TXN;
	char data[PATH_MAX], logs[PATH_MAX];
	DB_ENV *env;
	uint64_t cache = opts->cache_bytes;
	int ret;

	if (sub_path(data, dir, KV_DATA_DIR) == -1 ||
	    sub_path(logs, dir, KV_LOG_DIR) == -1)
		return -1;
	if ((ret = db_env_create(&env, 0)) != 0) {
		log_err("store: environment: %s", db_strerror(ret));
		return -1;
	}
	kv->env = env;
	env->set_errcall(env, on_db_error);
	/* A temporary directory is named so that none is looked for. */
	if ((ret = env->set_data_dir(env, data)) != 0 ||
	    (ret = env->set_lg_dir(env, logs)) != 0 ||
	    (ret = env->set_tmp_dir(env, dir)) != 0 ||
	    (ret = env->set_lg_bsize(env, LOG_BUF_BYTES)) != 0 ||
	    (ret = env->set_lg_max(env, LOG_FILE_BYTES)) != 0 ||
	    (ret = env->set_lk_detect(env, DB_LOCK_DEFAULT)) != 0 ||
	    (ret = env->set_lk_max_locks(env, MAX_LOCKS)) != 0 ||
	    (ret = env->set_lk_max_objects(env, MAX_LOCKS)) != 0 ||
	    (ret = env->set_cachesize(env, (uint32_t)(cache >> 30),
	    (uint32_t)(cache & ((1U << 30) - 1)), 1)) != 0 ||
	    (ret = env->open(env, dir, flags, 0600)) != 0) {
		log_err("store: %s: %s", dir, db_strerror(ret));
		return -1;
	}
	return 0;
}

/* create is DB_CREATE | DB_EXCL in kv_init(), and 0 in kv_open(). */
static int
db_open(struct kv *kv, uint32_t create)
{
	DB *db;
	int ret;

	if ((ret = db_create(&db, kv->env, 0)) != 0) {
		log_err("store: database: %s", db_strerror(ret));
		return -1;
	}
	kv->db = db;
	if ((ret = db->set_pagesize(db, PAGE_BYTES)) != 0 ||
	    (ret = db->set_flags(db, DB_CHKSUM)) != 0 ||
	    (ret = db->open(db, NULL, KV_DB_NAME, NULL, DB_BTREE,
	    create | DB_AUTO_COMMIT | DB_THREAD, 0600)) != 0) {
		log_err("store: %s: %s", KV_DB_NAME, db_strerror(ret));
		return -1;
	}
	return 0;
}

/* Close whatever is open and free kv; the first error or 0. */
static int
release(struct kv *kv)
{
	int ret = 0, r;

	if (kv->db != NULL)
		ret = kv->db->close(kv->db, 0);
	if (kv->env != NULL && (r = kv->env->close(kv->env, 0)) != 0 &&
	    ret == 0)
		ret = r;
	kv_dir_close(&kv->dir);
	free(kv);
	return ret;
}

static struct kv *
kv_new(const char *dir, const struct kv_opts *opts)
{
	struct kv *kv = calloc(1, sizeof(*kv));

	if (kv == NULL) {
		log_err("store: no memory");
		return NULL;
	}
	kv->floor_bytes = opts->floor_bytes;
	if (kv_dir_lock(&kv->dir, dir) == -1) {
		kv_dir_close(&kv->dir);
		free(kv);
		return NULL;
	}
	return kv;
}

enum kv_status
kv_init(const char *dir, const struct kv_opts *opts)
{
	struct kv *kv;
	enum kv_status st = KV_FATAL;

	if (opts == NULL)
		opts = &defaults;
	if ((kv = kv_new(dir, opts)) == NULL)
		return KV_FATAL;
	if (kv_dir_make(&kv->dir, opts->ballast_bytes) == 0 &&
	    env_open(kv, dir, opts, DB_RECOVER) == 0 &&
	    db_open(kv, DB_CREATE | DB_EXCL) == 0 &&
	    kv_maint(kv, KV_CHECKPOINT) == KV_OK &&
	    kv_dir_sync(&kv->dir) == 0)
		st = KV_OK;
	if (release(kv) != 0)
		st = KV_FATAL;
	return st;
}

static struct kv *
open_recovered(const char *dir, const struct kv_opts *opts, uint32_t recover)
{
	struct kv *kv;

	if (opts == NULL)
		opts = &defaults;
	if ((kv = kv_new(dir, opts)) == NULL)
		return NULL;
	if (kv_dir_check(&kv->dir) == -1 ||
	    env_open(kv, dir, opts, recover) == -1 || db_open(kv, 0) == -1) {
		(void)release(kv);
		return NULL;
	}
	kv->keep = kv_dir_keep(&kv->dir);
	return kv;
}

struct kv *
kv_open(const char *dir, const struct kv_opts *opts)
{
	return open_recovered(dir, opts, DB_RECOVER);
}

/*
 * A cache for looking at the closed database; what does not fit goes to temporary
 * files in dir, the one place where there may be any.
 */
static int
plain_env(DB_ENV **envp, const char *dir, const struct kv_opts *opts)
{
	DB_ENV *env;
	int ret;

	if ((ret = db_env_create(&env, 0)) != 0)
		return ret;
	*envp = env;
	env->set_errcall(env, on_db_error);
	if ((ret = env->set_tmp_dir(env, dir)) != 0 ||
	    (ret = env->set_cachesize(env,
	    (uint32_t)((uint64_t)opts->cache_bytes >> 30),
	    (uint32_t)(opts->cache_bytes & ((1U << 30) - 1)), 1)) != 0)
		return ret;
	return env->open(env, dir, DB_CREATE | DB_PRIVATE | DB_INIT_MPOOL,
	    0600);
}

/* Every page of the closed database, its order and its checksums. */
static int
verify_pages(const char *dir, const struct kv_opts *opts)
{
	char path[PATH_MAX];
	DB_ENV *env = NULL;
	DB *db;
	int ret;

	if (sub_path(path, dir, KV_DATA_DIR "/" KV_DB_NAME) == -1)
		return -1;
	/* verify() frees its handle in any case. */
	if ((ret = plain_env(&env, dir, opts)) != 0 ||
	    (ret = db_create(&db, env, 0)) != 0 ||
	    (ret = db->verify(db, path, NULL, NULL, 0)) != 0)
		log_err("store: %s: %s", path, db_strerror(ret));
	if (env != NULL && env->close(env, 0) != 0)
		ret = -1;
	return ret == 0 ? 0 : -1;
}

struct kv *
kv_restore(const char *dir, const struct kv_opts *opts)
{
	struct kv *kv;

	if (opts == NULL)
		opts = &defaults;
	if ((kv = open_recovered(dir, opts, DB_RECOVER_FATAL)) == NULL)
		return NULL;
	if (kv_maint(kv, KV_CHECKPOINT) != KV_OK ||
	    kv_dir_complete(&kv->dir, opts->ballast_bytes) == -1 ||
	    kv_dir_sync(&kv->dir) == -1) {
		(void)release(kv);
		return NULL;
	}
	if (kv_close(kv) != KV_OK || verify_pages(dir, opts) == -1)
		return NULL;
	return kv_open(dir, opts);
}

/* A key to look up; Berkeley DB does not write to it. */
static DBT
dbt_in(struct bytes b)
{
	return (DBT){ .data = (void *)(uintptr_t)b.p, .size = (uint32_t)b.n };
}

/* What is longer is cut. */
static DBT
dbt_out(uint8_t *p, uint32_t n)
{
	return (DBT){ .data = p, .ulen = n, .dlen = n,
	    .flags = DB_DBT_USERMEM | DB_DBT_PARTIAL };
}

/* A value as it was read, or in place of one that cannot be a record's. */
static struct bytes
value_of(const DBT *val)
{
	if (val->size < KV_VER_BYTES || val->size > KV_MAX_VALUE)
		return bytes_of(no_value, sizeof(no_value));
	return bytes_of(val->data, val->size);
}

/* KV_OK when op's precondition holds, a Berkeley DB error in *ret. */
static enum kv_status
check(struct kv *kv, DB_TXN *txn, const struct kv_op *op, int *ret)
{
	uint8_t ver[KV_VER_BYTES];
	DBT key = dbt_in(op->key), val = dbt_out(ver, sizeof(ver));

	if (op->pre == KV_ANY)
		return KV_OK;
	*ret = kv->db->get(kv->db, txn, &key, &val,
	    op->op == KV_CHECK ? 0 : DB_RMW);
	if (*ret == DB_NOTFOUND) {
		*ret = 0;
		return op->pre == KV_ABSENT ? KV_OK : KV_CONFLICT;
	}
	if (*ret != 0 || op->pre == KV_ABSENT || val.size != sizeof(ver))
		return KV_CONFLICT;
	return get_be64(ver) == op->ver ? KV_OK : KV_CONFLICT;
}

static enum kv_status
apply(struct kv *kv, DB_TXN *txn, const struct kv_op *op, int *ret)
{
	enum kv_status st = check(kv, txn, op, ret);
	DBT key = dbt_in(op->key), val = dbt_in(op->value);

	if (st != KV_OK || op->op == KV_CHECK)
		return st;
	if (op->op == KV_PUT)
		*ret = kv->db->put(kv->db, txn, &key, &val, 0);
	else if ((*ret = kv->db->del(kv->db, txn, &key, 0)) == DB_NOTFOUND)
		*ret = 0;
	return KV_OK;
}

/* Limits and space, before a transaction is begun. */
static enum kv_status
admit(const struct kv *kv, const struct kv_op *ops, size_t n, bool *changes)
{
	*changes = false;
	if (n > KV_MAX_OPS)
		return KV_INVALID;
	for (size_t i = 0; i < n; i++) {
		if (!kv_op_ok(&ops[i]))
			return KV_INVALID;
		if (ops[i].op != KV_CHECK)
			*changes = true;
	}
	if (*changes && kv_dir_low(&kv->dir, kv->floor_bytes))
		return KV_FULL;
	return KV_OK;
}

enum kv_status
kv_write(struct kv *kv, const struct kv_op *ops, size_t n)
{
	DB_TXN *txn;
	enum kv_status st;
	bool changes;
	int ret = 0, r;

	if (kv->dead)
		return KV_FATAL;
	if ((st = admit(kv, ops, n, &changes)) != KV_OK)
		return st;
	if ((ret = kv->env->txn_begin(kv->env, NULL, &txn, 0)) != 0)
		return kv_die(kv, "begin", ret);
	for (size_t i = 0; i < n && st == KV_OK && ret == 0; i++)
		st = apply(kv, txn, &ops[i], &ret);
	if (st == KV_OK && ret == 0) {
		if ((ret = txn->commit(txn, DB_TXN_NOSYNC)) != 0)
			return kv_die(kv, "commit", ret);
		if (changes)
			kv->seq++;
		return KV_OK;
	}
	if ((r = txn->abort(txn)) != 0)
		return kv_die(kv, "abort", r);
	if (ret == DB_LOCK_DEADLOCK || ret == DB_LOCK_NOTGRANTED)
		return KV_RETRY;
	return ret != 0 ? kv_die(kv, "write", ret) : st;
}

/*
 * When the log has gone on to a new file, its name must be durable too before
 * anything in it is called so.
 */
static int
sync_log_name(struct kv *kv)
{
	DB_LOG_STAT *stat;
	uint32_t file;
	int ret;

	if ((ret = kv->env->log_stat(kv->env, &stat, 0)) != 0)
		return ret;
	file = stat->st_cur_file;
	free(stat);
	if (file != kv->log_file && fdatasync(kv->dir.logfd) == -1)
		return errno;
	kv->log_file = file;
	return 0;
}

enum kv_status
kv_flush(struct kv *kv)
{
	int ret;

	if (kv->dead)
		return KV_FATAL;
	if (kv->flushed == kv->seq)
		return KV_OK;
	if ((ret = kv->env->log_flush(kv->env, NULL)) != 0)
		return kv_die(kv, "flush", ret);
	if ((ret = sync_log_name(kv)) != 0)
		return kv_die(kv, "log directory", ret);
	kv->flushed = kv->seq;
	return KV_OK;
}

enum kv_status
kv_get(struct kv *kv, const struct bytes *keys, size_t n, kv_row_fn *fn,
    void *arg)
{
	if (kv->dead)
		return KV_FATAL;
	for (size_t i = 0; i < n; i++)
		if (!kv_key_ok(keys[i]))
			return KV_INVALID;
	for (size_t i = 0; i < n; i++) {
		DBT key = dbt_in(keys[i]);
		DBT val = dbt_out(kv->vbuf, sizeof(kv->vbuf));
		struct bytes row = { NULL, 0 };
		int ret = kv->db->get(kv->db, NULL, &key, &val, 0);

		if (ret == 0)
			row = value_of(&val);
		else if (ret != DB_NOTFOUND)
			return kv_die(kv, "get", ret);
		if (!fn(arg, keys[i], row))
			break;
	}
	return KV_OK;
}

/* Put the cursor on the first row of the range, whichever way it goes. */
static int
scan_first(DBC *c, const struct kv_range *range, DBT *key, DBT *val)
{
	struct bytes from = range->reverse ? range->hi : range->lo;
	int ret;

	if (from.n == 0)
		return c->get(c, key, val, range->reverse ? DB_LAST : DB_FIRST);
	memcpy(key->data, from.p, from.n);
	key->size = (uint32_t)from.n;
	ret = c->get(c, key, val, DB_SET_RANGE);
	if (!range->reverse)
		return ret;
	/* On the first row at or after hi, or there is none. */
	if (ret == 0)
		return c->get(c, key, val, DB_PREV);
	return ret == DB_NOTFOUND ? c->get(c, key, val, DB_LAST) : ret;
}

/* Whether key is before the end of the range that the scan goes towards. */
static bool
scan_inside(const struct kv_range *range, struct bytes key)
{
	struct bytes end = range->reverse ? range->lo : range->hi;
	size_t n = key.n < end.n ? key.n : end.n;
	int c;

	if (end.n == 0)
		return true;
	c = memcmp(key.p, end.p, n);
	if (c == 0)
		c = (key.n > end.n) - (key.n < end.n);
	return range->reverse ? c >= 0 : c < 0;
}

static int
scan_run(struct kv *kv, DBC *c, const struct kv_range *range, kv_row_fn *fn,
    void *arg, bool *more)
{
	DBT key = dbt_out(kv->kbuf, sizeof(kv->kbuf));
	DBT val = dbt_out(kv->vbuf, sizeof(kv->vbuf));
	uint64_t items = 0, used = 0;
	int ret;

	for (ret = scan_first(c, range, &key, &val); ret == 0;
	    ret = c->get(c, &key, &val, range->reverse ? DB_PREV : DB_NEXT)) {
		struct bytes k = bytes_of(kv->kbuf, key.size);
		struct bytes v = value_of(&val);

		if (!scan_inside(range, k))
			return 0;
		if (!kv_key_ok(k)) {
			log_warn("store: a record with a key that none has is "
			    "left out");
			continue;
		}
		used += k.n + v.n + KV_ROW_OVERHEAD;
		if (++items > range->max_items || used > range->max_bytes ||
		    !fn(arg, k, v)) {
			*more = true;
			return 0;
		}
	}
	return ret == DB_NOTFOUND ? 0 : ret;
}

enum kv_status
kv_scan(struct kv *kv, const struct kv_range *range, kv_row_fn *fn, void *arg,
    bool *more)
{
	DBC *c;
	int ret, r;

	*more = false;
	if (kv->dead)
		return KV_FATAL;
	if (!kv_range_ok(range))
		return KV_INVALID;
	if ((ret = kv->db->cursor(kv->db, NULL, &c, 0)) != 0)
		return kv_die(kv, "cursor", ret);
	ret = scan_run(kv, c, range, fn, arg, more);
	if ((r = c->close(c)) != 0 && ret == 0)
		ret = r;
	return ret != 0 ? kv_die(kv, "scan", ret) : KV_OK;
}

uint64_t
kv_seq(const struct kv *kv)
{
	return kv->seq;
}

uint64_t
kv_flushed_seq(const struct kv *kv)
{
	return kv->flushed;
}

enum kv_status
kv_maint(struct kv *kv, enum kv_task task)
{
	int ret;

	if (task != KV_CHECKPOINT)
		return KV_INVALID;
	if (kv_flush(kv) != KV_OK)
		return KV_FATAL;
	if ((ret = kv->env->txn_checkpoint(kv->env, 0, 0, 0)) != 0)
		return kv_die(kv, "checkpoint", ret);
	if ((ret = kv_logs_remove(kv)) != 0)
		return kv_die(kv, "log removal", ret);
	return KV_OK;
}

enum kv_status
kv_close(struct kv *kv)
{
	enum kv_status st;
	int ret;

	if (kv == NULL)
		return KV_OK;
	st = kv_flush(kv);
	if ((ret = release(kv)) != 0) {
		log_err("store: close: %s", db_strerror(ret));
		st = KV_FATAL;
	}
	return st;
}
