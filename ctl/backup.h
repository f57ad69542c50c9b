/*
 * Backups as they lie in their directory, which is the administrator's:
 *
 *	manifest.json		what belongs to the newest backup, with sizes and
 *				SHA-256; replaced at once, when it is whole
 *	full-N/kv.db		the database file, copied while it was used
 *	full-N/log.NNNNNNNNNN	the logs since; the last one grows
 *	full-N/anchor.S		two files of the vault, at run S
 *	full-N/storage.key.S
 *
 * What is in them is encrypted.  They open with keyd's wrap key, which is not
 * in them.
 */
#ifndef CTL_BACKUP_H
#define CTL_BACKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BACKUP_FORMAT	1	/* of the manifest and the directory */
#define BACKUP_STORE	1	/* the store's own: storaged/kv_dir.h */
#define BACKUP_NAME	64	/* bytes of the longest name of a file, and NUL */

struct backup_file {
	uint32_t	log;		/* its number; of others 0 */
	uint64_t	bytes;		/* it may be longer: that is not looked at */
	uint8_t		sha256[32];	/* of these bytes */
};

struct backup {
	uint32_t		 set;		/* N */
	uint32_t		 run;		/* S */
	uint64_t		 time_us;
	uint8_t			 server[32];	/* SHA-256 of its host key */
	struct backup_file	 db, anchor, keyfile;
	struct backup_file	*log;		/* without a gap, ascending */
	size_t			 nlogs;		/* at least 1 */
};

/* ---- backup_dir.c: every failure is said -------------------------------- */

/* Open dir (make: create it) and lock it; the descriptor or -1. */
int backup_open(const char *dir, bool make);
/* Read the manifest: 0; 1 when there is none; -1. */
int backup_load(int dirfd, struct backup *b);
/* Write it beside the one that counts, then have it count. */
int backup_save_new(int dirfd, const struct backup *b);
int backup_commit(int dirfd);
/* Remove what the manifest b does not name. */
void backup_tidy(int dirfd, const struct backup *b);
/* Add a log, number log, behind the others. */
struct backup_file *backup_add_log(struct backup *b, uint32_t log);
void backup_free(struct backup *b);

/* Names of its files, below dirfd. */
void backup_set_name(char dst[BACKUP_NAME], const struct backup *b);
void backup_db_name(char dst[BACKUP_NAME], const struct backup *b);
void backup_log_name(char dst[BACKUP_NAME], const struct backup *b,
    uint32_t log);
void backup_anchor_name(char dst[BACKUP_NAME], const struct backup *b);
void backup_keyfile_name(char dst[BACKUP_NAME], const struct backup *b);

/* ---- files.c: every failure is said ------------------------------------- */

/* A file being written: hashed, and durable when it ends. */
struct sink {
	int		 fd;
	void		*md;		/* of OpenSSL */
	const char	*name;
	uint64_t	 bytes;
};

/* Say what errno says of name; -1. */
int file_failed(const char *name);
/* Create or empty name below dirfd.  0 or -1. */
int sink_open(struct sink *s, int dirfd, const char *name);
int sink_put(struct sink *s, const void *p, size_t n);
/* The hash of all so far, without an end. */
void sink_hash(const struct sink *s, uint8_t sha256[32]);
/* Sync and close; size and hash into f.  0 or -1; after -1 too it is closed. */
int sink_end(struct sink *s, struct backup_file *f);
void sink_drop(struct sink *s);
/*
 * Copy the first f->bytes (UINT64_MAX: all) of a file to another, owned by
 * uid:gid ((uid_t)-1: ours).  With f->bytes given the hash must be f's; else f is
 * set.
 */
int file_copy(int fromfd, const char *from, int tofd, const char *to,
    struct backup_file *f, unsigned uid, unsigned gid);
/* Remove everything below the directory dirfd. */
int tree_empty(int dirfd);
int dir_sync(int dirfd, const char *name);
/* Make a directory below dirfd (it may be there), owned so; its descriptor. */
int dir_make(int dirfd, const char *name, unsigned mode, unsigned uid,
    unsigned gid);

/* ---- restore.c ----------------------------------------------------------- */

/*
 * Bring a backup into state_dir/restore, have an engine recover it and a vault
 * verify all of it.  trial: that is all; else the state is then put in place of
 * the present one, which is kept in state_dir/before-restore.  forward: with
 * what the present state's logs have since.  0 or -1; summary is the vault's word
 * for what it found.
 */
int restore_run(int dirfd, const struct backup *b, bool trial, bool forward,
    char *summary, size_t size);

#endif
