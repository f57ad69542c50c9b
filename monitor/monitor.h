/*
 * The monitor: it reads the configuration, opens sockets and secret files
 * without reading them, starts the roles, hands out the ends of their links,
 * and supervises.  No byte of a client, an upstream or a secret passes here.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "chan.h"
#include "config.h"
#include "loop.h"
#include "role.h"

/* One process of a role. */
struct proc {
	enum role_id		 role;
	int			 instance;
	pid_t			 pid;		/* 0: not running */
	struct chan		*ctl;
	uint32_t		 generation;
	uint32_t		 abi;		/* Landlock, as it reported */
	uint64_t		 started_us;
	uint64_t		 started_ms;	/* monotonic */
	uint64_t		 delay_ms;	/* before the next restart */
	bool			 running;	/* configured and serving */
	bool			 exited_ok;
	bool			 told_to_stop;
	struct loop_timer	*restart;
};

#define MONITOR_MAX_PROCS	(ROLES + ROLE_MAX_PROVIDERS)
#define MONITOR_MAX_RETIRED	64

struct monitor {
	struct server_config	 cfg;
	const char		*libexec;	/* where the programs are */
	bool			 init;		/* making the state, not serving */
	bool			 debug;		/* roles keep standard error */
	struct loop		*loop;
	int			 providers;
	struct proc		 procs[MONITOR_MAX_PROCS];
	int			 nprocs;
	/* Zygotes that serve their last sessions. */
	struct proc		*retired[MONITOR_MAX_RETIRED];
	int			 listeners[CONFIG_MAX_LISTEN];
	int			 control;	/* listening for cloisterctl */
	int			 links[LINKS][ROLE_MAX_PROVIDERS][2];
	int			 logs[MONITOR_MAX_PROCS + 1][2];
	bool			 serving;
	bool			 stopping;
};

/* links.c: descriptors */

/* Make every socketpair; fatal on failure. */
void links_make(struct monitor *m);
/* Close the monitor's copies of ends whose owners are never restarted. */
void links_close_unkept(struct monitor *m);

/* state.c: the state directory */

/* Open a role's file for a start; the descriptor is the caller's.  Failing is
 * fatal, unless the service runs: then it is logged, and -1. */
int state_open_file(struct monitor *m, enum file_id file, int instance);
/* Path of the engine's directory. */
void state_engine_dir(const struct monitor *m, char *dst, size_t size);
/* Make directories and empty files for init; fatal when something exists. */
void state_create(struct monitor *m);
/* Remove what state_create() made, after a failed init. */
void state_remove(struct monitor *m);
/* Make the new directories durable, and say the fingerprint of the host key. */
void state_finish(struct monitor *m);

/* spawn.c: processes */

/* Fork and execute p's program with its descriptors in place.  0, or -1 when a
 * file that the role needs cannot be opened now. */
int spawn(struct monitor *m, struct proc *p);
/* The user that p's processes run as when the monitor is root. */
const struct config_user *proc_user(const struct monitor *m,
    const struct proc *p);
/* "llmproxy[2]" */
void proc_name(const struct proc *p, char *dst, size_t size);

/* supervise.c */

/* Start all roles, serve until a signal or a failure; the exit status. */
int supervise(struct monitor *m);

/* certs_test.c: certificates, before the service starts */

/*
 * Have certd look whether the certificates that the configuration names can be
 * read and belong here.  0, or -1 after somebody said on standard error why.
 */
int certs_test(const struct monitor *m);

/* control.c: cloisterctl's socket */

/* Make the listening socket; fatal on failure. */
void control_listen(struct monitor *m);
/* Watch it, handing accepted connections to the vault. */
void control_serve(struct monitor *m);

#endif
