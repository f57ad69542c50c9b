#include "convs.h"

#include <ctype.h>
#include <string.h>

#include "exits.h"
#include "ui.h"

#define PAGE		100	/* conversations asked for at once */
#define PAGE_MSGS	50	/* messages asked for at once */

int
server_error(const struct m_s_error *e)
{
	ui_err("the server says: %.*s%s%.*s", (int)e->text.n,
	    (const char *)e->text.p, e->hint.n > 0 ? "; " : "", (int)e->hint.n,
	    (const char *)e->hint.p);
	ui_step("error code %u", e->code);
	return RC_SERVER;
}

int
other_reply(struct conn *c, const struct msg *m, uint32_t req)
{
	if (m->type == MSG_s_error && m->u.s_error.req == req)
		return server_error(&m->u.s_error);
	return conn_violation(c, m);
}

/*
 * One page.  Returns an exit code; *more says whether the callback wants to go on
 * and there is more; token is taken and replaced.
 */
static int
page(struct conn *c, struct buf *token, bool *more, convs_cb *cb, void *arg)
{
	struct m_c_list q = { .req = conn_request(c), .limit = PAGE,
	    .token = buf_bytes(token) };
	struct msg m;
	size_t n = 0;
	int rc;

	rc = conn_send(c, MSG_c_list, &q);
	while (rc == RC_OK && (rc = conn_next(c, &m)) == RC_OK) {
		if (m.type == MSG_s_done && m.u.s_done.req == q.req) {
			/* A server must not keep us here for ever. */
			if (n == 0 && m.u.s_done.token.n > 0)
				return conn_violation(c, &m);
			buf_reset(token);
			buf_put(token, m.u.s_done.token.p, m.u.s_done.token.n);
			*more = *more && token->n > 0 && !token->err;
			return RC_OK;
		}
		if (m.type != MSG_s_conv || m.u.s_conv.req != q.req)
			return other_reply(c, &m, q.req);
		n++;
		/* The rest of the page comes in any case. */
		if (*more)
			*more = cb(&m.u.s_conv, arg);
	}
	return rc;
}

int
convs_each(struct conn *c, convs_cb *cb, void *arg)
{
	struct buf token = BUF_INIT(64);
	bool more = true;
	int rc = RC_OK;

	while (rc == RC_OK && more)
		rc = page(c, &token, &more, cb, arg);
	buf_free(&token);
	return rc;
}

/* A page from *from on; *from is then the next message, 0 at the end. */
static int
page_messages(struct conn *c, const uint8_t conv[CONV_LEN], uint64_t *from,
    uint16_t limit, convs_msg_cb *cb, void *arg)
{
	struct m_c_show q = { .req = conn_request(c), .from = *from,
	    .limit = limit };
	uint64_t next;
	struct msg m;
	int rc;

	memcpy(q.conv, conv, CONV_LEN);
	rc = conn_send(c, MSG_c_show, &q);
	while (rc == RC_OK && (rc = conn_next(c, &m)) == RC_OK) {
		if (m.type == MSG_s_msg && m.u.s_msg.req == q.req) {
			rc = cb(&m.u.s_msg, arg);
			continue;
		}
		if (m.type != MSG_s_done || m.u.s_done.req != q.req)
			return other_reply(c, &m, q.req);
		next = m.u.s_done.token.n == sizeof(next) ?
		    get_be64(m.u.s_done.token.p) : 0;
		/* A server must not keep us here for ever. */
		*from = next > *from ? next : 0;
		return RC_OK;
	}
	return rc;
}

int
convs_messages(struct conn *c, const uint8_t conv[CONV_LEN], convs_msg_cb *cb,
    void *arg)
{
	uint64_t from = 1;
	int rc = RC_OK;

	while (rc == RC_OK && from != 0)
		rc = page_messages(c, conv, &from, PAGE_MSGS, cb, arg);
	return rc;
}

int
convs_messages_from(struct conn *c, const uint8_t conv[CONV_LEN],
    uint64_t from, uint16_t limit, convs_msg_cb *cb, void *arg)
{
	return page_messages(c, conv, &from, limit, cb, arg);
}

void
proof_message_of(struct proof_message *p, const struct m_s_msg *m)
{
	*p = (struct proof_message){ .number = m->number, .kind = m->kind,
	    .finish = m->finish, .time_us = m->time_us,
	    .prompt_tokens = m->prompt_tokens,
	    .completion_tokens = m->completion_tokens,
	    .model = m->model, .text = m->text, .proof = m->proof };
}

struct search {
	const char	*prefix;	/* lower case */
	int		 found;
	uint8_t		 conv[CONV_LEN];
};

static bool
compare(const struct m_s_conv *conv, void *arg)
{
	struct search *s = arg;
	char hex[CONV_HEX];

	hex_encode(hex, conv->conv, CONV_LEN);
	if (strncmp(hex, s->prefix, strlen(s->prefix)) != 0)
		return true;
	if (s->found++ == 0)
		memcpy(s->conv, conv->conv, CONV_LEN);
	return true;
}

int
convs_find(struct conn *c, const char *id, uint8_t conv[CONV_LEN])
{
	char prefix[CONV_HEX];
	struct search s = { .prefix = prefix };
	size_t n = strlen(id);
	int rc;

	for (size_t i = 0; i <= n && n < CONV_HEX; i++)
		prefix[i] = (char)tolower((unsigned char)id[i]);
	if (n >= CONV_HEX || n < CONV_PREFIX_MIN ||
	    strspn(prefix, "0123456789abcdef") != n) {
		ui_err("%s: not an id of a conversation; these are %d to %d "
		    "hexadecimal digits, as `cloister list' shows them", id,
		    CONV_PREFIX_MIN, CONV_HEX - 1);
		return RC_USAGE;
	}
	if (n == CONV_HEX - 1)
		return hex_decode(conv, CONV_LEN, prefix) == 0 ? RC_OK :
		    RC_USAGE;
	rc = convs_each(c, compare, &s);
	if (rc != RC_OK)
		return rc;
	if (s.found == 1) {
		memcpy(conv, s.conv, CONV_LEN);
		return RC_OK;
	}
	ui_err("%s: %s; see `cloister list'", id, s.found == 0 ?
	    "no such conversation" : "more than one conversation begins so");
	return RC_ERROR;
}

static bool
take_first(const struct m_s_conv *conv, void *arg)
{
	struct search *s = arg;

	s->found = 1;
	memcpy(s->conv, conv->conv, CONV_LEN);
	return false;
}

/* The last conversation of this client, else the user's newest one. */
static int
last(struct client *cl, uint8_t conv[CONV_LEN])
{
	struct search s = { .prefix = "" };
	char id[CCONF_CONV_MAX + 1], err[512];
	int rc;

	switch (cconf_last_get(&cl->conf, &cl->server, id, err, sizeof(err))) {
	case 1:
		if (strlen(id) == CONV_HEX - 1 &&
		    hex_decode(conv, CONV_LEN, id) == 0)
			return RC_OK;
		ui_err("%s: not an id of a conversation", cl->conf.last);
		return RC_ERROR;
	case -1:
		ui_err("%s", err);
		return RC_ERROR;
	}
	rc = convs_each(cl->conn, take_first, &s);
	if (rc == RC_OK && s.found == 0) {
		ui_err("there is no conversation to go on with");
		rc = RC_ERROR;
	}
	memcpy(conv, s.conv, CONV_LEN);
	return rc;
}

int
convs_choose(struct client *cl, uint8_t conv[CONV_LEN])
{
	memset(conv, 0, CONV_LEN);
	if (cl->args.cid != NULL)
		return convs_find(cl->conn, cl->args.cid, conv);
	return cl->args.cont ? last(cl, conv) : RC_OK;
}

void
convs_remember(const struct client *cl, const uint8_t conv[CONV_LEN])
{
	char id[CONV_HEX], err[512];

	hex_encode(id, conv, CONV_LEN);
	if (cconf_last_set(&cl->conf, &cl->server, id, err, sizeof(err)) == -1)
		ui_err("%s", err);
}

int
convs_rename(struct conn *c, const uint8_t conv[CONV_LEN], struct bytes title)
{
	struct m_c_rename q = { .req = conn_request(c), .title = title };
	struct msg m;
	int rc;

	memcpy(q.conv, conv, CONV_LEN);
	rc = conn_send(c, MSG_c_rename, &q);
	if (rc == RC_OK)
		rc = conn_next(c, &m);
	if (rc == RC_OK && (m.type != MSG_s_done || m.u.s_done.req != q.req))
		rc = other_reply(c, &m, q.req);
	return rc;
}
