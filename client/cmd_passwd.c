/*
 * cloister passwd, cloister keys: what a user changes of their own account.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "convs.h"
#include "exits.h"
#include "rsa.h"
#include "secret_ask.h"
#include "text.h"
#include "ui.h"

#define KEYID		8	/* bytes of a key's id */
#define KEYS_MAX	4096	/* more are not a list */

/* A new password, twice; told when it breaks the rule. */
static int
new_password(const char *user, bool from_stdin, char pw[SECRET_SIZE])
{
	enum password_fault f;
	char again[SECRET_SIZE];
	int rc;

	if ((rc = secret_ask(pw, "New password: ", from_stdin)) != RC_OK)
		return rc;
	f = password_judge(bytes_str(pw), bytes_str(user));
	if (f != PASSWORD_GOOD) {
		ui_err("the new password is too weak: %s\n(%s)",
		    password_fault_text(f), PASSWORD_RULE);
		return RC_ERROR;
	}
	if (from_stdin)
		return RC_OK;
	rc = secret_ask(again, "The same again: ", false);
	if (rc == RC_OK && strcmp(pw, again) != 0) {
		ui_err("the two are not the same");
		rc = RC_ERROR;
	}
	explicit_bzero(again, sizeof(again));
	return rc;
}

int
cmd_passwd(struct client *cl)
{
	char old[SECRET_SIZE], pw[SECRET_SIZE];
	struct m_c_passwd q;
	struct msg m;
	int rc;

	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc != RC_OK)
		return rc;
	rc = secret_ask(old, "Old password: ", cl->args.from_stdin);
	if (rc == RC_OK)
		rc = new_password(conn_user(cl->conn), cl->args.from_stdin, pw);
	if (rc == RC_OK)
		rc = conn_seal(cl->conn, PASSWORD_CHANGE, conn_user(cl->conn),
		    "", old, pw, q.sealed);
	explicit_bzero(old, sizeof(old));
	explicit_bzero(pw, sizeof(pw));
	if (rc != RC_OK || (rc = conn_attempt(cl->conn, MSG_c_passwd, &q,
	    &q.req, &m)) != RC_OK)
		return rc;
	if (m.type != MSG_s_done)
		return other_reply(cl->conn, &m, q.req);
	return ui_printf("Password changed.\n") == 0 ? RC_OK : RC_ERROR;
}

/* A key as a line: id, state, when, fingerprint, label. */
static int
show_key(const struct m_s_key *k)
{
	struct buf label = BUF_INIT(4096);
	char id[2 * KEYID + 1], fp[RSA_FP_TEXT];
	bool tty = isatty(STDOUT_FILENO);
	int rv;

	hex_encode(id, k->keyid, KEYID);
	rsa_fingerprint_text(fp, k->fp);
	text_clean_line(&label, k->label);
	rv = ui_printf(tty ? "%s  %-7s %s  %.*s%s\n" : "%s\t%s\t%s\t%.*s%s\n",
	    id, k->state == 1 ? "active" : "revoked", fp, (int)label.n,
	    (const char *)label.p, !k->own ? "" :
	    tty ? "  (this machine)" : "\tthis");
	buf_free(&label);
	return rv;
}

/*
 * Go through the list: show it, or find the key whose id begins with want.
 */
static int
each_key(struct client *cl, const char *want, uint8_t keyid[KEYID])
{
	struct m_c_keys q = { .req = conn_request(cl->conn) };
	unsigned found = 0, n = 0;
	char id[2 * KEYID + 1];
	struct msg m;
	int rc;

	rc = conn_send(cl->conn, MSG_c_keys, &q);
	while (rc == RC_OK && (rc = conn_next(cl->conn, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req)
			break;
		if (m.type != MSG_s_key || m.u.s_key.req != q.req ||
		    n++ == KEYS_MAX)
			return other_reply(cl->conn, &m, q.req);
		hex_encode(id, m.u.s_key.keyid, KEYID);
		if (want == NULL) {
			if (show_key(&m.u.s_key) == -1)
				return RC_ERROR;
		} else if (strncmp(id, want, strlen(want)) == 0) {
			memcpy(keyid, m.u.s_key.keyid, KEYID);
			found++;
		}
	}
	if (rc == RC_OK && want != NULL && found != 1) {
		ui_err(found == 0 ? "no key of yours has an id that begins "
		    "with %s" : "several ids begin with %s", want);
		rc = RC_ERROR;
	}
	return rc;
}

int
cmd_keys(struct client *cl)
{
	char **w = cl->args.words;
	struct m_c_key_name name;
	struct m_c_key_revoke revoke;
	uint8_t keyid[KEYID] = { 0 };
	uint32_t req;
	struct msg m;
	int rc;

	if (cl->args.nwords > 1 && strlen(w[1]) < 4) {
		ui_err("at least 4 digits of the id, please");
		return RC_USAGE;
	}
	rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = each_key(cl, cl->args.nwords > 1 ? w[1] : NULL, keyid);
	if (rc != RC_OK || cl->args.nwords == 0)
		return rc;
	req = name.req = revoke.req = conn_request(cl->conn);
	if (strcmp(w[0], "name") == 0) {
		memcpy(name.keyid, keyid, KEYID);
		name.label = bytes_str(w[2]);
		if (name.label.n > 64 || !bytes_utf8(name.label)) {
			ui_err("a label has at most 64 bytes");
			return RC_USAGE;
		}
		rc = conn_send(cl->conn, MSG_c_key_name, &name);
	} else {
		memcpy(revoke.keyid, keyid, KEYID);
		rc = conn_send(cl->conn, MSG_c_key_revoke, &revoke);
	}
	if (rc != RC_OK || (rc = conn_next(cl->conn, &m)) != RC_OK)
		return rc;
	return m.type == MSG_s_done && m.u.s_done.req == req ? RC_OK :
	    other_reply(cl->conn, &m, req);
}
