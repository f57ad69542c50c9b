/*
 * What the commands share, and the commands.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "args.h"
#include "cconf.h"
#include "codes.h"
#include "conn.h"

#define CONV_LEN	16	/* bytes of a conversation's id */

struct client {
	struct args		 args;
	struct cconf		 conf;
	struct cconf_server	 server;
	const char		*key;	/* the private key file */
	struct conn		*conn;
	/* What questions are asked with: the options, a template, config. */
	const char		*model;		/* NULL: the server's default */
	const char		*system;	/* NULL: none */
	bool			 system_due;	/* to be said with the next one */
	struct params		 params;
};

/* Each command returns an exit code, after telling the user what went wrong. */
int cmd_ask(struct client *cl);
int cmd_chat(struct client *cl);
int cmd_list(struct client *cl);
int cmd_show(struct client *cl);
int cmd_models(struct client *cl);
int cmd_sessions(struct client *cl);
int cmd_serve(struct client *cl);
int cmd_delete(struct client *cl);
int cmd_rename(struct client *cl);
int cmd_search(struct client *cl);
int cmd_export(struct client *cl);
int cmd_verify(struct client *cl);
int cmd_import(struct client *cl);
int cmd_keygen(struct client *cl);
int cmd_fingerprint(struct client *cl);
int cmd_login(struct client *cl);
int cmd_passwd(struct client *cl);
int cmd_keys(struct client *cl);

/* Make the user's keys where cl->key says; for cmd_keygen() and cmd_login(). */
int keys_make(struct client *cl);
int cmd_csr(struct client *cl);
int cmd_known_servers(struct client *cl);

#endif
