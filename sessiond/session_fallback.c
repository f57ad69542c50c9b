/*
 * A second model in place of one that failed before it said anything.  Once: what
 * the fallback's own fallback is does not matter.
 */
#include <string.h>

#include "log.h"
#include "session_chat.h"

bool
fallback_waits(const struct chat *c)
{
	return c->llm != NULL && c->llm->fallback[0] != '\0' &&
	    !c->fell_back && !c->some;
}

/* Whether another model may do better; a limit of the user's own is no reason. */
static bool
is_reason(enum err code)
{
	return code == ERR_UPSTREAM || code == ERR_UPSTREAM_KEY ||
	    code == ERR_OVERLOADED || code == ERR_QUOTA || code == ERR_NO_MODEL;
}

bool
fallback_take(struct session *s, struct req *r, enum err code,
    const char *why)
{
	struct chat *c = r->chat;
	struct m_s_fallback m = { .req = r->id, .text = bytes_str(why) };
	char from[NAME_MAX_BYTES + 1], to[NAME_MAX_BYTES + 1];

	if (!is_reason(code) || !fallback_waits(c) || c->cancelled || s->stopping)
		return false;
	(void)strlcpy(from, c->llm->alias, sizeof(from));
	(void)strlcpy(to, c->llm->fallback, sizeof(to));
	log_info("model %s failed before its first word: %s is asked", from, to);
	m.from = bytes_str(from);
	m.to = bytes_str(to);
	io_send(s, MSG_s_fallback, &m);
	c->fell_back = true;
	c->started = false;
	c->llm = NULL;
	chat_find_model(s, r, to);
	chat_start(s, r);
	return true;
}
