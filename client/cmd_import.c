#include <string.h>

#include "convs.h"
#include "exits.h"
#include "transfer.h"
#include "ui.h"

#define WINDOW	8	/* messages under way at once */

/* The next message was stored: of which conversation. */
static int
take_stored(struct conn *c, uint32_t req, uint64_t number,
    uint8_t conv[CONV_LEN])
{
	struct msg m;
	int rc;

	if ((rc = conn_next(c, &m)) != RC_OK)
		return rc;
	if (m.type != MSG_s_stored || m.u.s_stored.req != req)
		return other_reply(c, &m, req);
	if (m.u.s_stored.number != number || (number > 1 &&
	    memcmp(m.u.s_stored.conv, conv, CONV_LEN) != 0))
		return conn_violation(c, &m);
	memcpy(conv, m.u.s_stored.conv, CONV_LEN);
	return RC_OK;
}

/*
 * Send all, the first alone: its answer names the conversation.  *stored counts
 * those that are durable.
 */
static int
send_all(struct conn *c, const struct transfer *t, uint8_t conv[CONV_LEN],
    size_t *stored)
{
	size_t n = transfer_count(t), sent = 0;
	uint32_t req[WINDOW];
	struct m_c_import m;
	int rc = RC_OK;

	while (rc == RC_OK && *stored < n) {
		if (sent < n && sent - *stored < WINDOW &&
		    (sent == 0 || *stored > 0)) {
			transfer_message(t, sent, &m);
			memcpy(m.conv, conv, CONV_LEN);
			m.req = req[sent++ % WINDOW] = conn_request(c);
			rc = conn_send(c, MSG_c_import, &m);
			continue;
		}
		rc = take_stored(c, req[*stored % WINDOW], *stored + 1, conv);
		if (rc == RC_OK)
			++*stored;
	}
	return rc;
}

/* A signed export has what was withdrawn, too; that is not said once more. */
static int
check(const char *path, const struct transfer *t)
{
	struct m_c_import m;

	for (size_t i = 0; i < transfer_count(t); i++) {
		transfer_message(t, i, &m);
		if (m.kind != KIND_WITHDRAWN)
			continue;
		ui_err("%s: it has questions that were withdrawn; export it "
		    "without --signed to import it", path);
		return RC_ERROR;
	}
	return RC_OK;
}

int
cmd_import(struct client *cl)
{
	uint8_t conv[CONV_LEN] = { 0 };
	struct transfer *t = NULL;
	char id[CONV_HEX];
	size_t stored = 0;
	int rc;

	rc = transfer_load(cl->args.words[0], &t);
	if (rc == RC_OK)
		rc = check(cl->args.words[0], t);
	if (rc == RC_OK)
		rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
	if (rc == RC_OK)
		rc = send_all(cl->conn, t, conv, &stored);
	hex_encode(id, conv, CONV_LEN);
	if (rc == RC_OK)
		rc = ui_printf("%s\n", id) == -1 ? RC_ERROR : RC_OK;
	else if (stored > 0)
		ui_err("%zu of %zu messages were imported, into %s", stored,
		    transfer_count(t), id);
	transfer_free(t);
	return rc;
}
