/*
 * An authenticated session with the server: messages (channel APP) over a socket.
 */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <poll.h>

#include "cconf.h"
#include "hs.h"
#include "keyd_child.h"
#include "msg.h"
#include "password.h"

struct conn;

/*
 * Connect, check the server's key, authenticate by the keys in the file key,
 * and wait for the server's welcome.  Returns RC_OK with *c, or another exit code
 * after telling the user.
 */
int conn_open(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key);
/*
 * The same for `cloister login': with link the server must have the key that it
 * names, and where the server does not know the user's key, but lets it enrol
 * itself, *c is such a session (conn_gate() is GATE_ENROL).
 */
int conn_login(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key, const uint8_t *link);
/* A password that the server asks for comes from standard input. */
void conn_password_stdin(bool on);
/* GATE_ENROL, or 0: the user is let in. */
int conn_gate(const struct conn *c);
/* The user's name at the server, once let in. */
const char *conn_user(const struct conn *c);
/* Which session and server this is; 32 bytes each. */
void conn_identity(const struct conn *c, uint8_t session_id[HASH_LEN],
    uint8_t server_hash[HASH_LEN]);
/* The user's keys, while they stay at hand: where conf's sign is not off. */
struct keyd *conn_keyd(struct conn *c);
/* The user's public key for messages. */
struct bytes conn_msg_spki(const struct conn *c);
/*
 * Seal a password, and a new one or nothing, for this session (password.h).  RC_OK,
 * or RC_ERROR after telling the user.
 */
int conn_seal(const struct conn *c, enum password_use use, const char *user,
    const char *label, const char *pw, const char *new_pw,
    uint8_t sealed[PASSWORD_SEALED]);
/* Prove that one holds an invite, for this session's key. */
void conn_prove(const struct conn *c, const uint8_t code[INVITE_CODE],
    const char *label, uint8_t proof[HASH_LEN]);
/*
 * Send a request and wait for its answer; *req, its number, is set in body.  Again
 * a moment later when the server is busy with another attempt.  RC_OK with *m,
 * the answer, which may be an s_error about it; or RC_LOST.
 */
int conn_attempt(struct conn *c, enum msg_type type, const void *body,
    uint32_t *req, struct msg *m);
/*
 * A session over fd (non-blocking), which is taken over, with the secrets that the
 * handshake left (copied).  name is for messages.  conn_open() calls it.
 */
struct conn *conn_attach(int fd, const char *name, const struct hs_session *s);
/*
 * Say CLOSE, if the session still stands, and wait a moment for it to go out;
 * wipe the secrets and free.  NULL is allowed.  After a prompt whose answer is
 * shaped by ticks, a process in the background does it in our place, once the
 * server's records have stopped (linger.h).
 */
void conn_close(struct conn *c);

/*
 * For a session that may stay idle: from now on it comes back.  The server is asked
 * for a ticket, and a loss or an end of the connection, but for a violation, is no
 * end of the session.  Only for one that conn_open() made, whose conf, server and
 * key stay.
 */
void conn_keep(struct conn *c);
/* The same without a ticket: it comes back by a whole handshake. */
void conn_keep_plain(struct conn *c);
/* Whether there is no connection now, and one can be made (conn_ready()). */
bool conn_away(const struct conn *c);
/*
 * Wait until one of the descriptors is readable, while nothing is expected of the
 * server: its index, or CONN_LOST when the session is over; the user was told.  A
 * session that is kept is suspended after conf's time.
 */
int conn_idle(struct conn *c, const int *fds, int n);
/*
 * Before something is asked: if the session is away, or silent for so long that it
 * may be, connect again, by the ticket or by a whole handshake.  RC_OK, or another
 * exit code after telling the user; then it may be tried again while conn_away().
 */
int conn_ready(struct conn *c);

/* The id of the session that was lost before this one, of 32 bytes. */
const uint8_t *conn_before(const struct conn *c);
/* The most bytes of a prompt that the server takes. */
uint32_t conn_max_prompt(const struct conn *c);
/* A request id that was not used before. */
uint32_t conn_request(struct conn *c);

/*
 * Send a message.  Returns RC_OK, or RC_LOST after telling the user.
 */
int conn_send(struct conn *c, enum msg_type type, const void *body);

/* What conn_wait() returns, besides the index of a descriptor. */
#define CONN_MESSAGE	(-1)	/* *m is the next message */
#define CONN_LOST	(-2)	/* the session is over; the user was told */

/*
 * Wait for the next message, or until one of the n <= CONN_FDS_MAX descriptors
 * (-1: none) is readable.  Messages that are here already go first.  m is valid
 * until the next call.
 */
#define CONN_FDS_MAX	2
int conn_wait(struct conn *c, const int *fds, int n, struct msg *m);
/*
 * Wait for the next message.  Returns RC_OK or RC_LOST after telling the user.
 */
int conn_next(struct conn *c, struct msg *m);
/*
 * The server sent what makes no sense here: tell the user; RC_LOST.
 */
int conn_violation(struct conn *c, const struct msg *m);

#endif
