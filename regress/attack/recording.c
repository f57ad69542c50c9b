#include "attack.h"

#include <string.h>

#include <openssl/crypto.h>

/*
 * 34: a recording of everything that was on the wire, and every RSA key of both
 * ends, private halves included.  What is missing is the ephemeral keys.
 */
struct thief {
	uint8_t		th_sh[HASH_LEN];
	uint8_t		random_c[HS_RANDOM], random_s[HS_RANDOM];
	struct buf	server;		/* the server's records: SA, KW ... */
	struct buf	client;
};

/* Whether the handshake secret opens the first record of both directions. */
static bool
opens(const struct thief *t, const uint8_t hs_secret[HASH_LEN])
{
	uint8_t secret[HASH_LEN], rec[RECORD_MAX];
	const struct buf *side[2] = { &t->server, &t->client };
	struct bytes th = bytes_of(t->th_sh, HASH_LEN), content;
	enum record_type type;
	struct record_dir d;
	size_t total;
	bool any = false;

	for (int i = 0; i < 2; i++) {
		kdf_xl(secret, sizeof(secret), hs_secret,
		    i == 0 ? "s hs" : "c hs", th);
		record_dir_init(&d, secret, RECORD_EPOCH_HS);
		if (record_frame(buf_bytes(side[i]), &total) != 1)
			fatalx("no recording");
		memcpy(rec, side[i]->p, total);
		any |= record_open(&d, rec, total, &type, &content) == 0;
		record_dir_free(&d);
	}
	return any;
}

/* What a guess of the shared secret makes of it. */
static bool
opens_by(const struct thief *t, struct bytes ss)
{
	static const uint8_t zero[HASH_LEN];
	uint8_t es[HASH_LEN], derived[HASH_LEN], hs[HASH_LEN];

	kdf_extract(bytes_of(zero, HASH_LEN), bytes_of(zero, HASH_LEN), es);
	kdf_xl(derived, sizeof(derived), es, "derived", bytes_of(NULL, 0));
	kdf_extract(bytes_of(derived, HASH_LEN), ss, hs);
	return opens(t, hs);
}

/* An RSA ciphertext that is in the recording would be found at some place. */
static void
unwrap_everywhere(const struct thief *t, const struct buf *b, EVP_PKEY *wrap,
    const uint8_t th_cf[HASH_LEN], const uint8_t w[HASH_LEN])
{
	static const uint8_t reject[HASH_LEN];
	uint8_t label[HASH_LEN], got[HASH_LEN];
	size_t size = rsa_size(wrap);

	/* Even the label is known to this thief. */
	hs_wrap_label(label, t->random_c, t->random_s, th_cf);
	for (size_t at = 0; at + size <= b->n; at++) {
		rsa_oaep_decrypt(got, wrap, label, bytes_of(b->p + at, size),
		    reject);
		tried(memcmp(got, w, HASH_LEN) != 0 &&
		    !opens_by(t, bytes_of(got, HASH_LEN)),
		    "the wrapping is at byte %zu", at);
	}
}

void
attack_recording(void)
{
	struct thief t = { .server = BUF_INIT(65536),
	    .client = BUF_INIT(65536) };
	uint8_t hash[HASH_LEN], guess[2 * HASH_LEN], never[HASH_LEN] = { 1 };
	uint8_t true_secret[HASH_LEN];
	struct victim v;
	struct serve s;
	int port, lfd = listen_any(&port);

	rsa_fingerprint(hash, buf_bytes(&world.mallory.spki[KEYD_SIGN]));
	victim_start(&v, &world.alice, port, hash, false);
	serve_begin(&s, lfd);
	serve_sh(&s, NULL);
	memcpy(true_secret, s.hs.hs_secret, HASH_LEN);
	s.sent = &t.server;
	if (!serve_login(&s))
		fatalx("alice does not come in");
	/* Its CC is the last that came. */
	buf_put(&t.client, s.rec, s.rec_n);
	memcpy(t.th_sh, s.hs.th_sh, HASH_LEN);
	memcpy(t.random_c, s.hs.random_c, HS_RANDOM);
	memcpy(t.random_s, s.hs.random_s, HS_RANDOM);
	/* The control: with the ephemeral keys the first record opens. */
	tried(opens(&t, true_secret), "the thief has the right recording");
	/* The other keys sign: OpenSSL opens nothing by them. */
	unwrap_everywhere(&t, &t.server, world.alice.key[KEYD_WRAP],
	    s.hs.th_cf, never);
	memset(guess, 0, sizeof(guess));
	tried(!opens_by(&t, bytes_of(guess, HASH_LEN)), "a secret of zeros");
	tried(!opens_by(&t, bytes_of(guess, sizeof(guess))),
	    "a long secret of zeros");
	tried(!opens_by(&t, bytes_of(t.random_c, HS_RANDOM)), "random_c");
	tried(!opens_by(&t, bytes_of(t.random_s, HS_RANDOM)), "random_s");
	tried(!opens_by(&t, bytes_of(s.hs.peer_share, HS_X25519)),
	    "the client's share");
	tried(!opens_by(&t, bytes_of(s.sh.p + 41, HS_X25519)),
	    "the server's share");
	serve_end(&s);
	victim_end(&v);
	buf_free(&t.server);
	buf_free(&t.client);
}
