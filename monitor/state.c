#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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
	int		 access;	/* once it is made */
} files[FILES] = {
	[FILE_AUDIT_LOG] = { "audit/audit.log", 0600, false, O_RDWR },
	[FILE_AUDIT_STATE] = { "audit/audit.state", 0600, false, O_RDWR },
	[FILE_AUDIT_KEY] = { "keys/audit.key", 0600, true, O_RDWR },
	[FILE_HOST_KEY] = { "keys/host.key", 0600, false, O_RDONLY },
	[FILE_WRAP_KEY] = { "keys/wrap.key", 0600, false, O_RDONLY },
	[FILE_HOST_PUB] = { "keys/host.pub", 0644, true, O_RDWR },
	[FILE_ANCHOR] = { "vault/anchor", 0600, false, O_RDWR },
	[FILE_KEYFILE] = { "vault/storage.key", 0600, false, O_RDWR },
	[FILE_API_KEY] = { NULL, 0, false, O_RDONLY },
	[FILE_CA] = { NULL, 0, false, O_RDONLY },
	[FILE_AUDIT_PREV] = { NULL, 0, false, O_RDWR },
	[FILE_JOURNAL] = { NULL, 0, false, O_RDWR },
	[FILE_CLIENT_CA] = { NULL, 0, false, O_RDONLY },
	[FILE_CLIENT_CRL] = { NULL, 0, false, O_RDONLY },
	[FILE_CHAIN] = { NULL, 0, false, O_RDONLY },
};

static const char *const dirs[] = { "keys", "vault", "audit", "db" };
#define NDIRS	(sizeof(dirs) / sizeof(dirs[0]))

void
state_path(const struct monitor *m, const char *name, char *dst, size_t size)
{
	int n = snprintf(dst, size, "%s/%s", m->cfg.state_dir, name);

	if (n < 0 || (size_t)n >= size)
		fatalx("state_dir is too long");
}

void
state_engine_dir(const struct monitor *m, char *dst, size_t size)
{
	state_path(m, m->check ? STATE_RESTORE "/db" : "db", dst, size);
}

/* Whether the file is being made: at init, or for a trial. */
static bool
is_new(const struct monitor *m, enum file_id file)
{
	return m->init || (m->trial && file_roles[file] == ROLE_LOGGER);
}

/* Where a file with a place of its own is. */
static void
file_path(const struct monitor *m, enum file_id file, char *dst, size_t size)
{
	char name[128];
	bool staged = m->check && (file == FILE_ANCHOR ||
	    file == FILE_KEYFILE || is_new(m, file));

	(void)snprintf(name, sizeof(name), "%s%s", staged ? STATE_RESTORE "/" :
	    "", files[file].path);
	state_path(m, name, dst, size);
}

/*
 * A file cannot be given to a role: the end of a start, but not of a service
 * that one provider's role is to join again.
 */
static int
cannot(const struct monitor *m, const char *path, const char *why)
{
	if (!m->serving)
		fatalx("%s: %s", path, why);
	log_err("%s: %s", path, why);
	return -1;
}

/* A secret named in the configuration: nobody but its owner may write it, and
 * others may not read it. */
static int
open_secret(const struct monitor *m, const char *path)
{
	const char *why = NULL;
	struct stat st;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK)) == -1)
		return cannot(m, path, strerror(errno));
	if (fstat(fd, &st) == -1)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a regular file";
	else if ((st.st_mode & 027) != 0)
		why = "its mode is too open: others can read it or its group "
		    "can write it";
	if (why == NULL)
		return fd;
	close(fd);
	return cannot(m, path, why);
}

/* A secret's place by configuration; "credential:NAME" is in a directory that
 * the service manager made for this start. */
static int
open_named_secret(const struct monitor *m, const char *name)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	int n;

	if (strncmp(name, CONFIG_CREDENTIAL, sizeof(CONFIG_CREDENTIAL) - 1) != 0)
		return open_secret(m, name);
	if (dir == NULL || dir[0] != '/')
		return cannot(m, name, "there are no credentials: the service "
		    "was not started with LoadCredential=");
	n = snprintf(path, sizeof(path), "%s/%s", dir,
	    name + sizeof(CONFIG_CREDENTIAL) - 1);
	if (n < 0 || (size_t)n >= sizeof(path))
		return cannot(m, name, "its path is too long");
	return open_secret(m, path);
}

/* A file that is named in the configuration and no secret, or NULL. */
static const char *
configured_file(const struct monitor *m, enum file_id file, int instance)
{
	switch (file) {
	case FILE_CA:
		return m->cfg.providers[instance].ca_file;
	case FILE_CLIENT_CA:
		return m->cfg.client_ca;
	case FILE_CLIENT_CRL:
		return m->cfg.client_crl;
	case FILE_CHAIN:
		return m->cfg.certificate;
	default:
		return NULL;
	}
}

int
state_open_file(struct monitor *m, enum file_id file, int instance)
{
	const struct config_provider *pr = &m->cfg.providers[instance];
	char path[4096];
	const char *name = "/dev/null";
	int fd;

	if (file == FILE_JOURNAL)
		return logfiles_open_journal();
	if (file == FILE_AUDIT_PREV && !is_new(m, file))
		return logfiles_open_prev(m);
	if (file == FILE_API_KEY && !m->init && pr->key_file != NULL)
		return open_named_secret(m, pr->key_file);
	if (file == FILE_WRAP_KEY && !m->init && m->cfg.wrap_key_file != NULL)
		return open_named_secret(m, m->cfg.wrap_key_file);
	if (!m->init && configured_file(m, file, instance) != NULL)
		name = configured_file(m, file, instance);
	if (files[file].path != NULL && (is_new(m, file) ||
	    !files[file].init_only)) {
		file_path(m, file, path, sizeof(path));
		name = path;
	}
	if ((fd = open(name, (is_new(m, file) ? O_RDWR : files[file].access) |
	    (file == FILE_AUDIT_LOG ? O_APPEND : 0) | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY)) == -1) {
		if (errno == ENOENT && file == FILE_AUDIT_LOG && !m->check &&
		    (fd = logfiles_make_missing(m)) != -1)
			return fd;
		if (errno == ENOENT && files[file].path != NULL)
			fatalx("%s is missing: run 'cloisterctl init' first, or "
			    "restore it", name);
		return cannot(m, name, strerror(errno));
	}
	return fd;
}

/*
 * Of this owner, and without these bits of its mode; what is not there is not
 * this function's.
 */
static void
check_place(const char *path, uid_t owner, mode_t never)
{
	struct stat st;

	if (lstat(path, &st) == -1) {
		if (errno == ENOENT)
			return;
		fatal("%s", path);
	}
	if (st.st_uid != owner)
		fatalx("%s belongs to user %u and not to user %u: whoever owns "
		    "it could change it; see what it is, then chown it", path,
		    st.st_uid, owner);
	if ((st.st_mode & never) != 0)
		fatalx("%s: its mode %04o is too open: others can %s it; chmod "
		    "%s", path, st.st_mode & 07777, (st.st_mode & never &
		    0022) != 0 ? "write" : "read", S_ISDIR(st.st_mode) ?
		    "0700" : "0600");
}

/* Whether it is there and can be opened: said now, while nobody else is needed
 * for that. */
static void
check_file(const struct monitor *m, enum file_id f, const char *path)
{
	int fd;

	if (files[f].init_only || (f == FILE_WRAP_KEY &&
	    m->cfg.wrap_key_file != NULL))
		return;
	if ((fd = open(path, files[f].access | O_CLOEXEC | O_NOFOLLOW |
	    O_NOCTTY | O_NONBLOCK)) != -1)
		(void)close(fd);
	else if (errno != ENOENT)
		fatal("%s", path);
	else if (f != FILE_AUDIT_LOG)	/* a crash may have left none */
		fatalx("%s is missing: run 'cloisterctl init' first, or restore "
		    "it", path);
}

void
state_check(const struct monitor *m)
{
	uid_t me = geteuid(), owner;
	char path[4096];
	bool engine;

	check_place(m->cfg.state_dir, me, 0022);
	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		if (access(path, F_OK) == -1 && errno == ENOENT)
			fatalx("%s is missing: run 'cloisterctl init' first, or "
			    "restore it", path);
		engine = strcmp(dirs[i], "db") == 0;
		owner = engine && me == 0 ? m->cfg.user[CONFIG_ENGINE].uid :
		    me;
		check_place(path, owner, 0027);
	}
	for (int f = 0; f < FILES; f++) {
		if (files[f].path == NULL)
			continue;
		state_path(m, files[f].path, path, sizeof(path));
		check_place(path, me, 0027 & ~files[f].mode);
		check_file(m, (enum file_id)f, path);
	}
}

/* What was made is removed again before the end. */
__attribute__((noreturn)) static void
undo(struct monitor *m, const char *path)
{
	int err = errno;

	state_remove(m);
	errno = err;
	fatal("%s", path);
}

void
state_create(struct monitor *m)
{
	const struct config_user *eng = &m->cfg.user[CONFIG_ENGINE];
	char path[4096];
	int fd;

	if (mkdir(m->cfg.state_dir, 0711) == -1 && errno != EEXIST)
		fatal("%s", m->cfg.state_dir);
	/* Nothing may be there, and then all that is there is ours. */
	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		if (access(path, F_OK) == 0 || errno != ENOENT)
			fatalx("%s: is there a state already?", path);
	}
	for (size_t i = 0; i < NDIRS; i++) {
		state_path(m, dirs[i], path, sizeof(path));
		if (mkdir(path, 0700) == 0)
			continue;
		if (i == 0)	/* somebody else was first */
			fatal("%s", path);
		undo(m, path);
	}
	state_engine_dir(m, path, sizeof(path));
	if (geteuid() == 0 && chown(path, eng->uid, eng->gid) == -1)
		undo(m, path);
	for (int f = 0; f < FILES; f++) {
		if (files[f].path == NULL)
			continue;
		state_path(m, files[f].path, path, sizeof(path));
		if ((fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
		    files[f].mode)) == -1 || fchmod(fd, files[f].mode) == -1)
			undo(m, path);
		close(fd);
	}
}

/* Remove what the engine made; its directory has no others below it. */
static void
empty_engine_dir(const struct monitor *m)
{
	const struct dirent *e;
	char path[4096];
	DIR *d;
	int fd;

	state_engine_dir(m, path, sizeof(path));
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC)) == -1 || (d = fdopendir(fd)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0
		    && unlinkat(fd, e->d_name, 0) == -1)
			log_warn("%s/%s: %s", path, e->d_name, strerror(errno));
	closedir(d);
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
	empty_engine_dir(m);
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
