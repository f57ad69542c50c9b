/*
 * hostile: makes boards, makes connections that wake hostile workers, and tells
 * what came of it.
 *
 *	hostile board FILE MODE [CONVERSATION PUBLIC-KEY-FILE]
 *		a new board; standard input has secrets as "NAME HEX" lines
 *	hostile connect FILE PORT
 *		connections of nobody, until every attempt was made
 *	hostile login FILE PORT PRIVATE-KEY-FILE
 *		the same with a user's handshake
 *	hostile arm FILE FIRST [WHAT]
 *		a hostile role attacks before it sends its next message; WHAT is
 *		the channel (KEYD_ZYG ...), or a plan (signature ...)
 *	hostile disarm FILE
 *	hostile did FILE
 *		its attempt, by name; status 1 when it made none
 *	hostile copy FROM TO
 *		what one board's workers saw, to another board
 *	hostile left FILE
 *		status 0 while there are attempts that nobody has made
 *	hostile quiet FILE AUDIT-LOG OFFSET
 *		status 0 when who was killed so far is written down, and nobody
 *		is at it
 *	hostile control FILE NAME AUDIT-LOG OFFSET
 *		like result, for roles against the monitor
 *	hostile verify AUDIT-LOG KEY
 *		what is wrong with a log, and where: "edited 3"
 *	hostile result FILE NAME AUDIT-LOG OFFSET
 *		"count NAME: attempts N, breaches M"; the log counts from there
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "board.h"
#include "cconf.h"
#include "exits.h"
#include "handshake.h"
#include "log.h"
#include "loop.h"
#include "pubkey.h"
#include "role.h"
#include "tcp.h"
#include "warmup.h"

#define AT_ONCE		6
#define END_S		90	/* for one connection */

/* ---- board ---------------------------------------------------------------- */

static enum board_mode
mode_of(const char *name)
{
	static const char *const names[] = { "none", "kex", "twin", "session",
	    "role" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum board_mode)i;
	fatalx("no such mode: %s", name);
}

static void
read_secrets(struct board *b)
{
	char line[4096], *hex;
	size_t n;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if ((hex = strchr(line, ' ')) == NULL)
			continue;
		n = strlen(++hex) / 2;
		if (b->nsecrets == BOARD_SECRETS || n < 8)
			fatalx("a secret is too short, or there are too many");
		if (n > BOARD_SECRET)
			hex[2 * (n = BOARD_SECRET)] = '\0';
		if (hex_decode(b->secret[b->nsecrets].p, n, hex) == -1)
			fatalx("not a secret: %s", line);
		b->secret[b->nsecrets++].n = (uint32_t)n;
	}
}

static void
read_keys(struct board *b, const char *path)
{
	struct pubkey k;
	char err[512];

	if (pubkey_load(&k, path, err, sizeof(err)) == -1)
		fatalx("%s", err);
	b->spki_n = (uint32_t)k.sign.n;
	b->wrap_n = (uint32_t)k.wrap.n;
	memcpy(b->spki, k.sign.p, k.sign.n);
	memcpy(b->wrap, k.wrap.p, k.wrap.n);
	pubkey_free(&k);
}

static void
new_board(int argc, char **argv)
{
	struct board *b = board_open(argv[2], true);

	b->mode = mode_of(argv[3]);
	read_secrets(b);
	if (argc == 6) {
		if (hex_decode(b->conv, sizeof(b->conv), argv[4]) == -1)
			fatalx("not a conversation: %s", argv[4]);
		read_keys(b, argv[5]);
	}
}

static void
copy(const char *from, const char *to)
{
	const struct board *a = board_open(from, false);
	struct board *b = board_open(to, false);

	b->auth_n = a->auth_n;
	memcpy(b->auth, a->auth, sizeof(b->auth));
}

static int32_t
what_of(const char *name)
{
	static const struct {
		const char	*name;
		enum plan	 plan;
	} plans[] = {
		{ "next", PLAN_NEXT }, { "signature", PLAN_SIGNATURE },
		{ "nonce", PLAN_NONCE }, { "edit", PLAN_EDIT },
		{ "drop", PLAN_DROP }, { "back", PLAN_BACK },
	};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		if (strcmp(name, plans[i].name) == 0)
			return plans[i].plan;
	for (int k = 0; k < CH_KINDS; k++)
		if (strcmp(name, chan_kind_name((enum chan_kind)k)) == 0)
			return k;
	fatalx("no such channel or plan: %s", name);
}

/* The hostile role makes attempt first, or the next one that must fail. */
static void
arm(const char *file, int first, const char *what)
{
	struct board *b = board_open(file, false);

	b->first = (uint32_t)first;
	b->what = what_of(what);
	atomic_store(&b->armed, 1);
}

/* What the hostile role did. */
static void
did(const char *file)
{
	const struct board *b = board_open(file, false);

	if (atomic_load(&b->armed) != 0)
		fatalx("no attempt was made");
	printf("%s\n", b->at[0].name);
}

/* ---- connections ---------------------------------------------------------- */

static bool
more(const struct board *b)
{
	uint32_t total = atomic_load(&b->total);

	return total == 0 || atomic_load(&b->next) < total;
}

/* Wait for the server to close it. */
static void
outlast(int fd)
{
	uint64_t end = mono_ms() + END_S * 1000;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t junk[4096];

	ssize_t n;

	while (mono_ms() < end && poll(&pfd, 1, END_S * 1000) == 1) {
		n = recv(fd, junk, sizeof(junk), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN))
			break;
	}
	(void)close(fd);
}

/* As long as a first message: a worker sees no connection that has said less. */
static void
connect_all(const struct board *b, int port)
{
	static const uint8_t nothing[HS_CH_LEN];
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd;

	sin.sin_port = htons((uint16_t)port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* HOSTILE_SOURCE */
	while (more(b)) {
		if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
		    bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
		    connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
			fatal("connect");
		(void)send(fd, nothing, sizeof(nothing), MSG_NOSIGNAL);
		outlast(fd);
	}
}

static int
trust_all(const struct server_id *id, void *arg)
{
	(void)id;
	(void)arg;
	return RC_OK;
}

static void
login_all(const struct board *b, const char *port, const char *key)
{
	struct cconf conf;
	struct cconf_server server;
	char err[512], where[64];

	(void)snprintf(where, sizeof(where), "127.0.0.1:%s", port);
	crypto_warmup();
	if (cconf_server_parse(&server, where) == -1 ||
	    cconf_load(&conf, err, sizeof(err)) == -1)
		fatalx("no configuration");
	while (more(b)) {
		struct keyd keyd = { 0 };
		struct handshake h = { .server = server.text, .keyd = &keyd,
		    .trust = trust_all };

		if (keyd_start(&keyd, &conf, key) != RC_OK)
			fatalx("keyd");
		/* keyd answers for one handshake after the other. */
		while (more(b) && keyd_open(&keyd) == RC_OK) {
			if ((h.fd = tcp_connect(&server, 60000, err,
			    sizeof(err))) == -1)
				fatalx("%s", err);
			if (handshake_run(&h) != RC_OK) {
				(void)close(h.fd);
				break;
			}
			outlast(h.fd);
		}
		keyd_stop(&keyd);
	}
}

/* Several at once; 0 when all of them did what they should. */
static int
at_once(char **argv)
{
	const struct board *b = board_open(argv[2], false);
	int status, rv = 0;

	for (int i = 0; i < AT_ONCE; i++)
		switch (fork()) {
		case -1:
			fatal("fork");
		case 0:
			if (strcmp(argv[1], "login") == 0)
				login_all(b, argv[3], argv[4]);
			else
				connect_all(b, atoi(argv[3]));
			_exit(0);
		}
	while (wait(&status) != -1)
		rv |= status != 0;
	return rv;
}

/* ---- result --------------------------------------------------------------- */

/* Whether the log has a violation of this session. */
static bool
audited(const char *log, uint64_t n)
{
	char want[64];
	const char *p = log, *end;

	(void)snprintf(want, sizeof(want), "\"session\":%llu,",
	    (unsigned long long)n);
	while ((p = strstr(p, want)) != NULL) {
		end = strchr(p, '\n');
		if (memmem(p, end == NULL ? strlen(p) : (size_t)(end - p),
		    "\"event\":\"violation\"", 19) != NULL)
			return true;
		p += strlen(want);
	}
	return false;
}

static char *
read_log(const char *path, long offset)
{
	struct buf b = BUF_INIT(1u << 30);
	int fd = open(path, O_RDONLY);

	if (fd == -1 || lseek(fd, offset, SEEK_SET) == -1 ||
	    read_all(fd, &b) == -1)
		fatal("%s", path);
	buf_u8(&b, 0);
	return (char *)b.p;
}

static const char *
breach(const struct board_attempt *at, const char *log)
{
	switch (atomic_load(&at->result)) {
	case RESULT_NONE:
		return "was not made";
	case RESULT_BREACH:
		return "succeeded";
	case RESULT_TAKEN:
		return at->must_die ? "was taken" : NULL;
	default:
		return at->must_die && !audited(log, at->n) ?
		    "is not in the audit log" : NULL;
	}
}

static int
result(const char *file, const char *name, const char *audit_log, long offset)
{
	const struct board *b = board_open(file, false);
	uint32_t total = atomic_load(&b->total), breaches = 0;
	char *log = read_log(audit_log, offset);
	const char *why;

	for (uint32_t i = 0; i < total && i < BOARD_MAX; i++)
		if ((why = breach(&b->at[i], log)) != NULL) {
			breaches++;
			printf("breach: %u %s: session %llu: %s\n", i,
			    b->at[i].name, (unsigned long long)b->at[i].n, why);
		}
	printf("count hostile %s: attempts %u, breaches %u\n", name, total,
	    breaches);
	free(log);
	return total > 0 && breaches == 0 ? 0 : 1;
}

/* How often the log says that of this process. */
static unsigned
control_violations(const char *log, unsigned instance)
{
	char want[64];
	unsigned n = 0;

	(void)snprintf(want, sizeof(want), "\"text\":\"llmproxy[%u]: "
	    "control: ", instance);
	for (const char *p = log; (p = strstr(p, want)) != NULL; p++)
		n++;
	return n;
}

/* How often each was killed, or is about to be. */
static void
count_killed(const struct board *b, unsigned killed[ROLE_MAX_PROVIDERS])
{
	uint32_t total = atomic_load(&b->total);

	for (uint32_t i = 0; i < total && i < BOARD_MAX; i++)
		killed[b->at[i].n % ROLE_MAX_PROVIDERS] +=
		    atomic_load(&b->at[i].result) == RESULT_BEGUN;
}

static int
quiet(const char *file, const char *audit_log, long offset)
{
	unsigned killed[ROLE_MAX_PROVIDERS] = { 0 };
	char *log = read_log(audit_log, offset);
	int rv = 0;

	count_killed(board_open(file, false), killed);
	for (unsigned k = 0; k < ROLE_MAX_PROVIDERS; k++)
		rv |= control_violations(log, k) != killed[k];
	free(log);
	return rv;
}

/* Each that was killed was written down, and each that had to be killed was. */
static int
control_result(const char *file, const char *name, const char *audit_log,
    long offset)
{
	const struct board *b = board_open(file, false);
	uint32_t total = atomic_load(&b->total), breaches = 0;
	unsigned killed[ROLE_MAX_PROVIDERS] = { 0 };
	char *log = read_log(audit_log, offset);

	for (uint32_t i = 0; i < total && i < BOARD_MAX; i++) {
		const struct board_attempt *at = &b->at[i];
		uint32_t r = atomic_load(&at->result);
		bool bad = r == RESULT_NONE || r == RESULT_BREACH ||
		    (r == RESULT_TAKEN && at->must_die);

		breaches += bad;
		if (bad)
			printf("breach: %u %s: llmproxy[%llu]: %s\n", i,
			    at->name, (unsigned long long)at->n,
			    r == RESULT_NONE ? "was not made" : "was taken");
	}
	count_killed(b, killed);
	for (unsigned k = 0; k < ROLE_MAX_PROVIDERS; k++)
		if (control_violations(log, k) != killed[k]) {
			breaches++;
			printf("breach: llmproxy[%u]: killed %u times, %u "
			    "violations\n", k, killed[k],
			    control_violations(log, k));
		}
	printf("count hostile %s: attempts %u, breaches %u\n", name, total,
	    breaches);
	free(log);
	return total > 0 && breaches == 0 ? 0 : 1;
}

static void
verify(const char *path, const char *key_path)
{
	uint8_t key[AUDIT_KEY_BYTES];
	const struct audit_proof proof = { .key = key, .first = 1 };
	struct audit_report report;
	FILE *f = fopen(key_path, "r");

	if (f == NULL || fread(key, 1, sizeof(key), f) != sizeof(key))
		fatal("%s", key_path);
	(void)fclose(f);
	if ((f = fopen(path, "r")) == NULL ||
	    audit_verify(&f, 1, &proof, &report) == -1)
		fatal("%s", path);
	(void)fclose(f);
	printf("%s %llu\n", report.reason == AUDIT_GOOD ? "good" :
	    audit_reason_name(report.reason), (unsigned long long)report.line);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	log_set_name("hostile");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
	if (strcmp(what, "board") == 0 && (argc == 4 || argc == 6))
		new_board(argc, argv);
	else if (strcmp(what, "arm") == 0 && (argc == 4 || argc == 5))
		arm(argv[2], atoi(argv[3]), argc == 5 ? argv[4] : "next");
	else if (strcmp(what, "disarm") == 0 && argc == 3)
		atomic_store(&board_open(argv[2], false)->armed, 0);
	else if (strcmp(what, "left") == 0 && argc == 3)
		return more(board_open(argv[2], false)) ? 0 : 1;
	else if (strcmp(what, "quiet") == 0 && argc == 5)
		return quiet(argv[2], argv[3], atol(argv[4]));
	else if (strcmp(what, "control") == 0 && argc == 6)
		return control_result(argv[2], argv[3], argv[4],
		    atol(argv[5]));
	else if (strcmp(what, "verify") == 0 && argc == 4)
		verify(argv[2], argv[3]);
	else if (strcmp(what, "did") == 0 && argc == 3)
		did(argv[2]);
	else if (strcmp(what, "copy") == 0 && argc == 4)
		copy(argv[2], argv[3]);
	else if ((strcmp(what, "connect") == 0 && argc == 4) ||
	    (strcmp(what, "login") == 0 && argc == 5))
		return at_once(argv);
	else if (strcmp(what, "result") == 0 && argc == 6)
		return result(argv[2], argv[3], argv[4], atol(argv[5]));
	else
		fatalx("usage: hostile WHAT FILE ...: see the source");
	return 0;
}
