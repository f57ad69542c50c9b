/*
 * cloisterd: the monitor.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codes.h"
#include "log.h"
#include "monitor.h"
#include "notify.h"

/* The configuration is wrong: another start will not help (EX_CONFIG of
 * sysexits(3head), and RestartPreventExitStatus of the unit). */
#define EXIT_CONFIG	78

__attribute__((noreturn)) static void
usage(void)
{
	(void)fprintf(stderr, "usage: cloisterd [-Adinrt] [-f file] "
	    "[-L libexec-directory]\n"
	    "  -A  accept a database that was rolled back, then exit (cloisterctl\n"
	    "      storage accept-rollback)\n"
	    "  -d  roles keep standard error\n"
	    "  -f  the configuration (default " SYSCONFDIR "/cloisterd.conf)\n"
	    "  -i  make keys and database, then exit (cloisterctl init)\n"
	    "  -n  with -r: log to a trial's own audit log\n"
	    "  -r  verify a state that is to be restored (cloisterctl "
	    "restore)\n"
	    "  -t  check the configuration, then exit\n");
	exit(2);
}

/* A socket from outside: is it what sessiond can use? */
static void
check_inherited(int fd)
{
	int type = 0, listening = 0, domain = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == -1)
		fatal("a passed socket");
	if (type != SOCK_STREAM || listening == 0 ||
	    (domain != AF_INET && domain != AF_INET6))
		fatalx("a passed socket is not a listening TCP socket");
}

static void
open_listeners(struct monitor *m)
{
	if (m->cfg.inherit) {
		if (m->nlisteners == 0)
			fatalx("listen = \"systemd\", but no socket was passed: "
			    "is cloisterd.socket what starts the service?");
		for (int i = 0; i < m->nlisteners; i++)
			check_inherited(m->listeners[i]);
		return;
	}
	if (m->nlisteners != 0)
		fatalx("sockets were passed, but listen is not \"systemd\"");
	m->nlisteners = (int)m->cfg.nlisten;
	for (size_t i = 0; i < m->cfg.nlisten; i++) {
		const struct config_listen *l = &m->cfg.listen[i];
		int on = 1, fd;

		if ((fd = socket(l->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0)) == -1)
			fatal("socket");
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
		    sizeof(on)) == -1 || (l->addr.ss_family == AF_INET6 &&
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		    sizeof(on)) == -1))
			fatal("setsockopt");
		if (bind(fd, (const struct sockaddr *)&l->addr,
		    l->addrlen) == -1 || listen(fd, 1024) == -1)
			fatal("listen on %s", l->text);
		m->listeners[i] = fd;
	}
}

/*
 * What the monitor needs once sockets and files can be opened: to start a role
 * again under its own user, and to kill it.
 */
static void
keep_few_capabilities(void)
{
	static const uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID |
	    1u << CAP_SETPCAP | 1u << CAP_KILL;
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("prctl");
	if (geteuid() != 0)
		return;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((cap > 31 || (keep & 1u << cap) == 0) &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			fatal("drop capability %d", cap);
	memset(data, 0, sizeof(data));
	data[0].effective = data[0].permitted = keep;
	if (syscall(SYS_capset, &hdr, data) == -1)
		fatal("capset");
}

/* Log to the logger, as every role does. */
static void
join_logger(struct monitor *m)
{
	int fd = m->logs[role_total(m->providers)][0];

	if (fd != FD_LOG && (dup2(fd, FD_LOG) == -1 || close(fd) == -1))
		fatal("dup2");
	m->logs[role_total(m->providers)][0] = FD_LOG;
	role_log_init();
}

/*
 * Nothing is inherited but the standard descriptors, and listening sockets that
 * were passed; those, and what is up to FD_LOG, are taken, so that no file of
 * ours lands there.
 */
static void
reserve_fds(struct monitor *m)
{
	int fd;

	m->nlisteners = activation_take(m->listeners, CONFIG_MAX_LISTEN,
	    FD_LOG + 1);
	do
		if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
			fatal("/dev/null");
	while (fd < FD_LOG);
	if (fd > FD_LOG)
		close(fd);
}

/* In a process of its own: however it ends, what it left half made goes. */
static int
init_state(struct monitor *m)
{
	sigset_t set;
	int status;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		fatal("sigprocmask");
	state_create(m);
	if ((pid = fork()) == 0) {
		links_make(m);
		join_logger(m);
		_exit(supervise(m));
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1 || status != 0) {
		log_err("the state could not be made; removing what there is");
		state_remove(m);
		return 1;
	}
	state_finish(m);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct rlimit no_core = { 0, 0 };
	static struct monitor m;
	const char *conf = SYSCONFDIR "/cloisterd.conf";
	char err[512];
	bool test = false;
	int c;

	reserve_fds(&m);
	notify_init();
	(void)umask(022);
	/* For the roles too, which read keys before their own sandbox stands. */
	if (setrlimit(RLIMIT_CORE, &no_core) == -1)
		fatal("setrlimit");
	m.libexec = LIBEXECDIR;
	setproctitle_init(argc, argv, environ);
	log_set_name("cloisterd");
	while ((c = getopt(argc, argv, "Adf:iL:nrtV")) != -1) {
		switch (c) {
		case 'A':
			m.accept = true;
			break;
		case 'd':
			m.debug = true;
			break;
		case 'f':
			conf = optarg;
			break;
		case 'i':
			m.init = true;
			break;
		case 'L':
			m.libexec = optarg;
			break;
		case 'n':
			m.trial = true;
			break;
		case 'r':
			m.check = true;
			break;
		case 't':
			test = true;
			break;
		case 'V':
			printf("cloisterd " CLOISTER_VERSION "\n");
			return 0;
		default:
			usage();
		}
	}
	if (optind != argc || m.init + m.accept + m.check > 1 ||
	    (m.trial && !m.check))
		usage();
	if ((monitor_offline(&m) && !test ? config_load_init : config_load)(conf, &m.cfg, err,
	    sizeof(err)) == -1) {
		(void)fprintf(stderr, "%s\n", err);
		if (!monitor_offline(&m) && !test)
			notify("STATUS=%s", err);
		return monitor_offline(&m) ? 1 : EXIT_CONFIG;
	}
	if (!monitor_offline(&m) && certs_test(&m) == -1) {
		(void)fprintf(stderr, "%s: its certificates are not in order\n",
		    conf);
		return 1;
	}
	if (test) {
		printf("%s: ok\n", conf);
		return 0;
	}
	m.conf_path = conf;
	m.providers = (int)m.cfg.nproviders;
	log_set_level(m.cfg.log_level);
	if (geteuid() != 0)
		log_warn("not started as root: all roles share uid %u; "
		    "separation by uid is OFF", geteuid());
	if (m.init)
		return init_state(&m);
	/* What is to be restored is looked at where it is, by itself. */
	if (!m.check) {
		state_check(&m);
		if (!m.accept)
			open_listeners(&m);
		/* Nobody is answered there, if it is no service; but there is
		 * one. */
		control_listen(&m);
	}
	links_make(&m);
	join_logger(&m);
	if (m.accept)
		audit(EV_admin_storage_accept, 0, NULL, "uid=%u", getuid());
	keep_few_capabilities();
	setproctitle("-cloisterd: monitor");
	return supervise(&m);
}
