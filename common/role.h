/*
 * What a role is, and the one way in which a role starts.
 *
 * The monitor executes a role's program with its descriptors in place: 0 and 1
 * on /dev/null, 2 for the last words of a failing start, FD_CONTROL, FD_LOG,
 * then the role's links in the order of roles.def, then its files, then
 * listeners (sessiond) or log sockets (logger).
 */
#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H

#include <stdint.h>
#include <sys/types.h>

#include "chan.h"
#include "loop.h"

enum role_id {
#define ROLE(id, name, keep, multi) ROLE_##id,
#include "roles.def"
	ROLES
};

enum link_id {
#define LINK(id, kind, a, b, hello_a, hello_b) LINK_##id,
#include "roles.def"
	LINKS
};

enum file_id {
#define FILE_FD(role, id) FILE_##id,
#include "roles.def"
	FILES
};

struct role_decl {
	const char	*name;		/* of the program, and in logs */
	bool		 keep;
	bool		 multi;
};

struct link_decl {
	enum chan_kind	 kind;
	enum role_id	 a, b;
	enum msg_type	 hello[2];	/* of a and b; MSG_TYPES: none */
};

extern const struct role_decl role_decls[ROLES];
extern const struct link_decl link_decls[LINKS];
extern const enum role_id file_roles[FILES];

#define FD_CONTROL	3
#define FD_LOG		4
#define FD_FIRST	5

#define ROLE_MAX_PROVIDERS	16
#define ROLE_MAX_LISTENERS	16

/* ctl_start flags. */
#define START_INIT	0x01	/* make your files, then exit */
#define START_CHECK	0x04	/* a restored store: verify it, then exit */
#define START_SHARE_UID	0x02	/* not root: keep the caller's uid */
#define START_ACCEPT	0x08	/* take an older database as it is, then exit */
/* No service follows. */
#define START_OFFLINE	(START_INIT | START_ACCEPT | START_CHECK)

/*
 * The number of a descriptor in a role, given the number of providers.  peer is
 * the instance at the other end of a link to a multi role, else 0.
 */
int role_link_fd(enum role_id role, int providers, enum link_id link, int peer);
int role_file_fd(enum role_id role, int providers, enum file_id file);
/* The first descriptor after links and files: listeners or log sockets. */
int role_extra_fd(enum role_id role, int providers);
/*
 * Whether `accuser` may have the monitor kill its peer on a link for breaking
 * the rules.  A role that is never restarted accuses one that can be; of two
 * that can be, the second end, on which more depends, accuses the first.
 */
bool role_accuses(enum role_id accuser, enum link_id link);
/* How many processes there are of a role. */
int role_instances(enum role_id role, int providers);
/*
 * A dense index over all processes (for the logger's sockets), in the order of
 * roles.def; the monitor itself comes after the last: role_total().
 */
int role_index(enum role_id role, int instance, int providers);
int role_total(int providers);

/*
 * A role that the service manager starts gets its descriptors from the monitor
 * over the one socket that it was started with: in a message of one byte, this
 * version, answered by the same (monitor/outside.c, llmproxy/outside.c).
 */
#define OUTSIDE_VERSION	1

/*
 * A role's whole environment: room for the process title; and that whatever any
 * library frees is overwritten (in the workers too, which inherit it), so that no
 * cell keeps what it no longer needs.  The small chunks of glibc's per-thread
 * cache would escape, so there is none.
 */
extern char role_title_room[], role_wiping[];

/* What a started role knows of itself. */
struct role {
	enum role_id	 id;
	int		 instance;
	int		 providers;
	int		 listeners;
	uint32_t	 generation;	/* how often it was started, from 1 */
	uint32_t	 flags;
	unsigned	 abi;		/* Landlock's, in force */
	char		 dir[1025];	/* the engine's directory, else "" */
	struct loop	*loop;
	struct chan	*ctl;
	chan_msg_cb	*on_conf;	/* what comes before ctl_go */
	chan_msg_cb	*on_ctl;	/* everything else once it runs */
	void		(*on_go)(void);	/* configured: start to serve */
	/* Another configuration follows (by on_conf), and was the whole of it;
	 * NULL: nothing of it is for this role. */
	void		(*on_reload)(void);
	void		(*on_reloaded)(void);
	void		(*on_stop)(void); /* NULL: exit at once */
};

/*
 * Start: read ctl_start, call prepare (NULL allowed; still with the privileges
 * that the monitor gave, for files that must be opened by name), then drop
 * every privilege and enter the sandbox, as sandbox.h says.  Returns with
 * *r filled, a loop and the control channel attached, before the first byte
 * of any other peer is read.  The control channel's end means exit.
 * Any failure is fatal.
 */
void role_start(struct role *r, enum role_id id, int argc, char **argv,
    void (*prepare)(struct role *));

/* Say that the sandbox stands, then serve until stopped. */
__attribute__((noreturn)) void role_run(struct role *r);

/*
 * A link of this role as an asynchronous channel in `state`.  Pass
 * role_link_lost as closed unless the role has a reason of its own.
 */
struct chan *role_link(struct role *r, enum link_id link, int peer,
    unsigned state, unsigned flags, chan_msg_cb *cb, chan_closed_cb *closed,
    void *arg);

/*
 * The peer of a link broke the rules (why says how), lets messages pile up, or
 * is gone.  Logged as a violation.  If this role may accuse it (role_accuses()),
 * the monitor kills it; the link stays and drops everything until the successor
 * says hello, and this function returns.  Else this process ends: it is
 * restarted, or the service stops.
 */
void role_link_lost(struct chan *c, const char *why, void *arg);

/* Log to the role's log socket from now on. */
void role_log_init(void);

/* Read all of a descriptor (at most max bytes) into b; 0 or -1. */
int read_all(int fd, struct buf *b);
/* Write all bytes; 0 or -1 with errno. */
int write_all(int fd, const void *p, size_t n);

#endif
