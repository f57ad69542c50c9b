/*
 * Hostile messages, generated from the table of messages.
 *
 * An attempt is one datagram (or a few) for a given end of a given kind of
 * channel in a given state.  Attempts are numbered from 0, so that a caller can
 * make any one of them; a message that is added to messages.def is attacked
 * without being named here.
 */
#ifndef HOSTILE_ATTACK_H
#define HOSTILE_ATTACK_H

#include "msg.h"

/* One end of a channel as its owner has it: who is attacked. */
struct cell {
	enum chan_kind	kind;
	enum chan_end	end;
	unsigned	state;
	bool		recv_fd;	/* it was made with CHAN_RECV_FD */
	/* A breach costs the owner's life and is dear to repeat: fewer bit
	 * flips and cuts, one message of each foreign channel. */
	bool		lean;
};

struct attack {
	char		name[80];
	struct buf	wire;		/* the first datagram */
	struct buf	rest;		/* the second half, if n > 0 */
	int		nfds;		/* descriptors with each datagram */
	unsigned	times;		/* how often it is sent without reading */
	bool		must_die;	/* else it may also be taken */
};

/* What U64 fields named "n" (session numbers) are filled with. */
extern uint64_t attack_n;

/*
 * What the attacker may send by itself: of what the table permits to its end of
 * the channel, some is for others there.  NULL: all of it.
 */
extern bool (*attack_may)(const struct msg_desc *d);

/* What is sent as a descriptor; standard input unless changed. */
extern int attack_fd;

/* How many attempts there are on a cell. */
size_t attack_count(const struct cell *c);
/* Make number i of them; attack_free() it. */
void attack_make(const struct cell *c, size_t i, struct attack *a);
void attack_free(struct attack *a);

/*
 * Send it over a socket (any flags), never waiting.  What the peer does not
 * take is dropped; a peer that is gone is no error.
 */
void attack_send(int fd, const struct attack *a);

/* The encoding of a message with plausible fields. */
void attack_sample(enum msg_type type, struct buf *wire);
/* One datagram with nfds descriptors (copies of attack_fd); 0 or -1. */
int attack_datagram(int fd, struct bytes b, int nfds);

#endif
