#include "kex.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "hs.h"
#include "log.h"
#include "record.h"

/* How long a refused client may take to read its CLOSE. */
#define LINGER_MS	1000

/* One handshake. */
struct hand {
	const struct kex	*k;
	int			 fd;		/* the client */
	uint64_t		 end_ms;
	size_t			 budget;	/* bytes that may still be read */
	bool			 keyed;		/* SH was made: rx and tx work */
	bool			 resumed;	/* the ticket was taken */
	struct hs		 hs;
	struct record_dir	 rx;
	struct record_dir	 tx;
	uint8_t			 rec[RECORD_MAX];
	const char		*why;
};

/* The vault's channel takes this worker's log lines, until it has answered. */
static struct chan *log_chan;

static void
log_to_vault(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	struct m_xv_log m = { .text = bytes_str(text) };

	(void)level;
	(void)event;
	(void)session;
	(void)user;
	if (m.text.n > 256)
		m.text.n = 256;
	if ((chan_state(log_chan) & KEX_VAULT_ANSWERED) == 0)
		(void)chan_send(log_chan, MSG_xv_log, &m, -1);
}

static int
fail(struct hand *h, const char *why)
{
	if (h->why == NULL)
		h->why = why;
	return -1;
}

static int
left_ms(const struct hand *h)
{
	uint64_t now = mono_ms();

	return now >= h->end_ms ? 0 : (int)(h->end_ms - now);
}

/* Wait for the client's socket; 0, or -1 at the deadline. */
static int
wait_fd(struct hand *h, short events)
{
	struct pollfd pfd = { .fd = h->fd, .events = events };
	int n;

	while ((n = poll(&pfd, 1, left_ms(h))) == -1 && errno == EINTR)
		;
	if (n == -1)
		return fail(h, "poll failed");
	return n == 0 ? fail(h, "too slow") : 0;
}

/* Exactly n bytes from the client. */
static int
read_exactly(struct hand *h, uint8_t *p, size_t n)
{
	ssize_t r;

	if (n > h->budget)
		return fail(h, "too many bytes before authentication");
	h->budget -= n;
	while (n > 0) {
		if ((r = recv(h->fd, p, n, MSG_DONTWAIT)) == 0)
			return fail(h, "closed by the client");
		if (r == -1) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				return fail(h, "the connection broke");
			if (wait_fd(h, POLLIN) != 0)
				return -1;
			continue;
		}
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static int
write_client(struct hand *h, const struct buf *b)
{
	size_t done = 0;
	ssize_t w;

	if (b->err)
		return fail(h, "no memory");
	while (done < b->n) {
		w = send(h->fd, b->p + done, b->n - done,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (w == -1) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				return fail(h, "the connection broke");
			if (wait_fd(h, POLLOUT) != 0)
				return -1;
			continue;
		}
		done += (size_t)w;
	}
	return 0;
}

/* A flight from the client: the content of exactly one record. */
static int
read_flight(struct hand *h, struct bytes *flight)
{
	enum record_type type;
	size_t total;

	if (read_exactly(h, h->rec, RECORD_HDR) != 0)
		return -1;
	if (record_frame(bytes_of(h->rec, RECORD_HDR), &total) == -1)
		return fail(h, "not a record");
	if (read_exactly(h, h->rec + RECORD_HDR, total - RECORD_HDR) != 0)
		return -1;
	if (record_open(&h->rx, h->rec, total, &type, flight) != 0)
		return fail(h, "record not authentic");
	return type == RECORD_HANDSHAKE ? 0 : fail(h, "not a handshake record");
}

/* A flight to the client, in one record. */
static int
write_flight(struct hand *h, const struct buf *flight)
{
	struct buf out = BUF_INIT(RECORD_MAX);
	int rv;

	if (flight->err || record_seal(&h->tx, RECORD_HANDSHAKE,
	    buf_bytes(flight), 0, &out) != 0)
		rv = fail(h, "the flight does not fit a record");
	else
		rv = write_client(h, &out);
	buf_free(&out);
	return rv;
}

/* A peer that is no client broke the rules of its channel. */
static void
accuse(const struct kex *k, const char *who, const char *why)
{
	struct m_xv_violation m;
	char text[128];

	(void)snprintf(text, sizeof(text), "%s: %s", who, why);
	m.text = bytes_str(text);
	if ((chan_state(k->vault) & KEX_VAULT_ANSWERED) == 0)
		(void)chan_send(k->vault, MSG_xv_violation, &m, -1);
}

/* The one answer that the channel's state permits, within the deadline. */
static int
expect(struct hand *h, struct chan *c, struct msg *m, const char *who)
{
	const char *why;
	int r;

	if ((r = chan_recv(c, m, left_ms(h), &why)) == 0)
		return 0;
	/* Neither gone nor late. */
	if (r == -1 && left_ms(h) > 0 && c == h->k->keyd)
		accuse(h->k, "keyd", why);
	return fail(h, who);
}

/* Nothing is answered until a CH has been found good. */
static int
read_hello(struct hand *h)
{
	uint8_t spki_hash[HASH_LEN];

	if (read_exactly(h, h->rec, HS_MSG_HDR) != 0)
		return -1;
	if (hs_clear_len(h->rec, HS_CH) != HS_CH_LEN)
		return fail(h, "not a CH");
	if (read_exactly(h, h->rec + HS_MSG_HDR, HS_CH_LEN - HS_MSG_HDR) != 0)
		return -1;
	rsa_fingerprint(spki_hash, h->k->spki);
	if (hs_server_read_ch(&h->hs, bytes_of(h->rec, HS_CH_LEN), spki_hash,
	    h->k->first_contact) != HS_OK)
		return fail(h, h->hs.why);
	return 0;
}

/*
 * Every CH has a ticket; whether it is one, the vault knows.  Sets h->resumed
 * when it is, and then the session is the user's already.
 */
static int
show_ticket(struct hand *h)
{
	struct chan *vault = h->k->vault;
	struct m_xv_resume ask = { .suite = h->hs.suite,
	    .ch = bytes_of(h->rec, HS_CH_LEN) };
	struct msg m;
	int rv = 0;

	if (chan_send(vault, MSG_xv_resume, &ask, -1) != 0)
		return fail(h, "vault: no channel");
	chan_set_state(vault, KEX_VAULT_TICKET);
	if (expect(h, vault, &m, "vault: no answer") != 0)
		return -1;
	if (m.type == MSG_vx_no_ticket) {
		chan_set_state(vault, KEX_VAULT_FULL);
		return 0;
	}
	chan_set_state(vault, KEX_VAULT_GRANTED);
	h->resumed = true;
	if (hs_server_resume(&h->hs, m.u.vx_resumed.psk) != 0)
		rv = fail(h, h->hs.why);
	OPENSSL_cleanse(&m, sizeof(m));
	return rv;
}

/* SH; both flight secrets are there then. */
static int
send_sh(struct hand *h, const uint8_t random_s[HS_RANDOM])
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	int rv;

	if (hs_server_make_sh(&h->hs, random_s, &out) != 0)
		rv = fail(h, h->hs.why);
	else {
		record_dir_init(&h->rx, h->hs.c_hs, RECORD_EPOCH_HS);
		record_dir_init(&h->tx, h->hs.s_hs, RECORD_EPOCH_HS);
		h->keyed = true;
		rv = write_client(h, &out);
	}
	buf_free(&out);
	return rv;
}

/* SH, as soon as keyd has given its nonce. */
static int
answer_hello(struct hand *h)
{
	struct chan *keyd = h->k->keyd;
	struct msg m;

	if (chan_send(keyd, MSG_xk_open, NULL, -1) != 0)
		return fail(h, "keyd: no channel");
	chan_set_state(keyd, KEX_KEYD_OPENED);
	if (expect(h, keyd, &m, "keyd: no nonce") != 0)
		return -1;
	return send_sh(h, m.u.kx_nonce.random_s);
}

/* SA and SF, with the one signature that keyd makes on this channel. */
static int
show_identity(struct hand *h)
{
	struct chan *keyd = h->k->keyd;
	struct m_xk_sign sign = { .suite = h->hs.suite };
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	struct msg m;
	int rv = -1;

	memcpy(sign.th_sh, h->hs.th_sh, sizeof(sign.th_sh));
	if (chan_send(keyd, MSG_xk_sign, &sign, -1) != 0)
		return fail(h, "keyd: no channel");
	chan_set_state(keyd, KEX_KEYD_SIGNED);
	if (expect(h, keyd, &m, "keyd: no signature") != 0)
		goto out;
	hs_server_chain(&h->hs, h->k->chain);
	if (hs_server_make_sa(&h->hs, h->k->spki, m.u.kx_sig.seal,
	    m.u.kx_sig.sig, &out) != 0)
		(void)fail(h, h->hs.why);
	else
		rv = write_flight(h, &out);
out:
	buf_free(&out);
	return rv;
}

/* CA and CF; then the vault decides. */
static int
authenticate(struct hand *h)
{
	struct chan *vault = h->k->vault;
	struct m_xv_auth auth = { .suite = h->hs.suite };
	struct bytes flight;
	struct hs_ca ca;
	struct msg m;

	if (read_flight(h, &flight) != 0)
		return -1;
	if (hs_server_read_ca(&h->hs, flight, &ca) != 0)
		return fail(h, h->hs.why);
	memcpy(auth.random_c, h->hs.random_c, sizeof(auth.random_c));
	memcpy(auth.th_sf, h->hs.th_sf, sizeof(auth.th_sf));
	auth.spki = ca.spki;
	auth.wrap_spki = ca.wrap_spki;
	auth.cert = ca.cert;
	auth.sig = ca.sig;
	if (chan_send(vault, MSG_xv_auth, &auth, -1) != 0)
		return fail(h, "vault: no channel");
	chan_set_state(vault, KEX_VAULT_ASKED);
	if (expect(h, vault, &m, "vault: no answer") != 0)
		return -1;
	if (m.type == MSG_vx_grant) {
		chan_set_state(vault, KEX_VAULT_GRANTED);
		return 0;
	}
	chan_set_state(vault, KEX_VAULT_ANSWERED);
	return fail(h, "refused");
}

/* KW and SF2; the client's CC proves that it holds both its keys. */
static int
confirm(struct hand *h)
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes flight;
	int rv;

	if (hs_server_make_kw(&h->hs, &out) != 0)
		rv = fail(h, h->hs.why);
	else
		rv = write_flight(h, &out);
	buf_free(&out);
	if (rv != 0 || read_flight(h, &flight) != 0)
		return -1;
	return hs_server_read_cc(&h->hs, flight) == 0 ? 0 :
	    fail(h, h->hs.why);
}

/*
 * With a ticket: SH, SF and CF.  Nothing is signed, so random_s need not be
 * keyd's; that this is no replay follows from the ticket, which is gone.
 */
static int
resume(struct hand *h)
{
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	uint8_t random_s[HS_RANDOM];
	struct bytes flight;
	int rv;

	crypto_random(random_s, sizeof(random_s));
	if (send_sh(h, random_s) != 0)
		return -1;
	if (hs_server_make_sf(&h->hs, &out) != 0)
		rv = fail(h, h->hs.why);
	else
		rv = write_flight(h, &out);
	buf_free(&out);
	if (rv != 0 || read_flight(h, &flight) != 0)
		return -1;
	return hs_server_read_cf(&h->hs, flight) == 0 ? 0 :
	    fail(h, h->hs.why);
}

/* Without one, all of it. */
static int
full(struct hand *h)
{
	if (answer_hello(h) != 0 || show_identity(h) != 0 ||
	    authenticate(h) != 0)
		return -1;
	return confirm(h);
}

static int
hand_over(struct hand *h)
{
	struct m_twin_secrets m = { .suite = h->hs.suite };
	struct m_xv_resumption r;
	struct hs_session s;
	int rv;

	if (hs_session(&h->hs, &s) != 0)
		return fail(h, "no session");
	memcpy(m.c_ap, s.c_ap, sizeof(m.c_ap));
	memcpy(m.s_ap, s.s_ap, sizeof(m.s_ap));
	memcpy(m.exporter, s.exporter, sizeof(m.exporter));
	memcpy(m.msgmac, s.msgmac, sizeof(m.msgmac));
	memcpy(m.session_id, s.session_id, sizeof(m.session_id));
	memcpy(r.resumption, s.resumption, sizeof(r.resumption));
	/* Before the twin can ask for it.  Without the vault it will end. */
	(void)chan_send(h->k->vault, MSG_xv_resumption, &r, -1);
	rv = chan_send(h->k->twin, MSG_twin_secrets, &m, h->fd);
	OPENSSL_cleanse(&s, sizeof(s));
	OPENSSL_cleanse(&m, sizeof(m));
	OPENSSL_cleanse(&r, sizeof(r));
	return rv == 0 ? 0 : fail(h, "the session worker is gone");
}

/*
 * The same few bytes whatever was wrong.  What the client still sends is read
 * and dropped for a moment, or the reset that answers it could overtake them.
 */
static void
refuse(struct hand *h)
{
	const struct bytes none = { NULL, 0 };
	struct buf out = BUF_INIT(RECORD_MAX);
	size_t max;
	ssize_t n;

	if (!h->keyed ||
	    record_seal(&h->tx, RECORD_CLOSE, none, 0, &out) != 0)
		goto out;
	h->end_ms = mono_ms() + LINGER_MS;
	if (write_client(h, &out) != 0 || shutdown(h->fd, SHUT_WR) != 0)
		goto out;
	while (h->budget > 0 && wait_fd(h, POLLIN) == 0) {
		max = h->budget < RECORD_MAX ? h->budget : RECORD_MAX;
		if ((n = recv(h->fd, h->rec, max, MSG_DONTWAIT)) <= 0)
			break;
		h->budget -= (size_t)n;
	}
out:
	buf_free(&out);
}

/* The client's socket, or -1 when none will come. */
static int
wait_client(const struct kex *k)
{
	struct pollfd pfd[] = {
		{ .fd = chan_fd(k->zygote), .events = POLLIN },
		{ .fd = chan_fd(k->keyd), .events = POLLIN },
		{ .fd = chan_fd(k->vault), .events = POLLIN },
	};
	const char *why;
	struct msg m;
	int r;

	while (poll(pfd, 3, -1) == -1)
		if (errno != EINTR)
			return -1;
	/* Neither of these two speaks first: it is gone, or breaks the rules. */
	if (pfd[1].revents != 0 && chan_recv(k->keyd, &m, 0, &why) == -1)
		accuse(k, "keyd", why);
	if (pfd[1].revents != 0 || pfd[2].revents != 0)
		return -1;
	if ((r = chan_recv(k->zygote, &m, 0, &why)) != 0) {
		if (r == -1)
			accuse(k, "zygote", why);
		return -1;
	}
	chan_set_state(k->zygote, ZYG_KEX_BUSY);
	return m.fd;
}

int
kex_run(const struct kex *k)
{
	struct hand h = { .k = k, .budget = KEX_BYTES_MAX };
	int rv;

	if ((h.fd = wait_client(k)) == -1)
		return 0;
	log_chan = k->vault;
	log_set_sink(log_to_vault);
	h.end_ms = mono_ms() + (uint64_t)k->grace_s * 1000;
	hs_server_init(&h.hs, 0);
	hs_suites(&h.hs, k->lowest_suite, HS_SUITE_BEST);
	rv = 1;
	if (read_hello(&h) == 0 && show_ticket(&h) == 0 &&
	    (h.resumed ? resume(&h) : full(&h)) == 0 && hand_over(&h) == 0)
		rv = 0;
	else {
		log_info("handshake: %s", h.why);
		refuse(&h);
	}
	log_set_sink(NULL);
	close(h.fd);
	hs_free(&h.hs);
	record_dir_free(&h.rx);
	record_dir_free(&h.tx);
	OPENSSL_cleanse(h.rec, sizeof(h.rec));
	return rv;
}
