/*
 * What the commands share, and the commands.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "args.h"
#include "cconf.h"
#include "conn.h"

#define CLIENT_VERSION	"0.1"
#define CONV_LEN	16	/* bytes of a conversation's id */

/* Kinds of a stored message, as s_msg has them. */
enum app_kind { KIND_USER = 1, KIND_ASSISTANT = 2, KIND_SYSTEM = 3 };

/* How an answer ended, as s_end and s_msg have it. */
enum app_finish {
	FINISH_NONE = 0,	/* not an answer */
	FINISH_STOP = 1,	/* complete */
	FINISH_LENGTH = 2,	/* complete as far as the model's limit goes */
	FINISH_CANCELLED = 3,
	FINISH_TRUNCATED = 4,
	FINISH_ERROR = 5,
	FINISH_TOOL_CALLS = 6,
	FINISH_FILTER = 7	/* withheld by the provider */
};

/* Kinds of text in s_delta. */
enum app_delta { DELTA_ANSWER = 0, DELTA_REASONING = 1 };

#define PROMPT_NOSTORE	1	/* flag of c_prompt */

struct client {
	struct args		 args;
	struct cconf		 conf;
	struct cconf_server	 server;
	const char		*key;	/* the private key file */
	struct conn		*conn;
};

/* Each command returns an exit code, after telling the user what went wrong. */
int cmd_ask(struct client *cl);
int cmd_chat(struct client *cl);
int cmd_list(struct client *cl);
int cmd_show(struct client *cl);
int cmd_models(struct client *cl);
int cmd_keygen(struct client *cl);
int cmd_fingerprint(struct client *cl);

#endif
