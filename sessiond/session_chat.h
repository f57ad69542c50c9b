/*
 * A prompt or a chat on its way, as the session_*.c that handle it share it.
 */
#ifndef SESSIOND_SESSION_CHAT_H
#define SESSIOND_SESSION_CHAT_H

#include "history.h"
#include "session_local.h"

#define TEXT_ERROR_MAX	512		/* bytes of an error's text */

struct chat {
	uint8_t			 conv[CONV_LEN];	/* zeros: new */
	bool			 nostore;
	bool			 whole;			/* c_chat: no prompt */
	bool			 tools;			/* it has some */
	char			 asked[NAME_MAX_BYTES + 1];
	uint32_t		 max_tokens, temperature, top_p; /* 0: not set */
	struct options		*options;	/* NULL: none */
	struct buf		 prompt;
	uint8_t			 mac[HASH_LEN];	/* of its message */
	struct buf		 proof;		/* its signature, or empty */
	struct history		 history;
	bool			 history_done;
	struct llm		*llm;			/* NULL: not there yet */
	char			 model[NAME_MAX_BYTES + 1];
	bool			 started;		/* the llmproxy has it */
	bool			 some;			/* it said something */
	bool			 fell_back;		/* to another model */
	bool			 cancelled;
	bool			 waits;		/* the question, for the system prompt */
	bool			 stored;		/* the question */
	uint64_t		 question;
	struct buf		 answer;
	uint8_t			 held_kind;
	struct buf		 held;			/* of a delta: chat_flush() */
	/* The outcome, once ended; code 0 is an end, others an error. */
	bool			 ended;
	uint8_t			 finish;
	uint32_t		 prompt_tokens;
	uint32_t		 completion_tokens;
	uint16_t		 code;
	char			 text[513];
	char			 hint[257];
	bool			 put;		/* the answer, to the vault */
	uint64_t		 number;	/* the answer's, once stored */
};

/* ---- session_chat.c ---- */
/* A chat that begins with this prompt; the model is what is asked for, or "". */
struct chat *chat_new(struct bytes model, struct bytes prompt);
/* With the channel and the history there, the whole conversation goes out. */
void chat_start(struct session *s, struct req *r);
/* The channel for this model, now or when the vault answers. */
void chat_find_model(struct session *s, struct req *r, const char *model);
/* The model says something: it is not exchanged any more. */
void chat_said(struct chat *c);
/* It is over with an error; what there is of an answer is stored. */
void chat_fail(struct session *s, struct req *r, enum err code,
    const char *text, const char *hint);

/* ---- session_fallback.c ---- */
/* Whether the model may still be exchanged for its fallback. */
bool fallback_waits(const struct chat *c);
/*
 * The model failed: when it has said nothing yet and has a fallback, that is asked
 * and the client is told.  false: the error is the end.
 */
bool fallback_take(struct session *s, struct req *r, enum err code,
    const char *why);

#endif
