/*
 * cloisterctl backup: the engine reads its files and the vault passes them on;
 * what is written where, and what becomes of it, is decided here.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup.h"
#include "codes.h"
#include "ctl.h"
#include "kdf.h"
#include "log.h"

#define STEP_MS		120000
#define PART_MAX	57344	/* bytes, of messages.def */
#define NEW_LOG		"log.new"

struct run {
	int		 dirfd;
	int		 state;		/* the state directory */
	struct chan	*vault;
	struct backup	 old;		/* nlogs 0: none */
	struct backup	 b;
	bool		 full;
	uint64_t	 bytes;		/* that came */
	struct m_va_backup at;		/* the last answer, but for its data */
	uint8_t		 part[PART_MAX];
	size_t		 part_n;
};

/* One step: what came is in r->at and r->part. */
static int
step(struct run *r, enum copy_op op, uint32_t log, uint64_t offset)
{
	struct m_av_backup ask = { .op = (uint8_t)op, .log = log,
	    .offset = offset };
	const char *why;
	struct msg m;

	if (chan_send(r->vault, MSG_av_backup, &ask, -1) == -1 ||
	    chan_recv(r->vault, &m, STEP_MS, &why) != 0) {
		out_error("the service went away");
		return -1;
	}
	if (m.type == MSG_va_error) {
		out_error("%.*s", (int)m.u.va_error.text.n,
		    (const char *)m.u.va_error.text.p);
		return -1;
	}
	if (m.type != MSG_va_backup) {
		out_error("the service answers something else");
		return -1;
	}
	r->at = m.u.va_backup;
	r->part_n = r->at.data.n;	/* bounds of messages.def */
	memcpy(r->part, r->at.data.p, r->part_n);
	if (chan_recv(r->vault, &m, STEP_MS, &why) == 0 &&
	    m.type == MSG_va_done)
		return 0;
	out_error("the service went away");
	return -1;
}

/* The next part of a file into s, no further than end; whether it was the last. */
static int
fetch_part(struct run *r, struct sink *s, uint32_t log, uint64_t end,
    bool *last)
{
	size_t n;

	if (step(r, COPY_READ, log, s->bytes) == -1)
		return -1;
	n = r->part_n;
	*last = n < PART_MAX;
	if (n >= end - s->bytes) {
		n = (size_t)(end - s->bytes);
		*last = true;
	}
	r->bytes += n;
	return sink_put(s, r->part, n);
}

/*
 * A file of the engine's, up to end.  same: what is known of its beginning;
 * *differs says that it is another file.
 */
static int
fetch(struct run *r, const char *name, uint32_t log, uint64_t end,
    const struct backup_file *same, bool *differs, struct backup_file *f)
{
	uint64_t limit = same != NULL && same->bytes < end ? same->bytes : end;
	uint8_t hash[32];
	struct sink s;
	bool last = false;

	if (sink_open(&s, r->dirfd, name) == -1)
		return -1;
	while (!last)
		if (fetch_part(r, &s, log, limit, &last) == -1)
			goto fail;
	if (same != NULL) {
		sink_hash(&s, hash);
		*differs = s.bytes != same->bytes ||
		    memcmp(hash, same->sha256, sizeof(hash)) != 0;
		for (last = *differs || s.bytes == end; !last;)
			if (fetch_part(r, &s, log, end, &last) == -1)
				goto fail;
	} else if (end != UINT64_MAX && s.bytes != end) {
		out_error("%s: the engine's file is too short", name);
		goto fail;
	}
	return sink_end(&s, f);
fail:
	sink_drop(&s);
	return -1;
}

/* A file of the vault's.  No epoch ends meanwhile, and of its two slots one is
 * always whole. */
static int
keep_state_file(struct run *r, const char *from, const char *to,
    struct backup_file *f)
{
	*f = (struct backup_file){ .bytes = UINT64_MAX };
	return file_copy(r->state, from, r->dirfd, to, f, (unsigned)-1, 0);
}

/* Which server this is. */
static int
take_identity(struct run *r)
{
	uint8_t key[4096];
	struct bytes one = { key, 0 };
	ssize_t n;
	int fd;

	if ((r->state = open(ctl.cfg.state_dir, O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC)) == -1)
		return file_failed(ctl.cfg.state_dir);
	if ((fd = openat(r->state, "keys/host.pub", O_RDONLY | O_CLOEXEC)) ==
	    -1)
		return file_failed("keys/host.pub");
	n = read(fd, key, sizeof(key));
	(void)close(fd);
	if (n <= 0)
		return file_failed("keys/host.pub");
	one.n = (size_t)n;
	sha256v(r->b.server, &one, 1);
	if (r->old.nlogs == 0 || memcmp(r->b.server, r->old.server,
	    sizeof(r->b.server)) == 0)
		return 0;
	out_error("the directory holds a backup of another server, or of "
	    "another host key: use a new one");
	return -1;
}

/* Go on behind the old backup: 0; 1 when that is not possible; -1. */
static int
try_incremental(struct run *r)
{
	const struct backup_file *last = &r->old.log[r->old.nlogs - 1];
	struct backup_file f = { 0 };
	bool differs = false;

	if (r->at.oldest > last->log || r->at.last < last->log)
		return 1;
	/* Fetched again later; this is only to see whether it is the same. */
	if (fetch(r, NEW_LOG, last->log, last->bytes, last, &differs, &f) == -1)
		return -1;
	if (unlinkat(r->dirfd, NEW_LOG, 0) == -1)
		return file_failed(NEW_LOG);
	if (differs)
		return 1;
	r->b.set = r->old.set;
	r->b.db = r->old.db;
	for (size_t i = 0; i + 1 < r->old.nlogs; i++)
		*backup_add_log(&r->b, r->old.log[i].log) = r->old.log[i];
	return 0;
}

static int
begin_full(struct run *r)
{
	char name[BACKUP_NAME];
	int fd;

	r->full = true;
	r->b.set = r->old.set + 1;
	backup_set_name(name, &r->b);
	if ((fd = dir_make(r->dirfd, name, 0700, (unsigned)-1, 0)) == -1)
		return -1;
	(void)close(fd);
	backup_db_name(name, &r->b);
	return fetch(r, name, 0, UINT64_MAX, NULL, NULL, &r->b.db);
}

/* Logs from..last, the last one up to the mark. */
static int
fetch_logs(struct run *r, uint32_t from)
{
	const struct m_va_backup mark = r->at;
	char name[BACKUP_NAME];
	bool differs;

	for (uint32_t n = from; n <= mark.last; n++) {
		const struct backup_file *same = !r->full && n == from ?
		    &r->old.log[r->old.nlogs - 1] : NULL;
		struct backup_file f = { .log = n };

		backup_log_name(name, &r->b, n);
		if (fetch(r, NEW_LOG, n, n == mark.last ? mark.last_bytes :
		    UINT64_MAX, same, &differs, &f) == -1)
			return -1;
		if (same != NULL && differs) {
			out_error("log %u changed meanwhile", n);
			return -1;
		}
		if (renameat(r->dirfd, NEW_LOG, r->dirfd, name) == -1)
			return file_failed(name);
		*backup_add_log(&r->b, n) = f;
	}
	return 0;
}

/* Everything that came is durable, by name too. */
static int
sync_set(struct run *r)
{
	char name[BACKUP_NAME];
	int fd, rv;

	backup_set_name(name, &r->b);
	if ((fd = dir_make(r->dirfd, name, 0700, (unsigned)-1, 0)) == -1)
		return -1;
	rv = dir_sync(fd, name);
	(void)close(fd);
	return rv == 0 ? dir_sync(r->dirfd, "the backup's directory") : -1;
}

static int
copy(struct run *r, bool full)
{
	char anchor[BACKUP_NAME], keyfile[BACKUP_NAME];
	uint32_t from;
	int how = 1;

	if (step(r, COPY_BEGIN, 0, 0) == -1)
		return -1;
	from = r->at.first;
	r->b.run = r->old.run + 1;
	r->b.time_us = wall_us();
	if (!full && r->old.nlogs > 0 && (how = try_incremental(r)) == -1)
		return -1;
	if (how == 0)
		from = r->old.log[r->old.nlogs - 1].log;
	else if (begin_full(r) == -1)
		return -1;
	/* The anchor may not be ahead of the logs: first it, then they. */
	backup_anchor_name(anchor, &r->b);
	backup_keyfile_name(keyfile, &r->b);
	if (keep_state_file(r, "vault/anchor", anchor, &r->b.anchor) == -1 ||
	    keep_state_file(r, "vault/storage.key", keyfile,
	    &r->b.keyfile) == -1 || step(r, COPY_MARK, 0, 0) == -1 ||
	    fetch_logs(r, from) == -1 || sync_set(r) == -1)
		return -1;
	return step(r, COPY_END, r->b.log[r->b.nlogs - 1].log, 0);
}

/* It counts once it has been restored, in a place apart, and verified. */
static int
finish(struct run *r, bool verify)
{
	char summary[CTL_TEXT_MAX] = "not verified";

	if (backup_save_new(r->dirfd, &r->b) == -1)
		return -1;
	if (verify && restore_run(r->dirfd, &r->b, true, false, summary,
	    sizeof(summary)) == -1) {
		out_error("the backup is not good: the one before it, if there "
		    "is one, still counts");
		return -1;
	}
	if (backup_commit(r->dirfd) == -1)
		return -1;
	backup_tidy(r->dirfd, &r->b);
	out_begin("backup");
	out_bool("full", "full", "incremental", 0, r->full);
	out_num("copied", "copied", 0, r->bytes);
	out_word("bytes;");
	out_num("logs", NULL, 0, r->b.nlogs);
	out_word("logs since");
	out_num("set", "set", 0, r->b.set);
	out_end();
	out_done(summary);
	return 0;
}

static int
run_backup(struct run *r, const char *dir, bool full, bool verify)
{
	int rv;

	r->state = -1;
	if ((r->dirfd = backup_open(dir, true)) == -1)
		return CTL_FAILED;
	rv = backup_load(r->dirfd, &r->old) == -1 || take_identity(r) == -1 ?
	    -1 : 0;
	if (rv == 0) {
		r->vault = ctl_dial();
		rv = copy(r, full);
		chan_free(r->vault);
	}
	if (rv == 0)
		rv = finish(r, verify);
	backup_free(&r->old);
	backup_free(&r->b);
	(void)close(r->dirfd);
	if (r->state != -1)
		(void)close(r->state);
	return rv == 0 ? CTL_OK : CTL_FAILED;
}

int
cmd_backup(int argc, char **argv)
{
	static struct run r;
	bool full = false, verify = true;
	int i;

	for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--full") == 0)
			full = true;
		else if (strcmp(argv[i], "--no-verify") == 0)
			verify = false;
		else
			return CTL_USAGE;
	}
	if (i + 1 != argc)
		return CTL_USAGE;
	return run_backup(&r, argv[i], full, verify);
}

int
cmd_restore(int argc, char **argv)
{
	bool forward = ctl_flag(&argc, argv, "--forward", 1);
	char summary[CTL_TEXT_MAX];
	struct backup b;
	int dirfd, rv;

	if ((dirfd = backup_open(argv[1], false)) == -1)
		return CTL_FAILED;
	if ((rv = backup_load(dirfd, &b)) == 1)
		out_error("%s: there is no backup in it", argv[1]);
	if (rv == 0) {
		rv = restore_run(dirfd, &b, false, forward, summary,
		    sizeof(summary));
		backup_free(&b);
	}
	(void)close(dirfd);
	if (rv != 0)
		return CTL_FAILED;
	out_done(summary);
	return CTL_OK;
}
