#include "resume.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "loop.h"
#include "record.h"
#include "tcp.h"
#include "ui.h"

#define SF_WIRE	RECORD_WIRE(RECORD_INNER_HDR + HS_MAC_LEN)

/* One run. */
struct run {
	int		 fd;
	struct hs	 hs;
	struct record_dir in, out;
	uint64_t	 deadline_ms;
};

static int
fail(const char *why)
{
	ui_step("no resumption: %s", why);
	return -1;
}

static int
get(struct run *r, uint8_t *p, size_t n)
{
	size_t got;

	switch (tcp_read(r->fd, p, n, &got, r->deadline_ms)) {
	case 0:
		return 0;
	case 1:
		return fail("the server closed the connection");
	default:
		return fail(strerror(errno));
	}
}

static int
put(struct run *r, struct bytes b)
{
	return tcp_write(r->fd, b, r->deadline_ms) == 0 ? 0 :
	    fail(strerror(errno));
}

/* CH with the ticket, and SH. */
static int
hello(struct run *r, const uint8_t server_hash[HASH_LEN])
{
	struct buf ch = BUF_INIT(HS_CH_LEN);
	uint8_t random_c[HS_RANDOM], sh[HS_SH_LEN_S2];
	size_t len;
	int rv;

	crypto_random(random_c, sizeof(random_c));
	if (hs_client_make_ch(&r->hs, random_c, server_hash, &ch) == -1)
		rv = fail(r->hs.why);
	else
		rv = put(r, buf_bytes(&ch));
	buf_free(&ch);
	if (rv == -1 || get(r, sh, HS_MSG_HDR) == -1)
		return -1;
	if ((len = hs_clear_len(sh, HS_SH)) == 0)
		return fail("SH: length or type");
	if (get(r, sh + HS_MSG_HDR, len - HS_MSG_HDR) == -1)
		return -1;
	if (hs_client_read_sh(&r->hs, bytes_of(sh, len)) == -1)
		return fail(r->hs.why);
	record_dir_init(&r->in, r->hs.s_hs, RECORD_EPOCH_HS);
	record_dir_init(&r->out, r->hs.c_hs, RECORD_EPOCH_HS);
	return 0;
}

/* SF; a server that goes on with a whole handshake sends a longer record. */
static int
read_sf(struct run *r)
{
	uint8_t rec[SF_WIRE];
	enum record_type type;
	struct bytes flight;
	size_t total;

	if (get(r, rec, RECORD_HDR) == -1)
		return -1;
	if (record_frame(bytes_of(rec, RECORD_HDR), &total) == -1)
		return fail("not a record");
	if (total != SF_WIRE)
		return fail("the server does not take the ticket");
	if (get(r, rec + RECORD_HDR, SF_WIRE - RECORD_HDR) == -1)
		return -1;
	if (record_open(&r->in, rec, SF_WIRE, &type, &flight) == -1 ||
	    type != RECORD_HANDSHAKE)
		return fail("the record with SF does not verify");
	return hs_client_read_sf(&r->hs, flight) == 0 ? 0 : fail(r->hs.why);
}

static int
send_cf(struct run *r)
{
	struct buf cf = BUF_INIT(HS_FLIGHT_MAX), rec = BUF_INIT(RECORD_MAX);
	int rv;

	if (hs_client_make_cf(&r->hs, &cf) == -1 || record_seal(&r->out,
	    RECORD_HANDSHAKE, buf_bytes(&cf), 0, &rec) == -1)
		rv = fail("CF cannot be made");
	else
		rv = put(r, buf_bytes(&rec));
	buf_free(&cf);
	buf_free(&rec);
	return rv;
}

int
resume_run(int fd, const uint8_t server_hash[HASH_LEN],
    const struct hs_ticket *t, struct hs_session *s)
{
	struct run r = { .fd = fd, .deadline_ms = mono_ms() + RESUME_MS };
	int rv = -1;

	memset(s, 0, sizeof(*s));
	hs_client_init(&r.hs, 0);
	if (hs_client_resume(&r.hs, t) == -1)
		(void)fail(r.hs.why);
	else if (hello(&r, server_hash) == 0 && read_sf(&r) == 0 &&
	    send_cf(&r) == 0)
		rv = hs_session(&r.hs, s);
	record_dir_free(&r.in);
	record_dir_free(&r.out);
	hs_free(&r.hs);
	OPENSSL_cleanse(&r, sizeof(r));
	return rv;
}
