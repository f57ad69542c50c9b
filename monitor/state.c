#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "rsa.h"

/* Where a role's file is, below the state directory; NULL: by configuration. */
static const struct {
	const char	*path;
	mode_t		 mode;
	bool		 init_only;
} files[FILES] = {
	[FILE_AUDIT_LOG] = { "audit/audit.log", 0600, false },
	[FILE_AUDIT_STATE] = { "audit/audit.state", 0600, false },
	[FILE_AUDIT_KEY] = { "keys/audit.key", 0600, true },
	[FILE_HOST_KEY] = { "keys/host.key", 0600, false },
	[FILE_WRAP_KEY] = { "keys/wrap.key", 0600, false },
	[FILE_HOST_PUB] = { "keys/host.pub", 0644, true },
	[FILE_ANCHOR] = { "vault/anchor", 0600, false },
	[FILE_KEYFILE] = { "vault/storage.key", 0600, false },
	[FILE_API_KEY] = { NULL, 0, false },
	[FILE_CA] = { NULL, 0, false },
};

static const char *const dirs[] = { "keys", "vault", "audit", "db" };
#define NDIRS	(sizeof(dirs) / sizeof(dirs[0]))

static void
state_path(const struct monitor *m, const char *name, char *dst, size_t size)
{
	int n = snprintf(dst, size, "%s/%s", m->cfg.state_dir, name);

	if (n < 0 || (size_t)n >= size)
		fatalx("state_dir is too long");
}

void
state_engine_dir(const struct monitor *m, char *dst, size_t size)
{
	state_path(m, "db", dst, size);
}

/* A secret named in the configuration: nobody but its owner may write it, and
 * others may not read it. */
static int
open_secret(const char *path)
{
	struct stat st;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		fatal("%s", path);
	if (fstat(fd, &st) == -1)
		fatal("%s", path);
	if (!S_ISREG(st.st_mode))
		fatalx("%s: not a regular file", path);
	if ((st.st_mode & 027) != 0)
		fatalx("%s: mode %04o is too open: others can read it or its "
		    "group can write it", path, st.st_mode & 07777);
	return fd;
}

int
state_open_file(struct monitor *m, enum file_id file, int instance)
{
	const struct config_provider *pr = &m->cfg.providers[instance];
	char path[4096];
	const char *name = "/dev/null";
	int fd;

	if (file == FILE_API_KEY && !m->init && pr->key_file != NULL)
		return open_secret(pr->key_file);
	if (file == FILE_CA && !m->init && pr->ca_file != NULL)
		name = pr->ca_file;
	if (files[file].path != NULL && (m->init || !files[file].init_only)) {
		state_path(m, files[file].path, path, sizeof(path));
		name = path;
	}
	if ((fd = open(name, (files[file].path != NULL ? O_RDWR : O_RDONLY) |
	    (file == FILE_AUDIT_LOG ? O_APPEND : 0) | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY)) == -1) {
		if (errno == ENOENT && files[file].path != NULL)
			fatalx("%s is missing: run 'cloisterctl init' first, or "
			    "restore it", name);
		fatal("%s", name);
	}
	return fd;
}

void
state_create(struct monitor *m)
{
	const struct config_user *eng = &m->cfg.user[CONFIG_ENGINE];
	char path[4096];
	int fd;

	if (mkdir(m->cfg.state_dir, 0711) == -1 && errno != EEXIST)
		fatal("%s", m->cfg.state_dir);
	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		if (mkdir(path, 0700) == -1)
			fatal("%s: is there a state already?", path);
	}
	state_engine_dir(m, path, sizeof(path));
	if (geteuid() == 0 && chown(path, eng->uid, eng->gid) == -1)
		fatal("chown %s", path);
	for (int f = 0; f < FILES; f++) {
		if (files[f].path == NULL)
			continue;
		state_path(m, files[f].path, path, sizeof(path));
		if ((fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		    files[f].mode)) == -1)
			fatal("%s", path);
		if (fchmod(fd, files[f].mode) == -1)
			fatal("fchmod %s", path);
		close(fd);
	}
}

void
state_remove(struct monitor *m)
{
	char path[4096];

	for (int f = 0; f < FILES; f++) {
		if (files[f].path == NULL)
			continue;
		state_path(m, files[f].path, path, sizeof(path));
		if (unlink(path) == -1 && errno != ENOENT)
			log_warn("%s: %s", path, strerror(errno));
	}
	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		if (rmdir(path) == -1 && errno != ENOENT)
			log_warn("%s: %s", path, strerror(errno));
	}
}

static void
sync_dir(const char *path)
{
	int fd;

	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    fsync(fd) == -1)
		fatal("%s", path);
	close(fd);
}

void
state_finish(struct monitor *m)
{
	char path[4096], text[RSA_FP_TEXT];
	uint8_t fp[HASH_LEN];
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	EVP_PKEY *key;
	int fd;

	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		sync_dir(path);
	}
	sync_dir(m->cfg.state_dir);
	state_path(m, files[FILE_HOST_PUB].path, path, sizeof(path));
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    read_all(fd, &spki) == -1)
		fatal("%s", path);
	close(fd);
	if ((key = rsa_spki_parse(buf_bytes(&spki), RSA_USE_SIGN, 0)) == NULL)
		fatalx("%s: keyd made no host key", path);
	EVP_PKEY_free(key);
	rsa_fingerprint(fp, buf_bytes(&spki));
	rsa_fingerprint_text(text, fp);
	printf("host key fingerprint: %s\n", text);
	buf_free(&spki);
}
