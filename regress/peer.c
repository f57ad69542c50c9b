/*
 * peer: a client that tells its secrets and keeps the server waiting, for the
 * tests that look for secrets in processes and that break them in the middle.
 *
 *	peer [--stop-after connect|sh|kw] HOST[:PORT] KEY-FILE
 *
 * It trusts whatever key the server shows and prints "NAME HEX" lines: of its
 * key file, of the handshake as it goes, and of the session once that stands,
 * "session" last.  Each line of standard input is then a prompt (a first word
 * that ends in ':' names the model), answered with "answered" or "failed CODE
 * TEXT"; at its end the session is ended properly.
 *
 * With --stop-after it prints "stopped STEP" once it is connected, or has SH and
 * SA, or has KW, and goes on with the next line of standard input.
 *
 * The client's own code is linked with some functions wrapped (see Makefile);
 * no secret of the handshake is kept here, so that this process, too, can be
 * searched for what that code leaves behind.
 */
#include <sys/wait.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "appconn.h"
#include "cconf.h"
#include "exits.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"
#include "record.h"
#include "tcp.h"
#include "warmup.h"

#define LINE_BYTES	4096

int __real_EVP_PKEY_derive(EVP_PKEY_CTX *, unsigned char *, size_t *);
int __wrap_EVP_PKEY_derive(EVP_PKEY_CTX *, unsigned char *, size_t *);
int __real_hs_client_make_ca(struct hs *, struct bytes, struct bytes,
    struct bytes, struct buf *);
int __wrap_hs_client_make_ca(struct hs *, struct bytes, struct bytes,
    struct bytes, struct buf *);
int __real_keyd_unwrap(struct keyd *, const uint8_t *, struct bytes, uint8_t *);
int __wrap_keyd_unwrap(struct keyd *, const uint8_t *, struct bytes, uint8_t *);
int __real_hs_session(const struct hs *, struct hs_session *);
int __wrap_hs_session(const struct hs *, struct hs_session *);

static const char *stop_after = "";
static const char *key_file;
static uint8_t server_random[HS_RANDOM];

static void
print(const char *name, const void *p, size_t n)
{
	char hex[2 * 64 + 1];

	if (n > 64)
		fatalx("%s is too long", name);
	hex_encode(hex, p, n);
	printf("%s %s\n", name, hex);
	OPENSSL_cleanse(hex, sizeof(hex));
}

/* The next line of standard input without its end; -1 when there is none. */
static int
read_line(char line[LINE_BYTES])
{
	size_t n = 0;
	ssize_t r;

	while (n < LINE_BYTES - 1 && (r = read(0, line + n, 1)) == 1 &&
	    line[n] != '\n')
		n++;
	if (n == 0 && r != 1)
		return -1;
	line[n] = '\0';
	return 0;
}

static void
step(const char *name)
{
	char line[LINE_BYTES];

	if (fflush(stdout) != 0)
		fatal("stdout");
	if (strcmp(stop_after, name) != 0)
		return;
	printf("stopped %s\n", name);
	if (fflush(stdout) != 0)
		fatal("stdout");
	if (read_line(line) == -1)
		exit(0);
}

/* ---- what the client's code is made to tell ------------------------------ */

int
__wrap_EVP_PKEY_derive(EVP_PKEY_CTX *ctx, unsigned char *ss, size_t *n)
{
	int r = __real_EVP_PKEY_derive(ctx, ss, n);

	if (r == 1 && ss != NULL)
		print("ecdhe", ss, *n);
	return r;
}

int
__wrap_hs_client_make_ca(struct hs *hs, struct bytes spki, struct bytes wrap,
    struct bytes sig, struct buf *out)
{
	print("c_hs", hs->c_hs, HASH_LEN);
	print("s_hs", hs->s_hs, HASH_LEN);
	print("hs_secret", hs->hs_secret, HASH_LEN);
	memcpy(server_random, hs->random_s, sizeof(server_random));
	step("sh");
	return __real_hs_client_make_ca(hs, spki, wrap, sig, out);
}

/* The n-th key of the file, from 0. */
static EVP_PKEY *
private_key(int n)
{
	FILE *f = fopen(key_file, "re");
	EVP_PKEY *key = NULL;

	if (f == NULL)
		fatal("%s", key_file);
	for (int i = 0; i <= n; i++) {
		EVP_PKEY_free(key);
		if ((key = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL)
			fatalx("%s: key %d cannot be read", key_file, i);
	}
	(void)fclose(f);
	return key;
}

/* Run fn in a process of its own: what it knows is gone with it. */
static void
apart(void (*fn)(const void *), const void *arg)
{
	int status;
	pid_t pid;

	if (fflush(stdout) != 0 || (pid = fork()) == -1)
		fatal("fork");
	if (pid == 0) {
		fn(arg);
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fatalx("a helper process failed");
}

/* A prime of each private key, as OpenSSL has it in memory. */
static void
print_primes(const void *arg)
{
	static const char *const name[] = { "sign-key", "client-wrap-key",
	    "message-key" };
	uint8_t limbs[512];

	(void)arg;
	for (int i = 0; i < 3; i++) {
		BIGNUM *p = NULL;
		EVP_PKEY *key = private_key(i);

		if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR1,
		    &p) != 1 || BN_bn2lebinpad(p, limbs, sizeof(limbs)) == -1)
			fatalx("a key without primes");
		print(name[i], limbs, 64);
		BN_free(p);
		EVP_PKEY_free(key);
	}
}

struct wrapped {
	const struct keyd	*k;
	const uint8_t		*th_cf;
	struct bytes		 ct;
};

static void
print_w(const void *arg)
{
	const struct wrapped *x = arg;
	uint8_t label[HASH_LEN], w[HASH_LEN], none[HASH_LEN] = { 0 };
	EVP_PKEY *key = private_key(1);

	hs_wrap_label(label, x->k->random_c, server_random, x->th_cf);
	rsa_oaep_decrypt(w, key, label, x->ct, none);
	print("w", w, HASH_LEN);
	EVP_PKEY_free(key);
}

int
__wrap_keyd_unwrap(struct keyd *k, const uint8_t *th_cf, struct bytes ct,
    uint8_t *wd)
{
	struct wrapped x = { k, th_cf, ct };
	int rc;

	apart(print_w, &x);
	step("kw");
	if ((rc = __real_keyd_unwrap(k, th_cf, ct, wd)) == RC_OK)
		print("wd", wd, HASH_LEN);
	return rc;
}

int
__wrap_hs_session(const struct hs *hs, struct hs_session *s)
{
	int r = __real_hs_session(hs, s);

	if (r == 0)
		print("ms", hs->ms, HASH_LEN);
	return r;
}

static void
print_session(const struct hs_session *s)
{
	uint8_t key[32];

	print("c_ap", s->c_ap, HASH_LEN);
	print("s_ap", s->s_ap, HASH_LEN);
	kdf_xl(key, sizeof(key), s->c_ap, "key", bytes_of(NULL, 0));
	print("c_key", key, sizeof(key));
	kdf_xl(key, sizeof(key), s->s_ap, "key", bytes_of(NULL, 0));
	print("s_key", key, sizeof(key));
	print("msgmac", s->msgmac, HASH_LEN);
	print("exporter", s->exporter, HASH_LEN);
	print("resumption", s->resumption, HASH_LEN);
	printf("session\n");
	OPENSSL_cleanse(key, sizeof(key));
	if (fflush(stdout) != 0)
		fatal("stdout");
}

/* ---- the session --------------------------------------------------------- */

static int
trust_all(const struct server_id *id, void *arg)
{
	(void)id;
	(void)arg;
	return RC_OK;
}

static void
ask(struct appconn *ac, const char *line)
{
	static uint32_t req;
	struct m_c_prompt m = { .req = ++req };
	size_t n = strcspn(line, " ");

	if (n > 1 && line[n] == ' ' && line[n - 1] == ':') {
		m.model = bytes_of(line, n - 1);
		line += n + 1;
	}
	m.text = bytes_str(line);
	if (appconn_send(ac, MSG_c_prompt, &m) == -1)
		fatalx("the prompt cannot be sent");
}

static void
take(const struct msg *m)
{
	const struct m_s_error *e = &m->u.s_error;

	if (m->type == MSG_s_end)
		printf("answered\n");
	else if (m->type == MSG_s_error)
		printf("failed %u %.*s\n", e->code, (int)e->text.n,
		    (const char *)e->text.p);
	if (fflush(stdout) != 0)
		fatal("stdout");
}

static void
receive(int fd, struct appconn *ac)
{
	struct msg m;
	size_t room;
	uint8_t *p = appconn_room(ac, &room);
	ssize_t n = read(fd, p, room);

	if (n <= 0)
		fatalx("the server went away");
	appconn_arrived(ac, (size_t)n);
	while (appconn_next(ac, &m) == APPCONN_MESSAGE)
		take(&m);
	if (appconn_why(ac) != NULL)
		fatalx("%s", appconn_why(ac));
}

static void
flush(int fd, struct appconn *ac)
{
	struct bytes out = appconn_output(ac);

	if (out.n > 0 && tcp_write(fd, out, mono_ms() + 5000) == -1)
		fatalx("the server takes nothing");
	appconn_written(ac, out.n);
}

/* Until standard input ends. */
static void
serve(int fd, struct appconn *ac)
{
	struct pollfd pfd[2] = { { 0, POLLIN, 0 }, { fd, POLLIN, 0 } };
	char line[LINE_BYTES];

	for (;;) {
		if (poll(pfd, 2, -1) == -1)
			fatal("poll");
		if ((pfd[1].revents & POLLIN) != 0)
			receive(fd, ac);
		if (pfd[0].revents == 0)
			continue;
		if (read_line(line) == -1)
			return;
		ask(ac, line);
		OPENSSL_cleanse(line, sizeof(line));
		flush(fd, ac);
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
	if (argc == 5 && strcmp(argv[1], "--stop-after") == 0) {
		stop_after = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 3 || cconf_server_parse(&server, argv[1]) == -1)
		fatalx("usage: peer [--stop-after step] host[:port] key-file");
	key_file = argv[2];
	apart(print_primes, NULL);
	crypto_warmup();
	if (cconf_load(&conf, err, sizeof(err)) == -1)
		fatalx("%s", err);
	if (keyd_start(&keyd, &conf, key_file) != RC_OK ||
	    keyd_open(&keyd) != RC_OK)
		return 1;
	if ((h.fd = tcp_connect(&server, 10000, err, sizeof(err))) == -1)
		fatalx("%s", err);
	step("connect");
	h.server = server.text;
	h.keyd = &keyd;
	h.trust = trust_all;
	if (handshake_run(&h) != RC_OK)
		return 1;
	keyd_stop(&keyd);
	print_session(&h.session);
	ac = appconn_new(END_A, h.session.suite, h.session.c_ap, h.session.s_ap,
	    h.session.msgmac);
	OPENSSL_cleanse(&h.session, sizeof(h.session));
	serve(h.fd, ac);
	if (appconn_close(ac) == -1)
		fatalx("the session could not be ended");
	flush(h.fd, ac);
	return 0;
}
