/* Copying the store while it is used, and which log files may go. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv_local.h"
#include "log.h"

#define LOG_NAME	"log.%010u"
#define LOG_NAME_LEN	14

/* Of "log.0000000012"; 0 when it is no such name. */
static uint32_t
log_number(const char *name)
{
	uint64_t n = 0;

	if (strlen(name) != LOG_NAME_LEN || strncmp(name, "log.", 4) != 0)
		return 0;
	for (const char *p = name + 4; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return 0;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	return n <= UINT32_MAX ? (uint32_t)n : 0;
}

/* The smallest and largest number in a list of Berkeley DB's; 0: none. */
static void
list_range(char *const *list, uint32_t *lo, uint32_t *hi)
{
	*lo = *hi = 0;
	for (; list != NULL && *list != NULL; list++) {
		const char *base = strrchr(*list, '/');
		uint32_t n = log_number(base != NULL ? base + 1 : *list);

		if (n == 0)
			continue;
		if (*lo == 0 || n < *lo)
			*lo = n;
		if (n > *hi)
			*hi = n;
	}
}

/* The log files that are there, and which of them recovery does not need. */
static int
log_files(struct kv *kv, uint32_t *oldest, uint32_t *newest, uint32_t *unused)
{
	char **list = NULL;
	uint32_t lo;
	int ret;

	if ((ret = kv->env->log_archive(kv->env, &list, DB_ARCH_LOG)) != 0)
		return ret;
	list_range(list, oldest, newest);
	free(list);
	list = NULL;
	if ((ret = kv->env->log_archive(kv->env, &list, 0)) != 0)
		return ret;
	list_range(list, &lo, unused);
	free(list);
	return 0;
}

/* The last file that may be removed, given that those up to `unused' could. */
static int
removable(struct kv *kv, uint32_t unused, uint32_t *last)
{
	*last = unused;
	if (kv->keep == 0 || unused < kv->keep)
		return 0;
	if (unused - kv->keep < KV_KEEP_LOGS &&
	    !kv_dir_low(&kv->dir, 2 * kv->floor_bytes)) {
		*last = kv->keep - 1;
		return 0;
	}
	log_warn("store: the logs since the last backup are not kept any longer; "
	    "the next one copies everything");
	kv->keep = 0;
	return kv_dir_set_keep(&kv->dir, 0);
}

int
kv_logs_remove(struct kv *kv)
{
	uint32_t oldest, newest, unused, last;
	char name[LOG_NAME_LEN + 1];
	int ret;

	if (kv->copying)
		return 0;
	if ((ret = log_files(kv, &oldest, &newest, &unused)) != 0)
		return ret;
	if (oldest == 0 || unused == 0)
		return 0;
	if (removable(kv, unused, &last) == -1)
		return EIO;
	/* The oldest first: after a crash they are still without a gap. */
	for (uint32_t n = oldest; n <= last; n++) {
		(void)snprintf(name, sizeof(name), LOG_NAME, n);
		if (unlinkat(kv->dir.logfd, name, 0) == -1 && errno != ENOENT)
			return errno;
	}
	return 0;
}

enum kv_status
kv_copy_mark(struct kv *kv, struct kv_copy *c)
{
	uint32_t newest, unused;
	DB_LOG_STAT *stat;
	int ret;

	if (kv_flush(kv) != KV_OK)
		return KV_FATAL;
	if ((ret = kv->env->log_flush(kv->env, NULL)) != 0)
		return kv_die(kv, "flush", ret);
	if ((ret = log_files(kv, &c->oldest, &newest, &unused)) != 0 ||
	    (ret = kv->env->log_stat(kv->env, &stat, 0)) != 0)
		return kv_die(kv, "log files", ret);
	c->last = stat->st_cur_file;
	c->last_bytes = stat->st_cur_offset;
	free(stat);
	c->first = unused != 0 ? unused + 1 : c->oldest;
	return KV_OK;
}

enum kv_status
kv_copy_begin(struct kv *kv, struct kv_copy *c)
{
	int ret;

	if (kv_flush(kv) != KV_OK)
		return KV_FATAL;
	if ((ret = kv->env->txn_checkpoint(kv->env, 0, 0, DB_FORCE)) != 0)
		return kv_die(kv, "checkpoint", ret);
	kv->copying = true;
	return kv_copy_mark(kv, c);
}

enum kv_status
kv_copy_read(struct kv *kv, uint32_t log, uint64_t offset, uint8_t *dst,
    size_t max, size_t *n)
{
	char name[64] = KV_DATA_DIR "/" KV_DB_NAME;
	ssize_t got = 0;
	int fd;

	*n = 0;
	if (kv->dead)
		return KV_FATAL;
	if (!kv->copying || offset > INT64_MAX - max || (log == 0 &&
	    (offset % KV_COPY_PAGE != 0 || max % KV_COPY_PAGE != 0)))
		return KV_INVALID;
	if (log != 0)
		(void)snprintf(name, sizeof(name), KV_LOG_DIR "/" LOG_NAME,
		    log);
	fd = openat(kv->dir.fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT && log != 0 ? KV_INVALID :
		    kv_die(kv, name, errno);
	while (*n < max && (got = pread(fd, dst + *n, max - *n,
	    (off_t)(offset + *n))) > 0)
		*n += (size_t)got;
	if (got == -1) {
		int err = errno;

		(void)close(fd);
		return kv_die(kv, name, err);
	}
	(void)close(fd);
	return KV_OK;
}

enum kv_status
kv_copy_end(struct kv *kv, uint32_t keep)
{
	kv->copying = false;
	if (kv->dead)
		return KV_FATAL;
	if (keep == 0)
		return KV_OK;
	if (kv_dir_set_keep(&kv->dir, keep) == -1)
		return kv_die(kv, KV_KEEP, EIO);
	kv->keep = keep;
	return KV_OK;
}
