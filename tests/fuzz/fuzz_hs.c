/*
 * The handshake, each flight at each end: as any bytes, and with the MAC that a
 * holder of the handshake's keys would put behind a message of any content.
 */
#include "fuzz.h"

#include "hs_ends.h"

static void
fuzz_setup(void)
{
	(void)setup(NULL);
}

static void
fuzz_seeds(void)
{
	for (uint8_t f = 0; f < F_COUNT; f++)
		for (uint8_t mac = 0; mac < 2; mac++)
			fuzz_seed((uint8_t[]){ f, mac }, 2,
			    buf_bytes(&flight[f]));
}

/* What was accepted is in the flight that it came with. */
static bool
inside(struct bytes part, struct bytes whole)
{
	return part.n == 0 || (part.p >= whole.p &&
	    part.p + part.n <= whole.p + whole.n);
}

/* The flight's first message as it came, then the right MAC. */
static void
add_mac(const struct hs *at, enum flight f, struct bytes in, struct buf *out)
{
	struct hs hs = fork_hs(at);
	size_t n = in.n;

	if (n >= HS_MSG_HDR && ((size_t)in.p[1] << 16 | in.p[2] << 8 |
	    in.p[3]) + HS_MSG_HDR < n)
		n = ((size_t)in.p[1] << 16 | in.p[2] << 8 | in.p[3]) +
		    HS_MSG_HDR;
	in.n = n;
	buf_put(out, in.p, n);
	if (f == F_CH && n == HS_CH_LEN)
		hs_mac1(out->p + HS_CH_LEN - HS_MAC1, out->p, server_hash);
	if (f == F_SA || f == F_CA) {
		hs_absorb(&hs, in);
		(void)hs_make_mac(&hs, out, f == F_SA ? HS_SF : HS_CF,
		    f == F_SA ? hs.s_hs : hs.c_hs, "finished");
	}
	hs_free(&hs);
}

static void
at_server(struct hs *s, enum flight f, struct bytes in)
{
	uint8_t hash[HASH_LEN];
	struct hs_ca ca;
	struct buf out = BUF_INIT(HS_FLIGHT_MAX);
	int rv;

	if (f == F_CH) {
		rv = hs_server_read_ch(s, in, server_hash, false) == HS_OK ? 0 :
		    -1;
		/* A share or key may still be none that is acceptable. */
		if (rv == 0)
			rv = hs_server_make_sh(s, random_s, &out);
	} else if (f == F_CA) {
		if ((rv = hs_server_read_ca(s, in, &ca)) == 0) {
			need(inside(ca.spki, in) && inside(ca.sig, in));
			need(inside(ca.wrap_spki, in));
			sha256(hash, ca.spki);
			need(memcmp(hash, s->client_hash, HASH_LEN) == 0);
			sha256(hash, ca.wrap_spki);
			need(memcmp(hash, s->wrap_hash, HASH_LEN) == 0);
			rv = hs_server_make_kw(s, &out);
		}
	} else if ((rv = hs_server_read_cc(s, in)) == 0)
		need(bytes_eq(in, buf_bytes(&flight[F_CC])));
	if (rv != 0)
		need(s->why != NULL && s->state == HS_DEAD);
	buf_free(&out);
}

static void
at_client(struct hs *c, enum flight f, struct bytes in)
{
	struct bytes ct;
	struct hs_sa sa;
	int rv;

	if (f == F_SH)
		rv = hs_client_read_sh(c, in);
	else if (f == F_SA) {
		/* Only the pinned key's signature over this handshake will do. */
		if ((rv = hs_client_read_sa(c, in, &sa)) == 0) {
			need(bytes_eq(sa.spki, buf_bytes(&server_spki)));
			need(bytes_eq(sa.seal, bytes_of(seal_key, HS_SEAL)));
			for (size_t i = 0; i < sa.ncerts; i++)
				need(inside(sa.cert[i], in));
		}
	} else if ((rv = hs_client_read_kw(c, in, &ct)) == 0) {
		need(inside(ct, in));
		if ((rv = hs_client_finish(c, live_wd)) == 0)
			need(bytes_eq(in, buf_bytes(&flight[F_KW])));
	}
	if (rv != 0)
		need(c->why != NULL && c->state == HS_DEAD);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	enum flight f = rd_u8(&in) % F_COUNT;
	bool server = f == F_CH || f == F_CA || f == F_CC;
	struct buf b = BUF_INIT(2 * HS_FLIGHT_MAX);
	struct hs hs = fork_hs(server ? &s_at[f] : &c_at[f]);

	if (rd_u8(&in) & 1)
		add_mac(&hs, f, bytes_of(in.p, in.n), &b);
	else
		buf_put(&b, in.p, in.n);
	if (server)
		at_server(&hs, f, buf_bytes(&b));
	else
		at_client(&hs, f, buf_bytes(&b));
	hs_free(&hs);
	buf_free(&b);
}
