/*
 * ticket: a client that resumes sessions in every way that there is, for
 * t_resume.sh and t_secrets.sh.
 *
 *	ticket HOST[:PORT] KEY-FILE		commands on standard input
 *
 *	open		a whole handshake, and the session's ticket
 *	next		the ticket of the session that stands
 *	suspend end drop break	end the session: SUSPEND and CLOSE, CLOSE, no
 *			word at all, bytes that are no record
 *	resume		with the ticket, which is not forgotten
 *	save, load	keep the ticket aside, take it up again
 *	race N		N connections that show the same ticket at the same time
 *	spoil WHAT	a resumption with something changed: binder, id, psk,
 *			suite, sf (ours is not read right), cf, cflong
 *	flip N		N resumptions, each with one bit of CH changed on its way,
 *			behind a mac1 that is made anew
 *	secrets		print what must be found, or not found, in memory
 *
 * Each prints one line: what became of it.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "appconn.h"
#include "cconf.h"
#include "exits.h"
#include "handshake.h"
#include "hs_local.h"
#include "log.h"
#include "loop.h"
#include "record.h"
#include "tcp.h"
#include "warmup.h"

#define LINE_BYTES	256
#define WAIT_MS		20000
#define SF_WIRE		RECORD_WIRE(RECORD_INNER_HDR + HS_MAC_LEN)
#define WAVE		100

static struct cconf conf;
static struct cconf_server server;
static const char *key_file;

/* The session that stands, and what is left of it. */
static int fd = -1;
static struct appconn *app;
static uint8_t server_hash[HASH_LEN];
static uint8_t suite;
static uint8_t resumption[HASH_LEN];
static struct hs_ticket ticket, aside;
static uint32_t requests;

/* One attempt. */
struct try {
	int		 fd;
	struct hs	 hs;
	struct buf	 ch;
};

static void
say(const char *what)
{
	printf("%s\n", what);
	if (fflush(stdout) != 0)
		fatal("stdout");
}

static int
dial(void)
{
	char err[512];
	int s = tcp_connect(&server, 10000, err, sizeof(err));

	if (s == -1)
		fatalx("%s", err);
	return s;
}

/*
 * From an address of loopback that was not used before, so that the many attempts
 * here are no one source's.
 */
static int
dial_anew(void)
{
	static uint32_t last;
	const int on = 1;
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (last++ == 0)
		last = (uint32_t)getpid() << 8 & 0xffff00;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (last & 0x7fffff));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)server.port);
	if (s == -1 || bind(s, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(s, (struct sockaddr *)&to, sizeof(to)) == -1 ||
	    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    fcntl(s, F_SETFL, O_NONBLOCK) == -1)
		fatal("connect");
	return s;
}

static int
trust_all(const struct server_id *id, void *arg)
{
	(void)id;
	(void)arg;
	return RC_OK;
}

static void
forget_session(void)
{
	appconn_free(app);
	app = NULL;
	if (fd != -1)
		close(fd);
	fd = -1;
	OPENSSL_cleanse(resumption, sizeof(resumption));
}

static void
begin(int s, const struct hs_session *secrets)
{
	forget_session();
	fd = s;
	app = appconn_new(END_A, secrets->suite, secrets->c_ap, secrets->s_ap,
	    secrets->msgmac);
	memcpy(resumption, secrets->resumption, sizeof(resumption));
}

/* ---- the session --------------------------------------------------------- */

static void
send_msg(enum msg_type type, const void *body)
{
	struct bytes out;

	if (appconn_send(app, type, body) == -1)
		fatalx("%s", appconn_why(app));
	out = appconn_output(app);
	if (tcp_write(fd, out, mono_ms() + WAIT_MS) == -1)
		fatal("write");
	appconn_written(app, out.n);
}

/* The next message; false at the session's end. */
static bool
receive(struct msg *m)
{
	struct pollfd p = { fd, POLLIN, 0 };
	enum appconn_result r;
	uint8_t *room;
	size_t max;
	ssize_t n;

	while ((r = appconn_next(app, m)) == APPCONN_AGAIN) {
		if (poll(&p, 1, WAIT_MS) != 1)
			return false;
		room = appconn_room(app, &max);
		if ((n = read(fd, room, max)) <= 0)
			return false;
		appconn_arrived(app, (size_t)n);
	}
	return r == APPCONN_MESSAGE;
}

static void
next(void)
{
	struct m_c_ticket q = { .req = ++requests };
	struct msg m;

	send_msg(MSG_c_ticket, &q);
	while (receive(&m)) {
		if (m.type == MSG_s_error) {
			say("no ticket");
			return;
		}
		if (m.type != MSG_s_ticket)
			continue;
		memcpy(ticket.id, m.u.s_ticket.ticket, HASH_LEN);
		hs_ticket_psk(ticket.psk, resumption, ticket.id);
		ticket.suite = suite;
		OPENSSL_cleanse(resumption, sizeof(resumption));
		OPENSSL_cleanse(&m, sizeof(m));
		say("ticket");
		return;
	}
	say("the session ended");
}

static void
open_session(void)
{
	struct handshake h = { .server = server.text, .trust = trust_all };
	struct keyd keyd = { 0 };

	if (keyd_start(&keyd, &conf, key_file) != RC_OK ||
	    keyd_open(&keyd) != RC_OK)
		exit(1);
	h.fd = dial();
	h.keyd = &keyd;
	if (handshake_run(&h) != RC_OK) {
		close(h.fd);
		keyd_stop(&keyd);
		say("refused");
		return;
	}
	keyd_stop(&keyd);
	memcpy(server_hash, h.server_hash, HASH_LEN);
	suite = h.suite;
	begin(h.fd, &h.session);
	OPENSSL_cleanse(&h.session, sizeof(h.session));
	next();
}

static void
end(const char *how)
{
	struct m_c_suspend q = { .req = ++requests };
	struct bytes out;
	struct msg m;

	if (app == NULL) {
		say("no session");
		return;
	}
	if (strcmp(how, "suspend") == 0) {
		send_msg(MSG_c_suspend, &q);
		while (receive(&m) && m.type != MSG_s_done)
			;
	}
	if (strcmp(how, "break") == 0) {
		if (write(fd, "GET / HTTP/1.0\r\n\r\n", 18) != 18)
			fatal("write");
		while (receive(&m))
			;
	} else if (strcmp(how, "drop") != 0) {
		if (appconn_close(app) == -1)
			fatalx("no CLOSE");
		out = appconn_output(app);
		(void)tcp_write(fd, out, mono_ms() + WAIT_MS);
		while (receive(&m))
			;
	}
	forget_session();
	say("ended");
}

/* ---- resumptions ----------------------------------------------------------- */

static void
try_begin(struct try *t, const struct hs_ticket *with)
{
	uint8_t random_c[HS_RANDOM];

	crypto_random(random_c, sizeof(random_c));
	buf_init(&t->ch, HS_CH_LEN);
	hs_client_init(&t->hs, 0);
	if (hs_client_resume(&t->hs, with) == -1 ||
	    hs_client_make_ch(&t->hs, random_c, server_hash, &t->ch) == -1)
		fatalx("%s", t->hs.why);
	t->fd = dial_anew();
}

static void
try_send(struct try *t)
{
	if (tcp_write(t->fd, buf_bytes(&t->ch), mono_ms() + WAIT_MS) == -1)
		fatal("write");
}

/*
 * What the server makes of CH: "resumed", with rec the whole record of SF; "full"
 * when a whole handshake follows; "silence".
 */
static const char *
try_answer(struct try *t, uint8_t rec[RECORD_MAX])
{
	uint8_t sh[HS_SH_LEN_S2];
	uint64_t end_ms = mono_ms() + WAIT_MS;
	size_t got, len, total;

	if (tcp_read(t->fd, sh, HS_MSG_HDR, &got, end_ms) != 0)
		return "silence";
	if ((len = hs_clear_len(sh, HS_SH)) == 0 || tcp_read(t->fd,
	    sh + HS_MSG_HDR, len - HS_MSG_HDR, &got, end_ms) != 0)
		return "nonsense";
	(void)hs_client_read_sh(&t->hs, bytes_of(sh, len));
	if (tcp_read(t->fd, rec, RECORD_HDR, &got, end_ms) != 0 ||
	    record_frame(bytes_of(rec, RECORD_HDR), &total) == -1)
		return "nonsense";
	if (total != SF_WIRE)
		return "full";
	return tcp_read(t->fd, rec + RECORD_HDR, SF_WIRE - RECORD_HDR, &got,
	    end_ms) == 0 ? "resumed" : "nonsense";
}

static void
try_end(struct try *t)
{
	if (t->fd != -1)
		close(t->fd);
	hs_free(&t->hs);
	buf_free(&t->ch);
}

/* SF and CF, changed or not; what came of it. */
static const char *
finish(struct try *t, uint8_t rec[RECORD_MAX], const char *spoil)
{
	struct buf cf = BUF_INIT(HS_FLIGHT_MAX), out = BUF_INIT(RECORD_MAX);
	struct record_dir rx, tx;
	struct hs_session s;
	enum record_type type;
	struct bytes flight;
	const char *what = "resumed";
	struct msg m;

	record_dir_init(&rx, t->hs.s_hs, RECORD_EPOCH_HS);
	record_dir_init(&tx, t->hs.c_hs, RECORD_EPOCH_HS);
	if (record_open(&rx, rec, SF_WIRE, &type, &flight) == -1 ||
	    hs_client_read_sf(&t->hs, flight) == -1)
		what = "SF is wrong";
	else if (hs_client_make_cf(&t->hs, &cf) == -1)
		what = "CF cannot be made";
	else {
		if (strcmp(spoil, "cf") == 0)
			cf.p[cf.n - 1] ^= 1;
		if (strcmp(spoil, "cflong") == 0)
			buf_u8(&cf, 0);
		if (record_seal(&tx, RECORD_HANDSHAKE, buf_bytes(&cf), 0,
		    &out) == -1 || tcp_write(t->fd, buf_bytes(&out),
		    mono_ms() + WAIT_MS) == -1 || hs_session(&t->hs, &s) == -1)
			fatalx("CF");
		begin(t->fd, &s);
		t->fd = -1;
		OPENSSL_cleanse(&s, sizeof(s));
		if (!receive(&m)) {
			what = "refused";
			forget_session();
		} else if (m.type != MSG_s_hello)
			what = "nonsense";
	}
	record_dir_free(&rx);
	record_dir_free(&tx);
	buf_free(&cf);
	buf_free(&out);
	return what;
}

static void
resume(const char *spoil)
{
	struct hs_ticket with = ticket;
	uint8_t rec[RECORD_MAX];
	const char *what;
	struct try t;

	if (strcmp(spoil, "id") == 0)
		with.id[7] ^= 1;
	if (strcmp(spoil, "psk") == 0)
		with.psk[7] ^= 1;
	try_begin(&t, &with);
	if (strcmp(spoil, "binder") == 0) {
		uint8_t id[HASH_LEN];
		uint8_t *p;

		if (hs_ch_ticket(buf_bytes(&t.ch), id) == -1 || (p =
		    memmem(t.ch.p, t.ch.n, id, sizeof(id))) == NULL)
			fatalx("no ticket in CH");
		p[HASH_LEN + 3] ^= 1;
		hs_mac1(t.ch.p + HS_CH_LEN - HS_MAC1, t.ch.p, server_hash);
	}
	try_send(&t);
	what = try_answer(&t, rec);
	if (strcmp(what, "resumed") == 0)
		what = finish(&t, rec, spoil);
	try_end(&t);
	OPENSSL_cleanse(&with, sizeof(with));
	say(what);
}

/* Each racer has its own CH; all of them are there before any answer is read. */
static void
race(int n)
{
	static struct try t[WAVE];
	uint8_t rec[RECORD_MAX];
	int resumed = 0, full = 0, other = 0;
	const char *what;

	for (int done = 0, m; done < n; done += m) {
		m = n - done < WAVE ? n - done : WAVE;
		for (int i = 0; i < m; i++)
			try_begin(&t[i], &ticket);
		for (int i = 0; i < m; i++)
			try_send(&t[i]);
		for (int i = 0; i < m; i++) {
			what = try_answer(&t[i], rec);
			resumed += strcmp(what, "resumed") == 0;
			full += strcmp(what, "full") == 0;
			other += strcmp(what, "resumed") != 0 &&
			    strcmp(what, "full") != 0;
			try_end(&t[i]);
		}
	}
	printf("race: %d resumed, %d full, %d other\n", resumed, full, other);
	say("raced");
}

/* Bits spread over all of CH; none may be resumed, nor cost the ticket. */
static void
flip(int n)
{
	uint8_t rec[RECORD_MAX];
	int resumed = 0;
	struct try t;

	for (int i = 0; i < n; i++) {
		size_t bit = (size_t)i * 8 * (HS_CH_LEN - HS_MAC1) / (size_t)n +
		    (size_t)i % 8;

		try_begin(&t, &ticket);
		t.ch.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		hs_mac1(t.ch.p + HS_CH_LEN - HS_MAC1, t.ch.p, server_hash);
		try_send(&t);
		resumed += strcmp(try_answer(&t, rec), "resumed") == 0;
		try_end(&t);
	}
	printf("flip: %d resumed\n", resumed);
	say("flipped");
}

static void
secrets(void)
{
	char hex[2 * HASH_LEN + 1];

	hex_encode(hex, ticket.psk, HASH_LEN);
	printf("psk %s\n", hex);
	OPENSSL_cleanse(hex, sizeof(hex));
	say("secrets");
}

static void
command(char *line)
{
	char *arg = strchr(line, ' ');

	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(line, "open") == 0)
		open_session();
	else if (strcmp(line, "next") == 0)
		next();
	else if (strcmp(line, "suspend") == 0 || strcmp(line, "end") == 0 ||
	    strcmp(line, "drop") == 0 || strcmp(line, "break") == 0)
		end(line);
	else if (strcmp(line, "resume") == 0)
		resume("");
	else if (strcmp(line, "spoil") == 0 && arg != NULL)
		resume(arg);
	else if (strcmp(line, "race") == 0 && arg != NULL)
		race(atoi(arg));
	else if (strcmp(line, "flip") == 0 && arg != NULL)
		flip(atoi(arg));
	else if (strcmp(line, "save") == 0) {
		aside = ticket;
		say("saved");
	} else if (strcmp(line, "load") == 0) {
		ticket = aside;
		say("loaded");
	} else if (strcmp(line, "secrets") == 0)
		secrets();
	else
		fatalx("no command: %s", line);
}

int
main(int argc, char **argv)
{
	char line[LINE_BYTES], err[512];
	size_t n = 0;

	log_set_name("ticket");
	if (argc != 3 || cconf_server_parse(&server, argv[1]) == -1)
		fatalx("usage: ticket host[:port] key-file");
	key_file = argv[2];
	crypto_warmup();
	if (cconf_load(&conf, err, sizeof(err)) == -1)
		fatalx("%s", err);
	/* Not by stdio: a command may wait for as long as it likes. */
	while (read(0, line + n, 1) == 1) {
		if (line[n] != '\n') {
			if (++n == sizeof(line))
				fatalx("a line too long");
			continue;
		}
		line[n] = '\0';
		n = 0;
		command(line);
	}
	if (app != NULL)
		end("end");
	OPENSSL_cleanse(&ticket, sizeof(ticket));
	OPENSSL_cleanse(&aside, sizeof(aside));
	return 0;
}
