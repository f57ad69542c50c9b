/*
 * The tamper-evident audit log: its lines, its key chain, its state file and
 * its verification.  The logger owns the one instance that writes; the
 * verifier needs the initial key and the file alone.
 *
 * A line is one JSON object with the members time (RFC 3339, UTC, us), seq
 * (from 1), role, pid, session, user, event, fields, prev and mac, in that
 * order and without white space; fields is an object of numbers and strings:
 *	prev = SHA-256 of the previous line without its newline, zeros for seq 1
 *	mac = HMAC-SHA256(key_seq, "cloister audit 1" | the line up to ,"mac")
 *	key_(i+1) = HMAC-SHA256(key_i, "ratchet"), key_1 is the initial key
 * and key_i is erased before line i leaves: who takes the logger over later
 * cannot rewrite what is written (forward integrity, as Schneier and Kelsey's
 * "Secure Audit Logs to Support Computer Forensics" has it).
 */
#ifndef MONITOR_AUDIT_H
#define MONITOR_AUDIT_H

#include <sys/types.h>

#include <stdint.h>
#include <stdio.h>

#include <openssl/evp.h>

#include "bytes.h"

#define AUDIT_KEY_BYTES		32
#define AUDIT_HASH_BYTES	32
#define AUDIT_LINE_MAX		16384	/* bytes of a line with its newline */
#define AUDIT_BATCH_MAX		(256 * 1024)
#define AUDIT_STATE_BYTES	8192	/* size of the state file */

/* Longest strings of an event, bytes; longer ones are cut and marked. */
#define AUDIT_ROLE_MAX		32
#define AUDIT_USER_MAX		256
#define AUDIT_EVENT_MAX		64
#define AUDIT_TEXT_MAX		2048

struct audit_event {
	uint64_t	 time_us;	/* since 1970-01-01 UTC */
	const char	*role;
	pid_t		 pid;
	uint64_t	 session;	/* 0: none */
	const char	*user;		/* NULL: none, "" in JSON */
	const char	*event;
	const char	*fields;	/* as events.h has them */
};

/* Where a chain stands: what is needed to make line seq + 1. */
struct audit_chain {
	uint8_t		key[AUDIT_KEY_BYTES];	/* of line seq + 1 */
	uint64_t	seq;			/* of the last line; 0: none */
	uint8_t		prev[AUDIT_HASH_BYTES];	/* hash of the last line */
};

/* What is wrong with a line. */
enum audit_reason {
	AUDIT_GOOD = 0,
	AUDIT_EDITED,		/* the line's bytes were changed or made up */
	AUDIT_DROPPED,		/* lines before it are missing */
	AUDIT_REORDERED,	/* genuine, but moved or repeated */
	AUDIT_SPLICED,		/* from another log, or follows another line */
	AUDIT_TRUNCATED,	/* lines or bytes after the last are missing */
	AUDIT_FORGED		/* a checkpoint that is not keyd's of these lines */
};

struct audit_report {
	enum audit_reason	reason;
	size_t			file;	/* index of the one with the bad line */
	uint64_t		line;	/* the first bad line in it, from 1 */
	uint64_t		seq;	/* the sequence number expected there */
	/* Of the lines before it: */
	uint64_t		lines;
	uint64_t		checkpoints;	/* that are good */
	uint64_t		signed_seq;	/* the last line that they cover */
	uint64_t		signed_us;	/* when the last was signed */
	uint64_t		gaps, tampers;	/* lines that say so */
};

/* How many lines behind the newest a checkpoint may be, less one. */
#define AUDIT_CP_REACH	4096

/* What a log is verified with; what is missing is NULL or 0. */
struct audit_proof {
	const uint8_t			*key;	/* AUDIT_KEY_BYTES: of line 1 */
	EVP_PKEY *const			*host;	/* the public host keys, any of */
	size_t				 nhost;	/* which may have signed */
	const struct audit_chain	*head;	/* what the state file says */
	uint64_t			 first;	/* number of the first line */
};

/* The log that is being written. */
struct audit_log {
	int			log_fd;		/* O_RDWR | O_APPEND */
	int			state_fd;	/* O_RDWR */
	struct audit_chain	chain;		/* the batch included */
	struct audit_chain	committed;	/* without it */
	uint64_t		log_bytes;	/* of this file, as last committed */
	uint64_t		generation;	/* of the state file */
	uint64_t		lost;		/* as the state has it */
	struct buf		batch;		/* lines not yet committed */
	uint64_t		in_batch;	/* how many */
	uint64_t		dropped;	/* by the last call that failed */
};

/* What audit_open() found. */
enum audit_start {
	AUDIT_CLEAN,		/* the log ends where the state says */
	AUDIT_RECOVERED,	/* a crash between log and state, mended */
	AUDIT_TAMPERED		/* it does not; audit.tamper was added */
};

/* Begin a chain with the initial key. */
void audit_chain_init(struct audit_chain *c,
    const uint8_t key[AUDIT_KEY_BYTES]);
/*
 * Append the event's line and its newline to out and move the chain on.  Any
 * byte is safe in the strings: what is not UTF-8 becomes U+FFFD, control
 * characters are escaped.  Returns 0, or -1 with the chain and out's content as
 * they were when out has no room for AUDIT_LINE_MAX more bytes.
 */
int audit_line(struct audit_chain *c, const struct audit_event *ev,
    struct buf *out);

/*
 * At installation: make a random initial key, return it in key (for the
 * verifier's file, which the logger must never be able to read) and write the
 * state of an empty log to state_fd.  Returns 0 or -1 with errno.
 */
int audit_create(int state_fd, uint8_t key[AUDIT_KEY_BYTES]);
/*
 * At start: read the state, compare it with the end of the log, and catch up
 * with lines that were written while the state was not (every one is verified;
 * an unfinished last line is cut off).  When the log is shorter than the state
 * says, or does not fit, nothing of it is touched: a line "audit.tamper" that
 * says why is added and the chain goes on behind it, so that audit_verify()
 * names the place ever after.
 *
 * Returns an audit_start (report says what is wrong, its line counted from the
 * state's end); or -1 with errno: EBADMSG when neither slot of the state is
 * whole, so that there is no key to go on with.  The descriptors remain the
 * caller's; log_fd and state_fd must outlive l.
 *
 * prev_fd is the file before (O_RDWR), or -1 or an empty one.  When a crash came
 * between the making of a new file and audit_switch(), log_fd is empty and the
 * state speaks of that one: it is mended instead, and the switch made.
 */
int audit_open(struct audit_log *l, int log_fd, int prev_fd, int state_fd,
    struct audit_report *report);
/*
 * Add an event to the batch, in memory.  Commits first when the batch is full.
 * Returns 0; or -1 as audit_commit(), without the event in the batch.
 */
int audit_append(struct audit_log *l, const struct audit_event *ev);
/*
 * Make the batch durable: log lines, fdatasync, then the state in both slots so
 * that no older key stays in the file.  Returns 0 or -1 with errno.  After
 * ENOSPC, EDQUOT or EFBIG the log is as it was before the batch, whose events
 * (l->dropped) are lost, and can be used; after any other it must not be.
 */
int audit_commit(struct audit_log *l);
/*
 * Keep in the state how many events were lost, for a line that says so later.
 * Returns 0 or -1 with errno.
 */
int audit_note_lost(struct audit_log *l, uint64_t lost);
/*
 * Go on in another, empty file (O_RDWR | O_APPEND); the batch is empty.  Returns
 * 0, or -1 with errno, after which the log must not be used.
 */
int audit_switch(struct audit_log *l, int fd);
/* Wipe the keys and free; does not commit, closes nothing. */
void audit_close(struct audit_log *l);

/*
 * Read the sequence number and last hash that a state file holds, for
 * audit_verify(); chain->key is set too.  Returns 0 or -1 with errno.
 */
int audit_state_read(int state_fd, struct audit_chain *chain);
/*
 * Verify a whole log, in n files in their order.  With the key of line 1 each
 * line proves itself; with the host key the lines that a checkpoint covers are
 * proven, and what is wrong with others is told as far as their neighbours know
 * it; without head, lines missing at the very end cannot be noticed.
 *
 * In *report: AUDIT_GOOD, with the last line's place and number; or the first bad
 * line and why.  Returns 0 when good, 1 when bad, -1 with errno when a file
 * cannot be read or memory is short.
 */
int audit_verify(FILE *const *f, size_t n, const struct audit_proof *proof,
    struct audit_report *report);
/* "edited", "dropped", ... */
const char *audit_reason_name(enum audit_reason reason);

#endif
