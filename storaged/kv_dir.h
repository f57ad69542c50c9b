/*
 * The directory of a store, without Berkeley DB: what must and must not be in
 * it, who has it open, and how full its file system is.  Failures are logged.
 */
#ifndef STORAGED_KV_DIR_H
#define STORAGED_KV_DIR_H

#include <stdbool.h>
#include <stdint.h>

#define KV_DATA_DIR	"data"
#define KV_LOG_DIR	"log"
#define KV_DB_NAME	"kv.db"
#define KV_BALLAST	"ballast"
#define KV_FORMAT	"format"
#define KV_KEEP		"keep"
/* What KV_FORMAT holds; a store without that file is of this version too. */
#define KV_FORMAT_LINE	"cloister store 1\n"

/* Descriptors of the two directories, or -1. */
struct kv_dir {
	int	fd;		/* the store's, under an exclusive flock */
	int	logfd;		/* log/ below it */
};

/*
 * Open and lock dir, an absolute path.  0, or -1 when it cannot be, when it is
 * in use, or when it holds a DB_CONFIG file.
 */
int kv_dir_lock(struct kv_dir *d, const char *dir);

/*
 * Make the subdirectories and a ballast of ballast_bytes (0: none); 0, or -1,
 * also when a subdirectory is there already.
 */
int kv_dir_make(struct kv_dir *d, uint64_t ballast_bytes);

/* Make all directory entries durable; 0 or -1. */
int kv_dir_sync(const struct kv_dir *d);

/*
 * Check, without a change, that the format is one that is known, that the
 * database and at least one log file are there, and warn when the ballast is
 * not.  0 or -1.
 */
int kv_dir_check(struct kv_dir *d);

/* Make the format file, and a ballast (bytes 0: none), if they are not there; 0
 * or -1. */
int kv_dir_complete(const struct kv_dir *d, uint64_t bytes);

/* From which log file on they are kept; 0 when nothing readable says so. */
uint32_t kv_dir_keep(const struct kv_dir *d);
/* Say it, durably (0: none are); 0 or -1. */
int kv_dir_set_keep(const struct kv_dir *d, uint32_t log);

/* Whether less than floor_bytes are free, or how much is cannot be told. */
bool kv_dir_low(const struct kv_dir *d, uint64_t floor_bytes);

/* Close what is open, and give up the lock. */
void kv_dir_close(struct kv_dir *d);

#endif
