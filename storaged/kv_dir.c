#include "kv_dir.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Log why, by errno, and fail. */
static int
fail(const char *what)
{
	log_err("store: %s: %s", what, strerror(errno));
	return -1;
}

int
kv_dir_lock(struct kv_dir *d, const char *dir)
{
	struct stat st;

	*d = (struct kv_dir){ .fd = -1, .logfd = -1 };
	if (dir[0] != '/') {
		log_err("store: %s is not an absolute path", dir);
		return -1;
	}
	if ((d->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return fail(dir);
	if (flock(d->fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK)
			return fail(dir);
		log_err("store: %s is in use by another process", dir);
		return -1;
	}
	/* It would change any setting; a dangling link is no better. */
	if (fstatat(d->fd, "DB_CONFIG", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		log_err("store: %s holds a DB_CONFIG file", dir);
		return -1;
	}
	return errno == ENOENT ? 0 : fail("DB_CONFIG");
}

static int
open_logs(struct kv_dir *d)
{
	d->logfd = openat(d->fd, KV_LOG_DIR, DIR_FLAGS);
	return d->logfd == -1 ? fail(KV_LOG_DIR) : 0;
}

static int
make_ballast(int dirfd, uint64_t bytes)
{
	int fd, ret;

	fd = openat(dirfd, KV_BALLAST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return fail(KV_BALLAST);
	ret = posix_fallocate(fd, 0, (off_t)bytes);
	if (ret == 0 && fsync(fd) == -1)
		ret = errno;
	if (close(fd) == -1 && ret == 0)
		ret = errno;
	errno = ret;
	return ret != 0 ? fail(KV_BALLAST) : 0;
}

/* A small file, new or anew, durable. */
static int
write_small(int dirfd, const char *name, const char *text)
{
	size_t n = strlen(text);
	int fd, ret = 0;

	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd == -1)
		return fail(name);
	if (write(fd, text, n) != (ssize_t)n || fsync(fd) == -1)
		ret = fail(name);
	(void)close(fd);
	return ret;
}

/* 0 and text, -1 when it cannot be read; errno is ENOENT when it is not there. */
static int
read_small(int dirfd, const char *name, char *text, size_t size)
{
	ssize_t n;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return -1;
	n = read(fd, text, size - 1);
	(void)close(fd);
	if (n == -1)
		return -1;
	text[n] = '\0';
	return 0;
}

int
kv_dir_make(struct kv_dir *d, uint64_t ballast_bytes)
{
	if (mkdirat(d->fd, KV_DATA_DIR, 0700) == -1 ||
	    mkdirat(d->fd, KV_LOG_DIR, 0700) == -1) {
		if (errno != EEXIST)
			return fail("mkdir");
		log_err("store: there is a store already");
		return -1;
	}
	if (write_small(d->fd, KV_FORMAT, KV_FORMAT_LINE) == -1)
		return -1;
	if (ballast_bytes > 0 && make_ballast(d->fd, ballast_bytes) == -1)
		return -1;
	return open_logs(d);
}

int
kv_dir_complete(const struct kv_dir *d, uint64_t bytes)
{
	struct stat st;

	if (fstatat(d->fd, KV_FORMAT, &st, AT_SYMLINK_NOFOLLOW) == -1 &&
	    write_small(d->fd, KV_FORMAT, KV_FORMAT_LINE) == -1)
		return -1;
	if (bytes == 0 || fstatat(d->fd, KV_BALLAST, &st,
	    AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return make_ballast(d->fd, bytes);
}

uint32_t
kv_dir_keep(const struct kv_dir *d)
{
	char text[32], *end;
	unsigned long n;

	if (read_small(d->fd, KV_KEEP, text, sizeof(text)) == -1)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	return errno == 0 && end != text && strcmp(end, "\n") == 0 &&
	    n <= UINT32_MAX ? (uint32_t)n : 0;
}

int
kv_dir_set_keep(const struct kv_dir *d, uint32_t log)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%u\n", log);
	return write_small(d->fd, KV_KEEP, text);
}

int
kv_dir_sync(const struct kv_dir *d)
{
	int fd, ret = 0;

	if ((fd = openat(d->fd, KV_DATA_DIR, DIR_FLAGS)) == -1)
		return fail(KV_DATA_DIR);
	if (fsync(fd) == -1 || fsync(d->logfd) == -1 || fsync(d->fd) == -1)
		ret = fail("sync");
	(void)close(fd);
	return ret;
}

/* Whether there is a regular file that is not empty. */
static bool
has_content(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size > 0;
}

static bool
logs_exist(int logfd)
{
	struct dirent *e;
	bool found = false;
	DIR *dir;
	int fd;

	/* closedir() takes the descriptor with it, so not logfd itself. */
	if ((fd = openat(logfd, ".", DIR_FLAGS)) == -1)
		return false;
	if ((dir = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return false;
	}
	while (!found && (e = readdir(dir)) != NULL)
		found = strncmp(e->d_name, "log.", 4) == 0 &&
		    has_content(logfd, e->d_name);
	(void)closedir(dir);
	return found;
}

/* Whether it has the directory's owner, and nobody else can write it. */
static int
check_own(const struct kv_dir *d, const char *name)
{
	struct stat dir, st;

	if (fstat(d->fd, &dir) == -1 ||
	    fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return fail(name);
	if (st.st_uid != dir.st_uid) {
		log_err("store: %s belongs to user %u and not to user %u",
		    name, st.st_uid, dir.st_uid);
		return -1;
	}
	if ((st.st_mode & 0022) == 0)
		return 0;
	log_err("store: %s: its mode %04o is too open: others can write it",
	    name, st.st_mode & 07777);
	return -1;
}

/* A store of another version is not even opened: recovery would write. */
static int
check_format(int dirfd)
{
	char text[64];

	if (read_small(dirfd, KV_FORMAT, text, sizeof(text)) == -1)
		return errno == ENOENT ? 0 : fail(KV_FORMAT);
	if (strcmp(text, KV_FORMAT_LINE) == 0)
		return 0;
	log_err("store: its format (\"%.40s\") is not one that this version "
	    "knows; nothing was changed", text);
	return -1;
}

int
kv_dir_check(struct kv_dir *d)
{
	if (check_format(d->fd) == -1)
		return -1;
	if (!has_content(d->fd, KV_DATA_DIR "/" KV_DB_NAME)) {
		log_err("store: there is no database; if there never was one, "
		    "initialize it");
		return -1;
	}
	if (check_own(d, KV_DATA_DIR) == -1 || check_own(d, KV_LOG_DIR) == -1 ||
	    check_own(d, KV_DATA_DIR "/" KV_DB_NAME) == -1)
		return -1;
	if (open_logs(d) == -1)
		return -1;
	if (!logs_exist(d->logfd)) {
		log_err("store: there is a database but no logs; restore both "
		    "from a backup");
		return -1;
	}
	if (!has_content(d->fd, KV_BALLAST))
		log_warn("store: there is no ballast file");
	return 0;
}

bool
kv_dir_low(const struct kv_dir *d, uint64_t floor_bytes)
{
	struct statvfs st;

	if (fstatvfs(d->fd, &st) == -1) {
		(void)fail("statvfs");
		return true;
	}
	return (uint64_t)st.f_bavail * st.f_frsize < floor_bytes;
}

void
kv_dir_close(struct kv_dir *d)
{
	if (d->logfd != -1)
		(void)close(d->logfd);
	if (d->fd != -1)
		(void)close(d->fd);
	*d = (struct kv_dir){ .fd = -1, .logfd = -1 };
}
