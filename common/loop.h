/*
 * The event loop that every role runs: epoll, timers, and signals by signalfd.
 * Single-threaded; callbacks run one after the other and must not block.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <sys/epoll.h>

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_io;
struct loop_timer;

/* events is a set of EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. */
typedef void loop_io_cb(uint32_t events, void *arg);
typedef void loop_timer_cb(void *arg);

/* Make a loop; fatal when the kernel refuses. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/*
 * Watch fd, which stays the caller's, for events (0 for none yet).  Fatal when
 * the kernel refuses.
 */
struct loop_io *loop_io_new(struct loop *l, int fd, uint32_t events,
    loop_io_cb *cb, void *arg);
/* Change what is watched for. */
void loop_io_events(struct loop_io *io, uint32_t events);
/*
 * Stop watching and free.  Safe inside any callback: no event that is already
 * queued for it will be delivered.  Call it before closing the descriptor.
 */
void loop_io_free(struct loop_io *io);

/* Call cb once, ms milliseconds from now. */
struct loop_timer *loop_timer_new(struct loop *l, uint64_t ms,
    loop_timer_cb *cb, void *arg);
/* Cancel; needed exactly when the timer has not fired yet.  NULL is allowed. */
void loop_timer_free(struct loop_timer *t);

/*
 * Call cb before the loop sleeps, once for each round in which events were
 * handled: where work that was gathered during the round is sent together.
 */
void loop_set_idle(struct loop *l, loop_timer_cb *cb, void *arg);

/* Handle events until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Milliseconds of the monotonic clock. */
uint64_t mono_ms(void);
/* Microseconds since the epoch (UTC). */
uint64_t wall_us(void);

#endif
