#include <string.h>

#include "client.h"
#include "exits.h"
#include "ui.h"

/* One line, as the file has it but for a hashed name that was asked for. */
static int
show(const struct cconf_line *l, void *arg)
{
	(void)arg;
	return ui_printf("%d\t%s\t%s%s%s%s\n", l->number, l->name,
	    l->fingerprint, l->suite2 ? "\tsuite2" : "",
	    l->certificate ? "\tcertificate" : "", l->hashed ? "\thashed" : "");
}

/* A number of lines, or -1 with err; what is to be said of them. */
static int
report(int n, const char *err, const char *what)
{
	if (n == -1) {
		ui_err("%s", err);
		return RC_ERROR;
	}
	return ui_printf("%d %s %s\n", n, n == 1 ? "line" : "lines",
	    what) == 0 ? RC_OK : RC_ERROR;
}

static int
find(const struct client *cl, const struct cconf_server *s)
{
	char err[512];
	int n = cconf_known_each(&cl->conf, s, show, NULL, err, sizeof(err));

	if (n == -1) {
		ui_err("%s", err);
		return RC_ERROR;
	}
	if (n == 0 && s != NULL) {
		ui_err("%s is not known", s->text);
		return RC_ERROR;
	}
	return RC_OK;
}

int
cmd_known_servers(struct client *cl)
{
	const struct args *a = &cl->args;
	const char *what = a->nwords > 0 ? a->words[0] : "list";
	struct cconf_server s;
	char err[512];
	int n;

	if (strcmp(what, "list") == 0 && a->nwords <= 1)
		return find(cl, NULL);
	if (strcmp(what, "hash") == 0 && a->nwords == 1) {
		n = cconf_known_hash(&cl->conf, err, sizeof(err));
		return report(n, err, "hashed");
	}
	if (a->nwords == 2 && (strcmp(what, "find") == 0 ||
	    strcmp(what, "remove") == 0)) {
		if (cconf_server_parse(&s, a->words[1]) == -1) {
			ui_err("%s: not HOST or HOST:PORT", a->words[1]);
			return RC_USAGE;
		}
		if (strcmp(what, "find") == 0)
			return find(cl, &s);
		n = cconf_known_remove(&cl->conf, &s, err, sizeof(err));
		return report(n, err, "removed");
	}
	ui_err("usage: cloister known-servers [list | find HOST | remove HOST "
	    "| hash]");
	return RC_USAGE;
}
