/*
 * Verification of a whole audit log; see audit.h.
 *
 * Without the key of line 1 a line is judged by its neighbours: that it has the
 * hash of the one before, and that the one behind has its own.  When two do not
 * fit, the line that its successor knows is taken for whole.
 */
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "audit_chain.h"
#include "checkpoint.h"
#include "events.h"

struct verifier {
	FILE *const			*f;
	size_t				 nf;
	size_t				 file;	/* of the line read last */
	uint64_t			 line;
	size_t				 file_before;
	uint64_t			 line_before;
	const struct audit_proof	*proof;
	struct audit_report		*report;
	struct audit_chain		 c;
	size_t				 n;
	uint8_t				 b[AUDIT_LINE_MAX];
	/* Hashes of the last lines, by number. */
	uint8_t				 hash[AUDIT_CP_REACH][HASH_LEN];
};

/*
 * The next line of all files into v->b without its newline: 1; 0 at the end;
 * -1 for bytes that no newline follows, as far as they fit.
 */
static int
next_line(struct verifier *v)
{
	int ch;

	v->file_before = v->file;
	v->line_before = v->line;
	for (v->n = 0; v->file < v->nf;) {
		if ((ch = getc(v->f[v->file])) == EOF) {
			if (v->n > 0) {
				v->line++;
				return -1;
			}
			if (v->file + 1 == v->nf)
				return 0;
			v->file++;
			v->line = 0;
			continue;
		}
		if (ch == '\n' || v->n == AUDIT_LINE_MAX) {
			v->line++;
			return ch == '\n' ? 1 : -1;
		}
		v->b[v->n++] = (uint8_t)ch;
	}
	return 0;
}

static struct bytes
line_of(const struct verifier *v)
{
	return bytes_of(v->b, v->n);
}

static bool
is_event(const struct verifier *v, enum event ev)
{
	char text[128];
	int n = snprintf(text, sizeof(text), ",\"event\":\"%s\",\"fields\":{",
	    event_decls[ev].name);

	return memmem(v->b, v->n, text, (size_t)n) != NULL;
}

/* ---- checkpoints -------------------------------------------------------------- */

/* Whether the line is a checkpoint, taken into *cp: 1, 0; -1 for a bad one. */
static int
take_checkpoint(const struct verifier *v, struct checkpoint *cp)
{
	const char *event, *role, *hash, *key, *sig;
	json_t *j, *fields;
	json_int_t line, us;
	int rv = -1;

	if (!is_event(v, EV_audit_checkpoint))
		return 0;
	memset(cp, 0, sizeof(*cp));
	if ((j = json_loadb((const char *)v->b, v->n, JSON_REJECT_DUPLICATES,
	    NULL)) == NULL)
		return -1;
	if (json_unpack(j, "{s:s,s:s,s:o}", "event", &event, "role", &role,
	    "fields", &fields) == 0 &&
	    (strcmp(event, event_decls[EV_audit_checkpoint].name) != 0 ||
	    strcmp(role, "logger") != 0))
		rv = 0;		/* these words inside of another line */
	else if (json_unpack(j, "{s:{s:I,s:s,s:I,s:s,s:s!}}", "fields", "line",
	    &line, "hash", &hash, "signed_us", &us, "key", &key, "sig",
	    &sig) == 0 && line > 0 && us > 0 &&
	    checkpoint_take(cp, hash, key, sig) == 0) {
		cp->seq = (uint64_t)line;
		cp->time_us = (uint64_t)us;
		rv = 1;
	}
	json_decref(j);
	return rv;
}

static bool
is_signed(const struct verifier *v, const struct checkpoint *cp)
{
	for (size_t i = 0; i < v->proof->nhost; i++)
		if (checkpoint_verify(cp, v->proof->host[i]) == 0)
			return true;
	return false;
}

/*
 * A checkpoint in a line that was read: 1 when it is good; 0 when it is none, or
 * there is no key to tell; -1 when it is not what keyd signed of these lines.
 */
static int
check_checkpoint(struct verifier *v, uint64_t from)
{
	struct checkpoint cp;
	int r;

	if (v->proof->nhost == 0 || (r = take_checkpoint(v, &cp)) == 0)
		return 0;
	if (r == -1 || cp.seq >= v->c.seq ||
	    v->c.seq - cp.seq >= AUDIT_CP_REACH ||
	    !is_signed(v, &cp))
		return -1;
	if (cp.seq < from)	/* its line was not read, or is in doubt */
		return 0;
	if (memcmp(v->hash[cp.seq % AUDIT_CP_REACH], cp.hash, HASH_LEN) != 0 ||
	    cp.seq <= v->report->signed_seq)
		return -1;
	v->report->checkpoints++;
	v->report->signed_seq = cp.seq;
	v->report->signed_us = cp.time_us;
	return 1;
}

/* ---- without the key -------------------------------------------------------------- */

static void
advance(struct verifier *v)
{
	if (v->proof->key != NULL)
		audit_advance(&v->c, line_of(v));
	else {
		sha256(v->c.prev, line_of(v));
		v->c.seq++;
	}
}

static void
remember(struct verifier *v)
{
	memcpy(v->hash[v->c.seq % AUDIT_CP_REACH], v->c.prev, HASH_LEN);
}

/* Whether the line that the chain expects next comes later. */
static bool
comes_later(struct verifier *v)
{
	struct audit_parsed p;
	int r;

	while ((r = next_line(v)) != 0)
		if (r == 1 && audit_parse(&p, line_of(v)) == 0 &&
		    p.seq == v->c.seq + 1 && (v->proof->key != NULL ?
		    audit_mac_ok(&p, v->c.key) : audit_prev_ok(&p, v->c.prev)))
			return true;
	return false;
}

/* What the first checkpoint behind a line says: 1, -1; 0 when none comes. */
static int
next_checkpoint(struct verifier *v, uint64_t from)
{
	struct audit_parsed p;
	int r;

	do {
		if (audit_parse(&p, line_of(v)) == -1 ||
		    p.seq != v->c.seq + 1 || !audit_prev_ok(&p, v->c.prev))
			return 0;
		advance(v);
		remember(v);
		if ((r = check_checkpoint(v, from)) != 0)
			return r;
	} while (next_line(v) == 1);
	return 0;
}

/* A line with the right number does not have its predecessor's hash. */
static enum audit_reason
misfit(struct verifier *v)
{
	const size_t file = v->file_before;
	const uint64_t line = v->line_before, before = v->c.seq;
	struct audit_parsed p;

	sha256(v->c.prev, line_of(v));
	v->c.seq++;
	remember(v);
	if (next_line(v) != 1)
		return AUDIT_SPLICED;
	if (audit_parse(&p, line_of(v)) == -1 || p.seq != v->c.seq + 1 ||
	    !audit_prev_ok(&p, v->c.prev))
		return AUDIT_EDITED;
	if (before <= v->report->signed_seq || line == 0 ||
	    next_checkpoint(v, before + 1) == -1)
		return AUDIT_SPLICED;
	/* It is known behind: the one before is not what it was. */
	v->report->file = file;
	v->report->line = line;
	v->report->seq = before;
	return AUDIT_EDITED;
}

static enum audit_reason
check_by_neighbours(struct verifier *v)
{
	struct audit_parsed p;
	bool prev;

	if (audit_parse(&p, line_of(v)) == -1)
		return AUDIT_EDITED;
	prev = audit_prev_ok(&p, v->c.prev);
	if (p.seq == v->c.seq + 1) {
		if (!prev)
			return misfit(v);
		advance(v);
		return AUDIT_GOOD;
	}
	if (prev)
		return AUDIT_EDITED;	/* its number */
	return p.seq <= v->c.seq || comes_later(v) ? AUDIT_REORDERED :
	    AUDIT_DROPPED;
}

/* ---- one line after the other ------------------------------------------------------ */

/* The line before the first, as far as it is known. */
static void
before_first(struct verifier *v)
{
	struct audit_parsed p;
	char hex[2 * HASH_LEN + 1];

	if (v->proof->first <= 1)
		return;
	if (audit_parse(&p, line_of(v)) == -1)
		return;
	(void)strlcpy(hex, p.prev, sizeof(hex));
	if (hex_decode(v->c.prev, sizeof(v->c.prev), hex) == -1)
		memset(v->c.prev, 0, sizeof(v->c.prev));
}

static enum audit_reason
check_line(struct verifier *v)
{
	const struct audit_chain *head = v->proof->head;
	enum audit_reason why;

	if (v->report->lines == 0)
		before_first(v);
	if (v->proof->key != NULL) {
		why = audit_check(&v->c, line_of(v), v->proof->first <= 1 ?
		    v->proof->key : NULL);
		if (why == AUDIT_DROPPED && comes_later(v))
			why = AUDIT_REORDERED;
	} else
		why = check_by_neighbours(v);
	if (why != AUDIT_GOOD)
		return why;
	remember(v);
	v->report->lines++;
	if (check_checkpoint(v, v->proof->first) == -1)
		return AUDIT_FORGED;
	if (is_event(v, EV_audit_gap))
		v->report->gaps++;
	if (is_event(v, EV_audit_tamper))
		v->report->tampers++;
	return head != NULL && v->c.seq == head->seq &&
	    !bytes_eq_ct(v->c.prev, head->prev, sizeof(v->c.prev)) ?
	    AUDIT_SPLICED : AUDIT_GOOD;
}

static enum audit_reason
check_all(struct verifier *v)
{
	struct audit_report *report = v->report;
	const struct audit_chain *head = v->proof->head;
	enum audit_reason why;
	int r;

	while ((r = next_line(v)) != 0) {
		report->file = v->file;
		report->line = v->line;
		report->seq = v->c.seq + 1;
		if (r == -1)
			why = feof(v->f[v->file]) ? AUDIT_TRUNCATED :
			    AUDIT_EDITED;
		else
			why = check_line(v);
		if (why != AUDIT_GOOD)
			return why;
	}
	report->file = v->file;
	report->line = v->line;
	report->seq = v->c.seq;
	if (head == NULL || v->c.seq >= head->seq)
		return AUDIT_GOOD;
	report->line++;
	report->seq++;
	return AUDIT_TRUNCATED;
}

int
audit_verify(FILE *const *f, size_t n, const struct audit_proof *proof,
    struct audit_report *report)
{
	struct verifier *v = calloc(1, sizeof(*v));
	int rv = 0;

	memset(report, 0, sizeof(*report));
	if (v == NULL)
		return -1;
	v->f = f;
	v->nf = n;
	v->proof = proof;
	v->report = report;
	if (proof->key != NULL)
		audit_chain_init(&v->c, proof->key);
	while (v->c.seq + 1 < proof->first) {
		audit_ratchet(v->c.key);
		v->c.seq++;
	}
	report->reason = check_all(v);
	for (size_t i = 0; i < n; i++)
		if (ferror(f[i]))
			rv = -1;
	freezero(v, sizeof(*v));
	if (rv == -1)
		errno = EIO;
	return rv == -1 ? -1 : report->reason != AUDIT_GOOD;
}
