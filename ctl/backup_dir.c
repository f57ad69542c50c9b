#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "backup.h"
#include "ctl.h"
#include "log.h"

#define MANIFEST	"manifest.json"
#define MANIFEST_NEW	"manifest.json.new"
#define MANIFEST_MAX	((size_t)8 << 20)	/* bytes: 80,000 logs */

void
backup_set_name(char dst[BACKUP_NAME], const struct backup *b)
{
	(void)snprintf(dst, BACKUP_NAME, "full-%u", b->set);
}

void
backup_db_name(char dst[BACKUP_NAME], const struct backup *b)
{
	(void)snprintf(dst, BACKUP_NAME, "full-%u/kv.db", b->set);
}

void
backup_log_name(char dst[BACKUP_NAME], const struct backup *b, uint32_t log)
{
	(void)snprintf(dst, BACKUP_NAME, "full-%u/log.%010u", b->set, log);
}

void
backup_anchor_name(char dst[BACKUP_NAME], const struct backup *b)
{
	(void)snprintf(dst, BACKUP_NAME, "full-%u/anchor.%u", b->set, b->run);
}

void
backup_keyfile_name(char dst[BACKUP_NAME], const struct backup *b)
{
	(void)snprintf(dst, BACKUP_NAME, "full-%u/storage.key.%u", b->set,
	    b->run);
}

int
backup_open(const char *dir, bool make)
{
	int fd;

	if (make && mkdir(dir, 0700) == -1 && errno != EEXIST)
		return file_failed(dir);
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return file_failed(dir);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	out_error("%s: %s", dir, errno == EWOULDBLOCK ?
	    "another backup or restore uses it" : strerror(errno));
	(void)close(fd);
	return -1;
}

struct backup_file *
backup_add_log(struct backup *b, uint32_t log)
{
	struct backup_file *f = reallocarray(b->log, b->nlogs + 1, sizeof(*f));

	if (f == NULL)
		fatalx("out of memory");
	b->log = f;
	f = &b->log[b->nlogs++];
	*f = (struct backup_file){ .log = log };
	return f;
}

void
backup_free(struct backup *b)
{
	free(b->log);
	*b = (struct backup){ 0 };
}

/* ---- the manifest --------------------------------------------------------- */

static json_t *
file_json(const struct backup_file *f)
{
	char hex[2 * sizeof(f->sha256) + 1];
	json_t *j;

	hex_encode(hex, f->sha256, sizeof(f->sha256));
	j = json_pack("{s:I, s:s}", "bytes", (json_int_t)f->bytes, "sha256",
	    hex);
	if (j != NULL && f->log != 0 && json_object_set_new(j, "log",
	    json_integer(f->log)) == -1) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

static json_t *
manifest_json(const struct backup *b)
{
	json_t *logs = json_array();
	char server[2 * sizeof(b->server) + 1];

	hex_encode(server, b->server, sizeof(b->server));
	for (size_t i = 0; i < b->nlogs; i++)
		if (json_array_append_new(logs, file_json(&b->log[i])) == -1)
			fatalx("out of memory");
	return json_pack("{s:i, s:i, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
	    "format", BACKUP_FORMAT, "store", BACKUP_STORE, "server", server,
	    "set",
	    (json_int_t)b->set, "run", (json_int_t)b->run, "time_us",
	    (json_int_t)b->time_us, "database", file_json(&b->db), "anchor",
	    file_json(&b->anchor), "keyfile", file_json(&b->keyfile), "logs",
	    logs);
}

int
backup_save_new(int dirfd, const struct backup *b)
{
	json_t *j = manifest_json(b);
	char *text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;
	struct backup_file f;
	struct sink s;
	int r = -1;

	json_decref(j);
	if (text == NULL)
		fatalx("out of memory");
	if (sink_open(&s, dirfd, MANIFEST_NEW) == 0) {
		r = sink_put(&s, text, strlen(text));
		if (r == 0)
			r = sink_put(&s, "\n", 1);
		if (r == 0)
			r = sink_end(&s, &f);
		else
			sink_drop(&s);
	}
	free(text);
	return r;
}

int
backup_commit(int dirfd)
{
	if (renameat(dirfd, MANIFEST_NEW, dirfd, MANIFEST) == -1)
		return file_failed(MANIFEST);
	return dir_sync(dirfd, MANIFEST);
}

static bool
take_u32(const json_t *j, const char *name, uint32_t *v)
{
	const json_t *n = json_object_get(j, name);
	json_int_t i = json_integer_value(n);

	if (!json_is_integer(n) || i < 1 || i > UINT32_MAX)
		return false;
	*v = (uint32_t)i;
	return true;
}

static bool
take_file(const json_t *j, struct backup_file *f, bool is_log)
{
	const char *hex = json_string_value(json_object_get(j, "sha256"));
	const json_t *n = json_object_get(j, "bytes");

	if (!json_is_integer(n) || json_integer_value(n) < 1 || hex == NULL ||
	    hex_decode(f->sha256, sizeof(f->sha256), hex) == -1)
		return false;
	f->bytes = (uint64_t)json_integer_value(n);
	return !is_log || take_u32(j, "log", &f->log);
}

/* What it says, if it is of a format that is known and makes sense. */
static bool
take_manifest(const json_t *j, struct backup *b)
{
	const json_t *logs = json_object_get(j, "logs");
	const json_t *t = json_object_get(j, "time_us");
	const char *server = json_string_value(json_object_get(j, "server"));
	struct backup_file f = { 0 };

	if (server == NULL ||
	    hex_decode(b->server, sizeof(b->server), server) == -1 ||
	    !take_u32(j, "set", &b->set) || !take_u32(j, "run", &b->run) ||
	    !json_is_integer(t) || json_integer_value(t) < 0 ||
	    !take_file(json_object_get(j, "database"), &b->db, false) ||
	    !take_file(json_object_get(j, "anchor"), &b->anchor, false) ||
	    !take_file(json_object_get(j, "keyfile"), &b->keyfile, false) ||
	    !json_is_array(logs) || json_array_size(logs) == 0)
		return false;
	b->time_us = (uint64_t)json_integer_value(t);
	for (size_t i = 0; i < json_array_size(logs); i++) {
		if (!take_file(json_array_get(logs, i), &f, true) ||
		    (i > 0 && f.log != b->log[i - 1].log + 1))
			return false;
		*backup_add_log(b, f.log) = f;
	}
	return true;
}

int
backup_load(int dirfd, struct backup *b)
{
	uint32_t format, store;
	json_error_t err;
	struct stat st;
	json_t *j;
	int fd, r = -1;

	*b = (struct backup){ 0 };
	if ((fd = openat(dirfd, MANIFEST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC)) == -1)
		return errno == ENOENT ? 1 : file_failed(MANIFEST);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_size > (off_t)MANIFEST_MAX) {
		(void)close(fd);
		out_error(MANIFEST ": not a manifest");
		return -1;
	}
	j = json_loadfd(fd, JSON_REJECT_DUPLICATES, &err);
	(void)close(fd);
	if (j == NULL || !take_u32(j, "format", &format))
		out_error(MANIFEST ": not a manifest%s%s", j == NULL ? ": " :
		    "", j == NULL ? err.text : "");
	else if (!take_u32(j, "store", &store) || format != BACKUP_FORMAT ||
	    store != BACKUP_STORE)
		out_error(MANIFEST ": this backup is of a format that this "
		    "version does not know; nothing was changed");
	else if (!take_manifest(j, b))
		out_error(MANIFEST ": damaged");
	else
		r = 0;
	json_decref(j);
	if (r == -1)
		backup_free(b);
	return r;
}

/* ---- what is left of earlier ones ----------------------------------------- */

static bool
is_named(const struct backup *b, const char *path)
{
	char name[BACKUP_NAME];

	backup_db_name(name, b);
	if (strcmp(name, path) == 0)
		return true;
	backup_anchor_name(name, b);
	if (strcmp(name, path) == 0)
		return true;
	backup_keyfile_name(name, b);
	if (strcmp(name, path) == 0)
		return true;
	for (size_t i = 0; i < b->nlogs; i++) {
		backup_log_name(name, b, b->log[i].log);
		if (strcmp(name, path) == 0)
			return true;
	}
	return false;
}

static void
tidy_set(int fd, const struct backup *b)
{
	const struct dirent *e;
	char set[BACKUP_NAME], path[512];
	DIR *d;

	backup_set_name(set, b);
	if ((d = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", set, e->d_name);
		if (e->d_name[0] != '.' && !is_named(b, path) &&
		    unlinkat(fd, e->d_name, 0) == -1)
			(void)file_failed(path);
	}
	(void)closedir(d);
}

void
backup_tidy(int dirfd, const struct backup *b)
{
	const struct dirent *e;
	char set[BACKUP_NAME];
	int fd, sub;
	DIR *d;

	backup_set_name(set, b);
	if ((fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) ==
	    -1 || (d = fdopendir(fd)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "full-", 5) != 0 ||
		    (sub = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC)) == -1)
			continue;
		if (strcmp(e->d_name, set) == 0) {
			tidy_set(sub, b);
			continue;
		}
		if (tree_empty(sub) == 0 &&
		    unlinkat(dirfd, e->d_name, AT_REMOVEDIR) == -1)
			(void)file_failed(e->d_name);
		(void)close(sub);
	}
	(void)closedir(d);
}
