/*
 * A session that comes back: it is suspended while nobody asks anything, resumed
 * by its ticket when somebody does, and made anew where that is not possible.  The
 * ticket is in this memory alone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "codes.h"
#include "conn_local.h"
#include "exits.h"
#include "linger.h"
#include "log.h"
#include "loop.h"
#include "resume.h"
#include "tcp.h"
#include "ui.h"

#define TICKET_MS	10000	/* for the server's answers here */
#define PING_MS		10000
#define STALE_MS	60000	/* silent for so long: does it still stand? */

static void
forget_ticket(struct conn *c)
{
	OPENSSL_cleanse(&c->ticket, sizeof(c->ticket));
	c->has_ticket = false;
}

/* Ask for the ticket of this session; without one it goes on all the same. */
static void
get_ticket(struct conn *c)
{
	struct m_c_ticket q = { .req = conn_request(c) };
	struct msg m;

	if (conn_send(c, MSG_c_ticket, &q) != RC_OK ||
	    conn_next_until(c, mono_ms() + TICKET_MS, &m) != CONN_MESSAGE)
		goto out;
	if (m.type == MSG_s_ticket && m.u.s_ticket.req == q.req) {
		memcpy(c->ticket.id, m.u.s_ticket.ticket, HASH_LEN);
		hs_ticket_psk(c->ticket.psk, c->resumption, c->ticket.id);
		c->ticket.suite = c->suite;
		c->has_ticket = true;
		ui_step("a ticket for one resumption, good for %u s",
		    m.u.s_ticket.lifetime_s);
		OPENSSL_cleanse(&m, sizeof(m));
	} else if (m.type == MSG_s_error && m.u.s_error.req == q.req)
		ui_step("the server gives no ticket");
	else
		(void)conn_violation(c, &m);
out:
	OPENSSL_cleanse(c->resumption, sizeof(c->resumption));
}

void
conn_keep(struct conn *c)
{
	conn_keep_plain(c);
	c->tickets = c->kept;
	if (c->kept)
		get_ticket(c);
}

void
conn_keep_plain(struct conn *c)
{
	c->kept = c->conf != NULL;
}

bool
conn_away(const struct conn *c)
{
	return c->app == NULL && !c->over;
}

/* SUSPEND: the server keeps the ticket's secret alone, and so do we. */
static void
suspend(struct conn *c)
{
	struct m_c_suspend q = { .req = conn_request(c) };
	struct msg m;

	if (conn_send(c, MSG_c_suspend, &q) == RC_OK &&
	    conn_next_until(c, mono_ms() + TICKET_MS, &m) == CONN_MESSAGE) {
		if (m.type != MSG_s_done || m.u.s_done.req != q.req) {
			(void)conn_violation(c, &m);
			return;
		}
		say_close(c->fd, c->app);
		ui_step("suspended the session: no keys are left but the "
		    "ticket's");
	}
	if (!c->over)
		conn_uninstall(c);
}

int
conn_idle(struct conn *c, const int *fds, int n)
{
	uint64_t after = c->conf != NULL ?
	    (uint64_t)c->conf->suspend_s * 1000 : 0;
	struct pollfd pfd[CONN_FDS_MAX];
	struct msg m;
	int r;

	c->quiet = c->kept;
	for (r = n; r == n;) {
		if (conn_away(c)) {
			for (int i = 0; i < n; i++)
				pfd[i] = (struct pollfd){ fds[i], POLLIN, 0 };
			if (poll(pfd, (nfds_t)n, -1) == -1 && errno != EINTR)
				fatal("poll");
			for (int i = n - 1; i >= 0; i--)
				if (pfd[i].revents != 0)
					r = i;
			continue;
		}
		if (c->over) {
			r = CONN_LOST;
			break;
		}
		if ((r = conn_take(c, &m)) == CONN_MESSAGE) {
			(void)conn_violation(c, &m);
			r = CONN_LOST;
		} else if (r == 0)
			r = conn_wait_once(c, fds, n, after != 0 &&
			    c->has_ticket ? c->heard_ms + after : 0);
		if (r == CONN_LATE)
			suspend(c);
		if (r == CONN_LATE || (r == CONN_LOST && conn_away(c)))
			r = n;
	}
	c->quiet = false;
	return r;
}

/* By the ticket, which is used up; 0 or -1, and nothing was said. */
static int
by_ticket(struct conn *c)
{
	struct hs_session s;
	char err[512];
	int fd, rv = -1;

	fd = tcp_connect(c->server, CONNECT_MS, err, sizeof(err));
	if (fd == -1) {
		/* The ticket was not shown: it is still good. */
		ui_step("%s", err);
		return -1;
	}
	rv = resume_run(fd, c->server_hash, &c->ticket, &s);
	forget_ticket(c);
	if (rv == 0) {
		conn_install(c, fd, &s);
		ui_step("resumed the session by its ticket, without any key");
	} else
		(void)close(fd);
	OPENSSL_cleanse(&s, sizeof(s));
	return rv;
}

/* By a whole handshake. */
static int
by_handshake(struct conn *c)
{
	struct buf msg_spki = BUF_INIT(RSA_SPKI_MAX);
	struct handshake h;
	int rc;

	rc = conn_dial(&h, c->conf, c->server, c->key, NULL, &msg_spki,
	    &c->keyd);
	buf_free(&msg_spki);		/* it is there already */
	if (rc != RC_OK)
		return rc;
	forget_ticket(c);
	conn_install(c, h.fd, &h.session);
	conn_known(c, &h);
	OPENSSL_cleanse(&h.session, sizeof(h.session));
	return RC_OK;
}

static int
come_back(struct conn *c)
{
	int rc;

	ui_step("connecting again");
	if (!c->has_ticket || by_ticket(c) == -1)
		if ((rc = by_handshake(c)) != RC_OK)
			return rc;
	if ((rc = conn_welcome(c, false)) == RC_OK && c->tickets)
		get_ticket(c);
	return rc == RC_OK && c->app == NULL ? RC_LOST : rc;
}

/* Whether a connection that was silent for long still stands. */
static bool
stands(struct conn *c)
{
	struct m_c_ping q = { .req = conn_request(c) };
	struct msg m;
	int r;

	c->quiet = true;
	r = conn_send(c, MSG_c_ping, &q) == RC_OK ?
	    conn_next_until(c, mono_ms() + PING_MS, &m) : CONN_LOST;
	if (r == CONN_LATE)
		(void)conn_gone(c, "the server does not answer");
	c->quiet = false;
	if (r != CONN_MESSAGE)
		return false;
	if (m.type == MSG_s_pong && m.u.s_pong.req == q.req)
		return true;
	(void)conn_violation(c, &m);
	return false;
}

int
conn_ready(struct conn *c)
{
	if (c->kept && !conn_away(c) && !c->over &&
	    mono_ms() - c->heard_ms >= STALE_MS && stands(c))
		return RC_OK;
	if (c->over)
		return RC_LOST;
	return conn_away(c) ? come_back(c) : RC_OK;
}
