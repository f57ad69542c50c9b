/*
 * cloisterctl status and metrics: what the monitor says of the roles, then what
 * the vault knows itself.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "metrics.h"
#include "vault_admin.h"

/* ---- providers --------------------------------------------------------------- */

void
health_take(struct health *h, const struct m_lv_health *m)
{
	if (m->code == 0) {
		h->successes++;
		h->success_us = wall_us();
		return;
	}
	h->errors++;
	h->error_us = wall_us();
	h->code = m->code;
	(void)msg_text(h->text, sizeof(h->text), m->text);
}

/* What the configuration calls a provider; one without a model has no name. */
static const char *
provider_name(const struct vault *v, int i)
{
	for (size_t k = 0; k < v->nmodels; k++)
		if (v->models[k].provider == i)
			return v->models[k].provider_name;
	return "";
}

static void
show_upstreams(struct admin *a)
{
	const struct vault *v = a->v;

	for (int i = 0; i < v->nllm; i++) {
		const struct health *h = &v->health[i];
		struct m_va_upstream m = { .successes = h->successes,
		    .errors = h->errors, .success_us = h->success_us,
		    .error_us = h->error_us, .code = h->code,
		    .name = bytes_str(provider_name(v, i)),
		    .text = bytes_str(h->text) };

		admin_send(a, MSG_va_upstream, &m);
	}
}

/* ---- status ------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4)))
static void
info(struct admin *a, const char *name, const char *fmt, ...)
{
	struct m_va_info m = { .name = bytes_str(name) };
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m.value = bytes_str(text);
	admin_send(a, MSG_va_info, &m);
}

static void
show_status(struct admin *a)
{
	const struct vault *v = a->v;

	show_upstreams(a);
	info(a, "sessions", "%zu", v->nlive);
	info(a, "users", "%zu", v->nusers);
	info(a, "conversations", "%zu", v->nconvs);
	info(a, "commit", "%llu", (unsigned long long)v->h.n);
	info(a, "storage", "verified at start, key generation %u, epoch %u",
	    v->keys->anchor.epoch[0].gen, v->keys->anchor.epoch[0].epoch);
	info(a, "handshakes", "%llu nonces, %llu signatures, "
	    "%llu verifications, %llu grants", (unsigned long long)v->nonces,
	    (unsigned long long)v->signatures,
	    (unsigned long long)v->verifications,
	    (unsigned long long)v->grants);
	info(a, "answers", "%llu", (unsigned long long)v->answers);
	info(a, "tokens", "%llu in, %llu out",
	    (unsigned long long)v->prompt_tokens,
	    (unsigned long long)v->completion_tokens);
	info(a, "passwords", "%llu hashed", (unsigned long long)v->hashes);
	info(a, "uptime", "%llu s",
	    (unsigned long long)((mono_ms() - v->started_ms) / 1000));
	admin_end(a, true, "running");
}

/* ---- metrics ----------------------------------------------------------------- */

static void
metric(struct admin *a, enum metric which, struct bytes label, uint64_t value)
{
	struct m_va_metric m = { .metric = (uint8_t)which, .label = label,
	    .value = value };

	admin_send(a, MSG_va_metric, &m);
}

static void
show_metrics(struct admin *a)
{
	const struct vault *v = a->v;
	const struct bytes none = { NULL, 0 };
	const struct {
		enum metric	which;
		uint64_t	value;
	} own[] = {
		{ METRIC_UP, 1 },
		{ METRIC_START, (wall_us() - (mono_ms() - v->started_ms) *
		    1000) / 1000000 },
		{ METRIC_SESSIONS, v->nlive },
		{ METRIC_USERS, v->nusers },
		{ METRIC_CONVERSATIONS, v->nconvs },
		{ METRIC_DELETIONS, v->ntombs },
		{ METRIC_COMMITS, v->h.n },
		{ METRIC_GENERATION, v->keys->anchor.epoch[0].gen },
		{ METRIC_EPOCH, v->keys->anchor.epoch[0].epoch },
		{ METRIC_NONCES, v->nonces },
		{ METRIC_SIGNATURES, v->signatures },
		{ METRIC_VERIFICATIONS, v->verifications },
		{ METRIC_GRANTS, v->grants },
		{ METRIC_HASHES, v->hashes },
		{ METRIC_ANSWERS, v->answers },
		{ METRIC_PROMPT_TOKENS, v->prompt_tokens },
		{ METRIC_COMPLETION_TOKENS, v->completion_tokens },
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		metric(a, own[i].which, none, own[i].value);
	for (int i = 0; i < v->nllm; i++) {
		const struct health *h = &v->health[i];
		struct bytes name = bytes_str(provider_name(v, i));

		metric(a, METRIC_UPSTREAM_OK, name, h->successes);
		metric(a, METRIC_UPSTREAM_ERRORS, name, h->errors);
		metric(a, METRIC_UPSTREAM_OK_TIME, name,
		    h->success_us / 1000000);
		metric(a, METRIC_UPSTREAM_ERROR_TIME, name,
		    h->error_us / 1000000);
	}
	admin_end(a, true, "%s", "");
}

/* ---- what the monitor is asked for both -------------------------------------- */

void
admin_status(struct admin *a, bool metrics)
{
	struct m_ctl_status m;

	m.id = admin_ask_id(a);
	a->metrics = metrics;
	if (chan_send(a->v->role->ctl, MSG_ctl_status, &m, -1) == -1)
		log_err("the monitor is gone");
}

void
status_role(struct admin *a, const struct m_ctl_role *r)
{
	struct m_va_role row = { .pid = r->pid, .uid = r->uid, .abi = r->abi,
	    .restarts = r->restarts, .started_us = r->started_us,
	    .name = r->name };

	if (!a->metrics) {
		admin_send(a, MSG_va_role, &row);
		return;
	}
	metric(a, METRIC_ROLE_START, r->name, r->started_us / 1000000);
	metric(a, METRIC_ROLE_RESTARTS, r->name, r->restarts);
}

void
status_end(struct admin *a)
{
	a->status_id = 0;
	if (a->metrics)
		show_metrics(a);
	else
		show_status(a);
}
