/* What a user says to cloister itself in a chat: lines that begin with '/'. */
#ifndef CLIENT_CHAT_COMMANDS_H
#define CLIENT_CHAT_COMMANDS_H

#include "client.h"
#include "lines.h"

/* A chat under way. */
struct chat {
	struct client	*cl;
	uint8_t		 conv[CONV_LEN];	/* zeros: a new one */
	char		 model[65];		/* what cl->model points to */
	uint64_t	 last;		/* its last message; 0: not known */
	struct buf	 attached;		/* files for the next question */
	struct lines	*lines;
	char		*system;	/* what cl->system points to, or NULL */
	struct buf	 again;		/* a question to be asked once more */
	bool		 editing;	/* the next one takes the last one's place */
	uint64_t	 edited_last;	/* the conversation's last message then */
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
/*
 * A question is about to be asked.  When it was begun by /edit, the one whose place
 * it takes is withdrawn now.  RC_OK, or an exit code: it is not to be asked.
 */
int chat_edit_done(struct chat *c);
/* The commands as words with their '/', ended by NULL, for completion. */
const char *const *chat_command_words(void);

/*
 * Whether the chat has a conversation at the server, and the connection stands;
 * else the user is told.
 */
bool chat_has_conv(struct chat *c);

/* chat_edit.c: what takes back the last question. */
enum chat_result chat_retry(struct chat *c, const char *arg);
enum chat_result chat_edit(struct chat *c, const char *arg);
enum chat_result chat_undo(struct chat *c, const char *arg);

#endif
