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
	int			 pidfd;		/* not our child: outside.c; or 0 */
	struct loop_io		*gone;		/* watches pidfd */
	struct chan		*ctl;
	uint32_t		 generation;
	uint32_t		 abi;		/* Landlock, as it reported */
	uint64_t		 started_us;
	uint64_t		 started_ms;	/* monotonic */
	uint64_t		 delay_ms;	/* before the next restart */
	bool			 running;	/* configured and serving */
	bool			 exited_ok;
	bool			 told_to_stop;
	bool			 pinged;	/* and has not answered yet */
	struct loop_timer	*restart;
};

#define MONITOR_MAX_PROCS	(ROLES + ROLE_MAX_PROVIDERS)
#define MONITOR_MAX_RETIRED	64

struct monitor {
	struct server_config	 cfg;
	const char		*conf_path;
	const char		*libexec;	/* where the programs are */
	bool			 init;		/* making the state, not serving */
	bool			 accept;	/* a database that is older; likewise */
	bool			 check;		/* of what is in restore/; likewise */
	bool			 trial;		/* ... with an audit log of its own */
	bool			 debug;		/* roles keep standard error */
	struct loop		*loop;
	int			 providers;
	struct proc		 procs[MONITOR_MAX_PROCS];
	uint8_t			 levels[ROLES];	/* log levels */
	int			 nprocs;
	/* Zygotes that serve their last sessions. */
	struct proc		*retired[MONITOR_MAX_RETIRED];
	int			 listeners[CONFIG_MAX_LISTEN];
	int			 nlisteners;
	int			 control;	/* listening for cloisterctl */
	int			 links[LINKS][ROLE_MAX_PROVIDERS][2];
	int			 logs[MONITOR_MAX_PROCS + 1][2];
	bool			 serving;
	bool			 stopping;
	bool			 draining;	/* sessions were told */
	bool			 drained;	/* and are no longer waited for */
	int			 exit_status;
	struct loop_timer	*deadline;	/* of a start or a step of a stop */
};

/* links.c: descriptors */

/* Make every socketpair; fatal on failure. */
void links_make(struct monitor *m);
/* Close the monitor's copies of ends whose owners are never restarted. */
void links_close_unkept(struct monitor *m);

/* state.c: the state directory */

/* Path of something below the state directory; fatal when it is too long. */
void state_path(const struct monitor *m, const char *name, char *dst,
    size_t size);

/* Open a role's file for a start; the descriptor is the caller's.  Failing is
 * fatal, unless the service runs: then it is logged, and -1. */
int state_open_file(struct monitor *m, enum file_id file, int instance);
/* Path of the engine's directory. */
void state_engine_dir(const struct monitor *m, char *dst, size_t size);
/* Whether this is no service: it makes or mends the state, then ends. */
bool monitor_offline(const struct monitor *m);
/* Make directories and empty files for init; fatal when something exists. */
void state_create(struct monitor *m);
/*
 * Is everything there, owned by whom it should be, and closed to others?  What is
 * not is said, and fatal.
 */
void state_check(const struct monitor *m);
/* Remove what state_create() made, after a failed init. */
void state_remove(struct monitor *m);
/* Make the new directories durable, and say the fingerprint of the host key. */
void state_finish(struct monitor *m);

/* logfiles.c: what the logger writes to, and log levels */

/* The audit log's file before the present one, or /dev/null; -1 with errno. */
int logfiles_open_prev(const struct monitor *m);
/*
 * An audit.log that is missing because the service ended while it was renamed:
 * a new one.  -1 when it is missing for another reason.
 */
int logfiles_make_missing(const struct monitor *m);
/*
 * The logger asks for another file; seq is the number of its last line.  It is
 * sent one, or told that there is none.
 */
void logfiles_next(struct monitor *m, struct chan *logger, uint64_t seq);
/* A socket to the journal, if standard error is the journal's, or /dev/null;
 * -1 with errno. */
int logfiles_open_journal(void);

#define LOGLEVEL_ALL	255

/*
 * Set the log level of a role (a role_id; ROLES: the monitor; LOGLEVEL_ALL), now
 * and for its later starts.  NULL, or what is wrong.
 */
const char *loglevel_set(struct monitor *m, unsigned role, unsigned level);

/* spawn.c: processes */

/* Fork and execute p's program with its descriptors in place.  0, or -1 when a
 * file that the role needs cannot be opened now. */
int spawn(struct monitor *m, struct proc *p);
/* Kill p's process, if there is one. */
void proc_kill(const struct proc *p);
/* The user that p's processes run as when the monitor is root. */
const struct config_user *proc_user(const struct monitor *m,
    const struct proc *p);
/* "llmproxy[2]" */
void proc_name(const struct proc *p, char *dst, size_t size);

/* outside.c: a role that the service manager starts */

/*
 * Have p started through connector_socket and give it the descriptors
 * fds[FD_CONTROL] to fds[n - 1].  Sets p->pid, p->pidfd and p->gone.  0, or -1,
 * and it was logged.
 */
int outside_spawn(struct monitor *m, struct proc *p, const int *fds, int n);
/* It has ended. */
void outside_forget(struct proc *p);

/* supervise.c */

/* A process of p's has ended with a wait(2) status; -1: it is not known. */
void on_exit_of(struct proc *p, int status);

/* Start all roles, serve until a signal or a failure; the exit status. */
int supervise(struct monitor *m);

/* Have a zygote serve its last sessions, and start another. */
void replace_zygote(struct proc *z);

/* configure.c */

/* Send a role its configuration; its channel is in CTL_CONF or CTL_RELOAD. */
void configure(struct monitor *m, struct proc *p);

/* reload.c */

/*
 * Read the configuration again and put it into force, or refuse it whole.  uid is
 * whose wish it is.  0 with in text what was done; -1 with the reason; both are
 * logged.
 */
int reload(struct monitor *m, uint32_t uid, char *text, size_t size);
/* The vault relays such a wish; it is answered. */
void reload_asked(struct monitor *m, struct proc *vault,
    const struct m_ctl_reload_ask *ask);

/* stop.c */

/* Begin to stop, for a reason; status is the monitor's exit status. */
void stop_service(struct monitor *m, const char *why, int status);
/* A process has ended while stopping: go on. */
void stop_next(struct monitor *m);
/* No session is left, or is waited for any more. */
void stop_drained(struct monitor *m);

/* watchdog.c */

/* Tell the service manager regularly that every role answers, if it asked. */
void watchdog_start(struct monitor *m);

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
