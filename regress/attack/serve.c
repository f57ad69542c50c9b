#include "attack.h"

#include <sys/wait.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a real client ------------------------------------------------------- */

static void
know(const struct user *u, int port, const uint8_t *known, bool suite2)
{
	char path[1024], text[RSA_FP_TEXT];
	FILE *f;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/known_servers", u->home);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    0600)) == -1 || (f = fdopen(fd, "w")) == NULL)
		fatal("%s", path);
	if (known != NULL) {
		rsa_fingerprint_text(text, known);
		if (fprintf(f, "127.0.0.1:%d %s%s\n", port, text,
		    suite2 ? " suite2" : "") < 0)
			fatal("%s", path);
	}
	if (fclose(f) != 0)
		fatal("%s", path);
}

static _Noreturn void
be_client(const struct user *u, int port, int out)
{
	char program[1024], where[64];
	int null = open("/dev/null", O_RDONLY);

	(void)snprintf(program, sizeof(program), "%s/cloister", world.bin);
	(void)snprintf(where, sizeof(where), "127.0.0.1:%d", port);
	if (null == -1 || dup2(null, 0) == -1 || dup2(out, 1) == -1 ||
	    dup2(out, 2) == -1 || setenv("CLOISTER_HOME", u->home, 1) == -1 ||
	    setenv("CLOISTER_LIBEXEC", world.bin, 1) == -1)
		fatal("the client's surroundings");
	/* No terminal: a question is answered by "no". */
	(void)setsid();
	(void)execl(program, "cloister", "-H", where, "ask", "hello", NULL);
	fatal("%s", program);
}

void
victim_start(struct victim *v, const struct user *u, int port,
    const uint8_t *known, bool suite2)
{
	int out[2];

	know(u, port, known, suite2);
	memset(v, 0, sizeof(*v));
	(void)snprintf(v->port, sizeof(v->port), ":%d", port);
	if (pipe2(out, O_CLOEXEC) == -1 || (v->pid = fork()) == -1)
		fatal("fork");
	if (v->pid == 0)
		be_client(u, port, out[1]);
	(void)close(out[1]);
	v->out = out[0];
}

void
victim_end(struct victim *v)
{
	int status;
	ssize_t n;
	char *p;

	while (v->n < sizeof(v->text) - 1 && (n = read(v->out, v->text + v->n,
	    sizeof(v->text) - 1 - v->n)) > 0)
		v->n += (size_t)n;
	v->text[v->n] = '\0';
	while ((p = strstr(v->text, v->port)) != NULL) {
		memmove(p, p + strlen(v->port), strlen(p + strlen(v->port)) + 1);
		v->n -= strlen(v->port);
	}
	(void)close(v->out);
	if (waitpid(v->pid, &status, 0) != v->pid)
		fatal("waitpid");
	v->status = WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

/* ---- a server ------------------------------------------------------------ */

void
serve_begin(struct serve *s, int lfd)
{
	struct bytes ch = bytes_of(s->ch, sizeof(s->ch));
	uint8_t hash[HASH_LEN];

	memset(s, 0, sizeof(*s));
	s->fd = take(lfd);
	(void)close(lfd);
	buf_init(&s->sh, HS_SH_LEN_S2);
	if (get(s->fd, s->ch, sizeof(s->ch)) != sizeof(s->ch))
		fatalx("the client sends no CH");
	rsa_fingerprint(hash, buf_bytes(&world.mallory.spki[KEYD_SIGN]));
	hs_server_init(&s->hs, 0);
	if (hs_server_read_ch(&s->hs, ch, hash, true) == HS_OK)
		return;
	/* A CH for another server: take it all the same. */
	hs_free(&s->hs);
	hs_server_init(&s->hs, 0);
	if (hs_server_read_ch(&s->hs, ch, world.pin, true) != HS_OK)
		fatalx("CH: %s", s->hs.why);
	memcpy(s->hs.server_hash, hash, HASH_LEN);
}

void
serve_sh(struct serve *s, const uint8_t *random_s)
{
	uint8_t any[HS_RANDOM];

	crypto_random(any, sizeof(any));
	if (hs_server_make_sh(&s->hs, random_s != NULL ? random_s : any,
	    &s->sh) != 0)
		fatalx("SH: %s", s->hs.why);
	record_dir_init(&s->rx, s->hs.c_hs, RECORD_EPOCH_HS);
	record_dir_init(&s->tx, s->hs.s_hs, RECORD_EPOCH_HS);
}

void
serve_end(struct serve *s)
{
	(void)close(s->fd);
	hs_free(&s->hs);
	record_dir_free(&s->rx);
	record_dir_free(&s->tx);
	buf_free(&s->sh);
}

void
serve_hello(struct serve *s)
{
	put(s->fd, buf_bytes(&s->sh));
}

void
serve_put(struct serve *s, enum record_type type, struct bytes content)
{
	struct buf b = BUF_INIT(RECORD_MAX);

	if (record_seal(&s->tx, type, content, 0, &b) == -1)
		fatalx("a record of type %d cannot be sealed", type);
	if (s->sent != NULL)
		buf_put(s->sent, b.p, b.n);
	put(s->fd, buf_bytes(&b));
	buf_free(&b);
}

void
serve_identity(struct serve *s)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes none = { NULL, 0 };

	hs_tbs_server(&tbs, s->hs.suite, s->hs.random_s, s->hs.th_sh,
	    s->hs.server_hash, none);
	if (rsa_pss_sign(&sig, world.mallory.key[KEYD_SIGN],
	    buf_bytes(&tbs)) == -1 ||
	    hs_server_make_sa(&s->hs, buf_bytes(&world.mallory.spki[KEYD_SIGN]),
	    none, buf_bytes(&sig), &f) != 0)
		fatalx("SA: %s", s->hs.why);
	serve_put(s, RECORD_HANDSHAKE, buf_bytes(&f));
	buf_free(&tbs);
	buf_free(&sig);
	buf_free(&f);
}

bool
serve_record(struct serve *s)
{
	enum record_type type;
	size_t total;
	ssize_t n;

	if ((n = get(s->fd, s->rec, RECORD_HDR)) == 0)
		return false;
	if (n != RECORD_HDR ||
	    record_frame(bytes_of(s->rec, RECORD_HDR), &total) == -1 ||
	    get(s->fd, s->rec + RECORD_HDR, total - RECORD_HDR) !=
	    (ssize_t)(total - RECORD_HDR))
		fatalx("the client sends something else than a record");
	s->rec_n = total;
	memcpy(s->open, s->rec, total);
	if (record_open(&s->rx, s->open, total, &type, &s->flight) == -1)
		fatalx("the client's record does not open");
	return true;
}

bool
serve_login(struct serve *s)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	bool ok = false;

	serve_hello(s);
	serve_identity(s);
	if (serve_record(s) &&
	    hs_server_read_ca(&s->hs, s->flight, &s->ca) == 0 &&
	    hs_server_make_kw(&s->hs, &f) == 0) {
		serve_put(s, RECORD_HANDSHAKE, buf_bytes(&f));
		ok = serve_record(s) &&
		    hs_server_read_cc(&s->hs, s->flight) == 0 &&
		    hs_session(&s->hs, &s->session) == 0;
	}
	buf_free(&f);
	return ok;
}

size_t
serve_rest(struct serve *s)
{
	uint8_t junk[4096];
	size_t total = 0;
	ssize_t n;

	while ((n = get(s->fd, junk, sizeof(junk))) > 0) {
		total += (size_t)n;
		if ((size_t)n < sizeof(junk))
			break;
	}
	if (n == -1)
		fatalx("the client does not end");
	return total;
}
