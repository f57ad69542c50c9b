#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "vault.h"

#define GRANT_WINDOW_MS	60000

const struct model *
model_find(const struct vault *v, struct bytes alias)
{
	for (size_t i = 0; i < v->nmodels; i++)
		if (bytes_eq(alias, bytes_str(v->models[i].alias)))
			return &v->models[i];
	return NULL;
}

bool
model_granted(const struct user *u, const char *alias)
{
	const struct rec_grants *g = u->grants;
	bool named = false;

	if (g == NULL)
		return true;
	for (int i = 0; i < g->n; i++)
		named |= strcmp(g->model[i], alias) == 0;
	return named == (g->none_but != 0);
}

const struct model *
model_default(const struct vault *v, const struct user *u)
{
	const struct model *first = NULL;

	for (size_t i = 0; i < v->nmodels; i++) {
		const struct model *mo = &v->models[i];

		if (!model_granted(u, mo->alias))
			continue;
		if (mo->is_default)
			return mo;
		if (first == NULL)
			first = mo;
	}
	return first;
}

uint16_t
model_for(const struct vault *v, const struct user *u, struct bytes alias,
    const struct model **mo)
{
	*mo = alias.n == 0 ? model_default(v, u) : model_find(v, alias);
	if (*mo == NULL)
		return alias.n == 0 && v->nmodels > 0 ? ERR_MODEL_DENIED :
		    ERR_NO_MODEL;
	return model_granted(u, (*mo)->alias) ? 0 : ERR_MODEL_DENIED;
}

/* Whether the session may open one more model in this minute. */
static bool
may_open(struct worker *w)
{
	uint64_t now = mono_ms();

	if (now - w->grants_since_ms >= GRANT_WINDOW_MS) {
		w->grants_since_ms = now;
		w->grants = 0;
	}
	return w->grants++ < VAULT_GRANTS_MAX;
}

void
llm_open(struct worker *w, const struct m_sv_open_model *m)
{
	struct vault *v = w->v;
	const struct model *mo;
	struct m_vl_grant grant = { .n = w->n };
	struct m_vs_open_model answer = { .req = m->req };
	uint16_t code = model_for(v, w->user, m->model, &mo);
	int pair[2];

	if (code == ERR_MODEL_DENIED && w->logs++ < VAULT_LOGS_MAX)
		audit(EV_model_refuse, w->n, w->user->name, "model=%s",
		    mo != NULL ? mo->alias : "");
	if (code == 0 && mo->provider >= v->nllm)
		code = ERR_NO_MODEL;
	if (code != 0) {
		sess_error(w, m->req, code);
		return;
	}
	if (!may_open(w)) {
		sess_error(w, m->req, ERR_OVERLOADED);
		return;
	}
	if (chan_pair(pair, true) == -1) {
		log_err("no channel for a model: %s", strerror(errno));
		sess_error(w, m->req, ERR_OVERLOADED);
		return;
	}
	w->granted |= 1u << mo->provider;
	grant.user = bytes_str(w->user->name);
	grant.model = bytes_str(mo->alias);
	answer.model = grant.model;
	if (chan_send(v->llm[mo->provider], MSG_vl_grant, &grant,
	    pair[1]) == -1 ||
	    chan_send(w->sess, MSG_vs_open_model, &answer, pair[0]) == -1)
		log_debug("model for session %llu: a channel has ended",
		    (unsigned long long)w->n);
	close(pair[0]);
	close(pair[1]);
	audit(EV_model_grant, w->n, w->user->name, "model=%s", mo->alias);
}

void
llm_revoke(struct vault *v, uint64_t n)
{
	struct m_vl_revoke m = { .n = n };

	for (int i = 0; i < v->nllm; i++)
		if (chan_send(v->llm[i], MSG_vl_revoke, &m, -1) == -1)
			log_warn("llmproxy %d takes no more messages", i);
}

/* Their channels to its provider; those that may, open theirs again. */
void
model_revoke(struct vault *v, const struct user *u, const struct model *mo)
{
	struct m_vl_revoke m;
	struct worker *w = NULL;

	if (mo->provider >= v->nllm)
		return;
	while ((w = worker_next(v, w, u, NULL)) != NULL) {
		m.n = w->n;
		if ((w->granted & 1u << mo->provider) != 0 &&
		    chan_send(v->llm[mo->provider], MSG_vl_revoke, &m, -1) ==
		    -1)
			log_warn("llmproxy %u takes no more messages",
			    mo->provider);
	}
}

static void
usage(struct vault *v, const struct m_lv_usage *m)
{
	struct worker *w = worker_find(v, m->n);
	char model[65], sent[65], answer[65];

	(void)msg_text(model, sizeof(model), m->model);
	hex_encode(sent, m->sent_hash, sizeof(m->sent_hash));
	hex_encode(answer, m->answer_hash, sizeof(m->answer_hash));
	if (w != NULL)
		proof_usage(w, m);
	v->answers++;
	v->prompt_tokens += m->prompt_tokens;
	v->completion_tokens += m->completion_tokens;
	log_info("usage [%llu] %s: request %u to %s, finish %u, %u and %u "
	    "tokens, sent %s, answer %s", (unsigned long long)m->n,
	    w != NULL && w->user != NULL ? w->user->name : "-", m->req, model,
	    m->finish, m->prompt_tokens, m->completion_tokens, sent, answer);
}

/*
 * Whether the session was given to this llmproxy; of one that has ended, only
 * that there has been such a session can be said.
 */
static bool
has_grant(struct vault *v, const struct chan *c, uint64_t n)
{
	const struct worker *w = worker_find(v, n);

	if (w == NULL)
		return n <= v->last_n;
	for (int i = 0; i < ROLE_MAX_PROVIDERS; i++)
		if (v->llm[i] == c && (w->granted & 1u << i) != 0)
			return true;
	return false;
}

void
vault_on_llm(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = arg;
	struct m_vl_welcome welcome;

	if (m->type == MSG_lv_health) {
		for (int i = 0; i < v->nllm; i++)
			if (v->llm[i] == c)
				health_take(&v->health[i], &m->u.lv_health);
		return;
	}
	if (m->type == MSG_lv_usage) {
		if (has_grant(v, c, m->u.lv_usage.n))
			usage(v, &m->u.lv_usage);
		else
			role_link_lost(c, "usage of a session that it was "
			    "not granted", v);
		return;
	}
	/* Grants of its predecessor ended with it. */
	welcome.generation = m->u.lv_hello.generation;
	if (chan_send(c, MSG_vl_welcome, &welcome, -1) == -1)
		log_warn("an llmproxy is gone");
}
