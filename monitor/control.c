#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define MAX_GROUPS	256

void
control_listen(struct monitor *m)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = m->cfg.control_socket;
	struct stat st;
	mode_t old;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
		fatalx("control_socket: the path is too long");
	if ((m->control = socket(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		fatal("socket");
	if (lstat(path, &st) == -1) {
		if (errno != ENOENT)
			fatal("%s", path);
	} else if (!S_ISSOCK(st.st_mode))
		fatalx("%s: in the way, and not a socket", path);
	else if (connect(m->control, (struct sockaddr *)&sun,
	    sizeof(sun)) == 0 || errno != ECONNREFUSED)
		fatalx("%s: somebody is listening already", path);
	else if (unlink(path) == -1)
		fatal("%s", path);
	old = umask(0177);
	if (bind(m->control, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		fatal("%s", path);
	(void)umask(old);
	if (m->cfg.control_group != (gid_t)-1 &&
	    (chown(path, (uid_t)-1, m->cfg.control_group) == -1 ||
	    chmod(path, 0660) == -1))
		fatal("%s", path);
	if (listen(m->control, 16) == -1)
		fatal("listen %s", path);
}

static bool
in_group(int fd, const struct ucred *uc, gid_t group)
{
	gid_t groups[MAX_GROUPS];
	socklen_t len = sizeof(groups);

	if (group == (gid_t)-1)
		return false;
	if (uc->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static struct proc *
vault(struct monitor *m)
{
	return &m->procs[role_index(ROLE_VAULT, 0, m->providers)];
}

static void
on_accept(uint32_t events, void *arg)
{
	struct monitor *m = arg;
	struct m_ctl_admin msg = { 0 };
	struct ucred uc;
	socklen_t len = sizeof(uc);
	int fd;

	(void)events;
	if ((fd = accept4(m->control, NULL, NULL, SOCK_CLOEXEC)) == -1) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_warn("accept: %s", strerror(errno));
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) == -1)
		fatal("SO_PEERCRED");
	if (uc.uid != 0 && uc.uid != geteuid() &&
	    !in_group(fd, &uc, m->cfg.control_group)) {
		audit(EV_admin_refuse, 0, NULL, "uid=%u pid=%d", uc.uid,
		    uc.pid);
		close(fd);
		return;
	}
	msg.uid = uc.uid;
	msg.pid = (uint32_t)uc.pid;
	if (vault(m)->ctl == NULL ||
	    chan_send(vault(m)->ctl, MSG_ctl_admin, &msg, fd) == -1)
		log_warn("the vault takes no administration now");
	close(fd);
}

void
control_serve(struct monitor *m)
{
	(void)loop_io_new(m->loop, m->control, EPOLLIN, on_accept, m);
}
