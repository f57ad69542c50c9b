#include "sign.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "convs.h"
#include "exits.h"
#include "keyd_child.h"
#include "log.h"
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
    const uint8_t conv[CONV_LEN], struct sign *s)
{
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct proof_user p;
	struct m_c_sign q = { .req = req };
	struct tip tip;
	int rc = RC_OK;

	memset(s, 0, sizeof(*s));
	if (cl->conf.sign == CCONF_SIGN_OFF)
		return RC_OK;
	if (cl->args.nostore) {
		ui_step("not signed: nothing is stored");
		return RC_OK;
	}
	s->done = true;
	if (cl->conf.sign == CCONF_SIGN_ASK)
		rc = ask_user(&s->done);
	if (rc == RC_OK && s->done)
		rc = find_tip(cl, conv, &tip);
	if (rc != RC_OK || !s->done)
		return rc;
	memset(&p, 0, sizeof(p));
	conn_identity(cl->conn, p.session_id, p.server);
	/* A system prompt that goes along is stored before it. */
	p.number = tip.number + 1 + cl->system_due;
	memcpy(p.previous, tip.link, sizeof(p.previous));
	rc = keyd_message(conn_keyd(cl->conn), &p, text, &proof);
	if (rc == RC_OK) {
		q.proof = buf_bytes(&proof);
		rc = conn_send(cl->conn, MSG_c_sign, &q);
	}
	if (rc == RC_OK) {
		ui_step("signed as message %ju of its conversation",
		    (uintmax_t)p.number);
		s->number = p.number;
		if (proof_user_decode(&p, q.proof) != 0 ||
		    (s->text = EVP_MD_CTX_new()) == NULL ||
		    EVP_DigestInit_ex(s->text, sha256_md(), NULL) != 1)
			fatalx("memory");
		sha256(s->signature, p.sig);
	}
	buf_free(&proof);
	return rc;
}

void
sign_delta(struct sign *s, struct bytes text)
{
	if (s->text != NULL && EVP_DigestUpdate(s->text, text.p, text.n) != 1)
		fatalx("SHA-256");
}

/* What is to be in a receipt. */
struct wanted {
	struct client	*cl;
	const struct sign *s;
	uint8_t		 response[HASH_LEN];
	const uint8_t	*conv;
	const char	*why;		/* what is wrong with it */
	bool		 complete;
};

static int
look(const struct m_s_msg *m, void *arg)
{
	struct wanted *w = arg;
	uint8_t session_id[HASH_LEN], server[HASH_LEN];
	struct proof_receipt p;

	conn_identity(w->cl->conn, session_id, server);
	w->why = NULL;
	if (m->proof.n == 0)
		w->why = "the server gave no receipt for this answer";
	else if (proof_receipt_decode(&p, m->proof) != 0 ||
	    memcmp(p.server, server, HASH_LEN) != 0 ||
	    proof_receipt_verify(&p) != 0)
		w->why = "the server's receipt does not verify";
	else if (memcmp(p.signature, w->s->signature, HASH_LEN) != 0 ||
	    p.question != w->s->number ||
	    memcmp(p.conv, w->conv, CONV_LEN) != 0)
		w->why = "the server's receipt is for another question";
	else if (memcmp(p.response, w->response, HASH_LEN) != 0)
		w->why = "the server's receipt is for another answer than the "
		    "one above";
	else
		w->complete = p.finish == FINISH_STOP;
	return RC_OK;
}

int
sign_receipt(struct client *cl, struct sign *s, const uint8_t conv[CONV_LEN],
    uint64_t number)
{
	struct wanted w = { .cl = cl, .s = s, .conv = conv,
	    .why = "the server does not show the answer" };
	int rc;

	if (s->text == NULL)
		return RC_OK;
	if (EVP_DigestFinal_ex(s->text, w.response, NULL) != 1)
		fatalx("SHA-256");
	rc = convs_messages_from(cl->conn, conv, number, 1, look, &w);
	if (rc != RC_OK)
		return rc;
	if (w.why != NULL)
		ui_err("WARNING: %s", w.why);
	else
		ui_step("signed, and a receipt of the server for %s answer",
		    w.complete ? "the whole" : "an incomplete");
	return RC_OK;
}

void
sign_free(struct sign *s)
{
	EVP_MD_CTX_free(s->text);
	s->text = NULL;
}
