#include "args.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "exits.h"

#define MODEL_MAX	64	/* bytes of a model's name (messages.def) */
#define SYSTEM_MAX	65536	/* bytes of a system prompt (the same) */

#define BIT(c)		(1u << (c))
#define SESSION		(BIT(CMD_ASK) | BIT(CMD_CHAT) | BIT(CMD_LIST) | \
			 BIT(CMD_SHOW) | BIT(CMD_MODELS) | BIT(CMD_DELETE) | \
			 BIT(CMD_RENAME) | BIT(CMD_SEARCH) | BIT(CMD_EXPORT) | \
			 BIT(CMD_IMPORT) | BIT(CMD_KEYS) | BIT(CMD_PASSWD) | \
			 BIT(CMD_SERVE) | BIT(CMD_SESSIONS))
#define TALK		(BIT(CMD_ASK) | BIT(CMD_CHAT))
#define ANY		(~0u)

enum {
	OPT_CID = 256, OPT_NO_STORE, OPT_JSON, OPT_NO_STREAM, OPT_NO_REASONING,
	OPT_PLAIN, OPT_MARKDOWN, OPT_LISTEN, OPT_UNIX, OPT_SIGN, OPT_NO_SIGN,
	OPT_SIGNED, OPT_SERVER_KEY
};

static const struct {
	const char	*name;
	int		 min_words;
	int		 max_words;	/* -1: any number */
	const char	*usage;
	const char	*help;
} commands[] = {
	[CMD_ASK] = { "ask", 0, -1, "ask [-m MODEL] [-t NAME] [-s TEXT] "
	    "[-o NAME=VALUE] [-c | --cid ID] [-f FILE] [WORDS...]",
	    "ask once; what is piped in is added after the words" },
	[CMD_CHAT] = { "chat", 0, 0, "chat [-m MODEL] [-t NAME] [-s TEXT] "
	    "[-o NAME=VALUE] [-c | --cid ID] [-f FILE] [--no-store]",
	    "talk; ^C cancels an answer, ^D ends" },
	[CMD_LIST] = { "list", 0, 0, "list [-n N]",
	    "list your conversations, newest first" },
	[CMD_SHOW] = { "show", 1, 1, "show ID",
	    "print a conversation; ID may be shortened to 4 digits" },
	[CMD_MODELS] = { "models", 0, 0, "models",
	    "list the models that you may use" },
	[CMD_DELETE] = { "delete", 1, -1, "delete ID...",
	    "delete conversations for ever" },
	[CMD_RENAME] = { "rename", 2, -1, "rename ID TITLE...",
	    "give a conversation another title" },
	[CMD_SEARCH] = { "search", 1, -1, "search [-n N] WORDS...",
	    "find messages of yours that have all the words" },
	[CMD_EXPORT] = { "export", 1, 1, "export [--json | --markdown | "
	    "--signed] ID",
	    "write a conversation to standard output" },
	[CMD_VERIFY] = { "verify", 1, -1, "verify [--server-key FINGERPRINT] "
	    "FILE [NAME.pub...]",
	    "check a signed export, offline" },
	[CMD_IMPORT] = { "import", 1, 1, "import FILE",
	    "make a new conversation of an exported one (JSON; - is standard "
	    "input)" },
	[CMD_KEYGEN] = { "keygen", 0, 0, "keygen [-N]",
	    "make your keys (-N: without a passphrase)" },
	[CMD_CSR] = { "csr", 1, 1, "csr USER",
	    "make a certificate request of your signing key" },
	[CMD_KNOWN_SERVERS] = { "known-servers", 0, 2, "known-servers [list | "
	    "find HOST | remove HOST | hash]",
	    "the servers' keys that you have accepted" },
	[CMD_FINGERPRINT] = { "fingerprint", 0, 0, "fingerprint",
	    "show the fingerprints of the server's key and yours" },
	[CMD_LOGIN] = { "login", 1, 1, "login [-N] [-S] [-l USER] LINK | HOST",
	    "enrol your key, by an invite or your password" },
	[CMD_KEYS] = { "keys", 0, 3, "keys [name ID LABEL | revoke ID]",
	    "list, name and revoke your enrolled keys" },
	[CMD_PASSWD] = { "passwd", 0, 0, "passwd [-S]",
	    "change your password at the server" },
	[CMD_SESSIONS] = { "sessions", 0, 2, "sessions [end ID]",
	    "list your live sessions, or end one" },
	[CMD_SERVE] = { "serve", 0, 0, "serve [--listen [ADDRESS:]PORT | "
	    "--unix PATH]",
	    "offer OpenAI's API on this machine, for other programs" },
	[CMD_HELP] = { "help", 0, 0, "help", "print this" },
	[CMD_VERSION] = { "version", 0, 0, "version", "print the version" }
};
#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

static const struct {
	int		 opt;
	unsigned	 allowed;	/* commands, a bit each */
	const char	*name;
	const char	*arg;		/* what follows it, or "" */
	const char	*help;
} options[] = {
	{ 'H', SESSION | BIT(CMD_FINGERPRINT), "-H, --host", "HOST[:PORT]",
	    "the server (else `server' in config)" },
	{ 'k', ANY, "-k, --key", "FILE", "your keys (else `key' in config)" },
	{ 'm', TALK, "-m, --model", "MODEL",
	    "ask this model (else `model' in config)" },
	{ 's', TALK, "-s, --system", "TEXT",
	    "a system prompt of yours, behind the model's own" },
	{ 'o', TALK, "-o, --option", "NAME=VALUE",
	    "temperature, top_p or max_tokens (again for more)" },
	{ 't', TALK, "-t, --template", "NAME",
	    "what this template in config says" },
	{ 'c', TALK, "-c, --continue", "",
	    "go on with the last conversation" },
	{ OPT_CID, TALK, "--cid", "ID", "go on with this conversation" },
	{ OPT_NO_STORE, TALK, "--no-store", "",
	    "do not keep question and answer" },
	{ 'f', TALK, "-f, --file", "FILE",
	    "add a file of text to the (first) question (again for more)" },
	{ 'x', BIT(CMD_ASK), "-x, --extract", "",
	    "print the last block of code of the answer alone" },
	{ OPT_JSON, BIT(CMD_ASK) | BIT(CMD_EXPORT), "--json", "",
	    "print the answer as JSON; export what import takes (the default)" },
	{ OPT_NO_STREAM, BIT(CMD_ASK), "--no-stream", "",
	    "print the answer when it is whole" },
	{ OPT_NO_REASONING, TALK, "--no-reasoning", "",
	    "do not show the model's reasoning" },
	{ OPT_PLAIN, TALK, "--plain", "",
	    "show Markdown as it was written" },
	{ 'u', TALK, "-u, --usage", "", "tell the tokens that were used" },
	{ 'n', BIT(CMD_LIST) | BIT(CMD_SEARCH), "-n, --number", "N",
	    "list N conversations, find N messages at most" },
	{ OPT_MARKDOWN, BIT(CMD_EXPORT), "--markdown", "",
	    "export for reading" },
	{ OPT_SIGNED, BIT(CMD_EXPORT), "--signed", "",
	    "export with signatures, for verify (and import)" },
	{ OPT_SIGN, TALK, "--sign", "", "sign your messages" },
	{ OPT_NO_SIGN, TALK, "--no-sign", "", "do not, whatever config says" },
	{ OPT_SERVER_KEY, BIT(CMD_VERIFY), "--server-key", "FINGERPRINT",
	    "the key of the server, if it is not known here" },
	{ 'N', BIT(CMD_KEYGEN) | BIT(CMD_LOGIN), "-N, --no-passphrase", "",
	    "store the keys in clear" },
	{ 'S', SESSION | BIT(CMD_LOGIN), "-S, --stdin", "",
	    "take passwords from standard input" },
	{ 'l', BIT(CMD_LOGIN), "-l, --user", "USER", "your name there" },
	{ OPT_LISTEN, BIT(CMD_SERVE), "--listen", "ADDRESS:PORT",
	    "where (127.0.0.1:7465; this machine's own alone)" },
	{ OPT_UNIX, BIT(CMD_SERVE), "--unix", "PATH", "on a UNIX socket" },
	{ 'v', ANY, "-v, --verbose", "", "say what is going on" },
	{ 'h', ANY, "-h, --help", "", "print this" },
	{ 'V', ANY, "-V, --version", "", "print the version" }
};
#define OPTION_WIDTH	23	/* columns of name and argument in --help */
#define NOPTIONS	(sizeof(options) / sizeof(options[0]))

static const struct option long_options[] = {
	{ "host", required_argument, NULL, 'H' },
	{ "key", required_argument, NULL, 'k' },
	{ "model", required_argument, NULL, 'm' },
	{ "system", required_argument, NULL, 's' },
	{ "option", required_argument, NULL, 'o' },
	{ "template", required_argument, NULL, 't' },
	{ "continue", no_argument, NULL, 'c' },
	{ "cid", required_argument, NULL, OPT_CID },
	{ "no-store", no_argument, NULL, OPT_NO_STORE },
	{ "file", required_argument, NULL, 'f' },
	{ "extract", no_argument, NULL, 'x' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "no-stream", no_argument, NULL, OPT_NO_STREAM },
	{ "no-reasoning", no_argument, NULL, OPT_NO_REASONING },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "usage", no_argument, NULL, 'u' },
	{ "number", required_argument, NULL, 'n' },
	{ "markdown", no_argument, NULL, OPT_MARKDOWN },
	{ "signed", no_argument, NULL, OPT_SIGNED },
	{ "sign", no_argument, NULL, OPT_SIGN },
	{ "no-sign", no_argument, NULL, OPT_NO_SIGN },
	{ "server-key", required_argument, NULL, OPT_SERVER_KEY },
	{ "no-passphrase", no_argument, NULL, 'N' },
	{ "stdin", no_argument, NULL, 'S' },
	{ "user", required_argument, NULL, 'l' },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "unix", required_argument, NULL, OPT_UNIX },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 }
};

static int
set_number(struct args *a, const char *text, char *err, size_t errlen)
{
	const char *why;

	a->limit = (unsigned)strtonum(text, 1, 1000000, &why);
	if (why == NULL)
		return 0;
	(void)snprintf(err, errlen, "-n %s: the number is %s", text, why);
	return -1;
}

static int
add_file(struct args *a, const char *path, char *err, size_t errlen)
{
	if (a->nfiles == ARGS_FILES_MAX) {
		(void)snprintf(err, errlen, "more than %d files",
		    ARGS_FILES_MAX);
		return -1;
	}
	a->files[a->nfiles++] = path;
	return 0;
}

/* What goes with a question; false: it is another option. */
static bool
set_prompt(struct args *a, int opt)
{
	switch (opt) {
	case 'm':
		a->model = optarg;
		return true;
	case 's':
		a->system = optarg;
		return true;
	case 't':
		a->tmpl = optarg;
		return true;
	case 'c':
		a->cont = true;
		return true;
	case OPT_CID:
		a->cid = optarg;
		return true;
	case OPT_NO_STORE:
		a->nostore = true;
		return true;
	default:
		return false;
	}
}

/* Options that say one thing about how an answer is shown. */
static bool
set_output(struct args *a, int opt)
{
	switch (opt) {
	case 'x':
		a->extract = true;
		return true;
	case 'u':
		a->usage = true;
		return true;
	case OPT_JSON:
		a->json = true;
		return true;
	case OPT_NO_STREAM:
		a->nostream = true;
		return true;
	case OPT_NO_REASONING:
		a->noreasoning = true;
		return true;
	case OPT_PLAIN:
		a->plain = true;
		return true;
	case OPT_SIGNED:
		a->whole_signed = true;
		return true;
	case OPT_SIGN:
		a->sign = true;
		return true;
	case OPT_NO_SIGN:
		a->nosign = true;
		return true;
	default:
		return false;
	}
}

static int
set_option(struct args *a, int opt, char **argv, char *err, size_t errlen)
{
	if (set_output(a, opt) || set_prompt(a, opt))
		return 0;
	switch (opt) {
	case 'f':
		return add_file(a, optarg, err, errlen);
	case 'H':
		a->host = optarg;
		return 0;
	case 'k':
		a->key = optarg;
		return 0;
	case 'o':
		return params_parse(&a->params, optarg, err, errlen);
	case OPT_LISTEN:
		a->listen = optarg;
		return 0;
	case OPT_UNIX:
		a->unix_path = optarg;
		return 0;
	case 'n':
		return set_number(a, optarg, err, errlen);
	case OPT_MARKDOWN:
		a->markdown = true;
		return 0;
	case OPT_SERVER_KEY:
		a->server_key = optarg;
		return 0;
	case 'N':
		a->nopass = true;
		return 0;
	case 'S':
		a->from_stdin = true;
		return 0;
	case 'l':
		a->user = optarg;
		return 0;
	case 'v':
		a->verbose = true;
		return 0;
	case ':':
		(void)snprintf(err, errlen, "%s needs an argument",
		    argv[optind - 1]);
		return -1;
	default:
		if (optopt > 0 && optopt < OPT_CID)
			(void)snprintf(err, errlen, "unknown option -%c", optopt);
		else
			(void)snprintf(err, errlen, "unknown option %s",
			    argv[optind - 1]);
		return -1;
	}
}

static int
set_command(struct args *a, const char *name, char *err, size_t errlen)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0) {
			a->command = (enum command)i;
			return 0;
		}
	(void)snprintf(err, errlen, "unknown command %s", name);
	return -1;
}

/* What cannot be said of an option or a word alone. */
static int
check(const struct args *a, const bool seen[], char *err, size_t errlen)
{
	for (size_t i = 0; i < NOPTIONS; i++)
		if (seen[i] && (options[i].allowed & BIT(a->command)) == 0) {
			(void)snprintf(err, errlen, "`%s' does not take %s",
			    commands[a->command].name, options[i].name);
			return -1;
		}
	if (a->model != NULL && (strlen(a->model) > MODEL_MAX ||
	    !bytes_utf8(bytes_str(a->model)))) {
		(void)snprintf(err, errlen, "-m: not the name of a model");
		return -1;
	}
	if (a->system != NULL && (strlen(a->system) > SYSTEM_MAX ||
	    !bytes_utf8(bytes_str(a->system)))) {
		(void)snprintf(err, errlen, "-s: not text in UTF-8 of at most "
		    "%d bytes", SYSTEM_MAX);
		return -1;
	}
	if (a->cont && a->cid != NULL) {
		(void)snprintf(err, errlen, "-c and --cid exclude each other");
		return -1;
	}
	if (a->command == CMD_KEYS && a->nwords > 0 &&
	    (strcmp(a->words[0], "name") == 0 ? a->nwords != 3 :
	    strcmp(a->words[0], "revoke") != 0 || a->nwords != 2)) {
		(void)snprintf(err, errlen, "usage: cloister %s",
		    commands[a->command].usage);
		return -1;
	}
	if (a->listen != NULL && a->unix_path != NULL) {
		(void)snprintf(err, errlen, "--listen and --unix exclude each "
		    "other");
		return -1;
	}
	if (a->json && a->extract) {
		(void)snprintf(err, errlen, "--json and -x exclude each other");
		return -1;
	}
	if (a->sign && (a->nosign || a->nostore)) {
		(void)snprintf(err, errlen, "--sign and %s exclude each other",
		    a->nosign ? "--no-sign" : "--no-store");
		return -1;
	}
	if (a->whole_signed && (a->json || a->markdown)) {
		(void)snprintf(err, errlen, "--signed excludes --json and "
		    "--markdown");
		return -1;
	}
	if (a->json && a->markdown) {
		(void)snprintf(err, errlen, "--json and --markdown exclude "
		    "each other");
		return -1;
	}
	if (a->nwords < commands[a->command].min_words ||
	    (commands[a->command].max_words != -1 &&
	    a->nwords > commands[a->command].max_words)) {
		(void)snprintf(err, errlen, "usage: cloister %s",
		    commands[a->command].usage);
		return -1;
	}
	return 0;
}

int
args_parse(struct args *a, int argc, char **argv, char *err, size_t errlen)
{
	bool seen[NOPTIONS] = { false }, help = false, version = false;
	int opt;

	memset(a, 0, sizeof(*a));
	opterr = 0;
	optind = 0;		/* glibc: start afresh, also in a second call */
	while ((opt = getopt_long(argc, argv, ":H:k:m:s:o:t:cf:xun:NSl:vhV", long_options,
	    NULL)) != -1) {
		if (opt == 'h')
			help = true;
		else if (opt == 'V')
			version = true;
		else if (set_option(a, opt, argv, err, errlen) == -1)
			return -1;
		for (size_t i = 0; i < NOPTIONS; i++)
			if (options[i].opt == opt)
				seen[i] = true;
	}
	a->words = argv + optind;
	a->nwords = argc - optind;
	if (help || version) {
		a->command = help ? CMD_HELP : CMD_VERSION;
		return 0;
	}
	if (a->nwords == 0) {
		(void)snprintf(err, errlen, "no command");
		return -1;
	}
	if (set_command(a, a->words[0], err, errlen) == -1)
		return -1;
	a->words++;
	a->nwords--;
	return check(a, seen, err, errlen);
}

void
args_help(FILE *fp)
{
	(void)fprintf(fp, "usage: cloister [-v] [-H HOST[:PORT]] COMMAND\n\n"
	    "Commands:\n");
	for (size_t i = 0; i < NCOMMANDS; i++)
		(void)fprintf(fp, "  %s\n        %s\n", commands[i].usage,
		    commands[i].help);
	(void)fprintf(fp, "\nOptions:\n");
	for (size_t i = 0; i < NOPTIONS; i++)
		(void)fprintf(fp, "  %s%s %-*s %s\n",
		    options[i].opt < OPT_CID ? "" : "    ", options[i].name,
		    (int)(OPTION_WIDTH - strlen(options[i].name) -
		    (options[i].opt < OPT_CID ? 0 : 4)), options[i].arg,
		    options[i].help);
	(void)fprintf(fp, "\nExit codes:\n");
#define SHOW_EXIT(name, code, text) (void)fprintf(fp, "  %3d  %s\n", code, text);
	CLIENT_EXITS(SHOW_EXIT)
#undef SHOW_EXIT
}
