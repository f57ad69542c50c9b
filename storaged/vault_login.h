/*
 * What the vault_*.c files that let people in share; nobody else includes it.
 */
#ifndef STORAGED_VAULT_LOGIN_H
#define STORAGED_VAULT_LOGIN_H

#include "pwhash.h"
#include "rsa.h"
#include "vault.h"

/* A session that is not let in yet. */
struct vault_gate {
	LIST_ENTRY(vault_gate)	 link;
	struct worker		*w;
	enum gate		 kind;
	uint8_t			 source[16];
	struct rec_spki		 sign, wrap;	/* ENROL: the key that came */
	unsigned		 tries;		/* that failed */
	struct loop_timer	*timer;
};

/* Which of a session's attempts: a password's use, or an invite. */
#define USE_INVITE	0

/* Somebody who tries a password or an invite; one for each session. */
struct attempt {
	struct sreq		 sreq;
	LIST_ENTRY(attempt)	 link;		/* while it is checked */
	struct vault		*v;
	unsigned		 use;		/* USE_INVITE, PASSWORD_* */
	uint64_t		 n;		/* the session, for the log */
	char			 source_text[65];
	struct rec_key		 source, name, good;	/* B records */
	bool			 is_good;	/* this source, for this user */
	bool			 admitted;	/* in the list */
	char			 user_name[65];
	bool			 named;		/* uid is a user's */
	uint8_t			 uid[REC_ID];
	struct user		*u;		/* NULL: none, or removed meanwhile */
	struct rec_user		 rec;
	uint64_t		 version;	/* of rec */
	struct pwhash		 pw;		/* what is compared with */
	bool			 real;		/* it is a user's */
	struct pwhash		 fresh;		/* what will take its place */
	bool			 have_fresh;
	struct hash_job		 job;
	struct queued		 turn;
	struct rcommit		 rc;
	uint16_t		 code;		/* of the answer; 0: right */
	/* enrolment */
	struct rec_enrolled	 k;
	uint8_t			 fp[REC_FP];
	uint8_t			 proof[HASH_LEN], what[HASH_LEN], bind[HASH_LEN];
	struct rec_key		 invite;
};

/* ---- vault_keys.c -------------------------------------------------------- */

/* Whether spki is an acceptable key for this use; an empty one if allowed. */
bool key_take_spki(struct rec_spki *dst, struct bytes spki, enum rsa_use use,
    bool may_be_empty);
/*
 * Seal and add both records of a key, of the version after `was' (0: new), to a
 * batch; k->keyid and fp say which.
 */
void key_put(struct rcommit *rc, const struct rec_enrolled *k,
    const uint8_t fp[REC_FP], uint64_t was);
void keys_list(struct worker *w, uint32_t req);
void keys_name(struct worker *w, const struct m_sv_key_name *m);
void keys_revoke(struct worker *w, const struct m_sv_key_revoke *m);

/* ---- vault_invite.c ------------------------------------------------------ */

/* Check a's proof, once it was admitted; goes on with attempt_right() or
 * attempt_wrong(). */
void invite_check(struct attempt *a, const uint8_t id[INVITE_ID]);
/* In the change: it is still there; its removal is added to a->rc. */
bool invite_take(struct attempt *a);
/* That was written: it is gone. */
void invite_taken(struct attempt *a);

/* ---- vault_login.c ------------------------------------------------------- */

void attempt_right(struct attempt *a);
void attempt_wrong(struct attempt *a, uint16_t code);

#endif
