#include "handshake.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "exits.h"
#include "loop.h"
#include "record.h"
#include "tcp.h"
#include "ui.h"

/* One run. */
struct run {
	struct handshake *h;
	struct hs	 hs;
	struct record_dir in, out;
	uint64_t	 deadline_ms;
	uint8_t		 rec[RECORD_MAX];
};

static int
lost(const struct run *r, const char *what, int error)
{
	ui_err("%s: %s: %s", r->h->server, what,
	    error == 0 ? "the server closed the connection" : strerror(error));
	ui_err("try again; if it stays so, its administrator finds the reason "
	    "in the log");
	return RC_LOST;
}

/* The server does not do what the protocol says: not ours, or an attack. */
static int
violation(const struct run *r, const char *why)
{
	ui_err("%s: the handshake failed: %s", r->h->server, why);
	ui_err("this is not a Cloister server of this version, or somebody "
	    "tampers with the connection");
	return RC_LOST;
}

static int
send_all(struct run *r, struct bytes b, const char *what)
{
	return tcp_write(r->h->fd, b, r->deadline_ms) == 0 ? RC_OK :
	    lost(r, what, errno);
}

/* Send a flight as one record, with its inner plaintext filled to pad. */
static int
send_flight(struct run *r, struct bytes flight, size_t pad, const char *what)
{
	struct buf b = BUF_INIT(RECORD_MAX);
	int rc;

	if (record_seal(&r->out, RECORD_HANDSHAKE, flight, pad, &b) == -1)
		rc = violation(r, what);
	else
		rc = send_all(r, buf_bytes(&b), what);
	buf_free(&b);
	return rc;
}

/* After an accepted CH a server says no by a CLOSE record, the same for any reason. */
static int
refused(const struct run *r, bool after_ca)
{
	if (!after_ca) {
		ui_err("%s: the server gave up the handshake; its log says why",
		    r->h->server);
		return RC_LOST;
	}
	if (r->h->cert.n > 0) {
		ui_err("%s: the server refused this certificate; its "
		    "administrator finds the reason in the audit log "
		    "(auth.refuse)", r->h->server);
		return RC_REFUSED;
	}
	ui_err("%s: the server refused this key; ask its administrator to run: "
	    "cloisterctl key add USER FILE (FILE is your .pub file)",
	    r->h->server);
	return RC_REFUSED;
}

/* Read one record of the handshake; *flight points into r->rec. */
static int
read_flight(struct run *r, struct bytes *flight, bool after_ca,
    const char *what)
{
	enum record_type type;
	size_t got, total;
	int n;

	n = tcp_read(r->h->fd, r->rec, RECORD_HDR, &got, r->deadline_ms);
	if (n == 0) {
		if (record_frame(bytes_of(r->rec, RECORD_HDR), &total) == -1 ||
		    total > sizeof(r->rec) || total < RECORD_HDR)
			return violation(r, what);
		n = tcp_read(r->h->fd, r->rec + RECORD_HDR, total - RECORD_HDR,
		    &got, r->deadline_ms);
	}
	if (n != 0)
		return lost(r, what, n == 1 ? 0 : errno);
	if (record_open(&r->in, r->rec, total, &type, flight) == -1)
		return violation(r, what);
	if (type == RECORD_CLOSE && flight->n == 0)
		return refused(r, after_ca);
	return type == RECORD_HANDSHAKE ? RC_OK : violation(r, what);
}

/* SH, as long as its header says. */
static int
read_sh(struct run *r)
{
	uint8_t sh[HS_SH_LEN_S2];
	size_t got, len = 0;
	int n;

	n = tcp_read(r->h->fd, sh, HS_MSG_HDR, &got, r->deadline_ms);
	if (got == 0 && (n == 1 || errno == ECONNRESET)) {
		r->h->silent = true;
		return RC_LOST;
	}
	if (n == 0) {
		if ((len = hs_clear_len(sh, HS_SH)) == 0)
			return violation(r, "SH: length or type");
		n = tcp_read(r->h->fd, sh + HS_MSG_HDR, len - HS_MSG_HDR, &got,
		    r->deadline_ms);
	}
	if (n != 0)
		return lost(r, "waiting for the server's hello",
		    n == 1 ? 0 : errno);
	if (hs_client_read_sh(&r->hs, bytes_of(sh, len)) == -1)
		return violation(r, r->hs.why);
	ui_step("received the server's hello, suite %u (%s)", r->hs.suite,
	    hs_suite_name(r->hs.suite));
	return RC_OK;
}

/* CH and SH. */
static int
hello(struct run *r)
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	uint8_t random_c[HS_RANDOM];
	int rc;

	if (r->h->keyd != NULL)
		memcpy(random_c, r->h->keyd->random_c, sizeof(random_c));
	else
		crypto_random(random_c, sizeof(random_c));
	if (hs_client_make_ch(&r->hs, random_c, r->h->pin, &ch) == -1)
		rc = violation(r, r->hs.why);
	else
		rc = send_all(r, buf_bytes(&ch), "hello");
	buf_free(&ch);
	if (rc != RC_OK)
		return rc;
	ui_step("sent hello, %s", r->h->pin != NULL ? "for the known key" :
	    "for any key");
	if ((rc = read_sh(r)) != RC_OK)
		return rc;
	record_dir_init(&r->in, r->hs.s_hs, RECORD_EPOCH_HS);
	record_dir_init(&r->out, r->hs.c_hs, RECORD_EPOCH_HS);
	return RC_OK;
}

/* SA, SF: who the server is, and whether that is wanted. */
static int
identify(struct run *r)
{
	char text[RSA_FP_TEXT];
	struct server_id id = { .suite = r->hs.suite };
	struct bytes flight;
	struct hs_sa sa;
	int rc;

	rc = read_flight(r, &flight, false, "reading the server's key");
	if (rc != RC_OK)
		return rc;
	if (hs_client_read_sa(&r->hs, flight, &sa) == -1) {
		if (strcmp(r->hs.why, HS_WHY_PIN) != 0)
			return violation(r, r->hs.why);
		ui_err("%s: the server shows another key than the known one: "
		    "somebody may be listening; your key was not sent to it",
		    r->h->server);
		return RC_SERVER_KEY;
	}
	r->h->seal_n = sa.seal.n;	/* its length was checked */
	if (sa.seal.n > 0)
		memcpy(r->h->seal, sa.seal.p, sa.seal.n);
	rsa_fingerprint_text(text, r->hs.server_hash);
	ui_step("the server proved that it holds key %s", text);
	memcpy(id.fp, r->hs.server_hash, sizeof(id.fp));
	id.spki = sa.spki;
	id.chain = sa.chain;
	rc = r->h->trust(&id, r->h->arg);
	if (rc != RC_OK)
		return rc;
	if (hs_client_trust(&r->hs, r->hs.server_hash) == -1)
		return violation(r, r->hs.why);
	/* The user may have taken a while to answer. */
	r->deadline_ms = mono_ms() + HANDSHAKE_MS;
	return RC_OK;
}

/* CA, CF: who we are. */
static int
authenticate(struct run *r)
{
	struct buf sig = BUF_INIT(RSA_OUT_MAX), ca = BUF_INIT(HS_FLIGHT_MAX);
	struct keyd *k = r->h->keyd;
	int rc;

	hs_client_cert(&r->hs, r->h->cert);
	rc = keyd_sign(k, r->hs.suite, r->hs.random_s, r->hs.th_sf,
	    r->hs.server_hash, r->hs.cert_hash, &sig);
	if (rc != RC_OK)
		goto out;
	if (hs_client_make_ca(&r->hs, buf_bytes(&k->spki),
	    buf_bytes(&k->wrap_spki), buf_bytes(&sig), &ca) == -1)
		rc = violation(r, r->hs.why);
	else
		rc = send_flight(r, buf_bytes(&ca), HS_CA_PAD,
		    "sending your key");
	hs_login_bind(r->h->bind, r->hs.suite, r->hs.random_c, r->hs.random_s,
	    r->hs.th_sf, r->hs.client_hash, r->hs.wrap_hash,
	    r->hs.server_hash, r->hs.cert_hash);
	ui_step("sent your key and its signature");
out:
	buf_free(&sig);
	buf_free(&ca);
	return rc;
}

/* KW, SF2 and CC: the server takes us for who we are, and both confirm. */
static int
confirm(struct run *r)
{
	struct buf cc = BUF_INIT(HS_FLIGHT_MAX);
	struct bytes flight, ct;
	uint8_t wd[HASH_LEN];
	int rc;

	rc = read_flight(r, &flight, true, "waiting to be let in");
	if (rc != RC_OK)
		return rc;
	if (hs_client_read_kw(&r->hs, flight, &ct) == -1)
		return violation(r, r->hs.why);
	rc = keyd_unwrap(r->h->keyd, r->hs.th_cf, ct, wd);
	if (rc != RC_OK)
		return rc;
	if (hs_client_finish(&r->hs, wd) == -1 ||
	    hs_client_make_cc(&r->hs, &cc) == -1)
		rc = violation(r, r->hs.why);
	else
		rc = send_flight(r, buf_bytes(&cc), 0, "confirming");
	OPENSSL_cleanse(wd, sizeof(wd));
	buf_free(&cc);
	return rc;
}

int
handshake_run(struct handshake *h)
{
	struct run r = { .h = h, .deadline_ms = mono_ms() + HANDSHAKE_MS };
	int rc;

	hs_client_init(&r.hs, 0);
	rc = hello(&r);
	if (rc == RC_OK)
		rc = identify(&r);
	if (rc != RC_OK || h->keyd == NULL)
		goto out;
	rc = authenticate(&r);
	if (rc == RC_OK)
		rc = confirm(&r);
	if (rc == RC_OK && hs_session(&r.hs, &h->session) == -1)
		rc = violation(&r, r.hs.why);
	if (rc == RC_OK) {
		memcpy(h->server_hash, r.hs.server_hash, HASH_LEN);
		h->suite = r.hs.suite;
		ui_step("authenticated");
	}
out:
	record_dir_free(&r.in);
	record_dir_free(&r.out);
	hs_free(&r.hs);
	OPENSSL_cleanse(&r, sizeof(r));
	return rc;
}
