/*
 * peer: a client that tells its session's secrets, for the tests that look for
 * them in other processes.
 *
 *	peer HOST[:PORT] KEY-FILE
 *
 * It trusts whatever key the server shows, prints "NAME HEX" lines once the
 * session stands, waits for the end of standard input, and ends the session
 * properly.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "appconn.h"
#include "cconf.h"
#include "exits.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"
#include "record.h"
#include "tcp.h"
#include "warmup.h"

static int
trust_all(const uint8_t fp[HASH_LEN], int suite, void *arg)
{
	(void)fp;
	(void)suite;
	(void)arg;
	return RC_OK;
}

static void
print(const char *name, const void *p, size_t n)
{
	char hex[2 * HASH_LEN + 1];

	hex_encode(hex, p, n);
	printf("%s %s\n", name, hex);
}

static void
print_secrets(const struct hs_session *s)
{
	uint8_t key[32];

	print("c_ap", s->c_ap, HASH_LEN);
	print("s_ap", s->s_ap, HASH_LEN);
	kdf_xl(key, sizeof(key), s->c_ap, "key", bytes_of(NULL, 0));
	print("c_key", key, sizeof(key));
	kdf_xl(key, sizeof(key), s->s_ap, "key", bytes_of(NULL, 0));
	print("s_key", key, sizeof(key));
	print("msgmac", s->msgmac, HASH_LEN);
	if (fflush(stdout) != 0)
		fatal("stdout");
}

/* Until standard input ends; what the server says is checked and dropped. */
static void
linger(int fd, struct appconn *ac)
{
	struct pollfd pfd[2] = { { 0, POLLIN, 0 }, { fd, POLLIN, 0 } };
	struct msg m;
	char junk[64];

	for (;;) {
		if (poll(pfd, 2, -1) == -1)
			fatal("poll");
		if ((pfd[1].revents & POLLIN) != 0) {
			size_t room;
			uint8_t *p = appconn_room(ac, &room);
			ssize_t n = read(fd, p, room);

			if (n <= 0)
				fatalx("the server went away");
			appconn_arrived(ac, (size_t)n);
			while (appconn_next(ac, &m) == APPCONN_MESSAGE)
				;
			if (appconn_why(ac) != NULL)
				fatalx("%s", appconn_why(ac));
		}
		if (pfd[0].revents != 0 && read(0, junk, sizeof(junk)) <= 0)
			return;
	}
}

int
main(int argc, char **argv)
{
	struct cconf conf;
	struct cconf_server server;
	struct keyd keyd = { 0 };
	struct handshake h = { 0 };
	struct appconn *ac;
	char err[512];

	log_set_name("peer");
	if (argc != 3 || cconf_server_parse(&server, argv[1]) == -1)
		fatalx("usage: peer host[:port] key-file");
	crypto_warmup();
	if (cconf_load(&conf, err, sizeof(err)) == -1)
		fatalx("%s", err);
	if (keyd_start(&keyd, &conf, argv[2]) != RC_OK ||
	    keyd_open(&keyd) != RC_OK)
		return 1;
	if ((h.fd = tcp_connect(&server, 10000, err, sizeof(err))) == -1)
		fatalx("%s", err);
	h.server = server.text;
	h.keyd = &keyd;
	h.trust = trust_all;
	if (handshake_run(&h) != RC_OK)
		return 1;
	print_secrets(&h.session);
	ac = appconn_new(END_A, h.session.c_ap, h.session.s_ap,
	    h.session.msgmac);
	linger(h.fd, ac);
	if (appconn_close(ac) == -1 || tcp_write(h.fd, appconn_output(ac),
	    mono_ms() + 5000) == -1)
		fatalx("the session could not be ended");
	keyd_stop(&keyd);
	return 0;
}
