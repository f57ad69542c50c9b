#include "attack.h"

#include <sys/socket.h>

#include <string.h>
#include <unistd.h>

#include "appconn.h"
#include "both.h"

const char *const points[POINTS] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
};

size_t
share_at(const uint8_t *ch)
{
	return HS_MSG_HDR + 2 + 1 + (size_t)ch[6] + HS_RANDOM + 2;
}

/* A real client of alice's at a server of mallory's, which she trusts. */
struct meeting {
	struct victim	v;
	struct serve	s;
	uint8_t		hash[HASH_LEN];	/* of mallory's key */
};

static void
meet(struct meeting *m)
{
	int port, lfd = listen_any(&port);

	rsa_fingerprint(m->hash, buf_bytes(&world.mallory.spki[KEYD_SIGN]));
	victim_start(&m->v, &world.alice, port, m->hash, false);
	serve_begin(&m->s, lfd);
	serve_sh(&m->s, NULL);
}

/* Nothing more came, and the client ended with this status. */
static void
left(struct meeting *m, int status, const char *what, int n)
{
	size_t more = serve_rest(&m->s);

	serve_end(&m->s);
	victim_end(&m->v);
	tried(more == 0 && m->v.status == status, "%s (%d): %zu bytes more, "
	    "status %d: %s", what, n, more, m->v.status, m->v.text);
}

/* ---- 6, 8, 9: what SH must not say ----------------------------------------- */

static void
sh_byte(size_t at, uint8_t value, const char *what)
{
	struct meeting m;

	meet(&m);
	m.s.sh.p[at] = value;
	serve_hello(&m.s);
	/* What would come behind a longer SH does not. */
	(void)shutdown(m.s.fd, SHUT_WR);
	left(&m, RC_LOST, what, value);
}

void
attack_sh_not_offered(void)
{
	static const uint8_t suites[] = { 0, 3, 7, 254, 255 };

	for (size_t i = 0; i < sizeof(suites); i++)
		sh_byte(6, suites[i], "suite");
	/* The one that does not fit the ciphertext, or was not offered. */
	sh_byte(6, MLKEM_BUILT ? HS_SUITE_X25519 : HS_SUITE_HYBRID,
	    "the other suite");
	sh_byte(5, 0, "version");
	sh_byte(5, 2, "version");
	sh_byte(4, 1, "version, first byte");
	sh_byte(0, HS_CH, "a CH for SH");
	sh_byte(0, HS_SA, "an SA for SH");
	sh_byte(3, 0, "length");
	sh_byte(1, 1, "a length of more than 65536");
	sh_byte(40, 31, "a share of 31 bytes");
	sh_byte(40, 33, "a share of 33 bytes");
}

void
low_order_sh(void)
{
	struct meeting m;

	for (size_t i = 0; i < POINTS; i++) {
		meet(&m);
		if (hex_decode(m.s.sh.p + 41, HS_X25519, points[i]) == -1)
			fatalx("not a point");
		serve_hello(&m.s);
		left(&m, RC_LOST, "SH with point", (int)i);
	}
}

/* A ciphertext that was changed gives other keys: SA does not open. */
void
mlkem_sh(void)
{
	struct meeting m;

	if (!MLKEM_BUILT) {
		/* One that nobody asked for. */
		meet(&m);
		m.s.sh.p[HS_SH_LEN - 1] = 1;
		buf_u8(&m.s.sh, 0);
		m.s.sh.p[3]++;
		serve_hello(&m.s);
		left(&m, RC_LOST, "an ML-KEM ciphertext of one byte", 0);
		return;
	}
	for (size_t at = HS_SH_LEN; at < HS_SH_LEN_S2; at += 97) {
		meet(&m);
		m.s.sh.p[at] ^= 0x10;
		serve_hello(&m.s);
		serve_identity(&m.s);
		left(&m, RC_LOST, "an ML-KEM ciphertext, changed at",
		    (int)at);
	}
	for (int less = -1; less <= 1; less += 2) {
		meet(&m);
		m.s.sh.p[HS_SH_LEN - 1] = (uint8_t)(m.s.sh.p[HS_SH_LEN - 1] +
		    less);
		serve_hello(&m.s);
		left(&m, RC_LOST, "an ML-KEM ciphertext of another length",
		    less);
	}
}

/* ---- 11: other keys --------------------------------------------------------- */

/* SA with these fields, SF right. */
static void
put_sa(struct serve *s, struct bytes spki, struct bytes sig)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	size_t start = hs_msg_begin(&f, HS_SA);

	buf_v16(&f, spki);
	buf_u8(&f, 0);
	buf_u8(&f, 0);
	buf_v16(&f, sig);
	if (hs_msg_end(&s->hs, &f, start) != 0 ||
	    hs_make_mac(&s->hs, &f, HS_SF, s->hs.s_hs, "finished") != 0)
		fatalx("SA: %s", s->hs.why);
	serve_put(s, RECORD_HANDSHAKE, buf_bytes(&f));
	buf_free(&f);
}

/* A client that knows the real server, or none, at mallory's. */
static void
impostor(const uint8_t *known, int how, int status, const char *what)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX);
	struct meeting m;
	struct hs_sa sa;
	struct play p;
	int port, lfd = listen_any(&port);

	victim_start(&m.v, &world.alice, port, known, false);
	serve_begin(&m.s, lfd);
	serve_sh(&m.s, NULL);
	serve_hello(&m.s);
	if (how == 0) {
		serve_identity(&m.s);
		left(&m, status, what, how);
		return;
	}
	/* The real server's key, by way of a connection to it. */
	play_begin(&p, &world.alice, world.pin);
	if (play_hello(&p) != ANSWER_FLIGHT ||
	    play_record(&p) != ANSWER_FLIGHT ||
	    hs_client_read_sa(&p.hs, p.flight, &sa) == -1)
		fatalx("the real server does not answer");
	if (how == 1) {
		/* Its signature, for that other connection. */
		struct rd r = rd_of(p.flight), body;
		struct bytes msg;

		body = hs_msg_next(&r, HS_SA, &msg);
		buf_put(&sig, body.p + body.n - 384, 384);
	} else {
		struct buf tbs = BUF_INIT(HS_TBS_MAX);
		struct bytes none = { NULL, 0 };

		/* Mallory's, under its name. */
		hs_tbs_server(&tbs, m.s.hs.suite, m.s.hs.random_s,
		    m.s.hs.th_sh, world.pin, none);
		if (rsa_pss_sign(&sig, world.mallory.key[KEYD_SIGN],
		    buf_bytes(&tbs)) == -1)
			crypto_fatalx("a signature");
		buf_free(&tbs);
	}
	put_sa(&m.s, sa.spki, buf_bytes(&sig));
	play_end(&p);
	left(&m, status, what, how);
	buf_free(&sig);
}

void
attack_server_key(void)
{
	struct meeting m;

	impostor(world.pin, 0, RC_SERVER_KEY, "another key than the known one");
	impostor(NULL, 0, RC_SERVER_KEY, "a key that is not known");
	impostor(world.pin, 1, RC_LOST, "the known key, an old signature");
	impostor(world.pin, 2, RC_LOST, "the known key, another's signature");
	impostor(NULL, 1, RC_LOST, "first contact, an old signature");
	impostor(NULL, 2, RC_LOST, "first contact, another's signature");
	/* The control: who is trusted gets CA. */
	meet(&m);
	serve_hello(&m.s);
	serve_identity(&m.s);
	tried(serve_record(&m.s), "a trusted server gets CA");
	serve_end(&m.s);
	victim_end(&m.v);
}

/* ---- 12: a client's proof for one server, at another one -------------------- */

void
attack_relay_ca(void)
{
	for (int i = 0; i < 4; i++) {
		struct meeting m;
		struct play p;
		int port, lfd = listen_any(&port);
		enum answer a;

		rsa_fingerprint(m.hash,
		    buf_bytes(&world.mallory.spki[KEYD_SIGN]));
		victim_start(&m.v, &world.alice, port, m.hash, false);
		serve_begin(&m.s, lfd);
		/* Both randoms are the same at both ends. */
		play_begin_with(&p, &world.alice, world.pin, m.s.hs.random_c);
		play_until_ca(&p);
		serve_sh(&m.s, p.hs.random_s);
		serve_hello(&m.s);
		serve_identity(&m.s);
		if (!serve_record(&m.s) ||
		    hs_server_read_ca(&m.s.hs, m.s.flight, &m.s.ca) == -1)
			fatalx("no CA from a client that trusts mallory");
		play_ca(&p, m.s.ca.spki, m.s.ca.wrap_spki, m.s.ca.sig);
		a = play_record(&p);
		tried(a == ANSWER_CLOSE, "alice's CA for mallory: answer %d",
		    (int)a);
		play_end(&p);
		serve_end(&m.s);
		victim_end(&m.v);
	}
}

/* ---- 13: the client's own messages ------------------------------------------ */

void
reflect_to_client(void)
{
	struct meeting m;

	meet(&m);
	put(m.s.fd, bytes_of(m.s.ch, sizeof(m.s.ch)));
	left(&m, RC_LOST, "CH comes back", 0);
	meet(&m);
	serve_hello(&m.s);
	serve_identity(&m.s);
	if (!serve_record(&m.s))
		fatalx("no CA");
	put(m.s.fd, bytes_of(m.s.rec, m.s.rec_n));
	left(&m, RC_LOST, "CA comes back", 0);
	meet(&m);
	serve_hello(&m.s);
	serve_identity(&m.s);
	if (!serve_record(&m.s))
		fatalx("no CA");
	serve_put(&m.s, RECORD_HANDSHAKE, m.s.flight);
	left(&m, RC_LOST, "CA comes back under the server's key", 0);
}

/* ---- 19: wrappings that do not open ----------------------------------------- */

#define WRAPPINGS	11

/* The n-th of them for this client. */
static void
wrapping(int n, const struct serve *s, struct buf *ct)
{
	uint8_t label[HASH_LEN], w[HASH_LEN], junk[RSA_OUT_MAX];
	EVP_PKEY *wrap = rsa_spki_parse(s->ca.wrap_spki, RSA_USE_WRAP, 0);
	size_t size;

	if (wrap == NULL)
		fatalx("the client's wrap key");
	size = rsa_size(wrap);
	crypto_random(w, sizeof(w));
	crypto_random(junk, sizeof(junk));
	junk[0] &= 0x7f;
	hs_wrap_label(label, s->hs.random_c, s->hs.random_s, s->hs.th_cf);
	if (n == 1)			/* under another label */
		label[0] ^= 1;
	if (n <= 4 && rsa_oaep_encrypt(ct, wrap, label, w) == -1)
		crypto_fatalx("OAEP");
	if (n == 2)
		ct->p[0] ^= 1;
	else if (n == 3)
		ct->p[ct->n - 1] ^= 1;
	else if (n == 4)
		ct->n--;
	else if (n == 5)
		buf_put(ct, junk, size);
	else if (n == 6)
		buf_zero(ct, size);
	else if (n == 7) {		/* not below the modulus */
		memset(junk, 0xff, size);
		buf_put(ct, junk, size);
	} else if (n == 8)
		buf_put(ct, junk, RSA_OUT_MAX);
	else if (n == 9)
		buf_put(ct, junk, 1);
	EVP_PKEY_free(wrap);
}

/*
 * All end in the same words and the same status, and the client says nothing
 * to the server in any of them; the 0th opens and is as wrong, in SF2 alone.
 */
void
attack_oaep(void)
{
	static char first[sizeof(((struct victim *)0)->text)];
	struct meeting m;

	for (int n = 0; n < WRAPPINGS; n++) {
		struct buf ct = BUF_INIT(RSA_OUT_MAX);
		struct buf f = BUF_INIT(HS_FLIGHT_MAX);
		uint8_t secret[HASH_LEN];
		size_t start;

		meet(&m);
		serve_hello(&m.s);
		serve_identity(&m.s);
		if (!serve_record(&m.s) ||
		    hs_server_read_ca(&m.s.hs, m.s.flight, &m.s.ca) == -1)
			fatalx("no CA");
		wrapping(n, &m.s, &ct);
		crypto_random(secret, sizeof(secret));
		start = hs_msg_begin(&f, HS_KW);
		buf_v16(&f, buf_bytes(&ct));
		if (hs_msg_end(&m.s.hs, &f, start) != 0 ||
		    hs_make_mac(&m.s.hs, &f, HS_SF2, secret, "s fin2") != 0)
			fatalx("KW");
		serve_put(&m.s, RECORD_HANDSHAKE, buf_bytes(&f));
		left(&m, RC_LOST, "wrapping", n);
		if (n == 0)
			(void)strlcpy(first, m.v.text, sizeof(first));
		tried(strcmp(first, m.v.text) == 0, "wrapping %d: %s, not %s",
		    n, m.v.text, first);
		buf_free(&ct);
		buf_free(&f);
	}
}

/* ---- 29: an end that is none ------------------------------------------------- */

static void
send_app(struct serve *s, struct appconn *ac, enum msg_type type,
    const void *body)
{
	struct bytes b;

	if (appconn_send(ac, type, body) == -1)
		fatalx("a message");
	b = appconn_output(ac);
	put(s->fd, b);
	appconn_written(ac, b.n);
}

/* The request number of the prompt. */
static uint32_t
await_prompt(struct serve *s, struct appconn *ac)
{
	enum appconn_result r;
	struct msg m;
	uint8_t *p;
	size_t room;

	while ((r = appconn_next(ac, &m)) != APPCONN_MESSAGE ||
	    m.type != MSG_c_prompt) {
		p = appconn_room(ac, &room);
		if (r == APPCONN_BROKEN || get(s->fd, p, 1) != 1)
			fatalx("no prompt");
		appconn_arrived(ac, 1);
	}
	return m.u.c_prompt.req;
}

/* The connection ends behind so many messages; the last one is cut by cut. */
static void
ends_behind(int n, size_t cut, int status)
{
	struct m_s_hello hello = { .user = bytes_str("alice"),
	    .version = bytes_str("x"), .max_prompt_bytes = 1000 };
	struct m_s_stored stored = { .number = 1 };
	struct m_s_delta delta = { .text = bytes_str("half of ") };
	struct m_s_end end = { .finish = 1, .model = bytes_str("m") };
	struct appconn *ac;
	struct meeting m;
	struct bytes b;
	int port, lfd = listen_any(&port);

	rsa_fingerprint(m.hash, buf_bytes(&world.mallory.spki[KEYD_SIGN]));
	victim_start(&m.v, &world.alice, port, m.hash, false);
	serve_begin(&m.s, lfd);
	serve_sh(&m.s, NULL);
	if (!serve_login(&m.s))
		fatalx("alice does not come in");
	ac = appconn_new(END_B, m.s.session.suite, m.s.session.c_ap,
	    m.s.session.s_ap, m.s.session.msgmac);
	if (n > 0) {
		send_app(&m.s, ac, MSG_s_hello, &hello);
		stored.req = delta.req = end.req = await_prompt(&m.s, ac);
	}
	if (n > 1)
		send_app(&m.s, ac, MSG_s_stored, &stored);
	for (int i = 2; i < n && i < 5; i++)
		send_app(&m.s, ac, MSG_s_delta, &delta);
	if (n > 5)
		send_app(&m.s, ac, MSG_s_end, &end);
	if (cut > 0) {
		if (appconn_send(ac, MSG_s_end, &end) == -1)
			fatalx("a message");
		b = appconn_output(ac);
		put(m.s.fd, bytes_of(b.p, b.n - cut));
	}
	(void)shutdown(m.s.fd, SHUT_WR);
	(void)serve_rest(&m.s);
	serve_end(&m.s);
	victim_end(&m.v);
	tried(m.v.status == status && (status == 0 || m.v.n > 0),
	    "the end behind %d messages, %zu bytes less: status %d: %s", n, cut,
	    m.v.status, m.v.text);
	appconn_free(ac);
}

void
attack_truncate(void)
{
	for (int n = 0; n < 6; n++)
		ends_behind(n, 0, RC_LOST);
	for (size_t cut = 1; cut < 120; cut += 17)
		ends_behind(4, cut, RC_LOST);
	/* The control: s_end has come. */
	ends_behind(6, 0, RC_OK);
}
