/* Verification of a whole audit log; see audit.h. */
#include "audit.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "audit_chain.h"

/*
 * The next line into b without its newline, *n its bytes: 1; 0 at the end of
 * the file; -1 for bytes that no newline follows, as far as they fit.
 */
static int
next_line(FILE *f, uint8_t b[AUDIT_LINE_MAX], size_t *n)
{
	int ch;

	for (*n = 0; (ch = getc(f)) != EOF; b[(*n)++] = (uint8_t)ch) {
		if (ch == '\n')
			return 1;
		if (*n == AUDIT_LINE_MAX)
			return -1;
	}
	return *n == 0 ? 0 : -1;
}

/* Whether the line that the chain expects next comes later in the file. */
static bool
comes_later(FILE *f, const struct audit_chain *c, uint8_t b[AUDIT_LINE_MAX])
{
	struct audit_parsed p;
	size_t n;
	int r;

	while ((r = next_line(f, b, &n)) != 0)
		if (r == 1 && audit_parse(&p, bytes_of(b, n)) == 0 &&
		    p.seq == c->seq + 1 && audit_mac_ok(&p, c->key))
			return true;
	return false;
}

int
audit_verify(FILE *f, const uint8_t key[AUDIT_KEY_BYTES],
    const struct audit_chain *head, struct audit_report *report)
{
	uint8_t b[AUDIT_LINE_MAX];
	struct audit_chain c;
	enum audit_reason why = AUDIT_GOOD;
	size_t n;
	int r;

	audit_chain_init(&c, key);
	report->line = 0;
	report->seq = 0;
	while (why == AUDIT_GOOD && (r = next_line(f, b, &n)) != 0) {
		report->line++;
		report->seq = c.seq + 1;
		if (r == -1)
			why = feof(f) ? AUDIT_TRUNCATED : AUDIT_EDITED;
		else
			why = audit_check(&c, bytes_of(b, n), key);
		if (why == AUDIT_GOOD && head != NULL && c.seq == head->seq &&
		    !bytes_eq_ct(c.prev, head->prev, sizeof(c.prev)))
			why = AUDIT_SPLICED;
	}
	if (why == AUDIT_DROPPED && comes_later(f, &c, b))
		why = AUDIT_REORDERED;
	if (why == AUDIT_GOOD && head != NULL && c.seq < head->seq) {
		why = AUDIT_TRUNCATED;
		report->line++;
		report->seq = c.seq + 1;
	}
	report->reason = why;
	OPENSSL_cleanse(&c, sizeof(c));
	if (ferror(f)) {
		errno = EIO;
		return -1;
	}
	return why == AUDIT_GOOD ? 0 : 1;
}
