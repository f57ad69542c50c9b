/*
 * The handshake: messages, transcript and key schedule, for both ends
 * (docs/protocol.md, Handshake and Key schedule).
 *
 * Functions over bytes.  The caller moves them: CH and SH travel in clear as
 * they are; every flight from SA on is the content of one RECORD_HANDSHAKE
 * record of epoch 0 under hs->s_hs (server) or hs->c_hs (client), see
 * record.h.  Long-term keys are elsewhere: keyd signs and unwraps, the vault
 * checks the client.
 *
 *	server				client
 *					hs_client_make_ch
 *	hs_server_read_ch
 *	hs_server_make_sh
 *					hs_client_read_sh
 *	(keyd: random_s, signature)
 *	hs_server_make_sa
 *					hs_client_read_sa
 *					hs_client_trust
 *					(keyd: signature)
 *					hs_client_make_ca
 *	hs_server_read_ca
 *	(vault: verifies, grants)
 *	hs_server_make_kw
 *					hs_client_read_kw
 *					(keyd: Wd)
 *					hs_client_finish
 *					hs_client_make_cc
 *	hs_server_read_cc
 *	hs_session			hs_session
 *
 * With a ticket of an earlier session it is shorter:
 *
 *					hs_client_resume
 *					hs_client_make_ch
 *	hs_server_read_ch
 *	(vault: hs_binder_ok)
 *	hs_server_resume
 *	hs_server_make_sh
 *					hs_client_read_sh
 *	hs_server_make_sf
 *					hs_client_read_sf
 *					hs_client_make_cf
 *	hs_server_read_cf
 *	hs_session			hs_session
 *
 * Each step is allowed once and in this order.  A step that fails returns -1,
 * leaves the reason in hs->why for the log alone, and every later step fails
 * too.
 */
#ifndef COMMON_HS_H
#define COMMON_HS_H

#include "certs.h"
#include "kdf.h"
#include "mlkem.h"
#include "rsa.h"
#include "x25519.h"

#define HS_VERSION	1
#define HS_PORT		7464

enum hs_suite {
	HS_SUITE_X25519 = 1,	/* S1 */
	HS_SUITE_HYBRID = 2	/* S2: X25519 with ML-KEM-768 */
};
/* The best suite that this build speaks; it speaks the lesser ones too. */
#define HS_SUITE_BEST	(MLKEM_BUILT ? HS_SUITE_HYBRID : HS_SUITE_X25519)

enum hs_type {
	HS_CH = 1, HS_SH, HS_SA, HS_SF, HS_CA, HS_CF, HS_KW, HS_SF2, HS_CC
};

#define HS_MSG_HDR	4
#define HS_RANDOM	32
#define HS_X25519	X25519_LEN
#define HS_MAC1		16
#define HS_CH_LEN	2048	/* the whole message, always */
#define HS_SH_LEN	75	/* the whole message with suite 1 */
#define HS_SH_LEN_S2	1163	/* and with suite 2 */
#define HS_SEAL		32	/* the vault's X25519 sealing key */
#define HS_FLIGHT_MAX	12288	/* a buf with this bound holds any flight */
#define HS_CA_PAD	3840	/* inner plaintext of the CA, CF record */
#define HS_TBS_MAX	352	/* bytes to be signed, at most */
#define HS_MAC_LEN	(HS_MSG_HDR + HASH_LEN)	/* SF, CF, SF2 or CC */

/*
 * hs->why when the server showed another key than hs_client_make_ch() was
 * given.
 */
#define HS_WHY_PIN	"SA: not the pinned server key"

/* H(certificate) of a client without one: SHA-256 of nothing. */
extern const uint8_t hs_no_cert[HASH_LEN];

/* What to do with the peer after a message. */
enum hs_verdict {
	HS_OK,
	HS_SILENT		/* answer nothing, close */
};

/* Test values in place of random ones; see hs_fix(). */
struct hs_fixed {
	uint8_t		eph[HS_X25519];		/* X25519 private key */
	uint8_t		mlkem[MLKEM_SEED];	/* ML-KEM private key */
	uint8_t		coins[MLKEM_COINS];	/* of encapsulation */
	uint8_t		ticket_id[HASH_LEN];
	uint8_t		binder[HASH_LEN];
	uint8_t		w[HASH_LEN];
	struct bytes	kw_ct;			/* taken for OAEP(w) */
};

/* What a finished handshake leaves. */
struct hs_session {
	uint8_t	c_ap[HASH_LEN];		/* traffic secret client to server */
	uint8_t	s_ap[HASH_LEN];		/* traffic secret server to client */
	uint8_t	exporter[HASH_LEN];
	uint8_t	resumption[HASH_LEN];
	uint8_t	msgmac[HASH_LEN];
	uint8_t	session_id[HASH_LEN];	/* public */
	uint8_t	suite;			/* agreed */
};

/* A ticket as its client keeps it: good for one resumption. */
struct hs_ticket {
	uint8_t	id[HASH_LEN];		/* as the server sent it */
	uint8_t	psk[HASH_LEN];		/* hs_ticket_psk() */
	uint8_t	suite;			/* of its session, and of the next */
};

/* Read the fields that are named here; change none. */
struct hs {
	uint8_t		 random_c[HS_RANDOM];
	uint8_t		 random_s[HS_RANDOM];
	uint8_t		 suite;			/* agreed: after SH */
	bool		 first_contact;		/* mac1 under the zero key */
	uint8_t		 server_hash[HASH_LEN];	/* H(server SPKI) */
	uint8_t		 client_hash[HASH_LEN];	/* H(client SPKI), after CA */
	uint8_t		 wrap_hash[HASH_LEN];	/* H(wrap SPKI), after CA */
	uint8_t		 cert_hash[HASH_LEN];	/* H(the client's certificate) */
	uint8_t		 th_sh[HASH_LEN];	/* the server signs it */
	uint8_t		 th_sf[HASH_LEN];	/* the client signs it */
	uint8_t		 th_cf[HASH_LEN];	/* in OAEP label and Wd */
	uint8_t		 c_hs[HASH_LEN];	/* flight secrets, after SH */
	uint8_t		 s_hs[HASH_LEN];
	const char	*why;			/* of the failure, or NULL */

	/* private to hs*.c */
	int		 state;
	int		 flags;
	uint8_t		 lowest, highest;	/* suites */
	bool		 pinned;
	bool		 resuming;		/* psk is there */
	uint8_t		 ticket_suite;		/* client */
	uint8_t		 ticket_id[HASH_LEN];	/* client */
	uint8_t		 psk[HASH_LEN];
	const struct certs *chain;	/* the server's, or NULL */
	struct bytes	 cert;		/* the client's, or empty */
	const struct hs_fixed *fixed;
	uint8_t		 pin[HASH_LEN];
	uint8_t		 peer_share[HS_X25519];
	uint8_t		 peer_mlkem[MLKEM_KEY];
	uint8_t		 ss_mlkem[MLKEM_SS];
	uint8_t		 hs_secret[HASH_LEN];
	uint8_t		 ms[HASH_LEN];
	uint8_t		 sf2[HASH_LEN];
	struct hs_session session;
	EVP_MD_CTX	*transcript;
	EVP_PKEY	*eph;
	EVP_PKEY	*mlkem;
	EVP_PKEY	*wrap;
};

/* Start one end; flags are those of rsa.h for the peer's keys. */
void hs_server_init(struct hs *hs, int flags);
void hs_client_init(struct hs *hs, int flags);
/*
 * Before the first step: speak only the suites from lowest to highest, which
 * this build must have.  Without it all that it has.
 */
void hs_suites(struct hs *hs, uint8_t lowest, uint8_t highest);
/* Whether this build speaks the suite. */
bool hs_suite_spoken(uint8_t suite);
/* Its name for people: "X25519", "X25519 with ML-KEM-768". */
const char *hs_suite_name(uint8_t suite);
/* Wipe every secret and free.  Also for one that is all zeros. */
void hs_free(struct hs *hs);
/*
 * For known-answer tests alone: take the ephemeral keys, ticket fields and W
 * from *fixed, which outlives hs, instead of from the random generator.
 */
void hs_fix(struct hs *hs, const struct hs_fixed *fixed);

/*
 * The length of the clear message (CH, SH) whose first HS_MSG_HDR bytes are
 * hdr, header included, or 0 if it cannot be a message of this type.
 */
size_t hs_clear_len(const uint8_t hdr[HS_MSG_HDR], enum hs_type type);

/*
 * Server.  msg is the whole CH, of HS_CH_LEN bytes.  spki_hash is the hash of
 * this server's SPKI.  A CH whose mac1 is under the zero key is accepted if
 * first_contact says so.  Costs hashing alone.  HS_SILENT leaves hs dead.
 */
enum hs_verdict hs_server_read_ch(struct hs *hs, struct bytes msg,
    const uint8_t spki_hash[HASH_LEN], bool first_contact);
/*
 * Append SH to out.  random_s is keyd's.  Makes the ephemeral key, agrees with
 * the best suite that both ends have, and derives c_hs and s_hs; afterwards
 * keyd signs hs->suite and hs->th_sh.  -1 if the client's share or ML-KEM key
 * is not acceptable; nothing is to be answered then.
 */
int hs_server_make_sh(struct hs *hs, const uint8_t random_s[HS_RANDOM],
    struct buf *out);
/* Before that: show these certificates, which outlive hs. */
void hs_server_chain(struct hs *hs, const struct certs *chain);
/*
 * Append the flight SA, SF to out.  spki must hash to the spki_hash given
 * before.  seal is the sealing key that was signed (HS_SEAL bytes) or empty.
 * sig is keyd's signature over hs_tbs_server(); it is not verified here.
 */
int hs_server_make_sa(struct hs *hs, struct bytes spki, struct bytes seal,
    struct bytes sig, struct buf *out);

/* A client's CA; the strings point into the flight. */
struct hs_ca {
	struct bytes	spki;		/* signing key */
	struct bytes	wrap_spki;
	struct bytes	cert;		/* of the signing key, or empty */
	struct bytes	sig;		/* over hs_tbs_client() */
};

/*
 * Take the flight CA, CF.  On success CF was right and the wrap key is one
 * that rsa.h accepts; the signature and who the client is are for the vault to
 * decide.
 */
int hs_server_read_ca(struct hs *hs, struct bytes flight, struct hs_ca *ca);
/* Append the flight KW, SF2 to out.  Only after the vault's grant. */
int hs_server_make_kw(struct hs *hs, struct buf *out);
/*
 * Take the flight CC; the client then has proved that it holds both its keys.
 */
int hs_server_read_cc(struct hs *hs, struct bytes flight);

/*
 * Client.  Append CH to out.  random_c is keyd's.  server_hash is the hash of
 * the pinned server SPKI, or NULL at first contact or with a certificate.
 */
int hs_client_make_ch(struct hs *hs, const uint8_t random_c[HS_RANDOM],
    const uint8_t *server_hash, struct buf *out);
/*
 * Take the whole SH; afterwards c_hs and s_hs are there.  A suite that was not
 * offered is an error.  Which one it is, is certain after hs_client_read_sa().
 */
int hs_client_read_sh(struct hs *hs, struct bytes msg);

/* A server's SA; the strings point into the flight. */
struct hs_sa {
	struct bytes	spki;
	struct bytes	cert[CERTS_MAX];
	size_t		ncerts;
	struct bytes	chain;		/* the same as one string (certs.h) */
	struct bytes	seal;		/* HS_SEAL bytes or empty */
};

/*
 * Take the flight SA, SF.  On success the holder of the key in sa->spki signed
 * this handshake and SF was right; hs->server_hash is that key's hash.  If a
 * hash was given to hs_client_make_ch(), any other key is an error.
 */
int hs_client_read_sa(struct hs *hs, struct bytes flight, struct hs_sa *sa);
/*
 * The caller's word that it trusts the key with this hash, from its pins, from
 * its user, or from a certificate that it verified.  -1 if the server showed
 * another one.  Nothing of the client's identity can be sent before.
 */
int hs_client_trust(struct hs *hs, const uint8_t server_hash[HASH_LEN]);
/*
 * Before that: show this certificate, of at most CERT_USER_MAX bytes, which outlives
 * hs.  hs->cert_hash is its hash afterwards, and that of nothing before.
 */
void hs_client_cert(struct hs *hs, struct bytes cert);
/*
 * Append the flight CA, CF to out; the record is padded to HS_CA_PAD.  sig is
 * keyd's signature over hs_tbs_client() with hs->th_sf, hs->server_hash and
 * hs->cert_hash.
 */
int hs_client_make_ca(struct hs *hs, struct bytes spki, struct bytes wrap_spki,
    struct bytes sig, struct buf *out);
/*
 * Take the flight KW, SF2.  *ct, for keyd's UNWRAP with hs->random_s and
 * hs->th_cf, points into the flight.  SF2 is kept until hs_client_finish().
 */
int hs_client_read_kw(struct hs *hs, struct bytes flight, struct bytes *ct);
/* Give keyd's Wd, and verify SF2 with it. */
int hs_client_finish(struct hs *hs, const uint8_t wd[HASH_LEN]);
/* Append CC to out. */
int hs_client_make_cc(struct hs *hs, struct buf *out);

/*
 * Resumption (hs_resume.c).  Server, before SH: this CH bears a ticket with this
 * secret; who says so has verified the binder and consumed the ticket.
 */
int hs_server_resume(struct hs *hs, const uint8_t psk[HASH_LEN]);
/* Append the flight SF to out. */
int hs_server_make_sf(struct hs *hs, struct buf *out);
/* Take the flight CF; the client then has proved that it holds the secret. */
int hs_server_read_cf(struct hs *hs, struct bytes flight);
/*
 * Client, before CH: resume with this ticket.  The offer is the usual one, but
 * no other suite than the ticket's is accepted.  A server that does not take the
 * ticket goes on with a full handshake, which this end refuses: its first record
 * is longer than RECORD_WIRE(RECORD_INNER_HDR + HS_MAC_LEN).
 */
int hs_client_resume(struct hs *hs, const struct hs_ticket *t);
/* Take the flight SF; the server then has proved that it holds the secret. */
int hs_client_read_sf(struct hs *hs, struct bytes flight);
/* Append the flight CF to out. */
int hs_client_make_cf(struct hs *hs, struct buf *out);

/* The secret of a ticket: XL(resumption, "ticket", id). */
void hs_ticket_psk(uint8_t psk[HASH_LEN], const uint8_t resumption[HASH_LEN],
    const uint8_t id[HASH_LEN]);
/*
 * The vault's part.  The ticket's id in a CH of HS_CH_LEN bytes; -1 when its
 * fields do not reach so far (then no other function takes it).
 */
int hs_ch_ticket(struct bytes ch, uint8_t id[HASH_LEN]);
/* Whether this CH was made by who holds the ticket's secret; constant time. */
bool hs_binder_ok(struct bytes ch, const uint8_t psk[HASH_LEN]);

/* Copy what a finished handshake leaves; -1 (and zeros) before its end. */
int hs_session(const struct hs *hs, struct hs_session *s);

/*
 * What keyd and the vault compute themselves.  The signed bytes, appended to
 * out (bound HS_TBS_MAX): 64 times 0x20 | context | 0 | suite | ...  No context
 * is the beginning of another, so that no signature is one of two things.
 */
void hs_tbs_head(struct buf *out, const char *context, uint8_t suite);
/*
 * The server: random_s | TH(SH) | H(SPKI) | H(seal), where seal is HS_SEAL
 * bytes or empty.
 */
void hs_tbs_server(struct buf *out, uint8_t suite,
    const uint8_t random_s[HS_RANDOM], const uint8_t th_sh[HASH_LEN],
    const uint8_t spki_hash[HASH_LEN], struct bytes seal);
/*
 * The client: random_c | random_s | TH(SF) | H(SPKI) | H(wrap SPKI) | H(server
 * SPKI) | H(certificate), the last of the empty string where there is none.
 */
void hs_tbs_client(struct buf *out, uint8_t suite,
    const uint8_t random_c[HS_RANDOM], const uint8_t random_s[HS_RANDOM],
    const uint8_t th_sf[HASH_LEN], const uint8_t spki_hash[HASH_LEN],
    const uint8_t wrap_hash[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN]);
/*
 * What a password or an invite of this session is bound to: SHA-256("cl1 login"
 * | the client's signed bytes).  No worker can choose it: it holds random_s,
 * which keyd draws, and the client's keys, whose signature the vault verifies.
 */
void hs_login_bind(uint8_t bind[HASH_LEN], uint8_t suite,
    const uint8_t random_c[HS_RANDOM], const uint8_t random_s[HS_RANDOM],
    const uint8_t th_sf[HASH_LEN], const uint8_t spki_hash[HASH_LEN],
    const uint8_t wrap_hash[HASH_LEN], const uint8_t server_hash[HASH_LEN],
    const uint8_t cert_hash[HASH_LEN]);
/* The label of OAEP: SHA-256("cl1 wrap" | random_c | random_s | TH(CF)). */
void hs_wrap_label(uint8_t label[HASH_LEN], const uint8_t random_c[HS_RANDOM],
    const uint8_t random_s[HS_RANDOM], const uint8_t th_cf[HASH_LEN]);
/* Wd = XL(W, "wrap", TH(CF)). */
void hs_wrap_derive(uint8_t wd[HASH_LEN], const uint8_t w[HASH_LEN],
    const uint8_t th_cf[HASH_LEN]);

#endif
