/*
 * The user's conversations, as the server lists them, and naming one of them.
 */
#ifndef CLIENT_CONVS_H
#define CLIENT_CONVS_H

#include "client.h"
#include "proof.h"

#define CONV_HEX	(2 * CONV_LEN + 1)	/* an id as text, with its NUL */
#define CONV_PREFIX_MIN	4			/* digits of a shortened id */

/*
 * Called for each conversation, newest first; returns whether to go on.
 */
typedef bool convs_cb(const struct m_s_conv *conv, void *arg);
/* List them.  Returns an exit code. */
int convs_each(struct conn *c, convs_cb *cb, void *arg);

/*
 * Called for each message of a conversation, in order; RC_OK to go on, or the
 * exit code of what went wrong.
 */
typedef int convs_msg_cb(const struct m_s_msg *m, void *arg);
/* Read them all.  Returns an exit code. */
int convs_messages(struct conn *c, const uint8_t conv[CONV_LEN],
    convs_msg_cb *cb, void *arg);

/* The same of one page alone: limit messages from a number on. */
int convs_messages_from(struct conn *c, const uint8_t conv[CONV_LEN],
    uint64_t from, uint16_t limit, convs_msg_cb *cb, void *arg);

/* A message as the links of its conversation have it; it points into m. */
void proof_message_of(struct proof_message *p, const struct m_s_msg *m);

/*
 * The conversation that the user names: id is an id or at least CONV_PREFIX_MIN
 * digits of its beginning.  None, or more than one, is an error.
 */
int convs_find(struct conn *c, const char *id, uint8_t conv[CONV_LEN]);
/*
 * The conversation to go on with, as --cid or -c say; zeros for a new one.
 */
int convs_choose(struct client *cl, uint8_t conv[CONV_LEN]);
/* Remember it as the last one; a failure is told and goes no further. */
void convs_remember(const struct client *cl, const uint8_t conv[CONV_LEN]);

/* Give it another title.  Returns an exit code. */
int convs_rename(struct conn *c, const uint8_t conv[CONV_LEN],
    struct bytes title);

/* Tell the user of a server's error; RC_SERVER. */
int server_error(const struct m_s_error *e);
/*
 * When a message that was waited for did not come: an s_error about request req is
 * told, anything else a violation.  Returns the exit code.
 */
int other_reply(struct conn *c, const struct msg *m, uint32_t req);

#endif
