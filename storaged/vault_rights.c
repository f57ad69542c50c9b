/*
 * What a user may: limits, and which models.  Both stand in the user's record.
 */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "vault_admin.h"

/* ---- limits ----------------------------------------------------------------- */

struct limits {
	struct setting	 s;
	bool		 named[LIMITS];
	uint64_t	 value[LIMITS];
};

static bool
set_limits(struct setting *s)
{
	const struct limits *ls = (const struct limits *)s;

	for (int i = 0; i < LIMITS; i++)
		if (ls->named[i])
			s->rec.limit[i] = ls->value[i];
	return true;
}

static void
limits_written(struct setting *s)
{
	const struct limits *ls = (const struct limits *)s;

	for (int i = 0; i < LIMITS; i++)
		if (ls->named[i])
			audit(EV_admin_user_limit, 0, s->name,
			    "limit=%s value=%" PRIu64 " uid=%u",
			    limit_decls[i].name, ls->value[i], s->a->uid);
	admin_end(s->a, true, "limits of %s set", s->name);
}

/* Take a message's list: NULL, or what is wrong with it. */
static const char *
take_limits(struct limits *ls, struct bytes set)
{
	struct rd r = rd_of(set);
	uint64_t value;
	enum limit l;

	if (r.n == 0)
		return "no limit was named";
	while (r.n > 0) {
		l = limit_of(rd_u8(&r));
		value = rd_u64(&r);
		if (r.err)
			return "a list of limits that breaks off";
		if (l == LIMITS)
			return "there is no such limit";
		if (ls->named[l])
			return "a limit was named twice";
		if (value > limit_decls[l].max)
			return "a limit is too large";
		ls->named[l] = true;
		ls->value[l] = value;
	}
	return NULL;
}

void
admin_user_limit(struct admin *a, const struct m_av_user_limit *m)
{
	struct limits *ls = setting_new(a, m->name, sizeof(*ls));
	const char *why;

	if (ls == NULL)
		return;
	if ((why = take_limits(ls, m->set)) != NULL) {
		admin_end(a, false, "%s", why);
		setting_end(&ls->s);
		return;
	}
	setting_go(&ls->s, set_limits, limits_written);
}

/* ---- models ----------------------------------------------------------------- */

struct modelset {
	struct setting	 s;
	bool		 allow;
	char		 model[REC_MODEL_MAX + 1];	/* "": all */
};

/* Where a name stands in the list, or should. */
static int
place(const struct rec_grants *g, const char *model, bool *there)
{
	int i = 0;

	while (i < g->n && strcmp(g->model[i], model) < 0)
		i++;
	*there = i < g->n && strcmp(g->model[i], model) == 0;
	return i;
}

/* Have a name in the list, or not; false when there is no room. */
static bool
name_model(struct rec_grants *g, const char *model, bool in)
{
	bool there;
	int i = place(g, model, &there);

	if (in == there)
		return true;
	if (in && g->n == REC_GRANTS_MAX)
		return false;
	if (in) {
		memmove(g->model[i + 1], g->model[i],
		    (size_t)(g->n - i) * sizeof(g->model[0]));
		memset(g->model[i], 0, sizeof(g->model[0]));
		(void)strlcpy(g->model[i], model, sizeof(g->model[0]));
		g->n++;
		return true;
	}
	g->n--;
	memmove(g->model[i], g->model[i + 1],
	    (size_t)(g->n - i) * sizeof(g->model[0]));
	memset(g->model[g->n], 0, sizeof(g->model[0]));
	return true;
}

static bool
set_model(struct setting *s)
{
	const struct modelset *ms = (const struct modelset *)s;
	struct rec_grants *g = &s->rec.grants;
	bool there;

	if (ms->model[0] == '\0') {
		memset(g, 0, sizeof(*g));
		g->none_but = !ms->allow;
		return true;
	}
	/* A name that the configuration does not have may still be taken back. */
	(void)place(g, ms->model, &there);
	if (!there && model_find(s->a->v, bytes_str(ms->model)) == NULL) {
		admin_end(s->a, false, "there is no model %s: model list shows "
		    "them", ms->model);
		return false;
	}
	if (name_model(g, ms->model, ms->allow == (g->none_but != 0)))
		return true;
	admin_end(s->a, false, "a user's grants name %d models at most: begin "
	    "with --all", REC_GRANTS_MAX);
	return false;
}

static void
model_written(struct setting *s)
{
	const struct modelset *ms = (const struct modelset *)s;
	struct vault *v = s->a->v;

	audit(ms->allow ? EV_admin_model_allow : EV_admin_model_deny, 0,
	    s->name, "model=%s uid=%u", ms->model, s->a->uid);
	for (size_t i = 0; i < v->nmodels && !ms->allow; i++)
		if (ms->model[0] == '\0' ||
		    strcmp(ms->model, v->models[i].alias) == 0)
			model_revoke(v, s->u, &v->models[i]);
	admin_end(s->a, true, "%s may %suse %s%s", s->name,
	    ms->allow || ms->model[0] == '\0' ? "" : "not ",
	    ms->model[0] != '\0' ? "model " : ms->allow ? "all models" :
	    "no model", ms->model);
}

void
admin_model_set(struct admin *a, const struct m_av_model_set *m)
{
	struct modelset *ms = setting_new(a, m->user, sizeof(*ms));

	if (ms == NULL)
		return;
	ms->allow = m->allow != 0;
	if (m->allow > 1 || msg_text(ms->model, sizeof(ms->model),
	    m->model) == -1) {
		admin_end(a, false, "this is no grant of a model");
		setting_end(&ms->s);
		return;
	}
	setting_go(&ms->s, set_model, model_written);
}

static void
show_model(struct admin *a, const char *alias, const char *provider,
    bool is_default, bool allowed)
{
	struct m_va_model m = { .is_default = is_default, .allowed = allowed,
	    .alias = bytes_str(alias), .provider = bytes_str(provider) };

	admin_send(a, MSG_va_model, &m);
}

/* Those named in grants that the configuration does not have (any more). */
static void
show_unknown(struct admin *a, const struct user *u)
{
	const struct rec_grants *g = u->grants;

	for (int i = 0; g != NULL && i < g->n; i++)
		if (model_find(a->v, bytes_str(g->model[i])) == NULL)
			show_model(a, g->model[i], "", false,
			    g->none_but != 0);
}

/* The models of the service as u has them; NULL: as they are configured. */
static void
show_models(struct admin *a, const struct user *u)
{
	const struct vault *v = a->v;
	const struct model *deflt = u != NULL ? model_default(v, u) : NULL;

	for (size_t i = 0; i < v->nmodels; i++) {
		const struct model *mo = &v->models[i];

		show_model(a, mo->alias, mo->provider_name,
		    u != NULL ? mo == deflt : mo->is_default,
		    u == NULL || model_granted(u, mo->alias));
	}
	if (u != NULL)
		show_unknown(a, u);
}

void
admin_model_list(struct admin *a, const struct m_av_model_list *m)
{
	const struct user *u = NULL;

	if (m->user.n > 0 && (u = admin_user(a, m->user)) == NULL)
		return;
	show_models(a, u);
	admin_end(a, true, "%zu models", a->v->nmodels);
}

/* What of a limit is used now. */
static uint64_t
used(const struct user *u, enum limit l)
{
	uint64_t day, month;

	budget_used(u, &day, &month);
	switch (l) {
	case LIMIT_SESSIONS:
		return u->live;
	case LIMIT_CONVERSATIONS:
		return u->nconvs;
	case LIMIT_MESSAGES:
		return u->nmessages;
	case LIMIT_REQUESTS:
		return budget_requests(u);
	case LIMIT_TOKENS_DAY:
		return day;
	case LIMIT_TOKENS_MONTH:
		return month;
	case LIMIT_RETENTION:
	case LIMITS:
		break;
	}
	return 0;
}

/* ---- one user --------------------------------------------------------------- */

void
admin_user_show(struct admin *a, const struct m_av_user_show *m)
{
	const struct user *u = admin_user(a, m->name);
	struct m_va_account row;
	struct m_va_limit limit;

	if (u == NULL)
		return;
	row = (struct m_va_account){ .state = u->state,
	    .policy = (uint8_t)u->policy, .password = u->password,
	    .all_models = u->grants == NULL, .created_us = u->created_us,
	    .keys = u->keys - u->revoked, .revoked = u->revoked,
	    .sessions = u->live, .conversations = u->nconvs,
	    .name = bytes_str(u->name) };
	admin_send(a, MSG_va_account, &row);
	for (enum limit i = 0; i < LIMITS; i++) {
		limit = (struct m_va_limit){ .value = u->limit[i],
		    .deflt = limit_default(a->v, i), .used = used(u, i),
		    .name = bytes_str(limit_decls[i].name) };
		admin_send(a, MSG_va_limit, &limit);
	}
	show_models(a, u);
	admin_end(a, true, "%s", "");
}

/* ---- usage ------------------------------------------------------------------- */

static void
show_usage(struct admin *a, const struct user *u)
{
	const struct tally *at = NULL;
	struct m_va_usage m;
	struct rec_tally t;

	while (budget_next(u, &at, &t)) {
		if (t.month_requests == 0 && t.month_tokens == 0)
			continue;
		m = (struct m_va_usage){ .day_requests = t.day_requests,
		    .day_tokens = t.day_tokens,
		    .month_requests = t.month_requests,
		    .month_tokens = t.month_tokens,
		    .user = bytes_str(u->name), .model = bytes_str(t.model) };
		admin_send(a, MSG_va_usage, &m);
	}
}

void
admin_usage(struct admin *a, const struct m_av_usage *m)
{
	const struct user *u;

	if (m->user.n > 0) {
		if ((u = admin_user(a, m->user)) == NULL)
			return;
		show_usage(a, u);
	} else
		LIST_FOREACH(u, &a->v->users, link)
			show_usage(a, u);
	admin_end(a, true, "%s", "");
}
