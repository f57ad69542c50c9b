/*
 * The audit log as it is written: batches, the state file and recovery.
 *
 * A slot of the state file: "CLSTAUD1" | u64 generation | u64 seq | u64 bytes
 * of the log's file | u64 lost events | key[32] | prev[32] | SHA-256 of these;
 * slots at 0 and 4096.
 * Each commit writes one slot, syncs, and then overwrites the other, whose key
 * is old.  The next commit begins with that other slot, so that the synced one
 * stays whole until its turn, whatever a power failure does to the second
 * write.
 */
#include "audit.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "audit_chain.h"
#include "events.h"
#include "kdf.h"

#define MAGIC		"CLSTAUD1"
#define SLOT_BYTES	(8 + 4 * 8 + 2 * 32 + HASH_LEN)
#define SLOT_DISTANCE	4096

/* The state as one slot holds it. */
struct state {
	uint64_t		generation;
	uint64_t		log_bytes;
	uint64_t		lost;
	struct audit_chain	chain;
};

/* All n bytes: at off, or appended when off is -1.  0 or -1 with errno. */
static int
write_all(int fd, const uint8_t *p, size_t n, off_t off)
{
	ssize_t w;

	while (n > 0) {
		w = off == -1 ? write(fd, p, n) : pwrite(fd, p, n, off);
		if (w == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += w;
		n -= (size_t)w;
		if (off != -1)
			off += w;
	}
	return 0;
}

/* Exactly n bytes at off; a file that is too short is EBADMSG. */
static int
read_all(int fd, uint8_t *p, size_t n, off_t off)
{
	ssize_t r;

	while (n > 0) {
		if ((r = pread(fd, p, n, off)) == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (r == 0) {
			errno = EBADMSG;
			return -1;
		}
		p += r;
		n -= (size_t)r;
		off += r;
	}
	return 0;
}

static int
state_write(int fd, const struct state *s)
{
	const off_t first = (s->generation & 1) != 0 ? SLOT_DISTANCE : 0;
	struct buf b = BUF_INIT(SLOT_BYTES);
	uint8_t sum[HASH_LEN];
	int rv = -1;

	buf_str(&b, MAGIC);
	buf_u64(&b, s->generation);
	buf_u64(&b, s->chain.seq);
	buf_u64(&b, s->log_bytes);
	buf_u64(&b, s->lost);
	buf_put(&b, s->chain.key, sizeof(s->chain.key));
	buf_put(&b, s->chain.prev, sizeof(s->chain.prev));
	if (b.err) {
		errno = ENOMEM;
		goto out;
	}
	sha256(sum, buf_bytes(&b));
	buf_put(&b, sum, sizeof(sum));
	if (b.err) {
		errno = ENOMEM;
		goto out;
	}
	if (write_all(fd, b.p, b.n, first) == -1 || fdatasync(fd) == -1 ||
	    write_all(fd, b.p, b.n, SLOT_DISTANCE - first) == -1)
		goto out;
	rv = 0;
out:
	buf_free(&b);
	return rv;
}

/* One slot: 0, or -1 with errno (EBADMSG: not whole). */
static int
slot_read(int fd, off_t off, struct state *s)
{
	uint8_t raw[SLOT_BYTES], sum[HASH_LEN];
	struct rd r = rd_of(bytes_of(raw, sizeof(raw)));
	int rv = -1;

	if (read_all(fd, raw, sizeof(raw), off) == -1)
		return -1;
	sha256(sum, bytes_of(raw, sizeof(raw) - sizeof(sum)));
	if (!bytes_eq(rd_bytes(&r, 8), bytes_str(MAGIC)) ||
	    !bytes_eq_ct(sum, raw + sizeof(raw) - sizeof(sum), sizeof(sum))) {
		errno = EBADMSG;
		goto out;
	}
	s->generation = rd_u64(&r);
	s->chain.seq = rd_u64(&r);
	s->log_bytes = rd_u64(&r);
	s->lost = rd_u64(&r);
	rd_copy(&r, s->chain.key, sizeof(s->chain.key));
	rd_copy(&r, s->chain.prev, sizeof(s->chain.prev));
	rv = 0;
out:
	OPENSSL_cleanse(raw, sizeof(raw));
	return rv;
}

/* The newer whole slot. */
static int
state_read(int fd, struct state *s)
{
	struct state slot[2];
	bool whole[2];
	int newer, rv = -1;

	for (int i = 0; i < 2; i++) {
		whole[i] = slot_read(fd, i * SLOT_DISTANCE, &slot[i]) == 0;
		if (!whole[i] && errno != EBADMSG)
			goto out;
	}
	if (!whole[0] && !whole[1]) {
		errno = EBADMSG;
		goto out;
	}
	newer = !whole[0] ||
	    (whole[1] && slot[1].generation > slot[0].generation);
	*s = slot[newer];
	rv = 0;
out:
	OPENSSL_cleanse(slot, sizeof(slot));
	return rv;
}

int
audit_state_read(int state_fd, struct audit_chain *chain)
{
	struct state s;

	if (state_read(state_fd, &s) == -1)
		return -1;
	*chain = s.chain;
	OPENSSL_cleanse(&s, sizeof(s));
	return 0;
}

int
audit_create(int state_fd, uint8_t key[AUDIT_KEY_BYTES])
{
	struct state s;
	int rv = -1;

	memset(&s, 0, sizeof(s));
	crypto_random(key, AUDIT_KEY_BYTES);
	audit_chain_init(&s.chain, key);
	if (ftruncate(state_fd, 0) == 0 &&
	    ftruncate(state_fd, AUDIT_STATE_BYTES) == 0 &&
	    state_write(state_fd, &s) == 0 && fsync(state_fd) == 0)
		rv = 0;
	OPENSSL_cleanse(&s, sizeof(s));
	return rv;
}

/* Write the state of the log as it is on disk now: what is in the batch is not. */
static int
save_state(struct audit_log *l)
{
	struct state s = { ++l->generation, l->log_bytes, l->lost,
	    l->committed };
	int rv = state_write(l->state_fd, &s);

	OPENSSL_cleanse(&s, sizeof(s));
	return rv;
}

/*
 * Whether a file has the state's last line where the state says.  AUDIT_GOOD
 * or why not; -1 with errno.
 */
static int
check_last(const struct audit_log *l, int fd, uint64_t size)
{
	uint8_t b[AUDIT_LINE_MAX], hash[HASH_LEN];
	uint64_t n = l->log_bytes < sizeof(b) ? l->log_bytes : sizeof(b);
	const uint8_t *nl;

	if (size < l->log_bytes)
		return AUDIT_TRUNCATED;
	if (n == 0)
		return AUDIT_GOOD;
	if (read_all(fd, b, n, (off_t)(l->log_bytes - n)) == -1)
		return -1;
	if (b[n - 1] != '\n')
		return AUDIT_EDITED;
	nl = memrchr(b, '\n', n - 1);
	if (nl == NULL && n < l->log_bytes)
		return AUDIT_EDITED;
	nl = nl == NULL ? b : nl + 1;
	sha256(hash, bytes_of(nl, (size_t)(b + n - 1 - nl)));
	return bytes_eq_ct(hash, l->chain.prev, sizeof(hash)) ? AUDIT_GOOD :
	    AUDIT_EDITED;
}

/*
 * Follow the complete lines behind the state's end; *lines counts them, the bad
 * one included.  AUDIT_GOOD or why one is not; -1 with errno.
 */
static int
catch_up(struct audit_log *l, uint64_t size, uint64_t *lines)
{
	struct buf b = BUF_INIT(AUDIT_BATCH_MAX);
	uint64_t n = size - l->log_bytes;
	const uint8_t *p, *nl;
	int rv = -1;

	/* No more than one batch can be written before the state is. */
	if (n > AUDIT_BATCH_MAX)
		return AUDIT_SPLICED;
	if (buf_grow(&b, n) == NULL) {
		errno = ENOMEM;
		goto out;
	}
	if (read_all(l->log_fd, b.p, n, (off_t)l->log_bytes) == -1)
		goto out;
	rv = AUDIT_GOOD;
	for (p = b.p; rv == AUDIT_GOOD; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(b.p + n - p));
		if (nl == NULL)
			break;
		++*lines;
		rv = (int)audit_check(&l->chain,
		    bytes_of(p, (size_t)(nl - p)), NULL);
		if (rv == AUDIT_GOOD)
			l->log_bytes += (uint64_t)(nl + 1 - p);
	}
out:
	buf_free(&b);
	return rv;
}

/* Say in the log itself that it does not fit, and go on behind it. */
static int
note_tampering(struct audit_log *l, uint64_t size,
    const struct audit_report *report)
{
	struct audit_event ev = { .role = "logger", .pid = getpid(),
	    .event = event_decls[EV_audit_tamper].name };
	struct timespec now;
	char text[160];
	uint8_t last = '\n';

	if (size > 0 && read_all(l->log_fd, &last, 1, (off_t)size - 1) == -1)
		return -1;
	if (last != '\n')
		buf_u8(&l->batch, '\n');
	l->committed = l->chain;
	if (clock_gettime(CLOCK_REALTIME, &now) == -1)
		return -1;
	(void)snprintf(text, sizeof(text), "the log does not fit its state: %s; "
	    "it should have %llu lines in %llu bytes and has %llu bytes",
	    audit_reason_name(report->reason), (unsigned long long)l->chain.seq,
	    (unsigned long long)l->log_bytes, (unsigned long long)size);
	ev.time_us = (uint64_t)now.tv_sec * 1000000 +
	    (uint64_t)now.tv_nsec / 1000;
	ev.fields = text;
	l->log_bytes = size;
	if (audit_append(l, &ev) == -1)
		return -1;
	return audit_commit(l);
}

/*
 * The log's new file was made, and the state does not know it yet: what the old
 * one has behind the state's end is followed, and the log goes on in the new
 * one.  1; 0 when it is otherwise; -1 with errno.
 */
static int
finish_switch(struct audit_log *l, int prev_fd)
{
	int new_fd = l->log_fd, why;
	uint64_t lines = 0;
	off_t end;

	if (l->log_bytes == 0 || (end = lseek(prev_fd, 0, SEEK_END)) == -1)
		return l->log_bytes == 0 ? 0 : -1;
	if ((why = check_last(l, prev_fd, (uint64_t)end)) != AUDIT_GOOD)
		return why == -1 ? -1 : 0;
	l->log_fd = prev_fd;
	if ((uint64_t)end > l->log_bytes)
		why = catch_up(l, (uint64_t)end, &lines);
	l->log_fd = new_fd;
	if (why != AUDIT_GOOD)
		return why == -1 ? -1 : 0;
	if (((uint64_t)end > l->log_bytes &&
	    ftruncate(prev_fd, (off_t)l->log_bytes) == -1) ||
	    fdatasync(prev_fd) == -1)
		return -1;
	l->committed = l->chain;
	l->log_bytes = 0;
	return save_state(l) == -1 ? -1 : 1;
}

int
audit_open(struct audit_log *l, int log_fd, int prev_fd, int state_fd,
    struct audit_report *report)
{
	struct state s;
	uint64_t size, lines = 0, was;
	off_t end;
	int why, switched = 0;

	memset(l, 0, sizeof(*l));
	memset(report, 0, sizeof(*report));
	buf_init(&l->batch, AUDIT_BATCH_MAX);
	l->log_fd = log_fd;
	l->state_fd = state_fd;
	if (state_read(state_fd, &s) == -1 ||
	    (end = lseek(log_fd, 0, SEEK_END)) == -1)
		return -1;
	size = (uint64_t)end;
	l->chain = l->committed = s.chain;
	l->log_bytes = was = s.log_bytes;
	l->lost = s.lost;
	l->generation = s.generation;
	OPENSSL_cleanse(&s, sizeof(s));
	if (size == 0 && prev_fd != -1 &&
	    (switched = finish_switch(l, prev_fd)) == -1)
		return -1;
	if (switched == 1) {
		report->seq = l->chain.seq;
		return AUDIT_RECOVERED;
	}
	why = check_last(l, log_fd, size);
	if (why == AUDIT_GOOD && size > l->log_bytes)
		why = catch_up(l, size, &lines);
	if (why == -1)
		return -1;
	report->reason = (enum audit_reason)why;
	report->line = lines;
	report->seq = why == AUDIT_GOOD ? l->chain.seq : l->chain.seq + 1;
	if (why != AUDIT_GOOD)
		return note_tampering(l, size, report) == -1 ? -1 :
		    AUDIT_TAMPERED;
	if (size == was)
		return AUDIT_CLEAN;
	/* A line that a crash left unfinished was never acknowledged. */
	if (size > l->log_bytes && ftruncate(log_fd, (off_t)l->log_bytes) == -1)
		return -1;
	l->committed = l->chain;
	if (fdatasync(log_fd) == -1 || save_state(l) == -1)
		return -1;
	return AUDIT_RECOVERED;
}

int
audit_append(struct audit_log *l, const struct audit_event *ev)
{
	l->dropped = 0;
	if (audit_line(&l->chain, ev, &l->batch) == -1) {
		if (audit_commit(l) == -1)
			return -1;
		if (audit_line(&l->chain, ev, &l->batch) == -1) {
			errno = ENOMEM;
			return -1;
		}
	}
	l->in_batch++;
	return 0;
}

/* The log as it was before the batch.  0, or -1 when that cannot be had. */
static int
undo(struct audit_log *l)
{
	int err = errno, rv = 0;

	if (ftruncate(l->log_fd, (off_t)l->log_bytes) == -1 ||
	    fdatasync(l->log_fd) == -1)
		rv = -1;
	l->chain = l->committed;
	l->dropped = l->in_batch;
	l->in_batch = 0;
	buf_reset(&l->batch);
	errno = rv == -1 ? EIO : err;
	return rv;
}

int
audit_commit(struct audit_log *l)
{
	l->dropped = 0;
	if (l->batch.err) {
		errno = ENOMEM;
		return -1;
	}
	if (l->batch.n == 0)
		return 0;
	if (write_all(l->log_fd, l->batch.p, l->batch.n, -1) == -1 ||
	    fdatasync(l->log_fd) == -1) {
		(void)undo(l);
		return -1;
	}
	l->log_bytes += l->batch.n;
	l->committed = l->chain;
	l->in_batch = 0;
	buf_reset(&l->batch);
	if (save_state(l) == -1) {
		errno = EIO;	/* the lines are there: not for another try */
		return -1;
	}
	return 0;
}

int
audit_note_lost(struct audit_log *l, uint64_t lost)
{
	l->lost = lost;
	return save_state(l);
}

int
audit_switch(struct audit_log *l, int fd)
{
	if (l->batch.n != 0) {
		errno = EINVAL;
		return -1;
	}
	l->log_fd = fd;
	l->log_bytes = 0;
	return save_state(l);
}

void
audit_close(struct audit_log *l)
{
	buf_free(&l->batch);
	OPENSSL_cleanse(&l->chain, sizeof(l->chain));
	OPENSSL_cleanse(&l->committed, sizeof(l->committed));
}
