#include "attack.h"

#include <sys/socket.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Somebody between a real client and the real server. */
struct middle {
	struct victim	v;
	int		c, s;		/* the two connections */
	uint8_t		msg[RECORD_MAX];	/* the one that is passed on */
	size_t		n;
};

enum step { STEP_CH, STEP_SH, STEP_SA, STEP_CA, STEP_KW, STEP_CC, STEPS };

static void
middle_begin(struct middle *m, bool suite2)
{
	int port, lfd = listen_any(&port);

	victim_start(&m->v, &world.alice, port, world.pin, suite2);
	m->c = take(lfd);
	(void)close(lfd);
	m->s = dial(world.port);
}

static void
middle_end(struct middle *m)
{
	(void)close(m->c);
	(void)close(m->s);
	victim_end(&m->v);
}

/* Read the message of a step; false when its sender ends instead. */
static bool
step_read(struct middle *m, enum step step)
{
	bool by_client = step == STEP_CH || step == STEP_CA || step == STEP_CC;
	int fd = by_client ? m->c : m->s;
	size_t total = HS_CH_LEN;
	ssize_t n = get(fd, m->msg, 4);

	if (n == 0)
		return false;
	if (n != 4)
		fatalx("a step that hangs");
	if (step == STEP_SH)
		total = hs_clear_len(m->msg, HS_SH);
	else if (step != STEP_CH &&
	    record_frame(bytes_of(m->msg, 4), &total) == -1)
		fatalx("not a record");
	m->n = total;
	return get(fd, m->msg + 4, total - 4) == (ssize_t)(total - 4);
}

static void
step_pass(struct middle *m, enum step step)
{
	put(step == STEP_CH || step == STEP_CA || step == STEP_CC ? m->s : m->c,
	    bytes_of(m->msg, m->n));
}

/* Pass everything on until both have ended. */
static void
pump(struct middle *m)
{
	struct pollfd pfd[2] = { { m->c, POLLIN, 0 }, { m->s, POLLIN, 0 } };
	ssize_t n;

	while (pfd[0].fd != -1 || pfd[1].fd != -1) {
		if (poll(pfd, 2, WAIT_MS) <= 0)
			fatalx("a connection that hangs");
		for (int i = 0; i < 2; i++) {
			int to = i == 0 ? m->s : m->c;

			if (pfd[i].fd == -1 || pfd[i].revents == 0)
				continue;
			n = recv(pfd[i].fd, m->msg, sizeof(m->msg), 0);
			if (n > 0) {
				put(to, bytes_of(m->msg, (size_t)n));
				continue;
			}
			pfd[i].fd = -1;
			(void)shutdown(to, SHUT_WR);
		}
	}
}

/* ---- 7: a bit of any message ------------------------------------------------- */

/* Flip it; with mac1, that of CH is put right again. */
static void
flip(enum step at, size_t bit, bool mac1)
{
	struct middle m;
	struct buf ch;

	middle_begin(&m, false);
	for (enum step step = STEP_CH; step <= at; step++) {
		if (!step_read(&m, step))
			fatalx("step %d does not come", (int)step);
		if (step == at) {
			bit %= m.n * 8;
			m.msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		if (step == at && mac1) {
			ch.p = m.msg;
			play_mac1(&ch, world.pin);
		}
		step_pass(&m, step);
	}
	if (bit / 8 < 4) {
		/* The rest of what is longer now never comes. */
		(void)shutdown(m.c, SHUT_RDWR);
		(void)shutdown(m.s, SHUT_RDWR);
	} else
		pump(&m);
	middle_end(&m);
	tried(m.v.status != RC_OK && strstr(m.v.text, "hello\n") == NULL,
	    "step %d, bit %zu%s: status %d: %s", (int)at, bit,
	    mac1 ? ", mac1 right" : "", m.v.status, m.v.text);
}

void
attack_flip(void)
{
	struct middle m;
	uint32_t bit;

	/* The control: what is passed on as it is. */
	middle_begin(&m, false);
	pump(&m);
	middle_end(&m);
	tried(m.v.status == RC_OK && strstr(m.v.text, "hello") != NULL,
	    "nothing flipped: status %d: %s", m.v.status, m.v.text);
	for (enum step step = STEP_CH; step < STEPS; step++)
		for (int i = 0; i < 10; i++) {
			crypto_random(&bit, sizeof(bit));
			/* Headers and ends, too. */
			flip(step, i < 2 ? (uint32_t)i * 19 : bit,
			    step == STEP_CH && i % 2 == 1);
		}
}

/* ---- 5: suite 2 taken out ---------------------------------------------------- */

/* The offer is rewritten for suite 1 alone, its mac1 right. */
static void
strip_offer(void)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	struct middle m;
	struct rd r;

	middle_begin(&m, false);
	if (!step_read(&m, STEP_CH))
		fatalx("no CH");
	r = rd_of(bytes_of(m.msg + 7, m.n - 7));
	(void)rd_bytes(&r, m.msg[6]);
	buf_put(&ch, m.msg, 6);
	buf_u8(&ch, 1);
	buf_u8(&ch, HS_SUITE_X25519);
	buf_put(&ch, r.p, HS_RANDOM);
	(void)rd_bytes(&r, HS_RANDOM);
	buf_v16(&ch, rd_v16(&r, HS_X25519));
	(void)rd_v16(&r, MLKEM_KEY);
	buf_v16(&ch, bytes_of(NULL, 0));
	/* What a build without suite 2 sends is changed in its ticket field. */
	if (m.msg[6] == 1)
		m.msg[r.p - m.msg] ^= 1;
	buf_put(&ch, r.p, 2 * HASH_LEN);
	buf_zero(&ch, HS_CH_LEN - ch.n);
	play_mac1(&ch, world.pin);
	put(m.s, buf_bytes(&ch));
	pump(&m);
	middle_end(&m);
	tried(m.v.status == RC_LOST, "the offer rewritten: status %d: %s",
	    m.v.status, m.v.text);
	buf_free(&ch);
}

/* A server that has lost suite 2 since: the client says nothing of itself. */
static void
lost_suite(void)
{
	uint8_t hash[HASH_LEN];
	struct victim v;
	struct serve s;
	size_t more;
	int port, lfd = listen_any(&port);

	rsa_fingerprint(hash, buf_bytes(&world.mallory.spki[KEYD_SIGN]));
	victim_start(&v, &world.alice, port, hash, true);
	serve_begin(&s, lfd);
	s.hs.suite = HS_SUITE_X25519;
	serve_sh(&s, NULL);
	serve_hello(&s);
	serve_identity(&s);
	more = serve_rest(&s);
	serve_end(&s);
	victim_end(&v);
	tried(v.status == RC_SERVER_KEY && more == 0, "suite 1 after suite 2: "
	    "status %d, %zu bytes more: %s", v.status, more, v.text);
}

void
attack_strip_suite(void)
{
	for (int i = 0; i < 4; i++)
		strip_offer();
	for (int i = 0; i < 4; i++)
		lost_suite();
}

/* ---- 10: other shares --------------------------------------------------------- */

/*
 * Both agree with somebody between them, who reads and writes under both keys, and
 * passes on the true SA with a right SF.
 */
void
attack_swap_shares(void)
{
	for (int i = 0; i < 4; i++) {
		struct buf f = BUF_INIT(HS_FLIGHT_MAX);
		struct victim v;
		struct serve s;
		struct play p;
		struct bytes msg;
		struct rd r;
		size_t more;
		int port, lfd = listen_any(&port);

		victim_start(&v, &world.alice, port, world.pin, false);
		serve_begin(&s, lfd);
		play_begin_with(&p, &world.alice, world.pin, s.hs.random_c);
		if (play_hello(&p) != ANSWER_FLIGHT ||
		    play_record(&p) != ANSWER_FLIGHT)
			fatalx("the real server does not answer");
		serve_sh(&s, p.hs.random_s);
		serve_hello(&s);
		r = rd_of(p.flight);
		(void)hs_msg_next(&r, HS_SA, &msg);
		buf_put(&f, msg.p, msg.n);
		hs_absorb(&s.hs, msg);
		if (hs_make_mac(&s.hs, &f, HS_SF, s.hs.s_hs, "finished") != 0)
			fatalx("SF");
		serve_put(&s, RECORD_HANDSHAKE, buf_bytes(&f));
		more = serve_rest(&s);
		serve_end(&s);
		play_end(&p);
		victim_end(&v);
		tried(v.status == RC_LOST && more == 0,
		    "status %d, %zu bytes more: %s", v.status, more, v.text);
		buf_free(&f);
	}
}
