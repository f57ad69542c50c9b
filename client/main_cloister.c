#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "exits.h"
#include "log.h"
#include "ui.h"

/* Nobody looks into this process, and what it makes is its user's alone. */
static void
harden(void)
{
	const struct rlimit none = { 0, 0 };
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd == -1)
		fatal("/dev/null");
	(void)close(fd);
	if (prctl(PR_SET_DUMPABLE, 0) == -1 ||
	    setrlimit(RLIMIT_CORE, &none) == -1)
		fatal("hardening");
	(void)umask(077);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
}

/* Everything that is said here is UTF-8. */
static void
set_locale(void)
{
	(void)setlocale(LC_ALL, "");
	(void)setlocale(LC_NUMERIC, "C");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* Take what the configuration and the options say; 0 or an exit code. */
static int
configure(struct client *cl)
{
	const struct args *a = &cl->args;
	char err[512];

	if (cconf_load(&cl->conf, err, sizeof(err)) == -1) {
		ui_err("%s", err);
		return RC_USAGE;
	}
	ui_step("using %s", cl->conf.dir);
	/* Whether keys that sign stay at hand (conn.h). */
	if (a->whole_signed || a->sign)
		cl->conf.sign = CCONF_SIGN_ALWAYS;
	else if (a->nosign || (a->command != CMD_ASK && a->command != CMD_CHAT))
		cl->conf.sign = CCONF_SIGN_OFF;
	cl->key = a->key != NULL ? a->key : cl->conf.key;
	if (a->host != NULL) {
		if (cconf_server_parse(&cl->server, a->host) == -1) {
			ui_err("%s: not HOST or HOST:PORT", a->host);
			return RC_USAGE;
		}
	} else
		cl->server = cl->conf.server;
	if (a->host == NULL && !cl->conf.has_server &&
	    a->command != CMD_KEYGEN && a->command != CMD_FINGERPRINT &&
	    a->command != CMD_LOGIN && a->command != CMD_CSR &&
	    a->command != CMD_KNOWN_SERVERS && a->command != CMD_VERIFY) {
		ui_err("which server? say -H HOST, or put `server = \"HOST\"' "
		    "into %s/config", cl->conf.dir);
		return RC_USAGE;
	}
	return RC_OK;
}

/* What questions are asked with; 0 or an exit code. */
static int
take_template(struct client *cl)
{
	const struct args *a = &cl->args;
	const struct cconf_template *t = NULL;

	if (a->tmpl != NULL &&
	    (t = cconf_template(&cl->conf, a->tmpl)) == NULL) {
		ui_err("there is no template %s in %s/config%s", a->tmpl,
		    cl->conf.dir, cl->conf.ntmpl > 0 ? "; there are:" : "");
		for (size_t i = 0; i < cl->conf.ntmpl; i++)
			ui_err("    %s", cl->conf.tmpl[i].name);
		return RC_USAGE;
	}
	cl->params = a->params;
	if (t != NULL)
		params_merge(&cl->params, &t->params);
	cl->model = a->model != NULL ? a->model :
	    t != NULL && t->model != NULL ? t->model : cl->conf.model;
	cl->system = a->system != NULL ? a->system : t != NULL ? t->system : NULL;
	cl->system_due = cl->system != NULL;
	return RC_OK;
}

static int
run(struct client *cl)
{
	switch (cl->args.command) {
	case CMD_ASK:
		return cmd_ask(cl);
	case CMD_CHAT:
		return cmd_chat(cl);
	case CMD_LIST:
		return cmd_list(cl);
	case CMD_SHOW:
		return cmd_show(cl);
	case CMD_MODELS:
		return cmd_models(cl);
	case CMD_DELETE:
		return cmd_delete(cl);
	case CMD_RENAME:
		return cmd_rename(cl);
	case CMD_SEARCH:
		return cmd_search(cl);
	case CMD_EXPORT:
		return cmd_export(cl);
	case CMD_VERIFY:
		return cmd_verify(cl);
	case CMD_IMPORT:
		return cmd_import(cl);
	case CMD_KEYGEN:
		return cmd_keygen(cl);
	case CMD_FINGERPRINT:
		return cmd_fingerprint(cl);
	case CMD_LOGIN:
		return cmd_login(cl);
	case CMD_KEYS:
		return cmd_keys(cl);
	case CMD_PASSWD:
		return cmd_passwd(cl);
	case CMD_CSR:
		return cmd_csr(cl);
	case CMD_KNOWN_SERVERS:
		return cmd_known_servers(cl);
	case CMD_SESSIONS:
		return cmd_sessions(cl);
	case CMD_SERVE:
		return cmd_serve(cl);
	case CMD_HELP:
		args_help(stdout);
		break;
	case CMD_VERSION:
		(void)printf("cloister %s\n", CLOISTER_VERSION);
		break;
	}
	return fflush(stdout) == 0 ? RC_OK : RC_ERROR;
}

int
main(int argc, char **argv)
{
	static struct client cl;
	char err[256];
	int rc = RC_OK;

	harden();
	set_locale();
	if (args_parse(&cl.args, argc, argv, err, sizeof(err)) == -1) {
		ui_err("%s", err);
		ui_err("see `cloister --help'");
		return RC_USAGE;
	}
	ui_set_verbose(cl.args.verbose);
	conn_password_stdin(cl.args.from_stdin);
	if (cl.args.command != CMD_HELP && cl.args.command != CMD_VERSION)
		rc = configure(&cl);
	if (rc == RC_OK)
		rc = take_template(&cl);
	if (rc == RC_OK)
		rc = run(&cl);
	conn_close(cl.conn);
	cconf_free(&cl.conf);
	return rc;
}
