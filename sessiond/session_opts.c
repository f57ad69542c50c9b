#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session_local.h"

#define SYSTEM_MAX_BYTES	65536	/* of c_options */

void
options_free(struct options *o)
{
	if (o == NULL)
		return;
	buf_free(&o->system);
	freezero(o, sizeof(*o));
}

void
options_keep(struct session *s, const struct m_c_options *m)
{
	struct options *o;

	options_free(s->options);
	if ((s->options = o = calloc(1, sizeof(*o))) == NULL)
		fatal("calloc");
	o->req = m->req;
	o->flags = m->flags;
	o->max_tokens = m->max_tokens;
	o->temperature = m->temperature;
	o->top_p = m->top_p;
	buf_init(&o->system, SYSTEM_MAX_BYTES);
	buf_put(&o->system, m->system.p, m->system.n);
	if (o->system.err)
		fatalx("no memory");
	memcpy(o->mac, appconn_mac_in(s->app), sizeof(o->mac));
}

struct options *
options_take(struct session *s, uint32_t req)
{
	struct options *o = s->options;

	s->options = NULL;
	if (o == NULL || o->req == req)
		return o;
	options_free(o);
	return NULL;
}

const char *
params_bad(uint32_t temperature, uint32_t top_p)
{
	if (temperature > TEMPERATURE_MAX)
		return "temperature is more than 2";
	return top_p > TOP_P_MAX ? "top_p is more than 1" : NULL;
}

const char *
options_bad(const struct options *o)
{
	if ((o->flags & ~OPTIONS_SYSTEM) != 0)
		return "the options make no sense";
	if (o->system.n > 0 && (o->flags & OPTIONS_SYSTEM) == 0)
		return "there is a system prompt that does not count";
	return params_bad(o->temperature, o->top_p);
}
