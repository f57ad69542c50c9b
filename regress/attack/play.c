#include "attack.h"

#include <string.h>
#include <unistd.h>

void
play_begin_with(struct play *p, const struct user *u, const uint8_t *pin,
    const uint8_t *random_c)
{

	memset(p, 0, sizeof(*p));
	p->user = u;
	p->fd = dial(world.port);
	buf_init(&p->ch, HS_CH_LEN);
	buf_init(&p->sh, HS_SH_LEN_S2);
	hs_client_init(&p->hs, 0);
	if (hs_client_make_ch(&p->hs, random_c, pin, &p->ch) == -1)
		fatalx("CH: %s", p->hs.why);
}

void
play_begin(struct play *p, const struct user *u, const uint8_t *pin)
{
	uint8_t random_c[HS_RANDOM];

	crypto_random(random_c, sizeof(random_c));
	play_begin_with(p, u, pin, random_c);
}

void
play_end(struct play *p)
{
	(void)close(p->fd);
	hs_free(&p->hs);
	record_dir_free(&p->rx);
	record_dir_free(&p->tx);
	buf_free(&p->ch);
	buf_free(&p->sh);
}

void
play_mac1(struct buf *ch, const uint8_t *pin)
{
	hs_mac1(ch->p + HS_CH_LEN - HS_MAC1, ch->p, pin);
}

enum answer
play_hello(struct play *p)
{
	uint8_t hdr[HS_MSG_HDR];
	size_t len;
	ssize_t n;

	put(p->fd, buf_bytes(&p->ch));
	if ((n = get(p->fd, hdr, sizeof(hdr))) == 0)
		return ANSWER_END;
	if (n != sizeof(hdr) || (len = hs_clear_len(hdr, HS_SH)) == 0)
		return ANSWER_OTHER;
	buf_reset(&p->sh);
	buf_put(&p->sh, hdr, sizeof(hdr));
	if (get(p->fd, buf_grow(&p->sh, len - sizeof(hdr)),
	    len - sizeof(hdr)) != (ssize_t)(len - sizeof(hdr)))
		return ANSWER_OTHER;
	if (hs_client_read_sh(&p->hs, buf_bytes(&p->sh)) == -1)
		return ANSWER_OTHER;
	record_dir_init(&p->rx, p->hs.s_hs, RECORD_EPOCH_HS);
	record_dir_init(&p->tx, p->hs.c_hs, RECORD_EPOCH_HS);
	return ANSWER_FLIGHT;
}

/* Whether the record that came is the refusal and nothing else. */
static bool
constant_close(struct record_dir *as_sent, const uint8_t *rec, size_t n)
{
	struct bytes none = { NULL, 0 };
	struct buf b = BUF_INIT(RECORD_MAX);
	bool same;

	if (record_seal(as_sent, RECORD_CLOSE, none, 0, &b) == -1)
		fatalx("CLOSE cannot be sealed");
	same = b.n == n && memcmp(b.p, rec, n) == 0;
	buf_free(&b);
	return same;
}

enum answer
play_record(struct play *p)
{
	struct record_dir as_sent;
	enum record_type type;
	enum answer a = ANSWER_OTHER;
	size_t total;
	ssize_t n;
	uint8_t c;

	p->rec_n = 0;
	if ((n = get(p->fd, p->rec, RECORD_HDR)) == 0)
		return ANSWER_END;
	if (n != RECORD_HDR ||
	    record_frame(bytes_of(p->rec, RECORD_HDR), &total) == -1 ||
	    get(p->fd, p->rec + RECORD_HDR, total - RECORD_HDR) !=
	    (ssize_t)(total - RECORD_HDR))
		return ANSWER_OTHER;
	p->rec_n = total;
	memcpy(p->open, p->rec, total);
	/* The same key at the same number, to seal the refusal with. */
	record_dir_init(&as_sent, p->rx.secret, p->rx.epoch);
	as_sent.seq = p->rx.seq;
	if (record_open(&p->rx, p->open, total, &type, &p->flight) == 0) {
		if (type == RECORD_HANDSHAKE)
			a = ANSWER_FLIGHT;
		else if (constant_close(&as_sent, p->rec, total) &&
		    get(p->fd, &c, 1) == 0)
			a = ANSWER_CLOSE;
	}
	record_dir_free(&as_sent);
	return a;
}

enum answer
play_identity(struct play *p)
{
	enum answer a = play_record(p);
	struct hs_sa sa;

	if (a == ANSWER_FLIGHT &&
	    (hs_client_read_sa(&p->hs, p->flight, &sa) == -1 ||
	    hs_client_trust(&p->hs, p->hs.server_hash) == -1))
		return ANSWER_OTHER;
	return a;
}

void
play_until_ca(struct play *p)
{
	if (play_hello(p) != ANSWER_FLIGHT ||
	    play_identity(p) != ANSWER_FLIGHT)
		fatalx("the server does not answer a good CH");
}

void
play_sign(const struct play *p, struct bytes wrap_spki, struct buf *sig)
{
	struct buf tbs = BUF_INIT(HS_TBS_MAX);
	uint8_t spki_hash[HASH_LEN], wrap_hash[HASH_LEN];

	rsa_fingerprint(spki_hash, buf_bytes(&p->user->spki[KEYD_SIGN]));
	rsa_fingerprint(wrap_hash, wrap_spki);
	hs_tbs_client(&tbs, p->hs.suite, p->hs.random_c, p->hs.random_s,
	    p->hs.th_sf, spki_hash, wrap_hash, p->hs.server_hash, hs_no_cert);
	if (rsa_pss_sign(sig, p->user->key[KEYD_SIGN], buf_bytes(&tbs)) == -1)
		crypto_fatalx("a signature");
	buf_free(&tbs);
}

static void
put_padded(struct play *p, enum record_type type, struct bytes content,
    size_t pad)
{
	struct buf b = BUF_INIT(RECORD_MAX);

	if (record_seal(&p->tx, type, content, pad, &b) == -1)
		fatalx("a record of type %d cannot be sealed", type);
	if (p->sent != NULL)
		buf_put(p->sent, b.p, b.n);
	put(p->fd, buf_bytes(&b));
	buf_free(&b);
}

void
play_put(struct play *p, enum record_type type, struct bytes content)
{
	put_padded(p, type, content, 0);
}

void
play_ca(struct play *p, struct bytes spki, struct bytes wrap_spki,
    struct bytes sig)
{
	struct buf f = BUF_INIT(HS_FLIGHT_MAX);
	size_t start;

	/* By hand: hs_client_make_ca() refuses keys that are too large. */
	start = hs_msg_begin(&f, HS_CA);
	buf_v16(&f, spki);
	buf_v16(&f, wrap_spki);
	buf_v16(&f, bytes_of(NULL, 0));		/* certificate */
	buf_v16(&f, sig);
	if (hs_msg_end(&p->hs, &f, start) != 0 ||
	    hs_make_mac(&p->hs, &f, HS_CF, p->hs.c_hs, "finished") != 0)
		fatalx("CA: %s", p->hs.why);
	hs_th(&p->hs, p->hs.th_cf);
	p->hs.state = HS_C_READ_KW;
	put_padded(p, RECORD_HANDSHAKE, buf_bytes(&f),
	    f.n + RECORD_INNER_HDR > HS_CA_PAD ? 0 : HS_CA_PAD);
	buf_free(&f);
}

void
play_good_ca(struct play *p)
{
	struct bytes wrap = buf_bytes(&p->user->spki[KEYD_WRAP]);
	struct buf sig = BUF_INIT(RSA_OUT_MAX);

	play_sign(p, wrap, &sig);
	play_ca(p, buf_bytes(&p->user->spki[KEYD_SIGN]), wrap,
	    buf_bytes(&sig));
	buf_free(&sig);
}

bool
play_confirm(struct play *p)
{
	static const uint8_t reject[HASH_LEN];
	uint8_t label[HASH_LEN], w[HASH_LEN], wd[HASH_LEN];
	struct buf cc = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes ct;
	bool ok = false;

	if (hs_client_read_kw(&p->hs, p->flight, &ct) == -1)
		return false;
	hs_wrap_label(label, p->hs.random_c, p->hs.random_s, p->hs.th_cf);
	rsa_oaep_decrypt(w, p->user->key[KEYD_WRAP], label, ct, reject);
	hs_wrap_derive(wd, w, p->hs.th_cf);
	if (hs_client_finish(&p->hs, wd) == 0 &&
	    hs_client_make_cc(&p->hs, &cc) == 0 &&
	    hs_session(&p->hs, &p->session) == 0) {
		play_put(p, RECORD_HANDSHAKE, buf_bytes(&cc));
		ok = true;
	}
	buf_free(&cc);
	return ok;
}

bool
play_login(struct play *p, const struct user *u)
{
	play_begin(p, u, world.pin);
	if (play_hello(p) != ANSWER_FLIGHT ||
	    play_identity(p) != ANSWER_FLIGHT)
		return false;
	play_good_ca(p);
	return play_record(p) == ANSWER_FLIGHT && play_confirm(p);
}

bool
others_served(void)
{
	struct play p;
	bool ok = play_login(&p, &world.bob);

	play_end(&p);
	return ok;
}
