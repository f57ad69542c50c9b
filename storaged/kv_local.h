/*
 * What kv_bdb.c and kv_copy.c share; nobody else includes it.
 */
#ifndef STORAGED_KV_LOCAL_H
#define STORAGED_KV_LOCAL_H

#include <db.h>

#include "kv.h"
#include "kv_dir.h"

struct kv {
	DB_ENV		*env;
	DB		*db;
	struct kv_dir	 dir;
	uint32_t	 log_file;	/* newest log file known durable */
	uint64_t	 floor_bytes;
	uint64_t	 seq;
	uint64_t	 flushed;
	bool		 dead;		/* KV_FATAL was returned */
	bool		 copying;	/* no log file is removed */
	uint32_t	 keep;		/* nor those from this on; 0: none */
	uint8_t		 kbuf[KV_MAX_BOUND];
	uint8_t		 vbuf[KV_MAX_VALUE + 1];
};

/* A Berkeley DB call failed in a way that ends the process. */
enum kv_status kv_die(struct kv *kv, const char *what, int ret);

/*
 * Remove the log files that neither recovery nor the next incremental copy
 * needs; 0 or an error of Berkeley DB or errno.
 */
int kv_logs_remove(struct kv *kv);

#endif
