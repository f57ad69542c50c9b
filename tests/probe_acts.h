/*
 * Acts for the table of probes (probes.h).  Each returns 0, or -1 with errno;
 * `arg` is the table's argument.
 */
#ifndef TESTS_PROBE_ACTS_H
#define TESTS_PROBE_ACTS_H

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/uio.h>

#include <netinet/tcp.h>

#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <sched.h>

#define X32	0x40000000	/* the other system call interface of amd64 */

static long arg;
static pid_t victim;		/* of the same user */
static int victim_fd;		/* its pidfd */
static int tcp, udp;		/* made for each act */
static int client;		/* of a connection */
static int quiet;		/* listens; nobody connects to it */
static bool has_ip6;
static int unix_stream, unix_dgram, unix_abstract[2];
static struct sockaddr_un abstract[2], path_name;

static int
done(long r)
{
	return r == -1 ? -1 : 0;
}

/* Any system call, with zeros. */
static int
raw(void)
{
	return done(syscall(arg, 0, 0, 0, 0, 0, 0));
}

/* ---- files ------------------------------------------------------------------ */

static int
open_name(const char *name, int flags)
{
	return done(open(name, flags | O_CLOEXEC, 0600));
}

static int
open_passwd(void)
{
	return open_name("/etc/passwd", (int)arg);
}

static int
open_program(void)
{
	return open_name("/bin/sh", O_RDONLY);
}

static int
open_old(void)
{
	return done(syscall(SYS_open, "/etc/passwd", O_RDONLY));
}

static int
open_how(void)
{
	uint64_t how[3] = { O_RDONLY, 0, 0 };

	return done(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how,
	    sizeof(how)));
}

/* A name in the engine's directory, and one beside it. */
static char *
inside(char path[64], const char *name)
{
	(void)snprintf(path, 64, "%s/%s", dir, name);
	return path;
}

static char *
outside(char path[64])
{
	(void)snprintf(path, 64, "%s-outside", dir);
	return path;
}

static int
make_here(void)
{
	char path[64];

	return open_name(inside(path, "made"), O_RDWR | O_CREAT);
}

static int
make_elsewhere(void)
{
	char path[64];

	return open_name(outside(path), O_RDWR | O_CREAT);
}

/* arg: of the victim, or of itself. */
static int
open_memory(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", arg ? (int)victim :
	    (int)getpid());
	return open_name(path, O_RDWR);
}

static int
open_environ(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)victim);
	return open_name(path, O_RDONLY);
}

static int
stat_name(void)
{
	struct stat st;

	return done(syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st,
	    (int)arg));
}

static int
write_file(void)
{
	return write(file, "x", 1) == 1 ? 0 : -1;
}

static int
write_in_place(void)
{
	return pwrite(file, "x", 1, 0) == 1 && fdatasync(file) == 0 ? 0 : -1;
}

static int
truncate_file(void)
{
	return ftruncate(file, 0);
}

static int
unlink_outside(void)
{
	return unlink("/etc/passwd");
}

static int
mkdir_outside(void)
{
	char path[64];

	return mkdir(outside(path), 0700);
}

static int
rename_outside(void)
{
	char old[64], new[64];

	return rename(inside(old, "file"), outside(new));
}

static int
lock_file(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return done(fcntl(file, F_SETLK, &fl));
}

static int
set_fd(void)
{
	return done(fcntl(file, (int)arg, getpid()));
}

/* ---- sockets ----------------------------------------------------------------- */

static int
family(void)
{
	return done(socket((int)arg, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/* arg: type << 16 | protocol */
static int
socket_inet(void)
{
	return done(socket(AF_INET, (int)(arg >> 16) | SOCK_CLOEXEC,
	    (int)(arg & 0xffff)));
}

static int
socket_inherited(void)
{
	return done(socket(AF_INET, SOCK_STREAM, 0));
}

static int
socket_netlink(void)
{
	return done(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)arg));
}

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(port);
	return sin;
}

static int
connect_to(void)
{
	struct sockaddr_in sin = loopback(arg == 0 ? listener_port :
	    (uint16_t)arg);

	return connect(tcp, (struct sockaddr *)&sin, sizeof(sin));
}

/* A datagram by a socket of its own. */
static int
send_udp(void)
{
	struct sockaddr_in sin = loopback(9);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return s == -1 || sendto(s, "x", 1, 0, (struct sockaddr *)&sin,
	    sizeof(sin)) != 1 ? -1 : 0;
}

static int
fastopen_sendto(void)
{
	struct sockaddr_in sin = loopback(listener_port);

	return done(sendto(tcp, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	    (struct sockaddr *)&sin, sizeof(sin)));
}

static int
fastopen_sendmsg(void)
{
	struct sockaddr_in sin = loopback(listener_port);
	struct iovec iov = { dir, 1 };
	struct mmsghdr mh = { .msg_hdr = { .msg_name = &sin,
	    .msg_namelen = sizeof(sin), .msg_iov = &iov, .msg_iovlen = 1 } };

	if (arg == SYS_sendmmsg)
		return done(sendmmsg(tcp, &mh, 1, MSG_FASTOPEN | MSG_NOSIGNAL));
	return done(sendmsg(tcp, &mh.msg_hdr, MSG_FASTOPEN | MSG_NOSIGNAL));
}

/* A connected socket of a client, made to forget it and go elsewhere. */
static int
fastopen_client(void)
{
	struct sockaddr_in sin = loopback(listener_port);
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	(void)sendto(client, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &none,
	    sizeof(none));
	return done(sendto(client, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	    (struct sockaddr *)&sin, sizeof(sin)));
}

static int
send_many(void)
{
	struct iovec iov = { dir, 1 };
	struct mmsghdr mh = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return sendmmsg(sock[0], &mh, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int
bind_inet(void)
{
	struct sockaddr_in sin = loopback(0);

	return bind((int)arg, (struct sockaddr *)&sin, sizeof(sin));
}

static int
bind_unix(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/tmp/x" };

	return bind(unix_stream, (struct sockaddr *)&sun, sizeof(sun));
}

static int
listen_tcp(void)
{
	return listen(tcp, 1);	/* binds by itself */
}

static int
accept_from(void)
{
	return done(accept4(quiet, NULL, NULL, SOCK_CLOEXEC |
	    SOCK_NONBLOCK));
}

/* By sockets that no cell can make. */
static int
connect_abstract(void)
{
	return connect(unix_stream, (struct sockaddr *)&abstract[0],
	    sizeof(abstract[0]));
}

static int
send_abstract(void)
{
	return done(sendto(unix_dgram, "x", 1, 0, (struct sockaddr *)&abstract[1],
	    sizeof(abstract[1])));
}

/* As a whole: by a socket of its own. */
static int
connect_path(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return s == -1 ? -1 : connect(s, (struct sockaddr *)&path_name,
	    sizeof(path_name));
}

static int
pair_of(void)
{
	int sv[2];

	return socketpair(AF_UNIX, (int)arg | SOCK_CLOEXEC, 0, sv);
}

/* arg: level << 16 | name */
static int
set_option(void)
{
	static const int on = 1;

	return setsockopt(tcp, (int)(arg >> 16), (int)(arg & 0xffff), &on,
	    sizeof(on));
}

static int
get_option(void)
{
	int v;
	socklen_t len = sizeof(v);

	return getsockopt(tcp, (int)(arg >> 16), (int)(arg & 0xffff), &v, &len);
}

static int
receive(void)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	return send(sock[1], "x", 1, 0) == 1 &&
	    recvmsg(sock[0], &mh, MSG_CMSG_CLOEXEC) == 1 ? 0 : -1;
}

static int
shut_down(void)
{
	return shutdown(sock[0], SHUT_RDWR);
}

/* The whole way of a name: files, netlink, a socket for each address. */
static int
look_up_here(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;

	if (getaddrinfo("localhost", "443", &hints, &ai) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	freeaddrinfo(ai);
	return 0;
}

/* DNS, of a server that is not there; arg: RES_USEVC for TCP. */
static int
look_up(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;

	_res.nscount = 1;
	_res.nsaddr_list[0] = loopback(9);
	_res.retrans = _res.retry = 1;
	_res.options |= (unsigned long)arg;
	(void)getaddrinfo("name.invalid", "443", &hints, &ai);
	errno = EHOSTUNREACH;
	return -1;
}

/* ---- processes ---------------------------------------------------------------- */

static int
do_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return done(pid);
}

static int
do_clone(void)
{
	return done(syscall(SYS_clone, arg, 0, 0, 0, 0));
}

static void *
thread(void *p)
{
	return p;
}

static int
make_thread(void)
{
	pthread_t t;

	return (errno = pthread_create(&t, NULL, thread, NULL)) == 0 ? 0 : -1;
}

static int
do_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };

	return execve("/bin/true", argv, argv + 1);
}

static int
do_execveat(void)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };

	return done(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, argv + 1,
	    0));
}

static int
do_ptrace(void)
{
	return done(ptrace((enum __ptrace_request)arg, victim, 0, 0));
}

static int
vm_access(void)
{
	char c = 'x';
	struct iovec l = { &c, 1 }, r = { dir, 1 };

	return done(syscall(arg, victim, &l, 1ul, &r, 1ul, 0ul));
}

/* By a descriptor of the victim that it could not open itself. */
static int
pidfd_call(void)
{
	return done(syscall(arg, victim_fd, arg == SYS_pidfd_getfd ? 0 : SIGKILL,
	    NULL, 0));
}

static int
victim_call(void)
{
	return done(syscall(arg, victim, 0, 0, 0, 0));
}

static int
kill_victim(void)
{
	return kill(victim, (int)arg);
}

static int
kill_all(void)
{
	return kill(-1, SIGKILL);
}

static int
cont_parent(void)
{
	return kill(getppid(), SIGCONT);
}

static int
kill_thread(void)
{
	return done(syscall(SYS_tgkill, victim, victim, SIGKILL));
}

static int
limit_victim(void)
{
	return done(syscall(SYS_prlimit64, victim, 7, NULL, NULL));
}

/* ---- memory, privileges, the rest ---------------------------------------------- */

static int
map_executable(void)
{
	return mmap(NULL, 4096, (int)arg, arg & PROT_WRITE ? MAP_PRIVATE |
	    MAP_ANONYMOUS : MAP_SHARED, arg & PROT_WRITE ? -1 : file, 0) ==
	    MAP_FAILED ? -1 : 0;
}

static int
make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, (int)arg);
}

static int
become_root(void)
{
	return setuid(0);
}

static int
change_mode(void)
{
	return chmod(dir, 0777);
}

static int
do_unshare(void)
{
	return unshare((int)arg);
}

static int
call_prctl(void)
{
	return prctl((int)arg, arg == PR_SET_PDEATHSIG ? SIGKILL : 1, 0, 0, 0);
}

static int
call_ioctl(void)
{
	char c[64] = "x";

	return ioctl(sock[0], (unsigned long)arg, c);
}

static int
move_fd(void)
{
	return arg == SYS_dup3 ? dup3(sock[0], 60, O_CLOEXEC) == -1 ? -1 : 0 :
	    done(dup2(sock[0], 60));
}

static int
close_many(void)
{
	return close_range(60, ~0u, 0);
}

#endif
