#include "attack.h"

#include <sys/socket.h>

#include <string.h>
#include <unistd.h>

#include "both.h"

/* ---- 1, 2: who does not even know the server ----------------------------- */

void
attack_random_bytes(void)
{
	static const char *const begin[] = {
		"", "\1\0\7\374", "\1\0\7\374\0\1\1\1", "GET / HTTP/1.1\r\n\r\n",
		"SSH-2.0-x\r\n", "\26\3\1\2\0\1\0\1\374\3\3", "\27\0\4\0", "\2\0\0\107"
	};
	static const size_t lens[] = { 0, 4, 8, 18, 11, 11, 4, 4 };
	uint8_t junk[4096];
	uint16_t n;

	for (size_t i = 0; i < 96; i++) {
		size_t b = i % 8, len = lens[b];
		int fd = dial(world.port);

		crypto_random(&n, sizeof(n));
		crypto_random(junk, sizeof(junk));
		memcpy(junk, begin[b], len);
		n = (uint16_t)(n % sizeof(junk));
		put(fd, bytes_of(junk, n < len ? len : n));
		(void)shutdown(fd, SHUT_WR);	/* it may be over already */
		tried(silent(fd), "%u bytes that begin as number %zu", n, b);
		(void)close(fd);
	}
}

static void
mac1_try(const uint8_t *pin, int flip, const char *what)
{
	struct play p;

	play_begin(&p, &world.alice, world.pin);
	play_mac1(&p.ch, pin);
	if (flip >= 0)
		p.ch.p[HS_CH_LEN - HS_MAC1 + flip / 8] ^=
		    (uint8_t)(1 << flip % 8);
	tried(play_hello(&p) == ANSWER_END, "mac1: %s, bit %d", what, flip);
	play_end(&p);
}

/* With `first_contact = no' the zero key opens nothing either. */
void
attack_mac1(void)
{
	uint8_t other[HASH_LEN];

	for (int bit = 0; bit < HS_MAC1 * 8; bit++)
		mac1_try(world.pin, bit, "one bit wrong");
	for (int i = 0; i < 16; i++) {
		crypto_random(other, sizeof(other));
		mac1_try(other, -1, "for another server");
	}
	rsa_fingerprint(other, buf_bytes(&world.alice.spki[KEYD_SIGN]));
	mac1_try(other, -1, "for a client's key");
	mac1_try(NULL, -1, "for no server");
}

/* ---- 3: replays ---------------------------------------------------------- */

void
attack_replayed_ch(void)
{
	struct buf ca = BUF_INIT(RECORD_MAX);
	struct play p, r;
	uint8_t seen[16][HS_SH_LEN_S2];

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	p.sent = &ca;
	play_good_ca(&p);
	p.sent = NULL;
	if (play_record(&p) != ANSWER_FLIGHT || !play_confirm(&p))
		fatalx("the recorded handshake fails");
	if (ca.n == 0)
		fatalx("nothing was recorded");
	for (int i = 0; i < 16; i++) {
		play_begin(&r, &world.alice, world.pin);
		buf_reset(&r.ch);
		buf_put(&r.ch, p.ch.p, p.ch.n);
		/* The thief lacks the ephemeral key, and reads nothing. */
		put(r.fd, buf_bytes(&r.ch));
		if (get(r.fd, seen[i], p.sh.n) != (ssize_t)p.sh.n)
			fatalx("no SH in answer to a replay");
		for (int k = 0; k < i; k++)
			tried(memcmp(seen[i], seen[k], p.sh.n) != 0,
			    "replays %d and %d get the same SH", i, k);
		tried(memcmp(seen[i], p.sh.p, p.sh.n) != 0,
		    "replay %d gets the SH of the original", i);
		put(r.fd, buf_bytes(&ca));
		/* SA, and then nothing but the refusal. */
		if (get(r.fd, r.rec, RECORD_HDR) != RECORD_HDR ||
		    record_frame(bytes_of(r.rec, RECORD_HDR), &r.rec_n) == -1)
			fatalx("no SA in answer to a replay");
		(void)get(r.fd, r.rec, r.rec_n - RECORD_HDR);
		tried(get(r.fd, r.rec, sizeof(r.rec)) ==
		    RECORD_WIRE(RECORD_INNER_HDR),
		    "replay %d gets more than the refusal", i);
		play_end(&r);
	}
	play_end(&p);
	buf_free(&ca);
}

/* ---- 8, 9: shares that are none ------------------------------------------ */

void
attack_low_order(void)
{
	struct play p;

	for (size_t i = 0; i < POINTS; i++) {
		play_begin(&p, &world.alice, world.pin);
		if (hex_decode(p.ch.p + share_at(p.ch.p), HS_X25519,
		    points[i]) == -1)
			fatalx("not a point");
		play_mac1(&p.ch, world.pin);
		tried(play_hello(&p) == ANSWER_END, "CH with point %zu", i);
		play_end(&p);
	}
	low_order_sh();
}

/* A CH that offers suite 2, with an ML-KEM key of n bytes. */
static enum answer
ch_mlkem(size_t n, uint8_t fill)
{
	static const uint8_t suites[] = { 2, HS_SUITE_HYBRID, HS_SUITE_X25519 };
	uint8_t key[2000];
	struct play p;
	enum answer a;

	play_begin(&p, &world.alice, world.pin);
	memset(key, fill, sizeof(key));
	buf_reset(&p.ch);
	buf_u8(&p.ch, HS_CH);
	buf_u24(&p.ch, HS_CH_LEN - HS_MSG_HDR);
	buf_u16(&p.ch, HS_VERSION);
	buf_put(&p.ch, suites, sizeof(suites));
	buf_put(&p.ch, p.hs.random_c, HS_RANDOM);
	buf_v16(&p.ch, bytes_of(p.hs.random_c, HS_X25519));
	buf_v16(&p.ch, bytes_of(key, n));
	buf_zero(&p.ch, HS_CH_LEN - p.ch.n);
	play_mac1(&p.ch, world.pin);
	put(p.fd, buf_bytes(&p.ch));
	a = get(p.fd, key, 1) == 0 ? ANSWER_END : ANSWER_OTHER;
	play_end(&p);
	return a;
}

void
attack_mlkem(void)
{
	static const size_t wrong[] = { 0, 1, 32, 1088, 1183, 1185, 1800 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		tried(ch_mlkem(wrong[i], 0) == ANSWER_END,
		    "an ML-KEM key of %zu bytes", wrong[i]);
	/* Coefficients of 3329 and more; who lacks suite 2 does not look. */
	if (MLKEM_BUILT)
		tried(ch_mlkem(MLKEM_KEY, 0xff) == ANSWER_END,
		    "an ML-KEM key that is none");
	mlkem_sh();
}

/* ---- 39: what workers draw ----------------------------------------------- */

#define AT_ONCE	24
#define ROUNDS	8

void
attack_randoms(void)
{
	static uint8_t seen[AT_ONCE * ROUNDS][2][HS_RANDOM];
	static struct play p[AT_ONCE];
	size_t n = 0;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < AT_ONCE; i++)
			play_begin(&p[i], &world.alice, world.pin);
		/* All of them at the same moment. */
		for (int i = 0; i < AT_ONCE; i++)
			put(p[i].fd, buf_bytes(&p[i].ch));
		for (int i = 0; i < AT_ONCE; i++) {
			buf_reset(&p[i].ch);
			if (play_hello(&p[i]) != ANSWER_FLIGHT)
				fatalx("no SH");
			memcpy(seen[n][0], p[i].hs.random_s, HS_RANDOM);
			memcpy(seen[n++][1], p[i].hs.peer_share, HS_RANDOM);
			play_end(&p[i]);
		}
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < 2; k++) {
			bool fresh = true;

			for (size_t j = 0; j < i; j++)
				if (memcmp(seen[i][k], seen[j][0],
				    HS_RANDOM) == 0 || memcmp(seen[i][k],
				    seen[j][1], HS_RANDOM) == 0)
					fresh = false;
			tried(fresh, "%s of connection %zu was there before",
			    k == 0 ? "random_s" : "the share", i);
		}
}
