#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "intr.h"
#include "kdf.h"
#include "log.h"
#include "role.h"
#include "serve.h"
#include "ui.h"

#define BACKLOG		64
#define TOKEN_FILE	"serve_token"
#define URL_MAX_BYTES	300

/* ---- the token ----------------------------------------------------------- */

/* Letters and digits: 43 of 64 hold 256 bits, and so nearly do 43 of 62. */
static void
make_token(char token[SERVE_TOKEN + 1])
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789";

	for (size_t i = 0; i < SERVE_TOKEN; i++)
		token[i] = set[arc4random_uniform(sizeof(set) - 1)];
	token[SERVE_TOKEN] = '\0';
}

static int
read_token(int fd, const char *path, char token[SERVE_TOKEN + 1])
{
	struct buf b = BUF_INIT(SERVE_TOKEN + 1);
	struct stat st;
	int rv = -1;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		ui_err("%s: it must be a file that nobody else can read", path);
	else if (read_all(fd, &b) == -1 || b.n < SERVE_TOKEN ||
	    (b.n > SERVE_TOKEN && b.p[SERVE_TOKEN] != '\n'))
		ui_err("%s: not a token; remove it, and another one is made",
		    path);
	else {
		memcpy(token, b.p, SERVE_TOKEN);
		token[SERVE_TOKEN] = '\0';
		rv = 0;
	}
	buf_free(&b);
	return rv;
}

/* The token in the client's directory, made when there is none. */
static int
load_token(struct serve *s, char **path)
{
	char line[SERVE_TOKEN + 2];
	int fd, rv;

	if (asprintf(path, "%s/%s", s->cl->conf.dir, TOKEN_FILE) == -1)
		fatal("memory");
	fd = open(*path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1) {
		rv = read_token(fd, *path, s->token);
		(void)close(fd);
		return rv;
	}
	if (errno != ENOENT || (fd = open(*path, O_WRONLY | O_CREAT | O_EXCL |
	    O_CLOEXEC, 0600)) == -1) {
		ui_err("%s: %s", *path, strerror(errno));
		return -1;
	}
	make_token(s->token);
	(void)snprintf(line, sizeof(line), "%s\n", s->token);
	rv = write_all(fd, line, sizeof(line) - 1);
	if (rv == -1 || fsync(fd) == -1) {
		ui_err("%s: %s", *path, strerror(errno));
		rv = -1;
	}
	explicit_bzero(line, sizeof(line));
	(void)close(fd);
	return rv;
}

/* ---- the address --------------------------------------------------------- */

static int
listen_unix(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		ui_err("%s: too long for a socket", path);
		return -1;
	}
	/* What a predecessor left. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    st.st_uid == geteuid())
		(void)unlink(path);
	/* Our umask makes it ours alone. */
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, BACKLOG) == -1) {
		ui_err("%s: %s", path, strerror(errno));
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	return fd;
}

/* PORT, ADDRESS or ADDRESS:PORT of the loopback. */
static int
listen_tcp(const char *text, char url[URL_MAX_BYTES])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct cconf_server a;
	char full[300];
	bool v6;
	int fd, on = 1;

	if (strspn(text, "0123456789") == strlen(text))
		(void)snprintf(full, sizeof(full), "127.0.0.1:%s", text);
	else
		(void)snprintf(full, sizeof(full), "%s%s", text,
		    strchr(text, ':') == NULL ? ":7465" : "");
	if (cconf_server_parse(&a, full) == -1) {
		ui_err("%s: not PORT or ADDRESS:PORT", text);
		return -1;
	}
	v6 = strcmp(a.host, "::1") == 0;
	if (!v6 && (inet_pton(AF_INET, a.host, &sin.sin_addr) != 1 ||
	    (ntohl(sin.sin_addr.s_addr) >> 24) != 127)) {
		ui_err("%s: only this machine's own addresses are served "
		    "(127.0.0.1, [::1])", text);
		return -1;
	}
	sin.sin_port = sin6.sin6_port = htons(a.port);
	if ((fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0)) == -1 || setsockopt(fd, SOL_SOCKET,
	    SO_REUSEADDR, &on, sizeof(on)) == -1 || bind(fd, v6 ?
	    (struct sockaddr *)&sin6 : (struct sockaddr *)&sin, v6 ?
	    sizeof(sin6) : sizeof(sin)) == -1 || listen(fd, BACKLOG) == -1) {
		ui_err("%s: %s", a.text, strerror(errno));
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	(void)snprintf(url, URL_MAX_BYTES, "http://%s/v1", a.text);
	return fd;
}

/* ---- the loop ------------------------------------------------------------ */

static int
loop(struct serve *s)
{
	int fds[2] = { intr_fd(), s->all }, r, rc = RC_OK;
	struct msg m;

	while (rc == RC_OK) {
		/* What was read may be asked, and what cannot be is answered. */
		do {
			http_run(s);
			call_pump(s);
		} while (s->woken);
		if (s->nflying > 0)
			r = conn_wait(s->cl->conn, fds, 2, &m);
		else
			r = conn_idle(s->cl->conn, fds, 2);
		if (r == 0)
			break;
		if (r == CONN_MESSAGE && call_message(s, &m) != RC_OK)
			r = CONN_LOST;
		if (r == CONN_LOST) {
			call_lost(s);
			rc = conn_away(s->cl->conn) ? RC_OK : RC_LOST;
		}
	}
	return rc;
}

static void
announce(const struct serve *s, const char *url, const char *token_path)
{
	if (s->cl->args.unix_path != NULL)
		ui_err("serving on %s; the API key is in %s",
		    s->cl->args.unix_path, token_path);
	else
		ui_err("serving; programs need\n"
		    "    OPENAI_BASE_URL=%s\n"
		    "    OPENAI_API_KEY=$(cat %s)", url, token_path);
}

int
cmd_serve(struct client *cl)
{
	static struct serve s;
	const char *listen = cl->args.listen;
	char url[URL_MAX_BYTES] = "", *path = NULL;
	int rc;

	s.cl = cl;
	s.local_only = cl->args.unix_path != NULL;
	TAILQ_INIT(&s.calls);
	if (load_token(&s, &path) == -1) {
		free(path);
		return RC_USAGE;
	}
	s.listen_fd = s.local_only ? listen_unix(cl->args.unix_path) :
	    listen_tcp(listen != NULL ? listen : "127.0.0.1", url);
	rc = s.listen_fd == -1 ? RC_USAGE :
	    conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK) {
		conn_keep(cl->conn);
		intr_start();
		http_start(&s);
		announce(&s, url, path);
		rc = loop(&s);
		http_stop(&s);
		intr_stop();
		if (s.local_only)
			(void)unlink(cl->args.unix_path);
	} else if (s.listen_fd != -1)
		(void)close(s.listen_fd);
	explicit_bzero(s.token, sizeof(s.token));
	free(path);
	return rc;
}
