#include "conn_local.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "certs.h"
#include "codes.h"
#include "convs.h"
#include "conf.h"
#include "exits.h"
#include "linger.h"
#include "secret_ask.h"
#include "log.h"
#include "loop.h"
#include "tcp.h"
#include "trust.h"
#include "ui.h"

#define PASSWORD_TRIES	3
#define BUSY_TRIES	20	/* while another attempt is being checked */
#define BUSY_US		300000

static bool password_stdin;

struct conn *
conn_attach(int fd, const char *name, const struct hs_session *s)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->name = strdup(name)) == NULL)
		fatal("memory");
	buf_init(&c->msg_spki, RSA_SPKI_MAX);
	conn_install(c, fd, s);
	return c;
}

void
conn_known(struct conn *c, const struct handshake *h)
{
	memcpy(c->server_hash, h->server_hash, sizeof(c->server_hash));
	c->suite = h->suite;
	memcpy(c->bind, h->bind, sizeof(h->bind));
	memcpy(c->seal, h->seal, sizeof(h->seal));
	c->seal_n = h->seal_n;
}

void
conn_install(struct conn *c, int fd, const struct hs_session *s)
{
	c->fd = fd;
	password_export(c->exported, s->exporter);
	c->app = appconn_new(END_A, s->suite, s->c_ap, s->s_ap, s->msgmac);
	memcpy(c->resumption, s->resumption, sizeof(c->resumption));
	memcpy(c->before_id, c->session_id, sizeof(c->before_id));
	memcpy(c->session_id, s->session_id, sizeof(c->session_id));
	c->asked = c->bye = false;
	c->heard_ms = mono_ms();
}

void
conn_uninstall(struct conn *c)
{
	appconn_free(c->app);
	c->app = NULL;
	if (c->fd != -1)
		(void)close(c->fd);
	c->fd = -1;
	OPENSSL_cleanse(c->resumption, sizeof(c->resumption));
	OPENSSL_cleanse(c->exported, sizeof(c->exported));
	/* Of this handshake alone. */
	c->seal_n = 0;
}

void
conn_close(struct conn *c)
{
	if (c == NULL)
		return;
	/* Who lingers in our place needs none of it. */
	OPENSSL_cleanse(&c->ticket, sizeof(c->ticket));
	OPENSSL_cleanse(c->resumption, sizeof(c->resumption));
	keyd_stop(&c->keyd);
	/* An end within the step would tell how long the answer was. */
	if (c->app == NULL || c->over)
		;
	else if (c->ticks && c->asked)
		linger(c->fd, c->app, c->heard_ms);
	else
		say_close(c->fd, c->app);
	conn_uninstall(c);
	free(c->name);
	buf_free(&c->msg_spki);
	freezero(c, sizeof(*c));
}

uint32_t
conn_max_prompt(const struct conn *c)
{
	return c->max_prompt;
}

const uint8_t *
conn_before(const struct conn *c)
{
	return c->before_id;
}

uint32_t
conn_request(struct conn *c)
{
	return ++c->last_request;
}

/* The session is over, for a reason. */
static int
lost(struct conn *c, const char *why)
{
	if (!c->over)
		ui_err("%s: connection lost: %s", c->name, why);
	c->over = true;
	return RC_LOST;
}

int
conn_gone(struct conn *c, const char *why)
{
	if (!c->kept)
		return lost(c, why);
	if (c->quiet && !c->bye)
		ui_step("connection lost: %s", why);
	else
		ui_err("%s: connection lost: %s", c->name, why);
	conn_uninstall(c);
	return RC_LOST;
}

int
conn_violation(struct conn *c, const struct msg *m)
{
	ui_step("unexpected message %s", msg_desc(m->type)->name);
	return lost(c, "the server sent a message that was not asked for; is it "
	    "of another version?");
}

int
conn_send(struct conn *c, enum msg_type type, const void *body)
{
	if (c->over || c->app == NULL)
		return RC_LOST;
	ui_step("sending %s", msg_desc(type)->name);
	if (type == MSG_c_prompt || type == MSG_c_chat) {
		c->asked = true;
		c->heard_ms = mono_ms();
	}
	if (appconn_send(c->app, type, body) == -1)
		return lost(c, appconn_why(c->app) != NULL ?
		    appconn_why(c->app) : "the session has come to its end");
	return RC_OK;
}

/* Take what the socket has; RC_OK or RC_LOST. */
static int
fill(struct conn *c)
{
	uint8_t *p;
	size_t room;
	ssize_t n;

	p = appconn_room(c->app, &room);
	n = read(c->fd, p, room);
	if (n > 0) {
		appconn_arrived(c->app, (size_t)n);
		c->heard_ms = mono_ms();
		return RC_OK;
	}
	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? RC_OK :
		    conn_gone(c, strerror(errno));
	return conn_gone(c, appconn_eof(c->app) != NULL ?
	    "TRUNCATED: it ended without a word from the server, and what came "
	    "may be incomplete" : "closed by the server");
}

/* Give the socket what it takes; RC_OK or RC_LOST. */
static int
flush(struct conn *c)
{
	struct bytes b = appconn_output(c->app);
	ssize_t n;

	if (b.n == 0)
		return RC_OK;
	n = send(c->fd, b.p, b.n, MSG_NOSIGNAL);
	if (n >= 0) {
		appconn_written(c->app, (size_t)n);
		return RC_OK;
	}
	return errno == EAGAIN || errno == EINTR ? RC_OK :
	    conn_gone(c, strerror(errno));
}

/* The server will close the session; until then an answer may go on. */
static void
bye(struct conn *c, const struct m_s_bye *m)
{
	c->bye = m->reason == BYE_STOPPING;
	ui_step("the server ends the session within %u s (reason %u)",
	    m->seconds, m->reason);
}

int
conn_take(struct conn *c, struct msg *m)
{
	enum appconn_result r;

	while ((r = appconn_next(c->app, m)) == APPCONN_MESSAGE &&
	    m->type == MSG_s_bye)
		bye(c, &m->u.s_bye);
	switch (r) {
	case APPCONN_MESSAGE:
		return CONN_MESSAGE;
	case APPCONN_AGAIN:
		return 0;
	case APPCONN_CLOSED:
		(void)conn_gone(c, c->bye ? "the server is stopping" :
		    "the server closed the session (it was idle for too long, "
		    "or the server is going down)");
		return CONN_LOST;
	case APPCONN_BROKEN:
		break;
	}
	(void)lost(c, appconn_why(c->app));
	return CONN_LOST;
}

int
conn_wait_once(struct conn *c, const int *fds, int n, uint64_t deadline_ms)
{
	struct pollfd pfd[CONN_FDS_MAX + 1];
	uint64_t now = mono_ms();
	int r;

	for (int i = 0; i < n; i++)
		pfd[i] = (struct pollfd){ fds[i], POLLIN, 0 };
	pfd[n] = (struct pollfd){ c->fd, POLLIN, 0 };
	if (appconn_output(c->app).n > 0)
		pfd[n].events |= POLLOUT;
	r = poll(pfd, (nfds_t)n + 1, deadline_ms == 0 ? -1 :
	    deadline_ms > now ? (int)(deadline_ms - now) : 0);
	if (r == -1 && errno != EINTR)
		fatal("poll");
	if (r == 0)
		return CONN_LATE;
	if (r == -1)
		return n;
	for (int i = 0; i < n; i++)
		if (pfd[i].revents != 0)
			return i;
	if (((pfd[n].revents & POLLOUT) != 0 && flush(c) != RC_OK) ||
	    ((pfd[n].revents & ~POLLOUT) != 0 && fill(c) != RC_OK))
		return CONN_LOST;
	return n;
}

static int
wait_until(struct conn *c, const int *fds, int n, uint64_t deadline_ms,
    struct msg *m)
{
	int r;

	if (c->over || c->app == NULL)
		return CONN_LOST;
	for (;;) {
		r = conn_take(c, m);
		if (r != 0)
			return r;
		r = conn_wait_once(c, fds, n, deadline_ms);
		if (r != n)
			return r;
	}
}

int
conn_next_until(struct conn *c, uint64_t deadline_ms, struct msg *m)
{
	return wait_until(c, NULL, 0, deadline_ms, m);
}

int
conn_wait(struct conn *c, const int *fds, int n, struct msg *m)
{
	return wait_until(c, fds, n, 0, m);
}

int
conn_next(struct conn *c, struct msg *m)
{
	return wait_until(c, NULL, 0, 0, m) == CONN_MESSAGE ? RC_OK : RC_LOST;
}

/* The user is let in. */
static int
hello(struct conn *c, const struct msg *m)
{
	if (m->type != MSG_s_hello || msg_text(c->user, sizeof(c->user),
	    m->u.s_hello.user) == -1)
		return conn_violation(c, m);
	c->gate = 0;
	c->max_prompt = m->u.s_hello.max_prompt_bytes;
	c->ticks = m->u.s_hello.shaping == SHAPE_TICK;
	ui_step("welcome, %s: server version %.*s", c->user,
	    (int)m->u.s_hello.version.n, (const char *)m->u.s_hello.version.p);
	return RC_OK;
}

/* The user's password, besides the key. */
static int
give_password(struct conn *c)
{
	struct m_c_password q;
	char pw[SECRET_SIZE], prompt[256];
	struct msg m;
	int rc = RC_OK;

	(void)snprintf(prompt, sizeof(prompt), "Password of %s at %s: ",
	    c->user, c->name);
	for (int i = 0; i < PASSWORD_TRIES && rc == RC_OK; i++) {
		if ((rc = secret_ask(pw, prompt, password_stdin)) != RC_OK)
			break;
		rc = conn_seal(c, PASSWORD_FACTOR, c->user, "", pw, "",
		    q.sealed);
		explicit_bzero(pw, sizeof(pw));
		if (rc != RC_OK || (rc = conn_attempt(c, MSG_c_password, &q,
		    &q.req, &m)) != RC_OK)
			break;
		if (m.type != MSG_s_error)
			return hello(c, &m);
		(void)server_error(&m.u.s_error);
		if (m.u.s_error.code != ERR_PASSWORD || password_stdin)
			break;
	}
	return rc == RC_OK ? RC_REFUSED : rc;
}

int
conn_welcome(struct conn *c, bool login)
{
	struct msg m;

	switch (conn_next_until(c, mono_ms() + WELCOME_MS, &m)) {
	case CONN_LATE:
		return conn_gone(c, "the server does not answer");
	case CONN_LOST:
		return RC_LOST;
	default:
		break;
	}
	if (m.type != MSG_s_gate)
		return hello(c, &m);
	if ((m.u.s_gate.kind != GATE_ENROL && m.u.s_gate.kind != GATE_FACTOR) ||
	    msg_text(c->user, sizeof(c->user), m.u.s_gate.user) == -1)
		return conn_violation(c, &m);
	c->gate = m.u.s_gate.kind;
	if (c->gate == GATE_FACTOR)
		return give_password(c);
	if (login)
		return RC_OK;
	ui_err("%s: the server refused this key: it does not know it. If you "
	    "have an invite or a password, `cloister login' enrols it", c->name);
	return RC_REFUSED;
}

/*
 * A server that knows another key than the pinned one says nothing at all.  Have a
 * look at its key without showing ours; trust_decide() tells about a change.
 */
static int
look(struct handshake *h, const struct trust *t)
{
	char err[512];
	int rc;

	ui_step("no answer for the known key; looking which key the server has");
	h->keyd = NULL;
	h->pin = NULL;
	h->silent = false;
	h->fd = tcp_connect(t->server, CONNECT_MS, err, sizeof(err));
	if (h->fd == -1) {
		ui_err("%s", err);
		return RC_LOST;
	}
	rc = handshake_run(h);
	(void)close(h->fd);
	if (rc == RC_OK || h->silent) {
		ui_err("%s: the server closed the connection without an answer. "
		    "It may refuse or be overloaded: try again later. Or its key "
		    "has changed: compare `cloister fingerprint' with what its "
		    "administrator says", h->server);
		rc = RC_LOST;
	}
	return rc;
}

static int
connect_and_shake(struct handshake *h, const struct trust *t)
{
	char err[512];
	int rc;

	h->fd = tcp_connect(t->server, CONNECT_MS, err, sizeof(err));
	if (h->fd == -1) {
		ui_err("cannot connect to %s", err);
		ui_err("is the server's name right (-H, or `server' in %s/config),"
		    " does cloisterd run there, does a firewall let it in?",
		    t->conf->dir);
		return RC_LOST;
	}
	rc = handshake_run(h);
	if (rc == RC_OK)
		return RC_OK;
	(void)close(h->fd);
	if (h->silent && h->pin != NULL)
		return look(h, t);
	if (h->silent)
		ui_err("%s: the server closed the connection without an answer; "
		    "if it takes no first contacts, get its line for %s from its "
		    "administrator", h->server, t->conf->known_servers);
	return rc;
}

/* Our certificate, if one is configured; it has to be our key's. */
static int
take_cert(struct certs *cert, const struct cconf *conf, struct bytes spki)
{
	struct buf text = BUF_INIT(CERTS_FILE_MAX);
	const char *why;
	char err[512] = "";
	int fd, rv = -1;

	memset(cert, 0, sizeof(*cert));
	if (conf->cert_file == NULL)
		return RC_OK;
	if ((fd = conf_open(conf->cert_file, 022, err, sizeof(err))) != -1 &&
	    conf_read(fd, conf->cert_file, &text, err, sizeof(err)) == 0)
		rv = certs_pem(cert, buf_bytes(&text), &why);
	buf_free(&text);
	if (rv == 0 && cert->n > 0 && cert->cert[0].n <= CERT_USER_MAX &&
	    cert_holds(cert->cert[0], spki))
		return RC_OK;
	if (rv == 0 && cert->n == 0)
		why = "it is empty";
	else if (rv == 0 && cert->cert[0].n > CERT_USER_MAX)
		why = "it is longer than 2048 bytes";
	else if (rv == 0)
		why = "it is of another key (`cloister csr' makes the request "
		    "for this one)";
	if (err[0] != '\0')
		ui_err("%s", err);
	else
		ui_err("%s: %s", conf->cert_file, why);
	return RC_USAGE;
}

/* Connect, check the server's key, show ours. */
int
conn_dial(struct handshake *h, const struct cconf *conf,
    const struct cconf_server *server, const char *key, const uint8_t *link,
    struct buf *msg_spki, struct keyd *keyd)
{
	struct trust trust = { conf, server, link };
	uint8_t pin[HASH_LEN];
	struct certs cert;
	char err[512];
	int known, rc;

	*h = (struct handshake){ .server = server->text, .keyd = keyd,
	    .trust = trust_decide, .arg = &trust };
	memset(&cert, 0, sizeof(cert));
	known = cconf_known_get(conf, server, pin, err, sizeof(err));
	if (known == -1) {
		ui_err("%s", err);
		return RC_SERVER_KEY;
	}
	/* A certificate may be for a new key: no CH for the old one alone. */
	if (known == 1 && conf->trust != CCONF_TRUST_CERTIFICATE)
		h->pin = pin;
	else if (link != NULL)
		h->pin = link;
	/* First, so that the server need not wait for a passphrase. */
	rc = keyd->chan != NULL ? RC_OK : keyd_start(keyd, conf, key);
	if (rc == RC_OK)
		rc = keyd_open(keyd);
	if (rc == RC_OK)
		rc = take_cert(&cert, conf, buf_bytes(&keyd->spki));
	if (rc == RC_OK && cert.n > 0)
		h->cert = cert.cert[0];
	if (rc == RC_OK)
		rc = connect_and_shake(h, &trust);
	if (rc == RC_OK)
		buf_put(msg_spki, keyd->msg_spki.p, keyd->msg_spki.n);
	if (rc != RC_OK || conf->sign == CCONF_SIGN_OFF)
		keyd_stop(keyd);
	certs_free(&cert);
	h->keyd = NULL;
	h->pin = NULL;
	h->arg = NULL;
	h->cert = bytes_of(NULL, 0);
	return rc;
}

static int
open_session(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key, bool login,
    const uint8_t *link)
{
	struct buf msg_spki = BUF_INIT(RSA_SPKI_MAX);
	struct keyd keyd = { .chan = NULL };
	struct handshake h;
	int rc;

	*c = NULL;
	if ((rc = conn_dial(&h, conf, server, key, link, &msg_spki,
	    &keyd)) != RC_OK) {
		buf_free(&msg_spki);
		return rc;
	}
	*c = conn_attach(h.fd, h.server, &h.session);
	OPENSSL_cleanse(&h.session, sizeof(h.session));
	(*c)->msg_spki = msg_spki;
	(*c)->keyd = keyd;
	(*c)->conf = conf;
	(*c)->server = server;
	(*c)->key = key;
	conn_known(*c, &h);
	if ((rc = conn_welcome(*c, login)) != RC_OK) {
		conn_close(*c);
		*c = NULL;
	}
	return rc;
}

int
conn_open(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key)
{
	return open_session(c, conf, server, key, false, NULL);
}

int
conn_login(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key, const uint8_t *link)
{
	return open_session(c, conf, server, key, true, link);
}

void
conn_password_stdin(bool on)
{
	password_stdin = on;
}

int
conn_gate(const struct conn *c)
{
	return c->gate;
}

const char *
conn_user(const struct conn *c)
{
	return c->user;
}

void
conn_identity(const struct conn *c, uint8_t session_id[HASH_LEN],
    uint8_t server_hash[HASH_LEN])
{
	memcpy(session_id, c->session_id, HASH_LEN);
	memcpy(server_hash, c->server_hash, HASH_LEN);
}

struct keyd *
conn_keyd(struct conn *c)
{
	return &c->keyd;
}

struct bytes
conn_msg_spki(const struct conn *c)
{
	return buf_bytes(&c->msg_spki);
}

/* What is asked for: with an enrolment also for which message key and label. */
static void
what(const struct conn *c, bool enrol, const char *user, const char *label,
    uint8_t out[HASH_LEN])
{
	const struct bytes none = { NULL, 0 };

	password_what(out, bytes_str(user), enrol ? bytes_str(label) : none,
	    enrol ? buf_bytes(&c->msg_spki) : none);
}

int
conn_seal(const struct conn *c, enum password_use use, const char *user,
    const char *label, const char *pw, const char *new_pw,
    uint8_t sealed[PASSWORD_SEALED])
{
	uint8_t info[PASSWORD_INFO], w[HASH_LEN];

	if (c->seal_n != HS_SEAL) {
		ui_err("%s takes no passwords", c->name);
		return RC_ERROR;
	}
	what(c, use == PASSWORD_ENROL, user, label, w);
	password_info(info, use, c->bind, c->exported, w);
	if (password_seal(sealed, c->seal, info, bytes_str(pw),
	    bytes_str(new_pw)) == 0)
		return RC_OK;
	ui_err("%s: the password cannot be sealed", c->name);
	return RC_ERROR;
}

void
conn_prove(const struct conn *c, const uint8_t code[INVITE_CODE],
    const char *label, uint8_t proof[HASH_LEN])
{
	uint8_t w[HASH_LEN];

	what(c, true, "", label, w);
	invite_proof(proof, code + INVITE_ID, c->bind, w);
}

int
conn_attempt(struct conn *c, enum msg_type type, const void *body,
    uint32_t *req, struct msg *m)
{
	int rc = RC_OK;

	for (int i = 0; rc == RC_OK && i < BUSY_TRIES; i++) {
		if (i > 0)
			(void)usleep(BUSY_US);
		*req = conn_request(c);
		if ((rc = conn_send(c, type, body)) == RC_OK)
			rc = conn_next(c, m);
		if (rc == RC_OK && m->type == MSG_s_error &&
		    m->u.s_error.req != *req)
			rc = conn_violation(c, m);
		if (rc == RC_OK && (m->type != MSG_s_error ||
		    m->u.s_error.code != ERR_BUSY))
			break;
	}
	return rc;
}
