/* cloisterctl audit verify: see docs/audit.md for what it proves with what. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "audit.h"
#include "audit_files.h"
#include "ctl.h"
#include "log.h"
#include "role.h"
#include "rsa.h"

#define MAX_HOST_KEYS	16
#define LIVE_TRIES	20	/* a service that runs writes meanwhile */
#define LIVE_WAIT_US	50000

struct proofs {
	uint8_t			 key[AUDIT_KEY_BYTES];
	bool			 have_key;
	EVP_PKEY		*host[MAX_HOST_KEYS];
	size_t			 nhost;
	const char		*state;
	uint64_t		 first;
};

/* The whole file, of exactly n bytes if n is not 0: 0 or -1, which is said. */
static int
slurp(const char *path, struct buf *b, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rv = -1;

	if (fd == -1 || read_all(fd, b) == -1)
		out_error("%s: %s", path, fd != -1 && b->err ?
		    "too long" : strerror(errno));
	else if (n != 0 && b->n != n)
		out_error("%s: not %zu bytes", path, n);
	else
		rv = 0;
	if (fd != -1)
		(void)close(fd);
	return rv;
}

static int
take_key(struct proofs *p, const char *path)
{
	struct buf b = BUF_INIT(4096);
	int rv = slurp(path, &b, AUDIT_KEY_BYTES);

	if (rv == 0)
		memcpy(p->key, b.p, sizeof(p->key));
	p->have_key = rv == 0;
	buf_free(&b);
	return rv;
}

static int
take_host(struct proofs *p, const char *path)
{
	struct buf b = BUF_INIT(4096);
	int rv = -1;

	if (p->nhost == MAX_HOST_KEYS)
		out_error("too many host keys");
	else if (slurp(path, &b, 0) == 0) {
		if ((p->host[p->nhost] = rsa_spki_parse(buf_bytes(&b),
		    RSA_USE_SIGN, 0)) == NULL)
			out_error("%s: not a host key (SPKI, DER)", path);
		else {
			p->nhost++;
			rv = 0;
		}
	}
	buf_free(&b);
	return rv;
}

static int
take_options(struct proofs *p, int argc, char **argv)
{
	static const struct option opts[] = {
		{ "host-key", required_argument, NULL, 'h' },
		{ "key", required_argument, NULL, 'k' },
		{ "state", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 }
	};
	const char *e;
	int c;

	while ((c = getopt_long(argc, argv, "+", opts, NULL)) != -1) {
		switch (c) {
		case 'h':
			if (take_host(p, optarg) == -1)
				return CTL_FAILED;
			break;
		case 'k':
			if (take_key(p, optarg) == -1)
				return CTL_FAILED;
			break;
		case 's':
			p->state = optarg;
			break;
		case 'n':
			p->first = (uint64_t)strtonum(optarg, 1, 1LL << 40, &e);
			if (e != NULL)
				return CTL_USAGE;
			break;
		default:
			return CTL_USAGE;
		}
	}
	return CTL_OK;
}

/* Of the configured service: what there is and may be read. */
static int
take_configured(struct proofs *p)
{
	char *path = audit_state_path("keys/host.pub"), *key;
	int rv = CTL_OK;

	if (p->nhost == 0 && take_host(p, path) == -1)
		rv = CTL_FAILED;
	free(path);
	key = audit_state_path("keys/audit.key");
	if (rv == CTL_OK && !p->have_key && access(key, F_OK) == 0 &&
	    take_key(p, key) == -1)
		rv = CTL_FAILED;
	free(key);
	return rv;
}

static int
read_state(const char *path, struct audit_chain *head)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rv = fd == -1 ? -1 : audit_state_read(fd, head);

	if (rv == -1)
		out_error("%s: %s", path, errno == EBADMSG ?
		    "not a whole state of an audit log" : strerror(errno));
	OPENSSL_cleanse(head->key, sizeof(head->key));
	if (fd != -1)
		(void)close(fd);
	return rv;
}

static const char *
meaning(enum audit_reason reason)
{
	static const char *const text[] = {
		[AUDIT_EDITED] = "was changed or made up",
		[AUDIT_DROPPED] = "follows lines that are missing",
		[AUDIT_REORDERED] = "was moved or repeated",
		[AUDIT_SPLICED] = "is of another log than the one before it",
		[AUDIT_TRUNCATED] = "or what followed it is missing",
		[AUDIT_FORGED] = "is a checkpoint that keyd did not sign of "
		    "these lines"
	};

	return text[reason];
}

static void
say_bad(const struct audit_report *r, const char *path)
{
	if (ctl.json) {
		out_begin("audit");
		out_bool("good", "", "", 0, false);
		out_str("reason", NULL, 0, audit_reason_name(r->reason));
		out_str("file", NULL, 0, path);
		out_num("line", NULL, 0, r->line);
		out_num("seq", NULL, 0, r->seq);
		out_num("good_lines", NULL, 0, r->lines);
		out_end();
	}
	out_error("%s: line %llu, sequence number %llu: %s: it %s", path,
	    (unsigned long long)r->line, (unsigned long long)r->seq,
	    audit_reason_name(r->reason), meaning(r->reason));
}

static void
say_good(const struct audit_report *r, const struct proofs *p, size_t files)
{
	const uint64_t open = r->seq > r->signed_seq ? r->seq - r->signed_seq :
	    0;

	out_begin("audit");
	out_bool("good", "good:", "", 0, true);
	out_num("lines", NULL, 0, r->lines);
	out_word("lines in");
	out_num("files", NULL, 0, files);
	out_word(files == 1 ? "file, the last is" : "files, the last is");
	out_num("seq", NULL, 0, r->seq);
	out_end();
	if (p->nhost > 0) {
		out_begin("checkpoints");
		out_num("checkpoints", "checkpoints:", 0, r->checkpoints);
		out_num("signed", "up to line", 0, r->signed_seq);
		out_time("when", "of", r->signed_us);
		out_num("unsigned", "lines behind it:", 0, open);
		out_word(open == 0 ? "" : p->have_key ? "(the chain's key "
		    "proves them)" : "(nothing proves them)");
		out_bool("key", "", "", 0, p->have_key);
		out_end();
	}
	if (r->gaps + r->tampers > 0) {
		out_begin("notes");
		out_num("gaps", "audit.gap:", 0, r->gaps);
		out_num("tampers", "audit.tamper:", 0, r->tampers);
		out_end();
	}
}

static int
verify(const struct proofs *p, int n, char **paths, bool last)
{
	struct audit_chain head;
	struct audit_proof proof = { .key = p->have_key ? p->key : NULL,
	    .host = p->host, .nhost = p->nhost, .first = p->first };
	struct audit_files files;
	struct audit_report r;
	int rv = CTL_FAILED;

	if (p->state != NULL) {
		if (read_state(p->state, &head) == -1)
			return CTL_FAILED;
		proof.head = &head;
	}
	if (audit_files_open(&files, n, paths) == -1)
		goto out;
	switch (audit_verify(files.f, files.n, &proof, &r)) {
	case 0:
		say_good(&r, p, files.n);
		rv = CTL_OK;
		break;
	case 1:
		if (last)
			say_bad(&r, files.path[r.file]);
		rv = CTL_TAMPERED;
		break;
	default:
		out_error("%s", strerror(errno));
	}
out:
	audit_files_free(&files);
	return rv;
}

int
cmd_audit_verify(int argc, char **argv)
{
	struct proofs p = { .have_key = false };
	char *state = NULL;
	int rv, tries = 1;

	if ((rv = take_options(&p, argc, argv)) != CTL_OK)
		goto out;
	if (optind == argc) {
		ctl_config();
		if ((rv = take_configured(&p)) != CTL_OK)
			goto out;
		if (p.state == NULL)
			p.state = state = audit_state_path("audit/audit.state");
		tries = LIVE_TRIES;
	}
	if (!p.have_key && p.nhost == 0) {
		out_error("--host-key or --key is needed: there is nothing to "
		    "verify with");
		rv = CTL_USAGE;
		goto out;
	}
	/* What is being written this moment is whole in the next. */
	while ((rv = verify(&p, argc - optind, argv + optind, tries == 1)) ==
	    CTL_TAMPERED && --tries > 0)
		(void)usleep(LIVE_WAIT_US);
out:
	OPENSSL_cleanse(p.key, sizeof(p.key));
	for (size_t i = 0; i < p.nhost; i++)
		EVP_PKEY_free(p.host[i]);
	free(state);
	return rv;
}
