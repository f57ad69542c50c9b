#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "log.h"
#include "pubkey.h"
#include "ui.h"
#include "verify.h"

#define KEYS_MAX	32

struct wanted {
	const struct client	*cl;
	char			 fp[RSA_FP_TEXT];
	bool			 found;
};

static int
compare(const struct cconf_line *line, void *arg)
{
	struct wanted *w = arg;

	w->found = w->found || strcmp(line->fingerprint, w->fp) == 0;
	return 0;
}

/* A server whose key was given, or has been accepted at some time. */
static bool
server_known(void *arg, const uint8_t fp[HASH_LEN])
{
	struct wanted *w = arg;
	char err[512];

	rsa_fingerprint_text(w->fp, fp);
	if (w->cl->args.server_key != NULL)
		return strcmp(w->cl->args.server_key, w->fp) == 0;
	w->found = false;
	if (cconf_known_each(&w->cl->conf, NULL, compare, w, err,
	    sizeof(err)) == -1)
		ui_err("%s", err);
	return w->found;
}

static void
say(void *arg, bool bad, uint64_t number, const char *text)
{
	(void)arg;
	if (number == 0)
		(void)ui_printf("%s: %s\n", bad ? "BAD" : "ok", text);
	else
		(void)ui_printf("%s message %ju: %s\n", bad ? "BAD" : "ok",
		    (uintmax_t)number, text);
}

static int
add_key(struct verify_key *k, const char *path)
{
	struct pubkey pub;
	char err[512];

	if (pubkey_load(&pub, path, err, sizeof(err)) == -1) {
		ui_err("%s", err);
		return RC_USAGE;
	}
	rsa_fingerprint(k->sign, buf_bytes(&pub.sign));
	rsa_fingerprint(k->message, buf_bytes(&pub.message));
	pubkey_free(&pub);
	return RC_OK;
}

/* Those that were named, else one's own. */
static int
take_keys(const struct client *cl, struct verify_key *keys, size_t *n)
{
	const struct args *a = &cl->args;
	char *own;
	int rc = RC_OK;

	*n = 0;
	if (a->nwords > KEYS_MAX) {
		ui_err("more than %d keys", KEYS_MAX - 1);
		return RC_USAGE;
	}
	for (int i = 1; rc == RC_OK && i < a->nwords; i++)
		rc = add_key(&keys[(*n)++], a->words[i]);
	if (a->nwords > 1)
		return rc;
	if (asprintf(&own, "%s.pub", cl->key) == -1)
		fatal("memory");
	rc = add_key(&keys[(*n)++], own);
	free(own);
	return rc;
}

int
cmd_verify(struct client *cl)
{
	struct verify_key keys[KEYS_MAX];
	struct wanted w = { .cl = cl };
	struct verify v = { .keys = keys, .server = server_known, .say = say,
	    .arg = &w };
	struct transfer *t = NULL;
	int rc;

	rc = take_keys(cl, keys, &v.nkeys);
	if (rc == RC_OK)
		rc = transfer_load(cl->args.words[0], &t);
	if (rc != RC_OK)
		return rc;
	verify_run(&v, t);
	transfer_free(t);
	if (v.problems > 0) {
		ui_err("%s: NOT as it was signed", cl->args.words[0]);
		return RC_ERROR;
	}
	if (v.signatures == 0) {
		ui_err("%s: none of its messages is signed", cl->args.words[0]);
		return RC_ERROR;
	}
	ui_err("%s: %zu questions and %zu receipts for answers verify. That "
	    "proves which keys signed them, not who held the keys, nor when, "
	    "nor that a model is right", cl->args.words[0], v.signatures,
	    v.receipts);
	if (v.incomplete == 0)
		return RC_OK;
	ui_err("%zu of the answers are NOT COMPLETE", v.incomplete);
	return RC_INCOMPLETE;
}
