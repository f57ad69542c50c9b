/*
 * The vault: accounts, authorization and the encryption of all that is stored.
 * It trusts no peer: workers speak for themselves alone, the engine keeps
 * ciphertext that the vault verifies.
 *
 *	vault_state.c	users, heads, the cache of data keys
 *	vault_boot.c	keys, anchor, the check of everything at start; init
 *	vault_judge.c	what that check came to
 *	vault_refuse.c	conversations that somebody changed
 *	vault_commit.c	H and the anchor; several puts in one batch
 *	vault_worker.c	the zygote's link, birth and end of workers
 *	vault_auth.c	keyd's link, who may come in
 *	vault_gate.c	sessions that are not let in yet
 *	vault_login.c	passwords and invites: who proves what
 *	vault_backoff.c	wrong passwords make the next attempt wait
 *	vault_invite.c	invites
 *	vault_keys.c	a user's own keys
 *	vault_queue.c	one change of users and keys after the other
 *	vault_hasher.c	the hasher's link
 *	vault_ticket.c	resumption; sessions that are over their time
 *	vault_cert.c	users who come with a certificate; certd's link
 *	certsig.c	who signed a certificate
 *	vault_session.c	what a session worker asks; models
 *	vault_change.c	changes of a conversation, one after the other
 *	vault_put.c	storing a message
 *	vault_proof.c	signed messages: whether a signature fits
 *	vault_edit.c	renaming and deleting a conversation
 *	vault_scan.c	the messages of a conversation, verified
 *	vault_read.c	reading messages
 *	vault_list.c	listing conversations
 *	vault_search.c	searching one's own
 *	vault_sweep.c	deletions: what is left of them in the engine
 *	vault_turn.c	turning the epoch
 *	vault_rotate.c	... to another storage key
 *	vault_llm.c	grants to llmproxies, their reports
 *	vault_budget.c	what users may ask and have used
 *	vault_admin.c	cloisterctl
 *	vault_setting.c	one user's record, changed for it
 *	vault_rights.c	a user's limits and models
 *	vault_status.c	status and metrics
 *	vault_drain.c	the end of every session, at a stop
 *	vault_erase.c	removing a user with all that is theirs
 *	vault_storage.c	cloisterctl storage
 *	vault_retain.c	old conversations are deleted
 *	vault_backup.c	cloisterctl backup, storage verify
 *	vault_verify.c	a walk through all that is stored
 *	vault_revoke.c	disabling users, revoking keys, ending sessions
 *
 * What was acknowledged is in the engine durably; memory holds users, the
 * versions of their keys, heads and the state of H, so that a put needs nothing
 * from the engine but, once, the conversation's data key and title.
 */
#ifndef STORAGED_VAULT_H
#define STORAGED_VAULT_H

#include <sys/queue.h>

#include "anchor.h"
#include "certs.h"
#include "entry.h"
#include "events.h"
#include "hasher.h"
#include "role.h"
#include "vault_engine.h"

/* Limits on a session worker, which may be hostile. */
#define VAULT_REQS_MAX		32	/* in flight; more are refused */
#define VAULT_READS_MAX		16	/* of them, reads */
#define VAULT_PAGES_MAX		8	/* pages of reads asked for at once */
#define VAULT_SEARCHES_MAX	2
#define VAULT_PUTS_MAX		4	/* texts that are being received */
#define VAULT_LOGS_MAX		20	/* its lines in the log */
#define VAULT_GRANTS_MAX	32	/* models opened in a minute */
#define VAULT_LIST_MAX		100	/* conversations in a page */
#define VAULT_READ_MAX		200	/* messages in a page */
#define VAULT_READ_BYTES	(8u << 20)	/* text in one read */
#define VAULT_QUEUE_BYTES	(1u << 20)	/* waiting in its socket */
#define VAULT_ADMINS_MAX	8
#define VAULT_GATES_MAX		64	/* strangers who may enrol, at once */
#define VAULT_GATES_SOURCE	4	/* of one source */
#define VAULT_GATE_S		60	/* how long one may take */
#define VAULT_TRIES_MAX		3	/* wrong passwords of one session */
#define VAULT_FAILS_MAX		4096	/* names and sources remembered */
#define VAULT_INVITES_MAX	1000
#define VAULT_MODELS_MAX	64
#define VAULT_TALLIES_MAX	128	/* of a user; then all others together */
#define VAULT_ASKED_MAX		256	/* requests of one llmproxy */
#define VAULT_DKS		1024	/* data keys in memory */
#define VAULT_TICKETS		4096	/* tickets, of all users */
#define VAULT_TICKETS_USER	64	/* of one */

/* Everything secret that lives as long as the process; secret.h. */
struct vault_keys {
	uint8_t			sk[2][SEAL_KEYLEN];	/* of anchor.epoch[]: the */
	uint8_t			ek[2][SEAL_KEYLEN];	/* second in a turn */
	struct seal_bundle	bundle;
	struct anchor		anchor;
	uint8_t			dk[VAULT_DKS][SEAL_KEYLEN];
	uint8_t			psk[VAULT_TICKETS][32];
};

struct user {
	LIST_ENTRY(user)	 link;
	char			 name[REC_NAME_MAX + 1];
	uint8_t			 uid[REC_ID];
	uint64_t		 created_us;
	uint64_t		 version;	/* of U */
	uint32_t		 policy;	/* REC_POLICY_* */
	bool			 password;	/* has one */
	uint8_t			 state;		/* REC_USER_* */
	uint64_t		 limit[LIMITS];	/* 0: the default */
	struct rec_grants	*grants;	/* NULL: all models */
	uint32_t		 keys;		/* enrolled ones, all of them */
	uint32_t		 revoked;	/* of them */
	uint32_t		 live;		/* sessions */
	LIST_HEAD(, conv)	 convs;
	size_t			 nconvs;
	uint64_t		 nmessages;	/* in them */
	size_t			 nchanges;	/* of its conversations */
	LIST_HEAD(, tally)	 tallies;	/* vault_budget.c */
	size_t			 ntallies;
	unsigned		 counting;	/* of them, being written */
	struct minute {
		uint64_t	 since_ms;
		unsigned	 requests;
	}			 minute;	/* of all models */
};

/*
 * An enrolled key: where its K record is, which version of it counts (of its k
 * record too: the two are always written together), and its state.
 */
struct enrolled {
	LIST_ENTRY(enrolled)	 link;
	struct rec_key		 key;
	uint64_t		 version;
	uint8_t			 state;		/* REC_KEY_* */
	uint8_t			 message[HASH_LEN];	/* H(message SPKI) */
};

/* What may be asked: of a user by the configuration; 0: no limit. */
struct budget {
	uint32_t		 requests_minute;
	uint64_t		 tokens_day;
	uint64_t		 tokens_month;
};

struct change;
struct put;
struct worker;
struct vault_gate;
struct attempt;

/* A conversation: its head, verified, and what is going on with it. */
struct conv {
	LIST_ENTRY(conv)	 link;
	LIST_ENTRY(conv)	 of_user;	/* when user is not NULL */
	uint8_t			 id[REC_ID];
	uint8_t			 uid[REC_ID];
	struct user		*user;		/* NULL: record missing */
	/* Not NULL: its head was changed, nothing of it is believed; REC_HASH
	 * bytes, what H counts for it. */
	uint8_t			*refused;
	uint64_t		 version;	/* of C; 0: not stored yet */
	uint64_t		 last;
	uint8_t			 chain[REC_HASH];
	uint64_t		 created_us;
	uint64_t		 updated_us;
	int			 dk;		/* its data key, or -1 */
	char			*title;		/* NULL: not read */
	char			 model[REC_MODEL_MAX + 1];	/* with title */
	unsigned		 pins;		/* uses of dk and of this */
	uint32_t		 epoch;		/* that seals D; 0: not known */
	bool			 deleting;	/* hidden, until that is durable */
	bool			 gone;		/* then: not in the table */
	bool			 unseen;	/* vault_verify.c has not met it */
	STAILQ_HEAD(, change)	 changes;	/* the first one is under way */
};

/* A request of a session worker that is not finished at once. */
struct sreq {
	TAILQ_ENTRY(sreq)	 link;
	struct worker		*w;		/* NULL: the worker is gone */
	uint32_t		 req;
	void			(*gone)(struct sreq *);	/* w was just cleared */
};

/* A pair of workers, N; freed when both channels have ended. */
struct worker {
	LIST_ENTRY(worker)	 link;
	struct vault		*v;
	uint64_t		 n;
	struct chan		*kex;
	struct chan		*sess;
	bool			 have_nonce;
	uint8_t			 random_s[32];	/* keyd's, for one use */
	char			 source[65];
	struct user		*user;		/* not NULL: live */
	uint8_t			 fp[REC_FP];	/* of the key that came in */
	char			 label[REC_LABEL_MAX + 1];	/* its name */
	struct live_cert	*cert;		/* or it came with one */
	uint8_t			 suite;
	bool			 bound;		/* not resumed: bind is set */
	uint8_t			 bind[HASH_LEN];	/* hs_login_bind() */
	struct vault_gate	*gate;		/* NULL: let in, or not yet born */
	struct attempt		*attempt;	/* NULL: none is under way */
	bool			 ready;		/* sv_ready came */
	uint8_t			 session_id[32];	/* then: as it says */
	uint64_t		 since_ms;
	uint64_t		 since_us;	/* the same, for people */
	uint64_t		 auth_ms;	/* of its full handshake */
	struct ticket		*ticket;	/* to resume it, or NULL */
	bool			 suspended;	/* that may be done once it ends */
	TAILQ_HEAD(, sreq)	 reqs;
	unsigned		 nreqs;
	unsigned		 nreads;
	unsigned		 npages;
	unsigned		 nsearches;
	TAILQ_HEAD(, put)	 receiving;
	unsigned		 nreceiving;
	unsigned		 logs;
	uint32_t		 granted;	/* providers, one bit each */
	uint64_t		 grants_since_ms;
	unsigned		 grants;
	LIST_HEAD(, asked)	 asked;		/* signed questions, no answer yet */
	unsigned		 nasked;
	uint64_t		 receipts;	/* that were asked for */
};

/* Operations that wait to be written, with H. */
struct commit {
	STAILQ_ENTRY(commit)	 link;
	struct wbatch		 ops;		/* all but H */
	/* Take the change into the multiset of the next H. */
	void			(*account)(void *arg, uint8_t mset[REC_HASH]);
	/* KV_OK: durable; KV_RETRY, KV_FULL: nothing was changed. */
	void			(*done)(void *arg, enum kv_status);
	void			*arg;
};

/* Who waits to change users, keys or invites: vault_queue.c. */
struct queued {
	STAILQ_ENTRY(queued)	 link;
	void			(*go)(struct queued *);
};

/* Metadata records written together; the owner keeps it until done(). */
#define RCOMMIT_MAX	16
struct rcommit {
	struct commit		 commit;
	struct vault		*v;
	struct {
		struct rec_key	 key;
		uint64_t	 was, is;	/* versions; 0: not there */
	}			 rec[RCOMMIT_MAX];
	size_t			 n;
	void			(*done)(struct rcommit *, enum kv_status);
};

/* An invite that was not used: where its record is and until when it counts. */
struct invite {
	LIST_ENTRY(invite)	 link;
	struct rec_key		 key;
	uint64_t		 version;
	uint64_t		 expires_us;
};

/* A change of a conversation; the first member of what knows which. */
struct change {
	struct sreq		 sreq;		/* first, too */
	STAILQ_ENTRY(change)	 link;		/* of its conversation */
	struct commit		 commit;
	struct vault		*v;
	struct conv		*conv;
	struct user		*user;		/* who cannot be removed yet */
	bool			 blind;		/* needs no data key and title */
	unsigned		 loads;		/* replies to come before */
	uint16_t		 failed;	/* what one of them gave */
	struct rec_head		 head;		/* afterwards */
	/*
	 * Make commit.ops and the new head (that of now is in it): 0, an error
	 * code to refuse it, or a negative number.
	 */
	int			(*seal)(struct change *);
	/* It is durable, or failed with an error code: answer and free. */
	void			(*done)(struct change *, uint16_t code);
};

/* A signed question whose answer is to get a receipt. */
struct asked {
	LIST_ENTRY(asked)	 link;
	uint32_t		 req;
	uint8_t			 conv[REC_ID];		/* once it is stored */
	uint64_t		 number;
	uint8_t			 signature[HASH_LEN];	/* its hash */
	bool			 reported;	/* by the llmproxy: */
	uint8_t			 finish;
	uint8_t			 sent[HASH_LEN];
	uint8_t			 response[HASH_LEN];
};

/* A message on its way into the store. */
struct put {
	struct change		 change;
	TAILQ_ENTRY(put)	 receiving;
	bool			 imported;	/* keeps its time */
	uint64_t		 number;	/* as it was signed; 0: it was not */
	struct buf		 proof;
	LIST_ENTRY(put)		 waits;		/* for a receipt */
	uint64_t		 receipt_id;
	uint64_t		 after;		/* only behind this one; 0: any */
	unsigned		 refuse;	/* an error, after its data */
	bool			 complete;
	uint32_t		 left;		/* bytes of text still to come */
	struct buf		 text;
	struct entry		 entry;		/* text: once sealed */
	char			 title[REC_TITLE_MAX + 1];	/* of a new one */
};

/* A conversation that was deleted and is not shredded yet: its record X. */
struct tomb {
	LIST_ENTRY(tomb)	 link;
	uint8_t			 id[REC_ID];
	uint32_t		 epoch;
	bool			 durable;
	bool			 swept;		/* no record M is left */
	bool			 ending;	/* it is being removed */
};

struct turn;
struct rotate;

struct model {
	uint8_t	provider;
	bool	is_default;
	char	alias[65];
	char	provider_name[65];
	char	fallback[65];		/* "" for none */
	struct budget budget;		/* of each user, of this model */
};

/* A request that an llmproxy asked about, until it says what came of it. */
struct llm_ask {
	LIST_ENTRY(llm_ask)	 link;
	uint64_t		 id;
	uint64_t		 n;
	uint8_t			 uid[REC_ID];
	char			 model[65];
	bool			 refused;
};

/*
 * A request to the hasher.  The owner fills q (but for its id), done and arg;
 * done() is called once, in any case, and the memory is the owner's again.
 */
struct hash_job {
	STAILQ_ENTRY(hash_job)	 link;
	struct m_vh_hash	 q;	/* q.user must outlive it */
	void			(*done)(struct hash_job *, enum hashed,
				    const uint8_t hash[HASH_LEN]);
	void			*arg;
};
STAILQ_HEAD(hash_queue, hash_job);

/* Who is let in. */
struct admission {
	struct user	*user;
	uint8_t		 fp[REC_FP];
	char		 label[REC_LABEL_MAX + 1];
	uint8_t		 suite;
	uint64_t	 auth_ms;	/* when the full handshake was */
	bool		 want_password;	/* besides the key: not resumed */
};

/* What certd says of a certificate. */
struct cert_answer {
	unsigned	verdict;	/* enum cert_verdict */
	uint64_t	not_after;	/* seconds since the epoch */
	char		user[65];	/* when it is good */
	char		detail[257];
};

/*
 * A question to certd, from cert_job_init(); its owner fills done and arg.  done()
 * is called once, with NULL or why the certificate is not good; a may be NULL
 * then.
 */
struct cert_job {
	LIST_ENTRY(cert_job)	 link;
	uint64_t		 id;		/* 0: not asked */
	unsigned		 tries;
	size_t			 cert_n;
	uint8_t			 cert[CERT_USER_MAX];
	struct rec_spki		 spki;		/* the key that it is for */
	void			(*done)(struct cert_job *, const char *why,
				    const struct cert_answer *a);
	void			*arg;
};

/* What an llmproxy says of its provider, since the vault's start. */
struct health {
	uint64_t	successes, errors;	/* attempts */
	uint64_t	success_us, error_us;	/* the last ones; 0: none */
	uint16_t	code;			/* of the last error, enum err */
	char		text[161];
};

struct admin;
struct doomed;
LIST_HEAD(ticket_list, ticket);
struct live_cert;

struct vault {
	struct role		*role;
	struct loop		*loop;
	struct vault_keys	*keys;
	int			 anchor_fd;
	int			 keyfile_fd;
	struct keyfile		 keyfile;
	struct rec_spki		 wrap;		/* keyd's key for shares */
	char			 why[512];	/* a start that failed */
	bool			 accept;	/* take an older database as it is */
	bool			 stopping;
	bool			 draining;	/* every session ends */
	uint64_t		 drain_end_ms;
	uint64_t		 started_ms;

	/* configuration */
	uint32_t		 max_sessions_per_user;
	uint8_t			 lowest_suite;	/* that a client may use */
	uint32_t		 idle_timeout_s;
	uint32_t		 session_timeout_s;	/* 0: none */
	uint32_t		 ticket_lifetime_s;	/* 0: no tickets */
	uint32_t		 rekey_interval_s;	/* 0 in tests: none */
	uint32_t		 max_prompt_bytes;
	uint32_t		 retention_days;	/* 0: for ever */
	uint32_t		 max_conversations;	/* of a user; 0: any number */
	uint32_t		 max_messages;
	uint8_t			 shaping;
	uint32_t		 argon2_memory_kib;	/* of new passwords */
	uint32_t		 argon2_passes;
	uint32_t		 password_delay_s;	/* the first one */
	bool			 enrolment;	/* strangers may enrol */
	uint8_t			 policy;	/* REC_POLICY_*, not DEFAULT */
	struct model		 models[VAULT_MODELS_MAX];
	size_t			 nmodels;
	struct budget		 budget;	/* of each user, of all models */
	struct model		*coming;	/* of a reload, or NULL */
	size_t			 ncoming;
	struct budget		 coming_budget;

	/* links */
	struct engine		*engine;
	struct chan		*keyd;
	struct chan		*zygote;
	struct chan		*hasher;
	struct chan		*llm[ROLE_MAX_PROVIDERS];
	int			 nllm;
	LIST_HEAD(, llm_ask)	 asked[ROLE_MAX_PROVIDERS];
	unsigned		 nasked[ROLE_MAX_PROVIDERS];
	struct health		 health[ROLE_MAX_PROVIDERS];
	uint8_t			 host_hash[32];	/* of the host key's SPKI */

	/* receipts that keyd was asked for */
	LIST_HEAD(, put)	 receipting;
	uint64_t		 receipt_id;	/* of the last one */

	/* state */
	LIST_HEAD(, user)	 users;
	size_t			 nusers;
	LIST_HEAD(, enrolled)	 enrolled;
	LIST_HEAD(convs, conv)	*convs;		/* hash table */
	size_t			 nbuckets;	/* a power of two */
	size_t			 nconvs;
	size_t			 nrefused;	/* of them */
	struct conv		*dk_owner[VAULT_DKS];
	uint64_t		 dk_used[VAULT_DKS];
	uint64_t		 dk_clock;
	LIST_HEAD(, worker)	 workers[1024];
	uint32_t		 zygote_generation;	/* 0: none yet */
	uint64_t		 last_n;
	size_t			 nlive;
	LIST_HEAD(, doomed)	 doomed;	/* ended, soon to be killed */
	TAILQ_HEAD(, ticket)	 tickets;	/* the oldest first */
	struct ticket_list	 by_hash[1024];
	size_t			 ntickets;
	bool			 psk_used[VAULT_TICKETS];	/* keys->psk */
	struct loop_timer	*ticket_timer;
	struct rec_mset		 h;		/* as committed */
	uint64_t		 h_version;

	/* commits */
	STAILQ_HEAD(, commit)	 waiting;
	STAILQ_HEAD(, commit)	 committing;
	struct wbatch		 batch;		/* in flight */
	struct rec_mset		 h_next;
	unsigned		 retries;
	bool			 anchor_dirty;
	struct loop_timer	*anchor_timer;
	struct loop_timer	*stop_timer;

	/* letting in */
	LIST_HEAD(, invite)	 invites;
	size_t			 ninvites;
	LIST_HEAD(, fails)	 fails;
	size_t			 nfails;
	LIST_HEAD(, vault_gate)	 gates;
	size_t			 ngates;
	LIST_HEAD(, attempt)	 attempts;	/* being checked */
	/* deletions, and the epochs that end with them */
	LIST_HEAD(, tomb)	 tombs;
	size_t			 ntombs;
	struct sweep		*sweep;
	struct turn		*turn;
	struct rotate		*rotate;
	struct admin		*backup;	/* who makes one, or NULL */
	struct loop_timer	*backup_timer;
	struct verify		*verify;
	struct retain		*retain;
	struct loop_timer	*erase_timer;

	/* certificates */
	struct chan		*certd;
	bool			 has_client_ca;
	bool			 certd_up;
	uint32_t		 certd_generation;	/* 0: none yet */
	EVP_PKEY		*cas[CLIENT_CAS_MAX];	/* keys of authorities */
	size_t			 ncas;
	uint64_t		 cert_id;	/* of the last question */
	LIST_HEAD(, cert_job)	 cert_jobs;	/* asked */
	struct loop_timer	*cert_timer;	/* while there are any */

	/* the hasher */
	bool			 hasher_up;
	uint32_t		 hasher_generation;	/* 0: none yet */
	uint8_t			 seal[HPKE_KEY];	/* its key */
	struct hash_queue	 hash_wait[2];	/* strangers, known keys */
	struct hash_queue	 hash_sent;
	unsigned		 hash_nwait[2];
	unsigned		 hash_nsent;
	uint64_t		 hash_id;	/* of the last one sent */
	uint64_t		 hashes;	/* that it made */
	struct loop_timer	*hash_timer;

	/* administration */
	LIST_HEAD(, admin)	 admins;
	bool			 changing;	/* one change at a time */
	STAILQ_HEAD(, queued)	 queued;	/* for it */
	unsigned		 nadmins;
	uint32_t		 status_id;

	/* what handshakes cost, since the start */
	uint64_t		 nonces;	/* by keyd: X25519 follows */
	uint64_t		 signatures;	/* by keyd */
	uint64_t		 verifications;	/* here */
	uint64_t		 grants;

	/* usage, since the start */
	uint64_t		 answers;
	uint64_t		 prompt_tokens;
	uint64_t		 completion_tokens;
};

/* ---- vault_state.c ------------------------------------------------------ */

/* An empty vault with its secret memory and engine client. */
struct vault *vault_new(struct role *r, struct loop *l);
/* Free everything and wipe the keys; channels and admins must be gone. */
void vault_free(struct vault *v);

/* A user's entry from the record of this version; it belongs to v. */
struct user *user_add(struct vault *v, const struct rec_user *rec,
    uint64_t version);
/* What the record says that may be changed by itself: not state and version. */
void user_take(struct user *u, const struct rec_user *rec);
/* Take it out and free it: nothing refers to it any more. */
void user_remove(struct vault *v, struct user *u);
struct user *user_by_uid(struct vault *v, const uint8_t uid[REC_ID]);
struct user *user_by_name(struct vault *v, const char *name);

/* Remember the version and the state of a K record, and which message key. */
void enrolled_add(struct vault *v, struct bytes key, uint64_t version,
    uint8_t state, const struct rec_spki *message);
/* What is known of a K record, or NULL when no such key is enrolled. */
struct enrolled *enrolled_find(const struct vault *v, struct bytes key);
/* Forget it: it is not enrolled any more. */
void enrolled_remove(struct vault *v, struct bytes key);
/* The version that counts, or 0 when no such key is enrolled. */
uint64_t enrolled_version(const struct vault *v, struct bytes key);

/* A conversation without a head, not in the table yet. */
struct conv *conv_new(const uint8_t id[REC_ID], const uint8_t uid[REC_ID]);
/* Put it into the table. */
void conv_insert(struct vault *v, struct conv *c);
/* Free one that is not in the table. */
void conv_free(struct vault *v, struct conv *c);
struct conv *conv_find(struct vault *v, const uint8_t id[REC_ID]);
/* The head as a record, and the reverse (not the version). */
void conv_head(const struct conv *c, struct rec_head *h);
void conv_set_head(struct conv *c, const struct rec_head *h);

/* The conversation's data key if it is in memory, else NULL. */
const uint8_t *dk_find(struct vault *v, struct conv *c);
/*
 * Room for the key of a conversation that has none in memory; the least
 * recently used one that is not pinned gives way.  NULL when all are in use.
 */
uint8_t *dk_make(struct vault *v, struct conv *c);
void dk_drop(struct vault *v, struct conv *c);	/* and its title */
/* Wipe those of a user who has no live session any more. */
void dk_drop_user(struct vault *v, const struct user *u);
/*
 * While it is pinned a conversation and its data key stay.  The last unpin wipes
 * the key when the user has no live session.
 */
void conv_pin(struct conv *c);
void conv_unpin(struct vault *v, struct conv *c);
/* It was deleted: take it out of the table; it is freed with its last pin. */
void conv_remove(struct vault *v, struct conv *c);

/* ---- vault_boot.c ------------------------------------------------------- */

/*
 * Open the storage key with keyd's help over `boot` (an asynchronous or
 * blocking channel that is not used otherwise), then read and verify users,
 * keys, every head, H and the anchor.  Blocks.  0, or -1 with the reason in
 * v->why.
 */
int vault_boot(struct vault *v, struct chan *boot, int anchor_fd,
    int keyfile_fd);
/*
 * Make a new storage: keys, key file, anchor, records R and H.  Blocks.  0, or
 * -1 with the reason in v->why.
 */
int vault_init(struct vault *v, struct chan *boot, int anchor_fd,
    int keyfile_fd);
/*
 * Wrap share A of a generation for keyd's wrap key, into g: 0, or -1 when that
 * key is not acceptable.
 */
int share_wrap(struct keyfile_gen *g, uint32_t gen, struct bytes spki,
    const uint8_t share_a[SEAL_KEYLEN]);

/* ---- vault_commit.c ----------------------------------------------------- */

/*
 * Queue what is sealed; c stays its owner's and is used until done() is called.
 * What comes while a batch is in flight goes together in the next one.
 */
void commit_add(struct vault *v, struct commit *c);
/* Start a batch if there is something to write and none is in flight: the
 * loop's idle callback (arg: the vault). */
void commit_kick(void *arg);
/* Nothing is in flight or waits. */
bool commit_idle(const struct vault *v);
/* Write the anchor if it is behind H. */
void anchor_sync(struct vault *v);
/* Write it in any case. */
void anchor_now(struct vault *v);
/* Finish what is under way, write the anchor, then exit. */
void vault_stop(struct vault *v);

/* ---- vault_queue.c ------------------------------------------------------ */

/*
 * Call q->go() when no other change is under way.  It ends by queue_done(), once
 * memory is what the store is.
 */
void queue_wait(struct vault *v, struct queued *q);
void queue_done(struct vault *v);
/* Begin the next one that waits: commit_kick() does it. */
void queue_kick(struct vault *v);
/* A batch of records; was: their version as stored, 0 for none. */
void rcommit_begin(struct rcommit *rc, struct vault *v,
    void (*done)(struct rcommit *, enum kv_status));
void rcommit_put(struct rcommit *rc, const struct rec_key *key, uint64_t was,
    struct bytes value);
void rcommit_del(struct rcommit *rc, const struct rec_key *key, uint64_t was);
void rcommit_go(struct rcommit *rc);

/* ---- vault_backoff.c ---------------------------------------------------- */

/* A source as 16 bytes: an IPv4 address, the /64 of an IPv6 one. */
void backoff_source(uint8_t out[16], const char *text);
/* At start: a B record. */
void backoff_load(struct vault *v, struct bytes key,
    const struct rec_backoff *b, uint64_t version);
void backoff_free(struct vault *v);
/* Whether this source was good for this user lately. */
bool backoff_is_good(struct vault *v, const struct rec_key *good);
/* How long an attempt must wait; name: NULL where it does not count. */
uint32_t backoff_wait_s(struct vault *v, const struct rec_key *source,
    const struct rec_key *name);
/* Count a failure; remember a success.  Records are added to rc. */
void backoff_fail(struct vault *v, struct rcommit *rc,
    const struct rec_key *key);
void backoff_good(struct vault *v, struct rcommit *rc,
    const struct rec_key *good);
/* For vault_queue.c: these were written, or not. */
void backoff_written(struct vault *v, const struct rcommit *rc, bool ok);

/* ---- vault_gate.c -------------------------------------------------------- */

/*
 * Let a session worker come half to life: ENROL for a key that is not let in
 * (keys: its signing and wrap key), FACTOR for one whose user's password is
 * wanted.  false: there are too many.
 */
bool gate_begin(struct worker *w, enum gate kind, const struct rec_spki *sign,
    const struct rec_spki *wrap);
/* The session is over, or let in. */
void gate_end(struct worker *w);
/* The password was right: the session is its user's from now on. */
void gate_open(struct worker *w);
/* A failed attempt; the last one ends the session. */
void gate_failed(struct worker *w);
/* Tell a session worker who its user is; its channel is LIVE. */
void session_begin(struct worker *w);

/* ---- vault_login.c ------------------------------------------------------- */

void login_invite(struct worker *w, const struct m_sv_invite *m);
void login_enrol(struct worker *w, const struct m_sv_login *m);
void login_factor(struct worker *w, const struct m_sv_password *m);
void login_change(struct worker *w, const struct m_sv_passwd *m);

/* ---- vault_invite.c ------------------------------------------------------ */

/* At start: an I record. */
void invite_load(struct vault *v, struct bytes key, const struct rec_invite *i,
    uint64_t version);
void invites_free(struct vault *v);

/* ---- vault_worker.c ----------------------------------------------------- */

/* Callbacks of the zygote's link. */
chan_msg_cb vault_on_zygote;

struct worker *worker_find(struct vault *v, uint64_t n);
/* Close one of its channels, and forget the worker when it was the last. */
void worker_close_kex(struct worker *w);
void worker_close_sess(struct worker *w);
/* It broke a rule: audit, close, revoke. */
void worker_violation(struct worker *w, const char *what);
/*
 * End a live session: it may ask nothing more and its models are told, then it
 * has a moment to say CLOSE, then the monitor has its processes killed.
 */
void worker_end(struct worker *w, const char *reason);
/* The next live session, of user u (NULL: any) by the key fp (NULL: any). */
struct worker *worker_next(struct vault *v, const struct worker *after,
    const struct user *u, const uint8_t *fp);
/* End all of these, and wipe the tickets of others; how many ended. */
unsigned workers_end(struct vault *v, const struct user *u, const uint8_t *fp,
    const char *reason);
/* Forget whom the monitor was still to kill. */
void workers_forget_doomed(struct vault *v);
/* A line that a worker wants in the log. */
void worker_log(struct worker *w, const char *which, struct bytes text);
/* What a session worker says that a peer of its own did wrong. */
void worker_report(struct worker *w, const char *which, struct bytes text);

/* ---- vault_drain.c ------------------------------------------------------ */

/* The service stops: have every session end, in that time. */
void vault_drain(struct vault *v, uint32_t timeout_ms);
/* While it does: tell a session; and see whether that was the last one. */
void drain_tell(struct worker *w);
void drain_check(struct vault *v);

/* ---- vault_auth.c ------------------------------------------------------- */

chan_msg_cb vault_on_keyd;
/* Of a kex worker's channel; arg is the struct worker. */
chan_msg_cb vault_on_kex;

/*
 * Let the user in: w's session channel comes to life, or waits for the password,
 * and its kex channel is in state GRANTED.  event is for the audit.
 */
void worker_admit(struct worker *w, const struct admission *a,
    enum event event);
/* The service's limit; 0: none. */
uint64_t limit_default(const struct vault *v, enum limit l);
/* What counts for this user, their own or the service's; 0: no limit. */
uint64_t user_limit(const struct vault *v, const struct user *u,
    enum limit l);
/* Why this user may not have one more session now, or NULL. */
const char *user_full(const struct vault *v, const struct user *u);

/* ---- vault_ticket.c ----------------------------------------------------- */

/* xv_resume: answer it. */
void ticket_resume(struct worker *w, const struct m_xv_resume *m);
/* The handshake of a session is finished: it gets its ticket. */
void ticket_new(struct worker *w, const uint8_t resumption[HASH_LEN]);
/*
 * The session's client asks for its ticket, which is given once: its id and for
 * how long it is good.  -1 when there is none.
 */
int ticket_give(struct worker *w, uint8_t id[HASH_LEN], uint32_t *lifetime_s);
/* The session ends: its ticket stays if that was said before. */
void ticket_session_end(struct worker *w);
/* Something is wrong with w, or its worker crashed: it cannot be resumed. */
void ticket_revoke(struct worker *w);
void ticket_crashed(struct vault *v, uint64_t n);
/* Wipe those of a user (NULL: all) that came by a key (NULL: any). */
void tickets_drop(struct vault *v, const struct user *u, const uint8_t *fp);
/* Wipe what has expired, end sessions that are over their time. */
void tickets_sweep(struct vault *v);
/* Have it done from time to time, from now on. */
void tickets_watch(struct vault *v);

/* ---- vault_hasher.c ------------------------------------------------------ */

chan_msg_cb vault_on_hasher;
chan_closed_cb vault_hasher_lost;
/* At start: wait for the hasher's key and pass it on to keyd.  0 or -1. */
int vault_wait_hasher(struct vault *v, int timeout_ms);
/*
 * Queue a request; `known': for somebody who has shown a key that is enrolled,
 * and goes first.  0, or -1 when there is no hasher or too many wait: then
 * done() is not called.
 */
int hash_ask(struct vault *v, struct hash_job *j, bool known);
/* Every job fails: for vault_free(). */
void hash_free(struct vault *v);

/* ---- vault_cert.c ------------------------------------------------------- */

/* Of certd's link; arg is the vault. */
chan_msg_cb vault_on_certd;
chan_closed_cb vault_certd_lost;

/* A question about this certificate and the key that it should be for. */
void cert_job_init(struct cert_job *j, struct bytes cert,
    const struct rec_spki *spki);
/*
 * Why certd need not even be asked, or NULL: an authority in client_ca has signed
 * the certificate and the key stands in what it signed.
 */
const char *cert_refuse(const struct vault *v, const struct cert_job *j);
/* Ask; only when cert_refuse() has nothing against it. */
void cert_ask(struct vault *v, struct cert_job *j);
/* Watch over the certificate of a session that begins; not_after is its end. */
void cert_keep(struct worker *w, const struct cert_job *j, uint64_t not_after);
/* The session has ended. */
void cert_forget(struct worker *w);
/* Of vault_free(): drop questions and keys. */
void certs_free_all(struct vault *v);

/* ---- vault_session.c ---------------------------------------------------- */

/* Of a session worker's channel; arg is the struct worker. */
chan_msg_cb vault_on_session;
/* Whether another request may begin; if not, the worker is told. */
bool sess_may(struct worker *w, uint32_t req);
/* vs_error with words of its own. */
void sess_say(struct worker *w, uint32_t req, uint16_t code, const char *text,
    const char *hint);

/* Count a request in flight of w. */
void sreq_begin(struct sreq *s, struct worker *w, uint32_t req,
    void (*gone)(struct sreq *));
/* It ends; the memory is the caller's. */
void sreq_end(struct sreq *s);
/* Send to the worker of a request if it is still there. */
void sreq_send(struct sreq *s, enum msg_type type, const void *body);
void sess_error(struct worker *w, uint32_t req, uint16_t code);
/* The conversation id of w's user, or NULL: then the attempt was audited. */
struct conv *sess_conv(struct worker *w, const uint8_t id[REC_ID]);

/* ---- vault_change.c ----------------------------------------------------- */

/*
 * Make the change when those before it are over; v, conv, seal and done are
 * set.  Its sreq may have begun or not.
 */
void change_add(struct change *ch);
/*
 * For seal(): the records C and L for ch->head and, in a new conversation, D.  0
 * or -1.
 */
int change_seal_meta(struct change *ch, const char *title, const char *model);

/* ---- vault_edit.c ------------------------------------------------------- */

/* What may stand in a list: one line, without control characters. */
void clean_title(char title[REC_TITLE_MAX + 1], struct bytes text);
void rename_begin(struct worker *w, const struct m_sv_rename *m);
void delete_begin(struct worker *w, const struct m_sv_delete *m);
/* Delete it for its administrator; told gets 0 or a code at the end. */
void conv_erase(struct vault *v, struct conv *c, void (*told)(void *, uint16_t),
    void *arg);

/* ---- vault_put.c -------------------------------------------------------- */

void import_begin(struct worker *w, const struct m_sv_import *m);
void put_begin(struct worker *w, const struct m_sv_put *m);
void withdraw_begin(struct worker *w, const struct m_sv_withdraw *m);
void put_data(struct worker *w, const struct m_sv_data *m);
/* Its receipt, which may be empty, is in p->proof: store it. */
void put_receipted(struct put *p);

/* ---- vault_proof.c ------------------------------------------------------ */

/*
 * Whether the proof of a question, whose text is whole, is this session's user's
 * word on it: 0 and the number that it says, or a code of vs_error.
 */
uint16_t proof_check(const struct worker *w, struct bytes proof,
    struct bytes text, uint64_t *number);

/* A signed question was taken; w is its session's. */
void proof_asked(struct worker *w, uint32_t req, struct bytes proof);
/* It is stored, or not (conv NULL). */
void proof_stored(struct worker *w, uint32_t req, const uint8_t *conv,
    uint64_t number);
/* What an llmproxy reports of its answer. */
void proof_usage(struct worker *w, const struct m_lv_usage *m);
/*
 * The whole text of an answer is there: 0 when keyd was asked for a receipt, which
 * put_receipted() will bring; 1 when there is none to be; -1 when the answer is not
 * what the llmproxy has reported: the worker is at fault.
 */
int proof_receipt(struct worker *w, struct put *p);
/* kv_receipt. */
void proof_on_keyd(struct vault *v, struct chan *c,
    const struct m_kv_receipt *m);
/* The session is over. */
void proof_over(struct worker *w);

/* ---- vault_list.c ------------------------------------------------------- */

void list_begin(struct worker *w, const struct m_sv_list *m);

/* ---- vault_search.c ----------------------------------------------------- */

void search_begin(struct worker *w, const struct m_sv_search *m);
/* sv_cancel: end a search of w, without another word. */
void search_cancel(struct worker *w, uint32_t req);

/* ---- vault_read.c ------------------------------------------------------- */

void read_begin(struct worker *w, const struct m_sv_read *m);
/*
 * Open a D record's row, the reply to a get, into dk.  N is for the audit.  0,
 * or an error code of vs_error; tampering was audited.
 */
uint16_t conv_open_dk(struct vault *v, struct conv *c, uint64_t n,
    const struct engine_reply *r, uint8_t dk[SEAL_KEYLEN]);
/* The same, into the cache. */
uint16_t conv_take_dk(struct vault *v, struct conv *c, uint64_t n,
    const struct engine_reply *r);
/* Audit that a record of a conversation was changed. */
void tamper(struct conv *c, uint64_t n, const char *what);

/* ---- vault_refuse.c ----------------------------------------------------- */

/*
 * From now on nothing of c is believed: H counts e for it, which is not what its
 * head says.  A conversation that is not in the table is put there.
 */
void conv_refuse(struct vault *v, struct conv *c, const uint8_t e[REC_HASH]);
/* Whether it is refused; then the attempt was audited. */
bool conv_refused(struct conv *c, uint64_t n);
/* What is shown of a conversation that cannot be opened. */
#define REFUSED_TITLE	"(refused: it was changed in the storage)"
/*
 * Take the head of c out of an H that is being made, as H counts it, and put a
 * new one of the next version in, unless head is NULL.
 */
void conv_account(const struct vault *v, const struct conv *c,
    struct rec_mset *h, const struct rec_head *head);

/* ---- vault_sweep.c ------------------------------------------------------ */

/* The tombstone of a conversation, or NULL. */
struct tomb *tomb_find(const struct vault *v, const uint8_t id[REC_ID]);
/* A tombstone that the engine has. */
struct tomb *tomb_add(struct vault *v, const uint8_t id[REC_ID],
    uint32_t epoch);
/* One to be written with a deletion: its record, and its part of H. */
void tomb_make(struct vault *v, const uint8_t id[REC_ID], struct wbatch *ops);
void tomb_account(const struct vault *v, const uint8_t id[REC_ID],
    uint8_t mset[REC_HASH]);
/* The deletion failed, or is durable: the sweep begins. */
void tomb_undo(struct vault *v, const uint8_t id[REC_ID]);
void tomb_durable(struct vault *v, const uint8_t id[REC_ID]);
/* Do the next step, if there is one and none is under way. */
void sweep_kick(struct vault *v);
/* Whether nothing is left to be swept or forgotten now. */
bool sweep_idle(const struct vault *v);
void sweep_free(struct vault *v);

/* ---- vault_turn.c ------------------------------------------------------- */

/* The epoch for what is sealed now, and the key of an epoch, or NULL. */
uint32_t epoch_newest(const struct vault *v);
const uint8_t *epoch_key(const struct vault *v, uint32_t epoch);
/* Something was deleted: turn soon.  Seconds until that begins. */
uint32_t turn_due(struct vault *v);
/*
 * Turn the epoch now; done is called when it is over, with what it came to.
 * force: conversations whose data key is damaged are given up.  False when that
 * cannot be begun (a turn for somebody else is under way).
 */
bool turn_now(struct vault *v, bool force, void (*done)(void *arg, bool ok,
    const char *what), void *arg);
/*
 * The same, to a new generation of the storage key; done is called when nothing
 * is left of the old one.
 */
bool rotate_now(struct vault *v, void (*done)(void *arg, bool ok,
    const char *what), void *arg);
/* Whether none is under way or being prepared (one that is held is not). */
bool turn_idle(const struct vault *v);
/* After the start: go on with what was under way. */
void turn_resume(struct vault *v);
void turn_free(struct vault *v);

/* ---- vault_retain.c ------------------------------------------------------ */

/* Have it looked each hour, from now on, for what is older than retention_days. */
void retain_watch(struct vault *v);
/* Delete what is older than its user's limit at that time (microseconds since
 * 1970). */
void retain_now(struct vault *v, uint64_t now_us);
void retain_free(struct vault *v);

/* ---- vault_verify.c ------------------------------------------------------ */

struct verify_counts {
	uint64_t	users, conversations, messages;
	uint64_t	records, bytes;		/* in the engine, of any kind */
	uint64_t	broken;
};

/* Their text, for the audit log and for people. */
#define VERIFY_COUNTS	"users=%llu conversations=%llu messages=%llu " \
    "records=%llu bytes=%llu broken=%llu"
#define VERIFY_TEXT	"%llu users, %llu conversations, %llu messages; %llu " \
    "records, %llu bytes; %llu broken"
#define VERIFY_ARGS(n)	(unsigned long long)(n)->users, \
    (unsigned long long)(n)->conversations, \
    (unsigned long long)(n)->messages, (unsigned long long)(n)->records, \
    (unsigned long long)(n)->bytes, (unsigned long long)(n)->broken

/* Something is broken: what. */
typedef void verify_say_fn(void *arg, const char *text);
/* It is over; NULL: the store failed. */
typedef void verify_done_fn(void *arg, const struct verify_counts *n);

/*
 * Walk through everything, while all else goes on.  False when somebody else's
 * walk is under way.
 */
bool verify_begin(struct vault *v, verify_say_fn *say, verify_done_fn *done,
    void *arg);
/* arg wants nothing any more: neither function is called again.  Whether it was
 * arg's. */
bool verify_cancel(struct vault *v, const void *arg);
void verify_free(struct vault *v);

/* ---- vault_backup.c ------------------------------------------------------ */

/* Whether one is being made: then no epoch ends. */
bool backup_running(const struct vault *v);
/* After a restore: verify everything, say what was found, exit. */
void vault_check(struct vault *v);

/* ---- vault_llm.c -------------------------------------------------------- */

chan_msg_cb vault_on_llm;
/* The model with this alias, or NULL. */
const struct model *model_find(const struct vault *v, struct bytes alias);
/* Whether the user may use the model that has this alias. */
bool model_granted(const struct user *u, const char *alias);
/* What "" is for this user: the default, or the first that they may; or NULL. */
const struct model *model_default(const struct vault *v,
    const struct user *u);
/*
 * The model that the user asks for into *mo: 0, or an error code of vs_error.
 */
uint16_t model_for(const struct vault *v, const struct user *u,
    struct bytes alias, const struct model **mo);
/* The user may not use it any more: end what is under way. */
void model_revoke(struct vault *v, const struct user *u,
    const struct model *mo);
/* sv_open_model. */
void llm_open(struct worker *w, const struct m_sv_open_model *m);
/* N is gone: no more answers for it. */
void llm_revoke(struct vault *v, uint64_t n);

/* Forget what every llmproxy has asked. */
void llm_free(struct vault *v);

/* ---- vault_budget.c ----------------------------------------------------- */

/* Why a request is refused, and until when. */
struct refusal {
	char	text[160];
	char	hint[160];
};
/*
 * Whether u may ask this model now; it counts as a request then.  What is under
 * way is not counted in tokens yet.
 */
bool budget_may(struct vault *v, struct user *u, const struct model *m,
    struct refusal *why);
/* Count a request to a model and the tokens that it used; durable soon after. */
void budget_count(struct vault *v, struct user *u, const char *model,
    uint64_t tokens);
/* What u has used of all models today and this month (UTC). */
void budget_used(const struct user *u, uint64_t *day, uint64_t *month);
/* ... and its requests of this minute. */
unsigned budget_requests(const struct user *u);
/*
 * The tallies of u one after the other, as they are today; *at is NULL before the
 * first.  false after the last.
 */
bool budget_next(const struct user *u, const struct tally **at,
    struct rec_tally *now);
/* At start: a Q record.  -1 when it is nobody's. */
int budget_load(struct vault *v, struct bytes key, const struct rec_tally *t,
    uint64_t version);
/*
 * u is being removed: nothing more is counted, and this takes its tallies out of
 * the store, as part of ops, and of the multiset.  u->counting is 0.
 */
void budget_erase(struct user *u, struct wbatch *ops);
void budget_account_erased(const struct vault *v, const struct user *u,
    uint8_t mset[REC_HASH]);
/* Free what memory has of u's. */
void budget_free(struct user *u);
/* ---- vault_status.c ----------------------------------------------------- */

/* lv_health, of this provider's llmproxy. */
void health_take(struct health *h, const struct m_lv_health *m);

/* ---- vault_erase.c ------------------------------------------------------ */

/* After the start: go on with a removal that was under way. */
void erase_resume(struct vault *v);

/* ---- vault_admin.c ------------------------------------------------------ */

/*
 * Control messages once the role runs: ctl_admin, ctl_role, ctl_status_end,
 * ctl_crashed.
 */
void admin_on_ctl(struct vault *v, struct msg *m);

#endif
