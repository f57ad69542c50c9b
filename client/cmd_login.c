/*
 * cloister login: this machine's key is enrolled, by an invite (a link) or by the
 * user's password.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "convs.h"
#include "exits.h"
#include "link.h"
#include "secret_ask.h"
#include "ui.h"

/* The machine's name: what the key is called in the user's list. */
static void
label(char text[65])
{
	char host[256];

	if (gethostname(host, sizeof(host)) == -1)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	(void)strlcpy(text, host[0] != '\0' ? host : "unnamed", 65);
	if (!bytes_utf8(bytes_str(text)))
		(void)strlcpy(text, "unnamed", 65);
}

/* The user's name at the server: -l, or asked for. */
static int
user_name(const struct client *cl, char name[65])
{
	const char *login = getenv("LOGNAME");
	const struct passwd *pw;
	char prompt[512];
	int rc;

	if (cl->args.user != NULL) {
		if (strlcpy(name, cl->args.user, 65) < 65)
			return RC_OK;
		ui_err("a user's name has at most 64 bytes");
		return RC_USAGE;
	}
	if (login == NULL)
		login = (pw = getpwuid(getuid())) != NULL ? pw->pw_name : "";
	(void)snprintf(prompt, sizeof(prompt), "Your name at %s [%s]: ",
	    cl->server.text, login);
	if ((rc = name_ask(name, 65, prompt, login)) != RC_OK)
		return rc;
	if (name[0] != '\0' && bytes_utf8(bytes_str(name)))
		return RC_OK;
	ui_err("that is no name");
	return RC_ERROR;
}

/* The server's answer to an attempt: whether it is a yes. */
static int
enrolled(struct client *cl, const struct msg *m, bool *again)
{
	char name[65];

	*again = m->type == MSG_s_error &&
	    m->u.s_error.code == ERR_PASSWORD && !cl->args.from_stdin;
	if (m->type == MSG_s_error) {
		(void)server_error(&m->u.s_error);
		return RC_REFUSED;
	}
	if (m->type != MSG_s_enrolled)
		return conn_violation(cl->conn, m);
	(void)msg_text(name, sizeof(name), m->u.s_enrolled.user);
	return ui_printf("Welcome, %s: this machine's key is enrolled at %s.\n",
	    name, cl->server.text) == 0 ? RC_OK : RC_ERROR;
}

static int
by_invite(struct client *cl, const struct link *l)
{
	struct m_c_enrol_invite q = { .msg_spki = conn_msg_spki(cl->conn) };
	struct msg m;
	char name[65];
	bool again;
	int rc;

	label(name);
	q.label = bytes_str(name);
	memcpy(q.id, l->code, sizeof(q.id));
	conn_prove(cl->conn, l->code, name, q.proof);
	rc = conn_attempt(cl->conn, MSG_c_enrol_invite, &q, &q.req, &m);
	return rc == RC_OK ? enrolled(cl, &m, &again) : rc;
}

static int
by_password(struct client *cl)
{
	struct m_c_enrol_password q = { .msg_spki = conn_msg_spki(cl->conn) };
	char name[65], host[65], pw[SECRET_SIZE], prompt[512];
	bool again = true;
	struct msg m;
	int rc;

	if ((rc = user_name(cl, name)) != RC_OK)
		return rc;
	label(host);
	q.user = bytes_str(name);
	q.label = bytes_str(host);
	(void)snprintf(prompt, sizeof(prompt), "Password of %s at %s: ", name,
	    cl->server.text);
	for (int i = 0; i < 3 && again; i++) {
		if ((rc = secret_ask(pw, prompt, cl->args.from_stdin)) != RC_OK)
			break;
		rc = conn_seal(cl->conn, PASSWORD_ENROL, name, host, pw, "",
		    q.sealed);
		explicit_bzero(pw, sizeof(pw));
		if (rc != RC_OK || (rc = conn_attempt(cl->conn,
		    MSG_c_enrol_password, &q, &q.req, &m)) != RC_OK)
			break;
		rc = enrolled(cl, &m, &again);
	}
	return rc;
}

/* Keys, unless there are some. */
static int
have_keys(struct client *cl)
{
	int rc;

	if (access(cl->key, F_OK) == 0)
		return RC_OK;
	if (errno != ENOENT) {
		ui_err("%s: %s", cl->key, strerror(errno));
		return RC_ERROR;
	}
	ui_err("making your keys, in %s", cl->key);
	rc = keys_make(cl);
	return rc;
}

int
cmd_login(struct client *cl)
{
	const char *word = cl->args.words[0];
	bool invited = strncmp(word, LINK_SCHEME,
	    sizeof(LINK_SCHEME) - 1) == 0;
	char err[512];
	struct link l;
	int rc;

	if (invited && link_parse(&l, word) == -1) {
		ui_err("this link is not whole: copy all of it, to the end");
		return RC_USAGE;
	}
	if (cconf_server_parse(&cl->server, invited ? l.server : word) == -1) {
		ui_err("%s: not HOST or HOST:PORT", invited ? l.server : word);
		return RC_USAGE;
	}
	if ((rc = have_keys(cl)) != RC_OK || (rc = conn_login(&cl->conn,
	    &cl->conf, &cl->server, cl->key, invited ? l.fp : NULL)) != RC_OK)
		goto out;
	if (conn_gate(cl->conn) != GATE_ENROL)
		rc = ui_printf("This key is enrolled at %s already, for %s.\n",
		    cl->server.text, conn_user(cl->conn)) == 0 ? RC_OK :
		    RC_ERROR;
	else
		rc = invited ? by_invite(cl, &l) : by_password(cl);
	if (rc == RC_OK && cconf_set_server(&cl->conf, &cl->server, err,
	    sizeof(err)) == -1) {
		ui_err("%s", err);
		rc = RC_ERROR;
	}
out:
	explicit_bzero(&l, sizeof(l));
	return rc;
}
