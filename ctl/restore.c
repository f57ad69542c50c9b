/*
 * A backup becomes a state: its files are laid out in state_dir/restore, then
 * `cloisterd -r' starts the cells that the storage needs, each in its sandbox, on
 * them: the engine recovers, the vault verifies everything.  Nothing of the
 * present state was touched until then.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup.h"
#include "ctl.h"
#include "log.h"

#define BEFORE		"before-restore"
#define OUTPUT		"output"
#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct stage {
	int		 state;		/* state_dir */
	int		 fd;		/* restore/ below it, locked */
	int		 db;		/* restore/db */
	int		 from;		/* the backup */
	const struct backup *b;
	bool		 trial, forward;
	unsigned	 uid, gid;	/* the engine's; -1 without root */
};

/* ---- laying it out ---------------------------------------------------------- */

/* A new empty file. */
static int
make_file(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);

	if (fd == -1)
		return file_failed(name);
	(void)close(fd);
	return 0;
}

/* What a trial's logger makes its own audit log of. */
static int
make_trial_files(struct stage *s)
{
	int audit = dir_make(s->fd, "audit", 0700, (unsigned)-1, 0);
	int keys = dir_make(s->fd, "keys", 0700, (unsigned)-1, 0);
	int rv = -1;

	if (audit != -1 && keys != -1 && make_file(audit, "audit.log") == 0 &&
	    make_file(audit, "audit.state") == 0 &&
	    make_file(keys, "audit.key") == 0)
		rv = 0;
	if (audit != -1)
		(void)close(audit);
	if (keys != -1)
		(void)close(keys);
	return rv;
}

static int
put(struct stage *s, int fromfd, const char *from, const char *to,
    const struct backup_file *f)
{
	struct backup_file want = *f;

	return file_copy(fromfd, from, s->db, to, &want, s->uid, s->gid);
}

/* The logs of the present state that go on where the backup's last one ends. */
static int
put_later_logs(struct stage *s)
{
	const struct backup_file *last = &s->b->log[s->b->nlogs - 1];
	struct backup_file whole = { .bytes = UINT64_MAX };
	char from[BACKUP_NAME], to[BACKUP_NAME];
	int logs = openat(s->state, "db/log", DIR_FLAGS), rv = 0;

	if (logs == -1)
		return file_failed("db/log");
	for (uint32_t n = last->log; rv == 0; n++) {
		(void)snprintf(from, sizeof(from), "log.%010u", n);
		(void)snprintf(to, sizeof(to), "log/log.%010u", n);
		if (faccessat(logs, from, F_OK, AT_SYMLINK_NOFOLLOW) == -1) {
			if (errno == ENOENT && n != last->log)
				break;
			rv = file_failed(from);
			break;
		}
		/* Its beginning is the backup's, or it is another history. */
		if (n == last->log)
			rv = put(s, logs, from, to, last);
		whole.bytes = UINT64_MAX;
		if (rv == 0)
			rv = put(s, logs, from, to, &whole);
	}
	(void)close(logs);
	return rv;
}

static int
put_store(struct stage *s)
{
	static const char *const dirs[] = { "data", "log" };
	char from[BACKUP_NAME], to[BACKUP_NAME];
	int fd;

	for (size_t i = 0; i < 2; i++) {
		if ((fd = dir_make(s->db, dirs[i], 0700, s->uid, s->gid)) ==
		    -1)
			return -1;
		(void)close(fd);
	}
	backup_db_name(from, s->b);
	if (put(s, s->from, from, "data/kv.db", &s->b->db) == -1)
		return -1;
	for (size_t i = 0; i < s->b->nlogs; i++) {
		backup_log_name(from, s->b, s->b->log[i].log);
		(void)snprintf(to, sizeof(to), "log/log.%010u",
		    s->b->log[i].log);
		if (put(s, s->from, from, to, &s->b->log[i]) == -1)
			return -1;
	}
	return s->forward ? put_later_logs(s) : 0;
}

/* Anchor and key file: of the backup, or when its logs are gone on with, the
 * present ones. */
static int
put_vault(struct stage *s)
{
	struct backup_file anchor = s->b->anchor, keyfile = s->b->keyfile;
	char from[2][BACKUP_NAME];
	int source = s->from, vault, rv;

	backup_anchor_name(from[0], s->b);
	backup_keyfile_name(from[1], s->b);
	if (s->forward) {
		source = s->state;
		anchor.bytes = keyfile.bytes = UINT64_MAX;
		(void)strlcpy(from[0], "vault/anchor", BACKUP_NAME);
		(void)strlcpy(from[1], "vault/storage.key", BACKUP_NAME);
	}
	if ((vault = dir_make(s->fd, "vault", 0700, (unsigned)-1, 0)) == -1)
		return -1;
	rv = file_copy(source, from[0], vault, "anchor", &anchor,
	    (unsigned)-1, 0);
	if (rv == 0)
		rv = file_copy(source, from[1], vault, "storage.key", &keyfile,
		    (unsigned)-1, 0);
	if (rv == 0)
		rv = dir_sync(vault, "vault");
	(void)close(vault);
	return rv;
}

static int
lay_out(struct stage *s)
{
	if (tree_empty(s->fd) == -1 || (s->db = dir_make(s->fd, "db", 0700,
	    s->uid, s->gid)) == -1)
		return -1;
	if (put_store(s) == -1 || put_vault(s) == -1 ||
	    (s->trial && make_trial_files(s) == -1))
		return -1;
	return dir_sync(s->fd, STATE_RESTORE);
}

/* ---- having it recovered and verified --------------------------------------- */

__attribute__((noreturn)) static void
exec_monitor(int out, bool trial)
{
	if (dup2(out, STDOUT_FILENO) == -1 || dup2(out, STDERR_FILENO) == -1)
		_exit(126);
	ctl_exec_monitor(trial ? "-rn" : "-r");
}

/*
 * What the cells said: of a good end the vault's counts, into summary; else all
 * of it, to standard error.
 */
static void
read_output(int fd, bool good, char *summary, size_t size)
{
	char line[1024];
	const char *p;
	FILE *f;

	if (lseek(fd, 0, SEEK_SET) == -1 || (f = fdopen(fd, "r")) == NULL) {
		(void)close(fd);
		return;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		log_clean(line);
		if (!good)
			out_error("%s", line);
		else if ((p = strstr(line, "commit ")) != NULL)
			(void)strlcpy(summary, p, size);
	}
	(void)fclose(f);
}

static int
verify(struct stage *s, char *summary, size_t size)
{
	int out = openat(s->fd, OUTPUT, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600), status;
	pid_t pid;

	if (out == -1)
		return file_failed(OUTPUT);
	if ((pid = fork()) == 0)
		exec_monitor(out, s->trial);
	if (pid == -1 || waitpid(pid, &status, 0) == -1) {
		(void)close(out);
		return file_failed("cloisterd");
	}
	summary[0] = '\0';
	read_output(out, status == 0, summary, size);
	(void)unlinkat(s->fd, OUTPUT, 0);
	if (status == 0)
		return 0;
	out_error("what the backup holds cannot be recovered or does not "
	    "verify");
	return -1;
}

/* ---- putting it in place ---------------------------------------------------- */

static int
move(int fromfd, int tofd, const char *name, bool may_miss)
{
	if (renameat(fromfd, name, tofd, name) == 0 ||
	    (may_miss && errno == ENOENT))
		return 0;
	return file_failed(name);
}

static int
put_in_place(struct stage *s)
{
	int before = dir_make(s->state, BEFORE, 0700, (unsigned)-1, 0);
	int rv = -1;

	if (before == -1)
		return -1;
	if (move(s->state, before, "db", true) == 0 &&
	    move(s->state, before, "vault", true) == 0 &&
	    move(s->fd, s->state, "db", false) == 0 &&
	    move(s->fd, s->state, "vault", false) == 0 &&
	    dir_sync(before, BEFORE) == 0 &&
	    dir_sync(s->state, ctl.cfg.state_dir) == 0)
		rv = 0;
	(void)close(before);
	return rv;
}

/* Nobody may have the present store open. */
static int
lock_store(struct stage *s)
{
	int db = openat(s->state, "db", DIR_FLAGS);

	if (db == -1)
		return errno == ENOENT ? 0 : file_failed("db");
	if (flock(db, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK)
			return file_failed("db");
		out_error("the service is running: stop it first");
		return -1;
	}
	/* Until this process ends. */
	if (faccessat(s->state, BEFORE, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	out_error("%s/" BEFORE " has the state of before an earlier restore: "
	    "remove or move it first", ctl.cfg.state_dir);
	return -1;
}

static int
open_stage(struct stage *s)
{
	const struct config_user *eng = &ctl.cfg.user[CONFIG_ENGINE];

	s->uid = geteuid() == 0 ? eng->uid : (unsigned)-1;
	s->gid = eng->gid;
	if ((s->state = open(ctl.cfg.state_dir, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC)) == -1)
		return file_failed(ctl.cfg.state_dir);
	/* As state_dir itself: the engine must get to what is its own. */
	if ((s->fd = dir_make(s->state, STATE_RESTORE, 0711, (unsigned)-1,
	    0)) == -1)
		return -1;
	if (flock(s->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	out_error("another backup is being verified or restored");
	return -1;
}

int
restore_run(int dirfd, const struct backup *b, bool trial, bool forward,
    char *summary, size_t size)
{
	struct stage s = { .state = -1, .fd = -1, .db = -1, .from = dirfd,
	    .b = b, .trial = trial, .forward = forward };
	int rv = -1;

	if (open_stage(&s) == -1 || (!trial && lock_store(&s) == -1))
		goto out;
	if (lay_out(&s) == 0 && verify(&s, summary, size) == 0)
		rv = trial ? 0 : put_in_place(&s);
	if (tree_empty(s.fd) == -1 || unlinkat(s.state, STATE_RESTORE,
	    AT_REMOVEDIR) == -1)
		(void)file_failed(STATE_RESTORE);
out:
	if (s.db != -1)
		(void)close(s.db);
	if (s.fd != -1)
		(void)close(s.fd);
	if (s.state != -1)
		(void)close(s.state);
	return rv;
}
