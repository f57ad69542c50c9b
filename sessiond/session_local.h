/*
 * What session*.c share; nobody else includes it.
 *
 *	session.c	birth, end, the vault's channel, requests
 *	session_io.c	the client's socket
 *	session_shape.c	when what is sent to the client leaves
 *	session_chat.c	c_prompt, c_chat and c_cancel
 *	session_opts.c	c_options
 *	session_llm.c	the channels to llmproxies
 *	session_read.c	c_list, c_show, c_models; messages read from storage
 *	session_gate.c	enrolment, passwords, the user's own keys
 *	session_self.c	what concerns the session itself: c_ticket, c_suspend
 *	session_edit.c	c_delete, c_rename, c_search, c_import, c_withdraw
 *	history.c	what the model is to see of a conversation
 */
#ifndef SESSIOND_SESSION_LOCAL_H
#define SESSIOND_SESSION_LOCAL_H

#include <sys/queue.h>

#include "appconn.h"
#include "chan.h"
#include "codes.h"
#include "loop.h"
#include "password.h"
#include "proof.h"
#include "shape.h"

#define REQS_MAX	16		/* requests of one session at once */
#define QUEUE_HIGH	(1u << 20)	/* bytes waiting: stop their source */
#define NAME_MAX_BYTES	64		/* users and models */
#define TEXT_MAX_BYTES	1048576		/* a prompt or an answer */
#define DATA_MAX_BYTES	32768		/* of one sv_data, vs_data, sl_data */
#define CONV_LEN	16

enum req_kind {
	REQ_CHAT, REQ_LIST, REQ_SHOW, REQ_MODELS, REQ_DELETE, REQ_RENAME,
	REQ_SEARCH, REQ_IMPORT, REQ_WITHDRAW, REQ_TICKET, REQ_GATE
};

struct chat;
struct session;

/* What goes with a prompt. */
struct options {
	uint32_t	 req;		/* the client's number */
	uint8_t		 flags;
	uint32_t	 max_tokens, temperature, top_p;
	struct buf	 system;	/* with OPTIONS_SYSTEM */
	uint8_t		 mac[HASH_LEN];	/* of the message that brought it */
};

/* The channel to the llmproxy that serves one model. */
struct llm {
	TAILQ_ENTRY(llm)	 link;
	struct session		*s;
	struct chan		*chan;
	char			 alias[NAME_MAX_BYTES + 1];
	bool			 is_default;	/* was asked for as "" */
};

/*
 * A request of the client.  Towards vault and llmproxies it has a number that
 * is never used again, so that a late answer meets no other request.
 */
struct req {
	TAILQ_ENTRY(req)	 link;
	uint32_t		 id;		/* the client's */
	uint32_t		 rid;		/* ours */
	enum req_kind		 kind;
	bool			 reading;	/* head is there, text arrives */
	struct m_vs_msg		 head;		/* head.model is model[] */
	char			 model[NAME_MAX_BYTES + 1];
	struct buf		 text;
	struct buf		 proof;		/* of the message in head */
	struct chat		*chat;		/* REQ_CHAT */
	enum msg_type		 asked;		/* REQ_GATE: by this */
};

struct session {
	uint64_t		 n;
	struct loop		*loop;
	struct loop_timer	*timer;		/* birth, then idle, then end */
	struct loop_timer	*life;		/* its time is over */
	struct loop_timer	*fresh;		/* its keys are old */
	int			 status;

	struct chan		*vault;		/* NULL: gone */
	struct chan		*twin;		/* NULL: done or gone */
	bool			 have_user;
	bool			 have_keys;
	uint8_t			 gate;		/* enum gate; 0: let in */
	uint16_t		 gate_s;	/* how long it may take */
	uint8_t			 exported[HASH_LEN];	/* password_export() */
	uint8_t			 session_id[HASH_LEN];
	struct m_twin_secrets	 secrets;
	char			 user[NAME_MAX_BYTES + 1];
	uint32_t		 idle_timeout_s;
	uint32_t		 lifetime_s;	/* 0: no limit */
	uint32_t		 rekey_interval_s;	/* 0: only in tests */
	uint32_t		 max_prompt;

	int			 fd;		/* the client, or -1 */
	struct loop_io		*io;		/* NULL: nothing can be written */
	uint32_t		 events;
	struct appconn		*app;
	struct shape		 shape;
	struct loop_timer	*tick;
	bool			 stalled;	/* input waits: see blocked() */
	uint64_t		 last_ms;	/* when the client last asked */
	bool			 left;		/* the client asks no more */
	bool			 leaving;	/* that has been acted on */
	bool			 closing;	/* only output is left to do */
	bool			 stopping;	/* the service does */
	bool			 stop_due;	/* nothing is waited for any more */
	uint64_t		 stop_end_ms;
	struct loop_timer	*stop_timer;

	uint32_t		 sign_req;	/* c_prompt that sign is for */
	struct buf		 sign;		/* c_sign's proof, or empty */

	struct options		*options;	/* for the next prompt, or NULL */
	uint32_t		 last_rid;
	TAILQ_HEAD(, req)	 reqs;
	unsigned		 nreqs;
	TAILQ_HEAD(, llm)	 llms;
};

/* ---- session.c ---- */
/* A message from the client. */
void session_message(struct session *s, struct msg *m);
/*
 * The client will ask nothing more.  Answers under way are cancelled and stored;
 * session_settle() does it, so that this may be called with any request in
 * use.
 */
void session_left(struct session *s, int status);
/* At the end of a round: go on with the session's end, if that has come. */
void session_settle(struct session *s);
/* A peer (vault, llmproxy) broke the rules: log it and end. */
void session_violation(struct session *s, const char *why);
/* Send to the vault, if it is there; its end is noticed by the loop. */
void session_vault(struct session *s, enum msg_type type, const void *body);
/* The text that r's message to it has announced. */
void session_vault_data(struct session *s, const struct req *r,
    struct bytes text);
/* Tell the client that request id has failed. */
void session_error(struct session *s, uint32_t id, enum err code,
    const char *text, const char *hint);
/*
 * A new request; NULL, and the client is told, when id is in use or there are
 * too many.
 */
struct req *req_new(struct session *s, uint32_t id, enum req_kind kind);
/* The request is over and answered. */
void req_free(struct session *s, struct req *r);
/* The request with our number, or NULL: it is over. */
struct req *req_by_rid(struct session *s, uint32_t rid);
/* Whether a request ever had this number. */
bool req_known(const struct session *s, uint32_t rid);

/* ---- session_stop.c ---- */
/*
 * The service stops: the client is told, nothing new is begun, and in that time
 * or when nothing is under way the session ends.
 */
void stop_begin(struct session *s, uint32_t timeout_ms);
/* Tell the client, who can be told now. */
void stop_tell(struct session *s);
/* At the end of a round: whether nothing is left to wait for. */
void stop_check(struct session *s);
/* Say s_hello: the user is let in. */
void session_hello(struct session *s);

/* ---- session_gate.c ---- */
/* vs_gate; false: the vault broke the rules. */
bool gate_take(struct session *s, const struct m_vs_gate *m);
/* With the keys, too: tell the client what is wanted. */
void gate_hello(struct session *s);
/* A message of the client about enrolment, passwords or keys. */
void gate_message(struct session *s, const struct msg *m);
/* vs_key, vs_done, vs_enrolled, for a request that is not over. */
void gate_answer(struct session *s, struct req *r, const struct msg *m);

/* ---- session_io.c ---- */
/* Start to serve the client's socket s->fd through s->app. */
void io_start(struct session *s);
/* Send to the client, if it is there. */
void io_send(struct session *s, enum msg_type type, const void *body);
/* The loop's idle callback: write what was gathered, adjust back-pressure. */
void io_round(void *session);
/* Watch the client no more. */
void io_stop(struct session *s);

/* ---- session_shape.c ---- */
/* A prompt was taken: from now on, records leave by the schedule. */
void shaping_begin(struct session *s, const struct req *r);
/* The last word to it was said; nothing happens where it was not shaped. */
void shaping_end(struct session *s, const struct req *r);
/* The session ends. */
void shaping_stop(struct session *s);

/* ---- session_chat.c ---- */
void chat_prompt(struct session *s, const struct m_c_prompt *m);
/* c_sign: kept for the prompt that it names. */
void chat_sign(struct session *s, const struct m_c_sign *m);
void chat_whole(struct session *s, const struct m_c_chat *m);
void chat_cancel(struct session *s, struct req *r);
/* The service cannot wait: what there is of the answer is stored as truncated. */
void chat_truncate(struct session *s, struct req *r);
void chat_free(struct chat *c);
/* Say what was held back for a shaped record. */
void chat_flush(struct session *s, struct req *r);
/* One message of the history is in r->head and r->text. */
void chat_history(struct session *s, struct req *r);
void chat_history_done(struct session *s, struct req *r);
/* Whether the history may still arrive. */
bool chat_reading(const struct req *r);
void chat_stored(struct session *s, struct req *r, const struct m_vs_stored *m);
/* The vault refused a step. */
void chat_refused(struct session *s, struct req *r);
/* Whether an answer for that conversation is under way. */
bool chat_busy(const struct session *s, const uint8_t conv[CONV_LEN]);
/* Whether the prompt named no model. */
bool chat_wants_default(const struct req *r);
/* The channel for the model is there, or has ended. */
void chat_opened(struct session *s, struct req *r, struct llm *llm);
void chat_llm_lost(struct session *s, struct req *r, const struct llm *llm);
/* From the llmproxy; -1 when this request is not its. */
int chat_delta(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_delta *m);
int chat_end(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_end *m);
int chat_error(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_error *m);

/* ---- session_opts.c ---- */
/* c_options: keep it, in place of an earlier one. */
void options_keep(struct session *s, const struct m_c_options *m);
/*
 * The prompt of that number is here: its options, which the caller frees, or NULL.
 * Those of another number are thrown away.
 */
struct options *options_take(struct session *s, uint32_t req);
/* Free and forget; NULL is allowed. */
void options_free(struct options *o);
/* What is wrong with them, or NULL. */
const char *options_bad(const struct options *o);
const char *params_bad(uint32_t temperature, uint32_t top_p);

/* ---- session_llm.c ---- */
/* The channel for a model that was asked for by this name, or NULL. */
struct llm *llm_find(struct session *s, const char *model);
/* vs_open_model: take its descriptor. */
struct llm *llm_opened(struct session *s, struct msg *m, bool is_default);
void llm_free_all(struct session *s);

/* ---- session_self.c ---- */
void self_ticket(struct session *s, const struct m_c_ticket *m);
void self_suspend(struct session *s, const struct m_c_suspend *m);
/* vs_ticket, for a request that is not over. */
void self_answer(struct session *s, struct req *r, const struct msg *m);

/* ---- session_read.c ---- */
void read_list(struct session *s, const struct m_c_list *m);
void read_show(struct session *s, const struct m_c_show *m);
void read_models(struct session *s, const struct m_c_models *m);
/* vs_model, vs_conv, vs_msg, vs_data, vs_done, for a request that is not over. */
void read_answer(struct session *s, struct req *r, const struct msg *m);

/* ---- session_edit.c ---- */
void edit_delete(struct session *s, const struct m_c_delete *m);
void edit_rename(struct session *s, const struct m_c_rename *m);
void edit_search(struct session *s, const struct m_c_search *m);
void edit_withdraw(struct session *s, const struct m_c_withdraw *m);
void edit_import(struct session *s, const struct m_c_import *m);
/* A search is to end: it is over at once. */
void edit_cancel(struct session *s, struct req *r);
/*
 * vs_deleted, vs_found, vs_stored of an import or a withdrawal, for a request that
 * is not over.
 */
void edit_answer(struct session *s, struct req *r, const struct msg *m);

#endif
