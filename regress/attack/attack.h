/*
 * attack: a peer that can send anything, for the numbered list of attacks
 * (regress/attacks.tbl).
 *
 *	main.c		the table of what it can try, and who is who
 *	net.c		sockets, each from a source of its own
 *	play.c		a client that is driven by hand
 *	serve.c		a server that is driven by hand, and a real client before it
 *	on_server.c	attacks on a server before it knows a client
 *	on_auth.c	attacks on its authentication
 *	on_keys.c	keys that are none
 *	on_session.c	attacks on a session
 *	on_client.c	attacks on a client
 *	between.c	attacks by somebody between the two
 *	recording.c	who has a recording and the keys
 *	many.c		attacks by many connections
 *
 * What is this program's own mistake, or the machine's, is fatal: then nothing
 * was shown.
 */
#ifndef REGRESS_ATTACK_H
#define REGRESS_ATTACK_H

#include <sys/types.h>

#include "exits.h"
#include "hs.h"
#include "hs_local.h"
#include "keyd.h"
#include "log.h"
#include "loop.h"
#include "record.h"

#define WAIT_MS		10000	/* for an answer that must come */

/* Somebody's keys, in the order of their file. */
struct user {
	const char	*home;		/* the directory of a client */
	EVP_PKEY	*key[KEYD_KEYS];
	struct buf	 spki[KEYD_KEYS];
};

/* Who is who. */
struct world {
	const char	*bin;		/* the build directory */
	int		 port;		/* of the real server */
	uint8_t		 pin[HASH_LEN];	/* of its key */
	struct user	 alice;		/* both are enrolled */
	struct user	 bob;
	struct user	 mallory;	/* nobody knows these keys */
};

extern struct world world;

/* ---- main.c -------------------------------------------------------------- */

/* One more try; what it was is printed when it did not end as it must. */
__attribute__((format(printf, 2, 3)))
void tried(bool held, const char *fmt, ...);

/* ---- net.c --------------------------------------------------------------- */

/* Connect to a port of 127.0.0.1: from an address that nobody had before. */
int dial(int port);
/* In a new process: it goes on with other addresses than its parent. */
void net_forked(void);
/* The same from 127.FROM. */
int dial_from(int port, uint32_t from);
/* A listener at a free port of 127.0.0.1. */
int listen_any(int *port);
/* The next connection. */
int take(int lfd);
/* Send all of it; what the peer does not want any more is dropped. */
void put(int fd, struct bytes b);
/* Up to n bytes, less at the end of the connection; -1 when it hangs. */
ssize_t get(int fd, uint8_t *p, size_t n);
/* No byte more arrives and the peer ends the connection. */
bool silent(int fd);

/* ---- play.c -------------------------------------------------------------- */

enum answer {
	ANSWER_END,		/* of the connection, without a byte */
	ANSWER_CLOSE,		/* the constant refusal, byte for byte */
	ANSWER_FLIGHT,		/* the next message or flight */
	ANSWER_OTHER		/* anything else */
};

/* A client. */
struct play {
	int		 fd;
	const struct user *user;
	struct hs	 hs;
	struct record_dir rx, tx;	/* after SH */
	struct buf	 ch;		/* made, not sent yet */
	struct buf	 sh;		/* as it came */
	struct buf	*sent;		/* records that are sent, or NULL */
	uint8_t		 rec[RECORD_MAX];	/* the last record as it came */
	size_t		 rec_n;
	uint8_t		 open[RECORD_MAX];
	struct bytes	 flight;	/* its content, in open */
	struct hs_session session;
};

/*
 * Connect, from a new source, and make a CH for the server with this key, with
 * this random_c, or NULL: any.
 */
void play_begin_with(struct play *p, const struct user *u, const uint8_t *pin,
    const uint8_t *random_c);
void play_begin(struct play *p, const struct user *u, const uint8_t *pin);
void play_end(struct play *p);
/* Put mac1 right again. */
void play_mac1(struct buf *ch, const uint8_t *pin);
/* Send CH as it is in p->ch; SH or what else comes. */
enum answer play_hello(struct play *p);
/* Read SA and trust it. */
enum answer play_identity(struct play *p);
/* Both with what must come; and then CA can be made. */
void play_until_ca(struct play *p);
/* The signature of p->user over this handshake, with this wrap key. */
void play_sign(const struct play *p, struct bytes wrap_spki, struct buf *sig);
/* Send CA, CF with these fields. */
void play_ca(struct play *p, struct bytes spki, struct bytes wrap_spki,
    struct bytes sig);
/* The same as it should be. */
void play_good_ca(struct play *p);
/* Seal one record of the handshake and send it. */
void play_put(struct play *p, enum record_type type, struct bytes content);
/* The next record: a flight is left in p->flight. */
enum answer play_record(struct play *p);
/* After KW has come: CC, and then p->session; false when KW is not right. */
bool play_confirm(struct play *p);
/* A whole handshake by itself; false when it is refused. */
bool play_login(struct play *p, const struct user *u);
/* Whether somebody else is served. */
bool others_served(void);

/* ---- serve.c ------------------------------------------------------------- */

/* A real client that was started with `ask'. */
struct victim {
	pid_t	pid;
	char	port[8];
	int	out;			/* what it says on both streams */
	int	status;			/* its exit status */
	char	text[8192];
	size_t	n;
};

/*
 * It knows the server at this port by this fingerprint, or NULL: by none; and with
 * suite2 that they spoke suite 2.
 */
void victim_start(struct victim *v, const struct user *u, int port,
    const uint8_t *known, bool suite2);
/* Wait for its end; the port is taken out of what it says. */
void victim_end(struct victim *v);

/* A server with mallory's signing key. */
struct serve {
	int		 fd;
	struct hs	 hs;
	struct record_dir rx, tx;
	uint8_t		 ch[HS_CH_LEN];
	struct buf	 sh;		/* made, not sent yet */
	struct buf	*sent;		/* records that are sent, or NULL */
	uint8_t		 rec[RECORD_MAX];
	size_t		 rec_n;
	uint8_t		 open[RECORD_MAX];
	struct bytes	 flight;
	struct hs_ca	 ca;
	struct hs_session session;
};

/*
 * Take one connection, close the listener (a client that is left without an
 * answer comes again), and read CH.
 */
void serve_begin(struct serve *s, int lfd);
void serve_end(struct serve *s);
/* Make SH with random_s, or NULL: any. */
void serve_sh(struct serve *s, const uint8_t *random_s);
/* Send it. */
void serve_hello(struct serve *s);
/* SA, SF with mallory's key. */
void serve_identity(struct serve *s);
/* The client's next record into s->flight; false at the end of the connection. */
bool serve_record(struct serve *s);
void serve_put(struct serve *s, enum record_type type, struct bytes content);
/* Send SH and go on until s->session; false when the client leaves before. */
bool serve_login(struct serve *s);
/* What the client still sends, in bytes, until it ends the connection. */
size_t serve_rest(struct serve *s);

/* ---- the attacks, by number ---------------------------------------------- */

void attack_random_bytes(void);		/* 1 */
void attack_mac1(void);			/* 2 */
void attack_replayed_ch(void);		/* 3 */
void attack_one_source(void);		/* 4 */
void attack_strip_suite(void);		/* 5 */
void attack_sh_not_offered(void);	/* 6 */
void attack_flip(void);			/* 7 */
void attack_low_order(void);		/* 8 */
void attack_mlkem(void);		/* 9 */
void attack_swap_shares(void);		/* 10 */
void attack_server_key(void);		/* 11 */
void attack_relay_ca(void);		/* 12 */
void attack_reflect(void);		/* 13 */
void attack_old_signature(void);	/* 14 */
void attack_other_wrap(void);		/* 15 */
void attack_unknown(void);		/* 16 */
void attack_rsa_keys(void);		/* 17 */
void attack_contexts(void);		/* 18 */
void attack_oaep(void);			/* 19 */
void attack_order(void);		/* 24 */
void attack_records(void);		/* 25 */
void attack_rekey(void);		/* 26 */
void attack_old_epoch(void);		/* 27 */
void attack_inside(void);		/* 28 */
void attack_truncate(void);		/* 29 */
void attack_recording(void);		/* 34 */
void attack_half_open(void);		/* 37 */
void attack_randoms(void);		/* 39 */

#endif
