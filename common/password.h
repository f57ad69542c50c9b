/*
 * Passwords: the rule for new ones, and how they travel, sealed from the client
 * to the hasher (docs/protocol.md, Passwords).
 */
#ifndef COMMON_PASSWORD_H
#define COMMON_PASSWORD_H

#include "hpke.h"

#define PASSWORD_MIN	12	/* characters of a new one */
#define PASSWORD_MAX	127	/* bytes */
#define PASSWORD_PLAIN	256	/* u8 n | one | u8 n | the new one | zeros */
#define PASSWORD_SEALED	(PASSWORD_PLAIN + HPKE_OVERHEAD)
#define PASSWORD_INFO	110	/* bytes of info */
#define PASSWORD_RULE	"a password has 12 characters or more, the user's name " \
    "not counted, does not just repeat or count, and is not well known"

/* What a sealed password is for: it opens for nothing else. */
enum password_use {
	PASSWORD_ENROL = 1,	/* let a key in */
	PASSWORD_FACTOR,	/* besides a key */
	PASSWORD_CHANGE,	/* the old one and a new one */
	PASSWORD_ADMIN		/* a new one, set by cloisterctl */
};

/* What is wrong with a new password. */
enum password_fault {
	PASSWORD_GOOD, PASSWORD_SHORT, PASSWORD_LONG, PASSWORD_TEXT,
	PASSWORD_NAME, PASSWORD_PLAINLY, PASSWORD_KNOWN, PASSWORD_FAULTS
};

/*
 * Judge a new password for a user: at least PASSWORD_MIN characters and at most
 * PASSWORD_MAX bytes of UTF-8, where the user's name (of 3 letters and more) does not count;
 * at least 5 different characters, not one piece of up to 4 again and again, not
 * a run (abcd..., 1234...); not on the small list of well-known ones, whatever
 * its case and the digits and signs at its end.
 */
enum password_fault password_judge(struct bytes pw, struct bytes user);
/* A sentence for the user, or NULL for PASSWORD_GOOD and unknown numbers. */
const char *password_fault_text(enum password_fault f);

/*
 * What a sealed password is bound to: use, the handshake (bind: hs_login_bind(),
 * for PASSWORD_ADMIN the vault's nonce), a value of the session's exporter
 * (password_export(), zeros for PASSWORD_ADMIN) and what is asked for.
 */
void password_info(uint8_t info[PASSWORD_INFO], enum password_use use,
    const uint8_t bind[HASH_LEN], const uint8_t exported[HASH_LEN],
    const uint8_t what[HASH_LEN]);
/* XL(exporter, "password", ""). */
void password_export(uint8_t out[HASH_LEN], const uint8_t exporter[HASH_LEN]);
/*
 * What is asked for: H(v16(user) | v16(label) | v16(message SPKI)); the last two
 * are empty but for PASSWORD_ENROL and invites.
 */
void password_what(uint8_t out[HASH_LEN], struct bytes user, struct bytes label,
    struct bytes message_spki);

/*
 * Seal a password and, for PASSWORD_CHANGE and PASSWORD_ADMIN, a new one (else
 * empty) to the hasher's key.  0, or -1 when one is too long or the key is bad.
 */
int password_seal(uint8_t sealed[PASSWORD_SEALED], const uint8_t pub[HPKE_KEY],
    const uint8_t info[PASSWORD_INFO], struct bytes pw, struct bytes new_pw);
/*
 * Open it into plain; pw and new_pw point there.  0, or -1 with plain wiped.
 */
int password_open(uint8_t plain[PASSWORD_PLAIN], EVP_PKEY *key,
    const uint8_t pub[HPKE_KEY], struct bytes info, struct bytes sealed,
    struct bytes *pw, struct bytes *new_pw);

/*
 * What shows that somebody holds an invite, without showing it:
 * HMAC(secret, "cl1 invite" | 0 | bind | what).
 */
#define INVITE_ID	8
#define INVITE_SECRET	16
#define INVITE_CODE	(INVITE_ID + INVITE_SECRET)
void invite_proof(uint8_t out[HASH_LEN], const uint8_t secret[INVITE_SECRET],
    const uint8_t bind[HASH_LEN], const uint8_t what[HASH_LEN]);

#endif
