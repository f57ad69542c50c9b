#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "certd_child.h"
#include "exits.h"
#include "hs.h"
#include "ui.h"

#define TRIES	3

enum trust_answer
trust_parse(const char *line, const char *text)
{
	if (strcasecmp(line, "yes") == 0 || strcmp(line, text) == 0)
		return TRUST_YES;
	return strcasecmp(line, "no") == 0 ? TRUST_NO : TRUST_UNCLEAR;
}

/* The exchange could be recorded now and read when X25519 is broken. */
static int
downgraded(const struct trust *t, int suite, int min_suite)
{
	ui_err("%s: suite %d was spoken with this server before, and only "
	    "suite %d now: not connected, and your key was not sent",
	    t->server->text, min_suite, suite);
	if (!hs_suite_spoken((uint8_t)min_suite))
		ui_err("this build of cloister has no suite %d (%s): its "
		    "OpenSSL is older than 3.5", min_suite,
		    hs_suite_name((uint8_t)min_suite));
	else
		ui_err("ask the server's administrator whether it lost suite "
		    "%d (OpenSSL 3.5). If that is right, remove the word "
		    "suite%d from the lines of %s in\n    %s", min_suite,
		    min_suite, t->server->text, t->conf->known_servers);
	return RC_SERVER_KEY;
}

static int
changed(const struct trust *t, const char *fp)
{
	ui_err("\n"
	    "    *****************************************************\n"
	    "    *  THE KEY OF THE SERVER HAS CHANGED: NOT CONNECTED *\n"
	    "    *****************************************************\n"
	    "%s shows the key\n    %s\n"
	    "but another one is known for it. Either its administrator made a new "
	    "key,\nor somebody sits between you and the server and wants to read "
	    "what you send.\nNothing was sent. Ask the administrator for the "
	    "fingerprint. If the new key is\nright, remove the line of %s from\n"
	    "    %s\nand connect again.", t->server->text, fp, t->server->text,
	    t->conf->known_servers);
	return RC_SERVER_KEY;
}

static int
not_known(const struct trust *t, const char *fp, const char *why)
{
	ui_err("the key of %s is not known: %s\nIt is %s\n"
	    "To accept it, compare that with what the server's administrator says, "
	    "and add\nthis line to %s:\n    %s %s", t->server->text, why, fp,
	    t->conf->known_servers, t->server->text, fp);
	return RC_SERVER_KEY;
}

/* Ask on the terminal tty. */
static int
ask(const struct trust *t, const char *fp, FILE *tty)
{
	char line[128];

	(void)fprintf(tty, "This is the first contact with the server %s.\n"
	    "Its key is %s\n"
	    "Compare that with what its administrator says.\n",
	    t->server->text, fp);
	for (int i = 0; i < TRIES; i++) {
		(void)fprintf(tty, "Is it right (yes, no, or paste the "
		    "fingerprint)? ");
		(void)fflush(tty);
		if (fgets(line, sizeof(line), tty) == NULL)
			break;
		line[strcspn(line, "\r\n")] = '\0';
		switch (trust_parse(line, fp)) {
		case TRUST_YES:
			return RC_OK;
		case TRUST_NO:
			i = TRIES;
			break;
		case TRUST_UNCLEAR:
			break;
		}
	}
	ui_err("the key of %s was not accepted", t->server->text);
	return RC_SERVER_KEY;
}

static int
first_contact(const struct trust *t, const char *fp)
{
	FILE *tty;
	int rc;

	switch (t->conf->first_contact) {
	case CCONF_FIRST_ACCEPT:
		ui_err("first contact with %s: its key %s is taken, as "
		    "`first_contact = accept' says", t->server->text, fp);
		return RC_OK;
	case CCONF_FIRST_REFUSE:
		return not_known(t, fp, "`first_contact = refuse' is set");
	case CCONF_FIRST_ASK:
		break;
	}
	tty = fopen("/dev/tty", "r+e");
	if (tty == NULL)
		return not_known(t, fp, "there is no terminal to ask on");
	rc = ask(t, fp, tty);
	(void)fclose(tty);
	return rc;
}

/* "YYYY-MM-DD" of a time in seconds. */
static void
date_text(char dst[16], uint64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;

	if (when == 0 || gmtime_r(&t, &tm) == NULL ||
	    strftime(dst, 16, "%Y-%m-%d", &tm) == 0)
		(void)strlcpy(dst, "?", 16);
}

/* What is wrong with the certificate, its particulars, what to do next. */
static void
explain(const struct trust *t, const struct certd_verdict *v)
{
	char from[16], to[16];

	ui_err("%s: not connected: %s", t->server->text, cert_what(v->verdict));
	date_text(from, v->not_before);
	date_text(to, v->not_after);
	if (v->detail[0] != '\0')
		ui_err("the certificate is %s, valid from %s to %s", v->detail,
		    from, to);
	ui_err("your key was not sent. %s", cert_next_server(v->verdict));
}

/* Whether an authority in ca_file vouches for the key. */
static int
certified(const struct trust *t, const struct server_id *id)
{
	struct certd_verdict v;
	int rc;

	rc = certd_ask(&v, t->conf, t->server, id->spki, id->chain);
	if (rc != RC_OK)
		return rc;
	if (v.verdict != CERT_OK) {
		explain(t, &v);
		return RC_SERVER_KEY;
	}
	ui_step("the server's certificate is good: %s", v.detail);
	return RC_OK;
}

/* The suite that is spoken from now on is remembered for this key. */
static int
remember(const struct trust *t, const struct server_id *id, bool pin)
{
	char err[512];
	int rv;

	rv = pin ? cconf_known_add(t->conf, t->server, id->fp, id->suite, err,
	    sizeof(err)) : cconf_known_note(t->conf, t->server, id->fp, err,
	    sizeof(err));
	if (rv == 0)
		return RC_OK;
	ui_err("%s", err);
	return RC_ERROR;
}

int
trust_decide(const struct server_id *id, void *arg)
{
	const struct trust *t = arg;
	enum cconf_trust how = t->conf->trust;
	char text[CCONF_FP_TEXT], err[512];
	int known, min_suite, rc = RC_OK;
	bool cert, pin;

	cconf_fingerprint(text, id->fp);
	known = cconf_known_lookup(t->conf, t->server, id->fp, &min_suite, err,
	    sizeof(err));
	if (known == -1) {
		ui_err("%s", err);
		return RC_SERVER_KEY;
	}
	/* Which proofs are asked for; a pin may be made by asking the user. */
	cert = how == CCONF_TRUST_CERTIFICATE || how == CCONF_TRUST_BOTH ||
	    (how == CCONF_TRUST_EITHER && known == CCONF_UNKNOWN);
	pin = how == CCONF_TRUST_PINNED || how == CCONF_TRUST_BOTH;
	if (known == CCONF_CHANGED && how != CCONF_TRUST_CERTIFICATE)
		return changed(t, text);
	/* Who sent the link has vouched for this key, and for no other. */
	if (t->link != NULL && !bytes_eq_ct(id->fp, t->link, HASH_LEN)) {
		ui_err("%s shows the key\n    %s\nwhich is not the one in the "
		    "link: not connected, and your key was not sent. Ask "
		    "whoever sent the link", t->server->text, text);
		return RC_SERVER_KEY;
	}
	if (t->link != NULL) {
		cert = false;
		pin = true;
	}
	if (id->suite < min_suite)
		return downgraded(t, id->suite, min_suite);
	if (cert)
		rc = certified(t, id);
	if (rc == RC_OK && pin && known == CCONF_UNKNOWN && t->link == NULL)
		rc = first_contact(t, text);
	if (rc != RC_OK)
		return rc;
	pin = pin || known == CCONF_MATCH;
	/* A new key, or a known one that has now spoken a higher suite. */
	if ((pin && known == CCONF_UNKNOWN) || id->suite > min_suite)
		return remember(t, id, pin);
	return RC_OK;
}
