/*
 * cloisterctl: administration over the service's UNIX socket.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chan.h"
#include "config.h"
#include "log.h"
#include "pubkey.h"
#include "rsa.h"

/* Exit codes: cloisterctl(8). */
enum { EX_FAILED = 1, EX_USE = 2, EX_NO_SERVICE = 3 };

#define ANSWER_MS	30000
#define TEXT_MAX	513	/* the longest text in an answer, and NUL */

static struct server_config cfg;
static const char *conf_path = SYSCONFDIR "/cloisterd.conf";
static const char *libexec;

__attribute__((noreturn)) static void
usage(void)
{
	(void)fprintf(stderr,
	    "usage: cloisterctl [-f config] command\n"
	    "  init                 make keys and database (offline)\n"
	    "  status               roles, sessions, storage\n"
	    "  user add NAME        make a user\n"
	    "  user list            users and how many keys each has\n"
	    "  user disable NAME    let nobody in as this user, end sessions\n"
	    "  user enable NAME     the reverse\n"
	    "  key add NAME FILE    enrol a public key file for a user\n"
	    "  key list NAME        a user's keys\n"
	    "  key revoke NAME KEY  for ever, by id or fingerprint; end sessions\n"
	    "  session list         who is connected\n"
	    "  session kill WHICH   end a session by its number, or all of a "
	    "user's\n");
	exit(EX_USE);
}

static struct chan *
dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlcpy(sun.sun_path, cfg.control_socket, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
		fatalx("control_socket: the path is too long");
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		fatal("socket");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		(void)fprintf(stderr, "cloisterctl: %s: %s%s\n",
		    cfg.control_socket, strerror(errno),
		    errno == EACCES ? " (be root or in control_group)" :
		    "; is cloisterd running?");
		exit(EX_NO_SERVICE);
	}
	return chan_new(NULL, fd, CH_ADMIN, END_A, ADMIN_BUSY, 0, NULL, NULL,
	    NULL);
}

static void
format_time(uint64_t us, char *dst, size_t size)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(dst, size, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
		(void)strlcpy(dst, "?", size);
}

/* Text of the service on this terminal: harmless, whoever sent it. */
static const char *
safe(char dst[TEXT_MAX], struct bytes text)
{
	(void)msg_text(dst, TEXT_MAX, text);
	log_clean(dst);
	return dst;
}

static void
show_user(const struct m_va_user *u)
{
	char when[32], name[TEXT_MAX];

	format_time(u->created_us, when, sizeof(when));
	printf("%-32s %-9s %3u key%s  since %s\n", safe(name, u->name),
	    u->state == 1 ? "enabled" : "disabled",
	    u->keys, u->keys == 1 ? " " : "s", when);
}

static void
show_role(const struct m_va_role *r)
{
	char when[32], name[TEXT_MAX];

	format_time(r->started_us, when, sizeof(when));
	printf("%-14s pid %-8u uid %-6u landlock %-2u restarts %-3u since "
	    "%s\n", safe(name, r->name), r->pid, r->uid,
	    r->abi, r->restarts, when);
}

static void
show_key(const struct m_va_key *k)
{
	char when[32], label[TEXT_MAX], id[2 * sizeof(k->keyid) + 1];
	char fp[RSA_FP_TEXT];

	format_time(k->created_us, when, sizeof(when));
	hex_encode(id, k->keyid, sizeof(k->keyid));
	rsa_fingerprint_text(fp, k->fp);
	printf("%s %-7s since %s %s %s\n", id, k->state == 1 ? "active" :
	    "revoked", when, fp, safe(label, k->label));
}

static void
show_session(const struct m_va_session *s)
{
	char when[32], user[TEXT_MAX], source[TEXT_MAX], label[TEXT_MAX];
	char id[2 * 8 + 1];

	format_time(s->since_us, when, sizeof(when));
	hex_encode(id, s->session_id, 8);
	printf("%-12" PRIu64 " %s %-16s from %-20s since %s suite %u %s\n",
	    s->n, id, safe(user, s->user), safe(source, s->source), when,
	    s->suite, safe(label, s->label));
}

/* Print what comes until the command is done; the exit code. */
static int
answers(struct chan *c)
{
	char name[TEXT_MAX], text[TEXT_MAX];
	struct msg m;
	const char *why;

	for (;;) {
		if (chan_recv(c, &m, ANSWER_MS, &why) != 0) {
			(void)fprintf(stderr, "cloisterctl: no answer: %s\n",
			    why != NULL ? why : "the service went away");
			return EX_NO_SERVICE;
		}
		switch (m.type) {
		case MSG_va_user:
			show_user(&m.u.va_user);
			break;
		case MSG_va_role:
			show_role(&m.u.va_role);
			break;
		case MSG_va_key:
			show_key(&m.u.va_key);
			break;
		case MSG_va_session:
			show_session(&m.u.va_session);
			break;
		case MSG_va_info:
			printf("%-24s %s\n", safe(name, m.u.va_info.name),
			    safe(text, m.u.va_info.value));
			break;
		case MSG_va_error:
			(void)fprintf(stderr, "cloisterctl: %s\n",
			    safe(text, m.u.va_error.text));
			return EX_FAILED;
		default:	/* va_done: nothing else is permitted */
			if (m.u.va_done.text.n > 0)
				printf("%s\n", safe(text, m.u.va_done.text));
			return 0;
		}
	}
}

static int
command(enum msg_type type, const void *body)
{
	struct chan *c = dial();
	int r;

	if (chan_send(c, type, body, -1) == -1)
		fatalx("the service went away");
	r = answers(c);
	chan_free(c);
	return r;
}

static int
cmd_init(void)
{
	const char *dir = getenv("CLOISTER_SBIN");
	char path[4096];
	char *argv[7];
	int n = snprintf(path, sizeof(path), "%s/cloisterd",
	    dir != NULL ? dir : SBINDIR);

	if (n < 0 || (size_t)n >= sizeof(path))
		fatalx("CLOISTER_SBIN is too long");
	n = 0;
	argv[n++] = path;
	argv[n++] = (char *)(uintptr_t)"-i";
	argv[n++] = (char *)(uintptr_t)"-f";
	argv[n++] = (char *)(uintptr_t)conf_path;
	if (libexec != NULL) {
		argv[n++] = (char *)(uintptr_t)"-L";
		argv[n++] = (char *)(uintptr_t)libexec;
	}
	argv[n] = NULL;
	execv(path, argv);
	fatal("%s", path);
}

/* A name that fits its message; what the vault makes of it, it says. */
static struct bytes
name_arg(const char *name)
{
	struct bytes b = bytes_str(name);

	if (b.n > 64)
		fatalx("a user's name has at most 32 characters");
	return b;
}

static int
cmd_user_add(const char *name)
{
	struct m_av_user_add m = { .name = name_arg(name) };

	return command(MSG_av_user_add, &m);
}

static int
cmd_user_state(const char *name, bool on)
{
	struct m_av_user_state m = { .state = on ? 1 : 2,
	    .name = name_arg(name) };

	return command(MSG_av_user_state, &m);
}

static int
cmd_key_list(const char *user)
{
	struct m_av_key_list m = { .user = name_arg(user) };

	return command(MSG_av_key_list, &m);
}

static int
cmd_key_revoke(const char *user, const char *key)
{
	struct m_av_key_revoke m = { .user = name_arg(user),
	    .key = bytes_str(key) };

	if (m.key.n > 64)
		fatalx("%s is neither a key's id nor a fingerprint", key);
	return command(MSG_av_key_revoke, &m);
}

static int
cmd_session_kill(const char *which)
{
	struct m_av_session_kill m = { .which = name_arg(which) };

	return command(MSG_av_session_kill, &m);
}

static int
cmd_key_add(const char *user, const char *file)
{
	struct m_av_key_add m = { .user = name_arg(user) };
	struct pubkey key;
	char err[512];
	int r;

	if (pubkey_load(&key, file, err, sizeof(err)) == -1) {
		(void)fprintf(stderr, "cloisterctl: %s\n", err);
		return EX_FAILED;
	}
	m.sign_spki = buf_bytes(&key.sign);
	m.wrap_spki = buf_bytes(&key.wrap);
	m.msg_spki = buf_bytes(&key.message);
	m.label = bytes_str(key.comment);
	r = command(MSG_av_key_add, &m);
	pubkey_free(&key);
	return r;
}

static int
cmd_user(int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return command(MSG_av_user_list, NULL);
	if (argc == 2 && strcmp(argv[0], "add") == 0)
		return cmd_user_add(argv[1]);
	if (argc == 2 && strcmp(argv[0], "enable") == 0)
		return cmd_user_state(argv[1], true);
	if (argc == 2 && strcmp(argv[0], "disable") == 0)
		return cmd_user_state(argv[1], false);
	usage();
}

static int
cmd_key(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[0], "add") == 0)
		return cmd_key_add(argv[1], argv[2]);
	if (argc == 2 && strcmp(argv[0], "list") == 0)
		return cmd_key_list(argv[1]);
	if (argc == 3 && strcmp(argv[0], "revoke") == 0)
		return cmd_key_revoke(argv[1], argv[2]);
	usage();
}

static int
cmd_session(int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return command(MSG_av_session_list, NULL);
	if (argc == 2 && strcmp(argv[0], "kill") == 0)
		return cmd_session_kill(argv[1]);
	usage();
}

int
main(int argc, char **argv)
{
	char err[512];
	int c;

	log_set_name("cloisterctl");
	while ((c = getopt(argc, argv, "+f:L:")) != -1) {
		switch (c) {
		case 'f':
			conf_path = optarg;
			break;
		case 'L':
			libexec = optarg;
			break;
		default:
			usage();
		}
	}
	argc -= optind;
	argv += optind;
	if (argc == 0)
		usage();
	if (config_load(conf_path, &cfg, err, sizeof(err)) == -1) {
		(void)fprintf(stderr, "%s\n", err);
		return EX_FAILED;
	}
	if (argc == 1 && strcmp(argv[0], "init") == 0)
		return cmd_init();
	if (argc == 1 && strcmp(argv[0], "status") == 0)
		return command(MSG_av_status, NULL);
	if (argc >= 2 && strcmp(argv[0], "user") == 0)
		return cmd_user(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[0], "key") == 0)
		return cmd_key(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[0], "session") == 0)
		return cmd_session(argc - 1, argv + 1);
	usage();
}
