/* What a user says to cloister itself in a chat: lines that begin with '/'. */
#ifndef CLIENT_CHAT_COMMANDS_H
#define CLIENT_CHAT_COMMANDS_H

#include "client.h"

/* A chat under way. */
struct chat {
	struct client	*cl;
	uint8_t		 conv[CONV_LEN];	/* zeros: a new one */
	char		 model[65];		/* what cl->model points to */
	uint64_t	 last;		/* its last message; 0: not known */
	struct buf	 attached;		/* files for the next question */
};

enum chat_result {
	CHAT_SEND,	/* no command: text, perhaps changed, is a question */
	CHAT_DONE,	/* it was one, and was carried out or complained about */
	CHAT_QUIT	/* the user wants to leave */
};

/*
 * Take what the user has typed.  "//" at the beginning stands for a '/' that is
 * no command's.
 */
enum chat_result chat_command(struct chat *c, struct buf *text);
/* The commands as words with their '/', ended by NULL, for completion. */
const char *const *chat_command_words(void);

#endif
