/*
 * What the vault_*.c files that serve cloisterctl share; nobody else includes
 * it.
 */
#ifndef STORAGED_VAULT_ADMIN_H
#define STORAGED_VAULT_ADMIN_H

#include "rsa.h"
#include "vault.h"

/* A connection of cloisterctl; freed when it has ended and nothing pends. */
struct admin {
	LIST_ENTRY(admin)	 link;
	struct vault		*v;
	struct chan		*chan;		/* NULL: it has ended */
	bool			 pending;	/* a reply or a write is to come */
	uint32_t		 uid;		/* of the caller */
	uint32_t		 status_id;	/* 0: none asked for */
	bool			 metrics;	/* it was for them */
	struct commit		 commit;
	struct rcommit		 rc;
	struct rec_user		 user;		/* what is being written */
	struct rec_key		 key;
	struct rec_spki		 message;	/* of a key to be added */
	struct user		*owner;
	char			 fp[RSA_FP_TEXT];
	struct keywalk		*walk;		/* vault_revoke.c */
	uint8_t			 nonce[HASH_LEN];	/* of va_seal; vault_passwd.c */
	bool			 have_nonce;
};

/* Send an answer that is not the last one. */
void admin_send(struct admin *a, enum msg_type type, const void *body);
/* The command's last answer, va_done or va_error; the next one may come. */
__attribute__((format(printf, 3, 4)))
void admin_end(struct admin *a, bool ok, const char *fmt, ...);
/* Nothing is to come for it any more: free it if its channel has ended. */
void admin_release(struct admin *a);
/* A number for what the monitor is asked; its answer finds a by that. */
uint32_t admin_ask_id(struct admin *a);
/* The user with this name, or NULL: then the command has ended. */
struct user *admin_user(struct admin *a, struct bytes name);
/*
 * Before a change: one at a time, so that each sees what is there.  false: the
 * command has ended.
 */
bool admin_may_change(struct admin *a);
/*
 * Take the turn for a change, until admin_changed().  a->pending is set.
 */
void admin_begin(struct admin *a);
/*
 * Write what is in a->commit.ops; account takes it into the multiset; done gets a.
 */
void admin_write(struct admin *a,
    void (*account)(void *, uint8_t mset[REC_HASH]),
    void (*done)(void *, enum kv_status));
/* A change is over; false, and the caller was told, when it failed. */
bool admin_changed(struct admin *a, enum kv_status st);

/* ---- vault_setting.c ----------------------------------------------------- */

/* A user's record that is being replaced; first member of what knows why. */
struct setting {
	size_t		 size;		/* of the whole */
	struct admin	*a;
	struct user	*u;		/* once it has the turn */
	uint8_t		 uid[REC_ID];
	char		 name[REC_NAME_MAX + 1];
	/* Change rec; false: it cannot be, and the command has ended. */
	bool		(*apply)(struct setting *);
	/* It is durable, and u is as rec: audit, and the command's last answer. */
	void		(*written)(struct setting *);
	struct queued	 turn;
	struct rcommit	 rc;
	struct rec_user	 rec;
	uint64_t	 version;	/* of the record before */
};

/* One of this size, zero but for its beginning; NULL: the command has ended. */
void *setting_new(struct admin *a, struct bytes name, size_t size);
/* Do it when no other change is under way. */
void setting_go(struct setting *s, bool (*apply)(struct setting *),
    void (*written)(struct setting *));
/* The command has ended before setting_go(): wipe and free. */
void setting_end(struct setting *s);

/* ---- vault_status.c ------------------------------------------------------ */

/* av_status or av_metrics: ask the monitor; its answers come to the other two. */
void admin_status(struct admin *a, bool metrics);
void status_role(struct admin *a, const struct m_ctl_role *r);
void status_end(struct admin *a);

/* ---- vault_rights.c ------------------------------------------------------ */

void admin_user_show(struct admin *a, const struct m_av_user_show *m);
void admin_usage(struct admin *a, const struct m_av_usage *m);
void admin_user_limit(struct admin *a, const struct m_av_user_limit *m);
void admin_model_list(struct admin *a, const struct m_av_model_list *m);
void admin_model_set(struct admin *a, const struct m_av_model_set *m);

/* ---- vault_revoke.c ------------------------------------------------------ */

void admin_user_state(struct admin *a, const struct m_av_user_state *m);
void admin_key_list(struct admin *a, const struct m_av_key_list *m);
void admin_key_revoke(struct admin *a, const struct m_av_key_revoke *m);
void admin_session_list(struct admin *a);
void admin_session_kill(struct admin *a, const struct m_av_session_kill *m);

/* ---- vault_invite.c ------------------------------------------------------ */

void admin_invite(struct admin *a, const struct m_av_invite *m);

/* ---- vault_passwd.c ------------------------------------------------------ */

void admin_seal(struct admin *a, const struct m_av_seal *m);
void admin_passwd(struct admin *a, const struct m_av_passwd *m);
void admin_policy(struct admin *a, const struct m_av_policy *m);
/* ---- vault_erase.c ------------------------------------------------------- */

void admin_user_remove(struct admin *a, const struct m_av_user_remove *m);

/* ---- vault_backup.c ------------------------------------------------------ */

void admin_backup(struct admin *a, const struct m_av_backup *m);
void admin_verify(struct admin *a);
/* a has gone: so is its backup, and its walk. */
void backup_drop(struct vault *v, const struct admin *a);
void verify_drop(struct vault *v, struct admin *a);

/* ---- vault_storage.c ----------------------------------------------------- */

void admin_rotate(struct admin *a);
void admin_shred(struct admin *a, const struct m_av_shred *m);

#endif
