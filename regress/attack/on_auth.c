#include "attack.h"

#include <string.h>

#include "both.h"

/*
 * After SH every refusal is the same; nothing but a step further, which must
 * not be, and that can be told by the client.
 */
static void
refused(struct play *p, const char *what)
{
	enum answer a = play_record(p);

	tried(a == ANSWER_CLOSE, "%s: answer %d", what, (int)a);
	play_end(p);
}

/* ---- 13: reflection ------------------------------------------------------- */

void
attack_reflect(void)
{
	struct play p;

	/* The server's own flight, as it came. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	put(p.fd, bytes_of(p.rec, p.rec_n));
	refused(&p, "SA comes back");
	/* And under the client's key. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	play_put(&p, RECORD_HANDSHAKE, p.flight);
	refused(&p, "SA comes back under the client's key");
	/* SH in place of CH: that is not a CH. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	put(p.fd, buf_bytes(&p.sh));
	refused(&p, "SH comes back");
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	put(p.fd, buf_bytes(&p.ch));
	refused(&p, "CH again");
	/* KW as CC. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	play_good_ca(&p);
	if (play_record(&p) != ANSWER_FLIGHT)
		fatalx("no KW");
	put(p.fd, bytes_of(p.rec, p.rec_n));
	refused(&p, "KW comes back");
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	play_good_ca(&p);
	if (play_record(&p) != ANSWER_FLIGHT)
		fatalx("no KW");
	play_put(&p, RECORD_HANDSHAKE, p.flight);
	refused(&p, "KW comes back under the client's key");
	reflect_to_client();
}

/* ---- 14, 15, 18: signatures for something else ---------------------------- */

static void
with_signature(struct play *p, struct buf *sig, const char *what)
{
	play_ca(p, buf_bytes(&world.alice.spki[KEYD_SIGN]),
	    buf_bytes(&world.alice.spki[KEYD_WRAP]), buf_bytes(sig));
	refused(p, what);
	buf_free(sig);
}

void
attack_old_signature(void)
{
	struct buf old = BUF_INIT(RSA_OUT_MAX), sig;
	struct play first, p;

	play_begin(&first, &world.alice, world.pin);
	play_until_ca(&first);
	play_sign(&first, buf_bytes(&world.alice.spki[KEYD_WRAP]), &old);
	for (int i = 0; i < 8; i++) {
		play_begin(&p, &world.alice, world.pin);
		if (i % 2 == 0) {	/* the same random_c */
			hs_free(&p.hs);
			hs_client_init(&p.hs, 0);
			buf_reset(&p.ch);
			if (hs_client_make_ch(&p.hs, first.hs.random_c,
			    world.pin, &p.ch) == -1)
				fatalx("CH");
		}
		play_until_ca(&p);
		buf_init(&sig, RSA_OUT_MAX);
		buf_put(&sig, old.p, old.n);
		with_signature(&p, &sig, "a signature of another handshake");
	}
	play_end(&first);
	buf_free(&old);
}

void
attack_other_wrap(void)
{
	const struct user *from[] = { &world.bob, &world.mallory };
	struct play p;

	for (int i = 0; i < 2; i++) {
		struct bytes wrap = buf_bytes(&from[i]->spki[KEYD_WRAP]);
		struct buf sig = BUF_INIT(RSA_OUT_MAX);

		/* Truly signed, by the holder of the enrolled key. */
		play_begin(&p, &world.alice, world.pin);
		play_until_ca(&p);
		play_sign(&p, wrap, &sig);
		play_ca(&p, buf_bytes(&world.alice.spki[KEYD_SIGN]), wrap,
		    buf_bytes(&sig));
		refused(&p, "another's wrap key, signed");
		buf_reset(&sig);
		/* And exchanged by somebody else. */
		play_begin(&p, &world.alice, world.pin);
		play_until_ca(&p);
		play_sign(&p, buf_bytes(&world.alice.spki[KEYD_WRAP]), &sig);
		play_ca(&p, buf_bytes(&world.alice.spki[KEYD_SIGN]), wrap,
		    buf_bytes(&sig));
		refused(&p, "another's wrap key, not signed");
		buf_free(&sig);
	}
}

/* Alice's signature over what a client does not sign. */
static void
over(const char *what, int how)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct bytes none = { NULL, 0 };
	uint8_t spki[HASH_LEN], wrap[HASH_LEN];
	EVP_PKEY *key = world.alice.key[KEYD_SIGN];
	struct play p;

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	rsa_fingerprint(spki, buf_bytes(&world.alice.spki[KEYD_SIGN]));
	rsa_fingerprint(wrap, buf_bytes(&world.alice.spki[KEYD_WRAP]));
	if (how == 0)
		hs_tbs_server(&tbs, p.hs.suite, p.hs.random_s, p.hs.th_sh,
		    spki, none);
	else if (how == 1)
		buf_put(&tbs, p.hs.th_sf, HASH_LEN);
	else
		hs_tbs_client(&tbs, how == 2 ? 3 - p.hs.suite : p.hs.suite,
		    p.hs.random_c, how == 3 ? p.hs.random_c : p.hs.random_s,
		    how == 4 ? p.hs.th_sh : p.hs.th_sf, spki, wrap,
		    how == 5 ? spki : p.hs.server_hash, hs_no_cert);
	if (how == 6)	/* one letter of the context */
		tbs.p[64] ^= 0x20;
	if (how == 7)
		key = world.alice.key[KEYD_MESSAGE];
	if (rsa_pss_sign(&sig, key, buf_bytes(&tbs)) == -1)
		crypto_fatalx("a signature");
	with_signature(&p, &sig, what);
	buf_free(&tbs);
}

void
attack_contexts(void)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	struct bytes sa, msg;
	struct rd r, body;
	struct play p;

	over("a server's bytes", 0);
	over("the transcript alone", 1);
	over("another suite", 2);
	over("another random_s", 3);
	over("another transcript", 4);
	over("another server", 5);
	over("another context", 6);
	over("the message key", 7);
	/* The server's own signature. */
	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	r = rd_of(p.flight);
	body = hs_msg_next(&r, HS_SA, &msg);
	(void)rd_v16(&body, RSA_SPKI_MAX);
	(void)rd_bytes(&body, body.n - 2 - 384);
	sa = rd_v16(&body, RSA_OUT_MAX);
	if (body.err || sa.n != 384)
		fatalx("no signature in SA");
	buf_put(&sig, sa.p, sa.n);
	with_signature(&p, &sig, "the server's signature");
}

/* ---- 16: whoever is refused ----------------------------------------------- */

/* A handshake with good messages by these keys; how it ends. */
static enum answer
login_answer(const struct user *u, struct play *p)
{
	play_begin(p, u, world.pin);
	play_until_ca(p);
	play_good_ca(p);
	return play_record(p);
}

/*
 * Every answer is compared with the one constant record, sealed here, byte for
 * byte.  bob is disabled and alice's key revoked before this is run.
 */
void
attack_unknown(void)
{
	const struct user *who[] = { &world.mallory, &world.alice, &world.bob };
	const char *const name[] = { "unknown", "revoked", "disabled" };
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	struct play p;

	for (int i = 0; i < 12; i++) {
		enum answer a = login_answer(who[i % 3], &p);

		tried(a == ANSWER_CLOSE, "%s: answer %d", name[i % 3], (int)a);
		play_end(&p);
	}
	/* A wrong signature of each of them, as well. */
	for (int i = 0; i < 3; i++) {
		play_begin(&p, who[i], world.pin);
		play_until_ca(&p);
		buf_reset(&sig);
		play_sign(&p, buf_bytes(&who[i]->spki[KEYD_WRAP]), &sig);
		sig.p[100] ^= 1;
		play_ca(&p, buf_bytes(&who[i]->spki[KEYD_SIGN]),
		    buf_bytes(&who[i]->spki[KEYD_WRAP]), buf_bytes(&sig));
		refused(&p, name[i]);
	}
	buf_free(&sig);
}

/* ---- 24: messages out of place -------------------------------------------- */

/* The messages of a good CA, CF in f. */
static void
make_ca(struct play *p, struct buf *f)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);

	play_sign(p, buf_bytes(&world.alice.spki[KEYD_WRAP]), &sig);
	if (hs_client_make_ca(&p->hs, buf_bytes(&world.alice.spki[KEYD_SIGN]),
	    buf_bytes(&world.alice.spki[KEYD_WRAP]), buf_bytes(&sig), f) == -1)
		fatalx("CA: %s", p->hs.why);
	buf_free(&sig);
}

static void
out_of_place(int how, const char *what)
{
	static const uint8_t hello[] = { HS_CC, 0, 0, HASH_LEN };
	struct buf f = BUF_INIT(RECORD_MAX), g = BUF_INIT(RECORD_MAX);
	struct play p;
	size_t ca;

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	make_ca(&p, &f);
	ca = f.n - HS_MSG_HDR - HASH_LEN;	/* CF is behind */
	switch (how) {
	case 0:
		play_put(&p, RECORD_HANDSHAKE, bytes_of(f.p, ca));
		break;
	case 1:
		play_put(&p, RECORD_HANDSHAKE, bytes_of(f.p + ca, f.n - ca));
		break;
	case 2:
		buf_put(&g, f.p + ca, f.n - ca);
		buf_put(&g, f.p, ca);
		break;
	case 3:
		buf_put(&g, f.p, f.n);
		buf_put(&g, f.p, f.n);
		break;
	case 4:
		buf_put(&g, f.p, f.n);
		buf_put(&g, hello, sizeof(hello));
		buf_zero(&g, HASH_LEN);
		break;
	case 5:
		buf_put(&g, hello, sizeof(hello));
		buf_put(&g, p.hs.th_cf, HASH_LEN);
		break;
	case 6:
		play_put(&p, RECORD_APP, buf_bytes(&f));
		break;
	case 7:
		play_put(&p, RECORD_APP_MORE, buf_bytes(&f));
		break;
	case 8:
		play_put(&p, RECORD_DUMMY, bytes_of(NULL, 0));
		break;
	case 9:
		play_put(&p, RECORD_REKEY, bytes_of(NULL, 0));
		break;
	case 10:
		play_put(&p, RECORD_CLOSE, bytes_of(NULL, 0));
		break;
	case 11:
		put(p.fd, buf_bytes(&f));	/* in clear */
		break;
	case 12:
		play_put(&p, RECORD_STREAM, buf_bytes(&f));
		break;
	}
	if (g.n > 0)
		play_put(&p, RECORD_HANDSHAKE, buf_bytes(&g));
	refused(&p, what);
	buf_free(&f);
	buf_free(&g);
}

/* After KW, what is not CC. */
static void
not_cc(int how, const char *what)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	struct play p;

	play_begin(&p, &world.alice, world.pin);
	play_until_ca(&p);
	make_ca(&p, &f);
	play_put(&p, RECORD_HANDSHAKE, buf_bytes(&f));
	if (play_record(&p) != ANSWER_FLIGHT)
		fatalx("no KW");
	if (how == 0)
		play_put(&p, RECORD_HANDSHAKE, buf_bytes(&f));
	else if (how == 1) {
		buf_reset(&f);
		buf_u8(&f, HS_CC);
		buf_u24(&f, HASH_LEN);
		buf_zero(&f, HASH_LEN);
		play_put(&p, RECORD_HANDSHAKE, buf_bytes(&f));
	} else if (how == 2) {
		/* Application data under the handshake's key. */
		play_put(&p, RECORD_APP, bytes_str("c_ping"));
	} else {
		record_dir_free(&p.tx);
		record_dir_init(&p.tx, p.hs.c_hs, RECORD_EPOCH_AP);
		play_put(&p, RECORD_APP, bytes_str("c_ping"));
	}
	refused(&p, what);
	buf_free(&f);
}

void
attack_order(void)
{
	static const char *const what[] = {
		"CA without CF", "CF alone", "CF before CA", "CA, CF twice",
		"a message more", "CC in place of CA", "CA as application data",
		"CA as a fragment", "a dummy", "a rekey", "CLOSE", "CA in clear",
		"CA in a stream"
	};

	for (int i = 0; i < (int)(sizeof(what) / sizeof(what[0])); i++)
		out_of_place(i, what[i]);
	not_cc(0, "CA again in place of CC");
	not_cc(1, "a CC of zeros");
	not_cc(2, "application data before CC");
	not_cc(3, "application data of epoch 1 before CC");
}
