#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"
#include "rsa.h"

#define ANSWER_MS	30000

struct chan *
ctl_try_dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlcpy(sun.sun_path, ctl.cfg.control_socket,
	    sizeof(sun.sun_path)) >= sizeof(sun.sun_path))
		fatalx("control_socket: the path is too long");
	if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) == -1)
		fatal("socket");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		out_error("%s: %s%s", ctl.cfg.control_socket, strerror(errno),
		    errno == EACCES ? " (be root or in control_group)" :
		    "; is cloisterd running?");
		(void)close(fd);
		return NULL;
	}
	return chan_new(NULL, fd, CH_ADMIN, END_A, ADMIN_BUSY, 0, NULL, NULL,
	    NULL);
}

struct chan *
ctl_dial(void)
{
	struct chan *c = ctl_try_dial();

	if (c == NULL)
		exit(CTL_NO_SERVICE);
	return c;
}

/* ---- a row of each type -------------------------------------------------- */

static void
show_user(const struct msg *m)
{
	const struct m_va_user *u = &m->u.va_user;

	out_begin("user");
	out_text("name", NULL, 32, u->name);
	out_bool("enabled", "enabled", "disabled", 9, u->state == 1);
	out_num("keys", NULL, -3, u->keys);
	out_word(u->keys == 1 ? "key " : "keys");
	out_time("created", " since", u->created_us);
	out_end();
}

static void
show_role(const struct msg *m)
{
	const struct m_va_role *r = &m->u.va_role;

	out_begin("role");
	out_text("name", NULL, 14, r->name);
	out_num("pid", "pid", 8, r->pid);
	out_num("uid", "uid", 6, r->uid);
	out_num("landlock", "landlock", 2, r->abi);
	out_num("restarts", "restarts", 3, r->restarts);
	out_time("started", "since", r->started_us);
	out_end();
}

static void
show_info(const struct msg *m)
{
	out_begin("info");
	out_text("name", NULL, 24, m->u.va_info.name);
	out_text("value", NULL, 0, m->u.va_info.value);
	out_end();
}

static void
show_key(const struct msg *m)
{
	const struct m_va_key *k = &m->u.va_key;
	char id[2 * sizeof(k->keyid) + 1], fp[RSA_FP_TEXT];

	hex_encode(id, k->keyid, sizeof(k->keyid));
	rsa_fingerprint_text(fp, k->fp);
	out_begin("key");
	out_str("id", NULL, 16, id);
	out_bool("active", "active", "revoked", 7, k->state == 1);
	out_time("enrolled", "since", k->created_us);
	out_str("fingerprint", NULL, 50, fp);
	out_text("label", NULL, 0, k->label);
	out_end();
}

static void
show_session(const struct msg *m)
{
	const struct m_va_session *s = &m->u.va_session;
	char id[2 * 8 + 1], fp[RSA_FP_TEXT];

	hex_encode(id, s->session_id, 8);
	rsa_fingerprint_text(fp, s->fp);
	out_begin("session");
	out_num("number", NULL, 11, s->n);
	out_str("id", NULL, 16, id);
	out_text("user", NULL, 16, s->user);
	out_text("source", "from", 15, s->source);
	out_time("since", "since", s->since_us);
	out_num("suite", "suite", 1, s->suite);
	if (ctl.json)
		out_str("key", NULL, 0, fp);
	out_text("label", NULL, 0, s->label);
	out_end();
}

static const char *
or_dash(const char *s)
{
	return *s != '\0' ? s : "-";
}

/* One object as JSON is several lines for a person. */
static void
next_line(const char *type)
{
	if (ctl.json)
		return;
	out_end();
	out_begin(type);
}

static void
show_account(const struct msg *m)
{
	static const char *const policies[] = { "default", "publickey",
	    "publickey+password" };
	const struct m_va_account *u = &m->u.va_account;

	out_begin("user");
	out_text("name", "user         ", 0, u->name);
	next_line("user");
	out_word("state        ");
	out_bool("enabled", "enabled", "disabled", 0, u->state == 1);
	next_line("user");
	out_time("created", "created      ", u->created_us);
	next_line("user");
	out_num("keys", "keys         ", 0, u->keys);
	out_num("revoked_keys", "active,", 0, u->revoked);
	out_word("revoked");
	next_line("user");
	out_str("policy", "policy       ", 0, u->policy < 3 ?
	    policies[u->policy] : "?");
	next_line("user");
	out_word("password     ");
	out_bool("password", "set", "none", 0, u->password != 0);
	next_line("user");
	out_num("sessions", "sessions     ", 0, u->sessions);
	next_line("user");
	out_num("conversations", "conversations", 0, u->conversations);
	next_line("user");
	out_word("models       ");
	out_bool("all_models", "all", "by grant", 0, u->all_models != 0);
	out_end();
}

static void
show_limit(const struct msg *m)
{
	const struct m_va_limit *l = &m->u.va_limit;
	bool own = l->value != 0;

	out_begin("limit");
	out_text("name", "limit", 16, l->name);
	out_num("value", NULL, 10, own ? l->value : l->deflt);
	out_bool("own", "own", "default", 9, own);
	out_num("used", "used", 0, l->used);
	out_end();
}

static void
show_model(const struct msg *m)
{
	const struct m_va_model *o = &m->u.va_model;
	char provider[65];

	(void)msg_text(provider, sizeof(provider), o->provider);
	out_begin("model");
	out_text("alias", "model", 16, o->alias);
	out_bool("allowed", "allowed", "denied", 7, o->allowed != 0);
	out_str("provider", "at", 16, or_dash(provider));
	out_bool("default", "default", "", 0, o->is_default != 0);
	out_end();
}

/* The model of a tally is "" where there were too many. */
static void
show_usage(const struct msg *m)
{
	const struct m_va_usage *u = &m->u.va_usage;
	char model[65];

	(void)msg_text(model, sizeof(model), u->model);
	out_begin("usage");
	out_text("user", NULL, 16, u->user);
	out_str("model", NULL, 16, *model != '\0' ? model : "(others)");
	out_num("day_requests", "today", -6, u->day_requests);
	out_num("day_tokens", "requests", -9, u->day_tokens);
	out_word("tokens,");
	out_num("month_requests", "this month", -6, u->month_requests);
	out_num("month_tokens", "requests", -9, u->month_tokens);
	out_word("tokens");
	out_end();
}

static void
show_upstream(const struct msg *m)
{
	const struct m_va_upstream *u = &m->u.va_upstream;
	char name[65];

	(void)msg_text(name, sizeof(name), u->name);
	out_begin("upstream");
	out_str("name", "upstream", 12, or_dash(name));
	out_num("successes", "successes", 6, u->successes);
	out_time("last_success", "last", u->success_us);
	out_num("errors", "errors", 6, u->errors);
	out_time("last_error", "last", u->error_us);
	out_num("code", "code", 0, u->code);
	out_text("error", NULL, 0, u->text);
	out_end();
}

static const struct {
	enum msg_type	 type;
	void		(*show)(const struct msg *m);
} rows[] = {
	{ MSG_va_user, show_user },
	{ MSG_va_role, show_role },
	{ MSG_va_info, show_info },
	{ MSG_va_key, show_key },
	{ MSG_va_session, show_session },
	{ MSG_va_account, show_account },
	{ MSG_va_limit, show_limit },
	{ MSG_va_model, show_model },
	{ MSG_va_upstream, show_upstream },
	{ MSG_va_usage, show_usage },
	{ MSG_va_metric, metric_take },
};

int
ctl_answers(struct chan *c)
{
	char text[CTL_TEXT_MAX];
	struct msg m;
	const char *why;

	for (;;) {
		if (chan_recv(c, &m, ctl.patient ? -1 : ANSWER_MS, &why) != 0) {
			out_error("no answer: %s", why != NULL ? why :
			    "the service went away");
			return CTL_NO_SERVICE;
		}
		if (m.type == MSG_va_error) {
			(void)msg_text(text, sizeof(text), m.u.va_error.text);
			out_error("%s", text);
			return CTL_FAILED;
		}
		if (m.type == MSG_va_done) {
			(void)msg_text(text, sizeof(text), m.u.va_done.text);
			log_clean(text);
			out_done(text);
			return CTL_OK;
		}
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (rows[i].type == m.type)
				rows[i].show(&m);
	}
}

int
ctl_ask_on(struct chan *c, enum msg_type type, const void *body)
{
	if (chan_send(c, type, body, -1) == 0)
		return ctl_answers(c);
	out_error("the service went away");
	return CTL_NO_SERVICE;
}

int
ctl_ask(enum msg_type type, const void *body)
{
	struct chan *c = ctl_dial();
	int r = ctl_ask_on(c, type, body);

	chan_free(c);
	return r;
}

struct bytes
ctl_user_name(const char *name)
{
	struct bytes b = bytes_str(name);

	if (b.n > 64) {
		out_error("a user's name has at most 32 characters");
		exit(CTL_FAILED);
	}
	return b;
}
