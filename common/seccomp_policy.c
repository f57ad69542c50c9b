#include "seccomp_policy.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "log.h"

/*
 * One entry: a system call and what happens to it.  Arguments are compared with
 * EQ and MASKED_EQ alone, 32-bit ones with the 32-bit macros, pointers never.
 */
struct rule {
	const char		*name;
	int			 err;	/* 0: allowed; else it fails so */
	unsigned		 nargs;
	struct scmp_arg_cmp	 arg[3];
};

#define ALLOW(n)		{ #n, 0, 0, { { 0 } } }
#define ALLOW1(n, a)		{ #n, 0, 1, { a } }
#define ALLOW2(n, a, b)		{ #n, 0, 2, { a, b } }
#define ALLOW3(n, a, b, c)	{ #n, 0, 3, { a, b, c } }
#define FAIL(n, e)		{ #n, e, 0, { { 0 } } }
#define FAIL1(n, e, a)		{ #n, e, 1, { a } }
#define RULES_END		{ NULL, 0, 0, { { 0 } } }
#define IS(i, v)		SCMP_CMP32(i, SCMP_CMP_EQ, (uint32_t)(v))
#define NONE_OF(i, mask)	SCMP_CMP32(i, SCMP_CMP_MASKED_EQ, (mask), 0)
/* A socket that exec would not inherit, of the family's own protocol. */
#define SOCKET(family, type)	ALLOW3(socket, IS(0, family), \
				    IS(1, (type) | SOCK_CLOEXEC), IS(2, 0))
/* What TCP sockets are told. */
#define TCP_OPTIONS							\
	ALLOW2(setsockopt, IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY)),	\
	ALLOW2(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_KEEPALIVE))

/* Every cell: the event loop, channels, memory, clocks, leaving. */
static const struct rule base[] = {
	ALLOW(read), ALLOW(write), ALLOW(close),
	ALLOW(recvfrom),		/* recv(2) on channels */
	/* send(2), descriptors to a peer.  With MSG_FASTOPEN they would connect:
	 * a client's socket, too, once that was told to forget its peer. */
	ALLOW1(sendto, NONE_OF(3, MSG_FASTOPEN)),
	ALLOW1(sendmsg, NONE_OF(2, MSG_FASTOPEN)),
	ALLOW(epoll_wait), ALLOW(epoll_pwait), ALLOW(epoll_ctl),
	ALLOW(poll), ALLOW(ppoll),
	ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
	ALLOW1(mmap, NONE_OF(2, PROT_EXEC)),
	ALLOW1(mprotect, NONE_OF(2, PROT_EXEC)),
	ALLOW(mlock),			/* pages of secrets */
	ALLOW(futex),			/* OpenSSL's locks, uncontended or not */
	ALLOW(getrandom),
	ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(time),
	ALLOW(clock_nanosleep), ALLOW(restart_syscall),
	ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask),
	ALLOW(getpid),			/* OpenSSL's fork detection, logs */
	ALLOW(getppid), ALLOW(gettid),
	ALLOW(sched_yield),
	ALLOW(sysinfo),			/* qsort(3) asks for the memory size */
	ALLOW(uname),
	ALLOW1(fcntl, IS(1, F_GETFL)), ALLOW1(fcntl, IS(1, F_SETFL)),
	ALLOW1(fcntl, IS(1, F_GETFD)), ALLOW1(fcntl, IS(1, F_SETFD)),
	ALLOW1(fcntl, IS(1, F_DUPFD_CLOEXEC)),	/* queued descriptors */
	ALLOW(fstat),
	/* fstat(3) of some C libraries, which may not look at the path: */
	FAIL(newfstatat, EACCES),
	ALLOW(exit), ALLOW(exit_group),
	FAIL(clone3, ENOSYS),		/* glibc falls back to clone */
	FAIL(ioctl, ENOTTY),		/* isatty(3) */
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizers' run time, in test builds only. */
	ALLOW(sigaltstack), ALLOW(rt_sigaction), ALLOW(sched_getaffinity),
	ALLOW(prlimit64), ALLOW(getrlimit), ALLOW(tgkill),
	FAIL(readlink, EACCES), FAIL(readlinkat, EACCES),
#endif
	RULES_END
};

/* Cells without files: the C library and OpenSSL look, and are told no. */
static const struct rule no_files[] = {
	FAIL(open, EACCES), FAIL(openat, EACCES), FAIL(stat, EACCES),
	FAIL(access, EACCES), FAIL(faccessat2, EACCES),
	FAIL(statx, EACCES),
	RULES_END
};

/* Cells that descriptors are sent to. */
static const struct rule receives_fds[] = {
	ALLOW(recvmsg),
	RULES_END
};

/* Cells that make channels for others. */
static const struct rule makes_pairs[] = {
	ALLOW3(socketpair, IS(0, AF_UNIX),
	    IS(1, SOCK_SEQPACKET | SOCK_CLOEXEC), IS(2, 0)),
	ALLOW3(socketpair, IS(0, AF_UNIX),
	    IS(1, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK), IS(2, 0)),
	RULES_END
};

/* Files that are open already and written in place. */
static const struct rule writes_files[] = {
	ALLOW(pread64), ALLOW(pwrite64), ALLOW(fdatasync), ALLOW(fsync),
	ALLOW(lseek),
	RULES_END
};

static const struct rule logger[] = {
	ALLOW(writev), ALLOW(ftruncate),	/* a torn last line is cut off */
	RULES_END
};

/* Berkeley DB in its own directory. */
static const struct rule engine[] = {
	ALLOW(openat), ALLOW(open), ALLOW(newfstatat), ALLOW(stat),
	ALLOW(access), ALLOW(faccessat2), ALLOW(statx),
	ALLOW(unlink), ALLOW(unlinkat),	/* logs that a checkpoint freed */
	ALLOW(rename), ALLOW(renameat),	/* kept inside by Landlock */
	ALLOW(mkdir), ALLOW(mkdirat),	/* init: its subdirectories */
	ALLOW(pread64), ALLOW(pwrite64), ALLOW(fdatasync), ALLOW(fsync),
	ALLOW(lseek), ALLOW(ftruncate), ALLOW(fallocate),
	/* the five of base, and record locks of the environment */
	ALLOW1(fcntl, IS(1, F_GETFL)), ALLOW1(fcntl, IS(1, F_SETFL)),
	ALLOW1(fcntl, IS(1, F_GETFD)), ALLOW1(fcntl, IS(1, F_SETFD)),
	ALLOW1(fcntl, IS(1, F_DUPFD_CLOEXEC)),
	ALLOW1(fcntl, IS(1, F_GETLK)), ALLOW1(fcntl, IS(1, F_SETLK)),
	ALLOW1(fcntl, IS(1, F_SETLKW)),
	ALLOW(flock),			/* one engine for each database */
	ALLOW(getcwd), ALLOW(getdents64),
	ALLOW(sched_getaffinity),	/* how many spins for a mutex */
	ALLOW(statfs), ALLOW(fstatfs),	/* free space before each write */
	ALLOW(select), ALLOW(pselect6),	/* its short waits */
	ALLOW(getuid), ALLOW(geteuid),
	RULES_END
};

/* TCP to configured addresses, names by the C library's resolver. */
static const struct rule connector[] = {
	/* Protocol 0 alone: Landlock does not see MPTCP.  Types one by one: of
	 * others the kernel would load a module, SCTP's or DCCP's. */
	SOCKET(AF_INET, SOCK_STREAM | SOCK_NONBLOCK),
	SOCKET(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK),
	SOCKET(AF_INET, SOCK_STREAM),		/* DNS by TCP */
	SOCKET(AF_INET6, SOCK_STREAM),
	SOCKET(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK),	/* DNS */
	SOCKET(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK),
	SOCKET(AF_INET, SOCK_DGRAM),		/* which address is nearer */
	SOCKET(AF_INET6, SOCK_DGRAM),
	SOCKET(AF_NETLINK, SOCK_RAW),		/* which addresses we have */
	FAIL1(socket, EAFNOSUPPORT, IS(0, AF_UNIX)),	/* nscd */
	ALLOW(connect),
	ALLOW1(bind, IS(2, 12)),	/* sockaddr_nl: interface addresses */
	ALLOW(getsockname), ALLOW(getpeername),
	TCP_OPTIONS,
	ALLOW2(setsockopt, IS(1, IPPROTO_IP), IS(2, IP_RECVERR)),	/* DNS */
	ALLOW2(setsockopt, IS(1, IPPROTO_IPV6), IS(2, IPV6_RECVERR)),
	ALLOW2(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_ERROR)),
	ALLOW(recvmsg),			/* netlink and DNS answers, no channel */
	/* both DNS questions at once */
	ALLOW1(sendmmsg, NONE_OF(3, MSG_FASTOPEN)),
	ALLOW(open), ALLOW(openat), ALLOW(newfstatat), ALLOW(stat),
	ALLOW(lseek), ALLOW(access), ALLOW(faccessat2), ALLOW(statx),
	ALLOW1(ioctl, IS(1, FIONREAD)),	/* the size of a DNS answer */
	ALLOW(writev),			/* a DNS question by TCP */
	/* Narrowing Landlock to the ports, once they are known. */
	ALLOW(landlock_create_ruleset), ALLOW(landlock_add_rule),
	ALLOW(landlock_restrict_self),
	RULES_END
};

/* libcurl on sockets that the connector opened. */
static const struct rule llmproxy[] = {
	TCP_OPTIONS,
	ALLOW2(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_ERROR)),
	ALLOW2(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_TYPE)), /* is it one? */
	ALLOW(getsockname), ALLOW(getpeername),
	ALLOW(writev),
	FAIL(socket, EACCES),		/* libcurl's probe for IPv6 */
	/* libcurl 7.88 connects even a socket that it was told is connected;
	 * it never happens, and poll(2) then says that it is writable. */
	FAIL(connect, EINPROGRESS),
	ALLOW1(ioctl, IS(1, FIONBIO)),
	RULES_END
};

/* Forking workers and burying them; workers add their own filter. */
static const struct rule zygote[] = {
	/* fork(3): the exact flags of glibc */
	ALLOW1(clone, IS(0, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD)),
	ALLOW(set_robust_list),		/* fork(3), in the child */
	ALLOW(wait4),
	/* one process: not a group's, not all of them */
	ALLOW2(kill, NONE_OF(0, 0x80000000), IS(1, SIGKILL)),
	ALLOW(close_range),
	ALLOW(dup2), ALLOW(dup3),
	ALLOW(epoll_create1),		/* a session worker's own loop */
	ALLOW1(prlimit64, IS(0, 0)),	/* a worker's own limits */
	ALLOW2(prctl, IS(0, PR_SET_PDEATHSIG), IS(1, SIGKILL)),
	ALLOW2(prctl, IS(0, PR_SET_NO_NEW_PRIVS), IS(1, 1)),
	ALLOW(seccomp),			/* a worker's narrower filter */
	RULES_END
};

static const struct rule sessiond[] = {
	ALLOW(accept4),
	TCP_OPTIONS,
	ALLOW2(setsockopt, IS(1, IPPROTO_TCP), IS(2, TCP_KEEPIDLE)),
	/* Tell of a connection when its first message is whole. */
	ALLOW2(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_RCVLOWAT)),
	RULES_END
};

/*
 * Cells that end a client's connection.  No other role may shut down what its
 * successor has too; the zygote could, as its workers live under its filter.
 */
static const struct rule ends_clients[] = {
	ALLOW(shutdown),
	RULES_END
};

/* A session worker makes its loop after the filter stands. */
static const struct rule session[] = {
	ALLOW(epoll_create1),
	RULES_END
};

static const struct rule *const policies[CELLS][7] = {
	[CELL_LOGGER] = { base, no_files, receives_fds, writes_files, logger },
	[CELL_KEYD] = { base, no_files, makes_pairs },
	[CELL_ENGINE] = { base, engine },
	[CELL_HASHER] = { base, no_files },
	[CELL_VAULT] = { base, no_files, receives_fds, makes_pairs,
	    writes_files },
	[CELL_CONNECTOR] = { base, connector },
	[CELL_LLMPROXY] = { base, no_files, receives_fds, llmproxy },
	[CELL_ZYGOTE] = { base, no_files, receives_fds, makes_pairs, zygote,
	    ends_clients },
	[CELL_SESSIOND] = { base, no_files, sessiond },
	[CELL_CERTD] = { base, no_files },
	[CELL_KEX] = { base, no_files, receives_fds, ends_clients },
	[CELL_SESSION] = { base, no_files, receives_fds, ends_clients, session },
};

static void
add(scmp_filter_ctx ctx, const struct rule *r)
{
	int nr = seccomp_syscall_resolve_name(r->name);

	if (nr == __NR_SCMP_ERROR)
		return;		/* this architecture has no such call */
	if (seccomp_rule_add_array(ctx, r->err == 0 ? SCMP_ACT_ALLOW :
	    SCMP_ACT_ERRNO((uint32_t)r->err), nr, r->nargs, r->arg) != 0)
		fatalx("seccomp rule for %s", r->name);
}

/* Whether an earlier set of the policy has rules for this call. */
static int
listed(const struct rule *const *sets, size_t upto, const char *name)
{
	for (size_t i = 0; i < upto; i++)
		for (const struct rule *r = sets[i]; r->name != NULL; r++)
			if (__builtin_strcmp(r->name, name) == 0)
				return 1;
	return 0;
}

#ifdef SECCOMP_DEBUG
/*
 * For developers alone: what a filter catches is named in the log before the
 * process dies of it.
 */
#define CATCH	SCMP_ACT_TRAP

static const char *const cell_names[CELLS] = {
	[CELL_LOGGER] = "logger", [CELL_KEYD] = "keyd",
	[CELL_ENGINE] = "engine", [CELL_HASHER] = "hasher",
	[CELL_VAULT] = "vault",
	[CELL_CONNECTOR] = "connector", [CELL_LLMPROXY] = "llmproxy",
	[CELL_ZYGOTE] = "zygote", [CELL_SESSIOND] = "sessiond",
	[CELL_CERTD] = "certd", [CELL_KEX] = "kex", [CELL_SESSION] = "session",
};
static enum cell debug_cell;

static void
on_sigsys(int sig, siginfo_t *si, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(si->si_arch,
	    si->si_syscall);

	(void)sig;
	(void)context;
	log_err("the filter of %s caught system call %d (%s)",
	    cell_names[debug_cell], si->si_syscall,
	    name != NULL ? name : "unknown");
	/* Once more: the signal is blocked now, and so it kills. */
	(void)syscall(si->si_syscall, 0, 0, 0, 0, 0, 0);
	_exit(128 + SIGSYS);
}

/* A worker has its zygote's handler already, and may not set it again. */
static void
name_what_is_caught(enum cell cell)
{
	static bool set;
	struct sigaction sa = { .sa_flags = SA_SIGINFO };

	debug_cell = cell;
	sa.sa_sigaction = on_sigsys;
	if (!set && sigaction(SIGSYS, &sa, NULL) == -1)
		fatal("sigaction");
	set = true;
}
#else
#define CATCH	SCMP_ACT_KILL_PROCESS
#endif

void
seccomp_enter(enum cell cell)
{
	const struct rule *const *sets = policies[cell];
	scmp_filter_ctx ctx;
	size_t n = 0;

	if ((ctx = seccomp_init(CATCH)) == NULL)
		fatalx("seccomp_init");
	if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS) != 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
		fatalx("seccomp attributes");
	while (n < 7 && sets[n] != NULL)
		n++;
	/* A later, more special set replaces what an earlier one says. */
	for (size_t i = n; i-- > 0;)
		for (const struct rule *r = sets[i]; r->name != NULL; r++)
			if (!listed(sets + i + 1, n - i - 1, r->name))
				add(ctx, r);
#ifdef SECCOMP_DEBUG
	name_what_is_caught(cell);
#endif
	if (seccomp_load(ctx) != 0)
		fatalx("the seccomp filter cannot be loaded");
	seccomp_release(ctx);
}
