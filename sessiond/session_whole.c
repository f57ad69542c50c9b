/* c_chat: a conversation that the client keeps, with tools and images. */
#include <stdlib.h>
#include <string.h>

#include "item.h"
#include "log.h"
#include "session_chat.h"

#define WHOLE_MAX_MESSAGES	4096	/* of one c_chat */

/* Take the next message; false when it is malformed. */
static bool
next_message(struct rd *in, struct item *it, struct bytes *content)
{
	uint8_t kind = rd_u8(in);

	*content = rd_v32(in, TEXT_MAX_BYTES);
	return !in->err && item_parse(it, kind, *content) == 0;
}

/* Whether it says nothing, and nothing that belongs to it may follow. */
static bool
is_empty(const struct item *it, struct rd after)
{
	if (it->text.n > 0 || (it->kind != KIND_USER &&
	    it->kind != KIND_ASSISTANT && it->kind != KIND_SYSTEM))
		return false;
	return after.n == 0 || !item_is_attached(*after.p);
}

/* Why the messages will not do, or NULL. */
static const char *
check_messages(struct bytes messages)
{
	struct item_order order = { 0, false };
	struct rd in = rd_of(messages);
	struct bytes content;
	struct item it;
	const char *why;
	size_t n = 0;

	while (in.n > 0) {
		if (!next_message(&in, &it, &content) || is_empty(&it, in))
			return "a message is empty, or not what it must be";
		if ((why = item_next(&order, it.kind)) != NULL)
			return why;
		if (++n > WHOLE_MAX_MESSAGES)
			return "there are too many messages";
	}
	return item_asks(&order) ? NULL :
	    "the last message is neither the user's nor a tool's";
}

/* The messages, which were checked, become the history. */
static void
take_messages(struct chat *c, struct bytes messages)
{
	struct rd in = rd_of(messages);
	struct bytes content;
	struct item it;
	struct buf copy;

	while (in.n > 0 && next_message(&in, &it, &content)) {
		buf_init(&copy, TEXT_MAX_BYTES);
		buf_put(&copy, content.p, content.n);
		if (copy.err)
			fatalx("no memory");
		history_append(&c->history, it.kind, &copy);
		c->tools |= it.kind == ITEM_TOOL;
	}
}

void
chat_whole(struct session *s, const struct m_c_chat *m)
{
	const char *why = params_bad(m->temperature, m->top_p);
	struct req *r;
	struct chat *c;

	if (why == NULL)
		why = check_messages(m->messages);
	if (why != NULL) {
		session_error(s, m->req, ERR_BAD, why, "");
		return;
	}
	if (m->messages.n > s->max_prompt) {
		session_error(s, m->req, ERR_LIMIT, "the conversation is too "
		    "long", "shorten it");
		return;
	}
	if ((r = req_new(s, m->req, REQ_CHAT)) == NULL)
		return;
	c = r->chat = chat_new(m->model, bytes_of(NULL, 0));
	take_messages(c, m->messages);
	c->whole = c->nostore = c->history_done = true;
	c->max_tokens = m->max_tokens;
	c->temperature = m->temperature;
	c->top_p = m->top_p;
	shaping_begin(s, r);
	chat_find_model(s, r, c->asked);
	chat_start(s, r);
}

int
chat_tool(struct session *s, struct req *r, const struct llm *llm,
    const struct m_ls_tool *m)
{
	struct m_s_tool out = { .req = r->id, .index = m->index, .id = m->id,
	    .name = m->name, .args = m->args };
	struct chat *c = r->chat;

	if (c->llm != llm || !c->started || !c->tools)
		return -1;
	if (c->ended)
		return 0;
	chat_said(c);
	chat_flush(s, r);
	io_send(s, MSG_s_tool, &out);
	return 0;
}
