/*
 * One real role, started as cloisterd starts it, with the test in place of the
 * monitor, the logger and every peer.
 */
#ifndef HOSTILE_RIG_H
#define HOSTILE_RIG_H

#include <sys/types.h>

#include "board.h"
#include "role.h"

struct rig {
	/* what the caller sets */
	const struct board	*board;		/* secrets to look for */
	const char		*libexec;	/* the role's program */
	const char		*state;		/* state directory */
	uid_t			 uid;		/* when root */
	enum role_id		 role;
	unsigned		 nofile;	/* limit; 0: the role's own */
	unsigned		 until;		/* CTL_: how far rig_start() goes */

	/* what rig_start() sets */
	pid_t			 pid;		/* 0: not running */
	int			 status;	/* wait(2), once it has ended */
	int			 ctl;
	int			 log;		/* the logger's end */
	int			 logs[ROLES + 1]; /* of the logger: others' ends */
	int			 link[LINKS];	/* the peers' ends, or -1 */
	int			 listener;	/* sessiond's */
	uint32_t		 generation;
	uint64_t		 id;		/* for requests that count */
	off_t			 audit_at;	/* of the logger: read up to */
	unsigned		 violations;	/* audit events that came */
	unsigned		 errors;	/* other lines that say why it ends */
	unsigned		 offenders;	/* peers it asked to be ended ... */
	uint8_t			 offender;	/* ... and who the last one was */
	bool			 leak;		/* a secret came, anywhere */
};

/*
 * Start it, with its configuration, until it runs (or waits for what leads out of
 * the state `until').  Fatal when it does not.
 */
void rig_start(struct rig *r);
/*
 * Read everything that it said, on every link: violations and leaks.  What the
 * logger has to say is in the audit log.
 */
void rig_drain(struct rig *r);
/* Whether the audit log, written since rig_start(), has this text. */
bool rig_audited(const struct rig *r, const char *text);
/* Wait for its end, at most ms; whether it has ended. */
bool rig_ended(struct rig *r, int ms);
/* The same, or until it has accused a peer. */
bool rig_refused(struct rig *r, int ms);
/* Tell it to stop; whether it did so as it should. */
bool rig_stop(struct rig *r);
/*
 * The test is the role's logger, monitor and peers, so whatever it waits for, it
 * reads all sockets of the role meanwhile, as those would.
 *
 * Send a message on a link or the control channel; fd -1 for none.
 */
void rig_send(struct rig *r, int sock, enum msg_type type, const void *body,
    int fd);
/* The next datagram on a socket, decoded; 0, or -1 after ms or at its end. */
int rig_recv(struct rig *r, int sock, enum chan_kind kind, enum chan_end end,
    unsigned state, struct msg *m, int ms);
/* board_listen() on a socket, for ms in all. */
enum board_result rig_listen(struct rig *r, int sock, int ms);
/* How many descriptors it has open. */
int rig_fds(const struct rig *r);

#endif
