/*
 * The command line, as a pure function.
 */
#ifndef CLIENT_ARGS_H
#define CLIENT_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "params.h"

enum command {
	CMD_ASK, CMD_CHAT, CMD_LIST, CMD_SHOW, CMD_MODELS, CMD_DELETE,
	CMD_RENAME, CMD_SEARCH, CMD_VERIFY, CMD_EXPORT, CMD_IMPORT, CMD_KEYGEN,
	CMD_CSR,
	CMD_KNOWN_SERVERS,
	CMD_FINGERPRINT, CMD_LOGIN, CMD_KEYS, CMD_PASSWD, CMD_SESSIONS, CMD_SERVE, CMD_HELP,
	CMD_VERSION
};

#define ARGS_FILES_MAX	32

/* Strings point into argv; those that were not given are NULL. */
struct args {
	enum command	 command;
	bool		 verbose;	/* -v */
	const char	*host;		/* -H HOST[:PORT] */
	const char	*key;		/* -k FILE */
	const char	*model;		/* -m MODEL */
	const char	*system;	/* -s TEXT */
	const char	*tmpl;		/* -t NAME */
	struct params	 params;	/* -o NAME=VALUE, all */
	bool		 cont;		/* -c: go on with the last conversation */
	const char	*cid;		/* --cid ID */
	bool		 nostore;	/* --no-store */
	bool		 json;		/* --json */
	bool		 extract;	/* -x: the last block of code alone */
	bool		 nostream;	/* --no-stream */
	bool		 noreasoning;	/* --no-reasoning */
	bool		 plain;		/* --plain: Markdown as it is */
	bool		 usage;		/* -u */
	const char	*listen;	/* --listen ADDRESS:PORT */
	const char	*unix_path;	/* --unix PATH */
	const char	*files[ARGS_FILES_MAX];	/* -f FILE, each */
	int		 nfiles;
	unsigned	 limit;		/* -n N; 0: no limit */
	bool		 nopass;	/* -N */
	bool		 from_stdin;	/* -S */
	const char	*user;		/* -l USER */
	bool		 markdown;	/* --markdown */
	bool		 sign;		/* --sign */
	bool		 nosign;	/* --no-sign */
	bool		 whole_signed;	/* --signed */
	const char	*server_key;	/* --server-key FINGERPRINT */
	char		**words;	/* what follows the command */
	int		 nwords;
};

/*
 * Parse.  argv may be reordered.  Returns 0, or -1 with a message in err.
 * Options are allowed before and after the command, between its words too; "--"
 * ends them.
 */
int args_parse(struct args *a, int argc, char **argv, char *err, size_t errlen);
/* Print usage, commands, options and exit codes. */
void args_help(FILE *fp);

#endif
