/*
 * A channel: one end of a SOCK_SEQPACKET socketpair between two processes,
 * which carries the messages that messages.def permits on its kind.
 *
 * Identity is the descriptor.  A message that is unknown, malformed or not
 * permitted in this end's state is a violation: the channel is closed and its
 * owner told why.  Descriptors are received only with the types that declare
 * one; a channel made without CHAN_RECV_FD never calls recvmsg(2).
 */
#ifndef COMMON_CHAN_H
#define COMMON_CHAN_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "msg.h"

struct chan;

/* Flags of a channel. */
#define CHAN_RECV_FD	0x01	/* use recvmsg(2); types with fd can arrive */

/*
 * A permitted message arrived.  m and what it points to are valid until the
 * callback returns.  Take m->fd out (set it to -1) to keep it; else it is
 * closed.  The callback may free the channel.
 */
typedef void chan_msg_cb(struct chan *c, struct msg *m, void *arg);
/*
 * The channel is finished: why is NULL at the peer's end of file and else says
 * what was wrong.  Nothing arrives any more; the owner calls chan_free().
 */
typedef void chan_closed_cb(struct chan *c, const char *why, void *arg);

/*
 * Take over fd as `end` of a channel of kind `kind`, whose own end starts in
 * `state`.  With a loop the channel is asynchronous and calls back; with a NULL
 * loop only chan_send() (which then blocks) and chan_recv() may be used.
 */
struct chan *chan_new(struct loop *l, int fd, enum chan_kind kind,
    enum chan_end end, unsigned state, unsigned flags, chan_msg_cb *on_msg,
    chan_closed_cb *on_closed, void *arg);
/* Close and free; NULL is allowed.  Safe inside the channel's own callbacks. */
void chan_free(struct chan *c);

/* The state of this end; what is received next is checked against it. */
void chan_set_state(struct chan *c, unsigned state);
unsigned chan_state(const struct chan *c);
int chan_fd(const struct chan *c);
void *chan_arg(const struct chan *c);

/*
 * Until a message of this type arrives, discard everything else that comes
 * (with its descriptors): what a predecessor on a kept link was sent.
 */
void chan_drop_until(struct chan *c, enum msg_type type);

/*
 * Begin again on a link whose socket outlives its peer: what is queued is
 * forgotten, and messages are delivered again.  For the channel's closed
 * callback or one of its message callbacks.
 */
void chan_restart(struct chan *c);

/*
 * Send a message; fd (-1 for none) travels with it as a duplicate and stays the
 * caller's.  Encoding a body that messages.def does not allow is fatal: it is
 * this program's mistake.  Asynchronous: what the socket does not take is
 * queued.  Returns 0, or -1 when the channel is finished or the peer has let
 * more than CHAN_QUEUE_MAX_BYTES pile up (the channel is then finished).
 */
int chan_send(struct chan *c, enum msg_type type, const void *body, int fd);
#define CHAN_QUEUE_MAX_BYTES	(16u << 20)
/* Bytes that wait for the peer. */
size_t chan_queued(const struct chan *c);

/*
 * Stop or go on delivering messages (asynchronous channels): back-pressure.
 */
void chan_pause(struct chan *c, bool pause);

/*
 * Wait at most timeout_ms (-1: for ever) for the next message and check it.
 * Returns 0; 1 at end of file; -1 on a time-out (why "timed out") or a
 * violation, with *why set.  A descriptor in m->fd belongs to the caller.
 * m points into the channel until the next call.
 * On an asynchronous channel (inside a callback of another one) it handles what
 * is there already with timeout 0.
 */
int chan_recv(struct chan *c, struct msg *m, int timeout_ms, const char **why);

/*
 * Handle every message that has arrived by now, through the callback: for an
 * order between two channels.  Returns -1 when the channel is finished.
 */
int chan_drain(struct chan *c);

/*
 * A fresh SOCK_SEQPACKET pair, close-on-exec, both ends non-blocking when
 * nonblock is set.  0, or -1 with errno.
 */
int chan_pair(int fd[2], bool nonblock);

#endif
