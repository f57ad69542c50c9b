#include "sign.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "convs.h"
#include "exits.h"
#include "keyd_child.h"
#include "ui.h"

/* The links of a conversation, as far as it was read. */
struct tip {
	uint64_t	number;		/* of the last message; 0: none */
	uint8_t		link[HASH_LEN];
};

static int
take(const struct m_s_msg *m, void *arg)
{
	struct tip *t = arg;
	struct proof_message p;

	if (m->number != t->number + 1) {
		ui_err("the server leaves out messages of the conversation: "
		    "nothing is signed");
		return RC_SERVER;
	}
	proof_message_of(&p, m);
	proof_link_next(t->link, &p);
	t->number = m->number;
	return RC_OK;
}

/* Whether the user wants this one signed. */
static int
ask_user(bool *yes)
{
	FILE *tty = fopen("/dev/tty", "r+e");
	char line[16] = "";

	if (tty == NULL) {
		ui_err("`sign = ask', and there is no terminal to ask on: say "
		    "--sign or --no-sign");
		return RC_USAGE;
	}
	(void)fprintf(tty, "Sign this message with your key (yes, no)? ");
	(void)fflush(tty);
	if (fgets(line, sizeof(line), tty) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	(void)fclose(tty);
	*yes = strcasecmp(line, "yes") == 0 || strcasecmp(line, "y") == 0;
	return RC_OK;
}

/* The tip of the conversation, which is read for it; of a new one, zeros. */
static int
find_tip(struct client *cl, const uint8_t conv[CONV_LEN], struct tip *t)
{
	static const uint8_t none[CONV_LEN];

	memset(t, 0, sizeof(*t));
	if (memcmp(conv, none, CONV_LEN) == 0)
		return RC_OK;
	proof_link_begin(t->link, conv);
	return convs_messages(cl->conn, conv, take, t);
}

int
sign_question(struct client *cl, uint32_t req, struct bytes text,
    const uint8_t conv[CONV_LEN], bool *done)
{
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct proof_user p;
	struct m_c_sign q = { .req = req };
	struct tip tip;
	int rc = RC_OK;

	*done = false;
	if (cl->conf.sign == CCONF_SIGN_OFF)
		return RC_OK;
	if (cl->args.nostore) {
		ui_step("not signed: nothing is stored");
		return RC_OK;
	}
	*done = true;
	if (cl->conf.sign == CCONF_SIGN_ASK)
		rc = ask_user(done);
	if (rc == RC_OK && *done)
		rc = find_tip(cl, conv, &tip);
	if (rc != RC_OK || !*done)
		return rc;
	memset(&p, 0, sizeof(p));
	conn_identity(cl->conn, p.session_id, p.server);
	p.number = tip.number + 1;
	memcpy(p.previous, tip.link, sizeof(p.previous));
	rc = keyd_message(conn_keyd(cl->conn), &p, text, &proof);
	if (rc == RC_OK) {
		q.proof = buf_bytes(&proof);
		rc = conn_send(cl->conn, MSG_c_sign, &q);
	}
	if (rc == RC_OK)
		ui_step("signed as message %ju of its conversation",
		    (uintmax_t)p.number);
	buf_free(&proof);
	return rc;
}
