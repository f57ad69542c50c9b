/*
 * Copying a store while it is written, and opening the copy: everything up to
 * the mark is there, again by the logs alone, and what was damaged is refused.
 */
#include "kv_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "../storaged/kv_dir.h"

#define CHUNK	(14 * KV_COPY_PAGE)
#define ROWS	3000

static char copy[80];

static int
setup_copy(void **state)
{
	if (setup(state) == -1)
		return -1;
	(void)snprintf(copy, sizeof(copy), "%s/copy", dir);
	return 0;
}

#define TC(f)	cmocka_unit_test_setup_teardown(f, setup_copy, teardown)

static void
make_copy_dirs(void)
{
	char path[PATH_MAX];

	assert_int_equal(mkdir(copy, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data", copy);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/log", copy);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* A batch of n rows "k<from>"... of version ver, each filling much of a page. */
static void
fill(struct kv *kv, unsigned from, unsigned n, uint64_t ver)
{
	char key[32];

	for (unsigned i = from; i < from + n; i++) {
		struct kv_op o;

		(void)snprintf(key, sizeof(key), "k%06u", i);
		o = op(KV_PUT, KV_ANY, 0, key, val(ver, 'a', 1500));
		assert_int_equal(kv_write(kv, &o, 1), KV_OK);
	}
	assert_int_equal(kv_flush(kv), KV_OK);
}

static void
check_rows(struct kv *kv, unsigned from, unsigned n, uint64_t ver)
{
	char key[32];

	for (unsigned i = from; i < from + n; i++) {
		(void)snprintf(key, sizeof(key), "k%06u", i);
		if (version(kv, key) != ver)
			fail_msg("%s has version %llu, not %llu", key,
			    (unsigned long long)version(kv, key),
			    (unsigned long long)ver);
	}
}

/* One file of the store, up to end (0: to its end), to the copy.  busy: write
 * between the pieces. */
static void
copy_file(struct kv *kv, uint32_t log, uint64_t end, bool busy)
{
	static uint8_t buf[CHUNK];
	char path[PATH_MAX];
	uint64_t at = 0;
	unsigned k = 0;
	size_t n;
	int fd;

	if (log == 0)
		(void)snprintf(path, sizeof(path), "%s/data/kv.db", copy);
	else
		(void)snprintf(path, sizeof(path), "%s/log/log.%010u", copy,
		    log);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_not_equal(fd, -1);
	for (;;) {
		assert_int_equal(kv_copy_read(kv, log, at, buf, sizeof(buf),
		    &n), KV_OK);
		if (end != 0 && n > end - at)
			n = (size_t)(end - at);
		assert_int_equal(write(fd, buf, n), (ssize_t)n);
		at += n;
		if (n < sizeof(buf))
			break;
		if (busy) {
			fill(kv, ROWS + k++ % 100 * 10, 10, 7);
			assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
		}
	}
	assert_int_equal(close(fd), 0);
}

static void
copy_logs(struct kv *kv, uint32_t first, const struct kv_copy *c)
{
	for (uint32_t n = first; n <= c->last; n++)
		copy_file(kv, n, n == c->last ? c->last_bytes : 0, false);
}

static struct kv_copy
full_copy(struct kv *kv)
{
	struct kv_copy c;
	uint32_t first;

	make_copy_dirs();
	assert_int_equal(kv_copy_begin(kv, &c), KV_OK);
	first = c.first;
	copy_file(kv, 0, 0, true);
	fill(kv, ROWS - 10, 10, 9);
	assert_int_equal(kv_copy_mark(kv, &c), KV_OK);
	copy_logs(kv, first, &c);
	assert_int_equal(kv_copy_end(kv, c.last), KV_OK);
	return c;
}

static void
test_hot(void **state)
{
	struct kv *kv = fresh(), *two;

	(void)state;
	fill(kv, 0, ROWS, 1);
	(void)full_copy(kv);
	fill(kv, 0, 5, 99);	/* behind the mark */
	assert_int_equal(kv_close(kv), KV_OK);
	assert_non_null(two = kv_restore(copy, &opts));
	check_rows(two, 0, ROWS - 10, 1);
	check_rows(two, ROWS - 10, 10, 9);
	check_rows(two, ROWS, 10, 7);
	fill(two, 0, 10, 2);	/* it is a store like any other */
	assert_int_equal(kv_close(two), KV_OK);
	assert_non_null(two = kv_open(copy, &opts));
	check_rows(two, 0, 10, 2);
	assert_int_equal(kv_close(two), KV_OK);
}

/* The next copy takes logs alone, which a checkpoint must have left there. */
static void
test_incremental(void **state)
{
	struct kv *kv = fresh(), *two;
	struct kv_copy c, d;

	(void)state;
	fill(kv, 0, 200, 1);
	c = full_copy(kv);
	for (unsigned i = 0; i < 12; i++) {
		fill(kv, 0, 2000, 10 + i);
		assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	}
	kv = reopen(kv);
	assert_int_equal(kv_copy_begin(kv, &d), KV_OK);
	assert_true(d.oldest <= c.last);
	assert_true(d.last > c.last);
	assert_true(d.first > c.last);
	assert_int_equal(kv_copy_mark(kv, &d), KV_OK);
	copy_logs(kv, c.last, &d);
	assert_int_equal(kv_copy_end(kv, d.last), KV_OK);
	/* What was copied is not kept any more. */
	assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	assert_int_equal(kv_copy_begin(kv, &d), KV_OK);
	assert_true(d.oldest > c.last);
	assert_int_equal(kv_copy_end(kv, 0), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	assert_non_null(two = kv_restore(copy, &opts));
	check_rows(two, 0, 2000, 21);
	assert_int_equal(kv_close(two), KV_OK);
}

/* A copy in which one log of the middle is missing is not taken for a whole. */
static void
test_gap(void **state)
{
	struct kv *kv = fresh(), *two;
	char path[PATH_MAX];
	struct kv_copy c, d;

	(void)state;
	fill(kv, 0, 200, 1);
	c = full_copy(kv);
	for (unsigned i = 0; i < 20; i++)
		fill(kv, 0, 2000, 10 + i);
	assert_int_equal(kv_copy_begin(kv, &d), KV_OK);
	assert_true(d.last > c.last + 2);
	assert_int_equal(kv_copy_mark(kv, &d), KV_OK);
	copy_logs(kv, c.last, &d);
	(void)snprintf(path, sizeof(path), "%s/log/log.%010u", copy,
	    c.last + 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kv_copy_end(kv, 0), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	two = kv_restore(copy, &opts);
	if (two != NULL)
		check_rows(two, 0, 2000, 29);
	assert_null(two);
}

/* A page of the copy that was torn or changed is found, not served. */
static void
test_damaged_page(void **state)
{
	struct kv *kv = fresh();
	static uint8_t page[KV_COPY_PAGE];
	char path[PATH_MAX];
	off_t size;
	int fd;

	(void)state;
	fill(kv, 0, ROWS, 1);
	(void)full_copy(kv);
	assert_int_equal(kv_close(kv), KV_OK);
	(void)snprintf(path, sizeof(path), "%s/data/kv.db", copy);
	assert_int_not_equal(fd = open(path, O_RDWR), -1);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, page, sizeof(page), size / 2 /
	    KV_COPY_PAGE * KV_COPY_PAGE), sizeof(page));
	memset(page + 512, 0x5a, 512);
	assert_int_equal(pwrite(fd, page, sizeof(page), size / 2 /
	    KV_COPY_PAGE * KV_COPY_PAGE), sizeof(page));
	assert_int_equal(close(fd), 0);
	assert_null(kv_restore(copy, &opts));
}

static void
test_limits(void **state)
{
	static uint8_t buf[CHUNK];
	struct kv *kv = fresh();
	struct kv_copy c;
	size_t n;

	(void)state;
	fill(kv, 0, 10, 1);
	assert_int_equal(kv_copy_read(kv, 0, 0, buf, sizeof(buf), &n),
	    KV_INVALID);		/* none was begun */
	assert_int_equal(kv_copy_begin(kv, &c), KV_OK);
	assert_int_equal(kv_copy_read(kv, 0, 512, buf, sizeof(buf), &n),
	    KV_INVALID);
	assert_int_equal(kv_copy_read(kv, 0, 0, buf, 4000, &n), KV_INVALID);
	assert_int_equal(kv_copy_read(kv, 0, UINT64_MAX - 4095, buf,
	    sizeof(buf), &n), KV_INVALID);
	assert_int_equal(kv_copy_read(kv, c.last + 1, 0, buf, sizeof(buf),
	    &n), KV_INVALID);
	assert_int_equal(kv_copy_read(kv, 0, (uint64_t)1 << 40, buf,
	    sizeof(buf), &n), KV_OK);
	assert_int_equal(n, 0);
	assert_int_equal(kv_copy_end(kv, 0), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
}

/* Logs for a backup that never comes do not fill the disk. */
static void
test_keep_is_bounded(void **state)
{
	struct kv *kv = fresh();
	struct kv_copy c;

	(void)state;
	fill(kv, 0, 10, 1);
	assert_int_equal(kv_copy_begin(kv, &c), KV_OK);
	assert_int_equal(kv_copy_end(kv, c.last), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	/* There is never room: the floor is the whole disk. */
	opts.floor_bytes = UINT64_MAX / 4;
	assert_non_null(kv = kv_open(dir, &opts));
	opts.floor_bytes = 0;
	kv = reopen(kv);
	for (unsigned i = 0; i < 10; i++)
		fill(kv, 0, 2000, 10 + i);
	assert_int_equal(kv_close(kv), KV_OK);
	opts.floor_bytes = UINT64_MAX / 4;
	assert_non_null(kv = kv_open(dir, &opts));
	last_log[0] = '\0';
	assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	assert_non_null(strstr(last_log, "not kept any longer"));
	assert_int_equal(kv_copy_begin(kv, &c), KV_OK);
	assert_int_equal(c.oldest, c.first);
	assert_int_equal(kv_copy_end(kv, 0), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
}

static time_t
changed(const char *name)
{
	struct stat st;

	assert_int_equal(stat(in_dir(name), &st), 0);
	return st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}

/* Another version's store: refused, and not touched. */
static void
test_format(void **state)
{
	struct kv *kv = fresh();
	time_t log, db;
	int fd;

	(void)state;
	assert_int_equal(put(kv, "a", 1), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	assert_int_not_equal(fd = open(in_dir("format"), O_WRONLY | O_TRUNC),
	    -1);
	assert_int_equal(write(fd, "cloister store 2\n", 17), 17);
	assert_int_equal(close(fd), 0);
	log = changed("log/log.0000000001");
	db = changed("data/kv.db");
	refused("not one that this version");
	assert_int_equal(changed("log/log.0000000001"), log);
	assert_int_equal(changed("data/kv.db"), db);
	/* Those made before there was such a file are of the first version. */
	assert_int_equal(unlink(in_dir("format")), 0);
	assert_non_null(kv = kv_open(dir, &opts));
	assert_int_equal(version(kv, "a"), 1);
	assert_int_equal(kv_close(kv), KV_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TC(test_hot),
		TC(test_incremental),
		TC(test_gap),
		TC(test_damaged_page),
		TC(test_limits),
		TC(test_keep_is_bounded),
		TC(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
