/* The store's files: what it refuses, and what survives. */
#include "kv_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* Names of log files, counted. */
static int
count_logs(void)
{
	DIR *d = opendir(in_dir("log"));
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, "log.", 4) == 0;
	assert_int_equal(closedir(d), 0);
	return n;
}

static void
remove_logs(void)
{
	DIR *d = opendir(in_dir("log"));
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "log.", 4) == 0)
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	assert_int_equal(closedir(d), 0);
}

static void
test_init(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(kv_init("relative", &opts), KV_FATAL);
	assert_int_equal(kv_init(in_dir("absent"), &opts), KV_FATAL);
	refused("no database");
	assert_int_equal(access(in_dir("data"), F_OK), -1);
	assert_int_equal(kv_init(dir, &opts), KV_OK);
	assert_int_equal(stat(in_dir("ballast"), &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	assert_int_equal(stat(in_dir("data"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(in_dir("data/kv.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(kv_init(dir, &opts), KV_FATAL);
	assert_non_null(strstr(last_log, "store already"));
}

static void
test_refuse_config(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(symlink("nowhere", in_dir("DB_CONFIG")), 0);
	assert_int_equal(kv_init(dir, &opts), KV_FATAL);
	assert_int_equal(unlink(in_dir("DB_CONFIG")), 0);
	assert_int_equal(kv_close(fresh()), KV_OK);
	fd = open(in_dir("DB_CONFIG"), O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	refused("DB_CONFIG");
	assert_int_equal(unlink(in_dir("DB_CONFIG")), 0);
	assert_int_equal(kv_close(kv_open(dir, &opts)), KV_OK);
}

static void
test_refuse_missing(void **state)
{
	(void)state;
	assert_int_equal(kv_close(fresh()), KV_OK);
	assert_int_equal(unlink(in_dir("ballast")), 0);
	assert_int_equal(kv_close(kv_open(dir, &opts)), KV_OK);
	assert_non_null(strstr(last_log, "ballast"));
	assert_int_equal(truncate(in_dir("data/kv.db"), 0), 0);
	refused("no database");
	assert_int_equal(unlink(in_dir("data/kv.db")), 0);
	refused("no database");
	assert_int_equal(access(in_dir("data/kv.db"), F_OK), -1);
}

static void
test_refuse_no_logs(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(kv_close(fresh()), KV_OK);
	remove_logs();
	refused("no logs");
	fd = open(in_dir("log/log.0000000001"), O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	refused("no logs");
	remove_logs();
	assert_int_equal(rmdir(in_dir("log")), 0);
	refused("log");
}

static void
test_exclusive(void **state)
{
	struct kv *kv;

	(void)state;
	kv = fresh();
	refused("in use");
	assert_int_equal(kv_init(dir, &opts), KV_FATAL);
	assert_non_null(strstr(last_log, "in use"));
	assert_int_equal(put(kv, "a", 1), KV_OK);
	kv = reopen(kv);
	assert_int_equal(version(kv, "a"), 1);
	assert_int_equal(kv_close(kv), KV_OK);
	assert_int_equal(kv_close(NULL), KV_OK);
}

static void
test_floor(void **state)
{
	struct kv *kv;

	(void)state;
	kv = fresh();
	assert_int_equal(put(kv, "a", 1), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	opts.floor_bytes = UINT64_MAX;
	assert_non_null(kv = kv_open(dir, &opts));
	assert_int_equal(put(kv, "a", 2), KV_FULL);
	assert_int_equal(one(kv, KV_DEL, KV_ANY, 0, "a", 0), KV_FULL);
	assert_int_equal(one(kv, KV_CHECK, KV_VER, 1, "a", 0), KV_OK);
	assert_int_equal(version(kv, "a"), 1);
	assert_int_equal(kv_seq(kv), 0);
	assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
}

static void
test_checkpoint(void **state)
{
	struct kv_op o;
	struct kv *kv;
	char key[16];

	(void)state;
	kv = fresh();
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i % 5000);
		o = op(KV_PUT, KV_ANY, 0, key, val(i, 'v', KV_MAX_VALUE));
		assert_int_equal(kv_write(kv, &o, 1), KV_OK);
	}
	assert_int_equal(kv_flush(kv), KV_OK);
	assert_in_range(count_logs(), 3, 99);
	assert_int_equal(kv_maint(kv, KV_CHECKPOINT), KV_OK);
	assert_int_equal(count_logs(), 1);
	assert_int_equal(put(kv, "after", 1), KV_OK);
	kv = reopen(kv);
	assert_int_equal(version(kv, "after"), 1);
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		assert_int_equal(version(kv, key), 5000 + i);
	}
	assert_int_equal(kv_close(kv), KV_OK);
}

/*
 * A child writes batches of two keys, acknowledges some batches over fd after
 * a flush, and checkpoints now and then; it never returns.
 */
static void
crash_child(int fd, unsigned round)
{
	struct kv *kv = kv_open(dir, &opts);
	struct kv_op ops[2];
	char a[32], b[32];

	if (kv == NULL)
		_exit(1);
	for (unsigned i = 0;; i++) {
		(void)snprintf(a, sizeof(a), "a%u.%u", round, i);
		(void)snprintf(b, sizeof(b), "b%u.%u", i, round);
		ops[0] = op(KV_PUT, KV_ABSENT, 0, a, val(1, 'x', 900));
		ops[1] = op(KV_PUT, KV_ABSENT, 0, b, val(1, 'x', 900));
		if (kv_write(kv, ops, 2) != KV_OK)
			_exit(2);
		if (i % 7 == round && kv_flush(kv) == KV_OK &&
		    write(fd, &i, sizeof(i)) != (ssize_t)sizeof(i))
			_exit(3);
		if (i % 301 == 300 && kv_maint(kv, KV_CHECKPOINT) != KV_OK)
			_exit(4);
	}
}

/* Kill a writer after it acknowledged enough; return its last one. */
static unsigned
crash_round(unsigned round)
{
	unsigned acked = 0, i;
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		(void)close(fd[0]);
		crash_child(fd[1], round);
	}
	assert_int_equal(close(fd[1]), 0);
	while (acked < 200 * (round + 1) &&
	    read(fd[0], &i, sizeof(i)) == (ssize_t)sizeof(i))
		acked = i;
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(fd[0], &i, sizeof(i)) == (ssize_t)sizeof(i))
		acked = i;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(close(fd[0]), 0);
	assert_true(acked >= 200 * (round + 1));
	return acked;
}

static void
test_crash(void **state)
{
	unsigned acked[5];
	char a[32], b[32];
	struct kv *kv;

	(void)state;
	assert_int_equal(kv_close(fresh()), KV_OK);
	for (unsigned round = 0; round < 5; round++) {
		acked[round] = crash_round(round);
		assert_non_null(kv = kv_open(dir, &opts));
		for (unsigned r = 0; r <= round; r++) {
			bool there = true;

			for (unsigned i = 0; i < acked[r] + 50; i++) {
				(void)snprintf(a, sizeof(a), "a%u.%u", r, i);
				(void)snprintf(b, sizeof(b), "b%u.%u", i, r);
				/* No gap, no half, no acknowledged loss. */
				if (version(kv, a) == GONE)
					there = false;
				assert_int_equal(version(kv, a),
				    there ? 1 : GONE);
				assert_int_equal(version(kv, b),
				    there ? 1 : GONE);
				assert_true(there || i > acked[r]);
			}
		}
		assert_int_equal(kv_close(kv), KV_OK);
	}
}

/* A flush that the disk refuses is final, and costs nothing acknowledged. */
static void
fatal_child(void)
{
	static const struct rlimit none = { 0, 0 };
	struct rows r = { .stop = 0 };
	struct bytes k = bytes_str("a");
	struct kv *kv = kv_open(dir, &opts);

	if (kv == NULL || put(kv, "a", 2) != KV_OK ||
	    signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    setrlimit(RLIMIT_FSIZE, &none) == -1)
		_exit(1);
	if (kv_flush(kv) != KV_FATAL || strstr(last_log, "flush") == NULL ||
	    kv_flushed_seq(kv) != 0)
		_exit(2);
	if (kv_flush(kv) != KV_FATAL || put(kv, "a", 3) != KV_FATAL ||
	    kv_maint(kv, KV_CHECKPOINT) != KV_FATAL ||
	    kv_get(kv, &k, 1, collect, &r) != KV_FATAL)
		_exit(3);
	_exit(kv_close(kv) == KV_FATAL ? 0 : 4);
}

static void
test_fatal(void **state)
{
	struct kv *kv;
	int status;
	pid_t pid;

	(void)state;
	kv = fresh();
	assert_int_equal(put(kv, "a", 1), KV_OK);
	assert_int_equal(kv_close(kv), KV_OK);
	assert_true((pid = fork()) >= 0);
	if (pid == 0)
		fatal_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_non_null(kv = kv_open(dir, &opts));
	assert_int_equal(version(kv, "a"), 1);
	assert_int_equal(kv_close(kv), KV_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_init),
		T(test_refuse_config),
		T(test_refuse_missing),
		T(test_refuse_no_logs),
		T(test_exclusive),
		T(test_floor),
		T(test_checkpoint),
		T(test_crash),
		T(test_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
