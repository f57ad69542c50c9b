/*
 * When shaped records are due (docs/protocol.md, Shaping): the schedule alone, by
 * a clock that the caller gives, in milliseconds.  Nothing here depends on what
 * an answer says or when it comes, but for where it ends.
 *
 *	SHAPE_TICK	for each request one record at begin + 100, 200, 300 ms ...,
 *			until the first step of 8, 16, 32, 64, 128, 256, 384 ... s
 *			that is not before the record which holds the request's end
 *	SHAPE_BUCKET	nothing until a request ends; then, at its next tick,
 *			all that waits in 4 * 2^k records
 *
 * Positions count the bytes that were put into the connection's stream.
 */
#ifndef SESSIOND_SHAPE_H
#define SESSIOND_SHAPE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codes.h"

#define SHAPE_TICK_MS		100
#define SHAPE_STEP		80	/* ticks; the first step */
#define SHAPE_STEP_MAX		1280	/* then multiples of it */
#define SHAPE_BUCKET_MIN	4	/* records */
#define SHAPE_BUCKET_EARLY	(512u << 10) /* bytes that wait for no end */
#define SHAPE_NEVER		UINT64_MAX

struct shape_req {
	TAILQ_ENTRY(shape_req)	 link;
	uint32_t		 id;
	uint64_t		 begin;
	uint64_t		 ticks;		/* that have passed */
	bool			 ended;
	uint64_t		 end;		/* position behind its end */
	uint64_t		 stop;		/* its step in ticks; 0: unknown */
};

struct shape {
	enum shape_mode			 mode;
	TAILQ_HEAD(, shape_req)		 reqs;
};

void shape_init(struct shape *s, enum shape_mode mode);
void shape_free(struct shape *s);

/* A request was taken at now.  Nothing happens when the mode is SHAPE_OFF. */
void shape_begin(struct shape *s, uint32_t id, uint64_t now);
/* The last word to it lies before position end.  No other id ends by it. */
void shape_end(struct shape *s, uint32_t id, uint64_t end);
/* Whether anything is shaped: then nothing else may be sent. */
bool shape_active(const struct shape *s);
/* When shape_due() is to be called next; SHAPE_NEVER when nothing is shaped. */
uint64_t shape_next(const struct shape *s);
/*
 * Let time pass until now: how many records are to be sent at once, with waiting
 * bytes in the stream.  Ticks that were missed are left out, and the schedule
 * keeps its place.
 */
unsigned shape_due(struct shape *s, uint64_t now, size_t waiting);
/* The stream was sent up to position sent; requests whose step is over end. */
void shape_sent(struct shape *s, uint64_t sent);

#endif
