/*
 * Users who come with a certificate.  certd takes certificates apart; the vault
 * sends it only what an authority has signed, which is all that it looks at
 * itself, and takes a verdict of certd's only as far as those signed bytes bear it
 * out: key and user must stand in them.  So a certd that was taken over cannot name
 * a user that no authority named.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "certsig.h"
#include "log.h"
#include "vault.h"

#define TRIES		3	/* for one question */
#define ANSWER_MS	10000	/* to the oldest question */
#define END_MS_MAX	(7ull * 24 * 3600 * 1000)	/* of one timer */

/* Of a live session: looked at again when certd has new lists, ended in time. */
struct live_cert {
	struct cert_job		 job;
	struct worker		*w;
	uint64_t		 not_after;	/* seconds since the epoch */
	struct loop_timer	*timer;
};

static void on_expiry(void *);

/* ---- questions to certd --------------------------------------------------- */

/* It broke a rule; the monitor starts another one. */
static void
lost(struct vault *v, const char *why)
{
	role_link_lost(v->certd, why, v);
	v->certd_up = false;
	loop_timer_free(v->cert_timer);
	v->cert_timer = NULL;
}

static void
on_late(void *arg)
{
	struct vault *v = arg;

	v->cert_timer = NULL;
	lost(v, "no answer");
}

/* While an answer is awaited; each answer begins it anew. */
static void
watch(struct vault *v)
{
	loop_timer_free(v->cert_timer);
	v->cert_timer = LIST_EMPTY(&v->cert_jobs) ? NULL :
	    loop_timer_new(v->loop, ANSWER_MS, on_late, v);
}

static void
finish(struct cert_job *j, const char *why, const struct cert_answer *a)
{
	LIST_REMOVE(j, link);
	j->id = 0;
	j->done(j, why, a);
}

static void
job_cancel(struct cert_job *j)
{
	if (j->id == 0)
		return;
	LIST_REMOVE(j, link);
	j->id = 0;
}

void
cert_ask(struct vault *v, struct cert_job *j)
{
	struct m_vt_check q = { .id = ++v->cert_id,
	    .cert = bytes_of(j->cert, j->cert_n),
	    .spki = bytes_of(j->spki.p, j->spki.n) };

	j->id = q.id;
	LIST_INSERT_HEAD(&v->cert_jobs, j, link);
	if (chan_send(v->certd, MSG_vt_check, &q, -1) == -1)
		log_err("certd takes no more questions");
	if (v->cert_timer == NULL)
		watch(v);
}

/*
 * What a certd that is gone was asked, another one is asked; but not a certificate
 * that may have been what it died of.
 */
static void
ask_again(struct vault *v)
{
	LIST_HEAD(, cert_job) old = LIST_HEAD_INITIALIZER(old);
	struct cert_job *j;

	while ((j = LIST_FIRST(&v->cert_jobs)) != NULL) {
		LIST_REMOVE(j, link);
		LIST_INSERT_HEAD(&old, j, link);
	}
	while ((j = LIST_FIRST(&old)) != NULL) {
		if (++j->tries == TRIES) {
			finish(j, "certd ends when it looks at this certificate",
			    NULL);
			continue;
		}
		LIST_REMOVE(j, link);
		cert_ask(v, j);
	}
}

/* Whether the signed bytes bear out what certd says of them. */
static bool
borne_out(const struct cert_job *j, const struct cert_answer *a)
{
	char uri[sizeof(CERT_USER_URI) + 65];
	struct certsig s;

	(void)snprintf(uri, sizeof(uri), "%s%s", CERT_USER_URI, a->user);
	return a->user[0] != '\0' &&
	    certsig_parse(&s, bytes_of(j->cert, j->cert_n)) == 0 &&
	    certsig_has_uri(&s, uri);
}

static void
verdict(struct vault *v, const struct m_tv_verdict *m)
{
	struct cert_answer a = { .not_after = m->not_after };
	struct cert_job *j;

	LIST_FOREACH(j, &v->cert_jobs, link)
		if (j->id == m->id)
			break;
	if (j == NULL || m->verdict >= CERT_NVERDICTS) {
		lost(v, "an answer that was not asked for");
		return;
	}
	(void)msg_text(a.user, sizeof(a.user), m->user);
	(void)msg_text(a.detail, sizeof(a.detail), m->detail);
	log_clean(a.detail);
	if (m->verdict == CERT_OK && !borne_out(j, &a)) {
		finish(j, "certd says more than the certificate", NULL);
		lost(v, "a user whom the certificate does not name");
		return;
	}
	a.verdict = m->verdict;
	finish(j, m->verdict == CERT_OK ? NULL : cert_what(m->verdict), &a);
	watch(v);
}

/* ---- authorities and their lists ------------------------------------------- */

/* The first certd says it, before any stranger's byte; no later one may. */
static void
authority(struct vault *v, struct bytes spki)
{
	const uint8_t *p = spki.p;
	EVP_PKEY *key;

	if (v->ncas == CLIENT_CAS_MAX)
		fatalx("client_ca: more than %d authorities", CLIENT_CAS_MAX);
	key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	if (key == NULL || p != spki.p + spki.n)
		fatalx("client_ca: the key of an authority cannot be used");
	v->cas[v->ncas++] = key;
}

/* Whether every live certificate is still good by what this certd read. */
static void
look_again(struct vault *v)
{
	struct worker *w, *next;
	struct live_cert *l;

	for (w = worker_next(v, NULL, NULL, NULL); w != NULL; w = next) {
		next = worker_next(v, w, NULL, NULL);
		if ((l = w->cert) != NULL && l->job.id == 0)
			cert_ask(v, &l->job);
	}
}

static void
hello(struct vault *v, struct chan *c, uint32_t generation)
{
	struct m_vt_welcome welcome = { .generation = generation };

	if (generation <= v->certd_generation) {
		lost(v, "a generation that does not rise");
		return;
	}
	v->certd_generation = generation;
	v->certd_up = true;
	chan_set_state(c, VAULT_CERT_UP);
	if (chan_send(c, MSG_vt_welcome, &welcome, -1) == -1)
		log_err("certd is gone");
	ask_again(v);
	look_again(v);
	watch(v);
}

void
vault_on_certd(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = arg;

	switch (m->type) {
	case MSG_tv_ca:
		authority(v, m->u.tv_ca.spki);
		break;
	case MSG_tv_hello:
		hello(v, c, m->u.tv_hello.generation);
		break;
	default:
		verdict(v, &m->u.tv_verdict);
		break;
	}
}

void
vault_certd_lost(struct chan *c, const char *why, void *arg)
{
	(void)c;
	lost(arg, why);
}

void
cert_job_init(struct cert_job *j, struct bytes cert, const struct rec_spki *spki)
{
	memset(j, 0, sizeof(*j));
	j->cert_n = cert.n < sizeof(j->cert) ? cert.n : sizeof(j->cert);
	if (j->cert_n > 0)
		memcpy(j->cert, cert.p, j->cert_n);
	j->spki = *spki;
}

const char *
cert_refuse(const struct vault *v, const struct cert_job *j)
{
	struct bytes spki = bytes_of(j->spki.p, j->spki.n);
	struct certsig s;
	size_t i = 0;

	if (!v->has_client_ca)
		return "a certificate, and no client_ca is configured";
	if (certsig_parse(&s, bytes_of(j->cert, j->cert_n)) == -1)
		return "not a certificate";
	while (i < v->ncas && !certsig_by(&s, v->cas[i]))
		i++;
	if (i == v->ncas)
		return "the certificate is not signed by an authority in "
		    "client_ca";
	if (!cert_holds(s.tbs, spki))
		return "the certificate is for another key";
	return v->certd_up ? NULL : "certd is not there, try again";
}

/* ---- live sessions ----------------------------------------------------------- */

/* The certificate's end is the session's; a timer reaches only so far. */
static void
arm(struct live_cert *l)
{
	uint64_t now = wall_us() / 1000000, ms = 0;

	if (l->not_after > now)
		ms = (l->not_after - now) * 1000;
	l->timer = loop_timer_new(l->w->v->loop, ms < END_MS_MAX ? ms :
	    END_MS_MAX, on_expiry, l);
}

static void
on_expiry(void *arg)
{
	struct live_cert *l = arg;

	l->timer = NULL;
	if (wall_us() / 1000000 < l->not_after)
		arm(l);
	else
		worker_end(l->w, cert_what(CERT_EXPIRED));
}

/* A second look: by newer lists, at another time. */
static void
on_again(struct cert_job *j, const char *why, const struct cert_answer *a)
{
	struct live_cert *l = (struct live_cert *)j->arg;

	l->job.tries = 0;
	if (why == NULL && strcmp(a->user, l->w->user->name) != 0)
		why = "the certificate is another user's now";
	if (why != NULL)
		worker_end(l->w, why);
}

void
cert_keep(struct worker *w, const struct cert_job *j, uint64_t not_after)
{
	struct live_cert *l = calloc(1, sizeof(*l));

	if (l == NULL)
		fatal("calloc");
	l->job = *j;
	l->job.id = 0;
	l->job.done = on_again;
	l->job.arg = l;
	l->w = w;
	l->not_after = not_after;
	w->cert = l;
	arm(l);
}

void
cert_forget(struct worker *w)
{
	struct live_cert *l = w->cert;

	if (l == NULL)
		return;
	w->cert = NULL;
	job_cancel(&l->job);
	loop_timer_free(l->timer);
	free(l);
}

void
certs_free_all(struct vault *v)
{
	struct cert_job *j;

	while ((j = LIST_FIRST(&v->cert_jobs)) != NULL)
		finish(j, "stopping", NULL);
	loop_timer_free(v->cert_timer);
	v->cert_timer = NULL;
	for (size_t i = 0; i < v->ncas; i++)
		EVP_PKEY_free(v->cas[i]);
	v->ncas = 0;
}
