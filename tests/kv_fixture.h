/*
 * What the tests of the store share: a directory made for each test, short
 * forms of the calls, and the last line that was logged.
 */
#ifndef TESTS_KV_FIXTURE_H
#define TESTS_KV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../storaged/kv.h"
#include "log.h"

static char dir[64];
static char last_log[1024];
static struct kv_opts opts;

static inline void
keep_log(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	(void)level;
	(void)event;
	(void)session;
	(void)user;
	(void)snprintf(last_log, sizeof(last_log), "%s", text);
}

static inline int
setup(void **state)
{
	(void)state;
	log_set_sink(keep_log);
	last_log[0] = '\0';
	opts = (struct kv_opts)KV_OPTS_DEFAULT;
	opts.cache_bytes = 4 << 20;
	opts.floor_bytes = 0;
	opts.ballast_bytes = 1 << 20;
	(void)snprintf(dir, sizeof(dir), "%s/test_kv.XXXXXX", P_tmpdir);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static inline int
unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int
teardown(void **state)
{
	(void)state;
	return nftw(dir, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path below the store's directory; valid until the next call. */
static inline const char *
in_dir(const char *name)
{
	static char path[PATH_MAX];

	assert_in_range(snprintf(path, sizeof(path), "%s/%s", dir, name), 1,
	    (int)sizeof(path) - 1);
	return path;
}

static inline struct kv *
fresh(void)
{
	struct kv *kv;

	assert_int_equal(kv_init(dir, &opts), KV_OK);
	assert_non_null(kv = kv_open(dir, &opts));
	return kv;
}

static inline struct kv *
reopen(struct kv *kv)
{
	assert_int_equal(kv_close(kv), KV_OK);
	assert_non_null(kv = kv_open(dir, &opts));
	return kv;
}

static inline void
refused(const char *why)
{
	last_log[0] = '\0';
	assert_null(kv_open(dir, &opts));
	assert_non_null(strstr(last_log, why));
}

/* Version ver, then n - 8 bytes of c; valid for three more calls. */
static inline struct bytes
val(uint64_t ver, char c, size_t n)
{
	static uint8_t buffers[4][KV_MAX_VALUE];
	static unsigned next;
	uint8_t *v = buffers[next++ % 4];

	assert_in_range(n, KV_VER_BYTES, KV_MAX_VALUE);
	memset(v, c, KV_MAX_VALUE);
	put_be64(v, ver);
	return bytes_of(v, n);
}

static inline struct kv_op
op(uint8_t code, uint8_t pre, uint64_t ver, const char *key, struct bytes value)
{
	return (struct kv_op){ .op = code, .pre = pre, .ver = ver,
	    .key = bytes_str(key), .value = value };
}

static inline enum kv_status
put(struct kv *kv, const char *key, uint64_t ver)
{
	struct kv_op o = op(KV_PUT, KV_ANY, 0, key, val(ver, 'x', 20));

	return kv_write(kv, &o, 1);
}

static inline enum kv_status
one(struct kv *kv, uint8_t code, uint8_t pre, uint64_t ver, const char *key,
    uint64_t newver)
{
	struct kv_op o = op(code, pre, ver, key, val(newver, 'x', 20));

	return kv_write(kv, &o, 1);
}

/* What version() answers for a key without a value. */
#define GONE	UINT64_MAX

static inline bool
take_version(void *arg, struct bytes key, struct bytes value)
{
	uint64_t *ver = arg;

	(void)key;
	*ver = value.p == NULL ? GONE : get_be64(value.p);
	return true;
}

static inline uint64_t
version(struct kv *kv, const char *key)
{
	struct bytes k = bytes_str(key);
	uint64_t ver = 0;

	assert_int_equal(kv_get(kv, &k, 1, take_version, &ver), KV_OK);
	return ver;
}

/* Rows of a scan or get. */
struct rows {
	char	text[1024];	/* keys, each followed by a space */
	size_t	n, bytes;
	size_t	stop;		/* refuse this row; 0: none */
};

static inline bool
collect(void *arg, struct bytes key, struct bytes value)
{
	struct rows *r = arg;
	size_t len = strlen(r->text);

	if (r->stop != 0 && r->n + 1 == r->stop)
		return false;
	(void)snprintf(r->text + len, sizeof(r->text) - len, "%.*s%s ",
	    (int)key.n, (const char *)key.p, value.p == NULL ? "-" : "");
	r->n++;
	r->bytes += key.n + value.n + KV_ROW_OVERHEAD;
	return true;
}

static inline bool
scan(struct kv *kv, struct rows *r, const char *lo, const char *hi,
    bool reverse, uint32_t max_items, uint32_t max_bytes)
{
	struct kv_range range = { bytes_str(lo), bytes_str(hi), reverse,
	    max_items, max_bytes };
	size_t stop = r->stop;
	bool more;

	*r = (struct rows){ .stop = stop };
	assert_int_equal(kv_scan(kv, &range, collect, r, &more), KV_OK);
	return more;
}

/* A test with a directory of its own. */
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
