/*
 * The numbers that messages carry and records keep: one meaning in every
 * process and on both ends of the wire (docs/protocol.md, Application messages).
 */
#ifndef COMMON_CODES_H
#define COMMON_CODES_H

#define CLOISTER_VERSION "0.1"

/* Who speaks in a message of a conversation. */
enum kind {
	KIND_USER = 1,
	KIND_ASSISTANT = 2,
	KIND_SYSTEM = 3,	/* in force until the next one */
	KIND_WITHDRAWN = 4	/* the last question that stands, and what
				 * follows it, count no more */
};

/* How an answer ended. */
enum finish {
	FINISH_NONE = 0,	/* not an answer */
	FINISH_STOP = 1,	/* complete */
	FINISH_LENGTH = 2,	/* complete as far as the model's limit goes */
	FINISH_CANCELLED = 3,
	FINISH_TRUNCATED = 4,	/* it ended without saying that it was complete */
	FINISH_ERROR = 5,
	FINISH_TOOL_CALLS = 6,
	FINISH_FILTER = 7	/* withheld by the provider */
};

/* What a delta's text is. */
enum delta {
	DELTA_ANSWER = 0,
	DELTA_REASONING = 1
};

/* The protocol that a provider speaks. */
enum provider_type {
	PROVIDER_OPENAI = 0,	/* chat completions */
	PROVIDER_ANTHROPIC = 1,	/* messages */
	PROVIDER_OLLAMA = 2	/* /api/chat */
};
#define PROVIDER_TYPES	3

/* How the sizes and times of answers are hidden (docs/protocol.md, Shaping). */
enum shape_mode {
	SHAPE_OFF = 0,
	SHAPE_TICK = 1,
	SHAPE_BUCKET = 2
};

/* Bounds of Argon2id's parameters, the configuration's and a record's. */
#define ARGON2_MEMORY_MIN	1024		/* KiB */
#define ARGON2_MEMORY_MAX	(1024 * 1024)
#define ARGON2_PASSES_MAX	32

/* The steps of copying the store while it is used (storaged/kv.h). */
enum copy_op {
	COPY_BEGIN = 0,
	COPY_MARK = 1,		/* up to here */
	COPY_READ = 2,
	COPY_END = 3
};
#define COPY_OPS	4

/* Flags of a prompt. */
#define PROMPT_NOSTORE	1	/* keep neither question nor answer */

/* Flags of a prompt's options. */
#define OPTIONS_SYSTEM	1	/* its system prompt counts, an empty one too */

/* Thousandths and 1, 0 where nothing is said. */
#define TEMPERATURE_MAX	2001
#define TOP_P_MAX	1001

/* Why the server ends a session. */
enum bye {
	BYE_STOPPING = 1	/* the server stops, or starts anew */
};

/* Why a request failed. */
enum err {
	ERR_INTERNAL = 1,
	ERR_NO_CONV = 2,	/* no such conversation */
	ERR_NO_MODEL = 3,
	ERR_UPSTREAM = 4,	/* the model's server failed */
	ERR_UPSTREAM_KEY = 5,	/* it refused our API key */
	ERR_CONTEXT = 6,	/* the conversation does not fit the model */
	ERR_OVERLOADED = 7,
	ERR_STORAGE = 8,
	ERR_LIMIT = 9,
	ERR_BUSY = 10,		/* too many requests, or this number is in use */
	ERR_BAD = 11,		/* the request itself is wrong */
	ERR_TRUNCATED = 12,	/* the answer broke off */
	ERR_QUOTA = 13,		/* nothing left to spend at the provider */
	ERR_PASSWORD = 14,	/* user or password is wrong */
	ERR_WAIT = 15,		/* too many wrong passwords: not now */
	ERR_INVITE = 16,	/* no such invite (any more) */
	ERR_KEY = 17,		/* no such key, or it cannot be enrolled */
	ERR_WEAK = 18,		/* the new password breaks the rule */
	ERR_NO_TICKET = 24,	/* this session cannot be resumed */
	ERR_MODEL_DENIED = 25,	/* the user may not use this model */
	ERR_CHANGED = 32,	/* the conversation has gone on meanwhile */
	ERR_SIGNATURE = 40	/* the signature of a message does not fit */
};

/* A session that is not let in yet, and what it may do. */
enum gate {
	GATE_ENROL = 1,		/* enrol its key */
	GATE_FACTOR = 2		/* give its user's password */
};

#endif
