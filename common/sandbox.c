#include "sandbox.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "landlock.h"
#include "log.h"
#include "seccomp_policy.h"

struct limits {
	rlim_t	nofile;
	rlim_t	fsize;
};

/* Descriptors and file sizes; nobody makes processes but the zygote. */
static const struct limits cell_limits[CELLS] = {
	[CELL_LOGGER] = { 256, RLIM_INFINITY },
	[CELL_KEYD] = { 8192, 0 },
	[CELL_ENGINE] = { 256, RLIM_INFINITY },
	[CELL_HASHER] = { 64, 0 },
	[CELL_VAULT] = { 65536, 65536 },
	[CELL_CONNECTOR] = { 256, 0 },
	[CELL_LLMPROXY] = { 65536, 0 },
	[CELL_ZYGOTE] = { 65536, 0 },
	[CELL_SESSIOND] = { 1024, 0 },
	[CELL_CERTD] = { 64, 0 },
	[CELL_KEX] = { 64, 0 },
	[CELL_SESSION] = { 64, 0 },
};

static void
limit(int what, const char *name, rlim_t max)
{
	struct rlimit rl;

	if (getrlimit(what, &rl) == -1)
		fatal("getrlimit %s", name);
	if (rl.rlim_max != RLIM_INFINITY && (max == RLIM_INFINITY ||
	    max > rl.rlim_max))
		max = rl.rlim_max;
	rl.rlim_cur = rl.rlim_max = max;
	if (setrlimit(what, &rl) == -1)
		fatal("setrlimit %s", name);
}

void
sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capset, &hdr, data) == -1)
		fatal("capset");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		fatal("clear ambient capabilities");
}

void
sandbox_drop(uid_t uid, gid_t gid)
{
	if (geteuid() != 0) {
		sandbox_drop_capabilities();
		return;
	}
	if (uid == 0 || gid == 0)
		fatalx("a role may not run as root");
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			fatal("drop capability %d", cap);
	if (setgroups(0, NULL) == -1)
		fatal("setgroups");
	if (setresgid(gid, gid, gid) == -1)
		fatal("setresgid");
	if (setresuid(uid, uid, uid) == -1)
		fatal("setresuid");
	sandbox_drop_capabilities();
	if (setresuid(0, 0, 0) != -1 || setresgid(0, 0, 0) != -1)
		fatalx("privileges could be taken back");
}

static uint64_t
fs_rights(unsigned abi)
{
	uint64_t all = LL_FS_ABI1;

	if (abi >= 2)
		all |= LL_FS_REFER;
	if (abi >= 3)
		all |= LL_FS_TRUNCATE;
	if (abi >= 5)
		all |= LL_FS_IOCTL_DEV;
	return all;
}

static void
grant_path(int ruleset, const char *path, uint64_t rights)
{
	struct ll_path_beneath rule = { .allowed_access = rights };

	if ((rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) == -1) {
		if (errno == ENOENT)
			return;
		fatal("%s", path);
	}
	if (syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH, &rule, 0) == -1)
		fatal("landlock_add_rule %s", path);
	close(rule.parent_fd);
}

static void
restrict_self(int ruleset)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		fatal("landlock_restrict_self");
	close(ruleset);
}

/* What the resolver of the C library reads. */
static const char *const resolver_files[] = {
	"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf",
	"/etc/nsswitch.conf", "/etc/services", "/etc/protocols",
	"/run/systemd/resolve",
};

static unsigned
enter_landlock(enum cell cell, const char *dir, unsigned min_abi)
{
	struct ll_ruleset_attr attr = { 0 };
	size_t size = offsetof(struct ll_ruleset_attr, handled_access_net);
	long abi;
	int fd;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LL_CREATE_RULESET_VERSION);
	if (abi < 1 || (unsigned long)abi < min_abi)
		fatalx("the kernel offers Landlock ABI %ld, %u is needed",
		    abi < 0 ? 0 : abi, min_abi == 0 ? 1 : min_abi);
	attr.handled_access_fs = fs_rights((unsigned)abi);
	if (abi >= 4) {
		size = offsetof(struct ll_ruleset_attr, scoped);
		attr.handled_access_net = LL_NET_BIND_TCP;
		/* The connector's ports are a second layer: they come by
		 * its configuration. */
		if (cell != CELL_CONNECTOR)
			attr.handled_access_net |= LL_NET_CONNECT_TCP;
	}
	if (abi >= 6) {
		size = sizeof(attr);
		attr.scoped = LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd == -1)
		fatal("landlock_create_ruleset");
	if (cell == CELL_ENGINE)
		grant_path(fd, dir, attr.handled_access_fs & (LL_FS_READ_FILE |
		    LL_FS_READ_DIR | LL_FS_WRITE_FILE | LL_FS_MAKE_REG |
		    LL_FS_MAKE_DIR | LL_FS_REMOVE_FILE | LL_FS_TRUNCATE));
	if (cell == CELL_CONNECTOR)
		for (size_t i = 0; i < sizeof(resolver_files) /
		    sizeof(resolver_files[0]); i++)
			grant_path(fd, resolver_files[i], LL_FS_READ_FILE);
	restrict_self(fd);
	return (unsigned)abi;
}

void
sandbox_connect_ports(const uint16_t *ports, int n, unsigned abi)
{
	struct ll_ruleset_attr attr = {
		.handled_access_net = LL_NET_CONNECT_TCP
	};
	int fd;

	if (abi < 4)
		return;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr,
	    offsetof(struct ll_ruleset_attr, scoped), 0);
	if (fd == -1)
		fatal("landlock_create_ruleset");
	for (int i = 0; i < n; i++) {
		struct ll_net_port rule = {
			.allowed_access = LL_NET_CONNECT_TCP, .port = ports[i]
		};

		if (syscall(SYS_landlock_add_rule, fd, LL_RULE_NET_PORT, &rule,
		    0) == -1)
			fatal("landlock_add_rule port %u", ports[i]);
	}
	restrict_self(fd);
}

static void
die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		fatal("PR_SET_PDEATHSIG");
	if (getppid() != parent)
		_exit(1);	/* it died before the line above */
}

unsigned
sandbox_enter(enum cell cell, pid_t parent, const char *dir, unsigned min_abi)
{
	unsigned abi;

	limit(RLIMIT_CORE, "core", 0);
	limit(RLIMIT_NOFILE, "nofile", cell_limits[cell].nofile);
	limit(RLIMIT_FSIZE, "fsize", cell_limits[cell].fsize);
	if (cell != CELL_ZYGOTE)
		limit(RLIMIT_NPROC, "nproc", 0);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
	die_with(parent);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("PR_SET_NO_NEW_PRIVS");
	abi = enter_landlock(cell, dir, min_abi);
	seccomp_enter(cell);
	return abi;
}

void
sandbox_worker(enum cell cell, pid_t parent)
{
	limit(RLIMIT_NOFILE, "nofile", cell_limits[cell].nofile);
	limit(RLIMIT_NPROC, "nproc", 0);
	die_with(parent);
	seccomp_enter(cell);
}
