/*
 * The table of probes: each act, what becomes of it in every cell, and the
 * cells in which it ends otherwise.
 */
#ifndef TESTS_PROBES_H
#define TESTS_PROBES_H

#define STREAM		((long)SOCK_STREAM << 16)
#define DGRAM		((long)SOCK_DGRAM << 16)
#define OPT(level, name) ((long)(level) << 16 | (name))

/* The sanitizers' run time may do more; such an act then ends otherwise. */
#ifdef __SANITIZE_ADDRESS__
#define SANE(plain, sanitized)	(sanitized)
#else
#define SANE(plain, sanitized)	(plain)
#endif

#define CONN	C(CONNECTOR)
#define LLM	C(LLMPROXY)
#define TCPS	(CONN | LLM | C(SESSIOND))
#define FILES_OF (C(ENGINE) | CONN)		/* may open by name */
#define WRITERS	(C(LOGGER) | C(ENGINE) | C(VAULT))

struct probe {
	const char	*name;
	int		(*act)(void);
	long		 arg;
	int		 outcome;	/* in all other cells */
	struct {
		unsigned	cells;
		int		outcome;
	} except[4];
	unsigned	 min_abi;	/* of Landlock, for this outcome */
};

#define NONE	{ { 0, 0 } }
#define RAW(call) { #call, raw, SYS_##call, DIES, NONE, 0 }

static const struct probe probes[] = {
	/* Files. */
	{ "open", open_passwd, O_RDONLY, EACCES, NONE, 0 },
	{ "open, a path alone", open_passwd, O_PATH, EACCES,
	    { { FILES_OF, OK } }, 0 },
	{ "open(2)", open_old, 0, EACCES, NONE, 0 },
	{ "openat2", open_how, 0, DIES, NONE, 0 },
	{ "open a program", open_program, 0, EACCES, NONE, 0 },
	{ "make a file outside", make_elsewhere, 0, EACCES, NONE, 0 },
	{ "make a file in the state", make_here, 0, EACCES,
	    { { C(ENGINE), OK } }, 0 },
	{ "open /proc/VICTIM/mem", open_memory, 1, EACCES, NONE, 0 },
	{ "open /proc/SELF/mem", open_memory, 0, EACCES, NONE, 0 },
	{ "open /proc/VICTIM/environ", open_environ, 0, EACCES, NONE, 0 },
	{ "stat by name", stat_name, 0, EACCES, { { FILES_OF, OK } }, 0 },
	{ "stat by name, AT_EMPTY_PATH", stat_name, AT_EMPTY_PATH, EACCES,
	    { { FILES_OF, OK } }, 0 },
	{ "write to a file", write_file, 0, SIG(SIGXFSZ),
	    { { WRITERS, OK } }, 0 },
	{ "write in place", write_in_place, 0, DIES, { { WRITERS, OK } }, 0 },
	{ "truncate", truncate_file, 0, DIES,
	    { { C(LOGGER) | C(ENGINE), OK } }, 0 },
	{ "unlink outside", unlink_outside, 0, DIES,
	    { { C(ENGINE), EACCES } }, 0 },
	{ "mkdir outside", mkdir_outside, 0, DIES,
	    { { C(ENGINE), EACCES } }, 0 },
	{ "rename to outside", rename_outside, 0, DIES,
	    { { C(ENGINE), EACCES } }, 0 },
	{ "lock a file", lock_file, 0, DIES, { { C(ENGINE), OK } }, 0 },
	{ "signals from a file", set_fd, F_SETOWN, DIES, NONE, 0 },
	{ "which signal", set_fd, F_SETSIG, DIES, NONE, 0 },
	{ "a lease", set_fd, F_SETLEASE, DIES, NONE, 0 },
	{ "chmod", change_mode, 0, DIES, NONE, 0 },
	RAW(fchmod), RAW(fchmodat), RAW(chown), RAW(fchown), RAW(fchownat),
	RAW(link), RAW(linkat), RAW(symlink), RAW(symlinkat), RAW(mknod),
	RAW(mknodat), RAW(creat), RAW(truncate), RAW(utimensat),
	RAW(setxattr), RAW(fsetxattr), RAW(chdir), RAW(fchdir), RAW(umask),
	RAW(open_by_handle_at), RAW(name_to_handle_at), RAW(inotify_init1),
	RAW(fanotify_init), RAW(renameat2), RAW(copy_file_range),
	RAW(sendfile), RAW(splice), RAW(tee), RAW(vmsplice),
	{ "getdents64", raw, SYS_getdents64, DIES,
	    { { C(ENGINE), ENOTDIR } }, 0 },

	/* Sockets. */
	{ "TCP", socket_inet, STREAM, DIES, { { CONN, OK }, { LLM, EACCES } },
	    0 },
	{ "TCP that exec inherits", socket_inherited, 0, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "UDP", send_udp, 0, DIES, { { CONN, OK }, { LLM, EACCES } }, 0 },
	{ "MPTCP", socket_inet, STREAM | 262, DIES, { { LLM, EACCES } }, 0 },
	{ "SCTP", socket_inet, STREAM | 132, DIES, { { LLM, EACCES } }, 0 },
	{ "SCTP unasked", socket_inet, (long)SOCK_SEQPACKET << 16, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "DCCP unasked", socket_inet, (long)SOCK_DCCP << 16, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "SMC", family, 43, DIES, { { LLM, EACCES } }, 0 },
	{ "ping", socket_inet, DGRAM | IPPROTO_ICMP, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "UDP-Lite", socket_inet, DGRAM | IPPROTO_UDPLITE, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "raw IP", socket_inet, (long)SOCK_RAW << 16 | IPPROTO_RAW, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "netlink, routes", socket_netlink, 0, DIES,
	    { { CONN, OK }, { LLM, EACCES } }, 0 },
	{ "netlink, netfilter", socket_netlink, 12, DIES,
	    { { LLM, EACCES } }, 0 },
	{ "connect", connect_to, 0, DIES,
	    { { CONN, OK }, { LLM, EINPROGRESS } }, 0 },
	{ "connect to another port", connect_to, 9, DIES,
	    { { CONN, EACCES }, { LLM, EINPROGRESS } }, 4 },
	{ "fast open by sendto", fastopen_sendto, 0, DIES, NONE, 0 },
	{ "fast open by sendmsg", fastopen_sendmsg, 0, DIES, NONE, 0 },
	{ "fast open by sendmmsg", fastopen_sendmsg, SYS_sendmmsg, DIES, NONE,
	    0 },
	{ "fast open of a client's socket", fastopen_client, 0, DIES, NONE, 0 },
	{ "sendmmsg", send_many, 0, DIES, { { CONN, OK } }, 0 },
	{ "bind TCP", bind_inet, 0, DIES, NONE, 0 },
	{ "bind UDP", bind_inet, 1, DIES, NONE, 0 },
	{ "bind a path", bind_unix, 0, DIES, NONE, 0 },
	{ "listen", listen_tcp, 0, DIES, NONE, 0 },
	{ "accept4", accept_from, 0, DIES, { { C(SESSIOND), EAGAIN } }, 0 },
	{ "connect to an abstract socket", connect_abstract, 0, DIES,
	    { { CONN, EPERM }, { LLM, EINPROGRESS } }, 6 },
	{ "send to an abstract socket", send_abstract, 0, EPERM, NONE, 6 },
	{ "connect to a path socket", connect_path, 0, DIES,
	    { { CONN, EAFNOSUPPORT }, { LLM, EACCES } }, 0 },
	{ "a stream pair", pair_of, SOCK_STREAM, DIES, NONE, 0 },
	{ "a datagram pair", pair_of, SOCK_DGRAM, DIES, NONE, 0 },
	{ "a channel pair", pair_of, SOCK_SEQPACKET, DIES,
	    { { C(KEYD) | C(VAULT) | C(ZYGOTE), OK } }, 0 },
	{ "TCP_NODELAY", set_option, OPT(IPPROTO_TCP, TCP_NODELAY), DIES,
	    { { TCPS, OK } }, 0 },
	{ "SO_KEEPALIVE", set_option, OPT(SOL_SOCKET, SO_KEEPALIVE), DIES,
	    { { TCPS, OK } }, 0 },
	{ "SO_RCVLOWAT", set_option, OPT(SOL_SOCKET, SO_RCVLOWAT), DIES,
	    { { C(SESSIOND), OK } }, 0 },
	{ "TCP_KEEPIDLE", set_option, OPT(IPPROTO_TCP, TCP_KEEPIDLE), DIES,
	    { { C(SESSIOND), OK } }, 0 },
	{ "IP_RECVERR", set_option, OPT(IPPROTO_IP, IP_RECVERR), DIES,
	    { { CONN, OK } }, 0 },
	{ "TCP_FASTOPEN_CONNECT", set_option,
	    OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), DIES, NONE, 0 },
	{ "TCP_ULP", set_option, OPT(IPPROTO_TCP, TCP_ULP), DIES, NONE, 0 },
	{ "TCP_REPAIR", set_option, OPT(IPPROTO_TCP, TCP_REPAIR), DIES, NONE,
	    0 },
	{ "a socket filter", set_option, OPT(SOL_SOCKET, SO_ATTACH_FILTER),
	    DIES, NONE, 0 },
	{ "a socket's BPF", set_option, OPT(SOL_SOCKET, SO_ATTACH_BPF), DIES,
	    NONE, 0 },
	{ "SO_ERROR", get_option, OPT(SOL_SOCKET, SO_ERROR), DIES,
	    { { CONN | LLM, OK } }, 0 },
	{ "SO_TYPE", get_option, OPT(SOL_SOCKET, SO_TYPE), DIES,
	    { { LLM, OK } }, 0 },
	{ "SO_PEERCRED", get_option, OPT(SOL_SOCKET, SO_PEERCRED), DIES, NONE,
	    0 },
	/* The connector's resolver needs it; no channel of its uses it. */
	{ "recvmsg", receive, 0, DIES, { { C(ZYGOTE) | WORKERS | LLM |
	    C(VAULT) | C(LOGGER) | CONN, OK } }, 0 },
	{ "shutdown", shut_down, 0, DIES, { { C(ZYGOTE) | WORKERS, OK } }, 0 },
	{ "look up a local name", look_up_here, 0, DIES,
	    { { CONN, OK }, { LLM, EHOSTUNREACH } }, 0 },
	{ "look up a name", look_up, 0, DIES,
	    { { CONN | LLM, EHOSTUNREACH } }, 0 },
	{ "look up a name by TCP", look_up, RES_USEVC, DIES,
	    { { CONN | LLM, EHOSTUNREACH } }, 0 },
	RAW(recvmmsg), RAW(accept),

	/* Processes. */
	{ "fork", do_fork, 0, DIES, { { C(ZYGOTE), OK } }, 0 },
	{ "a thread", make_thread, 0, DIES, NONE, 0 },
	{ "clone sharing memory", do_clone, CLONE_VM | SIGCHLD, DIES, NONE, 0 },
	{ "clone in a namespace", do_clone, CLONE_NEWUSER | SIGCHLD, DIES,
	    NONE, 0 },
	{ "clone, another parent", do_clone, CLONE_PARENT | SIGCHLD, DIES,
	    NONE, 0 },
	{ "clone3", raw, SYS_clone3, ENOSYS, NONE, 0 },
	RAW(vfork),
	{ "exec", do_exec, 0, DIES, NONE, 0 },
	{ "execveat", do_execveat, 0, DIES, NONE, 0 },
	{ "ptrace, attach", do_ptrace, PTRACE_ATTACH, DIES, NONE, 0 },
	{ "ptrace, seize", do_ptrace, PTRACE_SEIZE, DIES, NONE, 0 },
	{ "ptrace, be traced", do_ptrace, PTRACE_TRACEME, DIES, NONE, 0 },
	{ "process_vm_readv", vm_access, SYS_process_vm_readv, DIES, NONE, 0 },
	{ "process_vm_writev", vm_access, SYS_process_vm_writev, DIES, NONE,
	    0 },
	{ "pidfd_open", victim_call, SYS_pidfd_open, DIES, NONE, 0 },
	{ "pidfd_getfd", pidfd_call, SYS_pidfd_getfd, DIES, NONE, 0 },
	{ "pidfd_send_signal", pidfd_call, SYS_pidfd_send_signal, DIES, NONE,
	    0 },
	{ "kcmp", victim_call, SYS_kcmp, DIES, NONE, 0 },
	{ "migrate_pages", victim_call, SYS_migrate_pages, DIES, NONE, 0 },
	{ "sched_setaffinity", victim_call, SYS_sched_setaffinity, DIES, NONE,
	    0 },
	{ "sched_setscheduler", victim_call, SYS_sched_setscheduler, DIES,
	    NONE, 0 },
	{ "get_robust_list", victim_call, SYS_get_robust_list, DIES, NONE, 0 },
	{ "getpgid", victim_call, SYS_getpgid, DIES, NONE, 0 },
	{ "getsid", victim_call, SYS_getsid, DIES, NONE, 0 },
	{ "kill a sibling", kill_victim, SIGKILL, DIES,
	    { { C(ZYGOTE), EPERM } }, 6 },
	{ "stop a sibling", kill_victim, SIGSTOP, DIES, NONE, 0 },
	{ "look for a sibling", kill_victim, 0, DIES, NONE, 0 },
	{ "kill everybody", kill_all, 0, DIES, NONE, 0 },
	{ "signal the parent", cont_parent, 0, DIES, NONE, 0 },
	{ "kill a sibling's thread", kill_thread, 0, SANE(DIES, EPERM), NONE,
	    SANE(0, 6) },
	{ "a sibling's limits", limit_victim, 0, SANE(DIES, OK),
	    { { C(ZYGOTE) | WORKERS, DIES } }, 0 },
	RAW(tkill), RAW(rt_sigqueueinfo), RAW(rt_tgsigqueueinfo),
	RAW(process_madvise), RAW(process_mrelease), RAW(setpgid), RAW(setsid),
	RAW(setpriority), RAW(ioprio_set), RAW(set_tid_address), RAW(waitid),
	RAW(setrlimit), RAW(set_thread_area), RAW(perf_event_open),
	{ "wait", raw, SYS_wait4, DIES, { { C(ZYGOTE), ECHILD } }, 0 },

	/* Memory. */
	{ "map memory executable", map_executable, PROT_READ | PROT_WRITE |
	    PROT_EXEC, DIES, NONE, 0 },
	{ "map a file executable", map_executable, PROT_READ | PROT_EXEC,
	    DIES, NONE, 0 },
	{ "make memory executable", make_executable, PROT_READ | PROT_EXEC,
	    DIES, NONE, 0 },
	{ "make memory executable alone", make_executable, PROT_EXEC, DIES,
	    NONE, 0 },
	RAW(pkey_mprotect), RAW(pkey_alloc), RAW(remap_file_pages),
	RAW(memfd_create), RAW(shmget), RAW(shmat), RAW(personality),
	RAW(userfaultfd), RAW(process_vm_readv), RAW(mlockall), RAW(mbind),
	RAW(set_mempolicy), RAW(modify_ldt), RAW(arch_prctl), RAW(membarrier),

	/* Privileges and namespaces. */
	{ "setuid 0", become_root, 0, DIES, NONE, 0 },
	RAW(setgid), RAW(setreuid), RAW(setregid), RAW(setresuid),
	RAW(setresgid), RAW(setfsuid), RAW(setfsgid), RAW(setgroups),
	RAW(capset), RAW(capget),
	{ "unshare, users", do_unshare, CLONE_NEWUSER, DIES, NONE, 0 },
	{ "unshare, files", do_unshare, CLONE_FILES, DIES, NONE, 0 },
	RAW(setns), RAW(mount), RAW(umount2), RAW(pivot_root), RAW(chroot),
	RAW(open_tree), RAW(move_mount), RAW(fsopen), RAW(fsmount),
	RAW(mount_setattr),
	{ "prctl, dumpable", call_prctl, PR_SET_DUMPABLE, DIES, NONE, 0 },
	{ "prctl, its name", call_prctl, PR_SET_NAME, DIES, NONE, 0 },
	{ "prctl, who may trace", call_prctl, PR_SET_PTRACER, DIES, NONE, 0 },
	{ "prctl, reaper", call_prctl, PR_SET_CHILD_SUBREAPER, DIES, NONE, 0 },
	{ "prctl, capabilities", call_prctl, PR_CAPBSET_DROP, DIES, NONE, 0 },
	{ "prctl, memory map", call_prctl, PR_SET_MM, DIES, NONE, 0 },
	{ "prctl, death with the parent", call_prctl, PR_SET_PDEATHSIG, DIES,
	    { { C(ZYGOTE), OK } }, 0 },
	{ "prctl, no new privileges", call_prctl, PR_SET_NO_NEW_PRIVS, DIES,
	    { { C(ZYGOTE), OK } }, 0 },
	{ "seccomp", raw, SYS_seccomp, DIES, { { C(ZYGOTE), EINVAL } }, 0 },
	{ "a Landlock ruleset", raw, SYS_landlock_create_ruleset, DIES,
	    { { CONN, EFAULT } }, 0 },

	/* The kernel. */
	RAW(io_uring_setup), RAW(io_uring_enter), RAW(io_uring_register),
	RAW(io_setup), RAW(bpf), RAW(keyctl), RAW(add_key), RAW(request_key),
	RAW(init_module), RAW(finit_module), RAW(delete_module),
	RAW(kexec_load), RAW(reboot), RAW(syslog), RAW(iopl), RAW(ioperm),
	RAW(quotactl), RAW(swapon), RAW(acct), RAW(settimeofday),
	RAW(clock_settime), RAW(adjtimex), RAW(clock_adjtime),
	RAW(sethostname), RAW(vhangup), RAW(ptrace), RAW(uselib),
	RAW(mq_open), RAW(msgget), RAW(semget), RAW(timer_create),
	RAW(timerfd_create), RAW(setitimer), RAW(alarm), RAW(eventfd2),
	RAW(signalfd4), RAW(pause), RAW(getrusage), RAW(getpriority),
	{ "rt_sigaction", raw, SYS_rt_sigaction, SANE(DIES, EINVAL), NONE, 0 },
	{ "the other interface, getpid", raw, X32 | SYS_getpid, DIES, NONE, 0 },
	{ "the other interface, open", raw, X32 | SYS_open, DIES, NONE, 0 },

	/* Descriptors and devices. */
	{ "ioctl, terminal input", call_ioctl, TIOCSTI, ENOTTY,
	    { { CONN | LLM, DIES } }, 0 },
	{ "ioctl, terminal selection", call_ioctl, TIOCLINUX, ENOTTY,
	    { { CONN | LLM, DIES } }, 0 },
	{ "ioctl, bytes waiting", call_ioctl, FIONREAD, ENOTTY,
	    { { CONN, OK }, { LLM, DIES } }, 0 },
	{ "ioctl, blocking", call_ioctl, FIONBIO, ENOTTY,
	    { { CONN, DIES }, { LLM, OK } }, 0 },
	{ "dup2", move_fd, SYS_dup2, DIES, { { C(ZYGOTE), OK } }, 0 },
	{ "dup3", move_fd, SYS_dup3, DIES, { { C(ZYGOTE), OK } }, 0 },
	{ "close_range", close_many, 0, DIES, { { C(ZYGOTE), OK } }, 0 },
	RAW(dup), RAW(pipe2), RAW(readv), RAW(preadv), RAW(pwritev),
};
#define NPROBES	(sizeof(probes) / sizeof(probes[0]))

#endif
