/* What conn.c and conn_keep.c share; nobody else includes it. */
#ifndef CLIENT_CONN_LOCAL_H
#define CLIENT_CONN_LOCAL_H

#include "appconn.h"
#include "conn.h"
#include "handshake.h"

#define CONNECT_MS	10000	/* for each address */
#define WELCOME_MS	30000

struct conn {
	struct appconn	*app;		/* NULL: away */
	int		 fd;		/* -1: away */
	char		*name;		/* the server's, for messages */
	bool		 over;		/* lost or closed: nothing more to say */
	uint32_t	 last_request;
	uint32_t	 max_prompt;
	bool		 ticks;		/* answers are shaped (SHAPE_TICK) */
	bool		 asked;		/* a prompt was sent */
	bool		 bye;		/* the server said that it stops */
	uint64_t	 heard_ms;	/* when something last came, or was asked */

	/* passwords and enrolment */
	uint8_t		 gate;		/* enum gate; 0: let in */
	char		 user[65];
	uint8_t		 bind[HASH_LEN];
	uint8_t		 exported[HASH_LEN];
	size_t		 seal_n;
	uint8_t		 seal[HS_SEAL];
	struct buf	 msg_spki;

	/* how it was made, to make it again; conf NULL: it cannot be */
	const struct cconf		*conf;
	const struct cconf_server	*server;
	const char			*key;
	uint8_t		 server_hash[HASH_LEN];
	uint8_t		 suite;
	uint8_t		 resumption[HASH_LEN];	/* until the ticket is there */
	struct keyd	 keyd;		/* kept to sign, or zeros */
	struct hs_ticket ticket;
	bool		 has_ticket;
	uint8_t		 session_id[HASH_LEN];	/* public; of this one, */
	uint8_t		 before_id[HASH_LEN];	/* and of the one before */
	bool		 tickets;	/* one is asked for each time */
	bool		 kept;		/* conn_keep(): a loss is no end */
	bool		 quiet;		/* nothing is awaited: no word of a loss */
};

/*
 * Connect and authenticate: RC_OK with h->fd and the other results, or another exit
 * code after telling the user.  With link the server must have this key.  The
 * user's public key for messages is appended to msg_spki.  keyd is used if it runs;
 * afterwards it runs where conf's sign is not off and all is well.
 */
int conn_dial(struct handshake *h, const struct cconf *conf,
    const struct cconf_server *server, const char *key, const uint8_t *link,
    struct buf *msg_spki, struct keyd *keyd);
/* Remember what a handshake showed of the server. */
void conn_known(struct conn *c, const struct handshake *h);
/* Take over the connection of a finished handshake. */
void conn_install(struct conn *c, int fd, const struct hs_session *s);
/* Its opposite: close it and wipe its keys; a ticket stays. */
void conn_uninstall(struct conn *c);
/*
 * Wait for the server's first message, give the password that it may want; RC_OK,
 * or another exit code after telling.  login: where it lets the key enrol itself,
 * that is well.
 */
int conn_welcome(struct conn *c, bool login);
/* The connection has come to its end without fault of the peer; RC_LOST. */
int conn_gone(struct conn *c, const char *why);

/* A message that has arrived: CONN_MESSAGE, CONN_LOST, or 0 when there is none. */
int conn_take(struct conn *c, struct msg *m);
/*
 * One wait for the socket and the descriptors, until deadline_ms (0: none).
 * Returns the index of a readable descriptor, n when there is none, CONN_LOST, or
 * CONN_LATE at the deadline.
 */
#define CONN_LATE	(-3)
int conn_wait_once(struct conn *c, const int *fds, int n,
    uint64_t deadline_ms);
/* The next message until then: CONN_MESSAGE, CONN_LOST or CONN_LATE. */
int conn_next_until(struct conn *c, uint64_t deadline_ms, struct msg *m);

#endif
