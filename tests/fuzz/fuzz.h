/*
 * What the fuzzers share: libFuzzer's entry points, seeds, and messages made of
 * a fuzzer's input.  A fuzzer is one file that defines
 *
 *	fuzz_setup()	once, before the first input
 *	fuzz_seeds()	call fuzz_seed() for each valid input
 *	fuzz_one()	take one input; abort when something is not as it must be
 *
 * With FUZZ_SEEDS=DIRECTORY a fuzzer writes its seeds there and ends.  Code under
 * test that dies by fatal() aborts: the programs are linked with --wrap=_exit.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "chan.h"
#include "log.h"
#include "loop.h"
#include "msg.h"

#define FZ_UNUSED __attribute__((unused))

static void fuzz_setup(void);
static void fuzz_seeds(void);
static void fuzz_one(struct bytes in);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

/* What must hold whatever the input is. */
#define need(cond) do {							\
	if (!(cond)) {							\
		(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
		abort();						\
	}								\
} while (0)

static const char *fz_seed_dir;

/* A seed: a few bytes that choose, then a body. */
FZ_UNUSED static void
fuzz_seed(const void *head, size_t head_n, struct bytes body)
{
	static int count;
	char path[4096];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/seed-%03d", fz_seed_dir, count++);
	need((f = fopen(path, "w")) != NULL);
	need(fwrite(head, 1, head_n, f) == head_n);
	need(fwrite(body.p, 1, body.n, f) == body.n);
	need(fclose(f) == 0);
}

static char fz_last_error[1024];

static void
fz_no_log(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	(void)event;
	(void)session;
	(void)user;
	if (level == LOG_L_ERR)
		(void)strlcpy(fz_last_error, text, sizeof(fz_last_error));
}

void
__wrap__exit(int status)
{
	(void)fprintf(stderr, "_exit(%d): %s\n", status, fz_last_error);
	abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
	(void)msg_desc(0);
	fuzz_setup();
	if ((fz_seed_dir = getenv("FUZZ_SEEDS")) != NULL) {
		fuzz_seeds();
		__real__exit(0);
	}
	log_set_sink(fz_no_log);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	fuzz_one(bytes_of(p, n));
	return 0;
}

/* ---- values made of the input ---------------------------------------------- */

/* A number that is small more often than not. */
FZ_UNUSED static uint64_t
fz_num(struct rd *in)
{
	uint8_t k = rd_u8(in);

	if (k < 0xe0)
		return k;
	if (k < 0xfc)
		return (UINT64_C(1) << (4 * (k & 15))) - (k >= 0xf0);
	return rd_u64(in);
}

/* Values of 16 and 32 bytes that mean something to the code under test. */
static const uint8_t *fz_known[8];

/* Memory for the strings of one message. */
static uint8_t fz_arena[2 * MSG_APP_MAX_BYTES];
static size_t fz_arena_n;

/* A string of at most max bytes; text is mostly ASCII. */
static struct bytes
fz_string(struct rd *in, size_t max, bool text)
{
	uint64_t len = fz_num(in);
	size_t n = (size_t)len, have;
	uint8_t *p = fz_arena + fz_arena_n;

	if (len > max)		/* now and then the longest that is allowed */
		n = len >> 60 != 0 ? max : (size_t)(len % 97 % (max + 1));
	if (n > sizeof(fz_arena) - fz_arena_n)
		n = 0;
	have = n < in->n ? n : in->n;
	memset(p, 'x', n);
	if (have > 0)
		memcpy(p, rd_bytes(in, have).p, have);
	for (size_t i = 0; text && i < have; i++)
		if (p[i] == 0 || (p[i] >= 0x80 && !bytes_utf8(bytes_of(p, n))))
			p[i] = 'a' + p[i] % 26;
	fz_arena_n += n;
	return bytes_of(p, n);
}

static void
fz_fixed(struct rd *in, uint8_t *dst, size_t n)
{
	uint8_t k = rd_u8(in);

	memset(dst, k, n);
	if (k > 0 && k <= 8 && n <= 32 && fz_known[k - 1] != NULL)
		memcpy(dst, fz_known[k - 1], n);
}

static void
fz_field(struct rd *in, const struct msg_field *f, uint8_t *body)
{
	uint8_t *p = body + f->offset;
	struct bytes s;
	uint64_t v;

	switch (f->kind) {
	case MF_U8:
	case MF_U16:
	case MF_U32:
	case MF_U64:
		v = fz_num(in);
		memcpy(p, &v, (size_t)1 << (f->kind - MF_U8));
		break;
	case MF_FIX:
		fz_fixed(in, p, f->max);
		break;
	case MF_BYTES:
	case MF_TEXT:
		s = fz_string(in, f->max, f->kind == MF_TEXT);
		memcpy(p, &s, sizeof(s));
		break;
	}
}

/* Any message of a channel in one direction; its type is chosen by the input. */
FZ_UNUSED static enum msg_type
fz_msg(struct rd *in, enum chan_kind kind, enum msg_dir dir, struct msg *m)
{
	enum msg_type of[MSG_TYPES];
	const struct msg_desc *d;
	size_t n = 0;

	for (int t = 0; t < MSG_TYPES; t++)
		if (msg_desc(t)->kind == kind && msg_desc(t)->dir == dir)
			of[n++] = (enum msg_type)t;
	need(n > 0);
	memset(m, 0, sizeof(*m));
	m->type = of[rd_u8(in) % n];
	m->fd = -1;
	fz_arena_n = 0;
	d = msg_desc(m->type);
	for (size_t i = 0; i < d->nfields; i++)
		fz_field(in, &d->fields[i], (uint8_t *)&m->u);
	return m->type;
}

/* The number by which fz_msg() chooses this type. */
FZ_UNUSED static uint8_t
fz_choice(enum msg_type type)
{
	const struct msg_desc *d = msg_desc(type), *o;
	uint8_t n = 0;

	for (int t = 0; t < (int)type; t++) {
		o = msg_desc(t);
		n += o->kind == d->kind && o->dir == d->dir;
	}
	return n;
}

/*
 * For seeds: append what makes fz_msg() choose this type and these fields: words
 * which are a number below 224, or a string behind a colon.
 */
FZ_UNUSED static void
fz_script(struct buf *b, enum msg_type type, const char *fields)
{
	char *copy = strdup(fields), *pos = copy, *w;

	need(copy != NULL);
	buf_u8(b, fz_choice(type));
	while ((w = strsep(&pos, " ")) != NULL) {
		if (w[0] == ':') {
			buf_u8(b, (uint8_t)strlen(w + 1));
			buf_str(b, w + 1);
		} else if (w[0] != '\0')
			buf_u8(b, (uint8_t)atoi(w));
	}
	free(copy);
}

/* ---- sockets -------------------------------------------------------------- */

/* Send a datagram, with a descriptor if fd is not -1; a full socket loses it. */
FZ_UNUSED static void
fz_send(int sock, struct bytes wire, int fd)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)wire.p,
	    .iov_len = wire.n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (fd != -1) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.buf;
		mh.msg_controllen = sizeof(ctl.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	(void)sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Receive a datagram: its length, 0 at the end, -1 when there is none.  *fd is
 * the descriptor that came with it, or -1.
 */
FZ_UNUSED static ssize_t
fz_recv(int sock, uint8_t *p, size_t n, int *fd)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	struct cmsghdr *cm;
	ssize_t r = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (r >= 0 && (cm = CMSG_FIRSTHDR(&mh)) != NULL)
		memcpy(fd, CMSG_DATA(cm), sizeof(int));
	return r;
}

/*
 * The next message of the code under test, checked as its peer would: 0 with *m,
 * or -1 when there is none.  Memory is valid until the next call.
 */
FZ_UNUSED static int
fz_next(int sock, enum chan_kind kind, enum chan_end end, struct msg *m)
{
	static uint8_t wire[MSG_MAX_BYTES + 1];
	enum msg_verdict v;
	ssize_t n;
	int fd;

	if ((n = fz_recv(sock, wire, sizeof(wire), &fd)) <= 0)
		return -1;
	v = msg_decode(bytes_of(wire, (size_t)n), kind, end, ~0u, m);
	need(v == MSG_OK);
	m->fd = fd;
	need((fd != -1) == msg_desc(m->type)->has_fd);
	return 0;
}

/* Throw away what came. */
FZ_UNUSED static void
fz_drain(int sock, enum chan_kind kind, enum chan_end end)
{
	struct msg m;

	while (fz_next(sock, kind, end, &m) == 0)
		if (m.fd != -1)
			close(m.fd);
}

/*
 * Send one message as the peer at the end `from`: one of the channel's, or any
 * bytes.  make_fd, unless NULL, makes the descriptor for a type that needs one.
 */
FZ_UNUSED static void
fz_say(struct rd *in, int sock, enum chan_kind kind, enum chan_end from,
    int (*make_fd)(void))
{
	struct buf wire = BUF_INIT(MSG_MAX_BYTES);
	struct msg m;
	int fd = -1;

	if (in->n > 0 && in->p[0] == 0xff) {
		struct bytes raw;

		(void)rd_u8(in);
		raw = fz_string(in, MSG_MAX_BYTES, false);
		fz_arena_n = 0;
		fz_send(sock, raw, -1);
		return;
	}
	(void)fz_msg(in, kind, from == END_A ? AB : BA, &m);
	if (msg_encode(m.type, &m.u, &wire) == 0) {
		if (msg_desc(m.type)->has_fd)
			fd = make_fd != NULL ? make_fd() :
			    open("/dev/null", O_RDWR | O_CLOEXEC);
		fz_send(sock, buf_bytes(&wire), fd);
		if (fd != -1)
			close(fd);
	}
	buf_free(&wire);
}

/* Append the encoding of a message that the test itself makes. */
FZ_UNUSED static void
fz_tell(int sock, enum msg_type type, const void *body, int fd)
{
	struct buf wire = BUF_INIT(MSG_MAX_BYTES);

	need(msg_encode(type, body, &wire) == 0);
	fz_send(sock, buf_bytes(&wire), fd);
	buf_free(&wire);
}

/* ---- loops ---------------------------------------------------------------- */

/* Something that is always ready: the loop never sleeps. */
struct fz_ticker {
	struct loop	*loop;
	struct loop_io	*io;
	int		 fd;
	int		 left;
	void		(*tick)(void *);	/* NULL: stop after `left' */
	void		*arg;
};

static void
fz_on_tick(uint32_t events, void *arg)
{
	struct fz_ticker *t = arg;

	(void)events;
	if (t->tick != NULL)
		t->tick(t->arg);
	else if (--t->left <= 0)
		loop_stop(t->loop);
}

FZ_UNUSED static void
fz_ticker_start(struct fz_ticker *t, struct loop *l)
{
	memset(t, 0, sizeof(*t));
	t->loop = l;
	need((t->fd = eventfd(1, EFD_CLOEXEC)) != -1);
	t->io = loop_io_new(l, t->fd, EPOLLIN, fz_on_tick, t);
}

FZ_UNUSED static void
fz_ticker_stop(struct fz_ticker *t)
{
	loop_io_free(t->io);
	close(t->fd);
}

/* Let the loop go round n times. */
FZ_UNUSED static void
fz_spin(struct fz_ticker *t, int n)
{
	t->left = n;
	loop_run(t->loop);
}

/* ---- files ---------------------------------------------------------------- */

/* Make the file hold exactly these bytes, read from its start next. */
FZ_UNUSED static void
fz_fill(int fd, struct bytes b)
{
	need(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	need(pwrite(fd, b.p, b.n, 0) == (ssize_t)b.n);
}

#endif
