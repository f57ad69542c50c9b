#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

struct ctl ctl = { .conf_path = SYSCONFDIR "/cloisterd.conf" };

const struct ctl_command ctl_commands[] = {
	{ "init", "", "make keys and database (offline)", 0, 0, CTL_OFFLINE,
	    cmd_init },
	{ "reload", "", "read the configuration again", 0, 0, 0, cmd_reload },
	{ "status", "", "roles, providers, sessions, storage", 0, 0, 0,
	    cmd_status },
	{ "metrics", "[--textfile FILE]", "counters, for Prometheus", 0, 2, 0,
	    cmd_metrics },
	{ "csr", "NAME...", "a certificate request for the host key (offline)",
	    1, -1, 0, cmd_csr },
	{ "user add", "NAME", "make a user", 1, 1, 0, cmd_user_add },
	{ "user list", "", "users and how many keys each has", 0, 0, 0,
	    cmd_user_list },
	{ "user show", "NAME", "one user: keys, sessions, limits, models", 1, 1,
	    0, cmd_user_show },
	{ "user limit", "NAME LIMIT=N ...", "set limits; N may be `default'",
	    2, -1, 0, cmd_user_limit },
	{ "user disable", "NAME", "let nobody in as this user, end sessions",
	    1, 1, 0, cmd_user_disable },
	{ "user enable", "NAME", "the reverse", 1, 1, 0, cmd_user_enable },
	{ "user passwd", "NAME", "set a user's password (asked for, or standard "
	    "input)", 1, 1, 0, cmd_user_passwd },
	{ "user policy", "NAME POLICY", "publickey, publickey+password or "
	    "default", 2, 2, 0, cmd_user_policy },
	{ "invite", "[-a HOST[:PORT]] [-t TIME] NAME", "a link by which a user "
	    "enrols a key, once", 1, 5, 0, cmd_invite },
	{ "key add", "NAME FILE", "enrol a public key file for a user", 2, 2, 0,
	    cmd_key_add },
	{ "key list", "NAME", "a user's keys", 1, 1, 0, cmd_key_list },
	{ "key revoke", "NAME KEY", "for ever, by id or fingerprint; end "
	    "sessions", 2, 2, 0, cmd_key_revoke },
	{ "usage", "[NAME]", "requests and tokens, by user and model", 0, 1, 0,
	    cmd_usage },
	{ "model list", "[NAME]", "models, and whether a user may use them", 0,
	    1, 0, cmd_model_list },
	{ "model allow", "NAME MODEL | --all NAME", "let a user use a model",
	    2, 2, 0, cmd_model_allow },
	{ "model deny", "NAME MODEL | --all NAME", "the reverse, at once", 2, 2,
	    0, cmd_model_deny },
	{ "session list", "", "who is connected", 0, 0, 0, cmd_session_list },
	{ "session kill", "NUMBER|NAME", "end one session, or all of a user's",
	    1, 1, 0, cmd_session_kill },
	{ "user remove", "[--erase] NAME", "remove with keys and, with "
	    "--erase, conversations", 1, 2, 0, cmd_user_remove },
	{ "storage accept-rollback", "", "take an older database as it is "
	    "(offline)", 0, 0, CTL_OFFLINE, cmd_storage_accept },
	{ "storage rotate-key", "", "a new storage key, while all goes on", 0, 0,
	    0, cmd_storage_rotate_key },
	{ "storage shred", "[--force]", "destroy the keys of what was deleted, "
	    "now", 0, 1, 0, cmd_storage_shred },
	{ "storage verify", "", "walk through everything that is stored", 0, 0,
	    0, cmd_storage_verify },
	{ "backup", "[--full] [--no-verify] DIR", "of the store, while the "
	    "service runs", 1, 3, 0, cmd_backup },
	{ "restore", "[--forward] DIR", "put a backup in place of the state "
	    "(offline)", 1, 2, 0, cmd_restore },
	{ "audit verify", "[--host-key FILE] [--key FILE] [--state FILE] "
	    "[--first N] [LOG ...]", "is the audit log as it was written?", 0,
	    -1, CTL_OFFLINE, cmd_audit_verify },
	{ "audit show", "[FILTER ...] [LOG ...]", "its lines; filters: --since "
	    "--until --user --event --role --session", 0, -1, CTL_OFFLINE,
	    cmd_audit_show },
	{ "audit follow", "[FILTER ...]", "new lines as they come", 0, -1,
	    CTL_OFFLINE, cmd_audit_follow },
	{ "audit rotate", "", "go on in a new file", 0, 0, 0,
	    cmd_audit_rotate },
	{ "log level", "ROLE|all LEVEL", "how much a role says, from now on", 2,
	    2, 0, cmd_log_level },
	{ NULL, NULL, NULL, 0, 0, 0, NULL }
};

/* How many words the name has when argv begins with it, else 0. */
static int
begins_with(const char *name, int argc, char **argv)
{
	const char *second = strchr(name, ' ');
	size_t n = second != NULL ? (size_t)(second - name) : strlen(name);

	if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], name, n) != 0)
		return 0;
	if (second == NULL)
		return 1;
	return argc > 1 && strcmp(argv[1], second + 1) == 0 ? 2 : 0;
}

const struct ctl_command *
ctl_find(int argc, char **argv, int *words)
{
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		if ((*words = begins_with(c->name, argc, argv)) != 0)
			return c;
	return NULL;
}

static void
usage_line(const struct ctl_command *c)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%s %s", c->name, c->args);
	(void)fprintf(stderr, "  %-28s %s\n", text, c->help);
}

void
ctl_config(void)
{
	char err[512];

	if (config_load(ctl.conf_path, &ctl.cfg, err, sizeof(err)) == 0)
		return;
	out_error("%s", err);
	exit(CTL_FAILED);
}

void
ctl_usage(const struct ctl_command *cmd)
{
	if (cmd != NULL) {
		(void)fprintf(stderr, "usage: cloisterctl %s%s%s\n", cmd->name,
		    *cmd->args != '\0' ? " " : "", cmd->args);
		exit(CTL_USAGE);
	}
	(void)fprintf(stderr,
	    "usage: cloisterctl [-f config] [--json] command\n");
	for (const struct ctl_command *c = ctl_commands; c->name != NULL; c++)
		usage_line(c);
	exit(CTL_USAGE);
}

bool
ctl_flag(int *argc, char **argv, const char *flag, int n)
{
	bool is = *argc > 1 && strcmp(argv[1], flag) == 0;

	if (is) {
		--*argc;
		memmove(argv + 1, argv + 2, (size_t)*argc * sizeof(*argv));
	}
	if (*argc - 1 != n)
		ctl_usage(ctl.command);
	return is;
}
