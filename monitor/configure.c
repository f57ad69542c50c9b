/* What each role is told of the configuration: what it needs and no more. */
#include "hs.h"
#include "monitor.h"

static void
send_limits(const struct monitor *mon, struct proc *p)
{
	const struct config_limits *l = &mon->cfg.limits;
	struct m_ctl_limits m = {
		.max_connections = l->max_connections,
		.max_per_source = l->max_connections_per_source,
		.max_sessions_per_user = l->max_sessions_per_user,
		.login_grace_s = l->login_grace,
		.idle_timeout_s = l->idle_timeout,
		.session_timeout_s = l->session_timeout,
		.ticket_lifetime_s = l->ticket_lifetime,
		.rekey_interval_s = l->rekey_interval,
		.spare_workers = l->spare_workers,
		.max_prompt_bytes = l->max_prompt,
		.retention_days = l->retention_days,
		.max_conversations = l->max_conversations,
		.max_messages = l->max_messages,
		.first_contact = mon->cfg.first_contact,
		.lowest_suite = mon->cfg.require_pq ? HS_SUITE_HYBRID :
		    HS_SUITE_X25519,
		.shaping = (uint8_t)mon->cfg.shaping,
		.argon2_memory_kib = mon->cfg.argon2.memory_kib,
		.argon2_passes = mon->cfg.argon2.passes,
		.password_delay_s = l->password_delay,
		.enrolment = mon->cfg.enrolment,
		/* REC_POLICY_KEY, REC_POLICY_KEY_PASSWORD */
		.policy = mon->cfg.want_password ? 2 : 1,
	};

	(void)chan_send(p->ctl, MSG_ctl_limits, &m, -1);
}

static void
send_upstream(const struct monitor *mon, struct proc *p, int i)
{
	const struct config_provider *pr = &mon->cfg.providers[i];
	struct m_ctl_upstream m = {
		.provider = (uint8_t)i, .type = (uint8_t)pr->type,
		.tls = pr->url.tls,
		.port = pr->url.port, .has_key = pr->key_file != NULL,
		.has_ca = pr->ca_file != NULL,
		.connect_timeout_s = pr->connect_timeout,
		.first_byte_timeout_s = pr->first_byte_timeout,
		.idle_timeout_s = pr->idle_timeout,
		.total_timeout_s = pr->total_timeout,
		.name = bytes_str(pr->name), .host = bytes_str(pr->url.host),
		.path = bytes_str(pr->url.path),
	};

	(void)chan_send(p->ctl, MSG_ctl_upstream, &m, -1);
}

static void
send_model(const struct monitor *mon, struct proc *p,
    const struct config_model *mo)
{
	struct m_ctl_model m = {
		.provider = (uint8_t)mo->provider, .is_default = mo->is_default,
		.max_tokens = mo->max_tokens, .context = mo->context,
		.temperature = mo->temperature, .alias = bytes_str(mo->alias),
		.upstream = bytes_str(mo->upstream),
		.provider_name =
		    bytes_str(mon->cfg.providers[mo->provider].name),
		.system = bytes_str(mo->system != NULL ? mo->system : ""),
	};

	(void)chan_send(p->ctl, MSG_ctl_model, &m, -1);
}

static void
send_audit(const struct monitor *mon, struct proc *p)
{
	const struct config_audit *a = &mon->cfg.audit;
	struct m_ctl_audit m = {
		.full_continue = a->full_continue,
		.checkpoint_lines = a->checkpoint_lines,
		.checkpoint_s = a->checkpoint_seconds,
		.rotate_bytes = (uint64_t)a->rotate_mib << 20,
	};

	(void)chan_send(p->ctl, MSG_ctl_audit, &m, -1);
}

static void
send_certs(const struct monitor *mon, struct proc *p)
{
	struct m_ctl_certs m = {
		.has_chain = mon->cfg.certificate != NULL,
		.has_ca = mon->cfg.client_ca != NULL,
		.has_crl = mon->cfg.client_crl != NULL,
	};

	(void)chan_send(p->ctl, MSG_ctl_certs, &m, -1);
}

void
configure(struct monitor *m, struct proc *p)
{
	bool llm = p->role == ROLE_LLMPROXY;

	if (p->role == ROLE_LOGGER)
		send_audit(m, p);
	if (p->role == ROLE_SESSIOND || p->role == ROLE_ZYGOTE ||
	    p->role == ROLE_VAULT)
		send_limits(m, p);
	if (p->role == ROLE_CERTD || p->role == ROLE_ZYGOTE ||
	    p->role == ROLE_VAULT)
		send_certs(m, p);
	if (p->role == ROLE_VAULT || p->role == ROLE_CONNECTOR || llm)
		for (int i = 0; i < m->providers; i++)
			if (!llm || i == p->instance)
				send_upstream(m, p, i);
	if (p->role == ROLE_VAULT || llm)
		for (size_t i = 0; i < m->cfg.nmodels; i++)
			if (!llm || m->cfg.models[i].provider ==
			    (size_t)p->instance)
				send_model(m, p, &m->cfg.models[i]);
}
