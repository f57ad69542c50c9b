/*
 * What was said in a conversation and stands: its messages without those that were
 * withdrawn (docs/protocol.md, c_withdraw).
 */
#ifndef CLIENT_SAID_H
#define CLIENT_SAID_H

#include <sys/queue.h>

#include "client.h"
#include "convs.h"

#define SAID_MAX	(256u << 20)	/* bytes of text of one conversation */

struct said_msg {
	TAILQ_ENTRY(said_msg)	 link;
	struct m_s_msg		 m;	/* text and model are below */
	struct buf		 text;
	char			 model[65];
};

struct said {
	TAILQ_HEAD(said_list, said_msg) list;
	uint64_t		 last;	/* number of the last message, of any kind */
	size_t			 bytes;
	bool			 withdrawn;	/* no question came since */
};

void said_init(struct said *s);
void said_free(struct said *s);
/*
 * Add a message, whose turn it is.  Returns RC_OK or an exit code, after telling
 * the user: there is too much of it, or it is of no kind that is known here.
 */
int said_add(struct said *s, const struct m_s_msg *m);
/* Read a conversation into s, which was initialized.  Returns an exit code. */
int said_read(struct said *s, struct conn *c, const uint8_t conv[CONV_LEN]);
/* The last question that stands, or NULL. */
const struct said_msg *said_question(const struct said *s);
/* said_read(), and cb for each message.  Returns an exit code. */
int said_each(struct conn *c, const uint8_t conv[CONV_LEN], convs_msg_cb *cb,
    void *arg);
/*
 * Withdraw the last question that stands, while *last is the number of the
 * conversation's last message; *last is then that of the withdrawal.  Returns an
 * exit code.
 */
int said_withdraw(struct conn *c, const uint8_t conv[CONV_LEN], uint64_t *last);

#endif
