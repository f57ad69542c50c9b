/*
 * One end of an authenticated connection: application messages in records
 * (docs/protocol.md, Records).  Pure: bytes in, messages out, and the reverse;
 * the caller moves the bytes.
 *
 * A message travels as
 *
 *	encoding (messages.def, channel APP) | mac_i[32]
 *
 * cut into fragments of at most APPCONN_FRAGMENT bytes, each the content of one
 * record: RECORD_APP_MORE, all but the last, then RECORD_APP.  mac_i is the
 * msgmac chain of the sender's direction over the encodings.  A connection ends
 * by RECORD_CLOSE, whose content is `u64 i | mac_i[32]` of the last message that
 * its sender sent (zeros if none); an end of file without it is a truncation.
 * The sender changes its key (RECORD_REKEY) when record_need_rekey() says so or
 * after one hour.  Prompts are padded: the last record's inner plaintext is
 * filled to 512 * 2^k bytes, or to a whole record behind a fragment.
 *
 * While an end is shaped (docs/protocol.md, Shaping), its messages wait in a
 * stream, each behind its length, and leave in records of APPCONN_SHAPED bytes:
 *
 *	u32 n | encoding | mac_i[32]		n counts what follows it
 *
 * RECORD_STREAM carries the next bytes of the stream, wherever messages begin
 * and end; RECORD_DUMMY, and RECORD_REKEY too, are filled to the same size.
 *
 *	receiving				sending
 *	p = appconn_room(c, &n);		appconn_send(c, MSG_c_list, &list);
 *	n = read(fd, p, n);			b = appconn_output(c);
 *	appconn_arrived(c, n);			n = write(fd, b.p, b.n);
 *	while ((r = appconn_next(c, &m)) == APPCONN_MESSAGE) ...
 *						appconn_written(c, n);
 */
#ifndef COMMON_APPCONN_H
#define COMMON_APPCONN_H

#include "kdf.h"
#include "msg.h"

#define APPCONN_FRAGMENT	16000	/* content of one record, at most */
#define APPCONN_MAX		(MSG_APP_MAX_BYTES + HASH_LEN)
#define APPCONN_FRAGMENTS_MAX	2048	/* records of one message, at most */
#define APPCONN_DUMMIES_MAX	65536	/* a client's, between two messages */
#define APPCONN_OUT_MAX		(16u << 20) /* bytes that may wait to be written */
#define APPCONN_SHAPED		1024	/* a shaped record on the wire */
#define APPCONN_SHAPED_CONTENT	1001	/* what it carries, at most */

struct appconn;

enum appconn_result {
	APPCONN_BROKEN = -1,	/* a violation; appconn_why() names it */
	APPCONN_AGAIN = 0,	/* all that arrived is handled; read on */
	APPCONN_MESSAGE = 1,	/* *m is the next message */
	APPCONN_CLOSED = 2	/* the peer's CLOSE came, and was right */
};

/*
 * Start an end: END_A is the client, END_B the session worker.  suite (enum
 * hs_suite) and the secrets are hs_session()'s; they are copied.  Dies without
 * memory; never NULL.
 */
struct appconn *appconn_new(enum chan_end end, uint8_t suite,
    const uint8_t c_ap[HASH_LEN], const uint8_t s_ap[HASH_LEN],
    const uint8_t msgmac[HASH_LEN]);
/*
 * Which messages of the client are permitted: APP_OPEN at first.  For the server's
 * end.
 */
void appconn_set_state(struct appconn *c, unsigned state);
/* Wipe keys and contents, and free; NULL is allowed. */
void appconn_free(struct appconn *c);
/*
 * For tests alone: rekey after so many records, bytes on the wire or
 * milliseconds.  Both ends need the same.
 */
void appconn_limits(struct appconn *c, uint64_t records, uint64_t nbytes,
    uint64_t ms);
/* For tests alone: what fresh keys are made of; f stays the caller's. */
struct fresh_fixed;
void appconn_fix(struct appconn *c, const struct fresh_fixed *f);

/*
 * Where arriving bytes may be put: *n bytes, at least 1.  Call appconn_next()
 * until it says something other than APPCONN_MESSAGE before asking for room.
 */
uint8_t *appconn_room(struct appconn *c, size_t *n);
/* n bytes were put there. */
void appconn_arrived(struct appconn *c, size_t n);
/*
 * The next message.  m points into c and is valid until the next call of
 * appconn_next() or appconn_room().  After BROKEN or CLOSED it says that again
 * whatever else arrived.  m->fd is always -1.
 */
enum appconn_result appconn_next(struct appconn *c, struct msg *m);
/*
 * The end of file came.  NULL when the peer had sent its CLOSE; else the
 * connection is broken, and the text (appconn_why()) says that it was truncated.
 */
const char *appconn_eof(struct appconn *c);
/* What broke the connection, or NULL. */
const char *appconn_why(const struct appconn *c);
/* mac_i and i of the message that was last received or sent (zeros: none). */
const uint8_t *appconn_mac_in(const struct appconn *c);
const uint8_t *appconn_mac_out(const struct appconn *c);
uint64_t appconn_count_in(const struct appconn *c);
uint64_t appconn_count_out(const struct appconn *c);

/*
 * Encode a message, seal it and append it to the output.  body is the type's
 * structure.  A body that messages.def does not allow for this end is fatal:
 * it is this program's mistake.  Returns 0; -1 when the connection is broken or
 * closed by this end, the output is full (APPCONN_OUT_MAX) or the keys are used
 * up: the session is then at its end.
 */
int appconn_send(struct appconn *c, enum msg_type type, const void *body);
/*
 * Append CLOSE to the output; nothing can be sent afterwards.  0 or -1 as above;
 * the second time 0 without effect.
 */
int appconn_close(struct appconn *c);
/*
 * The server's end: offer the client fresh keys.  What it answers is taken by
 * appconn_next(), as a client's end answers there, too; then both directions go
 * on under keys that nobody has who has the present ones.  Nothing happens while an
 * offer is not answered.  0 or -1 as appconn_send().
 */
int appconn_fresh(struct appconn *c);
/* Whether an offer is not answered, or keys are not in use yet that were agreed. */
bool appconn_fresh_waits(const struct appconn *c);
/* How often fresh keys have come into use in both directions. */
unsigned appconn_freshened(const struct appconn *c);
/*
 * Begin or end to shape this end's messages.  At the end what waits in the
 * stream is sealed in records of any size.  0 or -1 as appconn_send().
 */
int appconn_shape(struct appconn *c, bool on);
/*
 * While shaped: append one record of APPCONN_SHAPED bytes, whatever waits.  0 or
 * -1 as appconn_send().
 */
int appconn_shaped_record(struct appconn *c);
/* Bytes of the stream that wait, and all that have been put into it so far. */
size_t appconn_waiting(const struct appconn *c);
uint64_t appconn_streamed(const struct appconn *c);
/* The bytes that are to be written; empty when there are none. */
struct bytes appconn_output(const struct appconn *c);
/* The first n of them were written. */
void appconn_written(struct appconn *c, size_t n);

#endif
