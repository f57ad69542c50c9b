/*
 * cloisterctl: a table of commands (commands.c), each a function in a cmd_*.c;
 * one way to ask the service (ask.c); one way to print (out.c), as text for
 * people or, with --json, as one JSON object a line.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chan.h"
#include "config.h"

/* Exit codes, as cloisterctl(8) documents them. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,		/* the command failed; the reason was said */
	CTL_USAGE = 2,
	CTL_NO_SERVICE = 3,	/* nobody answers, or the caller may not ask */
	CTL_TAMPERED = 4	/* audit verify: the log is not as it was written */
};

/* What every command may use.  cfg is empty for a CTL_OFFLINE command. */
struct ctl_command;

struct ctl {
	const char		*conf_path;
	const char		*libexec;	/* -L, or NULL */
	bool			 json;
	bool			 patient;	/* answers may take any time */
	const struct ctl_command *command;	/* that runs */
	struct server_config	 cfg;
};

extern struct ctl ctl;

/* ---- commands.c --------------------------------------------------------- */

#define CTL_OFFLINE	0x01	/* reads no configuration, or calls ctl_config() */

struct ctl_command {
	const char	*name;	/* one or two words: "user add" */
	const char	*args;	/* "NAME FILE", or "" */
	const char	*help;	/* half a line */
	int		 min, max;	/* how many arguments; max -1: any */
	unsigned	 flags;
	/*
	 * argv[0] is the command's last word, argv[1] its first argument and
	 * argv[argc] NULL, so that getopt(3) can be used.  The exit code.
	 */
	int		(*run)(int argc, char **argv);
};

/* Ends with an entry whose name is NULL. */
extern const struct ctl_command ctl_commands[];

/*
 * The command that argv begins with, and in *words how many of them are its
 * name; NULL when there is none.
 */
const struct ctl_command *ctl_find(int argc, char **argv, int *words);
/* Say how cloisterctl is used, or one command of it, and exit with CTL_USAGE. */
__attribute__((noreturn)) void ctl_usage(const struct ctl_command *cmd);

/*
 * Whether flag is the first argument; it is then taken out.  For the one command
 * that runs, whose other arguments are then exactly n: else its usage.
 */
bool ctl_flag(int *argc, char **argv, const char *flag, int n);

int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_csr(int argc, char **argv);
/* Read the configuration; what is wrong with it is said, and exits. */
void ctl_config(void);

int cmd_audit_follow(int argc, char **argv);
int cmd_audit_rotate(int argc, char **argv);
int cmd_audit_show(int argc, char **argv);
int cmd_audit_verify(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_invite(int argc, char **argv);
int cmd_key_add(int argc, char **argv);
int cmd_key_list(int argc, char **argv);
int cmd_key_revoke(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_model_allow(int argc, char **argv);
int cmd_model_deny(int argc, char **argv);
int cmd_model_list(int argc, char **argv);
int cmd_session_kill(int argc, char **argv);
int cmd_session_list(int argc, char **argv);
int cmd_storage_accept(int argc, char **argv);
int cmd_storage_rotate_key(int argc, char **argv);
int cmd_storage_shred(int argc, char **argv);
int cmd_storage_verify(int argc, char **argv);
int cmd_log_level(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_usage(int argc, char **argv);
int cmd_user_add(int argc, char **argv);
int cmd_user_disable(int argc, char **argv);
int cmd_user_enable(int argc, char **argv);
int cmd_user_limit(int argc, char **argv);
int cmd_user_list(int argc, char **argv);
int cmd_user_passwd(int argc, char **argv);
int cmd_user_policy(int argc, char **argv);
int cmd_user_remove(int argc, char **argv);
int cmd_user_show(int argc, char **argv);

/* ---- ask.c --------------------------------------------------------------- */

/*
 * A channel to the vault, ready to send one command on.  Says why and exits
 * with CTL_NO_SERVICE when there is none.
 */
struct chan *ctl_dial(void);
/* The same, but NULL when there is none, and it was said. */
struct chan *ctl_try_dial(void);
/* Send one command on c, print its answers; the exit code. */
int ctl_ask_on(struct chan *c, enum msg_type type, const void *body);
/*
 * Print what the vault answers on c until the command is done; the exit code.
 * A row of a type is printed by its entry in ask.c's table.
 */
int ctl_answers(struct chan *c);
/* Dial, send one command, print its answers; the exit code. */
int ctl_ask(enum msg_type type, const void *body);
/*
 * A user's name for a message; one that is longer than a message takes is said
 * and exits.
 */
struct bytes ctl_user_name(const char *name);

/* ---- cmd_init.c ---------------------------------------------------------- */

/* Become cloisterd with this option: it does without a service what is wanted. */
__attribute__((noreturn)) void ctl_exec_monitor(const char *flag);

/* ---- cmd_metrics.c ------------------------------------------------------- */

/* va_metric: keep it, or show it as JSON. */
void metric_take(const struct msg *m);

/* ---- out.c: rows --------------------------------------------------------- */

#define CTL_TEXT_MAX	513	/* the longest text in an answer, and NUL */

/*
 * One row: out_begin(), fields, out_end().  As text the fields stand behind
 * each other with one space between, each after its label (NULL: none) and
 * padded to width characters; a negative width pads on the left.  As JSON they
 * are the members of one object, after "type".
 */
void out_begin(const char *type);
/* Text of a peer or a file: what could move a terminal is shown as '?'. */
void out_text(const char *name, const char *label, int width,
    struct bytes value);
void out_str(const char *name, const char *label, int width,
    const char *value);
void out_num(const char *name, const char *label, int width, uint64_t value);
/* true and false as JSON, one of two words as text. */
void out_bool(const char *name, const char *yes, const char *no, int width,
    bool value);
/* Microseconds since 1970, shown as "2026-11-25 04:00:00Z"; RFC 3339 in JSON;
 * 0 is "-", or null. */
void out_time(const char *name, const char *label, uint64_t us);
/* Shown as text alone: "key" or "keys" after a number. */
void out_word(const char *text);
void out_end(void);

/* A last word on standard output ("user alice added"); "done" in JSON.  An
 * empty one is shown in JSON alone. */
void out_done(const char *text);
/* A reason on standard error; an object of type "error" there in JSON. */
__attribute__((format(printf, 1, 2))) void out_error(const char *fmt, ...);
/*
 * Flush.  -1, and it was said, when standard output did not take everything.
 */
int out_finish(void);

#endif
