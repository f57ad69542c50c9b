#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

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

int
trust_decide(const uint8_t fp[HASH_LEN], int suite, void *arg)
{
	const struct trust *t = arg;
	char text[CCONF_FP_TEXT], err[512];
	int known, min_suite, rc;

	cconf_fingerprint(text, fp);
	known = cconf_known_lookup(t->conf, t->server, fp, &min_suite, err,
	    sizeof(err));
	if (known == -1) {
		ui_err("%s", err);
		return RC_SERVER_KEY;
	}
	if (known == CCONF_CHANGED)
		return changed(t, text);
	if (known == CCONF_MATCH && suite < min_suite)
		return downgraded(t, suite, min_suite);
	if (t->link != NULL && !bytes_eq_ct(fp, t->link, HASH_LEN)) {
		ui_err("%s shows the key\n    %s\nwhich is not the one in the "
		    "link: not connected, and your key was not sent. Ask "
		    "whoever sent the link", t->server->text, text);
		return RC_SERVER_KEY;
	}
	if (known == CCONF_UNKNOWN && t->link == NULL) {
		rc = first_contact(t, text);
		if (rc != RC_OK)
			return rc;
	}
	/* A new key, or a known one that has now spoken a higher suite. */
	if ((known == CCONF_UNKNOWN || suite > min_suite) &&
	    cconf_known_add(t->conf, t->server, fp, suite, err,
	    sizeof(err)) == -1) {
		ui_err("%s", err);
		return RC_ERROR;
	}
	return RC_OK;
}
